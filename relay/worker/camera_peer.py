"""One camera: its packets go to the legs and to the tap, and it is sent RTCP feedback.

Owns: one publish session.  Must never know: who watches and why, files, HTTP.
"""

import math
import secrets
from asyncio import TimerHandle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from relay.base.allowance import Allowance
from relay.base.clock import Clock
from relay.base.counters import Counters
from relay.channel.messages import (
    Layer,
    PublisherHeld,
    PublishOpen,
    SourceReport,
    SourceState,
    TapClose,
    TapSender,
    Track,
)
from relay.fanout.repair import MIN_RETRY_SECONDS, REORDER_SLACK_SECONDS
from relay.fanout.source import Source
from relay.fanout.stream import Stream
from relay.fanout.tracks import TrackSpec
from relay.rtp.burst import MediaPacket
from relay.transport.port import Peer
from relay.transport.sdp import MediaIn, PublisherAnswer
from relay.worker.stream_warnings import StreamWarnings
from relay.worker.tap import Tap, TapFeed

FROZEN_SECONDS = 1.5
"""Without a media packet for so long a connected camera counts as frozen."""
LAYER_SILENT_SECONDS = 1.5
"""Silence after which a layer counts as no longer sent: browsers stop the large one where their network is too narrow."""
GOODBYE_SECONDS = 5.0
"""How long a camera that closed its connection (DTLS close_notify) may take to publish again.  Then it has stopped: browsers
close their peer connection before they send DELETE, or send none."""
GOODBYE = "the camera closed its connection and did not publish again"

FEEDBACK_SECONDS = 0.004
"""Between two looks at the feedback that is due, while packets come."""

RETRACK_RATE, RETRACK_BURST = 1.0, 6
"""Changes of streams a second that the recorder is told of, and how many at once: each ends a fragment, perhaps a segment."""

MIN_PAUSE_SECONDS = 0.001
"""The shortest wait for the end of a picture whose markers are wrong."""
SHUTDOWN = "shutdown"
TAP_BATCH = 128
"""Packets that may wait for the recorder; fewer are handed over together with those of all cameras (`worker`)."""


def track_spec(media: MediaIn) -> TrackSpec:
    """Return an agreed m-line as the fan-out knows it."""
    codec, extensions = media.codec, media.extensions
    return TrackSpec(
        kind=media.kind,
        mid=media.mid,
        payload_type=codec.payload_type,
        clock_rate=codec.clock_rate,
        fmtp=codec.fmtp,
        rtx_payload_type=codec.rtx_payload_type,
        ssrcs=media.ssrcs,
        rtx=tuple(media.rtx.items()),
        rids=media.rids,
        mid_id=extensions.mid,
        rid_id=extensions.rid,
        rrid_id=extensions.rrid,
        transport_cc_id=extensions.transport_cc if "transport-cc" in codec.feedback else None,
        nack="nack" in codec.feedback,
        pli="nack pli" in codec.feedback,
        fir="ccm fir" in codec.feedback,
        sli="nack sli" in codec.feedback,
        remb="goog-remb" in codec.feedback,
    )


@dataclass(frozen=True, slots=True)
class CameraEvents:
    """What a camera reports to its worker."""

    batch: Callable[["CameraPeer", Stream, list[MediaPacket], float], None]
    """Packets of a stream came, at monotonic seconds."""
    changed: Callable[["CameraPeer", str], None]
    over: Callable[["CameraPeer", str], None]
    later: Callable[[float, Callable[[], None]], TimerHandle]
    """Call a function after so many seconds."""
    make_feed: Callable[["CameraPeer", str, bool], TapFeed]
    """Return the feed of a recording that is open, or is not."""


def _tap_close(recording: str, state: SourceState, at: float | None, *, shutdown: bool) -> TapClose:
    """`at`: when the camera closed its connection, where it did."""
    if state == "lost" or shutdown:
        return TapClose(recording, "lost" if state == "lost" else "shutdown")
    return TapClose(recording, "stopped", None if at is None else int(at * 1e9))


class CameraPeer:
    """The transport's handler of one camera."""

    sound_peer: Peer | None = None
    """The transport of its sound, where it has one of its own; its loss costs the sound, and not the session."""

    def __init__(
        self,
        request: PublishOpen,
        answer: PublisherAnswer,
        clock: Clock,
        counters: Counters,
        tap: Tap,
        events: CameraEvents,
        max_bitrate: int,
    ) -> None:
        self.session = request.session
        self.camera = request.camera
        self.live_audio = request.live_audio
        self.peer: Peer | None = None
        self.state: SourceState = "connecting"
        self.since_mono = clock.monotonic()
        self.confirmed: float | None = None
        self.closed_at: float | None = None
        """When the camera closed its connection (monotonic seconds); its session ends `GOODBYE_SECONDS` later."""
        self.has_stopped = False
        """Whether the session ended that way."""
        self.kept = b""
        """What control has this worker keep for its restart."""
        self.feed: TapFeed | None = None
        if request.recording is not None:
            self.feed = events.make_feed(self, request.recording, request.is_recording_open)
        self.is_shown = self.feed is None or self.feed.is_open
        """Whether viewers may be shown its packets: not before the signed start of its first recording is durable (LIV-02)."""
        tracks = (answer.video, answer.audio) if answer.audio is not None else (answer.video,)
        self.source = Source(
            tuple(track_spec(media) for media in tracks), secrets.randbits(32), counters, max_bitrate, self._on_packet
        )
        self._clock = clock
        self._tap = tap
        self._events = events
        self._touched: dict[Stream, None] = {}
        self._gathering: dict[Stream, TimerHandle] = {}
        """Streams whose newest picture is not whole yet, and the timer that ends the wait for it."""
        self._feedback_at = 0.0
        self._repairing: TimerHandle | None = None
        self._best: Stream | None = None
        self._retracks = Allowance(RETRACK_RATE, RETRACK_BURST)
        self._not_tapped = 0
        """Packets of streams of which the recorder was not told, because they change too often."""
        self._drops = 0
        """Drops of which the tap knows."""
        self._drops_noted_at = self.since_mono
        self._last_video: float | None = None
        self._warnings = StreamWarnings(request.camera, is_sound_declined=answer.is_sound_declined)
        self._reported = (0, 0, 0, 0)
        self._reported_at = clock.monotonic()

    # --- the transport's handler ---------------------------------------------------------------------------------------

    def on_connected(self, peer: Peer, now: float) -> None:
        """DTLS is done; the first packets decide the rest."""

    def on_rtp(self, peer: Peer, packet: bytes, now: float) -> None:
        """Take a media packet."""
        stream = self.source.receive(packet, now)
        if stream is not None:
            self._touched[stream] = None

    def on_rtcp(self, peer: Peer, compound: bytes, now: float) -> None:
        """Take sender reports, and pass them on to the recorder."""
        for fact in self.source.receive_rtcp(compound, now):
            if self.feed is not None:
                rtt = self.rtt
                rtt_ns = None if rtt is None else int(rtt * 1e9)
                report = TapSender(self.feed.recording, fact.ssrc, fact.ntp_ns, fact.rtp, int(now * 1e9), rtt_ns)
                self._tap.sender(self.feed, report)

    def on_batch_end(self, now: float) -> None:
        """Hand over the packets of this drain: to the legs first, then to the tap; then send the camera its feedback."""
        touched, self._touched = self._touched, {}
        for stream in touched:
            self._serve(stream, now)
        if self.feed is not None and (len(self.feed.pending) >= TAP_BATCH or not self.feed.is_open):
            self._tap.flush(self.feed)
        if now >= self._feedback_at:
            self._feedback_at = now + FEEDBACK_SECONDS
            self._send_feedback(now)
            if self._repairing is None and self.source.has_missing:
                self._repairing = self._events.later(REORDER_SLACK_SECONDS, self._repair)

    def _serve(self, stream: Stream, now: float, *, waited: bool = False) -> None:
        """Hand a stream's packets to the legs, now or when its picture is whole."""
        pause = 0.0 if waited and not stream.markers.are_wrong else stream.gathering(now)
        if not pause:
            timer = self._gathering.pop(stream, None)
            if timer is not None:
                timer.cancel()
            batch = stream.take()
            if batch and self.is_shown:
                self._note_media(stream, now)
                self._events.batch(self, stream, batch, now)
            if stream.pending:  # its markers are wrong: the last packet waits
                pause = max(MIN_PAUSE_SECONDS, stream.gathering(now))
        if pause and stream not in self._gathering:
            self._gathering[stream] = self._events.later(pause, partial(self._gathered, stream))

    def _gathered(self, stream: Stream) -> None:
        """The rest of the picture did not come in time."""
        del self._gathering[stream]
        if self.state not in ("lost", "ended"):
            self._serve(stream, self._clock.monotonic(), waited=True)

    def _repair(self) -> None:
        """Ask for missing packets as soon as they are late, and again; no other packet may come to wake us."""
        self._repairing = None
        self._send_feedback(self._clock.monotonic())
        if self.source.has_missing and self.state not in ("lost", "ended"):
            self._repairing = self._events.later(MIN_RETRY_SECONDS, self._repair)

    def on_closed(self, peer: Peer, reason: str, now: float) -> None:
        """The camera is gone.  After a goodbye its session waits for DELETE or another offer; then it has stopped."""
        if peer is self.sound_peer:
            return
        if not peer.said_goodbye:
            self.finish("lost", reason)
            return
        self.closed_at = now
        if self.state == "live":
            self._enter("frozen", "the camera closed its connection")

    # --- life ----------------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due by time: feedback, the frozen state, a change of the best layer."""
        self._note_drops(now)
        if self.closed_at is not None and now - self.closed_at > GOODBYE_SECONDS:
            self.has_stopped = True
            self.finish("ended", GOODBYE)
            return
        if self.peer is not None and self.peer.connected:
            self._send_feedback(now)
        if self.state == "live" and self._last_video is not None and now - self._last_video > FROZEN_SECONDS:
            self._enter("frozen", f"no picture for {FROZEN_SECONDS} s")
        if self.feed is not None and self._best is not None and self.layer("high") is not self._best:
            self._retrack(self.feed, now)

    def close(self, state: SourceState, reason: str, *, shutdown: bool = False) -> None:
        """End the session from our side.  `shutdown`: because this worker ends."""
        if self.peer is not None:
            self.peer.close(reason)
        self.finish(state, reason, shutdown=shutdown)

    def finish(self, state: SourceState, reason: str, *, shutdown: bool = False) -> None:
        """The peer is closed: report it to the recorder and the worker, once."""
        if self.state in ("lost", "ended"):
            return
        self.state = state
        if self.sound_peer is not None:
            self.sound_peer.close(reason)
        if self.feed is not None:
            self._note_drops(self._clock.monotonic())
            self._tap.close(self.feed, _tap_close(self.feed.recording, state, self.closed_at, shutdown=shutdown))
        self.source.close()
        self._events.over(self, reason)

    def begin_recording(self, recording: str) -> None:
        """The recording that packets wait for is open: hand them over; the camera is live from here on."""
        assert self.feed is not None
        self.is_shown = True
        self._tap.begin(self.feed, recording)
        best = self.layer("high")
        if best is not None:
            self._note_media(best, self._clock.monotonic())

    def feed_next(self, feed: TapFeed) -> None:
        """Feed another recording from now on, beginning at a keyframe."""
        previous, self.feed, self.is_shown = self.feed, feed, feed.is_open
        if previous is not None:
            self._tap.switch(previous, feed)
        if self._best is not None:
            self._best.keyframes.want(self._clock.monotonic())

    def _enter(self, state: SourceState, reason: str) -> None:
        if state != self.state:
            self.state = state
            self._events.changed(self, reason)

    def _note_media(self, stream: Stream, now: float) -> None:
        if stream.spec.kind == "video":
            self._last_video = now
            self._enter("live", "")

    def _send_feedback(self, now: float) -> None:
        peer = self.peer
        if peer is not None and peer.connected and not peer.closed:
            for compound in self.source.poll(now):
                peer.send_rtcp(compound, now)
                if self.sound_peer is not None:
                    self.sound_peer.send_rtcp(compound, now)

    # --- layers and the tap --------------------------------------------------------------------------------------------

    def layer(self, wanted: Layer) -> Stream | None:
        """Return the stream that serves a wanted layer: the largest picture, or the smallest, of those that are being sent."""
        layers = list(self.source.layers.values())
        if len(layers) > 1:
            newest = max(stream.received_at for stream in layers)
            sent = [stream for stream in layers if newest - stream.received_at < LAYER_SILENT_SECONDS]
            layers = sorted(sent, key=lambda stream: stream.pictures.width * stream.pictures.height)
        if not layers:
            return None
        return layers[-1] if wanted == "high" else layers[0]

    def _on_packet(self, stream: Stream, packet: bytes, now: float) -> None:
        feed = self.feed
        if feed is None:
            return
        if self.source.changed:
            self._retrack(feed, now)
        if stream.spec.kind == "audio" or stream is self._best:
            self._tap.add(feed, packet, now)
        elif self.source.changed:
            self._not_tapped += 1

    def _note_drops(self, now: float) -> None:
        """Tell the tap how many packets were dropped before it since the last call: their gap is of the relay's making."""
        paced = sum(peer.paced for peer in (self.peer, self.sound_peer) if peer is not None)
        drops = self._not_tapped + self.source.paced + paced
        if drops != self._drops and self.feed is not None:
            self._tap.note_drops(self.feed, drops - self._drops, int(self._drops_noted_at * 1e9), int(now * 1e9))
        self._drops, self._drops_noted_at = drops, now

    def _retrack(self, feed: TapFeed, now: float) -> None:
        """The recorder takes the best picture and the sound.  Where they change too often, it learns of it a little later.

        It is told of every track that was agreed, so that one that begins later joins those that are being recorded.
        """
        if not self._retracks.take(now):
            return
        self.source.take_change()
        best = self.layer("high")
        if best is not None and self._best is not None and best is not self._best:
            best.keyframes.want(self._clock.monotonic())
        self._best = best
        feed.sets = None if best is None else best.pictures.sets
        streams = {"video": best, "audio": self.source.audio}
        ssrcs = {kind: None if stream is None else stream.ssrc for kind, stream in streams.items()}
        tracks = tuple(
            Track(ssrcs[spec.kind], spec.kind, spec.payload_type, spec.clock_rate, spec.fmtp) for spec in self.source.tracks
        )
        self._tap.retrack(feed, tracks)

    # --- reports -------------------------------------------------------------------------------------------------------

    @property
    def rtt(self) -> float | None:
        """Round trip to the camera in seconds, as repairs show it."""
        best = self.layer("high")
        return None if best is None else best.inbound.repair.rtt

    def held(self, now: float) -> PublisherHeld:
        """Return the session's entry in the inventory."""
        peer = self.peer
        return PublisherHeld(
            session=self.session,
            camera=self.camera,
            recording=self.feed.recording if self.feed is not None else None,
            state=self.state,
            live_audio=self.live_audio,
            etag=peer.ice.local.ufrag if peer is not None else "",
            since_mono=self.since_mono,
            silent_for=math.inf if self.closed_at is not None else peer.silent_for(now) if peer is not None else 0.0,
            confirmed_mono=self.confirmed,
            is_recording_open=self.is_shown,
            kept=self.kept,
        )

    def report(self, now: float, viewers: int) -> SourceReport:
        """Return this camera's part of the worker's report, for the time since the last one."""
        best = self.layer("high")
        inbound = best.inbound if best is not None else None
        current = (
            sum(stream.octets for stream in self.source.layers.values())
            + (self.source.audio.octets if self.source.audio else 0),
            best.frames if best is not None else 0,
            inbound.repair.abandoned if inbound is not None else 0,
            inbound.reception.received if inbound is not None else 0,
        )
        octets, frames, lost, received = (max(0, new - old) for new, old in zip(current, self._reported, strict=True))
        seconds = max(0.001, now - self._reported_at)
        self._reported, self._reported_at = current, now
        return SourceReport(
            camera=self.camera,
            state=self.state,
            kbps=octets * 8 / 1000 / seconds,
            fps=frames / seconds,
            loss=lost / (lost + received) if lost + received else 0.0,
            rtt_ms=None if self.rtt is None else self.rtt * 1000,
            width=best.pictures.width if best is not None else 0,
            height=best.pictures.height if best is not None else 0,
            clock_offset_ms=self._clock_offset(now),
            clock_uncertainty_ms=None if self.rtt is None else self.rtt * 500,
            viewers=viewers,
            last_frame_age=now - self._last_video if self._last_video is not None else -1.0,
            layers=len(self.source.layers),
            warnings=self._warnings.of(self.source.layers.values(), now),
        )

    def _clock_offset(self, now: float) -> float | None:
        """Return the camera's wall clock minus ours, ms: by the shortest transit, corrected by half the round trip."""
        transit = self.source.clock.transit
        if transit is None:
            return None
        return (now - self._clock.utc_ns() / 1e9 - transit + (self.rtt or 0.0) / 2) * 1000
