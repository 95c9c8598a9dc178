"""Ranges of numbers that were passed over and may still come: a wide gap costs as much as a narrow one.

Owns: which numbers are missing.  Must never know: what they number.
"""

from bisect import bisect_right


class MissingRanges:
    """Ascending ranges without overlap, at most `max_ranges` of them: the oldest go first.  A number is filled at most once."""

    __slots__ = ("_ends", "_max_ranges", "_starts")

    def __init__(self, max_ranges: int) -> None:
        self._max_ranges = max_ranges
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __len__(self) -> int:
        """Return how many ranges are held."""
        return len(self._starts)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number < self._ends[at]

    def add(self, start: int, end: int) -> None:
        """Mark `start` up to, but not including, `end` as missing.  `start` lies above every number added before."""
        self._starts.append(start)
        self._ends.append(end)
        self._trim()

    def fill(self, number: int) -> bool:
        """Mark a number as no longer missing; return False where it was not missing."""
        starts, ends = self._starts, self._ends
        at = bisect_right(starts, number) - 1
        if at < 0 or number >= ends[at]:
            return False
        rest = [(start, end) for start, end in ((starts[at], number), (number + 1, ends[at])) if start < end]
        starts[at : at + 1] = [start for start, _ in rest]
        ends[at : at + 1] = [end for _, end in rest]
        self._trim()
        return True

    def clear(self) -> None:
        """Forget every missing number."""
        self._starts.clear()
        self._ends.clear()

    def _trim(self) -> None:
        if len(self._starts) > self._max_ranges:
            del self._starts[0], self._ends[0]
