"""Structured logs on standard error, without personal data.

Owns: the form of a log line and the removal of personal data.  Must never know: who logs.
Cores and floors use the standard library's loggers; structlog renders them at the application's edge.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from relay.base.logs import RationedHandler
from relay.base.redact import redact
from relay.policy.texts import visible_lines, visible_text

_SESSIONS = frozenset({"secret", "session", "sign_in", "viewer_session", "publish_session"})
_PERSONAL = _SESSIONS | {"user", "name", "author", "bearer", "password", "token", "remote", "peername", "motive"}
"""Keys whose value identifies a person or grants access: never written."""

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def strike_out(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace personal keys and redact every text, tracebacks included."""
    for key, value in event.items():
        if key in _PERSONAL:
            event[key] = "<struck out>"
        elif isinstance(value, str):
            event[key] = redact(value)
        elif not isinstance(value, int | float | bool | type(None)) and not key.startswith("_"):
            event[key] = redact(str(value))
    return event


def show_unseen(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Write characters that a terminal would obey as escapes; JSON does so by itself."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = visible_lines(value) if key == "exception" else visible_text(value)
    return event


def configure(level: str, form: str, process: str) -> None:
    """Install the one log handler of this process; `form` is json, console, or auto (console on a terminal, else json)."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _stamp(process),
    ]
    ending: list[structlog.types.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        strike_out,
        *([show_unseen, structlog.dev.ConsoleRenderer(colors=False)] if console else [structlog.processors.JSONRenderer()]),
    ]
    handler = RationedHandler()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=ending))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LEVELS[level])
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _stamp(process: str) -> structlog.types.Processor:
    def add(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event

    return add
