"""One track of the camera as it is connected now, and the gap that is open in it.

Owns: what is known of a track between two samples that were kept; when it counts as received, not recorded.
Must never know: the other track, segments, files.

A track is received, not recorded where packets of it come for a second and none of them becomes a sample that is kept, whatever
the reason.  A single picture may take longer to arrive.  The gap is given out while that lasts, at first after a second, then
each time its length has doubled, then once a minute: a recording that is cut short must not hide it.  The gap ends where a
sample is kept, or where the packets end.
"""

from dataclasses import dataclass
from typing import NamedTuple

from relay.record.access_units import H264Track
from relay.record.assemble import OpusTrack, Sample
from relay.record.gaps import GapCause, MediaGap, RelayDrops, TapOverflow
from relay.record.timeline import Place, Timeline

SECOND = 1_000_000_000
VIDEO, AUDIO = 1, 2
"""Track ids, in the MP4 and in the chain."""
CLOCKS = {VIDEO: 90_000, AUDIO: 48_000}
PAUSE_NS = SECOND * 9 // 10
"""A longer pause of the sender is a gap.  The verifier wants a gap for every jump in time of more than 1 s (FORMAT.md §7.4)."""
DRIFT_NS = 3 * SECOND
"""Media time and arrival may part by so much without a gap; then a gap of length 0 says so.  The verifier wants one at 5 s."""


SILENCE_ENDS_NS = 10 * SECOND
"""After so much sound a silence is another one, with an entry of its own."""
UNRECORDED_NS = SECOND
"""A track of which packets come for so long, without a sample that is kept, is received, not recorded."""
ARRIVING_NS = 10 * SECOND
"""A single picture may take so long to arrive: 600 KB at 0.5 Mbit/s."""
TAP_OVERFLOW = "the tap dropped packets, because the recorder was too slow"
TELL_NS = 60 * SECOND
"""The longest part of such a time that is in no gap yet."""


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
        self.silent_at: int | None = None
        """When (monotonic ns) a sample came last after a silence, while the gap before it is the last one of this track."""
        self.began: int | None = None
        """Arrival (monotonic ns) of its first packet."""
        self.came_at = opened
        """Arrival of its last packet."""
        self.unkept_since: int | None = None
        """Arrival of the first packet since the last sample that was kept."""
        self.is_unrecorded = False
        """Whether the track is received, not recorded."""
        self._noted_at = opened
        """When that packet was handed over (monotonic ns)."""
        self._tell_at = UNRECORDED_NS
        """How long packets may come, without a sample that is kept, until the gap is given out."""

    @property
    def dropped(self) -> int:
        """Packets that came and were not used: late, doubled, malformed, ignored, or of a picture that was given up."""
        return self.assembler.late + self.assembler.malformed + self.assembler.ignored + self.assembler.unusable

    def kept(self, sample: Sample, time: int) -> None:
        """Take note of a sample that was kept, at this decode time (ticks)."""
        self.last, self.reached, self.reported_ns, self.dropped_before = sample, time, 0, self.dropped
        self._rest()
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

    def late(self, origin: int) -> MediaGap | None:
        """Return the gap that says that this track began later than its recording (`origin`); None where it did not."""
        if self.began is None or self.began - origin <= PAUSE_NS:
            return None
        return MediaGap(origin, self.began - origin, self.track, "late_track", "the camera began this track later")

    def is_silent(self, time: int) -> bool:
        """Return whether sound skips time up to `time` (ticks) although no packet is missing: its sender declares silence.

        Encoders leave packets out where nothing is to be heard; the numbers of those that are sent run on (RFC 7587 §3.1.3).
        """
        return (
            self.last is not None and self.open_gap is None and self.ns(time - self.reached) > PAUSE_NS and self.track == AUDIO
        )

    def silence(self, arrival: int) -> list[MediaGap]:
        """Return the entry of a silence that lasts until a sample came (`arrival`): one, however many samples come in it."""
        assert self.last is not None
        since, self.silent_at = self.silent_at, arrival
        if since is not None and self.last.arrival - since < SILENCE_ENDS_NS:
            return []
        return [MediaGap(self.last.arrival, 0, self.track, "silence", "no packet is missing: the camera sends none in silence")]

    # --- received, not recorded ---------------------------------------------------------------------------------------

    def note_packet(self, arrival: int, now: int) -> None:
        """Take note of the first packet since the last sample that was kept; many that waited elsewhere may come at once."""
        self.unkept_since, self._noted_at = arrival, now
        if self.began is None:
            self.began = arrival

    def unrecorded(self, now: int, drops: RelayDrops, overflow: TapOverflow) -> list[MediaGap]:
        """Return the gaps that must be given out now because packets come and nothing of them is kept."""
        since = self.unkept_since
        if since is None:
            return []
        length = self.came_at - since
        if self.is_unrecorded and now - self.came_at > PAUSE_NS:
            return self._end_unrecorded(drops, overflow)
        arriving = self.assembler.is_arriving and length < ARRIVING_NS
        waits = now - self._noted_at < UNRECORDED_NS or arriving
        if length < self._tell_at or (waits and not self.is_unrecorded):
            return []
        self._tell_at = length + min(length, TELL_NS)
        return self.give_up(drops, overflow)

    def is_without(self) -> bool:
        """Return whether packets came for long enough and nothing of them was kept; ask once nothing of them waits."""
        return self.unkept_since is not None and self.came_at - self.unkept_since >= UNRECORDED_NS

    def give_up(self, drops: RelayDrops, overflow: TapOverflow) -> list[MediaGap]:
        """Return the gap of what came since the last sample that was kept, and what was missing before it for another cause."""
        since, gaps = self.unkept_since, list[MediaGap]()
        if since is None:
            return gaps
        if not self.is_unrecorded:
            gaps += self._before(since, drops, overflow)
        self.is_unrecorded = True
        gap = self.open_gap
        assert gap is not None
        if self.came_at > gap.start:
            gaps.append(MediaGap(gap.start, self.came_at - gap.start, self.track, gap.cause, gap.detail))
        gap.start = gap.until = max(gap.start, self.came_at)
        self.reported_ns += sum(each.length for each in gaps)
        self.tie = self.silent_at = None
        return gaps

    def _before(self, since: int, drops: RelayDrops, overflow: TapOverflow) -> list[MediaGap]:
        """Begin the gap of a track that is received, not recorded; return the gap of another cause before its first packet."""
        gap = self.open_gap
        if gap is None:
            start = self.last.arrival if self.last is not None else since
            gap = OpenGap(start, since, "paused", "the camera sent nothing")
        start, gaps = gap.start, list[MediaGap]()
        cause, detail = drops.explain(start, self.came_at, "radio", "")
        if cause == "radio":
            detail = TAP_OVERFLOW if overflow.explains(self.came_at) else self._why(gap)
        if since - start > PAUSE_NS:
            before = drops.explain(start, since, gap.cause, gap.detail)
            gaps.append(MediaGap(start, since - start, self.track, *before))
            start = since
        self.open_gap = OpenGap(start, self.came_at, "not_recorded", detail)
        return gaps

    def _end_unrecorded(self, drops: RelayDrops, overflow: TapOverflow) -> list[MediaGap]:
        """The packets of which nothing was kept have ended: what follows is a pause."""
        gaps = self.give_up(drops, overflow)
        self.open_gap = OpenGap(self.came_at, self.came_at, "paused", "the camera sent nothing")
        self._rest()
        return gaps

    def _rest(self) -> None:
        self.unkept_since, self.is_unrecorded, self._tell_at = None, False, UNRECORDED_NS

    def _why(self, gap: OpenGap) -> str:
        """Return why nothing of a track is recorded; `gap` is the one that is open in it."""
        lost, broken = self.assembler.missing
        if lost > broken:
            return f"{lost - broken} packets did not come, and what came is not whole"
        if broken:
            return f"{broken} packets that break the rules of their codec"
        unused = self.dropped - self.dropped_before
        if unused:
            return f"{unused} packets that came late, twice or malformed"
        if gap.cause != "paused" and gap.detail:
            return gap.detail
        return "nothing in the packets is a picture" if self.track == VIDEO else "nothing in the packets is sound"
