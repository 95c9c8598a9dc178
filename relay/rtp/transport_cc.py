"""Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1): building only.

Owns: the layout of the feedback.  Must never know: when it is sent, how the sender uses it.
"""

import struct
from collections.abc import Mapping

from relay.rtp.rtcp import RTPFB

_TICK = 0.000_25
_REFERENCE = 0.064
_RUN_MAX = 0x1FFF


def build_feedback(sender: int, media: int, count: int, arrivals: Mapping[int, float]) -> tuple[bytes, int]:
    """Return one feedback packet and the first transport number it does not cover.

    `arrivals`: unwrapped transport numbers and their arrival in seconds; numbers between the lowest and the highest that are
    absent are reported as not received.  `count` numbers the feedback packets (8 bits).  A step in arrival too large for the
    format (±8 s), or a span over 32768 numbers, ends the packet: the caller goes on from the second value returned.
    """
    numbers = sorted(arrivals)
    first = numbers[0]
    reference = int(arrivals[first] / _REFERENCE)
    clock = reference * _REFERENCE / _TICK
    ticks = round(clock)
    runs: list[list[int]] = []
    covered = first
    deltas = bytearray()
    for number in numbers:
        step = round(arrivals[number] / _TICK) - ticks
        if not -0x8000 <= step <= 0x7FFF or number - first > 0x7FFF:
            break
        is_small = 0 <= step <= 0xFF
        _add(runs, 0, number - covered)
        _add(runs, 1 if is_small else 2, 1)
        covered = number + 1
        deltas += struct.pack(">B" if is_small else ">h", step)
        ticks += step
    body = struct.pack(">IIHHI", sender, media, first & 0xFFFF, covered - first, (reference & 0xFFFFFF) << 8 | count & 0xFF)
    body += _chunks(runs) + bytes(deltas)
    padding = -len(body) % 4
    if padding:
        body += bytes(padding - 1) + bytes((padding,))
    head = struct.pack(">BBH", 0x80 | (0x20 if padding else 0) | 15, RTPFB, len(body) // 4)
    return head + body, covered


def _add(runs: list[list[int]], symbol: int, count: int) -> None:
    """Append packets of one status.  They are kept as runs, because a hostile camera makes gaps as wide as it likes."""
    if runs and runs[-1][0] == symbol:
        runs[-1][1] += count
    elif count:
        runs.append([symbol, count])


def _chunks(runs: list[list[int]]) -> bytes:
    """Encode packet statuses: runs where they pay, else vectors of seven two-bit symbols.  Uses the runs up."""
    out = bytearray()
    runs.reverse()
    while runs:
        symbol, left = runs[-1]
        if left >= 7 or len(runs) == 1:
            taken = min(left, _RUN_MAX)
            _use(runs, taken)
            out += struct.pack(">H", symbol << 13 | taken)
        else:
            out += struct.pack(">H", _vector(runs))
    return bytes(out)


def _use(runs: list[list[int]], count: int) -> None:
    runs[-1][1] -= count
    if not runs[-1][1]:
        runs.pop()


def _vector(runs: list[list[int]]) -> int:
    packed = 0xC000
    place = 12
    while runs and place >= 0:
        packed |= runs[-1][0] << place
        place -= 2
        _use(runs, 1)
    return packed
