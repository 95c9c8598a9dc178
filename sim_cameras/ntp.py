"""NTP timestamps.

Owns: one conversion.  Must never read a clock.
"""

_NTP_EPOCH = 2_208_988_800
_BILLION = 1_000_000_000


def ntp64(utc_ns: int) -> int:
    """Return a UTC time in nanoseconds as a 64-bit NTP timestamp (RFC 5905 §6)."""
    seconds, rest = divmod(utc_ns, _BILLION)
    return (seconds + _NTP_EPOCH) << 32 | (rest << 32) // _BILLION
