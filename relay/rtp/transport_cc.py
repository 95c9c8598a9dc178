"""Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1): building only.

What this file owns: the layout of the feedback.  What it must never know: when it is sent, or what the sender makes of it.
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
    symbols: list[int] = []
    deltas = bytearray()
    for number in numbers:
        step = round(arrivals[number] / _TICK) - ticks
        if not -0x8000 <= step <= 0x7FFF or number - first > 0x7FFF:
            break
        symbols.extend([0] * (number - first - len(symbols)))
        symbols.append(1 if 0 <= step <= 0xFF else 2)
        deltas += struct.pack(">B" if 0 <= step <= 0xFF else ">h", step)
        ticks += step
    body = struct.pack(">IIHHI", sender, media, first & 0xFFFF, len(symbols), (reference & 0xFFFFFF) << 8 | count & 0xFF)
    body += _chunks(symbols) + bytes(deltas)
    padding = -len(body) % 4
    if padding:
        body += bytes(padding - 1) + bytes((padding,))
    head = struct.pack(">BBH", 0x80 | (0x20 if padding else 0) | 15, RTPFB, len(body) // 4)
    return head + body, first + len(symbols)


def _chunks(symbols: list[int]) -> bytes:
    """Encode packet statuses: runs where they pay, else vectors of seven two-bit symbols."""
    out = bytearray()
    at = 0
    while at < len(symbols):
        symbol, run = symbols[at], 1
        while at + run < len(symbols) and run < _RUN_MAX and symbols[at + run] == symbol:
            run += 1
        if run >= 7 or at + run == len(symbols):
            out += struct.pack(">H", symbol << 13 | run)
        else:
            run = 7
            vector = symbols[at : at + 7]
            vector += [0] * (7 - len(vector))
            packed = 0xC000
            for position, value in enumerate(vector):
                packed |= value << 12 - 2 * position
            out += struct.pack(">H", packed)
        at += run
    return bytes(out)
