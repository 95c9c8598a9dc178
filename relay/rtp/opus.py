"""Opus packets (RFC 6716 §3.1, RFC 7587): how long one lasts.

Owns: the TOC byte.  Must never know: decoding.
"""

from relay.base.errors import Kind, TheirError

CLOCK_RATE = 48_000
_SILK = (480, 960, 1920, 2880)
_HYBRID = (480, 960)
_CELT = (120, 240, 480, 960)
_MAX_SAMPLES = 5760


def samples(payload: bytes) -> int:
    """Return the duration in samples of 48 kHz; raises TheirError for an empty packet or one over 120 ms."""
    if not payload:
        raise TheirError(Kind.INVALID, "empty Opus packet")
    total = _frame(payload[0] >> 3) * _count(payload)
    if not 0 < total <= _MAX_SAMPLES:
        raise TheirError(Kind.INVALID, "Opus packet lasts longer than 120 ms")
    return total


def _frame(configuration: int) -> int:
    if configuration < 12:
        return _SILK[configuration & 3]
    if configuration < 16:
        return _HYBRID[configuration & 1]
    return _CELT[configuration & 3]


def _count(payload: bytes) -> int:
    code = payload[0] & 3
    if code < 3:
        return (1, 2, 2)[code]
    if len(payload) < 2:
        raise TheirError(Kind.INVALID, "Opus packet without its frame count")
    return payload[1] & 63
