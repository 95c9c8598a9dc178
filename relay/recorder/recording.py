"""One open recording on the recorder's loop: its line, its muxer, its wall clock.

Owns: from tapped packets to jobs.  Must never know: sockets, files, keys.
"""

import logging
from collections.abc import Callable, Collection
from typing import Literal

from relay.base.clip import clip
from relay.base.counters import Counters, declare
from relay.base.errors import OurError
from relay.channel.messages import MediaKind, Plan, RecordMeta, TapDropped, TapOpen, TapPackets, TapSender
from relay.evidence.chain import Cause, ClockMap, Correction, Point, Reason, SyncSource
from relay.evidence.records import MAX_POINTS
from relay.record.cut import Fragment, InitParameters
from relay.record.drift import Moved
from relay.record.line import AUDIO, VIDEO, KeyframeRequest, Line, LineSettings, MediaGap, Output, TappedStream
from relay.record.wall_clock import WallClock
from relay.recorder.jobs import CorrectionJob, EndJob, FragmentJob, GapJob, Job, Progress
from relay.recorder.mux import Muxer
from relay.rtp.header import FIXED
from relay.rtp.parameter_sets import offered_sets

logger = logging.getLogger(__name__)

MAX_METADATA = 32
SECOND = 1_000_000_000
FED_NS = 2 * SECOND
UNSEALED_NS = 4 * SECOND
"""Where media comes and nothing was sealed for so long, nothing is being recorded.  A fragment takes 2.5 s at most."""
TELL_UNMUXED_NS, TELL_UNMUXED_SELDOM_NS = SECOND, 60 * SECOND
"""How long fragments may be unmuxable until their gap is signed: at first, and at most."""
KINDS: dict[int, MediaKind] = {VIDEO: "video", AUDIO: "audio"}

declare(
    record_unmuxable="fragments that could not be muxed (absurd parameter sets); each lies in a signed gap",
    record_unknown_packets="tapped packets of a stream that their recording does not know",
    record_late_packets="tapped packets that came twice, or after they were given up as lost",
    record_malformed_packets="tapped packets that broke the rules of RTP, H.264 or Opus; each counts as lost",
    record_ignored_units="H.264 units that a receiver ignores (RFC 6184), and packets without any other; no picture is lost",
    record_wrong_markers="RTP marker bits that came before the end of their picture; the picture is recorded whole",
    record_refused_samples="samples not kept because their camera's clock or format changed too often; each lies in a gap",
    record_unrecorded="gaps of what was received for a second or more and not recorded; each is an alarm on the page",
    record_clock_corrections="recordings with a camera's clock that ran wrong: tracks are moved where they are played",
    record_clock_steps="recordings during which the relay's wall clock was stepped (marked suspect)",
)


class Recording:
    """Makes jobs of tapped packets; `put` takes the jobs.  Times in monotonic nanoseconds."""

    def __init__(
        self,
        plan: Plan,
        settings: LineSettings,
        wall: WallClock,
        now: int,
        put: Callable[[Job], None],
        counters: Counters,
        origin: int | None = None,
    ) -> None:
        """`now`: when it was opened; `origin`: when its first packet came, where that was before."""
        self.plan = plan
        self._wall = wall
        self._put = put
        self._counters = counters
        self._line = Line(settings, now if origin is None else origin)
        self._promised = None if origin is None or origin >= now else (wall.utc(origin), now - origin)
        """Start (UTC ns) and length of the time in which packets waited for the signed start; None once streams are known."""
        self._muxer: tuple[InitParameters, Muxer] | None = None
        self._number = 0
        """Fragments of the segment so far: the sequence number of its `mfhd`."""
        self._unmuxed: tuple[int, int, str] | None = None
        """First and last arrival (UTC ns) of fragments that could not be muxed and are in no gap yet, and why."""
        self._tell_unmuxed = TELL_UNMUXED_NS
        self._unrecorded: set[int] = set()
        """Tracks of which nothing was recorded although packets came, since the last `take_unrecorded`."""
        self._metadata: dict[str, str] = {}
        self._corrected = False
        """Whether a track's clock was corrected."""
        self.lost_since: int | None = now
        """Since when (monotonic ns) no camera feeds it; None while one does."""
        self.progress = Progress(plan.recording, 0, 0, 0, plan.started_ns, b"", 0)
        self.keyframe_wanted: Literal["segment", "loss"] | None = None
        """Why a keyframe is wanted; the owner of the tap requests it and sets this to None."""
        self._is_muxed = False
        """Whether any fragment was muxed."""
        self.fed_at = now
        """When its last packets came (monotonic ns)."""
        self._media_at = self._fed_since = now
        """When media came last, and since when it comes without a pause of `FED_NS`; probes are none."""
        self._stopped_at: int | None = None

    def open(self, tap: TapOpen, now: int) -> None:
        """The camera connected, connected again, or one of its tracks began or has another RTP stream."""
        if self.lost_since is not None:
            self._fed_since = now
        self.lost_since = self._promised = None
        streams = [
            TappedStream(track.ssrc, VIDEO, tap.sets or offered_sets(track.fmtp))
            if track.kind == "video"
            else TappedStream(track.ssrc, AUDIO)
            for track in tap.tracks
        ]
        self._handle(self._line.open(streams, now), now)

    def packets(self, tap: TapPackets, now: int) -> None:
        """Take packets."""
        if any(len(packet) > FIXED for _, packet in tap.packets):
            if now - self._media_at > FED_NS:
                self._fed_since = now
            self._media_at = now
        self.fed_at = now
        self._handle(self._line.packets(tap.packets, now), now)

    def sender(self, tap: TapSender) -> None:
        """Take a sender report."""
        self._line.sender(tap.ssrc, tap.ntp_ns, tap.rtp, self._wall.utc(tap.arrival_ns), tap.rtt_ns)

    def overflow(self, packets: int) -> None:
        """The tap dropped packets."""
        self._line.tap_overflow.note(packets)

    def dropped(self, message: TapDropped) -> None:
        """The worker dropped packets before its tap."""
        self._line.relay_drops.note(message.packets, message.first_ns, message.last_ns)

    def lost(self, now: int) -> None:
        """The camera is gone; it may come back."""
        if self.lost_since is None:
            self._handle(self._line.close(), now)
            self.lost_since = now

    def meta(self, message: RecordMeta) -> None:
        """Keep metadata for the next link; beyond 32 keys new ones are dropped."""
        for key, value in message.values.items():
            if key in self._metadata or len(self._metadata) < MAX_METADATA:
                self._metadata[clip(key, 64)] = clip(value, 500)

    def advance(self, now: int) -> None:
        """Let time pass."""
        output = self._line.advance(now)
        if output:
            self._handle(output, now)

    def observe(self, utc_ns: int, now: int) -> None:
        """Compare the clocks, once a second."""
        if self._wall.observe(utc_ns, now):
            self._counters.count("record_clock_steps")
            logger.warning("the wall clock was stepped; a recording is marked suspect from here")

    @property
    def sealed_until_mono(self) -> float | None:
        """Arrival (monotonic seconds) of the last durable packet; None before the first.

        No step of the wall clock makes it look old.
        """
        return None if not self.progress.links else (self.progress.sealed_until_ns - self._wall.offset) / 1e9

    def is_fed(self, now: int) -> bool:
        """Return whether media comes."""
        return self.lost_since is None and now - self._media_at < FED_NS

    def is_sealed(self, now: int) -> bool:
        """Return whether what came a moment ago is durable."""
        until = self.sealed_until_mono
        return until is not None and now - until * 1e9 < UNSEALED_NS

    def take_unrecorded(self, now: int) -> tuple[MediaKind, ...]:
        """Return the tracks of which packets come, and nothing is recorded: now, or at any time since the last call."""
        found = self._line.unrecorded | self._unrecorded
        self._unrecorded.clear()
        if not found and self.is_fed(now) and not self.is_sealed(now) and now - self._fed_since >= UNSEALED_NS:
            found = frozenset(self._line.begun)
        return tuple(KINDS[track] for track in sorted(found))

    def stop(self, now: int) -> None:
        """Hand over everything that waits, and the gaps at the end.  Nothing but `finish` follows."""
        self._stopped_at = now
        self._handle(self._line.finish(now), now)
        self._correct(self._line.drifts.finish())
        self._put_unmuxed(0)
        if self._promised is not None:
            start, length = self._promised
            detail = "packets came before the signed start, and the worker could not hand them over"
            self._gap(start, length, detail, Cause.NOT_RECORDED)
        self._counters.count("record_unknown_packets", self._line.unknown_packets)
        odd = self._line.oddities
        self._counters.count("record_late_packets", odd.late)
        self._counters.count("record_malformed_packets", odd.malformed)
        self._counters.count("record_ignored_units", odd.ignored)
        self._counters.count("record_wrong_markers", odd.wrong_markers)
        self._counters.count("record_refused_samples", self._line.refused)

    def finish(self, reason: Reason, author: str | None, now: int) -> None:
        """End it: hand over everything that waits, unless `stop` did, then the end."""
        if self._stopped_at is None:
            self.stop(now)
        self._put(EndJob(self.plan.recording, reason, author, self._wall.utc(self._stopped_at or now)))

    def cut_off(self, now: int) -> None:
        """Its end was ordered, and the worker still sent packets: what it sends after the last ones is a gap."""
        self._gap(self._wall.utc(self.fed_at), now - self.fed_at, "the worker did not end the session in time")

    def _gap(self, start_ns: int, length_ns: int, detail: str, cause: Cause = Cause.RECORDER) -> None:
        self._put(GapJob(self.plan.recording, start_ns, length_ns, None, cause, detail))

    def _handle(self, outputs: list[Output], now: int) -> None:
        for output in outputs:
            if isinstance(output, Fragment):
                self._fragment(output, now)
            elif isinstance(output, MediaGap):
                start = self._wall.utc(output.start)
                self._put_unmuxed(start)
                self._put(GapJob(self.plan.recording, start, output.length, output.track, Cause(output.cause), output.detail))
                if output.cause == "not_recorded":
                    self._note_unrecorded(self._line.begun if output.track is None else {output.track})
            elif isinstance(output, KeyframeRequest):
                self.keyframe_wanted = output.cause

    def _fragment(self, fragment: Fragment, now: int) -> None:
        arrivals = [sample.arrival for sample in (*fragment.video, *fragment.audio)]
        start, end = self._wall.utc(min(arrivals)), self._wall.utc(max(arrivals))
        try:
            muxer = self._muxer_of(fragment, start, now)
            self._number += 1
            muxed = muxer.fragment(fragment, self._number)
        except OurError as error:
            self._counters.count("record_unmuxable")
            since, until, _ = self._unmuxed or (start, end, "")
            self._unmuxed = min(since, start), max(until, end), f"not muxable: {error.detail}"[:200]
            if max(until, end) - min(since, start) >= self._tell_unmuxed:
                self._tell_unmuxed = min(2 * self._tell_unmuxed, TELL_UNMUXED_SELDOM_NS)
                self._put_unmuxed(0)
            return
        self._put_unmuxed(start)
        self._correct(self._line.drifts.take())
        self._is_muxed, self._tell_unmuxed = True, TELL_UNMUXED_NS
        metadata, self._metadata = tuple(sorted(self._metadata.items())), {}
        self._put(
            FragmentJob(
                recording=self.plan.recording,
                segment=fragment.segment,
                init=False,
                plain=muxed.data,
                tracks=muxed.tracks,
                start_ns=start,
                length_ns=end - start,
                queued=now / 1e9,
                clocks=self._clock_maps(now),
                suspect=self._wall.suspect,
                metadata=metadata,
            )
        )

    def _correct(self, moved: list[Moved]) -> None:
        """Put by how much the tracks are to be moved where the recording is played."""
        if moved and not self._corrected:
            self._corrected = True
            self._counters.count("record_clock_corrections")
            logger.warning("the RTP clock of a camera runs wrong: where its recording is played, its tracks are moved")
        for first in range(0, len(moved), MAX_POINTS):
            points = [
                Point(each.track, SyncSource.ARRIVAL, each.time, each.moved_ns, each.gradual)
                for each in moved[first : first + MAX_POINTS]
            ]
            self._put(CorrectionJob(self.plan.recording, Correction(tuple(points))))

    def _note_unrecorded(self, tracks: Collection[int]) -> None:
        self._unrecorded.update(tracks)
        self._counters.count("record_unrecorded")

    def _put_unmuxed(self, until_ns: int) -> None:
        """Put the gap of what could not be muxed: until the next fragment that could, or until the next gap."""
        if self._unmuxed is not None:
            (since, end, detail), self._unmuxed = self._unmuxed, None
            length = max(until_ns, end) - since
            lasts = length >= TELL_UNMUXED_NS or not self._is_muxed
            self._gap(since, length, detail, Cause.NOT_RECORDED if lasts else Cause.RECORDER)
            if lasts:
                self._note_unrecorded(self._line.begun)

    def _muxer_of(self, fragment: Fragment, start_ns: int, now: int) -> Muxer:
        """Return the segment's muxer; before the first fragment of a segment, put its init segment."""
        if self._muxer is None or self._muxer[0] != fragment.parameters:
            fresh = Muxer(fragment.parameters)
            self._muxer = (fragment.parameters, fresh)
        muxer = self._muxer[1]
        if fragment.opens:
            self._number = 0
            self._put(FragmentJob(self.plan.recording, fragment.segment, True, muxer.init, (), start_ns, 0, now / 1e9))
        return muxer

    def _clock_maps(self, now: int) -> tuple[ClockMap, ...]:
        return tuple(
            ClockMap(
                track=track,
                source=SyncSource.SENDER_REPORT if fix.by_report else SyncSource.ARRIVAL,
                wall_ns=fix.wall_ns,
                rtp=fix.rtp,
                decode_time=fix.time,
                offset_ns=fix.offset_ns,
                uncertainty_ns=fix.uncertainty_ns,
            )
            for track, fix in self._line.fixes(now, self._wall.offset)
        )
