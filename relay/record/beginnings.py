"""Where the pictures of a recording, or of a segment, may begin: at an IDR, and where none comes, at a recovery point.

Owns: how long an IDR is waited for, and what is said of a beginning that is none.  Must never know: packets, MP4, files.

A picture with a recovery point is taken at once where no picture can be kept yet: an IDR may never come.  An I picture that
promises nothing is taken after `PATIENCE_NS` only.  Where a segment is over, pictures are kept anyway, so an IDR is waited for
so long before the next segment begins at either of them.
"""

from collections.abc import Iterator
from typing import NamedTuple

from relay.record.assemble import Sample
from relay.rtp.parameter_sets import ParameterSets, Sets
from relay.rtp.recovery import beginning, may_reorder

SECOND = 1_000_000_000
PATIENCE_NS = 2 * SECOND
USUAL_TICKS = 6000
"""Between two pictures where nothing is known of it: 15 a second."""
LEADING = 3
"""B pictures that may follow an I picture although they are shown before it; they refer to pictures that nobody has."""


class Start(NamedTuple):
    """A picture in which decoding may begin."""

    sets: Sets | None
    is_key: bool = True
    """It is an IDR."""
    incomplete: int = 0
    """RTP ticks until everything that is shown is right."""
    detail: str = ""


class Beginnings:
    """The beginnings of one recording; `now` in monotonic nanoseconds."""

    def __init__(self) -> None:
        self._wanted_since: int | None = None
        self._last: int | None = None
        self._step = USUAL_TICKS

    def of(self, sample: Sample, sets: ParameterSets, *, wanted: bool, kept_anyway: bool, now: int) -> Start | None:
        """Return how decoding may begin in a picture; None where it may not, or where no beginning is wanted.

        `wanted`: a segment should begin; `kept_anyway`: pictures are kept meanwhile.
        """
        self._note_step(sample.timestamp)
        if sample.keyframe:
            self._wanted_since = None
            return Start(sample.sets)
        if not wanted:
            self._wanted_since = None
            return None
        if self._wanted_since is None:
            self._wanted_since = now
        is_late = now - self._wanted_since >= PATIENCE_NS
        if kept_anyway and not is_late:
            return None
        found = beginning(_units(sample.data))
        if found is None or not (found.is_promised or is_late):
            return None
        self._wanted_since = None
        what = (
            f"a recovery point, whole after {found.pictures} pictures" if found.is_promised else "an I picture that is no IDR"
        )
        in_force = sets.sets(found.first_slice) or sets.sets()
        pictures = found.pictures + (LEADING if in_force is not None and may_reorder(in_force.sps[0]) else 0)
        return Start(in_force, False, pictures * self._step, f"the pictures begin at {what}")

    def _note_step(self, timestamp: int) -> None:
        if self._last is not None and 0 < timestamp - self._last < 90_000:
            self._step = timestamp - self._last
        self._last = timestamp


def _units(sample: bytes) -> Iterator[bytes]:
    at = 0
    while at + 4 < len(sample):
        size = int.from_bytes(sample[at : at + 4], "big")
        yield sample[at + 4 : at + 4 + size]
        at += 4 + size
