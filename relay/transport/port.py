"""One UDP socket for all peers of a worker.

What it owns: the socket, who is behind which address, the guard at the door (I9).  What it must never know: cameras,
viewers, codecs, policy.

Demultiplexing (RFC 7983): first byte 0-3 STUN, 20-63 DTLS, 128-191 SRTP or SRTCP, anything else is dropped.  STUN finds its
peer by our ufrag; everything else by its source address, which must have passed an authentic check.  A datagram that fails
changes nothing but a counter.

Three things keep one from hurting the others.  Strangers' datagrams wait in a queue of their own (`sieve`).  An address of a
peer that sends mostly what cannot be used (replays, forgeries: anyone can forge a source) queues with strangers for a while.
DTLS is queued, bounded, and worked off after the media of a drain, a few at a time: a handshake flight costs as much as two
hundred packets.
"""

import asyncio
import logging
import secrets
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from relay.base.clock import Clock
from relay.base.counters import Counters, declare
from relay.base.errors import OurError
from relay.rtp.burst import Layout
from relay.transport import stun, tcp
from relay.transport.dtls import Context, Identity
from relay.transport.ice_lite import Address
from relay.transport.peer import Peer, PeerHandler
from relay.transport.reuseport_filter import ReuseportFilter
from relay.transport.sdp_types import Local, Remote
from relay.transport.send import Sender

__all__ = ["Peer", "PeerHandler", "Port", "PortSettings"]

declare(
    udp_received="datagrams read from the socket",
    udp_overflow="datagrams that the kernel dropped because the socket's buffer was full",
    udp_strangers_overflow="datagrams that the kernel dropped because too many came from addresses that passed no check",
    udp_empty="datagrams of no length",
    udp_oversized="datagrams longer than any peer sends",
    udp_class="datagrams that are neither STUN, DTLS nor SRTP by their first byte",
    udp_stranger="DTLS or SRTP datagrams from addresses that passed no check",
    stun_malformed="STUN datagrams that are no usable binding request",
    stun_unknown="binding requests for a ufrag that nobody has",
    stun_forged="binding requests that were not authentic, or replayed from another address",
    stun_unheard="binding requests not looked at because too many for this peer had just been forged",
    stun_contested="authentic checks from an address that another live peer holds",
    stun_accepted="authentic checks, answered",
    handler_errors="packets whose handling raised an error of ours",
    dtls_dropped="DTLS datagrams dropped because too many waited",
    peers_demoted="peers whose addresses brought so much rubbish that they queued with strangers for a while",
)

logger = logging.getLogger(__name__)

MAX_DATAGRAM: Final = 1500
MAX_DTLS_WAITING: Final = 256
MAX_DTLS_OF_ONE: Final = 16
"""Datagrams of one peer: a flight is at most six."""
ABUSE_PER_TICK: Final = 100
"""Useless datagrams from one peer's addresses between two ticks after which it queues with strangers; a network that repeats
every packet of a camera makes ten."""
DEMOTED_FOR: Final = 5.0
DTLS_PER_DRAIN: Final = 4
STRANGERS_BUFFER: Final = 256 << 10
STRANGERS_BATCH: Final = 32
STRANGERS_PAUSE: Final = 0.001
"""With the batch: at most 32 000 datagrams a second from addresses that passed no check."""
_SO_MEMINFO: Final = 55
CONTESTED_AFTER: Final = 2.0
"""Seconds of silence after which an address may pass to another peer (a NAT gave its port away)."""


@dataclass(frozen=True, slots=True)
class PortSettings:
    """`advertise`: addresses put into candidates (port is the socket's); times in seconds, `socket_buffer` in bytes."""

    advertise: tuple[str, ...] = ("127.0.0.1",)
    socket_buffer: int = 8 << 20
    handshake_after: float = 10.0
    """A peer not connected this long after `add` is closed."""
    silence_after: float = 5.0
    """A peer without an authenticated packet this long is closed; `Port.add` may give another value per peer."""
    batch: int = 64
    """Datagrams read per wake-up before legs are served."""


class Port:
    """See the module.  Not thread-safe: lives on one event loop."""

    def __init__(
        self, sock: socket.socket, identity: Identity, clock: Clock, counters: Counters, settings: PortSettings
    ) -> None:
        """Take a bound, non-blocking UDP socket; raises `OurError` where the identity is unusable."""
        self.counters = counters
        self.context = Context(identity)
        self.port: int = sock.getsockname()[1]
        self.receive_buffer, self.send_buffer = _set_buffers(sock, settings.socket_buffer)
        self._sock = sock
        self._clock = clock
        self._settings = settings
        self._sender = Sender(sock, counters)
        self._ufrags: dict[bytes, Peer] = {}
        self._addresses: dict[Address, Peer] = {}
        self._peers: dict[Peer, None] = {}
        self._dtls: deque[tuple[Peer, bytes, Address]] = deque()
        self._touched: dict[PeerHandler, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_turn: Callable[[float], None] = lambda now: None
        self._next_log = 0.0
        self._next_look = 0.0
        self._overflow_before = _overflow(sock)
        self._sieve: ReuseportFilter | None = None
        self._door: tcp.TcpListener | None = None
        self._moved = False
        """Addresses came or went since the sieve was told."""

    def start(self, on_turn: Callable[[float], None] = lambda now: None) -> None:
        """Begin reading: registers with the running asyncio loop.  `on_turn(now)` is called after every drain."""
        self._loop = asyncio.get_running_loop()
        self._on_turn = on_turn
        self._loop.add_reader(self._sock.fileno(), self._on_readable)
        try:
            self._sieve = ReuseportFilter(self._sock, STRANGERS_BUFFER)
        except OSError:  # an old kernel, or a port that others share already: one queue for all then
            logger.warning("strangers cannot be queued apart on this system")
        else:
            self._loop.add_reader(self._sieve.strangers.fileno(), self._on_strangers)

    async def start_tcp(self) -> None:
        """Also take ICE over TCP on the same address and port number; from then on candidates say so.

        Raises `OurError` where that TCP port is taken.
        """
        listening = socket.socket(self._sock.family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        try:
            listening.bind(self._sock.getsockname())
        except OSError as error:
            listening.close()
            raise OurError(f"TCP port {self.port} cannot be bound: {error.strerror}") from error
        self._door = tcp.TcpListener(self, self._clock.monotonic, self.counters)
        self._sender.streams = self._door.connections
        await self._door.listen(listening)

    def stop(self) -> None:
        """Close every peer and stop reading; the socket stays the caller's."""
        for peer in list(self._peers):
            peer.close("shutdown")
        if self._door is not None:
            self._door.close()
            self._door = None
        if self._loop is not None:
            self._loop.remove_reader(self._sock.fileno())
            if self._sieve is not None:
                self._loop.remove_reader(self._sieve.strangers.fileno())
                self._sieve.close()
            self._loop = self._sieve = None

    def new_local(self) -> Local:
        """Fresh credentials (RFC 8445 §5.3: at least 24 and 128 bits), our fingerprint and candidates, for `sdp.answer_*`."""
        return Local(
            ufrag=secrets.token_hex(4),
            pwd=secrets.token_hex(16),
            fingerprint=self.context.fingerprint,
            candidates=tuple((host, self.port) for host in self._settings.advertise),
            has_tcp=self._door is not None,
        )

    def add(self, local: Local, remote: Remote, handler: PeerHandler, now: float, silence_after: float | None = None) -> Peer:
        """Expect a peer that holds `local`'s credentials."""
        after = self._settings.silence_after if silence_after is None else silence_after
        peer = Peer(self, local, remote, handler, now, after)
        self._peers[peer] = None
        self._ufrags[local.ufrag.encode()] = peer
        return peer

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

    def tick(self, now: float) -> None:
        """Every 20-50 ms: DTLS retransmission, silence, handshakes that never ended."""
        for peer in list(self._peers):
            peer.tick(now, self._settings.handshake_after)
            self._judge(peer, now)
        if self._sieve is not None and self._moved:
            self._moved = False
            self._sieve.know(
                address
                for address, peer in self._addresses.items()
                if peer.demoted_until is None and not address[0].startswith(tcp.PREFIX)
            )
        if self._door is not None:
            self._door.expire(self.is_proved, now)
        if now >= self._next_look:
            self._next_look = now + 1.0
            self._look_at_overflow()

    def _judge(self, peer: Peer, now: float) -> None:
        """Send a peer whose addresses bring mostly rubbish to the strangers' queue, and take it back."""
        useless, peer.useless = peer.useless, 0
        if useless > ABUSE_PER_TICK:
            self._moved |= peer.demoted_until is None
            self.counters.count("peers_demoted", peer.demoted_until is None)
            peer.demoted_until = now + DEMOTED_FOR
            if self._door is not None:
                self._door.drop(list(peer.ice.validated))
        elif peer.demoted_until is not None and now >= peer.demoted_until:
            peer.demoted_until = None
            self._moved = True

    def on_datagram(self, data: bytes, source: Address, now: float) -> None:
        """Take one datagram; the whole of the guard."""
        size = len(data)
        if not 0 < size <= MAX_DATAGRAM:
            self.counters.count("udp_oversized" if size else "udp_empty")
            return
        first = data[0]
        if first < 4:
            self._on_stun(data, source, now)
            return
        peer = self._addresses.get(source)
        if peer is None:
            self.counters.count("udp_stranger")
        elif 128 <= first <= 191 and size >= 12:
            if peer.on_srtp(data, source, now):
                self._touched[peer.handler] = None
        elif 20 <= first <= 63:
            self._queue_dtls(peer, data, source)
        else:
            peer.useless += 1
            self.counters.count("udp_class")

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take one datagram, whichever way it came; a bug of ours costs this one only."""
        try:
            self.on_datagram(data, source, now)
        except Exception:
            self._our_error(now)

    def is_proved(self, address: Address) -> bool:
        """See `tcp.Receiver`."""
        return address in self._addresses

    def end_batch(self, now: float) -> None:
        """After a drain: tell the handlers, spend a bounded time on handshakes, then serve the legs."""
        touched, self._touched = self._touched, {}
        for handler in touched:
            try:
                handler.on_batch_end(now)
            except Exception:
                self._our_error(now)
        for _ in range(min(DTLS_PER_DRAIN, len(self._dtls))):
            peer, data, source = self._dtls.popleft()
            peer.dtls_waiting -= 1
            if not peer.closed:
                peer.on_dtls(data, source, now)
        if self._dtls and self._loop is not None:
            self._loop.call_soon(self._on_readable)
        self._on_turn(now)

    def on_lost(self, address: Address) -> None:
        """The TCP connection behind an address is gone."""
        peer = self._addresses.pop(address, None)
        if peer is not None:
            peer.ice.forget(address)

    def transmit(self, datagrams: Sequence[bytes], address: Address) -> int:
        """See `PeerOwner`."""
        return self._sender.send(datagrams, address)

    def forget(self, peer: Peer) -> None:
        """See `PeerOwner`."""
        self._peers.pop(peer, None)
        for ufrag in peer.ice.ufrags:
            self._ufrags.pop(ufrag.encode(), None)
        self._moved = True
        for address in peer.ice.validated:
            if self._addresses.get(address) is peer:
                del self._addresses[address]

    def renew(self, peer: Peer, remote_ufrag: str) -> Local:
        """See `PeerOwner`."""
        local = self.new_local()
        void = peer.ice.restart(local, remote_ufrag)
        if void is not None:
            self._ufrags.pop(void.encode(), None)
        self._ufrags[local.ufrag.encode()] = peer
        return local

    def _on_readable(self) -> None:
        if self._loop is not None:
            self._drain(self._sock, self._settings.batch)

    def _on_strangers(self) -> None:
        """A little at a time, and after a full batch not for a while: a flood must not buy our time."""
        if self._loop is None or self._sieve is None:
            return
        descriptor = self._sieve.strangers.fileno()
        if self._drain(self._sieve.strangers, STRANGERS_BATCH) == STRANGERS_BATCH:
            self._loop.remove_reader(descriptor)
            self._loop.call_later(STRANGERS_PAUSE, self._hear_strangers)

    def _hear_strangers(self) -> None:
        if self._loop is not None and self._sieve is not None:
            self._loop.add_reader(self._sieve.strangers.fileno(), self._on_strangers)

    def _drain(self, sock: socket.socket, batch: int) -> int:
        """Read up to a batch of datagrams and serve them; returns how many there were."""
        now = self._clock.monotonic()
        received = self._read(sock, batch, now)
        self.counters.values["udp_received"] += received
        self.end_batch(now)
        return received

    def _read(self, sock: socket.socket, batch: int, now: float) -> int:
        receive = sock.recvfrom
        received = 0
        for _ in range(batch):
            try:
                data, source = receive(2048)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # an ICMP error of some earlier send: nobody's packet
                continue
            received += 1
            self.receive(data, source[:2], now)
        return received

    def _look_at_overflow(self) -> None:
        self.counters.values["udp_overflow"] = _overflow(self._sock) - self._overflow_before
        if self._sieve is not None:
            self.counters.values["udp_strangers_overflow"] = _overflow(self._sieve.strangers)

    def _our_error(self, now: float) -> None:
        """A bug in a handler costs one packet, not the port; one traceback a second, so that it cannot flood the log."""
        self.counters.count("handler_errors")
        if now >= self._next_log:
            self._next_log = now + 1.0
            logger.exception("a packet's handling failed")

    def _on_stun(self, data: bytes, source: Address, now: float) -> None:
        try:
            peer = self._ufrags.get(stun.ufrag_of(data))
            if peer is None:
                self.counters.count("stun_unknown")
            elif peer.ice.is_deaf(source, now):
                peer.useless += source in peer.ice.validated
                self.counters.count("stun_unheard")
            elif self._is_contested(peer, source, now):
                self.counters.count("stun_contested")
            else:
                self._check(peer, data, stun.parse_request(data), source, now)
        except stun.StunError:
            self.counters.count("stun_malformed")

    def _is_contested(self, peer: Peer, source: Address, now: float) -> bool:
        """An authenticated viewer must not be able to take another peer's address from it by forging its source."""
        holder = self._addresses.get(source)
        if holder is None or holder is peer:
            return False
        return now - holder.ice.validated.get(source, 0.0) < CONTESTED_AFTER

    def _check(self, peer: Peer, data: bytes, request: stun.Request, source: Address, now: float) -> None:
        if not source[1]:  # nothing can be sent there
            raise stun.StunError("from port 0")
        outcome = peer.ice.check(data, request, source, now)
        if outcome is None:
            peer.useless += source in peer.ice.validated
            self.counters.count("stun_forged")
            return
        holder = self._addresses.get(source)
        if holder is not None and holder is not peer:
            holder.ice.forget(source)
        if holder is not peer:
            self._addresses[source] = peer
            self._moved = True
        if outcome.evicted is not None:
            self._addresses.pop(outcome.evicted, None)
        if outcome.retired is not None:
            self._ufrags.pop(outcome.retired.encode(), None)
        self.counters.count("stun_accepted")
        self._sender.send((outcome.answer,), source)
        peer.validated(now)

    def _queue_dtls(self, peer: Peer, data: bytes, source: Address) -> None:
        if len(self._dtls) >= MAX_DTLS_WAITING or peer.dtls_waiting >= MAX_DTLS_OF_ONE:
            peer.useless += 1
            self.counters.count("dtls_dropped")
            return
        peer.dtls_waiting += 1
        self._dtls.append((peer, data, source))


def _overflow(sock: socket.socket) -> int:
    """Datagrams that the kernel dropped on this socket (SO_MEMINFO, SK_MEMINFO_DROPS), 0 where it does not say."""
    try:
        words = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64)
    except OSError:
        return 0
    return int.from_bytes(words[32:36], sys.byteorder)


def _set_buffers(sock: socket.socket, size: int) -> tuple[int, int]:
    """Ask for buffers (beyond the system's limit where we may) and return what the kernel really gave, in bytes."""
    granted = []
    for normal, forced in ((socket.SO_RCVBUF, 33), (socket.SO_SNDBUF, 32)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, size)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, normal, size)
        # Linux doubles the value for its own book-keeping (socket(7)).
        granted.append(sock.getsockopt(socket.SOL_SOCKET, normal) // 2)
    return granted[0], granted[1]
