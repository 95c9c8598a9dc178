"""One leg on its way out: its replay, its backlog, sealing and sending, and the packets kept for resending.

Owns: the sending state of one slot.  Must never know: cameras by name, views and leases, other viewers.

Calls go one way: a viewer and its slots call their senders.  Two facts go up, as events: the first packet of a view left, and
packets wait.
"""

from collections import deque
from collections.abc import Callable, Sequence
from statistics import median
from typing import Protocol

from relay.base.counters import Counters, declare
from relay.fanout.leg import Leg
from relay.fanout.limit import QualityLevel
from relay.fanout.resend import Allowance, SealedHistory
from relay.fanout.stream import Stream
from relay.rtp import rtcp
from relay.rtp.burst import Burst, LayoutKey, MediaPacket
from relay.transport.port import Peer, Port

PACED_BURSTS = 2
"""Bursts of a longer run (a keyframe cache) that are sent at once, so that it does not overflow the viewer's socket buffer."""
MAX_BACKLOG = 512
"""Bursts that may wait per leg."""
MAX_DELAY_SAMPLES = 128

declare(
    leg_packets="packets sealed for viewers",
    leg_resent="packets resent to viewers",
    leg_overrun="legs restarted because their backlog was full",
)


def _is_needed_by_others(media: MediaPacket) -> bool:
    return not media.droppable


def _is_of_a_keyframe(media: MediaPacket) -> bool:
    return media.idr


def _any(media: MediaPacket) -> bool:
    return True


_WANTED: dict[QualityLevel, Callable[[MediaPacket], bool]] = {
    QualityLevel.NO_DROPPABLE: _is_needed_by_others,
    QualityLevel.SMALL: _any,
    QualityLevel.KEYFRAMES: _is_of_a_keyframe,
}


class SenderEvents(Protocol):
    """What a leg's sender reports to its viewer."""

    def on_first_packet(self, sender: "LegSender", now: float) -> None:
        """The first packet since `clear` is sealed and sent."""
        ...

    def on_backlog(self) -> None:
        """Packets wait: call `drain` soon, until it says that none are left."""
        ...


class LegSender:
    """The sending state of one leg; nothing is sent before `connect`."""

    def __init__(self, leg: Leg, port: Port, counters: Counters, events: SenderEvents) -> None:
        self.leg = leg
        self.stream: Stream | None = None
        """The stream that is sent; None until one has begun."""
        self.level = QualityLevel.ALL
        self.packets = 0
        """Packets sent since `clear`."""
        self.first_at = 0.0
        self.last_at = 0.0
        self.report_stamp: tuple[int, int] | None = None
        """Of the last sender report: our UTC ns, and the leg's RTP time then."""
        self._port = port
        self._counters = counters
        self._events = events
        self._peer: Peer | None = None
        self._layout_key: LayoutKey = (leg.spec.template, 0)
        self._backlog: deque[tuple[Burst, int, int]] = deque()
        """(burst, shift, timestamp shift), in the order of sending."""
        self._sealed = SealedHistory() if leg.spec.rtx_ssrc is None else None
        self._delays: list[float] = []

    # --- life ----------------------------------------------------------------------------------------------------------

    def connect(self, peer: Peer) -> None:
        """The viewer's handshake is done."""
        self._peer = peer
        self._layout_key = (self.leg.spec.template, peer.srtp.overhead)

    def disconnect(self) -> None:
        """The viewer is gone: nothing more is sent."""
        self._peer = None

    def clear(self) -> None:
        """Send nothing until another stream is delivered.  Indices of packets that waited stay unused."""
        self.restart()
        self.forget_backlog()
        self.level = QualityLevel.ALL
        self.packets = 0

    def restart(self) -> None:
        """Begin again at a keyframe."""
        self.leg.stop()
        self.stream = self.report_stamp = None

    def set_level(self, level: QualityLevel) -> None:
        """Send more or less from now on; after keyframes only, it begins again at a keyframe."""
        if self.level is QualityLevel.KEYFRAMES and level is not QualityLevel.KEYFRAMES:
            self.restart()
        self.level = level

    # --- packets -------------------------------------------------------------------------------------------------------

    def deliver(self, stream: Stream, burst: Burst, now: float) -> None:
        """Send a burst of the stream that this leg should show."""
        if self._peer is None:
            return
        if stream is not self.stream:
            self.begin(stream, burst, now)
            return
        level = self.level
        if level is QualityLevel.ALL:
            admitted = self.leg.admit(burst, now)
        else:
            admitted = self.leg.thin(burst, _WANTED[level], now, alone=level is QualityLevel.KEYFRAMES)
        if admitted is not None:
            self.send(admitted, now)

    def begin(self, stream: Stream, burst: Burst | None, now: float) -> None:
        """Start, or change layer: a picture from the last keyframe on, sound from its newest packet on."""
        if self._peer is None:
            return
        replay = self.start_of(stream, burst)
        if not replay:
            stream.keyframes.want(now)
            return
        self.stream = stream
        self.replay(self.leg.start(replay, now), now)

    def start_of(self, stream: Stream, burst: Burst | None) -> list[MediaPacket]:
        """Return the packets that this leg begins with."""
        if stream.spec.kind == "video":
            return stream.replay()
        return list(burst.packets[-1:]) if burst is not None else []

    def send(self, burst: Burst, now: float) -> None:
        """Seal and send a burst that the leg admitted; where others wait, it waits behind them."""
        if self._backlog:
            self._wait(burst)
        else:
            self._send_now(burst, self.leg.shift, self.leg.timestamp_shift, now)

    def replay(self, bursts: Sequence[Burst], now: float) -> None:
        """Send the bursts that a leg begins with, in pieces."""
        self.forget_backlog()
        for burst in bursts:
            self._wait(burst)
        if self.drain(now):
            self._events.on_backlog()

    def drain(self, now: float) -> bool:
        """Send the next piece of the backlog; returns whether packets still wait."""
        backlog = self._backlog
        for _ in range(PACED_BURSTS):
            if backlog:
                self._send_now(*backlog.popleft(), now)
        return bool(backlog)

    def forget_backlog(self) -> None:
        """Packets that wait, and sealed ones kept for resending, belong to a stream that is no longer sent."""
        self._backlog.clear()
        if self._sealed is not None:
            self._sealed.clear()

    def _wait(self, burst: Burst) -> None:
        if len(self._backlog) >= MAX_BACKLOG:
            self._counters.count("leg_overrun")
            self.forget_backlog()
            self.restart()
        else:
            self._backlog.append((burst, self.leg.shift, self.leg.timestamp_shift))

    def _send_now(self, burst: Burst, shift: int, timestamp_shift: int, now: float) -> None:
        peer = self._peer
        if peer is None:
            return
        layout = burst.layout(self._layout_key, now)
        peer.srtp.seal_layout(layout, self.leg.spec.ssrc, shift, timestamp_shift)
        self._port.send_layout(peer, layout)
        if self._sealed is not None:
            self._sealed.keep(layout, shift, now)
        self._counters.values["leg_packets"] += burst.count
        if not self.packets:
            self.first_at = now
            self._events.on_first_packet(self, now)
        self.packets += burst.count
        self.last_at = now

    # --- resending -----------------------------------------------------------------------------------------------------

    def resend(self, sequences: Sequence[int], now: float) -> None:
        """Answer a NACK: by RTX, or by the very bytes that were sealed (I10)."""
        peer = self._peer
        if peer is None:
            return
        allowance = self._allowance
        refused = allowance.refused
        if self._sealed is not None:
            packets = list(self._sealed.answer(sequences, self.leg.high, now))
        else:
            packets = [peer.srtp.seal(*part) for part in self.leg.resend(sequences, now)]
        self._counters.count("leg_resend_refused", allowance.refused - refused)
        if packets:
            self._counters.count("leg_resent", len(packets))
            self._port.send(peer, packets)

    def learn(self, loss: float, rtt: float | None) -> None:
        """Take what the viewer's receiver report said: share of packets lost, round trip in seconds."""
        self._allowance.learn(loss, rtt)

    @property
    def _allowance(self) -> Allowance:
        return self.leg.history.allowance if self._sealed is None else self._sealed.allowance

    def expire(self, now: float) -> None:
        """Once a second: forget packets that no viewer asks for any more."""
        self.leg.history.expire(now)
        if self._sealed is not None:
            self._sealed.expire(now)

    # --- reports -------------------------------------------------------------------------------------------------------

    def sender_report(self, utc_ns: int, now: float) -> rtcp.SenderReport | None:
        """Return a sender report that carries the camera's own clock, so that sound and picture stay together.

        None before the first packet, and where the camera's clock is not known yet.
        """
        leg, stream = self.leg, self.stream
        rtp_now = stream.clock.rtp_at(now) if stream is not None and leg.running and leg.packets else None
        if rtp_now is None or self._peer is None:
            return None
        rtp_time = (rtp_now + leg.timestamp_shift) & 0xFFFFFFFF
        self.report_stamp = (utc_ns, rtp_time)
        return rtcp.SenderReport(leg.spec.ssrc, rtcp.ntp_from_ns(utc_ns), rtp_time, leg.packets, leg.octets, ())

    def add_delay(self, seconds: float) -> None:
        """Take a sample of the relay's own share of the delay."""
        if len(self._delays) < MAX_DELAY_SAMPLES:
            self._delays.append(seconds)

    def take_delay(self) -> float:
        """Return the median of the samples since the last call, seconds; 0 where there are none."""
        delays, self._delays = self._delays, []
        return median(delays) if delays else 0.0
