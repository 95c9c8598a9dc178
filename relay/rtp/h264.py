"""H.264 in RTP (RFC 6184, packetization-mode 1) and the few bits of H.264 itself that a relay needs (ITU-T H.264 §7.3).

Owns: NAL units inside payloads, where a keyframe starts, which packets no picture refers to, the picture's size,
whether pictures are reordered (B-frames).  Must never know: decoding, sequence numbers, time.
"""

from typing import NamedTuple

from relay.base.errors import Kind, TheirError

SLICE, PARTITION_A, IDR, SEI, SPS, PPS, AUD = 1, 2, 5, 6, 7, 8, 9
"""`PARTITION_A` begins a slice whose data is partitioned (Extended profile): its header is a slice's."""
STAP_A, STAP_B, MTAP_16, MTAP_24, FU_A, FU_B = 24, 25, 26, 27, 28, 29
IGNORED = frozenset({0, 30, 31})
"""Types that a receiver ignores, also as members of aggregation packets (RFC 6184 §5.2, Table 1)."""
START_CODE = b"\x00\x00\x01"
_INTERLEAVED = {STAP_B: 5, MTAP_16: 8, MTAP_24: 9}
"""Packet types of packetization-mode 2, and where the header of their first unit lies."""
_PICTURE = frozenset(range(1, 6))
_NEEDED = _PICTURE | {SPS, PPS}
"""Units without which a picture cannot be shown."""
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


class Unit(NamedTuple):
    """A NAL unit, or the piece of one, that a payload carries; `start` false for later pieces of a fragmented unit."""

    kind: int
    reference: int
    start: bool
    end: bool
    data: bytes
    """With its NAL header where `start`; the bare piece otherwise."""


class Payload(NamedTuple):
    """The facts of one RTP payload that the relay uses."""

    keyframe: bool
    """Carries the beginning of an SPS or of an IDR slice: a decoder may start in this access unit."""
    idr: bool
    """Carries a piece of an IDR slice."""
    droppable: bool
    """nal_ref_idc is 0 throughout: no other picture refers to it (SEI and delimiters go with their picture)."""
    sps: bytes | None
    slice: bytes | None
    """The beginning of a slice of a non-IDR picture."""


def units(payload: bytes) -> list[Unit]:
    """Return the units of a payload in order, without those that a receiver ignores (RFC 6184 §5.2).

    A payload with start codes inside is split there: the camera packed a byte stream.  Raises TheirError for a payload that
    carries a part of a picture, or a parameter set, in a shape outside packetization-mode 1."""
    if not payload:
        raise TheirError(Kind.INVALID, "empty H.264 payload")
    kind = payload[0] & 31
    if 0 < kind < STAP_A:
        if START_CODE in payload:
            return _whole(split(payload))
        return [Unit(kind, payload[0] >> 5 & 3, True, True, payload)]
    if kind == STAP_A:
        return _aggregate(payload)
    if kind == FU_A:
        return [_fragment(payload)]
    return _odd(kind, payload)


def _whole(found: list[bytes]) -> list[Unit]:
    return [Unit(unit[0] & 31, unit[0] >> 5 & 3, True, True, unit) for unit in found if unit[0] & 31 not in IGNORED]


def split(data: bytes) -> list[bytes]:
    """Return the units of a byte stream (H.264 Annex B), without the zeroes after them; the first may lack its start code."""
    return [unit for each in data.split(START_CODE) if (unit := each.rstrip(b"\x00"))]


def _odd(kind: int, payload: bytes) -> list[Unit]:
    """Return nothing, or the units of a byte stream; raises TheirError where a part of a picture would be left out."""
    if payload[:3] == START_CODE or payload[:4] == b"\x00" + START_CODE:
        return _whole(split(payload))
    if kind in _INTERLEAVED:
        at = _INTERLEAVED[kind]
        is_needed = at < len(payload) and (
            payload[at] & 31 in _NEEDED or len(payload) > at + int.from_bytes(payload[3:5], "big")
        )
    else:
        is_needed = kind == FU_B and len(payload) > 1 and payload[1] & 31 in _NEEDED
    if is_needed:
        raise TheirError(Kind.INVALID, f"H.264 packet type {kind} is not of packetization-mode 1")
    return []


def _aggregate(payload: bytes) -> list[Unit]:
    """Members of no bytes, and what is left behind the last one, are left out."""
    found = []
    at = 1
    while at + 2 < len(payload):
        size = int.from_bytes(payload[at : at + 2], "big")
        unit = payload[at + 2 : at + 2 + size]
        at += 2 + size
        if not size:
            continue
        kind = unit[0] & 31
        if len(unit) != size:
            if kind in _NEEDED:
                raise TheirError(Kind.INVALID, "H.264 aggregation packet is cut")
        elif START_CODE in unit:
            found += _whole(split(unit))
        elif STAP_A <= kind <= FU_B:
            raise TheirError(Kind.INVALID, f"H.264 packet type {kind} inside an aggregation packet")
        elif kind not in IGNORED:
            found.append(Unit(kind, unit[0] >> 5 & 3, True, True, unit))
    return found


def _fragment(payload: bytes) -> Unit:
    """A fragment may be empty (RFC 6184 §5.8)."""
    if len(payload) < 2:
        raise TheirError(Kind.INVALID, "H.264 fragment without a header")
    indicator, fu = payload[0], payload[1]
    kind, reference = fu & 31, indicator >> 5 & 3
    if STAP_A <= kind <= FU_B:
        raise TheirError(Kind.INVALID, f"H.264 packet type {kind} inside fragments")
    if fu & 0x80:
        return Unit(kind, reference, True, bool(fu & 0x40), bytes((indicator & 0xE0 | kind,)) + payload[2:])
    return Unit(kind, reference, False, bool(fu & 0x40), payload[2:])


def inspect(payload: bytes) -> Payload:
    """Return the facts of a payload that the relay uses; raises TheirError like `units`."""
    keyframe = idr = False
    droppable = True
    sps = piece = None
    for unit in units(payload):
        if unit.kind == IDR:
            idr = True
            keyframe = keyframe or unit.start
        elif unit.kind == SPS and unit.start:
            keyframe, sps = True, unit.data
        elif unit.kind == SLICE and unit.start:
            piece = unit.data
        droppable = droppable and not unit.reference and unit.kind not in (IDR, SPS, PPS)
    return Payload(keyframe, idr, droppable, sps, piece)


class Bits:
    """Reads an RBSP bit by bit; raises TheirError at its end."""

    def __init__(self, unit: bytes, limit: int = 512) -> None:
        rbsp = unit[1 : 1 + limit].replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(rbsp, "big")
        self._left = 8 * len(rbsp)

    def u(self, count: int) -> int:
        """Return `count` bits, unsigned."""
        if count > self._left:
            raise TheirError(Kind.INVALID, "H.264 parameter set is cut")
        self._left -= count
        return self._value >> self._left & (1 << count) - 1

    def ue(self) -> int:
        """Return an Exp-Golomb number (§9.1), at most 32 bits long."""
        zeroes = 0
        while not self.u(1):
            zeroes += 1
            if zeroes > 32:
                raise TheirError(Kind.INVALID, "H.264 number is too long")
        return (1 << zeroes) - 1 + self.u(zeroes)

    def se(self) -> int:
        """Return a signed Exp-Golomb number."""
        value = self.ue()
        return (value + 1) // 2 if value & 1 else -(value // 2)


class PictureOrder(NamedTuple):
    """How slices state the order of their picture: pic_order_cnt_type, bits of pic_order_cnt_lsb (type 0)."""

    kind: int
    bits: int
    always_zero: bool
    """delta_pic_order_always_zero_flag (type 1)."""


class Sps(NamedTuple):
    """The facts of a sequence parameter set that the relay uses."""

    profile: int
    level: int
    width: int
    height: int
    held_back: int | None
    """How many pictures the decoder may hold back until earlier ones were shown; None where the set does not say."""
    number: int
    """seq_parameter_set_id, by which picture parameter sets name it."""
    frame_num_bits: int
    separate_planes: bool
    frames_only: bool
    order: PictureOrder
    macroblocks: tuple[int, int]
    """Of a frame: columns and rows, before cropping."""
    chroma: int
    """chroma_format_idc."""
    is_adaptive: bool
    """mb_adaptive_frame_field_flag."""

    @property
    def reorder(self) -> bool | None:
        """Whether pictures leave the decoder in another order than they came; None where the set does not say."""
        return None if self.held_back is None else self.held_back > 0


def parse_sps(unit: bytes) -> Sps:
    """Read an SPS with its NAL header (§7.3.2.1.1); raises TheirError where it is cut or absurd."""
    bits = Bits(unit)
    profile, _, level = bits.u(8), bits.u(8), bits.u(8)
    number = bits.ue()
    chroma, separate = _chroma(bits) if profile in _HIGH_PROFILES else (1, False)
    frame_num_bits = bits.ue() + 4
    order = _picture_order(bits)
    bits.ue()
    bits.u(1)
    width, height = 16 * (bits.ue() + 1), 16 * (bits.ue() + 1)
    frames_only = bits.u(1)
    height *= 2 - frames_only
    is_adaptive = not frames_only and bool(bits.u(1))
    macroblocks = width // 16, height // 16
    bits.u(1)
    if bits.u(1):
        x, y = (1, 1) if chroma in (0, 3) else ((2, 2) if chroma == 1 else (2, 1))
        y *= 2 - frames_only
        width -= x * (bits.ue() + bits.ue())
        height -= y * (bits.ue() + bits.ue())
    if not (0 < width <= 16384 and 0 < height <= 16384):
        raise TheirError(Kind.INVALID, "H.264 picture size is absurd")
    held_back = 0 if order.kind == 2 else _held_back(bits)
    form = bool(frames_only), order, macroblocks, chroma, is_adaptive
    return Sps(profile, level, width, height, held_back, number, frame_num_bits, separate, *form)


def _chroma(bits: Bits) -> tuple[int, bool]:
    """Return chroma_format_idc and separate_colour_plane_flag."""
    chroma = bits.ue()
    separate = bool(chroma == 3 and bits.u(1))
    bits.ue()
    bits.ue()
    bits.u(1)
    if bits.u(1):
        for index in range(12 if chroma == 3 else 8):
            if bits.u(1):
                _skip_scaling(bits, 16 if index < 6 else 64)
    return chroma, separate


def _skip_scaling(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def _picture_order(bits: Bits) -> PictureOrder:
    kind, lsb, always_zero = bits.ue(), 0, False
    if kind == 0:
        lsb = bits.ue() + 4
    elif kind == 1:
        always_zero = bool(bits.u(1))
        bits.se()
        bits.se()
        cycle = bits.ue()
        if cycle > 255:
            raise TheirError(Kind.INVALID, "H.264 picture order cycle is too long")
        for _ in range(cycle):
            bits.se()
    return PictureOrder(kind, lsb, always_zero)


def _held_back(bits: Bits) -> int | None:
    """Read max_num_reorder_frames from the VUI (§E.1.1); None where there is none, or where it cannot be reached."""
    try:
        return _vui_held_back(bits) if bits.u(1) else None
    except TheirError:
        return None


def _vui_held_back(bits: Bits) -> int | None:
    if bits.u(1) and bits.u(8) == 255:
        bits.u(32)
    if bits.u(1):
        bits.u(1)
    if bits.u(1):
        bits.u(4)
        bits.u(24 * bits.u(1))
    if bits.u(1):
        bits.ue()
        bits.ue()
    bits.u(65 * bits.u(1))
    _skip_hrds(bits)
    bits.u(1)
    if not bits.u(1):
        return None
    bits.u(1)
    for _ in range(4):
        bits.ue()
    return bits.ue()


def _skip_hrds(bits: Bits) -> None:
    """NAL and VCL parameters, then low_delay_hrd_flag where either is there."""
    present = False
    for _ in range(2):
        if bits.u(1):
            present = True
            _skip_hrd(bits)
    bits.u(1 if present else 0)


def _skip_hrd(bits: Bits) -> None:
    count = bits.ue() + 1
    if count > 32:
        raise TheirError(Kind.INVALID, "H.264 HRD is absurd")
    bits.u(8)
    for _ in range(count):
        bits.ue()
        bits.ue()
        bits.u(1)
    bits.u(20)


B_SLICE_FIRST_BYTES = frozenset(byte for byte in range(0x80, 0x100) if byte >> 4 == 0b1010 or byte >> 2 == 0b100111)
"""First bytes of slice headers of B pictures with first_mb_in_slice 0 (bit 1): slice_type 1 (bits 010) or 6 (bits 00111)."""


def is_b_slice(unit: bytes) -> bool:
    """Return whether the beginning of a slice (with its NAL header) is of a B picture (§7.4.3, slice_type 1 or 6)."""
    bits = Bits(unit, 16)
    try:
        bits.ue()
        return bits.ue() % 5 == 1
    except TheirError:
        return False
