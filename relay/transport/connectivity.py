"""Connectivity checks of ICE on the port (RFC 8445 §7.3): the only way in for an address.

Owns: which check is looked at, and what an authentic one changes.  Must never know: media, DTLS.

A check finds its peer by our ufrag.  No state and no work beyond that look-up and one HMAC for an address that passed no
authentic check (I9).
"""

import socket
from collections.abc import Callable
from typing import Final

from relay.base.counters import Counters, declare
from relay.transport import stun
from relay.transport.ice_lite import Address
from relay.transport.peer import Peer
from relay.transport.peer_table import PeerTable
from relay.transport.pktinfo import SendingSocket
from relay.transport.send import Sender

declare(
    stun_malformed="STUN datagrams that are no usable binding request",
    stun_unknown="binding requests for a ufrag that nobody has",
    stun_forged="binding requests that were not authentic, or replayed from another address",
    stun_unheard="binding requests not looked at because too many for this peer had just been forged",
    stun_paced="binding requests not looked at because their peer sends more of them than ICE needs",
    stun_contested="authentic checks from an address that another live peer holds",
    stun_accepted="authentic checks, answered",
)

CONTESTED_SECONDS: Final = 2.0
"""Silence after which an address may pass to another peer (a NAT gave its port away)."""


class ConnectivityChecks:
    """Takes binding requests for the peers of a table, and answers them."""

    def __init__(self, table: PeerTable, sender: Sender, counters: Counters, sock: socket.socket) -> None:
        """`sock`: the port's first socket."""
        self.came_by: SendingSocket = sock
        """By what the datagram came that is being served: the answer leaves from the address that was asked."""
        self.on_evicted: Callable[[Address], None] = lambda address: None
        """Called with an address that is no longer its peer's, because the peer has newer ones."""
        self._table = table
        self._sender = sender
        self._counters = counters

    def take(self, data: bytes, source: Address, now: float) -> None:
        """Take one STUN datagram; raises nothing."""
        try:
            peer = self._table.by_ufrag.get(stun.ufrag_of(data))
            if peer is None:
                self._counters.count("stun_unknown")
            elif peer.ice.is_ignoring(source, now):
                self._count_failure("stun_unheard", peer, source)
            elif peer.ice.is_pacing(now):
                self._count_failure("stun_paced", peer, source)
            elif self._is_contested(peer, source, now):
                self._counters.count("stun_contested")
            else:
                self._check(peer, data, stun.parse_request(data), source, now)
        except stun.StunError:
            self._counters.count("stun_malformed")

    def _is_contested(self, peer: Peer, source: Address, now: float) -> bool:
        """An authenticated viewer must not be able to take another peer's address from it by forging its source."""
        holder = self._table.by_address.get(source)
        if holder is None or holder is peer:
            return False
        return now - holder.ice.validated.get(source, 0.0) < CONTESTED_SECONDS

    def _check(self, peer: Peer, data: bytes, request: stun.Request, source: Address, now: float) -> None:
        if not source[1]:  # nothing can be sent there
            raise stun.StunError("from port 0")
        outcome = peer.ice.check(data, request, source, now)
        if outcome is None:
            self._count_failure("stun_forged", peer, source)
            return
        if outcome.nominated or self._table.by_address.get(source) is not peer:
            self._sender.take_way(source, self.came_by)
        self._table.take_address(source, peer)
        if outcome.evicted is not None:
            self._table.drop_address(outcome.evicted)
            self.on_evicted(outcome.evicted)
        if outcome.retired is not None:
            self._table.retire(outcome.retired)
        self._counters.count("stun_accepted")
        self._sender.answer(outcome.answer, source, self.came_by)
        peer.validated(now)

    def _count_failure(self, counter: str, peer: Peer, source: Address) -> None:
        self._counters.count(counter)
        if source in peer.ice.validated:
            peer.count_useless()
