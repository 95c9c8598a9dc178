"""Which connections HTTP holds, and which one gives way when places are short.

Owns: the places, who has one, what each connection waits for and since when.  Must never know: sockets, TLS, requests; any
clock except the `now` it is given.

Three classes, worst first:
* stranger: nobody signed in from this address lately, and no request of this connection proved who it is from;
* known: somebody signed in from this address lately, or a camera showed its token there;
* held: a request of this very connection proved whose it is, its *holder*: a person or a camera.

Strangers have a share of the places; the rest is kept for the other two.  A newcomer who finds no place takes the place of the
stranger that has been waiting longest for its own peer (a silent connection, half a head, half a body, an answer that nobody
reads).  So silent connections never keep anybody out, however many they are and wherever they come from.  A connection that the
relay itself is working for is never closed to make room.  Connections that come and go faster than they can be taken cost time
instead of places: then strangers are taken at a bounded rate, and the others are reached without waiting behind them.

A trusted proxy carries many people over few connections: its connections are in a class of their own, count in the total only,
and prove nothing about the proxy's address.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from enum import Enum

from relay.http.limits import Buckets

KNOWN_SECONDS = 12 * 3600.0
"""How long an address counts as known after its last proof: a shift."""
MAX_KNOWN = 10_000
"""Addresses that are remembered as known; the one that proved itself longest ago is forgotten first."""
KNOWN_PER_HOLDER = 16
"""Of these, addresses at which one person or camera was last: nobody who has a network of addresses pushes out the others'."""
KNOWN_FACTOR = 4
"""A known address may have this many times the connections of another one: a command post behind one address."""
CROWDED_STRANGERS = (100.0, 200)
"""While more connections come than one turn can take: how many of all strangers go on, per second and at once."""
CROWDED_SOURCE = (50.0, 200)
"""The same for one address, known or not."""
BODY_SECONDS = 30.0
"""A request's body must have come after this time: 160 kB, the largest, at 43 kbit/s."""
STALL_SECONDS = 30.0
"""A peer must take some of its answer within this time: the transport's 48 kB between its marks, 13 kbit/s."""
CLOSING_SECONDS = 5.0
"""A closed connection may take this long for its last bytes; then it is cut off."""


class Standing(Enum):
    """The class of a connection."""

    STRANGER = "stranger"
    KNOWN = "known"
    HELD = "held"
    PROXY = "proxy"


class Overdue(Enum):
    """Which deadline a connection missed."""

    BODY = "body"
    STALLED = "stalled"
    CLOSING = "closing"


@dataclass(frozen=True, slots=True)
class Places:
    """How many connections there may be."""

    total: int
    strangers: int
    """Of the total; the rest is kept for known addresses and for holders."""
    per_source: int
    """Of one address, of those that are not held.  A known address may have `KNOWN_FACTOR` times as many."""
    per_holder: int
    """Held by one person or one camera."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a connection may stay, and which others must be closed now."""

    admitted: bool
    close: tuple[int, ...] = ()


@dataclass(slots=True, eq=False)
class _Group:
    """The connections of one address or of one holder: all of them, and those that wait for their peer, oldest first."""

    members: set[int] = field(default_factory=set)
    waiting: OrderedDict[int, None] = field(default_factory=OrderedDict)


@dataclass(slots=True)
class _Entry:
    source: str
    standing: Standing
    group: _Group
    holder: str | None = None
    working: bool = False
    """The relay is working for it."""
    body_since: float | None = None
    stalled_since: float | None = None
    closing_since: float | None = None


class ConnectionTable:
    """All connections of the public listener.  A connection is a number that the caller chose; unknown numbers are ignored."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._entries: dict[int, _Entry] = {}
        self._sources: dict[str, _Group] = {}
        self._holders: dict[str, _Group] = {}
        self._classes: dict[Standing, _Group] = {standing: _Group() for standing in Standing}
        self._known: OrderedDict[str, float] = OrderedDict()
        self._known_by: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()
        """Holder -> the known addresses at which it was last."""
        self._holders_at: Counter[str] = Counter()
        """Address -> how many holders it is kept for."""
        self._arrivals = Buckets(*CROWDED_SOURCE)
        self._strangers = Buckets(*CROWDED_STRANGERS)

    def __len__(self) -> int:
        return len(self._entries)

    def count(self, standing: Standing) -> int:
        """Return how many connections are in a class."""
        return len(self._classes[standing].members)

    def is_known(self, source: str, now: float) -> bool:
        """Return whether somebody proved who they are from this address within `KNOWN_SECONDS`."""
        since = self._known.get(source)
        return since is not None and now - since < KNOWN_SECONDS

    # --- who may come -------------------------------------------------------------------------------------------------

    def admit(self, number: int, source: str, now: float, *, proxy: bool = False, crowded: bool = False) -> Verdict:
        """Give a new connection a place, or refuse it; it then waits for its peer.

        `crowded`: more connections came than one turn of accepting can take.  Then strangers, and addresses from which many
        come, are taken at a bounded rate only, so that everybody else is reached at once.
        """
        known = self.is_known(source, now)
        standing = Standing.PROXY if proxy else Standing.KNOWN if known else Standing.STRANGER
        if self._comes_too_often(standing, source, now) and crowded:
            return Verdict(admitted=False)
        group = self._sources.get(source) or _Group()
        victims = self._make_room(standing, group)
        if victims is None:
            return Verdict(admitted=False)
        for victim in victims:
            self.remove(victim)
        entry = _Entry(source, standing, self._sources.setdefault(source, _Group()))
        self._entries[number] = entry
        self._join(number, entry)
        return Verdict(admitted=True, close=victims)

    def _comes_too_often(self, standing: Standing, source: str, now: float) -> bool:
        if standing is Standing.PROXY:
            return False
        return self._arrivals.take(source, now) > 0 or (standing is Standing.STRANGER and self._strangers.take("", now) > 0)

    def _make_room(self, standing: Standing, group: _Group) -> tuple[int, ...] | None:
        """Return who must go for a newcomer of this class and address; None where nobody can."""
        places, strangers = self.places, self._classes[Standing.STRANGER]
        factor = KNOWN_FACTOR if standing is Standing.KNOWN else 1
        if standing is not Standing.PROXY and len(group.members) >= places.per_source * factor:
            return _oldest(group)
        if standing is Standing.STRANGER and len(strangers.members) >= places.strangers:
            return _oldest(strangers)
        if len(self._entries) < places.total:
            return ()
        if standing is Standing.STRANGER:
            return _oldest(strangers)
        return _oldest(strangers) or _oldest(self._classes[Standing.KNOWN]) or _oldest(self._classes[Standing.HELD])

    def hold(self, number: int, holder: str, now: float) -> Verdict:
        """A request of this connection proved whose it is.  Not admitted: its holder has too many, and all are at work."""
        entry = self._entries.get(number)
        if entry is None or entry.standing is Standing.PROXY:
            return Verdict(admitted=True)
        self._remember(entry.source, holder, now)
        if entry.holder == holder:
            return Verdict(admitted=True)
        group = self._holders.get(holder) or _Group()
        victims = _oldest(group) if len(group.members) >= self.places.per_holder else ()
        if victims is None:
            return Verdict(admitted=False)
        for victim in victims:
            self.remove(victim)
        self._leave(number, entry)
        entry.standing, entry.holder, entry.group = Standing.HELD, holder, self._holders.setdefault(holder, _Group())
        self._join(number, entry)
        return Verdict(admitted=True, close=victims)

    def _remember(self, source: str, holder: str, now: float) -> None:
        was_known = self.is_known(source, now)
        self._count_to_holder(source, holder)
        self._known[source] = now
        self._known.move_to_end(source)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        if was_known:
            return
        group = self._sources.get(source)
        for number in list(group.members) if group is not None else ():
            entry = self._entries[number]
            self._leave(number, entry)
            entry.standing, entry.group = Standing.KNOWN, self._sources.setdefault(source, _Group())
            self._join(number, entry)

    def _count_to_holder(self, source: str, holder: str) -> None:
        """Note that a holder is at an address; one that is at too many loses its oldest."""
        sources = self._known_by.setdefault(holder, OrderedDict())
        self._known_by.move_to_end(holder)
        if source not in sources:
            sources[source] = None
            self._holders_at[source] += 1
        sources.move_to_end(source)
        if len(sources) > KNOWN_PER_HOLDER:
            self._forget(sources.popitem(last=False)[0])
        if len(self._known_by) > MAX_KNOWN:
            for each in self._known_by.popitem(last=False)[1]:
                self._forget(each)

    def _forget(self, source: str) -> None:
        """A holder is at an address no more: without another holder there, it is not known."""
        self._holders_at[source] -= 1
        if not self._holders_at[source]:
            del self._holders_at[source]
            self._known.pop(source, None)

    # --- what a connection waits for ----------------------------------------------------------------------------------

    def work(self, number: int, now: float, *, body: bool) -> None:
        """A request's head has come; `body`: not all of its body."""
        entry = self._entries.get(number)
        if entry is not None:
            entry.working, entry.body_since = True, now if body else None
            self._sort(number, entry)

    def body_came(self, number: int) -> None:
        """The rest of the body has come: the relay's turn."""
        entry = self._entries.get(number)
        if entry is not None and entry.body_since is not None:
            entry.body_since = None
            self._sort(number, entry)

    def wait(self, number: int) -> None:
        """The answer was given: the peer's turn."""
        entry = self._entries.get(number)
        if entry is not None:
            entry.working, entry.body_since = False, None
            self._sort(number, entry)

    def stall(self, number: int, now: float) -> None:
        """The peer does not take its answer as fast as the relay gives it."""
        entry = self._entries.get(number)
        if entry is not None and entry.stalled_since is None:
            entry.stalled_since = now
            self._sort(number, entry)

    def flow(self, number: int) -> None:
        """The peer took some of its answer."""
        entry = self._entries.get(number)
        if entry is not None and entry.stalled_since is not None:
            entry.stalled_since = None
            self._sort(number, entry)

    def close(self, number: int, now: float) -> None:
        """The relay closed the connection; it is gone when its last bytes are."""
        entry = self._entries.get(number)
        if entry is not None and entry.closing_since is None:
            entry.closing_since = now

    def overdue(self, now: float) -> list[tuple[int, Overdue]]:
        """Return the connections that missed a deadline; the caller closes each."""
        found = []
        for number, entry in self._entries.items():
            if entry.body_since is not None and now - entry.body_since >= BODY_SECONDS:
                found.append((number, Overdue.BODY))
            elif entry.stalled_since is not None and now - entry.stalled_since >= STALL_SECONDS:
                found.append((number, Overdue.STALLED))
            elif entry.closing_since is not None and now - entry.closing_since >= CLOSING_SECONDS:
                found.append((number, Overdue.CLOSING))
        return found

    def remove(self, number: int) -> None:
        """The connection is gone."""
        entry = self._entries.pop(number, None)
        if entry is not None:
            self._leave(number, entry)

    # --- the books ----------------------------------------------------------------------------------------------------

    def _join(self, number: int, entry: _Entry) -> None:
        entry.group.members.add(number)
        self._classes[entry.standing].members.add(number)
        self._sort(number, entry)

    def _leave(self, number: int, entry: _Entry) -> None:
        for group in (entry.group, self._classes[entry.standing]):
            group.members.discard(number)
            group.waiting.pop(number, None)
        if not entry.group.members:
            groups, name = (self._sources, entry.source) if entry.holder is None else (self._holders, entry.holder)
            groups.pop(name, None)

    def _sort(self, number: int, entry: _Entry) -> None:
        """Put a connection where it belongs: among those that wait for their peer, in the order in which they began to."""
        # A download of somebody known goes on at the pace of his line: it is slow, but it is work.
        slow = entry.holder is None and entry.stalled_since is not None
        waits = not entry.working or entry.body_since is not None or slow
        for group in (entry.group, self._classes[entry.standing]):
            if not waits:
                group.waiting.pop(number, None)
            elif number not in group.waiting:
                group.waiting[number] = None


def _oldest(group: _Group) -> tuple[int, ...] | None:
    return (next(iter(group.waiting)),) if group.waiting else None
