"""By how much each track is moved where a recording is played, from link to link.

Owns: reading the clock records and the Correction records of a chain (FORMAT.md §3.3, §3.9, §7.7).
Must never know: files, boxes, who plays.

Each track stays on its own RTP clock.  Correction records say how far the clock of a track has drifted, and move it back.
Then sound and picture are laid together: a sender report ties a track to the camera's wall clock.  Where both tracks are tied,
the difference of the two ties is the offset by which the sound is moved besides.  A clock record of source arrival says that a
track is anchored again (the camera came back, its timestamps jumped): the offset before it is void from there on.  The first
offset after it holds from there on, too.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import NamedTuple

from relay.evidence.records import Body, ClockMap, Correction, Link, Point, SyncSource, TrackKind

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
MAX_SKIPPED = 100
"""So many shifts in a row are left out at most where a list is thinned."""


class Shift(NamedTuple):
    """From decode time `since` (ticks of the track) on, move the track by `offset_ns` (later if positive).

    `gradual`: since the shift before, it has moved there evenly.
    """

    since: int
    offset_ns: int
    gradual: bool = False


class Moves(NamedTuple):
    """By how much the tracks of a recording are moved: by drift, and the sound, besides, to be in sync with its picture."""

    picture: tuple[Shift, ...] = ()
    sound: tuple[Shift, ...] = ()
    lips: tuple[Shift, ...] = ()

    def at(self, kind: TrackKind, time: int) -> int:
        """Return by how many nanoseconds to move what has this decode time (ticks)."""
        if kind is TrackKind.VIDEO:
            return offset_at(self.picture, time)
        return offset_at(self.sound, time) + offset_at(self.lips, time)

    def moves(self, kind: TrackKind) -> bool:
        """Return whether anything of a track is moved."""
        return bool(self.picture if kind is TrackKind.VIDEO else self.sound or self.lips)


@dataclass(slots=True)
class _ClockTie:
    at_ns: int
    """Wall time minus decode time."""
    offset_ns: int
    """Camera's clock minus the relay's when the tie was made."""


@dataclass(slots=True)
class _Reader:
    drift: Moves
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
        time_ns = clock.decode_time * SECOND_NS // kind.clock_rate + self.drift.at(kind, clock.decode_time)
        tie = clock.wall_ns - time_ns
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


def moves_of(read: Callable[[], Iterable[Body]], last: float = math.inf) -> Moves:
    """Return by how much the tracks are moved, as a chain says; of its links, only those up to fragment `last` count.

    `read` returns the chain's records from its beginning; it is called twice.  Where sender reports tied only one track, or
    none, the sound is moved by its drift alone: it is synchronised by arrival.
    """
    points: list[Point] = []
    kinds: dict[int, TrackKind] = {}
    for body in read():
        if isinstance(body, Link):
            kinds.update((part.track, part.kind) for part in body.tracks)
        elif isinstance(body, Correction):
            points += body.points
    drift: dict[TrackKind, list[Shift]] = {kind: [] for kind in TrackKind}
    for point in points:
        if point.track in kinds:
            before = drift[kinds[point.track]]
            while before and before[-1].since >= point.time:
                before.pop()
            before.append(Shift(point.time, point.moved_ns, point.gradual))
    moves = Moves(tuple(drift[TrackKind.VIDEO]), tuple(drift[TrackKind.AUDIO]))
    return moves._replace(lips=_lips((body for body in read() if isinstance(body, Link) and body.fragment <= last), moves))


def sound_shifts(links: Iterable[Link]) -> tuple[Shift, ...]:
    """Return the shifts of the sound by ascending decode time, where no clock was corrected."""
    return _lips(links, Moves())


def _lips(links: Iterable[Link], drift: Moves) -> tuple[Shift, ...]:
    """Return the shifts of the sound by ascending decode time; sound before the first shift stays where it is."""
    reader = _Reader(drift)
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


def offset_at(shifts: Sequence[Shift], time: int) -> int:
    """Return by how many nanoseconds to move what has this decode time."""
    number = bisect_right(shifts, time, key=_since)
    if not number:
        return 0
    before = shifts[number - 1]
    if number == len(shifts) or not shifts[number].gradual:
        return before.offset_ns
    after = shifts[number]
    return before.offset_ns + (after.offset_ns - before.offset_ns) * (time - before.since) // (after.since - before.since)


def _since(shift: Shift) -> int:
    return shift.since


def thinned(shifts: Sequence[Shift], tolerance_ns: int) -> list[Shift]:
    """Return the shifts without those that the others give to `tolerance_ns`."""
    kept: list[Shift] = []
    skipped: list[Shift] = []
    for shift, after in zip_longest(shifts, shifts[1:]):  # `after` is None at the end
        skipped.append(shift)
        even = kept and after is not None and after.gradual and shift.gradual and len(skipped) < MAX_SKIPPED
        if not (even and after and all(_given(each, (kept[-1], after), tolerance_ns) for each in skipped)):
            kept.append(shift)
            skipped.clear()
    return kept


def _given(shift: Shift, by: tuple[Shift, Shift], tolerance_ns: int) -> bool:
    return abs(offset_at(by, shift.since) - shift.offset_ns) <= tolerance_ns
