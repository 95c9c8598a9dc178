"""From packets to fragments for one recording: two tracks, one timeline, one cutter.

Owns: how the parts of `record` work together, and every gap's cause and extent (I2).
Must never know: sockets, MP4, keys, files, wall time except as the number it is given.  Every call takes `now` (monotonic
nanoseconds) and returns `Fragment`, `MediaGap` and `KeyframeRequest` values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from relay.base.serials import unwrap
from relay.record.assemble import Event, H264Track, OpusTrack, Sample, TrackGap
from relay.record.cut import Cutter, Fragment, InitParameters, Placed
from relay.record.timeline import Fix, Timeline

SECOND = 1_000_000_000
VIDEO, AUDIO = 1, 2
"""Track ids, in the MP4 and in the chain."""
CLOCKS = {VIDEO: 90_000, AUDIO: 48_000}
PAUSE_NS = SECOND * 9 // 10
"""A longer pause of the sender is a gap.  The verifier wants a gap for every jump in time of more than 1 s (FORMAT.md §7.4)."""
MIN_TRACK_GAP_NS = SECOND // 10
"""After a pause in all tracks, each track resumes at its own time.  A rest shorter than this is no gap of its own."""

GapCause: TypeAlias = Literal["radio", "reconnect", "tap_overflow", "clock", "paused"]

__all__ = [
    "AUDIO",
    "CLOCKS",
    "VIDEO",
    "KeyframeRequest",
    "Fragment",
    "InitParameters",
    "Line",
    "LineSettings",
    "MediaGap",
    "Output",
    "TappedStream",
]


class TappedStream(NamedTuple):
    """One RTP stream of the source."""

    ssrc: int
    track: int


class MediaGap(NamedTuple):
    """Something was not recorded; times in monotonic nanoseconds.  `track` is None for all tracks."""

    start: int
    length: int
    track: int | None
    cause: GapCause
    detail: str


class KeyframeRequest(NamedTuple):
    """An IDR is needed now: a segment should end, or a loss needs repair."""

    cause: Literal["segment", "loss"]


Output: TypeAlias = Fragment | MediaGap | KeyframeRequest


@dataclass(frozen=True)
class LineSettings:
    """How long packets wait for missing ones, and how long fragments and segments become."""

    reorder_ns: int = 400_000_000
    fragment_ns: int = 400_000_000
    segment_ns: int = 60 * SECOND


@dataclass(slots=True)
class _OpenGap:
    """A gap in one track that the next sample to be kept will close."""

    start: int
    until: int
    cause: GapCause
    detail: str


class _Source:
    """One track of the camera as it is connected now."""

    def __init__(self, track: int, assembler: H264Track | OpusTrack, timeline: Timeline) -> None:
        self.track = track
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
        self.open_gap: _OpenGap | None = None

    def note_gap(self, start: int, until: int, cause: GapCause, detail: str) -> None:
        """Begin a gap, or extend the one that is open."""
        if self.open_gap is None:
            self.open_gap = _OpenGap(start, until, cause, detail)
        else:
            self.open_gap.until = max(self.open_gap.until, until)


class Line:
    """Makes fragments of one recording's packets.  No input of a camera can stop it for good."""

    def __init__(self, settings: LineSettings, origin: int) -> None:
        """`origin`: the instant that is 0 on the recording's timeline."""
        self._settings = settings
        self._origin = origin
        self._sources: dict[int, _Source] = {}
        self._cutter: Cutter | None = None
        self._floors = {VIDEO: 0, AUDIO: 0}
        self._overflow = 0
        self._kept: dict[int, int] = {}
        """Arrival of the last sample that was kept, per track."""
        self._reached: dict[int, int] = {}
        """Its time on the track, in ticks."""
        self._common_pause: tuple[int, int] | None = None
        """Begin and end (monotonic ns) of the last pause in all tracks, which was given out as one gap of all tracks."""
        self._next_timer = 0
        self.unknown_packets = 0
        self._late = 0
        self._malformed = 0

    def open(self, streams: Sequence[TappedStream], now: int) -> list[Output]:
        """The camera connected, or connected again, with these streams."""
        out = self.close()
        self._sources = {stream.ssrc: self._source(stream.track) for stream in streams}
        tracks = {stream.track for stream in streams}
        has_video, has_audio = VIDEO in tracks, AUDIO in tracks
        if self._cutter is None:
            self._cutter = Cutter(
                self._settings.fragment_ns, self._settings.segment_ns, has_video=has_video, has_audio=has_audio
            )
        else:
            self._cutter.restart(has_video=has_video, has_audio=has_audio)
        for source in self._sources.values():
            if source.track in self._kept:
                source.reached = self._reached[source.track]
                since = self._kept[source.track]
                source.note_gap(since, since, "reconnect", "the camera reconnected")
        return out + self._keyframe_requests(now)

    def close(self) -> list[Output]:
        """The camera is gone, perhaps for now only: return everything that waits."""
        out = self._drain()
        self._late, self._malformed = self.late, self.malformed
        self._sources = {}
        return out

    def finish(self, now: int) -> list[Output]:
        """The recording ends: return everything that waits, and the pauses at its end, of all tracks and of each."""
        connected = bool(self._sources)
        out = self.close()
        if not self._kept:
            return out
        cause: GapCause = "paused" if connected else "radio"
        last = max(self._kept.values())
        if now - last > PAUSE_NS:
            out.append(MediaGap(last, now - last, None, cause, "nothing came until the end"))
        for track, since in self._kept.items():
            if last - since > PAUSE_NS:
                out.append(MediaGap(since, last - since, track, "paused", "nothing of this track came until the end"))
        return out

    def packets(self, packets: Sequence[tuple[int, bytes]], now: int) -> list[Output]:
        """Take (arrival, packet) pairs in order of arrival."""
        out: list[Output] = []
        sources = self._sources
        for arrival, packet in packets:
            source = sources.get(int.from_bytes(packet[8:12], "big"))
            if source is None:
                self.unknown_packets += 1
                continue
            events = source.assembler.push(packet, arrival, now)
            if events:
                self._events(source, events, now, out)
        return out + self.advance(now)

    def sender(self, ssrc: int, camera_ns: int, rtp: int, arrival_utc_ns: int, rtt_ns: int | None) -> None:
        """Take a sender report of one stream (RFC 3550 §6.4.1)."""
        source = self._sources.get(ssrc)
        if source is not None and source.seen is not None:
            source.timeline.report(unwrap(rtp, source.seen.timestamp, 32), camera_ns, arrival_utc_ns, rtt_ns)

    def overflow(self, packets: int) -> None:
        """The tap dropped packets: the next gap has the cause `tap_overflow`, not `radio`."""
        self._overflow += packets

    def advance(self, now: int) -> list[Output]:
        """Let time pass."""
        if now < self._next_timer:
            return []
        self._next_timer = now + 20_000_000
        out: list[Output] = []
        for source in self._sources.values():
            deadline = source.assembler.deadline()
            if deadline is not None and deadline <= now:
                self._events(source, source.assembler.advance(now), now, out)
        if self._cutter is not None:
            out += self._cutter.advance(now)
        return out + self._keyframe_requests(now)

    @property
    def late(self) -> int:
        """Packets that came after they were given up as lost, or twice."""
        return self._late + sum(source.assembler.late for source in self._sources.values())

    @property
    def malformed(self) -> int:
        """Packets that broke the rules of RTP, H.264 or Opus."""
        return self._malformed + sum(source.assembler.malformed for source in self._sources.values())

    def fixes(self, now: int, utc_minus_mono: int) -> list[tuple[int, Fix]]:
        """Return (track, fix) for each track whose clock the next link should describe."""
        found = ((source.track, source.timeline.take_fix(now, utc_minus_mono)) for source in self._sources.values())
        return [(track, fix) for track, fix in found if fix is not None]

    def _source(self, track: int) -> _Source:
        window = self._settings.reorder_ns
        assembler = H264Track(window) if track == VIDEO else OpusTrack(window)
        return _Source(track, assembler, Timeline(CLOCKS[track], self._origin, self._floors[track]))

    def _drain(self) -> list[Output]:
        out: list[Output] = []
        for source in self._sources.values():
            now = source.seen.arrival if source.seen is not None else self._origin
            self._events(source, source.assembler.flush(), now, out)
            self._floors[source.track] = max(source.timeline.end, self._floors[source.track])
        if self._cutter is not None:
            out += self._cutter.flush()
        for source in self._sources.values():
            if source.open_gap is not None and source.open_gap.until > source.open_gap.start:
                self._close_gap(source, source.open_gap, source.open_gap.until, out)
        return out

    def _keyframe_requests(self, now: int) -> list[Output]:
        if self._cutter is None or not self._sources or not self._cutter.keyframe_due(now):
            return []
        return [KeyframeRequest("segment")]

    def _events(self, source: _Source, events: list[Event], now: int, out: list[Output]) -> None:
        for event in events:
            if isinstance(event, TrackGap):
                self._track_gap(source, event)
                if source.track == VIDEO and not event.after.keyframe:
                    out.append(KeyframeRequest("loss"))
            else:
                self._sample(source, event, now, out)

    def _track_gap(self, source: _Source, gap: TrackGap) -> None:
        cause: GapCause = "radio"
        if self._overflow:
            cause, self._overflow = "tap_overflow", 0
        until = gap.after.arrival
        source.note_gap(source.last.arrival if source.last is not None else until, until, cause, f"{gap.packets} packets")

    def _sample(self, source: _Source, sample: Sample, now: int, out: list[Output]) -> None:
        assert self._cutter is not None
        time, jump = source.timeline.place(sample.timestamp, sample.arrival)
        source.seen = sample
        if jump:
            out.append(MediaGap(sample.arrival, 0, source.track, "clock", "the camera's RTP clock jumped"))
        placed = Placed(time, sample.data, sample.keyframe, sample.duration, sample.arrival)
        if not self._keeps(source.track, sample):
            source.note_gap(sample.arrival, sample.arrival, "reconnect", "before a keyframe")
            return
        since = len(out)
        self._gaps_before(source, sample, out)
        self._skipped_time(source, placed, out, since)
        if source.track == VIDEO:
            out += self._cutter.video(placed, sample.sps, sample.pps, now)
        else:
            out += self._cutter.audio(placed, now)
        source.last, source.reached = sample, time
        self._kept[source.track], self._reached[source.track] = sample.arrival, time

    def _keeps(self, track: int, sample: Sample) -> bool:
        assert self._cutter is not None
        if track == VIDEO:
            return self._cutter.keeps(sample.keyframe, sample.sps, sample.pps)
        return self._cutter.keeps_sound()

    def _gaps_before(self, source: _Source, sample: Sample, out: list[Output]) -> None:
        """Give out the gaps before a sample that is kept: of all tracks, then of its own."""
        arrival, open_gap = sample.arrival, source.open_gap
        before = source.last
        if open_gap is None and before is not None:
            if arrival - before.arrival <= PAUSE_NS:
                return  # then the pause in all tracks together was as short
            open_gap = _OpenGap(before.arrival, arrival, "paused", "the camera sent nothing")
        assert self._cutter is not None
        last = max(self._kept.values(), default=arrival)
        if arrival - last > PAUSE_NS:
            cause: GapCause = open_gap.cause if open_gap is not None else "paused"
            out += self._cutter.flush()
            out.append(MediaGap(last, arrival - last, None, cause, open_gap.detail if open_gap is not None else "nothing came"))
            self._common_pause = (last, arrival)
        if open_gap is not None:
            self._close_gap(source, open_gap, arrival, out)

    def _skipped_time(self, source: _Source, placed: Placed, out: list[Output], since: int) -> None:
        """Give out the time that a track skips beyond the gaps found by arrival: delays before a pause make it look shorter."""
        for item in out[since:]:
            if isinstance(item, MediaGap):
                for each in self._sources.values():
                    each.reported_ns += item.length if item.track in (None, each.track) else 0
        rest = (placed.time - source.reached) * SECOND // CLOCKS[source.track] - source.reported_ns
        if source.track in self._kept and rest > PAUSE_NS:
            assert self._cutter is not None
            out += self._cutter.flush()
            detail = "the camera's timestamps go on after a pause that delays made shorter"
            out.append(MediaGap(placed.arrival - rest, rest, source.track, "paused", detail))
        source.reported_ns = 0

    def _close_gap(self, source: _Source, open_gap: _OpenGap, until: int, out: list[Output]) -> None:
        """Give out the open gap of one track, without the part that is already a gap of all tracks."""
        source.open_gap = None
        start = open_gap.start
        if source.track not in self._kept and until - start < MIN_TRACK_GAP_NS:
            return  # a track begins with its first whole sample: a packet or two before it is no gap
        if self._common_pause is not None and self._common_pause[0] - PAUSE_NS <= start < self._common_pause[1]:
            start = self._common_pause[1]
            if until - start < MIN_TRACK_GAP_NS:
                return
        out.append(MediaGap(start, max(until - start, 0), source.track, open_gap.cause, open_gap.detail))
