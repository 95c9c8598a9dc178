"""Rate limits per source address: token buckets, bounded in number.

Owns: which sources are remembered.  Must never know: HTTP; any clock except the `now` it is given.
"""

from collections import OrderedDict

from relay.base.allowance import Allowance

MAX_SOURCES = 10_000
"""Addresses that are remembered at once."""


class Buckets:
    """One bucket per source: `burst` requests at once, `rate` per second on average; the oldest source is dropped first."""

    def __init__(self, rate: float, burst: int, max_sources: int = MAX_SOURCES) -> None:
        self._rate = rate
        self._burst = burst
        self._max_sources = max_sources
        self._buckets: OrderedDict[str, Allowance] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, source: str, now: float) -> float:
        """Take one request from the source's bucket; return 0 where it was there, else the seconds until it is."""
        bucket = self._buckets.get(source)
        if bucket is None:
            bucket = self._buckets[source] = Allowance(self._rate, self._burst)
        self._buckets.move_to_end(source)
        if len(self._buckets) > self._max_sources:
            self._buckets.popitem(last=False)
        return 0.0 if bucket.take(now) else bucket.wait(now)
