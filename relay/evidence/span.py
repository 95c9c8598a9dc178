"""How long a recording lasts.

Owns: the arithmetic of a recording's own timeline, used by its writer, its recovery and its verifier.
Must never know: records, files.
"""

from collections.abc import Iterable

from relay.evidence.records import TrackPart

SECOND_NS = 1_000_000_000


class Span:
    """How long a recording lasts on its own timeline, from its first sample to the end of its last, gaps included."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._last = 0

    def add(self, parts: Iterable[TrackPart]) -> None:
        """Take the tracks of one link."""
        for part in parts:
            first, last = (ticks * SECOND_NS // part.kind.clock_rate for ticks in (part.first, part.end))
            self._first = first if self._first is None else min(self._first, first)
            self._last = max(self._last, last)

    @property
    def length_ns(self) -> int:
        """Nanoseconds; 0 where nothing was recorded."""
        return 0 if self._first is None else self._last - self._first
