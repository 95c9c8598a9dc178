"""One track of the camera as it is connected now, and the gap that is open in it.

Owns: what is known of a track between two samples that were kept.  Must never know: the other track, segments, files.
"""

from dataclasses import dataclass
from typing import NamedTuple

from relay.record.access_units import H264Track
from relay.record.assemble import OpusTrack, Sample
from relay.record.gaps import GapCause
from relay.record.timeline import Place, Timeline

SECOND = 1_000_000_000
VIDEO, AUDIO = 1, 2
"""Track ids, in the MP4 and in the chain."""
CLOCKS = {VIDEO: 90_000, AUDIO: 48_000}
PAUSE_NS = SECOND * 9 // 10
"""A longer pause of the sender is a gap.  The verifier wants a gap for every jump in time of more than 1 s (FORMAT.md §7.4)."""
DRIFT_NS = 3 * SECOND
"""Media time and arrival may part by so much without a gap; then a gap of length 0 says so.  The verifier wants one at 5 s."""


class TappedStream(NamedTuple):
    """One track of the camera, and the RTP stream that carries it; `ssrc` is None until the track's first packet."""

    ssrc: int | None
    track: int
    sets: tuple[bytes, ...] = ()
    """H.264 parameter sets in force when it began: those of the camera's offer, and those that it sent before."""


@dataclass(slots=True)
class OpenGap:
    """A gap in one track that the next sample to be kept will close."""

    start: int
    until: int
    cause: GapCause
    detail: str


class ConnectedTrack:
    """One track of the camera, from its first packet on a connection until that connection, or its RTP stream, ends."""

    def __init__(self, ssrc: int, track: int, assembler: H264Track | OpusTrack, timeline: Timeline, opened: int) -> None:
        self.ssrc = ssrc
        self.track = track
        self.opened = opened
        """When (monotonic ns) it was connected."""
        self.assembler = assembler
        self.timeline = timeline
        self.last: Sample | None = None
        """The last sample that was kept."""
        self.reached = 0
        """Decode time of the last sample that was kept, in ticks."""
        self.reported_ns = 0
        """Nanoseconds of gaps of this track that were given out since that sample."""
        self.seen: Sample | None = None
        """The last sample, kept or not: sender reports are unwrapped near its timestamp."""
        self.open_gap: OpenGap | None = None
        self.tie: tuple[int, int] | None = None
        """Media time and arrival (ns) of the first sample that was kept since the last gap of this track."""
        self.dropped_before = 0
        """`dropped` when the last sample was kept."""

    @property
    def dropped(self) -> int:
        """Packets that came and were not used: late, doubled, malformed, ignored, or of a picture that was given up."""
        return self.assembler.late + self.assembler.malformed + self.assembler.ignored + self.assembler.unusable

    def kept(self, sample: Sample, time: int) -> None:
        """Take note of a sample that was kept, at this decode time (ticks)."""
        self.last, self.reached, self.reported_ns, self.dropped_before = sample, time, 0, self.dropped
        if self.tie is None:
            self.tie = (self.ns(time), sample.arrival)

    def ns(self, ticks: int) -> int:
        """Return ticks of this track in nanoseconds."""
        return ticks * SECOND // CLOCKS[self.track]

    def drifted(self, time: int, arrival: int) -> bool:
        """Return whether media time and arrival have parted since the last gap."""
        return self.tie is not None and abs(self.ns(time) - self.tie[0] - (arrival - self.tie[1])) > DRIFT_NS

    def leaps(self, place: Place, sample: Sample) -> bool:
        """Return whether a sample's timestamp jumps, or skips time that did not pass."""
        if self.last is None:
            return False  # how it connects is what the first sample of a connection says
        passed = sample.arrival - self.last.arrival
        return place.jump or (self.ns(place.time - self.reached) > PAUSE_NS and passed < PAUSE_NS // 2)

    def note_gap(self, start: int, until: int, cause: GapCause, detail: str) -> None:
        """Begin a gap, or extend the one that is open."""
        if self.open_gap is None:
            self.open_gap = OpenGap(start, until, cause, detail)
        else:
            self.open_gap.until = max(self.open_gap.until, until)
