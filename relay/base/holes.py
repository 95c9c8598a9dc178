"""Numbers of a rising sequence that were passed over and may still come, as ranges: a wide gap costs what a narrow one does.

What this file owns: which numbers are open.  What it must never know: what they number.
"""

from bisect import bisect_right


class Holes:
    """Ascending ranges without overlap, at most `most` of them: the oldest go first.  A number is filled at most once."""

    __slots__ = ("_ends", "_most", "_starts")

    def __init__(self, most: int) -> None:
        self._most = most
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __len__(self) -> int:
        """Return how many ranges are open."""
        return len(self._starts)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number < self._ends[at]

    def open(self, start: int, end: int) -> None:
        """Pass over `start` up to, not with, `end`: above all numbers that were passed over before."""
        self._starts.append(start)
        self._ends.append(end)
        self._trim()

    def fill(self, number: int) -> bool:
        """Close a number; False where it is not open."""
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
        """Close all."""
        self._starts.clear()
        self._ends.clear()

    def _trim(self) -> None:
        if len(self._starts) > self._most:
            del self._starts[0], self._ends[0]
