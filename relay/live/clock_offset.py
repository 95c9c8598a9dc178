"""The offset of a camera's wall clock from ours, from questions and answers over its live socket.

Owns: the arithmetic of Cristian's method (one round trip bounds the error by half of it).
Must never know: sockets, any clock: it is given the times.
"""

from collections import deque
from dataclasses import dataclass

from relay.base.clock import SECOND_NS

KEEP_NS = 120 * SECOND_NS
MAX_SAMPLES = 32
MAX_ROUND_TRIP_NS = 2 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Offset:
    """Camera's clock minus ours, and by how much that may be wrong, both in milliseconds."""

    offset_ms: float
    uncertainty_ms: float


@dataclass(frozen=True, slots=True)
class _Sample:
    at_ns: int
    offset_ns: int
    round_trip_ns: int


class ClockOffset:
    """The best of the last two minutes' round trips."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=MAX_SAMPLES)
        self._asked: dict[int, int] = {}

    @property
    def unanswered(self) -> int:
        """How many questions wait for their answer."""
        return len(self._asked)

    def ask(self, utc_ns: int, mono_ns: int) -> int:
        """Note that the camera is asked for its time now; return what it must echo."""
        if len(self._asked) >= MAX_SAMPLES:
            self._asked.pop(next(iter(self._asked)))
        self._asked[utc_ns] = mono_ns
        return utc_ns

    def answer(self, echo: int, camera_ns: int, mono_ns: int) -> Offset | None:
        """Take an answer; None where it answers nothing that was asked lately, or took too long."""
        asked = self._asked.pop(echo, None)
        if asked is None or not 0 <= mono_ns - asked <= MAX_ROUND_TRIP_NS:
            return None
        round_trip = mono_ns - asked
        # Our time at the middle of the round trip is the best guess of when the camera read its clock.
        self._samples.append(_Sample(mono_ns, camera_ns - (echo + round_trip // 2), round_trip))
        return self.best(mono_ns)

    def best(self, mono_ns: int) -> Offset | None:
        """Return the offset with the least uncertainty among recent samples, None without one."""
        recent = [sample for sample in self._samples if mono_ns - sample.at_ns <= KEEP_NS]
        if not recent:
            return None
        best = min(recent, key=lambda sample: sample.round_trip_ns)
        return Offset(best.offset_ns / 1e6, best.round_trip_ns / 2e6)
