"""One viewer: its slots, its sound, and what it says about what it received.

What this file owns: a viewer's peer and its legs.  What it must never know: why it may watch (control decided that), cameras'
sockets.
"""

import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relay.base.clock import Clock
from relay.base.counters import Counters, declare
from relay.base.errors import TheirError
from relay.fanout.leg import Leg, LegSpec, Part
from relay.fanout.resend import History
from relay.rtp import rtcp
from relay.transport.port import Peer, Port
from relay.transport.sdp import MediaOut, ViewerAnswer
from relay.worker.slot import Slot

BURST = 60
"""Packets sealed into the scratch buffer at once."""
PACED = 64
"""A longer run (a keyframe cache) is sent in pieces, so that it does not overflow the viewer's socket buffer."""
MAX_BACKLOG = 4096

declare(
    leg_packets="packets sealed for viewers",
    leg_resent="packets resent to viewers",
    leg_overrun="legs restarted because their backlog was full",
    viewer_malformed="RTCP of viewers that could not be read",
)


def leg_spec(media: MediaOut, playout_delay_max_ms: int) -> LegSpec:
    """Return what a leg needs to know of an agreed m-line."""
    extensions = media.extensions
    return LegSpec(
        ssrc=media.ssrc,
        payload_type=media.codec.payload_type,
        clock_rate=media.codec.clock_rate,
        mid=media.mid,
        rtx_ssrc=media.rtx_ssrc,
        rtx_payload_type=media.codec.rtx_payload_type,
        mid_id=extensions.mid,
        abs_send_time_id=extensions.abs_send_time,
        playout_delay_id=extensions.playout_delay if media.kind == "video" else None,
        playout_delay_max_ms=playout_delay_max_ms,
    )


@dataclass(frozen=True, slots=True)
class ViewerEvents:
    """What a viewer tells its worker; plain callables, so that the worker stays the owner of all lists."""

    connected: Callable[["ViewerPeer"], None]
    closed: Callable[["ViewerPeer", str], None]
    started: Callable[[Slot, int], None]


class ViewerPeer:
    """See the module; the transport's handler of one viewer, and the outlet of its slots."""

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
        self.slots = [self._slot(number, media, playout_delay_max_ms) for number, media in enumerate(answer.videos)]
        self.audio = self._slot(-1, answer.audio, playout_delay_max_ms) if answer.audio is not None else None
        self.heard_slot: int | None = None
        self.backlogged: set[Slot] = set()
        self._legs = {slot.leg.spec.ssrc: slot for slot in self.all_slots}
        self._sealed = {slot.leg.spec.ssrc: History[bytes]() for slot in self.all_slots if slot.leg.spec.rtx_ssrc is None}
        self._backlog: dict[Slot, deque[Part]] = {}
        self._cname = answer.cname
        self._port = port
        self._clock = clock
        self._counters = counters
        self._events = events
        self._scratch = bytearray(BURST * 1700)
        self.bitrate_limit: int | None = None

    def _slot(self, number: int, media: MediaOut, playout_delay_max_ms: int) -> Slot:
        first, rtx, timestamp = secrets.randbits(15), secrets.randbits(15), secrets.randbits(32)
        return Slot(number, Leg(leg_spec(media, playout_delay_max_ms), first, timestamp, rtx), self)

    @property
    def all_slots(self) -> list[Slot]:
        """The slots, and the sound's where there is one."""
        return [*self.slots, self.audio] if self.audio is not None else list(self.slots)

    @property
    def connected(self) -> bool:
        """Whether packets can be sent."""
        return self.peer is not None and self.peer.connected and not self.peer.closed

    @property
    def etag(self) -> str:
        """Name of the current ICE generation."""
        return self.peer.ice.local.ufrag if self.peer is not None else ""

    # --- the transport's handler ---------------------------------------------------------------------------------------

    def on_connected(self, peer: Peer, now: float) -> None:
        """DTLS is done."""
        self._events.connected(self)

    def on_rtp(self, peer: Peer, packet: bytes, now: float) -> None:
        """Viewers send no media: ignored."""

    def on_batch_end(self, now: float) -> None:
        """Nothing is gathered here."""

    def on_closed(self, peer: Peer, reason: str, now: float) -> None:
        """The viewer went away."""
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
            self._resend(packet, now)
        elif isinstance(packet, rtcp.Pli):
            self._want_keyframe(packet.media, now)
        elif isinstance(packet, rtcp.Fir):
            for ssrc, _ in packet.entries:
                self._want_keyframe(ssrc, now)
        elif isinstance(packet, rtcp.Remb):
            self.bitrate_limit = packet.bitrate
        elif isinstance(packet, rtcp.ReceiverReport | rtcp.SenderReport):
            ntp_now = rtcp.ntp_from_ns(self._clock.utc_ns()) >> 16 & 0xFFFFFFFF
            for block in packet.reports:
                slot = self._legs.get(block.ssrc)
                if slot is not None:
                    slot.take_report(block, ntp_now)

    def _want_keyframe(self, ssrc: int, now: float) -> None:
        slot = self._legs.get(ssrc)
        if slot is not None and slot.stream is not None:
            slot.stream.asker.want(now)

    # --- sending -------------------------------------------------------------------------------------------------------

    def send(self, slot: Slot, parts: Sequence[Part], now: float) -> None:
        """Seal and send; long runs go into the slot's backlog, which `drain` empties in pieces."""
        backlog = self._backlog.get(slot)
        if not backlog and len(parts) <= PACED:
            self._send_now(slot, parts)
            return
        if backlog is None:
            backlog = self._backlog[slot] = deque()
        if len(backlog) + len(parts) > MAX_BACKLOG:
            self._overrun(slot, backlog)
            return
        backlog.extend(parts)
        self.drain(slot)

    def drain(self, slot: Slot) -> None:
        """Send the next piece of a slot's backlog."""
        backlog = self._backlog.get(slot)
        if not backlog:
            self.backlogged.discard(slot)
            return
        piece = [backlog.popleft() for _ in range(min(PACED, len(backlog)))]
        self._send_now(slot, piece)
        if backlog:
            self.backlogged.add(slot)
        else:
            self.backlogged.discard(slot)

    def forget_backlog(self, slot: Slot) -> None:
        """What waited for a slot that shows something else now is not sent (its indices stay unused)."""
        self._backlog.pop(slot, None)
        self.backlogged.discard(slot)
        if slot.leg.spec.ssrc in self._sealed:
            self._sealed[slot.leg.spec.ssrc] = History()

    def first_packet(self, slot: Slot) -> int:
        """See `Outlet`."""
        first_ns = self._clock.utc_ns()
        self._events.started(slot, first_ns)
        return first_ns

    def _overrun(self, slot: Slot, backlog: deque[Part]) -> None:
        backlog.clear()
        self._counters.count("leg_overrun")
        slot.restart()

    def _send_now(self, slot: Slot, parts: Sequence[Part]) -> None:
        peer = self.peer
        if peer is None or not self.connected:
            return
        scratch = self._scratch
        for at in range(0, len(parts), BURST):
            piece = parts[at : at + BURST]
            lengths = peer.srtp.seal_burst(piece, scratch)
            self._port.send_burst(peer, scratch, lengths)
            history = self._sealed.get(slot.leg.spec.ssrc)
            if history is not None:
                _keep_sealed(history, piece, lengths, scratch)
        self._counters.values["leg_packets"] += len(parts)
        slot.last_ns = self._clock.utc_ns()

    def _resend(self, nack: rtcp.Nack, now: float) -> None:
        slot = self._legs.get(nack.media)
        peer = self.peer
        if slot is None or peer is None or not self.connected or slot.camera is None:
            return
        history = self._sealed.get(nack.media)
        if history is not None:
            packets = list(history.answer(nack.lost, slot.leg.high, now))
        else:
            packets = [peer.srtp.seal(*part) for part in slot.leg.resend(nack.lost, now)]
        if packets:
            self._counters.count("leg_resent", len(packets))
            self._port.send(peer, packets)

    def send_reports(self, now: float) -> None:
        """Send a sender report of every running leg: the camera's own clocks, so that sound and picture stay together."""
        peer = self.peer
        if peer is None or not self.connected:
            return
        ntp = rtcp.ntp_from_ns(self._clock.utc_ns())
        for slot in self.all_slots:
            report = _sender_report(slot, ntp, now)
            if report is not None:
                compound = rtcp.build_sender_report(report) + rtcp.build_sdes(report.ssrc, self._cname)
                peer.send_rtcp(compound, now)


def _sender_report(slot: Slot, ntp: int, now: float) -> rtcp.SenderReport | None:
    leg, stream = slot.leg, slot.stream
    rtp_now = stream.clock.rtp_at(now) if stream is not None and leg.running and leg.packets else None
    if rtp_now is None:
        return None
    return rtcp.SenderReport(leg.spec.ssrc, ntp, (rtp_now + leg.timestamp_shift) & 0xFFFFFFFF, leg.packets, leg.octets, ())


def _keep_sealed(history: History[bytes], parts: Sequence[Part], lengths: Sequence[int], scratch: bytearray) -> None:
    at = 0
    for part, length in zip(parts, lengths, strict=True):
        history.keep(part[2], bytes(scratch[at : at + length]))
        at += length
