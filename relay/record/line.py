"""One recording's line from packets to fragments: two tracks, one timeline, one cutter.

What this file owns: how the parts of `record` work together.  What it must never know: sockets, MP4, keys, files, wall time
except as the number it is given.  Everything comes in with `now` (monotonic nanoseconds) and leaves as `Fragment`, `Missing` or
`Ask`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from relay.base.serials import unwrap
from relay.record.assemble import Event, H264Track, Hole, OpusTrack, Sample
from relay.record.cut import Cutter, Fragment, Layout, Placed
from relay.record.timeline import Fix, Timeline

SECOND = 1_000_000_000
VIDEO, AUDIO = 1, 2
"""Track ids, in the MP4 and in the chain."""
CLOCKS = {VIDEO: 90_000, AUDIO: 48_000}
PAUSE_NS = {VIDEO: SECOND, AUDIO: SECOND}
"""A silence of the sender longer than this is told as a gap, so that no hole in time stays unexplained."""

MissingCause: TypeAlias = Literal["radio", "reconnect", "tap_overflow", "clock", "paused"]

__all__ = ["AUDIO", "CLOCKS", "VIDEO", "Ask", "Fragment", "Layout", "Line", "LineSettings", "Missing", "Output", "Stream"]


class Stream(NamedTuple):
    """One RTP stream of the source."""

    ssrc: int
    track: int


class Missing(NamedTuple):
    """Something was not recorded; times in monotonic nanoseconds."""

    start: int
    length: int
    track: int | None
    cause: MissingCause
    detail: str


class Ask(NamedTuple):
    """An IDR is needed now."""

    cause: Literal["segment", "loss"]


Output: TypeAlias = Fragment | Missing | Ask


@dataclass(frozen=True)
class LineSettings:
    """All in nanoseconds."""

    reorder: int = 400_000_000
    fragment: int = 400_000_000
    segment: int = 60 * SECOND


class _Source:
    """One track of the camera as it is connected now."""

    def __init__(self, track: int, assembler: H264Track | OpusTrack, timeline: Timeline) -> None:
        self.track = track
        self.assembler = assembler
        self.timeline = timeline
        self.last: tuple[Sample, int] | None = None
        """Last sample and its decode time."""
        self.last_timestamp = 0


class Line:
    """Makes fragments of one recording's packets.  Nothing a camera sends can stop it for good."""

    def __init__(self, settings: LineSettings, origin: int) -> None:
        """`origin`: the instant that is 0 on the recording's timeline."""
        self._settings = settings
        self._origin = origin
        self._sources: dict[int, _Source] = {}
        self._cutter: Cutter | None = None
        self._floors = {VIDEO: 0, AUDIO: 0}
        self._overflow = 0
        self._undecodable: tuple[int, int] | None = None
        self._silent_since: int | None = None
        self._next_timer = 0
        self.unknown_packets = 0

    def open(self, streams: Sequence[Stream], now: int) -> list[Output]:
        """The camera is connected (again) with these streams."""
        out = self._settle() if self._sources else []
        self._sources = {stream.ssrc: self._source(stream.track) for stream in streams}
        tracks = {stream.track for stream in streams}
        if self._cutter is None:
            self._cutter = Cutter(
                self._settings.fragment, self._settings.segment, has_video=VIDEO in tracks, has_audio=AUDIO in tracks
            )
        else:
            since = self._silent_since if self._silent_since is not None else now
            out.append(Missing(since, max(now - since, 0), None, "reconnect", "the camera reconnected"))
            self._cutter.restart(has_video=VIDEO in tracks, has_audio=AUDIO in tracks)
        self._silent_since = None
        return out + self._asks(now)

    def close(self, now: int) -> list[Output]:
        """The camera is gone (for now): give out everything that waits."""
        out = self._settle()
        self._sources = {}
        if self._silent_since is None:
            self._silent_since = now
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
        if source is not None and source.last is not None:
            source.timeline.report(unwrap(rtp, source.last[0].timestamp, 32), camera_ns, arrival_utc_ns, rtt_ns)

    def overflow(self, packets: int) -> None:
        """The tap dropped packets: the holes that follow are its fault, not the radio's."""
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
        return out + self._asks(now)

    def fixes(self, now: int, utc_minus_mono: int) -> list[tuple[int, Fix]]:
        """Return what the next link should say of the tracks' clocks: (track, fix)."""
        found = ((source.track, source.timeline.take_fix(now, utc_minus_mono)) for source in self._sources.values())
        return [(track, fix) for track, fix in found if fix is not None]

    def _source(self, track: int) -> _Source:
        window = self._settings.reorder
        assembler = H264Track(window) if track == VIDEO else OpusTrack(window)
        return _Source(track, assembler, Timeline(CLOCKS[track], self._origin, self._floors[track]))

    def _settle(self) -> list[Output]:
        out: list[Output] = []
        for source in self._sources.values():
            now = source.last[0].arrival if source.last is not None else self._origin
            self._events(source, source.assembler.flush(), now, out)
            self._floors[source.track] = max(source.timeline.end, self._floors[source.track])
            if source.last is not None:
                self._silent_since = max(self._silent_since or 0, source.last[0].arrival)
        if self._undecodable is not None:
            out.append(self._undecoded(self._undecodable[1]))
        if self._cutter is not None:
            out += self._cutter.flush()
        return out

    def _asks(self, now: int) -> list[Output]:
        if self._cutter is None or not self._sources or not self._cutter.wants_keyframe(now):
            return []
        return [Ask("segment")]

    def _events(self, source: _Source, events: list[Event], now: int, out: list[Output]) -> None:
        for event in events:
            if isinstance(event, Hole):
                out.append(self._missing(source, event))
                if source.track == VIDEO and not event.after.keyframe:
                    out.append(Ask("loss"))
            else:
                self._sample(source, event, now, out)

    def _sample(self, source: _Source, sample: Sample, now: int, out: list[Output]) -> None:
        assert self._cutter is not None
        time, jump = source.timeline.place(sample.timestamp, sample.arrival)
        if jump:
            out.append(Missing(sample.arrival, 0, source.track, "clock", "the camera's RTP clock jumped"))
        self._notice_pause(source, sample, time, out)
        source.last = (sample, time)
        placed = Placed(time, sample.data, sample.keyframe, sample.duration, sample.arrival)
        if source.track == AUDIO:
            out += self._cutter.audio(placed, now)
            return
        kept, fragments = self._cutter.video(placed, sample.sps, sample.pps, now)
        if not kept:
            since = self._undecodable[0] if self._undecodable else sample.arrival
            self._undecodable = (since, sample.arrival)
        elif self._undecodable is not None:
            out.append(self._undecoded(sample.arrival))
        out += fragments

    def _undecoded(self, until: int) -> Missing:
        assert self._undecodable is not None
        since, self._undecodable = self._undecodable[0], None
        return Missing(since, max(until - since, 0), VIDEO, "reconnect", "pictures before the first keyframe")

    def _notice_pause(self, source: _Source, sample: Sample, time: int, out: list[Output]) -> None:
        if source.last is None:
            return
        before, before_time = source.last
        elapsed = (time - before_time) * SECOND // CLOCKS[source.track]
        if elapsed > PAUSE_NS[source.track]:
            out.append(Missing(before.arrival, elapsed, source.track, "paused", "the camera sent nothing"))

    def _missing(self, source: _Source, hole: Hole) -> Missing:
        cause: MissingCause = "radio"
        if self._overflow:
            cause, self._overflow = "tap_overflow", 0
        start = hole.before.arrival if hole.before is not None else hole.after.arrival
        return Missing(start, max(hole.after.arrival - start, 0), source.track, cause, f"{hole.packets} packets")
