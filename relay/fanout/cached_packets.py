"""The packets of one video stream since its last IDR, and what a new viewer gets of them.

Owns: where the cache begins, and the parameter sets that go before it.  Must never know: legs, sockets.

`stream.KeyframeCache` puts packets in, one by one.
"""

from bisect import bisect_right

from relay.fanout.inspection import sets_in
from relay.rtp.burst import MediaPacket
from relay.rtp.parameter_sets import ParameterSets

PACKET_BYTES = 250
"""Bytes that a packet costs beside its payload: a stream of tiny packets must not fill more memory than one of large ones."""
MAX_HEAD = 8
"""Packets that are kept of a picture before it is known to be an IDR."""


class CachedPackets:
    """The packets, in order, without duplicates."""

    def __init__(self, sets: ParameterSets | None = None) -> None:
        """`sets`: those in force in the stream; its owner keeps them up to date."""
        self._sets = ParameterSets() if sets is None else sets
        self._needed: tuple[bytes, ...] = ()
        """Those that were in force when the IDR came."""
        self.packets: list[MediaPacket] = []
        """In order of their indices; before the first IDR the first few of the newest picture, and its last one."""
        self._bytes = 0
        self._start: int | None = None
        self._overruns = 0

    def take_overruns(self) -> int:
        """Return how often the cache was dropped since the last call."""
        overruns, self._overruns = self._overruns, 0
        return overruns

    def replay(self) -> list[MediaPacket]:
        """Return what a new viewer needs before the live packets; empty where there is no IDR to start from.

        Parameter sets that the camera sent before, or in its offer only, go first, each in a packet of its own.
        """
        if self._start is None:
            return []
        carried = {unit for media in self.packets if media.timestamp == self._start for unit in sets_in(media.payload)}
        missing = [unit for unit in self._needed if unit not in carried]
        first = self.packets[0]
        index = first.index - len(missing)
        ahead = [MediaPacket(index + at, self._start, False, unit, first.arrival, idr=True) for at, unit in enumerate(missing)]
        return ahead + self.packets

    def behind(self, media: MediaPacket) -> MediaPacket | None:
        """Return the packet behind one, None where it is not there."""
        at = bisect_right(self.packets, media.index, key=lambda packet: packet.index)
        found = self.packets[at] if at < len(self.packets) else None
        return found if found is not None and found.index == media.index + 1 else None

    def before(self, media: MediaPacket) -> MediaPacket | None:
        """Return the packet before one, None where it is not there."""
        at = bisect_right(self.packets, media.index - 1, key=lambda packet: packet.index) - 1
        return self.packets[at] if at >= 0 and self.packets[at].index == media.index - 1 else None

    def clear(self) -> None:
        """Forget everything; the next IDR begins a new cache."""
        self.packets = []
        self._bytes = 0
        self._start = None

    @property
    def ready(self) -> bool:
        """Whether a viewer can start now."""
        return self._start is not None

    def _is_newer(self, media: MediaPacket) -> bool:
        return not self.packets or media.index > self.packets[0].index

    def _begin(self, media: MediaPacket) -> None:
        """Start again at the first packet of this access unit: delimiter and SEI may have come before the SPS."""
        same = [packet for packet in self.packets if packet.timestamp == media.timestamp]
        self.packets = same
        self._bytes = sum(len(packet.payload) + PACKET_BYTES for packet in same)
        self._start = media.timestamp
        self._needed = self._sets.units

    def _remember_head(self, media: MediaPacket) -> None:
        """Without an IDR keep the current access unit only, whose next packet may turn out to be one."""
        if self.packets and self.packets[-1].timestamp != media.timestamp:
            self.packets.clear()
        if len(self.packets) >= MAX_HEAD:
            self.packets.pop()
        self.packets.append(media)
        self._bytes = 0
