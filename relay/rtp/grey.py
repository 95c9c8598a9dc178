"""A grey IDR picture for viewers of a camera that sends no IDR (ITU-T H.264 §7.3.3, §7.3.5, §8.3.3).

Owns: making it from the camera's SPS.  Must never know: packets, viewers, time.

Browsers begin at an IDR and at nothing else.  A camera with intra refresh or open GOPs may never send one.  So a viewer that
begins at a recovery point is sent a grey picture of the camera's own format first.  Then its decoder takes the camera's
pictures, and each of them makes the picture more complete, until it is whole.  The grey picture goes to viewers only; it is
never recorded.

Every macroblock is Intra_16x16 with DC prediction and no residual: 8 bits each, in a PPS of its own with CAVLC, whatever the
camera's own PPS says.
"""

import re
from functools import lru_cache

from relay.base.errors import TheirError
from relay.rtp.h264 import parse_sps

_PPS_HEADER, _IDR_HEADER = b"\x68", b"\x65"
_I_SLICE = 7
MAX_MACROBLOCKS = 36_864
"""MaxFS of level 5.1 (Table A-1); a larger picture is not made."""


def grey_pps(number: int, sps: int) -> bytes:
    """Return a PPS (with its NAL header) of this number for an SPS: CAVLC, one slice group, deblocking set by slices."""
    flags = f"00{_ue(0)}{_ue(0)}{_ue(0)}000{_ue(0)}{_ue(0)}{_ue(0)}100"
    return _PPS_HEADER + _unit(_ue(number) + _ue(sps) + flags)


@lru_cache(16)
def grey_idr(sps: bytes, pps: int) -> bytes | None:
    """Return a grey IDR slice (with its NAL header) for an SPS and the PPS of this number; None where there can be none."""
    try:
        parsed = parse_sps(sps)
    except TheirError:
        return None
    width, height = parsed.macroblocks
    if parsed.separate_planes or width * height > MAX_MACROBLOCKS:
        return None
    header = _ue(0) + _ue(_I_SLICE) + _ue(pps) + "0" * parsed.frame_num_bits
    if not parsed.frames_only:
        header += "0"  # a frame, not a field
    header += _ue(1)  # idr_pic_id
    if parsed.order.kind == 0:
        header += "0" * parsed.order.bits
    elif parsed.order.kind == 1 and not parsed.order.always_zero:
        header += _ue(0)
    header += "00" + _ue(0) + _ue(1)  # no long-term reference; slice_qp_delta 0; no deblocking
    return _IDR_HEADER + _unit(header + _macroblocks(width * height, parsed.chroma, parsed.is_adaptive))


def grey_picture(sps: bytes, number: int) -> tuple[bytes, bytes] | None:
    """Return a PPS of this number and a grey IDR slice that uses it, for an SPS; None where there can be none."""
    idr = grey_idr(sps, number)
    return None if idr is None else (grey_pps(number, parse_sps(sps).number), idr)


def _macroblocks(count: int, chroma: int, is_adaptive: bool) -> str:
    """Return the macroblock layer of so many grey macroblocks (§7.3.5): no coefficient anywhere."""
    one = _ue(3) + (_ue(0) if chroma in (1, 2) else "") + _ue(0) + "1" + ("11" if chroma == 3 else "")
    return ("0" + one + one) * (count // 2) if is_adaptive else one * count


def _ue(value: int) -> str:
    """An Exp-Golomb number in binary digits (§9.1); se(0) is ue(0)."""
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def _unit(bits: str) -> bytes:
    """Return an RBSP with its stop bit and emulation prevention (§7.4.1)."""
    bits += "1"
    bits += "0" * (-len(bits) % 8)
    return re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", int(bits, 2).to_bytes(len(bits) // 8, "big"))
