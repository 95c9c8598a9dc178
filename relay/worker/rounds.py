"""What is due by time alone, done on the way where packets wake us anyhow.

What this file owns: when a round is due.  What it must never know: what it does.
A wake-up that does little else costs more than what a round does (a core that slept has cold caches); where packets keep
coming, rounds ride with them and the timer, moved on each time, never fires.
"""

from asyncio import TimerHandle
from collections.abc import Callable

from relay.runtime.error_barrier import ErrorBarrier


class Rounds:
    """`passing` wherever something woke us; a round every `every` seconds then, and every `latest` where nothing does."""

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
        """Make the first round, and see to it that there are others."""
        self._go(self._monotonic())

    def passing(self, now: float) -> None:
        """Make a round where one is due."""
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
