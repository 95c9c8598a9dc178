"""The deadline of the request under way, for the wings that do not yet pass it on as a value.

What this file owns: that deadline.  What it must never know: who asks.  It goes once `live` and `viewing` pass deadlines on.
"""

from contextvars import ContextVar
from typing import Any

request_deadline: ContextVar[Any] = ContextVar("request_deadline", default=None)
default_deadline: list[Any] = []
