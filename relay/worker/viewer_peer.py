"""One viewer: its slots, its sound, and what it says about what it received.

What this file owns: a viewer's peer and its legs.  What it must never know: why it may watch (control decided that), cameras'
sockets.
"""

import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from relay.base.clock import Clock
from relay.base.counters import Counters, declare
from relay.base.errors import TheirError
from relay.fanout.leg import Leg, LegSpec
from relay.fanout.limit import QualityLevel, ViewerLimit
from relay.fanout.resend import SealedHistory
from relay.rtp import rtcp
from relay.rtp.burst import Burst, HeaderTemplate, LayoutKey
from relay.transport.port import Peer, Port
from relay.transport.sdp import MediaOut, ViewerAnswer
from relay.transport.srtp import SrtpSession
from relay.worker.slot import Slot

PACED = 2
"""Bursts of a longer run (a keyframe cache) that are sent at once, so that it does not overflow the viewer's socket buffer."""
KEYFRAME_EVERY = 2.0
"""Seconds between keyframes asked of a camera for viewers that get nothing else."""
MAX_BACKLOG = 512
"""Bursts that may wait per slot."""

declare(
    leg_packets="packets sealed for viewers",
    leg_resent="packets resent to viewers",
    leg_overrun="legs restarted because their backlog was full",
    viewer_malformed="RTCP of viewers that could not be read",
)


_TEMPLATES: WeakValueDictionary[tuple[object, ...], HeaderTemplate] = WeakValueDictionary()


def leg_spec(media: MediaOut, playout_delay_max_ms: int) -> LegSpec:
    """Return what a leg needs to know of an agreed m-line."""
    extensions = media.extensions
    dress = _template(
        media.codec.payload_type,
        media.mid.encode(),
        extensions.mid,
        extensions.abs_send_time,
        extensions.playout_delay if media.kind == "video" else None,
        (playout_delay_max_ms // 10).to_bytes(3, "big"),
    )
    return LegSpec(media.ssrc, media.codec.clock_rate, dress, media.rtx_ssrc, media.codec.rtx_payload_type)


def _template(*fields: Any) -> HeaderTemplate:
    """Equal dresses are one object, so that their legs share one layout per burst."""
    found = _TEMPLATES.get(fields)
    if found is None:
        found = _TEMPLATES[fields] = HeaderTemplate(*fields)
    return found


@dataclass(frozen=True, slots=True)
class ViewerEvents:
    """What a viewer tells its worker; plain callables, so that the worker stays the owner of all lists."""

    connected: Callable[["ViewerPeer"], None]
    closed: Callable[["ViewerPeer", str], None]
    started: Callable[[Slot], None]
    waiting: Callable[["ViewerPeer"], None]
    """Packets wait: call `drain_all` soon."""


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
        self._legs = {slot.leg.spec.ssrc: slot for slot in self.all_slots}
        self._sealed = {slot: SealedHistory() for slot in self.all_slots if slot.leg.spec.rtx_ssrc is None}
        self._backlog: dict[Slot, deque[tuple[Burst, int, int]]] = {}
        self._cname = answer.cname
        self._port = port
        self._clock = clock
        self._counters = counters
        self._events = events
        self.connected = False
        self._srtp: SrtpSession
        self._layout_keys: dict[Slot, LayoutKey] = {}
        self.limit = ViewerLimit()
        self._remb: int | None = None

    def _slot(self, number: int, media: MediaOut, playout_delay_max_ms: int) -> Slot:
        first, rtx, timestamp = secrets.randbits(15), secrets.randbits(15), secrets.randbits(32)
        return Slot(number, Leg(leg_spec(media, playout_delay_max_ms), first, timestamp, rtx), self)

    @property
    def all_slots(self) -> list[Slot]:
        """The slots, and the sound's where there is one."""
        return [*self.slots, self.audio] if self.audio is not None else list(self.slots)

    @property
    def etag(self) -> str:
        """Name of the current ICE generation."""
        return self.peer.ice.local.ufrag if self.peer is not None else ""

    # --- the transport's handler ---------------------------------------------------------------------------------------

    def on_connected(self, peer: Peer, now: float) -> None:
        """DTLS is done."""
        self.connected = True
        self._srtp = peer.srtp
        self._layout_keys = {slot: (slot.leg.spec.dress, peer.srtp.overhead) for slot in self.all_slots}
        self._events.connected(self)

    def on_rtp(self, peer: Peer, packet: bytes, now: float) -> None:
        """Viewers send no media: ignored."""

    def on_batch_end(self, now: float) -> None:
        """Nothing is gathered here."""

    def on_closed(self, peer: Peer, reason: str, now: float) -> None:
        """The viewer went away."""
        self.connected = False
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
            self._remb = packet.bitrate
        elif isinstance(packet, rtcp.ReceiverReport | rtcp.SenderReport):
            ntp_now = rtcp.ntp_from_ns(self._clock.utc_ns()) >> 16 & 0xFFFFFFFF
            for block in packet.reports:
                slot = self._legs.get(block.ssrc)
                if slot is not None:
                    slot.take_report(block, ntp_now)

    def _want_keyframe(self, ssrc: int, now: float) -> None:
        slot = self._legs.get(ssrc)
        if slot is not None and slot.stream is not None:
            slot.stream.keyframes.want(now)

    # --- sending -------------------------------------------------------------------------------------------------------

    def send(self, slot: Slot, burst: Burst, now: float) -> None:
        """See `Outlet`."""
        if self._backlog and slot in self._backlog:
            self._wait(slot, burst)
        else:
            self._send_now(slot, burst, slot.leg.shift, slot.leg.timestamp_shift, now)

    def replay(self, slot: Slot, bursts: Sequence[Burst], now: float) -> None:
        """See `Outlet`."""
        self.forget_backlog(slot)
        for burst in bursts:
            self._wait(slot, burst)
        self._drain(slot, now)
        if self._backlog:
            self._events.waiting(self)

    def drain_all(self, now: float) -> bool:
        """Send the next piece of every backlog; tell whether anything still waits."""
        for slot in list(self._backlog):
            self._drain(slot, now)
        return bool(self._backlog)

    def _drain(self, slot: Slot, now: float) -> None:
        backlog = self._backlog.get(slot)
        for _ in range(PACED):
            if backlog:
                self._send_now(slot, *backlog.popleft(), now)
        if not backlog:
            self._backlog.pop(slot, None)

    def _wait(self, slot: Slot, burst: Burst) -> None:
        backlog = self._backlog.setdefault(slot, deque())
        if len(backlog) >= MAX_BACKLOG:
            self._counters.count("leg_overrun")
            self.forget_backlog(slot)
            slot.restart()
        else:
            backlog.append((burst, slot.leg.shift, slot.leg.timestamp_shift))

    def forget_backlog(self, slot: Slot) -> None:
        """What waited for a slot that shows something else now is not sent (its indices stay unused)."""
        self._backlog.pop(slot, None)
        if slot in self._sealed:
            self._sealed[slot].clear()

    def first_packet(self, slot: Slot) -> None:
        """See `Outlet`.  The clocks are told at once, so that sound and picture are together from the start."""
        self._events.started(slot)
        self._send_report(slot, self._clock.monotonic())

    def _send_now(self, slot: Slot, burst: Burst, shift: int, timestamp_shift: int, now: float) -> None:
        peer = self.peer
        if peer is None or not self.connected:
            return
        spec = slot.leg.spec
        layout = burst.layout(self._layout_keys[slot], now)
        self._srtp.seal_layout(layout, spec.ssrc, shift, timestamp_shift)
        self._port.send_layout(peer, layout)
        if spec.rtx_ssrc is None:
            self._sealed[slot].keep(layout, shift, now)
        self._counters.values["leg_packets"] += burst.count
        slot.sent(burst.count, now)

    def _resend(self, nack: rtcp.Nack, now: float) -> None:
        slot = self._legs.get(nack.media)
        peer = self.peer
        if slot is None or peer is None or not self.connected or slot.camera is None:
            return
        sealed = self._sealed.get(slot)
        allowance = slot.leg.history.allowance if sealed is None else sealed.allowance
        refused = allowance.refused
        if sealed is not None:
            packets = list(sealed.answer(nack.lost, slot.leg.high, now))
        else:
            packets = [self._srtp.seal(*part) for part in slot.leg.resend(nack.lost, now)]
        self._counters.count("leg_resend_refused", allowance.refused - refused)
        if packets:
            self._counters.count("leg_resent", len(packets))
            self._port.send(peer, packets)

    def adapt(self, now: float) -> None:
        """Once a second: obey what the viewer says it can take, and forget what it will not ask for again."""
        for slot in self.all_slots:
            slot.leg.history.expire(now)
        for sealed in self._sealed.values():
            sealed.expire(now)
        showing = [slot for slot in self.slots if slot.camera is not None and slot.wanted != "key"]
        move = self.limit.update(self._remb, [slot.load() for slot in showing], now)
        if move is not None:
            showing[move[0]].move(move[1])
        for slot in self.slots:
            if slot.rung is QualityLevel.KEYFRAMES and slot.stream is not None and now - slot.stream.keyed_at > KEYFRAME_EVERY:
                slot.stream.keyframes.want(now)

    def send_reports(self, now: float) -> None:
        """Send a sender report of every running leg: the camera's own clocks, so that sound and picture stay together."""
        for slot in self.all_slots:
            self._send_report(slot, now)

    def _send_report(self, slot: Slot, now: float) -> None:
        peer, utc_ns = self.peer, self._clock.utc_ns()
        report = _sender_report(slot, rtcp.ntp_from_ns(utc_ns), now)
        if report is not None and peer is not None and self.connected:
            slot.stamp = (utc_ns, report.rtp)
            compound = rtcp.build_sender_report(report) + rtcp.build_sdes(report.ssrc, self._cname)
            peer.send_rtcp(compound, now)


def _sender_report(slot: Slot, ntp: int, now: float) -> rtcp.SenderReport | None:
    leg, stream = slot.leg, slot.stream
    rtp_now = stream.clock.rtp_at(now) if stream is not None and leg.running and leg.packets else None
    if rtp_now is None:
        return None
    return rtcp.SenderReport(leg.spec.ssrc, ntp, (rtp_now + leg.timestamp_shift) & 0xFFFFFFFF, leg.packets, leg.octets, ())
