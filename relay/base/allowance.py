"""A token bucket: how much one party may ask for, in a burst and on average.

Owns: the arithmetic.  Must never know: who is limited, what for; any clock except the `now` it is given.
"""


class Allowance:
    """`burst` units at once, `rate` units a second on average.  A new allowance is full."""

    __slots__ = ("_burst", "_left", "_rate", "_since")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._since: float | None = None

    def take(self, now: float, units: float = 1.0) -> bool:
        """Take units at `now` (monotonic seconds); False where so many are not left, and then nothing is taken."""
        if not self.has(now, units):
            return False
        self._left -= units
        return True

    def has(self, now: float, units: float = 1.0) -> bool:
        """Return whether `take` would succeed."""
        if self._since is None:
            self._since = now
        elif now > self._since:
            self._left = min(self._burst, self._left + (now - self._since) * self._rate)
            self._since = now
        return self._left >= units

    def wait(self, now: float, units: float = 1.0) -> float:
        """Return the seconds until `take` would succeed; 0 where it would now.  `units` is at most the burst."""
        return 0.0 if self.has(now, units) else (units - self._left) / self._rate
