"""Rounds: the work that is due by time, done in passing where packets wake the worker.

Owns: when a round is due.  Must never know: what a round does.

A wake-up for a round alone costs more than the round, because a core that slept has cold caches.  While packets come, rounds
are made after their drains; the timer is moved on each time and never fires.
"""

from asyncio import TimerHandle
from collections.abc import Callable

from relay.runtime.error_barrier import ErrorBarrier


class Rounds:
    """Makes a round every `every` seconds while `passing` is called, and every `latest` seconds while it is not."""

    def __init__(
        self,
        step: Callable[[float], None],
        every: float,
        latest: float,
        later: Callable[[float, Callable[[], None]], TimerHandle],
        monotonic: Callable[[], float],
        barrier: ErrorBarrier,
    ) -> None:
        self._step = step
        self._every = every
        self._latest = latest
        self._later = later
        self._monotonic = monotonic
        self._barrier = barrier
        self._due = 0.0
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        """Make the first round and start the timer."""
        self._go(self._monotonic())

    def passing(self, now: float) -> None:
        """The loop is awake: make a round where one is due."""
        if now >= self._due and self._timer is not None:
            self._go(now)

    def stop(self) -> None:
        """Make no more rounds."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go(self, now: float) -> None:
        self.stop()
        self._due = now + self._every
        self._timer = self._later(self._latest, self._on_timer)
        self._barrier.call("a round", self._step, now)

    def _on_timer(self) -> None:
        self._go(self._monotonic())
