"""Log lines of the processes that have no application around them (workers, recorders): one JSON object each, redacted.

Owns: the form of a line, and that no error fills the disk.  Must never know: which code logs, and why.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable

from relay.base.ration import WINDOW_SECONDS, Ration
from relay.base.redact import redact

_FOREIGN = ("aiohttp", "asyncio")
"""Libraries that log what peers do; their lines are rationed also without a traceback."""


class RationedHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to standard error: of tracebacks of one kind the first few, then a line a minute with their count.

    A hostile peer that finds an error of ours can repeat it thousands of times a second.  The kind is the type of the exception
    and the line that raised it.  A count waits for the next line of any kind.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(sys.stderr)
        self._monotonic = monotonic
        self._ration = Ration()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless enough of its kind were written."""
        now = self._monotonic()
        for kind, count in self._ration.due(now):
            super().emit(_summary(kind, count))
        kind_of_it = _kind(record)
        if kind_of_it is None or self._ration.take(kind_of_it, now):
            super().emit(record)


def _kind(record: logging.LogRecord) -> str | None:
    """Return the kind of a rationed record, None for one that is always written."""
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if error is None:
        return f"{record.name}: {record.msg}"[:160] if record.name.split(".")[0] in _FOREIGN else None
    where = "?"
    for frame, line in traceback.walk_tb(error.__traceback__):
        where = f"{frame.f_code.co_filename}:{line}"
    return f"{type(error).__name__} at {where}"


def _summary(kind: str, count: int) -> logging.LogRecord:
    text = "%d further errors of one kind in %d s were not written: %s"
    return logging.LogRecord(__name__, logging.ERROR, __file__, 0, text, (count, WINDOW_SECONDS, kind), None)


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON; addresses and secrets are replaced."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        entry = {"at": self.formatTime(record), "level": record.levelname.lower(), "logger": record.name}
        entry["process"] = self._process
        entry["event"] = redact(record.getMessage())
        if record.exc_info:
            entry["trace"] = redact(self.formatException(record.exc_info))
        return json.dumps(entry)


def configure(level: str, process: str) -> None:
    """Install the one handler of this process, on standard error."""
    handler = RationedHandler()
    handler.setFormatter(JsonLines(process))
    logging.basicConfig(level=level.upper(), handlers=[handler])
