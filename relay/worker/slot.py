"""One slot of a viewer: the place where a leg, a journalled view and a lease meet.

What this file owns: what a slot shows and for how long it may.  What it must never know: other viewers, the channel's frames,
sockets (it hands sealed bursts to its viewer).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from relay.channel.messages import Layer, LegReport
from relay.fanout.leg import Leg
from relay.fanout.limit import Load, QualityLevel
from relay.fanout.stream import Stream
from relay.rtp.burst import Burst, MediaPacket
from relay.rtp.rtcp import ReportBlock

MAX_SAMPLES = 128


def _all_but_droppable(media: MediaPacket) -> bool:
    return not media.droppable


def _of_a_keyframe(media: MediaPacket) -> bool:
    return media.idr


def _any(media: MediaPacket) -> bool:
    return True


_WANTED: dict[QualityLevel, Callable[[MediaPacket], bool]] = {
    QualityLevel.NO_DROPPABLE: _all_but_droppable,
    QualityLevel.SMALL: _any,
    QualityLevel.KEYFRAMES: _of_a_keyframe,
}


class Outlet(Protocol):
    """Where a slot's packets go: the viewer."""

    connected: bool
    """Whether packets can be sent."""

    def send(self, slot: "Slot", burst: Burst, now: float) -> None:
        """Seal and send a burst that the slot's leg took, or nothing where others wait before it."""
        ...

    def replay(self, slot: "Slot", bursts: Sequence[Burst], now: float) -> None:
        """Send what a leg begins with, in pieces."""
        ...

    def first_packet(self, slot: "Slot") -> None:
        """The first packet of a view left."""
        ...


@dataclass(slots=True)
class Heard:
    """What a viewer's receiver reports said last."""

    loss: float = 0.0
    rtt: float | None = None


class Slot:
    """A place in a viewer's wall; `number` is -1 for the sound."""

    def __init__(self, number: int, leg: Leg, outlet: Outlet) -> None:
        self.number = number
        self.leg = leg
        self.outlet = outlet
        self.camera: str | None = None
        self.view = ""
        self.wanted: Layer = "high"
        self.lease = 0.0
        self.stream: Stream | None = None
        self.first_at = 0.0
        self.last_at = 0.0
        self.packets = 0
        self.heard = Heard()
        self.rung = QualityLevel.ALL
        self.kbps = 0.0
        self.stamp: tuple[int, int] | None = None
        """Of its last sender report: our UTC ns, and the leg's RTP time then."""
        self.layered = False
        """Its camera sends more than one layer."""
        self._octets = 0
        self._delays: list[float] = []

    # --- what it shows -------------------------------------------------------------------------------------------------

    def assign(self, camera: str, view: str, layer: Layer, lease: float) -> None:
        """Show a camera from now on, under a view."""
        self.clear()
        self.camera, self.view, self.lease = camera, view, lease
        self.want(layer)

    def clear(self) -> None:
        """Show nothing; the caller has said how the view ended."""
        self.leg.stop()
        self.camera = self.stream = self.stamp = None
        self.rung = QualityLevel.ALL
        self.layered = False
        self.view = ""
        self.packets = 0

    def span(self, utc_ns: int, now: float) -> tuple[int | None, int | None]:
        """Return when the first and the last packet of this view left, UTC nanoseconds; None where none did."""
        if not self.packets:
            return None, None
        return utc_ns - round((now - self.first_at) * 1e9), utc_ns - round((now - self.last_at) * 1e9)

    def restart(self) -> None:
        """Begin again at a keyframe."""
        self.leg.stop()
        self.stream = self.stamp = None

    @property
    def layer(self) -> Layer:
        """Which layer it shows: the wanted one, or a smaller one where the viewer cannot keep up."""
        if self.rung is QualityLevel.KEYFRAMES:
            return "key"
        return "low" if self.rung is QualityLevel.SMALL else self.wanted

    def want(self, layer: Layer) -> None:
        """The tile changed size."""
        self.wanted = layer
        if (layer == "key") != (self.rung is QualityLevel.KEYFRAMES):
            self.move(QualityLevel.KEYFRAMES if layer == "key" else QualityLevel.ALL)

    def move(self, rung: QualityLevel) -> None:
        """Send more or less from now on; from keyframes only it begins again at a keyframe."""
        if self.rung is QualityLevel.KEYFRAMES and rung is not QualityLevel.KEYFRAMES:
            self.restart()
        self.rung = rung

    def load(self) -> Load:
        """What this leg costs, measured since the last call (a second ago)."""
        octets = self.leg.octets - self._octets
        self._octets = self.leg.octets
        self.kbps = octets * 8 / 1000
        stream = self.stream
        droppable = stream is not None and stream.droppables > 0
        # What the camera's own radio loses shows in the viewer's reports too: sending that viewer less would not help.
        loss = self.heard.loss if stream is None else max(0.0, self.heard.loss - stream.inbound.reception.loss)
        return Load(self.rung, self.kbps, loss, droppable=droppable, layered=self.layered)

    # --- packets -------------------------------------------------------------------------------------------------------

    def deliver(self, stream: Stream, burst: Burst, now: float) -> None:
        """Send a burst of `stream`, which is the one this slot should show."""
        outlet = self.outlet
        if not outlet.connected:
            return
        if stream is not self.stream:
            self.begin(stream, burst, now)
            return
        rung = self.rung
        if rung is QualityLevel.ALL:
            admitted = self.leg.admit(burst, now)
        else:
            admitted = self.leg.thin(burst, _WANTED[rung], now, alone=rung is QualityLevel.KEYFRAMES)
        if admitted is not None:
            outlet.send(self, admitted, now)

    def begin(self, stream: Stream, burst: Burst | None, now: float) -> None:
        """Start, or change layer: a picture from the last keyframe on, sound from its newest packet on."""
        if not self.outlet.connected:
            return
        newest = list(burst.packets[-1:]) if burst is not None else []
        replay = stream.cache.replay() if stream.spec.kind == "video" else newest
        if not replay:
            stream.keyframes.want(now)
            return
        self.stream = stream
        self.outlet.replay(self, self.leg.start(replay, now), now)

    def sent(self, packets: int, now: float) -> None:
        """Packets left."""
        if not self.packets:
            self.first_at = now
            self.outlet.first_packet(self)
        self.packets += packets
        self.last_at = now

    def measured(self, delay: float) -> None:
        """Relay's own share of the delay of a batch, seconds."""
        if len(self._delays) < MAX_SAMPLES:
            self._delays.append(delay)

    # --- reports -------------------------------------------------------------------------------------------------------

    def take_report(self, block: ReportBlock, ntp_now: int) -> None:
        """A receiver report of the viewer on this leg (RFC 3550 §6.4.1); `ntp_now` middle 32 bits."""
        self.heard.loss = block.fraction_lost / 256
        if block.last_sr:
            round_trip = (ntp_now - block.last_sr - block.delay) & 0xFFFFFFFF
            if round_trip < 10 << 16:
                self.heard.rtt = round_trip / 65536

    def report(self) -> LegReport:
        """What goes into the worker's report, for the last second."""
        delays, self._delays = self._delays, []
        rtt = self.heard.rtt
        return LegReport(
            view=self.view,
            kbps=self.kbps,
            loss=self.heard.loss,
            rtt_ms=None if rtt is None else rtt * 1000,
            layer=self.layer,
            limited=self.rung is not QualityLevel.ALL,
            delay_ms=median(delays) * 1000 if delays else 0.0,
            stamp=self.stamp,
        )
