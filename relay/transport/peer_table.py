"""Who is on the port: peers by our ufrags and by the addresses that passed a check.

Owns: both maps, so that no entry outlives its peer.  Must never know: sockets, STUN, DTLS.
"""

from collections.abc import Callable

from relay.transport.ice_lite import TCP_PREFIX, Address
from relay.transport.peer import Peer
from relay.transport.sdp_types import Local


class PeerTable:
    """Peers of one port, by ufrag and by address."""

    def __init__(self) -> None:
        self.peers: dict[Peer, None] = {}
        self.by_ufrag: dict[bytes, Peer] = {}
        self.by_address: dict[Address, Peer] = {}
        self.on_dropped: Callable[[Address], None] = lambda address: None
        """Called with each address that is nobody's any more."""
        self._has_changed = False
        self._addresses_of: dict[str, int] = {}
        """Host -> how many of `by_address` are there, by UDP or TCP."""

    def add(self, local: Local, peer: Peer) -> None:
        """Take a peer, or another set of credentials of one."""
        self.peers[peer] = None
        self.by_ufrag[local.ufrag.encode()] = peer

    def remove(self, peer: Peer) -> None:
        """Forget a peer with its ufrags and addresses."""
        self.peers.pop(peer, None)
        for ufrag in peer.ice.ufrags:
            self.retire(ufrag)
        self._has_changed = True
        for address in peer.ice.validated:
            if self.by_address.get(address) is peer:
                self.drop_address(address)

    def retire(self, ufrag: str) -> None:
        """A ufrag is no longer valid."""
        self.by_ufrag.pop(ufrag.encode(), None)

    def take_address(self, address: Address, peer: Peer) -> None:
        """An authentic check of a peer came from there; another peer that had the address loses it."""
        holder = self.by_address.get(address)
        if holder is peer:
            return
        if holder is not None:
            holder.ice.forget(address)
        else:
            host = _host(address)
            self._addresses_of[host] = self._addresses_of.get(host, 0) + 1
        self.by_address[address] = peer
        self._has_changed = True

    def drop_address(self, address: Address) -> Peer | None:
        """Forget an address; returns the peer that held it."""
        holder = self.by_address.pop(address, None)
        if holder is not None:
            self.on_dropped(address)
            host = _host(address)
            self._addresses_of[host] -= 1
            if not self._addresses_of[host]:
                del self._addresses_of[host]
        return holder

    def by_udp(self) -> list[Address]:
        """Return the addresses of peers in good standing, without those of TCP connections."""
        return [
            address for address, peer in self.by_address.items() if not (peer.is_demoted or address[0].startswith(TCP_PREFIX))
        ]

    def is_known_host(self, host: str) -> bool:
        """Return whether a peer has an address of this host, by UDP or TCP."""
        return host in self._addresses_of

    def note_change(self) -> None:
        """A peer was demoted, or taken back: its addresses belong into another queue."""
        self._has_changed = True

    def take_change(self) -> bool:
        """Return whether addresses came, went or changed their queue since the last call."""
        changed, self._has_changed = self._has_changed, False
        return changed


def _host(address: Address) -> str:
    return address[0].removeprefix(TCP_PREFIX)
