"""The jobs of several recordings, served in turn by what each job costs.

Owns: the lanes, whose turn it is, and how much of a common bound one lane may take.  Must never know: files, time, threads,
what a job does.

A recording has a lane; the jobs of a lane leave in the order in which they came.  The lanes take turns (deficit round robin,
Shreedhar and Varghese 1995): a lane that gets its turn may spend `QUANTUM` more, and is served while its first job costs no
more than what it may spend.  What a lane may spend is forgotten when it is empty.  So a job that costs at most `QUANTUM` and
is the first of its lane waits, whatever the others do, for no more than one turn of each: `QUANTUM` and one job of each.

The lanes share a bound.  A lane may grow to `SHARE` times the room that all of them leave (Choudhury and Hahne 1998).  So one
lane alone takes four fifths of the bound and never all of it: there is room for those who need little.  Where all lanes are
behind, they come to the same size and fill the bound together.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

QUANTUM = 256 << 10
"""Cost, in bytes, that a lane may spend in one turn."""
SHARE = 4

T = TypeVar("T")


class Lane(Generic[T]):
    """The waiting jobs of one recording, and of the recordings that were joined to it."""

    __slots__ = ("deficit", "jobs", "names", "size")

    def __init__(self, name: str) -> None:
        self.names = [name]
        self.jobs: deque[T] = deque()
        self.size = 0
        """Bytes that its jobs hold in memory."""
        self.deficit = 0
        """Cost that it may still spend in this turn."""


class Turns(Generic[T]):
    """Lanes by name; `cost` is what a job costs to carry out (at least 1), `size` the bytes that it holds in memory."""

    def __init__(self, cost: Callable[[T], int], size: Callable[[T], int]) -> None:
        self._cost = cost
        self._size = size
        self._lanes: dict[str, Lane[T]] = {}
        self._ring: deque[Lane[T]] = deque()
        """The lanes that have jobs; the first has its turn."""
        self._count = 0
        self.size = 0
        """Bytes that all jobs hold in memory."""

    def __len__(self) -> int:
        """Return how many jobs wait."""
        return self._count

    def __iter__(self) -> Iterator[T]:
        """Iterate over the jobs, lane after lane."""
        for lane in self._ring:
            yield from lane.jobs

    @property
    def lanes(self) -> Iterator[Lane[T]]:
        """The lanes that have jobs."""
        return iter(self._ring)

    def lane(self, name: str) -> Lane[T] | None:
        """Return a recording's lane, None where it has no job."""
        return self._lanes.get(name)

    def join(self, name: str, other: str) -> None:
        """Have `name`'s jobs follow those of `other` in its lane, as long as that lane has jobs."""
        lane = self._lanes.get(other)
        if lane is not None and name not in self._lanes:
            lane.names.append(name)
            self._lanes[name] = lane

    def put(self, name: str, job: T) -> None:
        """Add a job to its lane."""
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(name)
            lane.deficit = 0 if self._ring else QUANTUM  # where no other waits, its turn begins
            self._ring.append(lane)
        lane.jobs.append(job)
        lane.size += self._size(job)
        self.size += self._size(job)
        self._count += 1

    def first(self) -> T | None:
        """Return the job that is next; it stays the next one until `done`, whatever is added."""
        ring = self._ring
        while ring:
            lane = ring[0]
            if self._cost(lane.jobs[0]) <= lane.deficit:
                return lane.jobs[0]
            ring.rotate(-1)
            ring[0].deficit += QUANTUM
        return None

    def done(self, follow_up: T | None = None) -> None:
        """Take the job that is next away; `follow_up` takes its place and costs nothing more."""
        lane = self._ring[0]
        job = lane.jobs.popleft()
        lane.size -= self._size(job)
        self.size -= self._size(job)
        if follow_up is not None:
            lane.jobs.appendleft(follow_up)
            lane.size += self._size(follow_up)
            self.size += self._size(follow_up)
            lane.deficit += self._cost(follow_up) - self._cost(job)
            return
        lane.deficit -= self._cost(job)
        self._count -= 1
        if not lane.jobs:
            self._ring.popleft()
            for name in lane.names:
                del self._lanes[name]
            if self._ring:
                self._ring[0].deficit += QUANTUM


def share(bound: int, used: int) -> int:
    """Return how large one lane may be under a bound of which all lanes together use `used`."""
    return SHARE * max(0, bound - used)
