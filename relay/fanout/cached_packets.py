"""The packets of one video stream since its last IDR, and what a new viewer gets of them.

Owns: where the cache begins: at an IDR, and where none comes, at another picture in which a decoder may begin.
Must never know: legs, sockets.

`stream.KeyframeCache` puts packets in, one by one.
"""

from bisect import bisect_right

from relay.fanout.replay import Beginning, beginning, packets_ahead
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
        self._begun = Beginning(0, False, (), b"", None)
        """Its first picture."""
        self.recovery: int | None = None
        """Timestamp of the newest picture that is no IDR, and in which a decoder may begin; the owner sets it."""
        self.packets: list[MediaPacket] = []
        """In order of their indices; before the first IDR the first few of the newest picture, and its last one."""
        self._bytes = 0
        self._start: int | None = None
        self.is_idr = False
        """Whether a viewer can start at an IDR."""
        self._overruns = 0

    def take_overruns(self) -> int:
        """Return how often the cache was dropped since the last call."""
        overruns, self._overruns = self._overruns, 0
        return overruns

    def replay(self) -> list[MediaPacket]:
        """Return what a new viewer needs before the live packets; empty where there is no picture to start from."""
        return [] if self._start is None else packets_ahead(self._begun, self.packets) + self.packets

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
        """Forget everything; the next beginning begins a new cache."""
        self.packets = []
        self._bytes = 0
        self._start = None
        self.is_idr = False

    @property
    def ready(self) -> bool:
        """Whether a viewer can start now."""
        return self._start is not None

    def _begins(self, media: MediaPacket) -> bool:
        """Begin again where a packet is of a picture in which a viewer may start; an IDR is left for another IDR only."""
        if media.timestamp == self._start and (self.is_idr or not media.keyframe):
            return False
        if not (media.keyframe or media.timestamp == self.recovery):
            return False
        if self.packets and media.index <= self.packets[0].index:
            return False
        self._begin(media)
        return True

    def _begin(self, media: MediaPacket) -> None:
        """Start again at the first packet of this access unit: delimiter and SEI may have come before the SPS."""
        same = [packet for packet in self.packets if packet.timestamp == media.timestamp]
        self.packets = same
        self._bytes = sum(len(packet.payload) + PACKET_BYTES for packet in same)
        self._start, self.is_idr = media.timestamp, media.keyframe
        self._begun = beginning(media, self._sets)

    def _remember_head(self, media: MediaPacket) -> None:
        """Without an IDR keep the current access unit only, whose next packet may turn out to be one."""
        if self.packets and self.packets[-1].timestamp != media.timestamp:
            self.packets.clear()
        if len(self.packets) >= MAX_HEAD:
            self.packets.pop()
        self.packets.append(media)
        self._bytes = 0
