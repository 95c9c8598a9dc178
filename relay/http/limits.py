"""Rate limits per source address: token buckets, bounded in number.

Owns: the arithmetic.  Must never know: HTTP; any clock except the `now` it is given.
"""

from collections import OrderedDict

MAX_SOURCES = 10_000
"""Addresses that are remembered at once."""


class Buckets:
    """One bucket per source: `burst` requests at once, `rate` per second on average; the oldest source is dropped first."""

    def __init__(self, rate: float, burst: int, max_sources: int = MAX_SOURCES) -> None:
        self._rate = rate
        self._burst = burst
        self._max_sources = max_sources
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, source: str, now: float) -> float:
        """Take one request from the source's bucket; return 0 where it was there, else the seconds until it is."""
        level, since = self._buckets.get(source, (float(self._burst), now))
        level = min(float(self._burst), level + max(0.0, now - since) * self._rate)
        wait = 0.0 if level >= 1 else (1 - level) / self._rate
        self._buckets[source] = (level - 1 if wait == 0 else level, now)
        self._buckets.move_to_end(source)
        if len(self._buckets) > self._max_sources:
            self._buckets.popitem(last=False)
        return wait
