"""H.264 in RTP (RFC 6184, packetization-mode 1) and the few bits of H.264 itself that a relay needs (ITU-T H.264 §7.3).

Owns: NAL units inside payloads, where a keyframe starts, which packets no picture refers to, the picture's size,
whether pictures are reordered (B-frames).  Must never know: decoding, sequence numbers, time.
"""

from typing import NamedTuple

from relay.base.errors import Kind, TheirError

SLICE, IDR, SEI, SPS, PPS, AUD = 1, 5, 6, 7, 8, 9
STAP_A, FU_A = 24, 28
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
    """Return the units of a payload in order; raises TheirError for shapes outside packetization-mode 1."""
    if not payload:
        raise TheirError(Kind.INVALID, "empty H.264 payload")
    kind = payload[0] & 31
    if 0 < kind < STAP_A:
        return [Unit(kind, payload[0] >> 5 & 3, True, True, payload)]
    if kind == STAP_A:
        return _aggregate(payload)
    if kind == FU_A:
        return [_fragment(payload)]
    raise TheirError(Kind.INVALID, f"H.264 packet type {kind} is not of packetization-mode 1")


def _aggregate(payload: bytes) -> list[Unit]:
    found = []
    at = 1
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 2], "big")
        unit = payload[at + 2 : at + 2 + size]
        if at + 2 > len(payload) or not size or len(unit) != size:
            raise TheirError(Kind.INVALID, "H.264 aggregation packet is cut")
        found.append(Unit(unit[0] & 31, unit[0] >> 5 & 3, True, True, unit))
        at += 2 + size
    if not found:
        raise TheirError(Kind.INVALID, "empty H.264 aggregation packet")
    return found


def _fragment(payload: bytes) -> Unit:
    if len(payload) < 3:
        raise TheirError(Kind.INVALID, "H.264 fragment without a payload")
    indicator, fu = payload[0], payload[1]
    kind, reference = fu & 31, indicator >> 5 & 3
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


class Sps(NamedTuple):
    """The facts of a sequence parameter set that the relay uses."""

    profile: int
    level: int
    width: int
    height: int
    reorder: bool | None
    """Whether pictures leave the decoder in another order than they came; None where the set does not say."""


def parse_sps(unit: bytes) -> Sps:
    """Read an SPS with its NAL header (§7.3.2.1.1); raises TheirError where it is cut or absurd."""
    bits = Bits(unit)
    profile, _, level = bits.u(8), bits.u(8), bits.u(8)
    bits.ue()
    chroma = _chroma(bits) if profile in _HIGH_PROFILES else 1
    bits.ue()
    order = _picture_order(bits)
    bits.ue()
    bits.u(1)
    width, height = 16 * (bits.ue() + 1), 16 * (bits.ue() + 1)
    frames_only = bits.u(1)
    height *= 2 - frames_only
    bits.u(1 if frames_only else 2)
    if bits.u(1):
        x, y = (1, 1) if chroma in (0, 3) else ((2, 2) if chroma == 1 else (2, 1))
        y *= 2 - frames_only
        width -= x * (bits.ue() + bits.ue())
        height -= y * (bits.ue() + bits.ue())
    if not (0 < width <= 16384 and 0 < height <= 16384):
        raise TheirError(Kind.INVALID, "H.264 picture size is absurd")
    return Sps(profile, level, width, height, False if order == 2 else _reorder(bits))


def _chroma(bits: Bits) -> int:
    chroma = bits.ue()
    if chroma == 3:
        bits.u(1)
    bits.ue()
    bits.ue()
    bits.u(1)
    if bits.u(1):
        for index in range(12 if chroma == 3 else 8):
            if bits.u(1):
                _skip_scaling(bits, 16 if index < 6 else 64)
    return chroma


def _skip_scaling(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def _picture_order(bits: Bits) -> int:
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.u(1)
        bits.se()
        bits.se()
        cycle = bits.ue()
        if cycle > 255:
            raise TheirError(Kind.INVALID, "H.264 picture order cycle is too long")
        for _ in range(cycle):
            bits.se()
    return order


def _reorder(bits: Bits) -> bool | None:
    """Read max_num_reorder_frames from the VUI (§E.1.1); None where there is none, or where it cannot be reached."""
    try:
        return _vui_reorder(bits) if bits.u(1) else None
    except TheirError:
        return None


def _vui_reorder(bits: Bits) -> bool | None:
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
    return bits.ue() > 0


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
