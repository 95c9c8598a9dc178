"""One layer of a camera's picture, or its sound: what came, in which order, and what a viewer may start from.

What this file owns: an SSRC of a camera.  What it must never know: legs, RTCP's rhythm, sockets.
"""

from dataclasses import dataclass
from typing import Literal

from relay.base.errors import TheirError
from relay.fanout.clocks import CameraClock, TrackClock
from relay.fanout.inbound import Inbound
from relay.fanout.keyframes import KeyframeCache, KeyframeRequester
from relay.rtp import h264
from relay.rtp.burst import LIMIT, MediaPacket
from relay.rtp.header import RtpHeader

MAX_PENDING = 2048
HOLD = 0.001
"""Seconds that packets may wait for the rest of their picture: a leg is served for a whole picture at little more than the
price of one packet.  Encoders send a picture within less; on a radio that spreads it the wait is lost time, hence so short."""
_B_SLICES_BELIEVED = 2


@dataclass(frozen=True, slots=True)
class TrackSpec:
    """What was agreed with a camera for one m-line; extension ids are None where the camera does not have them."""

    kind: Literal["video", "audio"]
    mid: str
    payload_type: int
    clock_rate: int
    fmtp: str = ""
    rtx_payload_type: int | None = None
    ssrcs: tuple[int, ...] = ()
    rtx: tuple[tuple[int, int], ...] = ()
    """(RTX SSRC, primary SSRC) pairs."""
    rids: tuple[str, ...] = ()
    mid_id: int | None = None
    rid_id: int | None = None
    rrid_id: int | None = None
    transport_cc_id: int | None = None
    nack: bool = False
    pli: bool = False
    fir: bool = False
    remb: bool = False


class Stream:
    """One SSRC; `pending` holds what came since the last batch was taken."""

    def __init__(self, ssrc: int, rid: str, spec: TrackSpec, camera: CameraClock) -> None:
        self.ssrc = ssrc
        self.rid = rid
        self.spec = spec
        self.inbound = Inbound(spec.clock_rate, nack=spec.nack, rtx=spec.rtx_payload_type is not None)
        self.clock = TrackClock(spec.clock_rate, camera)
        self.cache = KeyframeCache()
        self.asker = KeyframeRequester()
        self.pending: list[MediaPacket] = []
        self.octets = 0
        self.frames = 0
        self.malformed = 0
        self.overrun = 0
        self.width = 0
        self.height = 0
        self.droppables = 0
        """Pictures seen that no other refers to."""
        self.heard_at = 0.0
        """When the last packet came."""
        self.keyed_at = 0.0
        """When the last keyframe began to arrive."""
        self.reordered = False
        """B pictures were seen: such a stream cannot be shown with low delay and is refused."""
        self.last_sr: tuple[int, float] | None = None
        self.reported_lost = 0
        """Packets lost for good for which a keyframe has been asked."""
        self._b_slices = 0
        self._key_timestamp: int | None = None
        self._last_timestamp: int | None = None
        self._clocked: int | None = None

    def receive(self, packet: bytes, header: RtpHeader, now: float, *, repair: bool = False) -> bool:
        """Take a packet; False where it is a duplicate or comes too late to matter."""
        index = self.inbound.accept(header.sequence, header.timestamp, now, repair=repair)
        if index is None:
            return False
        media = MediaPacket(index, header.timestamp, header.marker, header.payload(packet), now)
        self.octets += len(packet)
        self.heard_at = now
        self.frames += header.marker
        if header.timestamp != self._clocked and not repair:  # of a picture, the packet that came first tells the most
            self._clocked = header.timestamp
            self.clock.packet(header.timestamp, now)
        if self.spec.kind == "video" and media.payload:
            self._picture(media, now)
        if len(self.pending) < MAX_PENDING:
            self.pending.append(media)
        else:
            self.overrun += 1
        return True

    def gathering(self, now: float) -> float:
        """Return for how many seconds to wait for the rest of a picture that is still coming in; 0 where there is none."""
        pending = self.pending
        if not pending or self.spec.kind != "video" or len(pending) >= LIMIT or pending[-1].marker:
            return 0.0
        if pending[-1].index < self.inbound.high:  # repaired: late enough already
            return 0.0
        return max(0.0, pending[0].arrival + HOLD - now)

    def take(self) -> list[MediaPacket]:
        """Return what came since the last call."""
        pending, self.pending = self.pending, []
        return pending

    def _picture(self, media: MediaPacket, now: float) -> None:
        payload = media.payload
        if len(payload) > 2 and payload[0] & 31 == h264.FU_A and payload[1] < 0x80:
            media.droppable = not payload[0] & 0x60
        else:
            self._inspect(media, now)
        media.idr = media.timestamp == self._key_timestamp
        self.cache.add(media)

    def _inspect(self, media: MediaPacket, now: float) -> None:
        try:
            found = h264.inspect(media.payload)
        except TheirError:
            self.malformed += 1
            return
        media.keyframe = found.keyframe
        media.droppable = found.droppable
        self.droppables += found.droppable and found.slice is not None
        if found.keyframe and media.timestamp != self._key_timestamp:
            self._key_timestamp = media.timestamp
            self.keyed_at = now
            self.asker.seen(now)
        if found.sps is not None:
            self._measure(found.sps)
        if found.slice is not None and media.timestamp != self._last_timestamp:
            self._last_timestamp = media.timestamp
            self._b_slices += h264.is_b_slice(found.slice)
            self.reordered = self._b_slices >= _B_SLICES_BELIEVED

    def _measure(self, sps: bytes) -> None:
        try:
            parsed = h264.parse_sps(sps)
        except TheirError:
            self.malformed += 1
            return
        self.width, self.height = parsed.width, parsed.height
