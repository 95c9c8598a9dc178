"""Gaps that lie before one fragment become few records.

Owns: how many gap records one fragment can bring, how several gaps read as one, and which gaps the relay's own drops explain.
Must never know: packets.

A camera can lose every second packet; each loss is a gap, and each record costs a signature and a place on the disk.  Where a
gap's record stands matters only between fragments (FORMAT.md §7.4 adds up the lengths since the last link).  So the gaps of one
track and cause that lie before one fragment are one record: it begins with the first of them, its length is the sum of their
lengths, and its text says how many they are.  Long gaps stay records of their own, up to `MAX_LONG` of a track and cause.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

SECOND = 1_000_000_000
LONG_NS = SECOND // 2
MAX_LONG = 3
NOTED_NS = SECOND // 20
"""How exactly the worker notes the time of a drop: its longest round."""

GapCause: TypeAlias = Literal[
    "radio",
    "reconnect",
    "tap_overflow",
    "clock",
    "paused",
    "recorder",
    "not_recorded",
    "late_track",
    "silence",
    "recovery_point",
]


class MediaGap(NamedTuple):
    """Something was not recorded; times in monotonic nanoseconds.  `track` is None for all tracks."""

    start: int
    length: int
    track: int | None
    cause: GapCause
    detail: str


@dataclass(slots=True)
class _Sum:
    """Gaps of one track and cause, added up."""

    first: MediaGap
    long: bool
    length: int
    until: int
    count: int = 1

    def add(self, gap: MediaGap) -> None:
        self.length += gap.length
        self.until = max(self.until, gap.start + gap.length)
        self.count += 1

    def gap(self) -> MediaGap:
        if self.count == 1:
            return self.first
        seconds = max(self.until - self.first.start, 0) / SECOND
        detail = f"{self.count} gaps within {seconds:.1f} s, the first: {self.first.detail}"
        return self.first._replace(length=self.length, detail=detail)


class RelayDrops:
    """The packets that the relay dropped before the tap, and which gaps they explain."""

    def __init__(self) -> None:
        self._packets = 0
        self._first = self._last = 0

    def note(self, packets: int, first: int, last: int) -> None:
        """Packets were dropped between two instants (monotonic ns).  Drops less than 1 s apart are one run."""
        if first > self._last + SECOND:
            self._packets, self._first = 0, first
        self._packets += packets
        self._last = max(self._last, last)

    def explain(self, start: int, until: int, cause: GapCause, detail: str, *, silence: bool = False) -> tuple[GapCause, str]:
        """Return the true cause and text of a gap (monotonic ns) that would have this cause and text without drops.

        A loss by radio is explained where drops touch it, a time in which nothing came (`silence`, and causes other than
        `radio`) where drops fill at least half of it.
        """
        needed = 0 if cause == "radio" and not silence else (until - start) // 2
        shared = min(until, self._last + NOTED_NS) - max(start, self._first - NOTED_NS)
        if not self._packets or cause not in ("radio", "paused", "reconnect") or shared < needed:
            return cause, detail
        return "recorder", f"the relay dropped {self._packets} packets: the camera sent more than a camera may"


class TapOverflow:
    """The packets that the tap dropped, and which gaps they explain: what is missing up to 1 s after the next packets."""

    def __init__(self) -> None:
        self._packets = 0
        self._until: int | None = None
        """Arrival (monotonic ns) up to which a gap may come from them; None until the next packets come."""

    def note(self, packets: int) -> None:
        """The tap dropped packets."""
        self._packets += packets
        self._until = None

    def go_on(self, arrival: int) -> None:
        """Packets come again."""
        if self._packets and self._until is None:
            self._until = arrival + SECOND

    def explains(self, arrival: int) -> bool:
        """Return whether a gap that ends here is of the tap's making."""
        if self._until is not None and arrival > self._until:
            self._packets = 0
        return self._packets > 0


class GapSums:
    """The gaps since the last fragment."""

    def __init__(self) -> None:
        self._sums: list[_Sum] = []

    def add(self, gap: MediaGap) -> None:
        """Take a gap; it is given out before the next fragment."""
        same = [each for each in self._sums if (each.first.track, each.first.cause) == (gap.track, gap.cause)]
        is_long = gap.length > LONG_NS and sum(each.long for each in same) < MAX_LONG
        into = None if is_long else next((each for each in same if not each.long), None)
        if into is None:
            self._sums.append(_Sum(gap, is_long, gap.length, gap.start + gap.length))
        else:
            into.add(gap)

    def take(self) -> list[MediaGap]:
        """Return what came since the last call, in the order of its beginnings here."""
        sums, self._sums = self._sums, []
        return [each.gap() for each in sums]
