"""By how much sound must be moved to be in sync with its picture, from link to link of a recording.

Owns: reading the clock records of a chain (FORMAT.md §3.3).  Must never know: files, boxes, who plays.

Each track stays on its own RTP clock; a sender report ties it to the camera's wall clock.  Where both tracks are tied, the
difference of the two ties is the offset.  A clock record of source arrival says that a track is anchored again (the camera came
back, its timestamps jumped): the offset before it is void from there on.  The first offset after it holds from there on, too.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from relay.evidence.records import ClockMap, Link, SyncSource, TrackKind

SECOND_NS = 1_000_000_000
MAX_OFFSET_NS = 5 * SECOND_NS
"""An offset beyond this is garbage, not a delay between microphone and lens."""
SAME_CLOCK_NS = SECOND_NS // 4
"""Ties of both tracks are compared only where their offsets of the camera's clock differ by less; otherwise the clock was
stepped between them, or the radio delayed one of the reports."""
MIN_CHANGE_NS = 5_000_000
"""A smaller change (5 ms) is noise of the reports, and inaudible."""
MAX_SHIFTS = 4096
"""A clock that is off by 100 ppm needs a thousand in twelve hours; beyond the bound the last one holds."""


class Shift(NamedTuple):
    """From decode time `since` of the sound (48 000 ticks per second) on, move the sound by `offset_ns` (later if positive)."""

    since: int
    offset_ns: int


@dataclass(slots=True)
class _ClockTie:
    at_ns: int
    """Wall time minus decode time."""
    offset_ns: int
    """Camera's clock minus the relay's when the tie was made."""


@dataclass(slots=True)
class _Reader:
    shifts: list[Shift] = field(default_factory=list)
    ties: dict[TrackKind, _ClockTie] = field(default_factory=dict)
    reached: int = 0
    """Where the sound of the links so far ends."""
    began: int = 0
    """Where the sound of this anchoring begins."""
    known: int | None = None
    """The last offset since then."""

    def clock(self, kind: TrackKind, clock: ClockMap, since: int) -> None:
        if clock.source is SyncSource.ARRIVAL:
            self.ties.pop(kind, None)
            self.began, self.known = since, None
            self._add_shift(since, 0)
            return
        tie = clock.wall_ns - clock.decode_time * SECOND_NS // kind.clock_rate
        self.ties[kind] = _ClockTie(tie, clock.offset_ns)

    def settle(self, since: int) -> None:
        """Derive the offset from both ties after all clock records of a link."""
        if len(self.ties) < 2:
            return
        sound, picture = self.ties[TrackKind.AUDIO], self.ties[TrackKind.VIDEO]
        if abs(sound.offset_ns - picture.offset_ns) > SAME_CLOCK_NS:
            return  # the next reports hold for this part as well
        offset = sound.at_ns - picture.at_ns
        if abs(offset) <= MAX_OFFSET_NS and (self.known is None or abs(offset - self.known) > MIN_CHANGE_NS):
            self._add_shift(self.began if self.known is None else since, offset)
            self.known = offset

    def _add_shift(self, since: int, offset: int) -> None:
        while self.shifts and self.shifts[-1].since >= since:
            self.shifts.pop()
        if offset != (self.shifts[-1].offset_ns if self.shifts else 0) and len(self.shifts) < MAX_SHIFTS:
            self.shifts.append(Shift(since, offset))


def sound_shifts(links: Iterable[Link]) -> tuple[Shift, ...]:
    """Return the shifts of the sound by ascending decode time; sound before the first shift stays where it is.

    Where sender reports tied only one track, or none, the sound is not moved: it is synchronised by arrival.
    """
    reader = _Reader()
    kinds: dict[int, TrackKind] = {}
    for link in links:
        kinds.update((part.track, part.kind) for part in link.tracks)
        sound = next((part for part in link.tracks if part.kind is TrackKind.AUDIO), None)
        since = sound.first if sound is not None else reader.reached
        # Source arrival first: it voids the offset so far; reports of the same link hold for the new anchor.
        for clock in sorted(link.clocks, key=lambda clock: clock.source is not SyncSource.ARRIVAL):
            if clock.track in kinds:
                reader.clock(kinds[clock.track], clock, since)
        if link.clocks:
            reader.settle(since)
        if sound is not None:
            reader.reached = sound.end
    return tuple(reader.shifts)


def offset_at(shifts: Iterable[Shift], time: int) -> int:
    """Return by how many nanoseconds to move sound of this decode time."""
    offset = 0
    for shift in shifts:
        if shift.since > time:
            break
        offset = shift.offset_ns
    return offset
