"""Failed sign-ins, remembered in memory, so that the next ones have to wait (SEC-01).

Owns: whom a failure counts against, bounded.  Must never know: passwords, which names exist (it is told of each claim).

An attempt counts before its password is checked, and is given back when it was right.  There are two kinds:
* *Known*: with a browser that this person signed in with before, or from a source where this person did.  Its failures count
  against that browser, or that pair of name and source, alone.  Nobody else can make it wait.
* *Strange*: every other.  Its failures count against the name, for all strangers, and against the source.

Each table is bounded.  Where one is full, entries of names that do not exist go first, then those with the fewest failures:
whoever fills a table pushes out what he put there himself.
"""

import heapq
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from relay.policy.lockout import Failures, Limits, Tried, begun, cleared, failed, given_back, tried, wait_seconds

MAX_TRACKED = 10_000
"""Entries of each table."""
SOURCES_PER_NAME = 8
"""Sources that a person is known at; the oldest is forgotten."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who somebody says he is, and from where."""

    name: str
    source: str
    """The key of the address (`base/addresses.source_of`)."""
    browser: str | None = None
    """The browser, where it proved that this person signed in with it before."""
    known_name: bool = False
    """Whether the name exists."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, and against what it counts: decided as it begins, because another one may succeed meanwhile."""

    claim: Claim
    known: bool


class Table:
    """Failures by key; those of names that exist, then those with more failures, are kept longest."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[bool, Failures]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Failures:
        """Return the failures of a key."""
        return self._entries[key][1] if key in self._entries else Failures()

    def set(self, key: str, state: Failures, *, lasting: bool) -> None:
        """Keep the failures of a key; none are forgotten at once."""
        if state.count or state.pending:
            self._entries[key] = (lasting, state)
            self._bound()
        else:
            self._entries.pop(key, None)

    def _bound(self) -> None:
        if len(self._entries) <= MAX_TRACKED:
            return
        # Many at a time, so that a flood does not search the table for each.
        for key in heapq.nsmallest(MAX_TRACKED // 10, self._entries, key=self._weight):
            del self._entries[key]

    def _weight(self, key: str) -> tuple[bool, bool, int, int]:
        lasting, state = self._entries[key]
        return state.pending > 0, lasting, state.count, state.last_ns


class Attempts:
    """The failed sign-ins of this process; times are steady UTC ns."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._names = Table()
        self._own = Table()
        self._sources: OrderedDict[str, Tried] = OrderedDict()
        self._places: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()
        self._at_source: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._names) + len(self._own) + len(self._sources) + len(self._places)

    def knows(self, claim: Claim) -> bool:
        """Return whether this person signed in before with this browser or from this source."""
        return claim.browser is not None or claim.source in self._places.get(claim.name, ())

    def is_known_source(self, claim: Claim) -> bool:
        """Return whether the claim's waiting place is kept: the person is known, or somebody signed in from there before."""
        return self.knows(claim) or self._at_source[claim.source] > 0

    def wait_seconds(self, claim: Claim, now_ns: int) -> float:
        """Return how long the next attempt must still wait; 0 when it may be made now."""
        limits = self._limits
        if self.knows(claim):
            return wait_seconds(self._own.get(_own_key(claim)), now_ns, limits)
        of_source = wait_seconds(self._sources.get(claim.source, Tried()).failures, now_ns, limits, limits.free_names)
        return max(wait_seconds(self._names.get(claim.name), now_ns, limits), of_source)

    def pending(self, claim: Claim) -> int:
        """Return how many attempts are being checked that count against the same."""
        return max(self._names.get(claim.name).pending, self._own.get(_own_key(claim)).pending)

    def begin(self, claim: Claim) -> Attempt:
        """Count an attempt that is about to be checked.  One of the next four follows, once."""
        attempt = Attempt(claim, self.knows(claim))
        self._change(attempt, begun, lambda source: Tried(source.names, begun(source.failures)))
        return attempt

    def failed(self, attempt: Attempt, now_ns: int) -> None:
        """Count a failure."""
        limits, name = self._limits, attempt.claim.name
        self._change(attempt, lambda state: failed(state, now_ns, limits), lambda source: tried(source, name, now_ns, limits))

    def given_back(self, attempt: Attempt) -> None:
        """Forget an attempt that could not be checked."""
        self._change(attempt, given_back, lambda source: Tried(source.names, given_back(source.failures)))

    def right(self, attempt: Attempt) -> None:
        """Forget the failures: of a known person his own; of a strange one those of the name and of the source.

        People work at the source: one typo a shift of different people must not lock the room.
        """
        self._change(attempt, cleared, lambda source: Tried(failures=cleared(source.failures)))

    def signed_in(self, attempt: Attempt) -> None:
        """Forget the failures, and remember that this person signed in from there."""
        self.right(attempt)
        self._remember(attempt.claim)

    def _change(
        self, attempt: Attempt, change: Callable[[Failures], Failures], change_source: Callable[[Tried], Tried]
    ) -> None:
        claim = attempt.claim
        if attempt.known:
            key = _own_key(claim)
            self._own.set(key, change(self._own.get(key)), lasting=True)
            return
        self._names.set(claim.name, change(self._names.get(claim.name)), lasting=claim.known_name)
        source = change_source(self._sources.get(claim.source, Tried()))
        if source == Tried():
            self._sources.pop(claim.source, None)
            return
        self._sources[claim.source] = source
        self._sources.move_to_end(claim.source)
        if len(self._sources) > MAX_TRACKED:
            self._bound_sources()

    def _bound_sources(self) -> None:
        """Drop those with the fewest failures, the oldest first: a source that waits goes last."""

        def weight(key: str) -> tuple[bool, int]:
            failures = self._sources[key].failures
            return failures.pending > 0, failures.count

        for key in heapq.nsmallest(MAX_TRACKED // 10, self._sources, key=weight):
            del self._sources[key]

    def _remember(self, claim: Claim) -> None:
        places = self._places.setdefault(claim.name, OrderedDict())
        self._places.move_to_end(claim.name)
        if claim.source not in places:
            places[claim.source] = None
            self._at_source[claim.source] += 1
        places.move_to_end(claim.source)
        if len(places) > SOURCES_PER_NAME:
            self._forget(places.popitem(last=False)[0])
        if len(self._places) > MAX_TRACKED:
            for source in self._places.popitem(last=False)[1]:
                self._forget(source)

    def _forget(self, source: str) -> None:
        self._at_source[source] -= 1
        if not self._at_source[source]:
            del self._at_source[source]


def _own_key(claim: Claim) -> str:
    """Return the key of a known person's own failures."""
    return f"{claim.name} browser {claim.browser}" if claim.browser is not None else f"{claim.name} source {claim.source}"
