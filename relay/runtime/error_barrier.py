"""An error of ours costs the step that made it, never the steps that come after it.

Owns: how a bug is kept from others: caught, counted, logged now and then.  Must never know: what the
steps do.
"""

import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from relay.base.counters import Counters

LOG_SECONDS = 10.0
"""Between two tracebacks of one kind of step: a step of every round that fails would fill the disk."""

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class ErrorBarrier:
    """One per process or loop.  Steps are named by literals, so that what is remembered of them is bounded."""

    def __init__(self, monotonic: Callable[[], float], counters: Counters, counter: str) -> None:
        """`counter`: the declared counter of failed steps."""
        self._monotonic = monotonic
        self._counters = counters
        self._counter = counter
        self._next_log: dict[str, float] = {}

    def call(self, what: str, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return what a step returns; None where it failed."""
        try:
            return step(*args, **kwargs)
        except Exception:
            self.failed(what)
            return None

    def failed(self, what: str) -> None:
        """Count and log the exception that is being handled."""
        self._counters.count(self._counter)
        now = self._monotonic()
        if now >= self._next_log.get(what, 0.0):
            self._next_log[what] = now + LOG_SECONDS
            logger.exception("%s failed", what)
