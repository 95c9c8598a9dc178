"""An error of ours costs the step that made it, never what comes after it.

What this file owns: how a bug of one peer is kept from the others: caught, counted, told to the log.  What it must never know:
what the steps do.
"""

import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from relay.base.counters import Counters, declare

LOG_EVERY = 10.0
"""Seconds between two tracebacks of one kind of step: a step of every round that fails would fill the disk."""

declare(worker_errors="steps of a worker's rounds that failed because of an error of ours")

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class ErrorBarrier:
    """See the module; one per worker.  Steps are named by literals, so that what is remembered of them is bounded."""

    def __init__(self, monotonic: Callable[[], float], counters: Counters) -> None:
        self._monotonic = monotonic
        self._counters = counters
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
        self._counters.count("worker_errors")
        now = self._monotonic()
        if now >= self._next_log.get(what, 0.0):
            self._next_log[what] = now + LOG_EVERY
            logger.exception("%s failed", what)
