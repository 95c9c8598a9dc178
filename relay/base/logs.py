"""Log lines of the processes that have no application around them (workers, recorders): one JSON object each, redacted.

Owns: the form of a line.  Must never know: which code logs, and why.
"""

import json
import logging
import sys

from relay.base.redact import redact


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
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(process))
    logging.basicConfig(level=level.upper(), handlers=[handler])
