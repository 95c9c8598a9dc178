"""Where a picture ends (RFC 6184 §5.1, H.264 §7.4.1.2.4), and whether a stream's marker bits can be trusted.

Owns: the identity of pictures by their slice headers, what was learned of one stream's markers.  Must never know: sequence
numbers, sockets, samples.

By the RFC a picture ends with its marker bit, or before the next timestamp.  Some cameras set the bit on each slice, or
never, or on parameter sets.  Some give each slice a timestamp of its own, some give two pictures the same.  Slices of one
picture have the same `frame_num`, parameter set, order and field in their headers, so the headers decide where marker and
timestamp contradict each other.

Honest streams pay nothing.  The marker is believed until a packet after it goes on with the picture that it seemed to end.
From then on (`trusted` is false) a picture ends where the next one begins.  No header is read of a slice that begins its
picture under its own timestamp."""

from enum import Enum
from typing import NamedTuple

from relay.base.errors import TheirError
from relay.rtp.h264 import FU_A, IDR, PARTITION_A, PPS, SLICE, SPS, Bits, PictureOrder, Sps, parse_sps, units

HEADED = frozenset({SLICE, PARTITION_A, IDR})
"""Units that begin with a slice header."""
TRAILING = frozenset({3, 4, 10, 11, 12, 19, 20, 21, 22, 23})
"""Units that belong to the picture before them: data partitions, end of sequence and of stream, filler, other layers and views,
and types that H.264 leaves open.  All others, but slices, go with the picture after them."""
MAX_SETS = 32
"""Sequence parameter sets that H.264 allows.  Picture parameter sets may be 256."""
_HEADER_BYTES = 48


class Relation(Enum):
    """What one slice is to another."""

    SAME = "same"
    """Of the same picture."""
    FIELD = "field"
    """Of the other field of the same frame."""
    OTHER = "other"
    UNKNOWN = "unknown"
    """A parameter set is missing, or a header is cut."""


class Pps(NamedTuple):
    """The facts of a picture parameter set that the relay uses."""

    number: int
    sps: int
    orders_fields: bool
    """bottom_field_pic_order_in_frame_present_flag."""


class _Header(NamedTuple):
    """What all slices of a picture have in common (H.264 §7.4.1.2.4)."""

    frame_num: int
    pps: int
    is_field: bool
    is_bottom: bool
    is_reference: bool
    idr: int | None
    """idr_pic_id."""
    order: tuple[int, int]


def parse_pps(unit: bytes) -> Pps:
    """Read the beginning of a PPS with its NAL header (H.264 §7.3.2.2); raises TheirError where it is cut."""
    bits = Bits(unit, 32)
    number, sps = bits.ue(), bits.ue()
    bits.u(1)
    return Pps(number, sps, bool(bits.u(1)))


def begins_with_macroblock_0(unit: bytes) -> bool:
    """Return whether a slice (with its NAL header) has first_mb_in_slice 0."""
    return len(unit) > 1 and unit[1] > 127


def is_beginning(payload: bytes) -> bool:
    """Return whether a payload of another timestamp begins a picture: it is no piece, and no slice but that of macroblock 0.

    It is asked for every picture, so it calls nothing.
    """
    kind = payload[0] & 31
    if kind == FU_A:
        return len(payload) > 2 and payload[1] > 127 and (payload[1] & 31 not in HEADED or payload[2] > 127)
    return kind not in HEADED or (len(payload) > 1 and payload[1] > 127)


class PictureEnds:
    """Learns one stream's parameter sets, and whether its markers can be trusted."""

    __slots__ = ("_pps", "_sps", "trusted", "wrong")

    def __init__(self) -> None:
        self.trusted = True
        """Whether a marker ends a picture at once."""
        self.wrong = 0
        """Markers that came before the end of their picture."""
        self._sps: dict[int, Sps] = {}
        self._pps: dict[int, Pps] = {}

    def learn(self, unit: bytes) -> None:
        """Take a parameter set with its NAL header; one that cannot be read changes nothing."""
        try:
            if unit[0] & 31 == SPS:
                sps = parse_sps(unit)
                if sps.number < MAX_SETS:
                    self._sps[sps.number] = sps
            elif unit[0] & 31 == PPS:
                pps = parse_pps(unit)
                if pps.number < 256:
                    self._pps[pps.number] = pps
        except TheirError:
            return

    def contradicted(self) -> None:
        """A packet after a marker went on with the picture that it seemed to end."""
        self.trusted = False
        self.wrong += 1

    def relation(self, first: bytes, other: bytes) -> Relation:
        """Return what slice `other` is to the slice `first` before it; it reads the first 48 bytes of each."""
        try:
            one, two = self._header(first), self._header(other)
        except (TheirError, KeyError, IndexError):
            return Relation.UNKNOWN
        if one.is_field and two.is_field and one.is_bottom != two.is_bottom and one.frame_num == two.frame_num:
            return Relation.FIELD
        return Relation.SAME if one == two else Relation.OTHER

    def continues(self, first: bytes, payload: bytes) -> bool:
        """Return whether a payload belongs to the picture of slice `first`, whose timestamp it has; raises TheirError.

        `first` and the payload may be the beginnings of longer units.  Units that go before a picture belong to the next one.
        """
        for unit in units(payload):
            if not unit.start or unit.kind in TRAILING:
                return True
            if unit.kind in HEADED:
                return self.joins(first, unit.data)
        return False

    def joins(self, first: bytes, unit: bytes) -> bool:
        """Return whether a slice goes into the access unit of slice `first` under the same timestamp.

        Both fields of a frame do.  Without parameter sets a slice begins another picture where it begins with macroblock 0.
        """
        relation = self.relation(first, unit)
        if relation is Relation.UNKNOWN:
            return not begins_with_macroblock_0(unit)
        return relation is not Relation.OTHER

    def held_back(self, unit: bytes) -> int | None:
        """Return how many pictures the decoder of a slice may hold back (`Sps.held_back`), None where it is not known."""
        bits = Bits(unit, _HEADER_BYTES)
        try:
            bits.ue()
            bits.ue()
            return self._sps[self._pps[bits.ue()].sps].held_back
        except (TheirError, KeyError):
            return None

    def _header(self, unit: bytes) -> _Header:
        """Read the beginning of a slice header (H.264 §7.3.3)."""
        kind, reference = unit[0] & 31, unit[0] >> 5 & 3
        bits = Bits(unit, _HEADER_BYTES)
        bits.ue()
        bits.ue()
        number = bits.ue()
        pps = self._pps[number]
        sps = self._sps[pps.sps]
        if sps.separate_planes:
            bits.u(2)
        frame_num = bits.u(sps.frame_num_bits)
        is_field = not sps.frames_only and bool(bits.u(1))
        is_bottom = is_field and bool(bits.u(1))
        idr = bits.ue() if kind == IDR else None
        order = _order(bits, sps.order, pps.orders_fields and not is_field)
        return _Header(frame_num, number, is_field, is_bottom, reference > 0, idr, order)


def _order(bits: Bits, order: PictureOrder, has_second: bool) -> tuple[int, int]:
    if order.kind == 0:
        return bits.u(order.bits), bits.se() if has_second else 0
    if order.kind == 1 and not order.always_zero:
        return bits.se(), bits.se() if has_second else 0
    return 0, 0
