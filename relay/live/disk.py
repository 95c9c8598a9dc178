"""The state of the recordings' disk, and when it will be full.

Owns: the arithmetic of the forecast, and the outlook that pages and metrics show.
Must never know: sockets, files, any clock: it is given the time.

Two rates are computed, because either may be the one that matters: that of the last ten minutes (a large intervention is under
way) and that of the last day (normal use, erasures included).  The forecast is the earlier of the two ends.  Nothing is ever
erased to make room: the people who read the forecast have to act.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

DiskState: TypeAlias = Literal["ok", "stalled", "full", "gone"]

SHORT_STEP_SECONDS, SHORT_SPAN_SECONDS = 10.0, 600.0
LONG_STEP_SECONDS, LONG_SPAN_SECONDS = 600.0, 86_400.0
MIN_SPAN_SECONDS = 300.0
"""Seconds of samples below which a rate is a guess, and gives no forecast."""
MIN_LOSS_BYTES = 8 << 20
"""Bytes that must have been used up: databases and logs grow and shrink all the time."""
WORST: tuple[DiskState, ...] = ("ok", "stalled", "full", "gone")


@dataclass(frozen=True, slots=True)
class Outlook:
    """The disk as pages and metrics show it."""

    state: DiskState
    free: int
    """Bytes."""
    full_in: float | None
    """Seconds until it is full at the present rates; None where it does not fill."""


class Trend:
    """Free bytes over the last `span` seconds, one sample each `step`: at most span / step of them."""

    def __init__(self, step: float, span: float) -> None:
        self._step = step
        self._samples: deque[tuple[float, int]] = deque(maxlen=int(span / step) + 1)

    def __len__(self) -> int:
        """Return the number of samples kept."""
        return len(self._samples)

    def take(self, now: float, free: int) -> None:
        """Note what is free at `now` (monotonic seconds)."""
        if not self._samples or now - self._samples[-1][0] >= self._step:
            self._samples.append((now, free))

    def full_in(self, now: float, free: int) -> float | None:
        """Return seconds until nothing is free, None where too little is known or nothing is lost."""
        if not self._samples:
            return None
        since, before = self._samples[0]
        lost = before - free
        if now - since < MIN_SPAN_SECONDS or lost < MIN_LOSS_BYTES:
            return None
        return free * (now - since) / lost


class Disk:
    """The disk as the recorders report it; `on_change` is called for each outlook that a person would read differently."""

    def __init__(self) -> None:
        self._states: dict[int, DiskState] = {}
        self._free: dict[int, int] = {}
        self._short, self._long = Trend(SHORT_STEP_SECONDS, SHORT_SPAN_SECONDS), Trend(LONG_STEP_SECONDS, LONG_SPAN_SECONDS)
        self._outlook = Outlook("ok", 0, None)
        self.on_change: list[Callable[[Outlook], None]] = []

    @property
    def outlook(self) -> Outlook:
        """The last outlook."""
        return self._outlook

    @property
    def free(self) -> dict[int, int]:
        """Free bytes as each recorder saw them."""
        return dict(self._free)

    def state_of(self, recorder: int) -> DiskState:
        """Return what one recorder reported last; `ok` before its first report."""
        return self._states.get(recorder, "ok")

    def take(self, recorder: int, state: DiskState, free: int, now: float) -> None:
        """Take one recorder's report of `now` (monotonic seconds)."""
        self._states[recorder], self._free[recorder] = state, free
        least = min(self._free.values())
        worst = max(self._states.values(), key=WORST.index)
        if worst != "gone":
            self._short.take(now, least)
            self._long.take(now, least)
        self._publish(Outlook(worst, least, self._full_in(now, least)))

    def _full_in(self, now: float, free: int) -> float | None:
        ends = [end for trend in (self._short, self._long) if (end := trend.full_in(now, free)) is not None]
        return min(ends, default=None)

    def _publish(self, outlook: Outlook) -> None:
        before, self._outlook = self._outlook, outlook
        if _reads(before) != _reads(outlook):
            for listener in self.on_change:
                listener(outlook)


def _reads(outlook: Outlook) -> tuple[str, int, int | None]:
    """Return an outlook as coarsely as a person reads it: a tenth more or less is the same."""
    return outlook.state, _coarse(outlook.free), None if outlook.full_in is None else _coarse(outlook.full_in)


def _coarse(value: float) -> int:
    return round(math.log(max(value, 1.0), 1.1))
