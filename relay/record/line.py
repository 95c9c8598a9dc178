"""From packets to fragments for one recording: two tracks, one timeline, one cutter.

Owns: how the parts of `record` work together, and every gap's cause and extent (I2).
Must never know: sockets, MP4, keys, files, wall time except as the number it is given.  Every call takes `now` (monotonic
nanoseconds) and returns `Fragment`, `MediaGap` and `KeyframeRequest` values.

What one camera can make the disk do in a second is bounded here.  A segment that it forces, and a jump of its clocks, need an
allowance.  Where none is left, the sample is not kept, and the open gap of its track grows.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal, NamedTuple, TypeAlias

from relay.base.allowance import Allowance
from relay.base.serials import unwrap
from relay.record.access_units import H264Track
from relay.record.assemble import Event, Oddities, OpusTrack, Rest, Sample, TrackGap
from relay.record.beginnings import Beginnings, Start
from relay.record.connected_track import AUDIO, CLOCKS, PAUSE_NS, VIDEO, ConnectedTrack, OpenGap, TappedStream
from relay.record.cut import Cutter, Fragment, InitParameters, Placed
from relay.record.drift import Drifts
from relay.record.gaps import GapCause, GapSums, MediaGap, RelayDrops, TapOverflow
from relay.record.timeline import Fix, Timeline
from relay.rtp.header import FIXED
from relay.rtp.parameter_sets import ParameterSets

SECOND = 1_000_000_000
MIN_TRACK_GAP_NS = SECOND // 10
"""After a pause in all tracks, each track resumes at its own time.  A rest shorter than this is no gap of its own."""
JUMP_RATE, JUMP_BURST = 1.0, 10
"""Jumps of a camera's clocks a second that are followed, and how many at once."""
DROPPED_NS = SECOND // 10
"""Where a packet that was not used came at least so often, the camera was not silent."""

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


class Line:
    """Makes fragments of one recording's packets.  No input of a camera can stop it for good."""

    def __init__(self, settings: LineSettings, origin: int) -> None:
        """`origin`: the instant that is 0 on the recording's timeline."""
        self._settings = settings
        self._origin = origin
        self._sources: dict[int, ConnectedTrack] = {}
        """By SSRC: the tracks of which a packet has come on this connection."""
        self._connected = False
        self._sets = ParameterSets()
        """H.264 parameter sets in force; a camera that comes back need not send them again."""
        self._beginnings = Beginnings()
        self._announced: set[int] = set()
        """Every track that the camera ever announced."""
        self.begun: set[int] = set()
        """Every track of which a packet ever came."""
        self._cutter = Cutter(settings.fragment_ns, settings.segment_ns, has_video=False, has_audio=False)
        self._floors = {VIDEO: 0, AUDIO: 0}
        self._kept: dict[int, int] = {}
        """Arrival of the last sample that was kept, per track."""
        self._reached: dict[int, int] = {}
        """Its time on the track, in ticks."""
        self._settled: dict[int, int] = {}
        """Per track: arrival up to which everything is kept or in a gap that was given out."""
        self._common_pause: tuple[int, int] | None = None
        """Begin and end (monotonic ns) of the last pause in all tracks, which was given out as one gap of all tracks."""
        self._next_timer = 0
        self._gaps = GapSums()
        self.relay_drops = RelayDrops()
        """What the relay dropped before its tap; tell it."""
        self.drifts = Drifts(origin)
        """By how much the tracks are to be moved where they are played; ask it with each fragment and at the end."""
        self.tap_overflow = TapOverflow()
        """What the tap dropped: the recorder was too slow; tell it."""
        self._jumps = Allowance(JUMP_RATE, JUMP_BURST)
        self.refused = 0
        """Samples that were not kept because the camera's clocks jumped, or its picture format changed, too often."""
        self.unknown_packets = 0
        self._oddities = Oddities()
        """Of tracks that are gone."""

    def open(self, streams: Sequence[TappedStream], now: int) -> list[Output]:
        """The camera connected with these tracks; or, while it is connected, one of them began or has another RTP stream.

        A track whose stream stays the same goes on undisturbed.
        """
        out: list[Output] = []
        reconnected, self._connected = not self._connected, True
        wanted = {stream.track: stream.ssrc for stream in streams}
        gone = [source for source in self._sources.values() if wanted.get(source.track) != source.ssrc]
        out += self._leave(gone)
        known = {source.track for source in self._sources.values()}
        for stream in streams:
            if stream.ssrc is not None and stream.track not in known:
                self._sources[stream.ssrc] = self._join(stream.ssrc, stream, now, reconnected=reconnected)
        self._announced |= wanted.keys()
        self._announce(wanted, begins_again=reconnected or any(source.track == VIDEO for source in gone))
        return self._summed(out) + _keyframe_requests(self._cutter, now)

    def _announce(self, tracks: Container[int], *, begins_again: bool) -> None:
        """Tell the cutter which tracks there are; `begins_again`: the picture is of another RTP stream than before."""
        has_video, has_audio = VIDEO in tracks, AUDIO in tracks
        if begins_again or (has_video and not self._cutter.has_video):
            self._cutter.restart(has_video=has_video, has_audio=has_audio)
        elif has_audio:
            self._cutter.expect_sound()

    def _join(self, ssrc: int, stream: TappedStream, now: int, *, reconnected: bool) -> ConnectedTrack:
        """Return a track whose RTP stream has just become known."""
        window, track = self._settings.reorder_ns, stream.track
        if stream.sets:
            self._sets = ParameterSets(stream.sets)
        assembler = H264Track(window, self._sets) if track == VIDEO else OpusTrack(window)
        timeline = Timeline(CLOCKS[track], self._origin, self._floors[track])
        source = ConnectedTrack(ssrc, track, assembler, timeline, now)
        self.drifts.anchor(track, CLOCKS[track])
        self.begun.add(track)
        if track in self._kept:
            source.reached = self._reached[track]
            since = self._settled[track]
            detail = "the camera reconnected" if reconnected else "the camera sends this track in another RTP stream"
            source.note_gap(since, since, "reconnect", detail)
        return source

    def close(self) -> list[Output]:
        """The camera is gone, perhaps for now only: return everything that waits."""
        self._connected = False
        out = self._leave(list(self._sources.values()))
        return [*self._summed([*out, *self._cutter.flush()]), *self._gaps.take()]

    def _leave(self, gone: Sequence[ConnectedTrack]) -> list[Output]:
        """Let go of tracks; return what waited of them."""
        out: list[Output] = []
        for source in gone:
            now = source.seen.arrival if source.seen is not None else self._origin
            self._events(source, source.assembler.flush(), now, out)
            if source.is_unrecorded or source.is_without() or source.track not in self._kept:
                self._give_up(source, source.give_up(self.relay_drops, self.tap_overflow), out)
            self._floors[source.track] = max(source.timeline.end, self._floors[source.track])
            self._oddities = self._oddities.plus(source.assembler.oddities)
        for source in gone:
            if source.open_gap is not None and source.open_gap.until > source.open_gap.start:
                out += self._cutter.flush()
                self._close_gap(source, source.open_gap, source.open_gap.until, out)
            del self._sources[source.ssrc]
        return out

    def _give_up(self, source: ConnectedTrack, gaps: list[MediaGap], out: list[Output]) -> None:
        """Give out the gaps of a track that is received, not recorded."""
        if gaps:
            out += [*_late(source, self._settled, self._origin, self.unknown_packets), *gaps]
            self._settled[source.track] = gaps[-1].start + gaps[-1].length

    def finish(self, now: int) -> list[Output]:
        """The recording ends: return everything that waits, and the pauses at its end, of all tracks and of each."""
        connected, dropped = self._connected, {each.track: _came(each) for each in self._sources.values()}
        came = any(each.dropped for each in self._sources.values()) or self.unknown_packets
        out = self.close()
        if not self._settled:
            if came and not any(isinstance(item, MediaGap) for item in out):
                detail = "nothing of what came could be kept"
                out.append(MediaGap(self._origin, now - self._origin, None, "not_recorded", detail))
            return out
        last = max(self._settled.values())
        if now - last > PAUSE_NS:
            usual: GapCause = "paused" if connected else "radio"
            cause, detail = _silence(sum(dropped.values()), now - last, "nothing came until the end", usual)
            cause, detail = self.relay_drops.explain(last, now, cause, detail, silence=True)
            out.append(MediaGap(last, now - last, None, cause, detail))
        for track, since in self._settled.items():
            if last - since > PAUSE_NS:
                cause, detail = _silence(
                    dropped.get(track, 0), last - since, "nothing of this track came until the end", "paused"
                )
                cause, detail = self.relay_drops.explain(since, last, cause, detail)
                out.append(MediaGap(since, last - since, track, cause, detail))
        if last - self._origin > PAUSE_NS:
            for track in self._announced - self._settled.keys():
                out.append(
                    MediaGap(self._origin, last - self._origin, track, "late_track", "announced, and nothing of it came")
                )
        return out

    def packets(self, packets: Sequence[tuple[int, bytes]], now: int) -> list[Output]:
        """Take (arrival, packet) pairs in order of arrival."""
        out: list[Output] = []
        sources = self._sources
        if packets:
            self.tap_overflow.go_on(packets[0][0])
        for arrival, packet in packets:
            source = sources.get(int.from_bytes(packet[8:12], "big"))
            if source is None:
                self.unknown_packets += 1
                continue
            if len(packet) > FIXED:  # a probe is no media
                source.came_at = arrival
                if source.unkept_since is None:
                    source.note_packet(arrival, now)
            events = source.assembler.push(packet, arrival, now)
            if events:
                self._events(source, events, now, out)
        return self._summed(out) + self.advance(now)

    def sender(self, ssrc: int, camera_ns: int, rtp: int, arrival_utc_ns: int, rtt_ns: int | None) -> None:
        """Take a sender report of one stream (RFC 3550 §6.4.1)."""
        source = self._sources.get(ssrc)
        if source is not None and source.seen is not None:
            fix = source.timeline.report(unwrap(rtp, source.seen.timestamp, 32), camera_ns, arrival_utc_ns, rtt_ns)
            if fix is not None:
                self.drifts.report(source.track, fix)

    def advance(self, now: int) -> list[Output]:
        """Let time pass."""
        if now < self._next_timer:
            return []
        self._next_timer = now + 20_000_000
        out: list[Output] = []
        unrecorded: list[Output] = []
        for source in self._sources.values():
            deadline = source.assembler.deadline()
            if deadline is not None and deadline <= now:
                self._events(source, source.assembler.advance(now), now, out)
            self._give_up(source, source.unrecorded(now, self.relay_drops, self.tap_overflow), unrecorded)
        out += self._cutter.advance(now)
        return self._summed(out) + unrecorded + _keyframe_requests(self._cutter, now)

    @property
    def unrecorded(self) -> frozenset[int]:
        """The tracks of which packets come, and nothing is kept."""
        return frozenset(source.track for source in self._sources.values() if source.is_unrecorded)

    def _summed(self, out: list[Output]) -> list[Output]:
        """Hold the gaps back until the next fragment: before it they are few."""
        found: list[Output] = []
        for item in out:
            if isinstance(item, MediaGap):
                self._gaps.add(item)
                continue
            if isinstance(item, Fragment):
                found += self._gaps.take()
            found.append(item)
        return found

    @property
    def oddities(self) -> Oddities:
        """What was odd about the packets of all tracks so far."""
        return reduce(Oddities.plus, (source.assembler.oddities for source in self._sources.values()), self._oddities)

    def fixes(self, now: int, utc_minus_mono: int) -> list[tuple[int, Fix]]:
        """Return (track, fix) for each track whose clock the next link should describe."""
        found = ((source.track, source.timeline.take_fix(now, utc_minus_mono)) for source in self._sources.values())
        return [(track, fix) for track, fix in found if fix is not None]

    def _events(self, source: ConnectedTrack, events: list[Event], now: int, out: list[Output]) -> None:
        for event in events:
            if isinstance(event, TrackGap):
                self._track_gap(source, event)
                if source.track == VIDEO and not event.after.keyframe:
                    out.append(KeyframeRequest("loss"))
            elif isinstance(event, Rest):
                _complete_picture(self._cutter, source, event, out)
            else:
                self._sample(source, event, now, out)

    def _track_gap(self, source: ConnectedTrack, gap: TrackGap) -> None:
        cause: GapCause = "radio"
        detail = f"{gap.packets} packets"
        if self.tap_overflow.explains(gap.after.arrival):
            cause = "tap_overflow"
        elif gap.broken >= gap.packets:
            cause, detail = "recorder", f"{gap.packets} packets that break the rules of their codec"
        since = until = gap.after.arrival
        if source.last is not None:
            since = source.last.arrival
        elif gap.broken or until - source.opened > PAUSE_NS:
            since = min(source.opened, until)
        source.note_gap(since, until, cause, detail)

    def _sample(self, source: ConnectedTrack, sample: Sample, now: int, out: list[Output]) -> None:
        source.seen = sample
        place = source.timeline.foresee(sample.timestamp, sample.arrival, sample.lead or 0)
        drifted = source.drifted(place.time, sample.arrival)
        if (drifted or source.leaps(place, sample)) and not self._jumps.take(now / SECOND):
            self._refuse(source, sample, "clock", "the camera's clock jumps again and again")
            return
        time, jump = source.timeline.place(sample.timestamp, sample.arrival, sample.lead or 0)
        if jump:
            self.drifts.anchor(source.track, CLOCKS[source.track])
        start: Start | None = Start(None)
        if source.track == VIDEO:
            wanted, kept_anyway = self._cutter.wants_beginning(now), not self._cutter.needs_keyframe
            start = self._beginnings.of(sample, self._sets, wanted=wanted, kept_anyway=kept_anyway, now=now)
        if not self._keeps(source, sample, start, now):
            return
        gaps: list[Output] = []
        if jump or drifted:
            detail = "the camera's RTP clock jumped" if jump else "the camera's RTP clock and the relay's clock have parted"
            gaps += self._cutter.flush() if drifted else []
            gaps.append(MediaGap(sample.arrival, 0, source.track, "clock", detail))
        shift = (source.timeline.time_of(sample.timestamp) or 0) - time if sample.lead is not None else 0
        placed = Placed(time, sample.data, start is not None, sample.duration, sample.arrival, shift)
        gaps += _late(source, self._settled, self._origin, self.unknown_packets)
        if not jump and source.is_silent(time):
            gaps += _behind(self._cutter, source.silence(sample.arrival))
        else:
            self._gaps_before(source, sample, gaps)
            self._skipped_time(source, placed, gaps)
        out += gaps
        if source.track == VIDEO:
            needed = self._cutter.needs_keyframe
            out += self._cutter.video(placed, None if start is None else start.sets, now)
            if start is not None and not start.is_key:
                length = source.ns(start.incomplete) if needed else 0
                out.append(MediaGap(sample.arrival, length, VIDEO, "recovery_point", start.detail))
        else:
            out += self._cutter.audio(placed, now)
        source.kept(sample, time)
        if self.drifts.sample(source.track, time, sample.arrival):
            source.timeline.refer(sample.timestamp, sample.arrival)
        self._kept[source.track] = self._settled[source.track] = sample.arrival
        self._reached[source.track] = time

    def _refuse(self, source: ConnectedTrack, sample: Sample, cause: GapCause, detail: str) -> None:
        """Do not keep a sample, nor the pictures that depend on it, because it would cost a record or a file too many."""
        self.refused += 1
        source.note_gap(source.last.arrival if source.last is not None else sample.arrival, sample.arrival, cause, detail)
        if source.track == VIDEO:
            self._cutter.skip()

    def _keeps(self, source: ConnectedTrack, sample: Sample, start: Start | None, now: int) -> bool:
        """Return whether a sample can be kept; where it cannot, its track's gap grows."""
        sets = start is not None, None if start is None else start.sets
        if not (self._cutter.keeps(*sets) if source.track == VIDEO else self._cutter.keeps_sound()):
            source.note_gap(sample.arrival, sample.arrival, "reconnect", "before a keyframe")
            return False
        if source.track == VIDEO and self._cutter.forces_too_much(*sets, now):
            self._refuse(source, sample, "recorder", "the picture's format changed again and again")
            return False
        return True

    def _gaps_before(self, source: ConnectedTrack, sample: Sample, out: list[Output]) -> None:
        """Give out the gaps before a sample that is kept: of all tracks, then of its own."""
        arrival, open_gap = sample.arrival, source.open_gap
        before = source.last
        if open_gap is None and before is not None:
            if arrival - before.arrival <= PAUSE_NS:
                return  # then the pause in all tracks together was as short
            cause, detail = _silence(_came(source), arrival - before.arrival, "the camera sent nothing", "paused")
            open_gap = OpenGap(before.arrival, arrival, cause, detail)
        # The verifier judges a track that it has not seen by the arrival of the others, and by gaps of all tracks.
        settled = self._settled if source.track in self._kept else self._kept
        last = max(settled.values(), default=arrival)
        if arrival - last > PAUSE_NS:
            cause, detail = (open_gap.cause, open_gap.detail) if open_gap is not None else ("paused", "nothing came")
            if last < max(self._settled.values()):
                cause, detail = "not_recorded", "nothing of what came could be kept"
            cause, detail = self.relay_drops.explain(last, arrival, cause, detail, silence=True)
            out += self._cutter.flush()
            out.append(MediaGap(last, arrival - last, None, cause, detail))
            self._common_pause = (last, arrival)
        if open_gap is not None:
            self._close_gap(source, open_gap, arrival, out)

    def _skipped_time(self, source: ConnectedTrack, placed: Placed, out: list[Output]) -> None:
        """Give out the time that a track skips beyond the gaps found by arrival: delays before a pause make it look shorter."""
        for item in out:
            for each in self._sources.values():
                if isinstance(item, MediaGap) and item.track in (None, each.track):
                    each.reported_ns += item.length
                    each.tie = None
                    each.silent_at = None if item.track == each.track else each.silent_at
        rest = source.ns(placed.time - source.reached) - source.reported_ns
        if source.track in self._kept and rest > PAUSE_NS:
            out += self._cutter.flush()
            since, detail = placed.arrival - rest, "the camera's timestamps go on after a pause that delays made shorter"
            cause, detail = self.relay_drops.explain(since, placed.arrival, "paused", detail)
            out.append(MediaGap(since, rest, source.track, cause, detail))
            source.tie = None

    def _close_gap(self, source: ConnectedTrack, open_gap: OpenGap, until: int, out: list[Output]) -> None:
        """Give out the open gap of one track, without the part that is already a gap of all tracks."""
        source.open_gap = None
        start = open_gap.start
        if source.track not in self._kept and until - start < MIN_TRACK_GAP_NS:
            return  # a track begins with its first whole sample: a packet or two before it is no gap
        if self._common_pause is not None and self._common_pause[0] - PAUSE_NS <= start < self._common_pause[1]:
            start = self._common_pause[1]
            if until - start < MIN_TRACK_GAP_NS:
                return
        cause, detail = self.relay_drops.explain(start, until, open_gap.cause, open_gap.detail)
        out.append(MediaGap(start, max(until - start, 0), source.track, cause, detail))
        self._settled[source.track] = until


def _keyframe_requests(cutter: Cutter, now: int) -> list[Output]:
    return [KeyframeRequest("segment")] if cutter.keyframe_due(now) else []


def _complete_picture(cutter: Cutter, source: ConnectedTrack, rest: Rest, out: list[Output]) -> None:
    """Add the rest of the last picture.  Where its fragment has left already, the picture is destroyed, and that is a gap."""
    if rest.of is not source.last:
        return  # it was not kept
    if not cutter.extend(rest.data):
        since = source.last.arrival
        source.note_gap(since, since, "recorder", "a picture whose marker bit was wrong")
        out.append(KeyframeRequest("loss"))


def _behind(cutter: Cutter, gaps: list[MediaGap]) -> list[Output]:
    """Return gaps that stand behind what is in the open fragment: a silence explains what is missing after it."""
    return [*cutter.flush(), *gaps] if gaps else []


def _came(source: ConnectedTrack) -> int:
    """Return how many packets of a track came since the last sample that was kept, and were not used."""
    return source.dropped - source.dropped_before


def _late(source: ConnectedTrack, settled: Container[int], origin: int, unknown: int) -> list[MediaGap]:
    """Return the gap before the first sample, or the first gap, of a track that began later than the others.

    Before the first of all tracks: where `unknown` packets of no announced stream came.
    """
    if source.track in settled:
        return []
    if settled:
        gap = source.late(origin)
        return [] if gap is None else [gap]
    length = 0 if source.began is None else source.began - origin
    if not _explains(unknown, length):
        return []
    return [MediaGap(origin, length, None, "not_recorded", "packets of no announced stream")]


def _silence(dropped: int, length: int, detail: str, cause: GapCause) -> tuple[GapCause, str]:
    """Return cause and text of a time (`length` in ns) without samples, in which `dropped` packets came that were not used."""
    if dropped and dropped * DROPPED_NS >= length:
        return "recorder", f"{dropped} packets came out of order, twice or malformed, and nothing else"
    return cause, detail


def _explains(packets: int, length: int) -> bool:
    """Return whether so many packets that cannot be used explain that nothing was kept for so long (`length` in ns)."""
    return length > PAUSE_NS and packets * DROPPED_NS >= length
