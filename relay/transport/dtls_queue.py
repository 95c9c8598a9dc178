"""DTLS datagrams that wait: a handshake flight costs as much as two hundred packets of media.

Owns: the queue, its bounds in all and per peer.  Must never know: sockets, what a handshake says.
"""

from collections import deque
from typing import Final

from relay.base.counters import Counters, declare
from relay.transport.ice_lite import Address
from relay.transport.peer import Peer

declare(dtls_dropped="DTLS datagrams dropped because too many waited")

MAX_WAITING: Final = 256
MAX_WAITING_OF_ONE: Final = 16
"""Datagrams of one peer: a flight is at most six."""
PER_DRAIN: Final = 4
"""Datagrams worked off after the media of one drain."""


class DtlsQueue:
    """Datagrams in order of arrival, fair between peers by a bound for each."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._waiting: deque[tuple[Peer, bytes, Address]] = deque()
        self._of_peer: dict[Peer, int] = {}

    def __len__(self) -> int:
        """Return how many datagrams wait."""
        return len(self._waiting)

    def add(self, peer: Peer, datagram: bytes, source: Address, now: float) -> None:
        """Let a datagram wait, as far as its peer admits it; one too many is dropped, counted, and held against the peer."""
        records = peer.admit_dtls(datagram, now)
        if not records:
            return
        waiting = self._of_peer.get(peer, 0)
        if len(self._waiting) >= MAX_WAITING or waiting >= MAX_WAITING_OF_ONE:
            peer.count_useless()
            self._counters.count("dtls_dropped")
            return
        self._of_peer[peer] = waiting + 1
        self._waiting.append((peer, records, source))

    def work_off(self, now: float) -> bool:
        """Hand a few datagrams to their peers; returns whether others still wait."""
        for _ in range(min(PER_DRAIN, len(self._waiting))):
            peer, records, source = self._waiting.popleft()
            left = self._of_peer[peer] - 1
            if left:
                self._of_peer[peer] = left
            else:
                del self._of_peer[peer]
            if not peer.closed:
                peer.on_dtls(records, source, now)
        return bool(self._waiting)
