"""One UDP port for all peers of a worker: one socket, or one for each address of the machine (`binding`).

Owns: the sockets, the order in which their datagrams are served.  Must never know: cameras, viewers, codecs,
policy.

Demultiplexing (RFC 7983): first byte 0-3 STUN, 20-63 DTLS, 128-191 SRTP or SRTCP, anything else is dropped.  STUN finds its
peer by our ufrag; everything else by its source address, which must have passed an authentic check.  A datagram that fails
changes nothing but a counter (I9).

Three things keep one peer from hurting the others.  Strangers' datagrams wait in a queue of their own (`strangers`).  An
address of a peer that sends mostly unusable datagrams (replays, forgeries: anyone can forge a source) queues with strangers
for a while (`Peer.judge`).  DTLS waits in a bounded queue, and is worked off after the media of a drain (`dtls_queue`).
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from relay.base.clock import Clock
from relay.base.counters import Counters, declare
from relay.base.errors import OurError
from relay.rtp.burst import Layout
from relay.runtime.host_addresses import WILDCARDS
from relay.transport import tcp
from relay.transport.connectivity import ConnectivityChecks
from relay.transport.dtls import Context, Identity
from relay.transport.dtls_queue import DtlsQueue
from relay.transport.ice_lite import Address
from relay.transport.peer import WORK_PER_SECOND, Peer, PeerHandler
from relay.transport.peer_table import PeerTable
from relay.transport.pktinfo import ToldSocket
from relay.transport.sdp_types import Local, Remote
from relay.transport.send import Sender
from relay.transport.socket_options import overflow, set_buffers
from relay.transport.strangers import StrangersQueue

__all__ = ["Peer", "PeerHandler", "Port", "PortSettings"]

declare(
    udp_received="datagrams read from the socket",
    udp_overflow="datagrams that the kernel dropped because the socket's buffer was full",
    udp_strangers_overflow="datagrams that the kernel dropped because too many came from addresses that passed no check",
    udp_empty="datagrams of no length",
    udp_oversized="datagrams longer than any peer sends",
    udp_class="datagrams that are neither STUN, DTLS nor SRTP by their first byte",
    udp_stranger="DTLS or SRTP datagrams from addresses that passed no check",
    handler_errors="packets whose handling raised an error of ours",
    peers_demoted="peers whose addresses brought so much rubbish that they queued with strangers for a while",
)

logger = logging.getLogger(__name__)

MAX_DATAGRAM: Final = 1500
LOG_SECONDS: Final = 1.0
"""Between two tracebacks of failed packets, so that a bug cannot flood the log."""
OVERFLOW_SECONDS: Final = 1.0
"""Between two looks at the kernel's counts of dropped datagrams."""


@dataclass(frozen=True, slots=True)
class PortSettings:
    """`advertise`: addresses put into candidates (port is the socket's); times in seconds, `socket_buffer` in bytes."""

    advertise: tuple[str, ...] = ("127.0.0.1",)
    socket_buffer: int = 8 << 20
    handshake_after: float = 10.0
    """A peer not connected this long after `add` is closed."""
    silence_after: float = 30.0
    """A peer without an authenticated packet this long is closed: its consent is over (RFC 7675 §5.1).  `Port.add` may give
    another value per peer."""
    work_per_second: float = WORK_PER_SECOND
    """Work that each peer may cause, in media packets; what is more is dropped unread."""
    batch: int = 64
    """Datagrams read per wake-up before legs are served."""


class Port:
    """All peers of one worker.  Not thread-safe: lives on one event loop."""

    def __init__(
        self,
        sock: socket.socket,
        identity: Identity,
        clock: Clock,
        counters: Counters,
        settings: PortSettings,
        further: Sequence[socket.socket] = (),
    ) -> None:
        """Take a bound, non-blocking UDP socket, and `further` ones on the same port number of other addresses.

        Raises `OurError` where the identity is unusable.
        """
        self.counters = counters
        self.context = Context(identity)
        self.work_per_second = settings.work_per_second
        self.port: int = sock.getsockname()[1]
        self._sockets = (sock, *further)
        self._of_all = frozenset(each for each in self._sockets if each.getsockname()[0] in WILDCARDS)
        granted = [set_buffers(each, settings.socket_buffer) for each in self._sockets]
        self.receive_buffer, self.send_buffer = granted[0]
        self.table = PeerTable()
        self.handshakes = DtlsQueue(counters)
        self.touched: dict[PeerHandler, None] = {}
        """Handlers that this drain brought something."""
        self.strangers: list[StrangersQueue] = []
        """The queue of strangers of each socket, between `start` and `stop`."""
        self._clock = clock
        self._settings = settings
        self._sender = Sender(sock, counters)
        self._checks = ConnectivityChecks(self.table, self._sender, counters, sock)
        self.table.on_dropped = self._sender.forget_way
        self._addresses = self.table.by_address
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_turn: Callable[[float], None] = lambda now: None
        self._next_log = 0.0
        self._next_look = 0.0
        self._overflow_before = sum(map(overflow, self._sockets))
        self._tcp: tcp.TcpListener | None = None

    # --- life ----------------------------------------------------------------------------------------------------------

    def start(self, on_turn: Callable[[float], None] = lambda now: None) -> None:
        """Begin reading: registers with the running asyncio loop.  `on_turn(now)` is called after every drain."""
        self._loop = asyncio.get_running_loop()
        self._on_turn = on_turn
        for sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._on_readable, sock)
            self.strangers.append(StrangersQueue(self._loop, sock, partial(self._drain, sock)))

    async def start_tcp(self) -> None:
        """Also take ICE over TCP on the same addresses and port number; from then on candidates say so.

        Raises `OurError` where that TCP port is taken.
        """
        try:
            listening = tcp.bind_beside(self._sockets)
        except OSError as error:
            raise OurError(f"TCP port {self.port} cannot be bound: {error.strerror}") from error
        self._tcp = tcp.TcpListener(self, self._clock.monotonic, self.counters)
        self._sender.streams = self._tcp.connections
        self._checks.on_evicted = self._tcp.retire
        for sock in listening:
            await self._tcp.listen(sock)

    def stop(self) -> None:
        """Close every peer and stop reading; the socket stays the caller's."""
        for peer in list(self.table.peers):
            peer.close("shutdown")
        if self._tcp is not None:
            self._tcp.close()
            self._tcp = None
        if self._loop is not None:
            for sock in self._sockets:
                self._loop.remove_reader(sock.fileno())
            self._loop = None
        while self.strangers:
            self.strangers.pop().close()

    def tick(self, now: float) -> None:
        """Every 20-50 ms: DTLS retransmission, silence, handshakes that never ended."""
        for peer in list(self.table.peers):
            peer.tick(now, self._settings.handshake_after)
            self._judge(peer, now)
        if self.strangers and self.table.take_change():
            known = self.table.by_udp()
            for queue in self.strangers:
                queue.know(known)
        if self._tcp is not None:
            self._tcp.expire(self.is_proved, now)
        if now >= self._next_look:
            self._next_look = now + OVERFLOW_SECONDS
            self._look_at_overflow()

    def _judge(self, peer: Peer, now: float) -> None:
        """Send a peer whose addresses are abused to the strangers' queue, and take it back."""
        was_demoted = peer.is_demoted
        if peer.judge(now):
            self.counters.count("peers_demoted", not was_demoted)
            if self._tcp is not None:
                self._tcp.drop(list(peer.ice.validated))
        if peer.is_demoted is not was_demoted:
            self.table.note_change()

    def _look_at_overflow(self) -> None:
        self.counters.values["udp_overflow"] = sum(map(overflow, self._sockets)) - self._overflow_before
        self.counters.values["udp_strangers_overflow"] = sum(queue.overflow for queue in self.strangers)

    # --- peers ---------------------------------------------------------------------------------------------------------

    def new_local(self, hosts: Sequence[str] = ()) -> Local:
        """Fresh credentials (RFC 8445 §5.3: at least 24 and 128 bits), our fingerprint and candidates, for `sdp.answer_*`.

        `hosts`: the addresses for this peer, the best first; those of the settings where there are none.  Raises OurError
        without any.
        """
        chosen = hosts or self._settings.advertise
        if not chosen:
            raise OurError("no address of this machine is known: set workers.advertise")
        return Local(
            ufrag=secrets.token_hex(4),
            pwd=secrets.token_hex(16),
            fingerprint=self.context.fingerprint,
            candidates=tuple((host, self.port) for host in chosen),
            has_tcp=self._tcp is not None,
        )

    def add(self, local: Local, remote: Remote, handler: PeerHandler, now: float, silence_after: float | None = None) -> Peer:
        """Expect a peer that holds `local`'s credentials."""
        after = self._settings.silence_after if silence_after is None else silence_after
        peer = Peer(self, local, remote, handler, now, after)
        self.table.add(local, peer)
        return peer

    def forget(self, peer: Peer) -> None:
        """See `PeerOwner`."""
        self.table.remove(peer)

    def renew(self, peer: Peer, remote_ufrag: str, hosts: Sequence[str]) -> Local:
        """See `PeerOwner`."""
        local = self.new_local(hosts)
        void = peer.ice.restart(local, remote_ufrag)
        if void is not None:
            self.table.retire(void)
        self.table.add(local, peer)
        return local

    # --- sending -------------------------------------------------------------------------------------------------------

    def send(self, peer: Peer, datagrams: Sequence[bytes]) -> int:
        """Send sealed packets to the peer's selected address; returns how many the kernel took, never raises for that."""
        address = peer.ice.selected
        return 0 if address is None or peer.closed else self._sender.send(datagrams, address)

    def send_burst(self, peer: Peer, out: bytearray, lengths: Sequence[int], at: int = 0) -> int:
        """As `send`, from what `seal_burst` made: consecutive packets in `out` from offset `at`."""
        address = peer.ice.selected
        return 0 if address is None or peer.closed else self._sender.send_burst(out, lengths, address, at)

    def send_layout(self, peer: Peer, layout: Layout) -> int:
        """As `send`, from what `seal_layout` made."""
        address = peer.ice.selected
        return 0 if address is None or peer.closed else self._sender.send_layout(layout, address)

    def transmit(self, datagrams: Sequence[bytes], address: Address) -> int:
        """See `PeerOwner`."""
        return self._sender.send(datagrams, address)

    # --- datagrams in --------------------------------------------------------------------------------------------------

    def on_datagram(self, data: bytes, source: Address, now: float) -> None:
        """Take one datagram: demultiplex it, and drop it where its address passed no check."""
        size = len(data)
        if not 0 < size <= MAX_DATAGRAM:
            self.counters.count("udp_oversized" if size else "udp_empty")
            return
        first = data[0]
        if first < 4:
            self._checks.take(data, source, now)
            return
        peer = self._addresses.get(source)
        if peer is None:
            self.counters.count("udp_stranger")
        elif 128 <= first <= 191 and size >= 12:
            if peer.on_srtp(data, source, now):
                self.touched[peer.handler] = None
        elif 20 <= first <= 63:
            self.handshakes.add(peer, data, source, now)
        else:
            peer.count_useless()
            self.counters.count("udp_class")

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take one datagram, by UDP or TCP; a bug of ours costs this one only."""
        try:
            self.on_datagram(data, source, now)
        except Exception:
            self._our_error(now)

    def is_proved(self, address: Address) -> bool:
        """See `tcp.Receiver`."""
        return address in self._addresses

    def is_known_host(self, host: str) -> bool:
        """See `tcp.Receiver`."""
        return self.table.is_known_host(host)

    def on_lost(self, address: Address) -> None:
        """The TCP connection behind an address is gone."""
        peer = self.table.drop_address(address)
        if peer is not None:
            peer.ice.forget(address)

    def end_batch(self, now: float) -> None:
        """After a drain: let the handlers serve their legs, then spend a bounded time on handshakes."""
        touched, self.touched = self.touched, {}
        for handler in touched:
            try:
                handler.on_batch_end(now)
            except Exception:
                self._our_error(now)
        if self.handshakes and self.handshakes.work_off(now) and self._loop is not None:
            self._loop.call_soon(self._on_readable, self._sockets[0])
        self._on_turn(now)

    def _on_readable(self, sock: socket.socket) -> None:
        if self._loop is not None:
            self._drain(sock, sock, self._settings.batch)

    def _drain(self, answering: socket.socket, sock: socket.socket, batch: int) -> int:
        """Read up to a batch of datagrams and serve them; returns how many there were.

        `answering`: the socket of the same address that is not the strangers'.
        """
        self._checks.came_by = answering
        now = self._clock.monotonic()
        received = self._read(ToldSocket(sock, answering, self._checks) if answering in self._of_all else sock, batch, now)
        self.counters.values["udp_received"] += received
        self.end_batch(now)
        return received

    def _read(self, sock: socket.socket | ToldSocket, batch: int, now: float) -> int:
        receive = sock.recvfrom
        received = 0
        for _ in range(batch):
            try:
                data, source = receive(2048)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # an ICMP error of an earlier send: no datagram
                continue
            received += 1
            self.receive(data, source[:2], now)
        return received

    def _our_error(self, now: float) -> None:
        """A bug in a handler costs one packet, not the port."""
        self.counters.count("handler_errors")
        if now >= self._next_log:
            self._next_log = now + LOG_SECONDS
            logger.exception("a packet's handling failed")
