"""RTP serial arithmetic: 16-bit sequence numbers and 32-bit timestamps are unwrapped to plain integers at the border.

Owns: the arithmetic (RFC 3550 A.1, RFC 1982).  Must never know: which field a number comes from.  Inside
the relay no other code handles wrap-around.
"""


def unwrap(value: int, near: int, bits: int) -> int:
    """Return the integer congruent to `value` modulo 2**bits that is nearest to `near` (ties go up); may be negative."""
    span = 1 << bits
    delta = (value - near) & (span - 1)
    return near + (delta if delta <= span >> 1 else delta - span)


class Unwrapper:
    """Extends a stream of serials; the first one seen is taken as `first + 2**bits`, so that nothing goes negative soon."""

    __slots__ = ("_bits", "last")

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self.last: int | None = None

    def extend(self, value: int) -> int:
        """Return the extended value and move the reference forward to the highest seen."""
        if self.last is None:
            self.last = value + (1 << self._bits)
            return self.last
        extended = unwrap(value, self.last, self._bits)
        self.last = max(self.last, extended)
        return extended
