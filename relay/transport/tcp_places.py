"""Places for TCP connections: peers keep theirs, strangers' are lent.

Owns: which connection has a place, and which one gives its place to a newer one.
Must never know: sockets, clocks, what comes over a connection.

Three groups.  *Proved*: an authentic check came over the connection.  *Known*: none came yet, but a live peer has an address of
that host.  *Strangers*: all others.  Strangers have at most `MAX_STRANGERS` places, so that a known host always finds one.
Where a group or a host has used up its places, the oldest connection there that proved nothing gives way.  Proved connections
are not counted by host: a mobile network has many peers behind one address, and each has credentials.  They are counted by peer
(`ice_lite.MAX_TCP_ADDRESSES`).
"""

from typing import Final

from relay.base import addresses
from relay.transport.ice_lite import TCP_PREFIX, Address

MAX_CONNECTIONS: Final = 512
MAX_STRANGERS: Final = 256
"""Connections of hosts where no peer is, before their first authentic check."""
MAX_UNPROVED_PER_HOST: Final = 32
"""Connections of one host (IPv6: of one /64) before their first authentic check."""


def source_of(address: Address) -> str:
    """Return the key under which connections are counted."""
    return addresses.source_of(address[0].removeprefix(TCP_PREFIX))


class Places:
    """Who has a place.  An address is the one of a connection."""

    def __init__(self) -> None:
        self._proved: set[Address] = set()
        self._known: dict[Address, None] = {}
        self._strangers: dict[Address, None] = {}
        """Both oldest first."""
        self._unproved_of: dict[str, int] = {}
        self._replaced: list[Address] = []

    def __len__(self) -> int:
        """Return how many connections have a place."""
        return len(self._proved) + len(self._known) + len(self._strangers)

    def take(self, address: Address, *, is_known: bool) -> bool:
        """Give a new connection a place; False where peers have them all.  Then see `take_replaced`."""
        group = self._known if is_known else self._strangers
        source = source_of(address)
        if self._unproved_of.get(source, 0) >= MAX_UNPROVED_PER_HOST:
            self._replace(next(each for each in (*self._strangers, *self._known) if source_of(each) == source))
        elif not is_known and len(self._strangers) >= MAX_STRANGERS:
            self._replace(next(iter(self._strangers)))
        elif len(self) >= MAX_CONNECTIONS and not self._replace_oldest():
            return False
        group[address] = None
        self._unproved_of[source] = self._unproved_of.get(source, 0) + 1
        return True

    def take_replaced(self) -> list[Address]:
        """Return the connections that lost their places since the last call: close them."""
        replaced, self._replaced = self._replaced, []
        return replaced

    def prove(self, address: Address) -> None:
        """An authentic check came over a connection that has a place."""
        self._drop_unproved(address)
        self._proved.add(address)

    def leave(self, address: Address) -> None:
        """A connection is gone, for whatever reason."""
        self._proved.discard(address)
        self._drop_unproved(address)

    def _replace_oldest(self) -> bool:
        oldest = next(iter(self._strangers), None) or next(iter(self._known), None)
        if oldest is None:
            return False
        self._replace(oldest)
        return True

    def _replace(self, address: Address) -> None:
        self._drop_unproved(address)
        self._replaced.append(address)

    def _drop_unproved(self, address: Address) -> None:
        for group in (self._strangers, self._known):
            if address in group:
                del group[address]
                source = source_of(address)
                self._unproved_of[source] -= 1
                if not self._unproved_of[source]:
                    del self._unproved_of[source]
