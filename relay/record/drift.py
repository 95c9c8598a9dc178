"""How far the clock of each track has drifted from the time that really passed, and by how much to move it where it is played.

Owns: the measurement against arrival, and the points of the corrections that are signed.
Must never know: packets, files, what a correction looks like in the chain, sealed bytes.

A track lies on its own RTP clock.  A clock that runs 1 % fast is 12 s ahead after 20 minutes, and no single step of it looks
wrong: only the sum does.  So each sample's *lateness* is taken: its arrival minus its decode time, on the recording's timeline.
A network delays packets and never hastens them, so the least lateness of a second (a *bucket*) is near the truth, and the lower
edge of many buckets is the clock itself.  A track is moved along a straight *line*; at first the line is zero.

    A sample EARLIER than the line by more than the limit: certain, because no network brings a packet before it was sent.
    All samples LATER than the line by more than the limit:
        for 30 s, while the other track came in time: the path is the same, so it is the clock.  For 8 s where it is much.
        for 120 s, whatever the other track does.  A path that is full for so long is rare; and then both tracks move alike.

Where both tracks have sender reports, the camera's own clock must agree that the tracks part: a sender that holds its pictures
back (a full pacer) delays them for a minute, too, and its stamps are right.

Then the line is laid anew along the lower convex hull of the buckets, from where the last line was still right (for the
estimate of clock skew by a convex hull see Moon, Skelly and Towsley 1999).  A track that follows its line costs nothing.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from relay.record.timeline import Fix

SECOND = 1_000_000_000
LIMIT_NS = SECOND // 2
"""A drift up to this is left alone: the jitter of a radio looks like it."""
EARLY_NS = SECOND // 10
LATE_NS = SECOND // 4
"""The limits for a track that was corrected already."""
GOOD_NS = SECOND // 20
"""A bucket is on the line where it is no further from it."""
MUCH_NS = SECOND * 5 // 2
BUCKETS = 180
"""Seconds that are remembered."""
ALONE, TOGETHER, SOON = 120, 30, 8
"""For how many seconds all of a track must be late: in any case; while the other is in time; and where it is much."""
POINT_NS, STEP_NS = 10 * SECOND, SECOND // 50
"""A line that slopes is written again after so long, once it has moved by so much."""
LEAST_NS = 20 * SECOND
"""How steep a line is, is measured over so much at least."""
BEND_NS = SECOND // 20
"""A bend of the hull that is less far from a straight line is left out."""
SAME_CLOCK_NS = SECOND // 4
"""Reports of both tracks are compared where the camera's clock stood alike in both."""
FRESH_NS = 30 * SECOND
"""A report that is older says nothing of now."""
MOST_BENDS = 16
RECENT_NS = 5 * SECOND
"""A track of which nothing came for so long is no measure for the other."""


class Moved(NamedTuple):
    """At this decode time (ticks) the track is moved by so much; `gradual`: evenly since the point before."""

    track: int
    time: int
    moved_ns: int
    gradual: bool


class _Bucket(NamedTuple):
    """The least delayed sample of a second: its decode time and its lateness, in ns."""

    time: int
    late: int


@dataclass(slots=True)
class _Line:
    """By how much to move: `moved` at `since`, and so much more with each ns of decode time."""

    since: int = 0
    moved: int = 0
    slope: float = 0.0

    def at(self, time: int) -> int:
        return self.moved + round(self.slope * (time - self.since))


@dataclass(slots=True)
class _Tie:
    """What the last sender report of a track said: camera's clock minus decode time, its offset, and its decode time (ns)."""

    tie_ns: int
    offset_ns: int
    time: int


@dataclass(slots=True)
class Track:
    """One track since it was anchored last."""

    track: int
    rate: int
    line: _Line = field(default_factory=_Line)
    corrected: bool = False
    buckets: deque[_Bucket] = field(default_factory=lambda: deque(maxlen=BUCKETS))
    first: tuple[int, int] | None = None
    """Decode time and lateness (ns) of the first sample after the anchor."""
    tie: _Tie | None = None
    first_tie: int | None = None
    """The tie of the first report after the anchor."""
    reached: int = 0
    """Decode time of the last sample, in ns."""
    good: int | None = None
    """Decode time (ns) of the last bucket that was on the line."""
    _open: _Bucket | None = None
    _closes: int = 0
    _written: int = 0
    """Decode time of the last point, in ns."""

    def ticks(self, time: int) -> int:
        """Return a decode time in ticks of the track."""
        return time * self.rate // SECOND

    def point(self, time: int, *, gradual: bool = True) -> Moved:
        """Return the point of the line at a decode time (ns)."""
        self._written = max(self._written, time)
        return Moved(self.track, self.ticks(time), self.line.at(time), gradual)

    def take(self, time: int, late: int, arrival: int) -> bool:
        """Take a sample; return whether it ended a bucket."""
        ended = False
        if self.first is None:
            self.first, self.line, self._closes = (time, late), _Line(since=time - 1), arrival + SECOND
        elif arrival >= self._closes:
            ended = self._open is not None
            self._end_bucket()
            self._closes = arrival + SECOND
        if self._open is None or late - self.line.at(time) < self._open.late - self.line.at(self._open.time):
            self._open = _Bucket(time, late)
        self.reached = max(self.reached, time)
        return ended

    def _end_bucket(self) -> None:
        if self._open is not None:
            self.buckets.append(self._open)
            if abs(self.over(self._open)) <= GOOD_NS:
                self.good = self._open.time
            self._open = None

    def over(self, bucket: _Bucket) -> int:
        """Return how much later than the line a bucket is, in ns; 0 for one from before this line."""
        return bucket.late - self.line.at(bucket.time) if bucket.time > self.line.since else 0

    def least(self, seconds: int) -> int | None:
        """Return by how much all of the last buckets are late at least, None where there are not so many."""
        if len(self.buckets) < max(seconds, 1):
            return None
        return min(self.over(self.buckets[-1 - number]) for number in range(seconds))

    def least_beside(self, other: "Track", seconds: int) -> int:
        """Return the same, without the time by which the other track was late in that second or in the one beside it."""
        found = []
        for number in range(min(seconds, len(self.buckets), len(other.buckets))):
            beside = [other.buckets[-1 - n] for n in range(max(number - 1, 0), min(number + 2, len(other.buckets)))]
            found.append(self.over(self.buckets[-1 - number]) - max(0, *(other.over(bucket) for bucket in beside)))
        return min(found, default=0)

    @property
    def is_early(self) -> bool:
        """Whether the last bucket is certainly before the line."""
        return bool(self.buckets) and self.over(self.buckets[-1]) < -(EARLY_NS if self.corrected else LIMIT_NS)

    @property
    def is_due(self) -> bool:
        """Whether the line went on for a while, and by more than a little, since it was written last."""
        moved = abs(self.line.at(self.reached) - self.line.at(self._written))
        return self.corrected and moved >= STEP_NS and self.reached - self._written >= POINT_NS

    def lay(self) -> list[Moved]:
        """Lay the line anew along the buckets; return the points that say so."""
        assert self.first is not None
        points: list[Moved] = []
        if self.good is None:  # it was wrong from the beginning: by a constant
            start = _Bucket(self.first[0], self.buckets[0].late)
            points.append(Moved(self.track, self.ticks(start.time), start.late, False))
        else:
            start = _Bucket(self.good, self.line.at(self.good))
            points.append(self.point(start.time, gradual=self.corrected))
        bends, self.line = _edge(lower_hull([start, *(bucket for bucket in self.buckets if bucket.time > start.time)]))
        if self.line.since - start.time < LEAST_NS:  # too short to tell how steep it is
            since = self.line.since - LEAST_NS
            _, self.line = _edge(lower_hull([bucket for bucket in self.buckets if bucket.time > since]))
            bends = [start, _Bucket(self.line.since, self.line.moved)]
        points += [Moved(self.track, self.ticks(bend.time), bend.late, True) for bend in simplified(bends)[1:]]
        self.corrected, self.good, self._written = True, self.line.since, self.line.since
        return points


def lower_hull(points: Sequence[_Bucket]) -> list[_Bucket]:
    """Return the lower convex hull of points of ascending time (Andrew 1979)."""
    hull: list[_Bucket] = []
    for point in points:
        while len(hull) > 1 and _turns_right(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    return hull


def _turns_right(first: _Bucket, second: _Bucket, third: _Bucket) -> bool:
    return (second.late - first.late) * (third.time - first.time) >= (third.late - first.late) * (second.time - first.time)


def _edge(hull: Sequence[_Bucket]) -> tuple[list[_Bucket], _Line]:
    """Return the hull up to its end, and the line that goes on from there.

    The line is that of the edge under the middle of the last 30 s: the last edge may be short, and is noise then.
    """
    last = hull[-1]
    middle = max((hull[0].time + last.time) // 2, last.time - 15 * SECOND)
    for number, (before, after) in enumerate(zip(hull, hull[1:], strict=False)):
        if after.time >= middle:
            line = _Line(before.time, before.late, (after.late - before.late) / (after.time - before.time))
            end = _Bucket(last.time, line.at(last.time))
            return [*hull[: number + 1], end], _Line(end.time, end.late, line.slope)
    return [last], _Line(last.time, last.late)


def simplified(points: Sequence[_Bucket]) -> list[_Bucket]:
    """Return the points without those that are within `BEND_NS` of a straight line; at most `MOST_BENDS` of them."""
    kept = [points[0]]
    for number in range(1, len(points) - 1):
        before, point, after = kept[-1], points[number], points[-1]
        straight = before.late + (after.late - before.late) * (point.time - before.time) // (after.time - before.time)
        if abs(point.late - straight) > BEND_NS and len(kept) < MOST_BENDS:
            kept.append(point)
    return [*kept, points[-1]] if len(points) > 1 else kept


class Drifts:
    """The drift of all tracks of one recording; `origin` is the monotonic instant (ns) that is 0 on its timeline."""

    def __init__(self, origin: int) -> None:
        self._origin = origin
        self._tracks: dict[int, Track] = {}
        self._moved: set[int] = set()
        """Tracks that an earlier anchor left moved."""
        self._points: list[Moved] = []

    def anchor(self, track: int, rate: int) -> None:
        """A track begins, or is anchored again: by arrival, so what was known of its clock is void."""
        before = self._tracks.get(track)
        if before is not None and before.corrected:
            self._points += [before.point(before.reached)] if before.line.slope else []
            self._moved.add(track)
        self._tracks[track] = Track(track, rate)

    def sample(self, track: int, ticks: int, arrival: int) -> bool:
        """Take a sample that was kept: its decode time (ticks) and its arrival (monotonic ns).

        Return whether it lies on the line of a clock that was corrected: it is not late, however far behind its stamp is.
        """
        each = self._tracks[track]
        time = ticks * SECOND // each.rate
        if track in self._moved:
            self._moved.discard(track)
            self._points.append(Moved(track, ticks, 0, False))
        late = arrival - self._origin - time
        if each.take(time, late, arrival):
            self._judge(each)
        return each.corrected and abs(late - each.line.at(time)) < LATE_NS

    def report(self, track: int, fix: Fix) -> None:
        """Take what a sender report of a track says."""
        each = self._tracks.get(track)
        if each is None:
            return
        time = fix.time * SECOND // each.rate
        each.tie = _Tie(fix.wall_ns - time, fix.offset_ns, time)
        if each.first_tie is None:
            each.first_tie = each.tie.tie_ns

    def take(self) -> list[Moved]:
        """Return the points that are new since the last call, by track and time as they must be written."""
        points, self._points = self._points, []
        return points

    def finish(self) -> list[Moved]:
        """Return what is new at the end: where the line of each sloping track ends."""
        for each in self._tracks.values():
            if each.corrected and each.line.slope:
                self._points.append(each.point(each.reached))
        return self.take()

    def _judge(self, each: Track) -> None:
        if each.is_early or self._is_late(each):
            self._points += each.lay()
        elif each.is_due:
            self._points.append(each.point(each.reached))

    def _is_late(self, each: Track) -> bool:
        limit = LATE_NS if each.corrected else LIMIT_NS
        if (each.least(ALONE) or 0) > limit:
            return True
        other = next((track for track in self._tracks.values() if track is not each and track.buckets), None)
        if other is None or sum(each.buckets[-1]) - sum(other.buckets[-1]) > RECENT_NS:
            return False
        for seconds, least in ((TOGETHER, limit), (SOON, max(limit, MUCH_NS))):
            if (each.least(seconds) or 0) > least and each.least_beside(other, seconds) > least:
                return not _denied(each, other)
        return False


def _denied(each: Track, other: Track) -> bool:
    """Return whether the camera's reports say that both tracks keep together, although one comes later and later."""
    if each.first is None or other.first is None or not each.buckets or not other.buckets:
        return False
    measured = (each.buckets[-1].late - each.first[1]) - (other.buckets[-1].late - other.first[1])
    said = 0
    for sign, track in ((1, each), (-1, other)):
        if track.tie is None or track.first_tie is None or track.reached - track.tie.time > FRESH_NS:
            return False
        said += sign * (track.tie.tie_ns - track.first_tie)
    if each.tie is None or other.tie is None or abs(each.tie.offset_ns - other.tie.offset_ns) > SAME_CLOCK_NS:
        return False
    return abs(measured - said) > max(LIMIT_NS, abs(measured) // 2)
