"""Who is next where few are served at a time: places for known sources and for strangers, and turns between sources.

Owns: the order and the bounds.  Must never know: what is waited for.

* Each kind has its own places: strangers never take one of a known source.
* Within a kind the sources take turns.  Where all places are taken, the source with most of them gives up its latest.
* Known sources go first, but every fourth turn is a stranger's: a hostile colleague does not shut the door either.
"""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")
STRANGERS_TURN = 4


class _Places(Generic[T]):
    """The places of one kind."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._queues: OrderedDict[str, deque[T]] = OrderedDict()
        self.taken = 0

    def add(self, source: str, item: T) -> T | None:
        """Let one wait; return the one that gets no place, which may be this one, or None."""
        self._queues.setdefault(source, deque()).append(item)
        self.taken += 1
        if self.taken <= self._most:
            return None
        # The newcomer's own source gives way where several have as many.
        greedy = max(self._queues, key=lambda key: (len(self._queues[key]), key == source))
        return self._take(greedy, latest=True)

    def next(self) -> T:
        """Return who is next; raises KeyError where nobody waits."""
        source = next(iter(self._queues), None)
        if source is None:
            raise KeyError("nobody waits")
        self._queues.move_to_end(source)
        return self._take(source, latest=False)

    def _take(self, source: str, *, latest: bool) -> T:
        queue = self._queues[source]
        item = queue.pop() if latest else queue.popleft()
        if not queue:
            del self._queues[source]
        self.taken -= 1
        return item


class Waiting(Generic[T]):
    """Those who wait, of both kinds; at most `most` of each."""

    def __init__(self, most: int) -> None:
        self._known: _Places[T] = _Places(most)
        self._strangers: _Places[T] = _Places(most)
        self._turn = 0

    def __len__(self) -> int:
        return self._known.taken + self._strangers.taken

    def add(self, source: str, item: T, *, known: bool) -> T | None:
        """Let one wait; return the one that gets no place, which may be this one, or None."""
        return (self._known if known else self._strangers).add(source, item)

    def next(self) -> T:
        """Return who is next; raises KeyError where nobody waits."""
        self._turn += 1
        strangers_first = self._turn % STRANGERS_TURN == 0 and self._strangers.taken > 0
        return self._strangers.next() if strangers_first or not self._known.taken else self._known.next()
