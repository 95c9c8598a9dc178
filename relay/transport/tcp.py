"""ICE over TCP, for networks that block UDP (RFC 6544, passive only; framing of RFC 4571).

Owns: the listening socket, the connections, their framing and bounds.  Must never know: peers, STUN, what a
datagram says.

A connection looks to the rest of the transport like an address, `("tcp!192.0.2.1", 50000)`, whose datagrams come and go in
frames of a 16-bit length.

TCP makes state before an address has passed a check, so that state is small and short-lived.  A connection is closed after
`PROVE_SECONDS` without an authentic check, and at once where anything else comes before one.  Until such a check its place is
only lent (`tcp_places`): strangers have half of all places, and where those are taken the newest connection replaces the oldest
silent one.  A peer sends its first check as soon as it is connected, so it is never the oldest.

Datagrams that a slow connection does not take are dropped, never queued beyond a bound.  Frames of a fast connection are handed
over a few per turn, and meanwhile it is not read.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, cast

from relay.base.counters import Counters, declare
from relay.transport.binding import tcp_addresses
from relay.transport.ice_lite import TCP_PREFIX, Address
from relay.transport.tcp_places import Places

declare(
    tcp_refused="TCP connections refused because all places were taken by peers",
    tcp_gone="TCP connections that were over before they were accepted",
    tcp_replaced="TCP connections without an authentic check closed because newer ones needed their places",
    tcp_retired="TCP connections of peers closed because the same peer opened newer ones",
    tcp_abused="TCP connections closed because their peer sent mostly what cannot be used",
    tcp_expired="TCP connections closed because no authentic check came in time",
    tcp_malformed="TCP connections closed for a frame of an impossible length",
    tcp_unproved="TCP connections closed for what came before an authentic check",
    tcp_blocked="datagrams dropped because a TCP connection did not take them fast enough",
)

PROVE_SECONDS: Final = 5.0
MAX_UNSENT_BYTES: Final = 256 << 10
"""Bytes that may wait in a connection: half a second of 4 Mbit/s; a viewer further behind sees a gap, not a late picture."""
MAX_FRAME: Final = 1500
FRAMES_PER_TURN: Final = 64
"""As many as are read from the UDP socket before legs are served."""
FRAMES_UNPROVED: Final = 16
"""Checks that an address may send before one of them was authentic."""
_BACKLOG: Final = 512
"""Connections that the kernel may hold until the next turn: more come at once where a network changes."""
_NOT_A_CHECK: Final = b"\x04"
"""RFC 7983: the first byte of a check is less."""


class Receiver(Protocol):
    """The port, as its connections see it."""

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """One datagram; raises nothing."""
        ...

    def is_proved(self, address: Address) -> bool:
        """Whether an authentic check came from there."""
        ...

    def is_known_host(self, host: str) -> bool:
        """Whether a live peer has an address of this host, by UDP or TCP."""
        ...

    def end_batch(self, now: float) -> None:
        """The connection has no more datagrams for the moment."""
        ...

    def on_lost(self, address: Address) -> None:
        """The connection behind an address is gone."""
        ...


def bound(address: Address) -> socket.socket:
    """Return a non-blocking TCP socket that is bound to an address; raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def bind_beside(udp: Sequence[socket.socket]) -> list[socket.socket]:
    """Return TCP sockets on the addresses and port of these UDP sockets; raises OSError, and then leaves none open."""
    with contextlib.ExitStack() as opened:
        found = [opened.enter_context(bound(address)) for address in tcp_addresses([sock.getsockname()[:2] for sock in udp])]
        opened.pop_all()
    return found


class TcpListener:
    """The listening side.  `monotonic` reads the clock of the port."""

    def __init__(self, receiver: Receiver, monotonic: Callable[[], float], counters: Counters) -> None:
        self.receiver = receiver
        self.monotonic = monotonic
        self.counters = counters
        self.connections: dict[Address, Connection] = {}
        self._places = Places()
        self._servers: list[asyncio.Server] = []

    async def listen(self, sock: socket.socket) -> None:
        """Accept on one more bound TCP socket, which is ours from now on."""
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(lambda: Connection(self), sock=sock, backlog=_BACKLOG))

    def close(self) -> None:
        """Stop listening and drop every connection."""
        for server in self._servers:
            server.close()
        for connection in list(self.connections.values()):
            connection.abort()

    def admit(self, connection: "Connection") -> bool:
        """Give a new connection a place; False where all are taken by peers."""
        before = self.connections.get(connection.address)
        if before is not None:
            # Its peer ended it and came again from the same port, and the end was not read yet.
            before.abort()
        host = connection.address[0].removeprefix(TCP_PREFIX)
        if not self._places.take(connection.address, is_known=self.receiver.is_known_host(host)):
            self.counters.count("tcp_refused")
            return False
        for address in self._places.take_replaced():
            self.counters.count("tcp_replaced")
            self.connections[address].abort()
        self.connections[connection.address] = connection
        return True

    def prove(self, address: Address) -> None:
        """An authentic check came over this connection: its place is its own from now on."""
        self._places.prove(address)

    def forget(self, address: Address) -> None:
        """A connection is gone."""
        del self.connections[address]
        self._places.leave(address)

    def retire(self, address: Address) -> None:
        """Close the connection behind an address, if there is one: its peer has newer ones."""
        connection = self.connections.get(address)
        if connection is not None:
            self.counters.count("tcp_retired")
            connection.abort()

    def drop(self, addresses: Iterable[Address]) -> None:
        """Close the connections of an abusive peer: unlike over UDP, nobody else can have sent its datagrams."""
        for address in addresses:
            connection = self.connections.get(address)
            if connection is not None:
                self.counters.count("tcp_abused")
                connection.abort()

    def expire(self, proved: Callable[[Address], bool], now: float) -> None:
        """Close connections that had no authentic check in time."""
        for address, connection in list(self.connections.items()):
            if now - connection.since > PROVE_SECONDS and not proved(address):
                self.counters.count("tcp_expired")
                connection.abort()


class Connection(asyncio.Protocol):
    """One TCP connection."""

    def __init__(self, listener: TcpListener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._taken = 0
        self._is_proved = False
        self._waits = False
        """More frames are whole than one turn hands over."""
        self.address: Address = ("", 0)
        self.since = listener.monotonic()

    @property
    def unread(self) -> int:
        """Bytes of frames that are not whole yet, or wait for the next turn."""
        return len(self._unread)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit or refuse."""
        stream = cast(asyncio.Transport, transport)  # uvloop's is one without descending from it
        peer = stream.get_extra_info("peername")
        if peer is None:  # reset while it waited to be accepted: uvloop finds no address any more
            self._listener.counters.count("tcp_gone")
            stream.abort()
            return
        self.address = (TCP_PREFIX + peer[0], peer[1])
        if self._listener.admit(self):
            self._transport = stream
        else:
            stream.abort()

    def data_received(self, data: bytes) -> None:
        """Cut into frames and hand each over."""
        self._unread += data
        if not self._waits:
            self._turn()

    def _turn(self) -> None:
        """Hand over some frames; where more of them are whole, the next turn goes on and nothing is read until then."""
        now = self._listener.monotonic()
        self._waits = False
        frames = self._frames(now)
        self._listener.receiver.end_batch(now)
        if frames == FRAMES_PER_TURN and self._transport is not None:
            self._waits = True
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        if self._transport is None:
            return
        self._turn()
        if not self._waits and self._transport is not None:
            self._transport.resume_reading()

    def _frames(self, now: float) -> int:
        """Hand over what is whole, at most a turn's worth; return how many."""
        unread, at, frames = self._unread, 0, 0
        while self._transport is not None and frames < FRAMES_PER_TURN and len(unread) - at >= 2:
            end = at + 2 + int.from_bytes(unread[at : at + 2], "big")
            if self._is_refused(end - at - 2, unread[at + 2 : at + 3]) or len(unread) < end:
                break
            self._listener.receiver.receive(bytes(unread[at + 2 : end]), self.address, now)
            at, frames = end, frames + 1
            self._taken += 1
        del unread[:at]
        if frames and not self._is_proved and self._transport is not None and self._listener.receiver.is_proved(self.address):
            self._is_proved = True
            self._listener.prove(self.address)
        return frames

    def _is_refused(self, size: int, first: bytearray) -> bool:
        """Close the connection where such a frame may not come; returns whether it was closed."""
        if not 0 < size <= MAX_FRAME:
            self._listener.counters.count("tcp_malformed")
        elif (self._taken < FRAMES_UNPROVED and first < _NOT_A_CHECK) or self._listener.receiver.is_proved(self.address):
            return False
        else:
            self._listener.counters.count("tcp_unproved")
        self.abort()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended or was reset: forget the address."""
        if self._transport is not None:
            self._transport = None
            self._listener.forget(self.address)
            self._listener.receiver.on_lost(self.address)

    def send(self, datagram: bytes | memoryview) -> bool:
        """Frame and write one datagram; False where it was dropped."""
        transport = self._transport
        if transport is None or transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._listener.counters.count("tcp_blocked")
            return False
        transport.write(len(datagram).to_bytes(2, "big") + datagram)
        return True

    def abort(self) -> None:
        """Drop the connection now."""
        if self._transport is not None:
            self._transport.abort()
            self.connection_lost(None)
