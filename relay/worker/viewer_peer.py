"""One viewer: its slots, its sound, and its feedback on what it received.

Owns: a viewer's peer and its slots.  Must never know: why it may watch (control decided that), cameras'
sockets, how packets are sealed (`leg_sender` does that).
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from relay.base.clock import Clock
from relay.base.counters import Counters, declare
from relay.base.errors import TheirError
from relay.fanout.leg import Leg, LegSpec
from relay.fanout.limit import QualityLevel, ViewerLimit
from relay.rtp import rtcp
from relay.rtp.burst import HeaderTemplate
from relay.transport.port import Peer, Port
from relay.transport.sdp import MediaOut, ViewerAnswer
from relay.worker.leg_sender import LegSender
from relay.worker.single_unit_sender import SingleUnitSender
from relay.worker.slot import SOUND, Slot

KEYFRAME_SECONDS = 2.0
"""Between two keyframes asked of a camera for viewers that get nothing else."""

declare(viewer_malformed="RTCP of viewers that could not be read")

_TEMPLATES: WeakValueDictionary[tuple[object, ...], HeaderTemplate] = WeakValueDictionary()


def leg_spec(media: MediaOut, playout_delay_max_ms: int) -> LegSpec:
    """Return an agreed m-line as a leg knows it."""
    extensions = media.extensions
    template = _template(
        media.codec.payload_type,
        media.mid.encode(),
        extensions.mid,
        extensions.abs_send_time,
        extensions.playout_delay if media.kind == "video" else None,
        (playout_delay_max_ms // 10).to_bytes(3, "big"),
    )
    return LegSpec(media.ssrc, media.codec.clock_rate, template, media.rtx_ssrc, media.codec.rtx_payload_type)


def takes_single_units(media: MediaOut) -> bool:
    """Whether a viewer asks for single units: it says packetization-mode 0, and offers nothing else.

    Where it says nothing, which means 0 by RFC 6184 §8.1, it gets the packets as they come: GStreamer's whepsrc says nothing
    and takes fragments, and single units that IP has to fragment are lost on many networks.
    """
    return media.codec.packetization_mode == 0 and "packetization-mode" in media.codec.fmtp.lower()


def _template(*fields: Any) -> HeaderTemplate:
    """Equal templates are one object, so that their legs share one layout per burst."""
    found = _TEMPLATES.get(fields)
    if found is None:
        found = _TEMPLATES[fields] = HeaderTemplate(*fields)
    return found


@dataclass(frozen=True, slots=True)
class ViewerEvents:
    """What a viewer reports to its worker; plain callables, so that the worker stays the owner of all lists."""

    connected: Callable[["ViewerPeer"], None]
    closed: Callable[["ViewerPeer", str], None]
    started: Callable[[Slot], None]
    """The first packet of a view left."""
    backlog: Callable[["ViewerPeer"], None]
    """Packets wait: call `drain` soon."""


class ViewerPeer:
    """One viewer: the transport's handler of its peer, and the owner of its slots."""

    def __init__(
        self,
        session: str,
        answer: ViewerAnswer,
        port: Port,
        clock: Clock,
        counters: Counters,
        events: ViewerEvents,
        playout_delay_max_ms: int,
    ) -> None:
        self.session = session
        self.peer: Peer | None = None
        self.connected = False
        self._port = port
        self._clock = clock
        self._counters = counters
        self._events = events
        self._cname = answer.cname
        self.slots = [self._slot(number, media, playout_delay_max_ms) for number, media in enumerate(answer.videos)]
        self.audio = self._slot(SOUND, answer.audio, playout_delay_max_ms) if answer.audio is not None else None
        self.sound_slot: int | None = None
        """The slot whose camera is heard."""
        self._by_ssrc = {slot.sender.leg.spec.ssrc: slot for slot in self.all_slots}
        self._limit = ViewerLimit()
        self._remb: int | None = None

    def _slot(self, number: int, media: MediaOut, playout_delay_max_ms: int) -> Slot:
        first, rtx, timestamp = secrets.randbits(15), secrets.randbits(15), secrets.randbits(32)
        leg = Leg(leg_spec(media, playout_delay_max_ms), first, timestamp, rtx)
        make = SingleUnitSender if takes_single_units(media) else LegSender
        return Slot(number, make(leg, self._port, self._counters, self))

    @property
    def all_slots(self) -> list[Slot]:
        """The slots, and the sound's where there is one."""
        return [*self.slots, self.audio] if self.audio is not None else list(self.slots)

    @property
    def etag(self) -> str:
        """Name of the current ICE generation."""
        return self.peer.ice.local.ufrag if self.peer is not None else ""

    def release(self) -> None:
        """The session is over and reported: let go of the slots, whose senders refer back to their viewer."""
        self.slots, self.audio, self._by_ssrc = [], None, {}

    # --- the transport's handler ---------------------------------------------------------------------------------------

    def on_connected(self, peer: Peer, now: float) -> None:
        """DTLS is done."""
        self.connected = True
        for slot in self.all_slots:
            slot.sender.connect(peer)
        self._events.connected(self)

    def on_rtp(self, peer: Peer, packet: bytes, now: float) -> None:
        """Viewers send no media: ignored."""

    def on_batch_end(self, now: float) -> None:
        """Nothing is gathered here."""

    def on_closed(self, peer: Peer, reason: str, now: float) -> None:
        """The viewer went away."""
        self.connected = False
        for slot in self.all_slots:
            slot.sender.disconnect()
        self._events.closed(self, reason)

    def on_rtcp(self, peer: Peer, compound: bytes, now: float) -> None:
        """NACK, keyframe requests, reports, REMB."""
        try:
            packets = rtcp.parse(compound).packets
        except TheirError:
            self._counters.count("viewer_malformed")
            return
        for packet in packets:
            self._on_report(packet, now)

    def _on_report(self, packet: rtcp.Report, now: float) -> None:
        if isinstance(packet, rtcp.Nack):
            slot = self._by_ssrc.get(packet.media)
            if slot is not None and slot.camera is not None:
                slot.sender.resend(packet.lost, now)
        elif isinstance(packet, rtcp.Pli):
            self._want_keyframe(packet.media, now)
        elif isinstance(packet, rtcp.Fir):
            for ssrc, _ in packet.entries:
                self._want_keyframe(ssrc, now)
        elif isinstance(packet, rtcp.Remb):
            self._remb = packet.bitrate
        elif isinstance(packet, rtcp.ReceiverReport | rtcp.SenderReport):
            ntp_now = rtcp.ntp_from_ns(self._clock.utc_ns()) >> 16 & 0xFFFFFFFF
            for block in packet.reports:
                slot = self._by_ssrc.get(block.ssrc)
                if slot is not None:
                    slot.take_report(block, ntp_now)

    def _want_keyframe(self, ssrc: int, now: float) -> None:
        slot = self._by_ssrc.get(ssrc)
        if slot is not None and slot.stream is not None:
            slot.stream.keyframes.want(now)
            slot.note_keyframe_wish(now)

    # --- events of its senders -----------------------------------------------------------------------------------------

    def on_first_packet(self, sender: LegSender, now: float) -> None:
        """Report the view's beginning; send the clocks at once, so that sound and picture are together from the start."""
        self._events.started(self._by_ssrc[sender.leg.spec.ssrc])
        self._send_report(sender, now)

    def on_backlog(self) -> None:
        """Ask to be drained soon."""
        self._events.backlog(self)

    # --- what is due by time -------------------------------------------------------------------------------------------

    def drain(self, now: float) -> bool:
        """Send the next piece of every backlog; returns whether packets still wait."""
        return any([slot.sender.drain(now) for slot in self.all_slots])

    def adapt(self, now: float) -> None:
        """Once a second: obey the viewer's limits, and forget packets that it will not ask for again."""
        for slot in self.all_slots:
            slot.sender.expire(now)
        showing = [slot for slot in self.slots if slot.camera is not None and slot.wanted != "key"]
        move = self._limit.update(self._remb, [slot.load() for slot in showing], now)
        if move is not None:
            showing[move[0]].set_level(move[1])
        for slot in self.slots:
            stream = slot.stream
            if (
                slot.level is QualityLevel.KEYFRAMES
                and stream is not None
                and now - stream.pictures.keyed_at > KEYFRAME_SECONDS
            ):
                stream.keyframes.want(now)

    def send_reports(self, now: float) -> None:
        """Send a sender report of every running leg."""
        for slot in self.all_slots:
            self._send_report(slot.sender, now)

    def _send_report(self, sender: LegSender, now: float) -> None:
        peer = self.peer
        report = sender.sender_report(self._clock.utc_ns(), now)
        if report is not None and peer is not None:
            peer.send_rtcp(rtcp.build_sender_report(report) + rtcp.build_sdes(report.ssrc, self._cname), now)
