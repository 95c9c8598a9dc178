"""The facts of a stream's H.264 pictures, read from its packets in order of arrival.

Owns: what payloads say that cannot be told from their first bytes alone.  Must never know: legs, which packets are kept, time.

`stream.Pictures` reads ordinary packets without calls, and gives all others to `_inspect_units`.
"""

from collections.abc import Callable

from relay.base.errors import TheirError
from relay.fanout.cached_packets import CachedPackets
from relay.fanout.keyframes import KeyframeRequester
from relay.rtp import h264
from relay.rtp.burst import MediaPacket
from relay.rtp.parameter_sets import ParameterSets, sets_in
from relay.rtp.picture_ends import PictureEnds, is_beginning
from relay.rtp.recovery import recovery_pictures

_B_SLICES_BELIEVED = 2


def is_recovery_point(payload: bytes) -> bool:
    """Return whether a payload carries a recovery point SEI."""
    if payload[0] & 31 not in (h264.SEI, h264.STAP_A):
        return False
    return any(unit.kind == h264.SEI and recovery_pictures(unit.data) is not None for unit in h264.units(payload))


class Inspection:
    """The facts, and the slow way to them."""

    __slots__ = (
        "_b_slices",
        "_cached",
        "_ends",
        "_is_in_order",
        "_is_recovery",
        "_key_timestamp",
        "_keyframes",
        "_on_joined",
        "_on_torn",
        "_slice_timestamp",
        "droppable",
        "first_slice",
        "height",
        "keyed_at",
        "malformed",
        "reordered_at",
        "sets",
        "width",
    )

    def __init__(
        self,
        keyframes: KeyframeRequester,
        sets: ParameterSets,
        ends: PictureEnds,
        on_torn: Callable[[MediaPacket], None],
        on_joined: Callable[[MediaPacket], None],
        cached: CachedPackets,
    ) -> None:
        """`cached` is told of recovery points.  The functions are called with a packet before it is taken.

        `on_torn`: with a slice in the middle of a picture under a new timestamp.  `on_joined`: with start codes inside a unit.
        """
        self._on_joined = on_joined
        self._cached = cached
        self.first_slice: MediaPacket | None = None
        """The packet in which the newest picture's first slice begins."""
        self._ends = ends
        self._on_torn = on_torn
        self.sets = sets
        """In force: those of the offer, until the camera sends others."""
        self.width = 0
        self.height = 0
        self.droppable = 0
        """Pictures seen that no other refers to."""
        self.keyed_at = 0.0
        """When the last keyframe began to arrive."""
        self.reordered_at: float | None = None
        """When the last B picture came of a stream whose pictures are shown in another order than they come."""
        self.malformed = 0
        self._keyframes = keyframes
        self._b_slices = 0
        self._is_in_order = False
        """The parameter set says that pictures are shown in the order in which they come, B pictures too."""
        self._key_timestamp: int | None = None
        self._is_recovery = False
        """Whether it is that of a recovery point."""
        self._slice_timestamp: int | None = None

    def _take_b_slice(self, now: float) -> None:
        self._b_slices += 1
        if self._b_slices >= _B_SLICES_BELIEVED and not self._is_in_order:
            self.reordered_at = now

    def _inspect_units(self, media: MediaPacket, now: float) -> None:
        if h264.START_CODE in media.payload:
            self._on_joined(media)
        try:
            found = h264.inspect(media.payload)
        except TheirError:
            self.malformed += 1
            return
        if media.timestamp not in (self._slice_timestamp, self._key_timestamp) and not is_beginning(media.payload):
            self._on_torn(media)
        media.keyframe = found.idr
        media.droppable = found.droppable
        self.droppable += found.droppable and found.slice is not None
        self._take_leading(media)
        if found.idr and (media.timestamp != self._key_timestamp or self._is_recovery):
            self._key_timestamp = media.timestamp
            self._is_recovery = False
            self.first_slice = media
            self.keyed_at = now
            self._keyframes.seen(now)
        if found.sps is not None:
            self._measure(found.sps)
        if found.slice is not None and media.timestamp != self._slice_timestamp:
            self._slice_timestamp = media.timestamp
            self.first_slice = media
            if h264.is_b_slice(found.slice):
                self._take_b_slice(now)

    def _take_leading(self, media: MediaPacket) -> None:
        """Take what goes before a picture: its parameter sets, and that a viewer may begin in it."""
        for unit in sets_in(media.payload):
            media.idr = True
            if self.sets.take(unit):
                self._ends.learn(unit)
        if is_recovery_point(media.payload):
            self._take_recovery(media)

    def _take_recovery(self, media: MediaPacket) -> None:
        """A viewer may begin in this picture although it is no IDR; it serves as a keyframe while no IDR comes."""
        if media.timestamp == self._key_timestamp or self._cached.is_idr:
            return
        self._cached.recovery = self._key_timestamp = media.timestamp
        self._is_recovery = True
        self.keyed_at = media.arrival

    def _measure(self, sps: bytes) -> None:
        try:
            parsed = h264.parse_sps(sps)
        except TheirError:
            self.malformed += 1
            return
        self.width, self.height = parsed.width, parsed.height
        self._is_in_order = parsed.reorder is False
