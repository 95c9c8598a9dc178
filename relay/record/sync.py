"""How far sound and picture are apart, out of what a chain says of the tracks' clocks.

What this file owns: one offset with its uncertainty.  What it must never know: where the numbers are written.

Each track's clock is tied to wall time by fixes.  Ties made by the camera's own sender reports share one clock, so their
difference is the offset between the tracks on the recording's timeline (RFC 3550 §6.4.1); ties made by arrival only say that
both came at once.
"""

from collections.abc import Iterable
from typing import NamedTuple

SECOND = 1_000_000_000


class Tie(NamedTuple):
    """One fix of a track: the wall clock said `wall_ns` at decode time `time` of a track with `rate` ticks per second."""

    video: bool
    by_report: bool
    wall_ns: int
    time: int
    rate: int
    uncertainty_ns: int

    def shift(self) -> int:
        """Return wall time minus time on the recording's timeline, in nanoseconds."""
        return self.wall_ns - self.time * SECOND // self.rate


class Offset(NamedTuple):
    """What has to be added to the sound's times so that it lies beside the picture."""

    sound_ns: int
    uncertainty_ns: int
    measured: bool
    """By sender reports of both tracks; otherwise the recording is synchronised by arrival and `sound_ns` is 0."""


def sound_offset(ties: Iterable[Tie]) -> Offset:
    """Return the offset; the last reports count, because they are the best."""
    last: dict[bool, Tie] = {}
    arrival = 0
    for tie in ties:
        if tie.by_report:
            last[tie.video] = tie
        else:
            arrival = max(arrival, tie.uncertainty_ns)
    if True not in last or False not in last:
        return Offset(0, arrival, False)
    picture, sound = last[True], last[False]
    clock = min(picture.uncertainty_ns, sound.uncertainty_ns)
    return Offset(sound.shift() - picture.shift(), min(clock, SECOND // 100), True)
