"""A leg to a viewer that takes single units only (packetization-mode 0).

Owns: the way of such a leg's packets through `fanout.single_units`.  Must never know: views, other viewers.
"""

from relay.base.counters import Counters
from relay.fanout.leg import Leg
from relay.fanout.single_units import SingleUnits
from relay.fanout.stream import Stream
from relay.rtp.burst import Burst, MediaPacket, bursts
from relay.transport.port import Port
from relay.worker.leg_sender import LegSender, SenderEvents


class SingleUnitSender(LegSender):
    """As `LegSender`."""

    def __init__(self, leg: Leg, port: Port, counters: Counters, events: SenderEvents) -> None:
        super().__init__(leg, port, counters, events)
        self._units = SingleUnits()

    def deliver(self, stream: Stream, burst: Burst, now: float) -> None:
        """See `LegSender`."""
        if stream is not self.stream:
            self.begin(stream, burst, now)
            return
        for part in bursts(self._units.take(burst.packets)):
            super().deliver(stream, part, now)

    def start_of(self, stream: Stream, burst: Burst | None) -> list[MediaPacket]:
        """See `LegSender`."""
        self._units = SingleUnits()
        return self._units.take(super().start_of(stream, burst))
