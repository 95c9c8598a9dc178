"""Where decoding may begin without an IDR: recovery points and I pictures (ITU-T H.264 §D.1.8, §D.2.8, §7.4.3).

Owns: reading both from NAL units.  Must never know: packets, samples, time.

An encoder with intra refresh or an open GOP sends no IDR after its first picture, or none at all.  A recovery point SEI names a
picture from which a decoder may begin, and after how many pictures everything that it shows is right again.  An encoder that
writes no such SEI may still send I pictures; nothing promises that later pictures refer to none before them.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from relay.base.errors import TheirError
from relay.rtp.h264 import IDR, SEI, SLICE, Bits, parse_sps

_RECOVERY_POINT = 6
_MAX_PAYLOAD = 64
"""Bytes of an SEI message that are read at most: a recovery point has three."""
_MAX_MESSAGES = 32
MAX_PICTURES = 1 << 16
"""recovery_frame_cnt is less than MaxFrameNum (§7.4.3)."""
I_SLICE_FIRST_BYTES = frozenset((0x88, *range(0xB0, 0xC0)))
"""First bytes of slice headers with first_mb_in_slice 0 (bit 1): slice_type 7 (bits 0001000) or 2 (bits 011)."""


class Beginning(NamedTuple):
    """A picture that is no IDR, and in which decoding may begin."""

    pictures: int
    """Pictures after it until everything that is shown is right; 0: at once."""
    is_promised: bool
    """A recovery point SEI says so; else it is an I picture."""
    first_slice: bytes


def recovery_pictures(sei: bytes) -> int | None:
    """Return recovery_frame_cnt of an SEI unit with its NAL header; None where it holds no recovery point."""
    for kind, payload in _messages(sei[1:].replace(b"\0\0\3", b"\0\0")):
        if kind == _RECOVERY_POINT:
            try:
                return min(Bits(b"\6" + payload).ue(), MAX_PICTURES)
            except TheirError:
                return None
    return None


def _messages(rbsp: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield payload type and payload (cut to what is read) of each SEI message (§7.3.2.3.1)."""
    at = 0
    for _ in range(_MAX_MESSAGES):
        kind, at = _number(rbsp, at)
        size, at = _number(rbsp, at)
        if at >= len(rbsp) or at + size > len(rbsp):
            return
        yield kind, rbsp[at : at + min(size, _MAX_PAYLOAD)]
        at += size


def _number(rbsp: bytes, at: int) -> tuple[int, int]:
    """Return a payload type or size, and where it ends."""
    value = 0
    while at < len(rbsp) and rbsp[at] == 0xFF:
        value, at = value + 255, at + 1
    return (value + rbsp[at], at + 1) if at < len(rbsp) else (0, at)


def is_i_slice(unit: bytes) -> bool:
    """Return whether a slice (with its NAL header) refers to no other picture (§7.4.3: slice_type 2 or 7)."""
    bits = Bits(unit, 16)
    try:
        bits.ue()
        return bits.ue() in (2, 7)
    except TheirError:
        return False


def may_reorder(sps: bytes) -> bool:
    """Return whether pictures may be shown in another order than they come in, as far as an SPS (with its NAL header) tells."""
    try:
        return parse_sps(sps).reorder is not False
    except TheirError:
        return True


def beginning(units: Iterable[bytes]) -> Beginning | None:
    """Return how decoding may begin in a picture of these units; None where it may not, or where the picture is an IDR."""
    pictures, intra, first_slice = None, True, b""
    for unit in units:
        kind = unit[0] & 31 if unit else 0
        if kind == IDR:
            return None
        if kind == SEI and pictures is None:
            pictures = recovery_pictures(unit)
        elif SLICE <= kind < IDR:
            first_slice = first_slice or unit
            intra = intra and kind == SLICE and is_i_slice(unit)
    if not first_slice or (pictures is None and not intra):
        return None
    return Beginning(pictures or 0, pictures is not None, first_slice)
