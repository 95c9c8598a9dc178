"""Units that a camera sent as one, with start codes between (a byte stream packed as RFC 6184 units), parted for viewers.

Owns: which fragmented unit is coming in, and of which type its last part is.  Must never know: numbers, legs, when packets go.

Viewers tell a key picture by the type of its unit: an SPS, PPS and IDR in one FU-A are an SPS to them, and nothing is shown.
Only streams in which such a unit was seen come here.  A start code that lies across two fragments is not found.
"""

from relay.base.errors import TheirError
from relay.rtp import h264
from relay.rtp.burst import MediaPacket
from relay.rtp.h264 import AUD, FU_A, PPS, SEI, SPS, STAP_A, START_CODE
from relay.rtp.parameter_sets import ParameterSets
from relay.rtp.picture_ends import PictureEnds

MAX_PARTS = 16
"""Units that one packet of a fragmented unit is parted into; sets and slices of one picture are fewer."""
_BESIDE = frozenset({SEI, SPS, PPS, AUD})


class JoinedUnits:
    """Parts the units of one stream."""

    __slots__ = ("_ends", "_head", "_sets")

    def __init__(self, sets: ParameterSets, ends: PictureEnds) -> None:
        """`sets`: those in force in the stream; `ends` learns those that are new."""
        self._sets = sets
        self._ends = ends
        self._head: int | None = None
        """NAL header of the fragmented unit that is coming in, as viewers get it."""

    def part(self, media: MediaPacket) -> list[bytes]:
        """Give a packet, the newest one, the last of its units; return the payloads of packets that must go before it."""
        payload = media.payload
        if payload[0] & 31 == FU_A and len(payload) > 1:
            return self._part_fragment(media)
        self._head = None
        if START_CODE in payload:
            media.payload = _together(payload)
        return []

    def part_late(self, media: MediaPacket, before: MediaPacket | None) -> None:
        """The same for a packet that came late, behind `before`: it only gets the type of the unit that it is a piece of."""
        payload = media.payload
        if before is not None and _is_piece(payload) and before.payload[0] & 31 == FU_A and len(before.payload) > 1:
            head = before.payload[0] & 0xE0 | before.payload[1] & 31
            media.payload = _fragment(head, payload[1] & 0xC0, payload[2:])

    def _part_fragment(self, media: MediaPacket) -> list[bytes]:
        payload = media.payload
        begins, ends = payload[1] & 0x80, payload[1] & 0x40
        if begins:
            self._head = payload[0] & 0xE0 | payload[1] & 31
        if self._head is None:
            return []
        first, *others = payload[2:].split(START_CODE, MAX_PARTS)
        ahead: list[bytes] = []
        if others:
            others = [part for part in others if part]
            first = first.rstrip(b"\0")
            ahead = self._whole(bytes((self._head,)) + first) if begins else [_fragment(self._head, 0x40, first)]
        for part in others[:-1]:
            ahead += self._whole(part.rstrip(b"\0"))
        if others:
            begins, first, self._head = 0x80, others[-1][1:], others[-1][0]
        media.payload = _fragment(self._head, begins | ends, first)
        if ends:
            self._head = None
        return ahead

    def _whole(self, unit: bytes) -> list[bytes]:
        """Return a whole unit where it must go ahead: a slice, or a set that is new."""
        kind = unit[0] & 31
        if kind in _BESIDE and not self._sets.take(unit):
            return []
        if kind in (SPS, PPS):
            self._ends.learn(unit)
        return [unit]


def _is_piece(payload: bytes) -> bool:
    return payload[0] & 31 == FU_A and len(payload) > 1 and payload[1] < 0x80


def _fragment(head: int, marks: int, data: bytes) -> bytes:
    """Return a FU-A, or the unit where it would be a fragment alone (RFC 6184 §5.8)."""
    if marks == 0xC0:
        return bytes((head,)) + data
    return bytes((head & 0xE0 | FU_A, marks | head & 31)) + data


def _together(payload: bytes) -> bytes:
    """Return the units of a payload in one STAP-A; the payload itself where it cannot be read."""
    try:
        found = [unit.data for unit in h264.units(payload)]
    except TheirError:
        return payload
    if len(found) < 2:
        return found[0] if found else payload
    reference = max(unit[0] & 0x60 for unit in found)
    return bytes((reference | STAP_A,)) + b"".join(len(unit).to_bytes(2, "big") + unit for unit in found)
