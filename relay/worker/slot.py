"""One slot of a viewer: the place where a leg, a journalled view and a lease meet.

What this file owns: what a slot shows and for how long it may.  What it must never know: other viewers, the channel's frames,
sockets (it hands sealed bursts to its viewer).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from relay.channel.messages import Layer, LegReport
from relay.fanout.leg import Leg, Part
from relay.fanout.media import Media
from relay.fanout.stream import Stream
from relay.rtp.rtcp import ReportBlock

MAX_SAMPLES = 128


class Outlet(Protocol):
    """Where a slot's packets go: the viewer."""

    @property
    def connected(self) -> bool:
        """Whether packets can be sent."""
        ...

    def send(self, slot: "Slot", parts: Sequence[Part], now: float) -> None:
        """Seal and send parts in order."""
        ...

    def first_packet(self, slot: "Slot") -> int:
        """The first packet of a view left; returns UTC nanoseconds."""
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
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.packets = 0
        self.heard = Heard()
        self._octets = 0
        self._delays: list[float] = []

    # --- what it shows -------------------------------------------------------------------------------------------------

    def assign(self, camera: str, view: str, layer: Layer, lease: float) -> None:
        """Show a camera from now on, under a view."""
        self.clear()
        self.camera, self.view, self.wanted, self.lease = camera, view, layer, lease

    def clear(self) -> None:
        """Show nothing; the caller has said how the view ended."""
        self.leg.stop()
        self.camera = self.stream = self.first_ns = self.last_ns = None
        self.view = ""
        self.packets = 0

    def restart(self) -> None:
        """Begin again at a keyframe."""
        self.leg.stop()
        self.stream = None

    # --- packets -------------------------------------------------------------------------------------------------------

    def deliver(self, stream: Stream, batch: Sequence[Media], now: float) -> None:
        """Send a batch of `stream`, which is the one this slot should show."""
        if not self.outlet.connected:
            return
        parts = self.leg.forward(batch, now) if stream is self.stream else self._begin(stream, batch, now)
        if not parts:
            return
        self.outlet.send(self, parts, now)
        if self.first_ns is None and self.view:
            self.first_ns = self.outlet.first_packet(self)
        self.packets += len(parts)

    def _begin(self, stream: Stream, batch: Sequence[Media], now: float) -> list[Part]:
        """Start, or change layer: from the last keyframe on; sound from its newest packet on."""
        replay = list(batch[-1:]) if stream.spec.kind == "audio" else stream.cache.replay()
        if not replay:
            stream.asker.want(now)
            return []
        self.stream = stream
        return self.leg.start(replay, now)

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
        octets = self.leg.octets - self._octets
        self._octets = self.leg.octets
        delays, self._delays = self._delays, []
        rtt = self.heard.rtt
        return LegReport(
            view=self.view,
            kbps=octets * 8 / 1000,
            loss=self.heard.loss,
            rtt_ms=None if rtt is None else rtt * 1000,
            layer=self.wanted,
            limited=False,
            delay_ms=median(delays) * 1000 if delays else 0.0,
        )
