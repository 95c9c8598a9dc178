"""The UDP port and its peers under any sequence of datagrams, from several addresses, with time passing.

Owns: a port that sends nothing, its peers, and what must hold after each step.  Must never know: atheris.

Handshakes are played (`Played`): what OpenSSL does has a target of its own, and here a handshake may end at any step.
Everything else is the real port.  What must hold:

- whoever passed no check changes nothing but a counter (I9), and is never sent anything;
- a datagram is handed on, waits, or is counted;
- a handler gets only what its own peer sealed, from an address of that peer, once;
- addresses, credentials, remembered checks and waiting handshakes are bounded, and no entry outlives its peer.
"""

import functools
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, cast
from unittest.mock import patch

from relay.base.clock import ManualClock
from relay.base.counters import Counters
from relay.transport import dtls, dtls_queue, srtp_keys
from relay.transport import port as module
from relay.transport.ice_lite import MAX_ADDRESSES, MAX_TRANSACTIONS, Address
from relay.transport.peer import Peer
from relay.transport.port import Port, PortSettings
from relay.transport.sdp_types import Fingerprint, Local, Remote, SdpFragment, Setup
from relay.transport.srtp import SrtpSession
from tests.fuzz.program import Program, steps
from tests.support.clients import CLIENT_IDENTITY, binding_request

ADDRESSES: Final = tuple((f"127.0.0.{1 + number // 4}", 4000 + number) for number in range(14))
SETUPS: Final[tuple[Setup, ...]] = ("actpass", "passive", "active")
MAX_PEERS: Final = 6
ANSWER: Final = b"\x16\xfe\xfdplayed"
SETTINGS: Final = PortSettings(silence_after=5.0)


class Silent(socket.socket):
    """A socket whose datagrams go to `sent` instead of the network."""

    sent: Callable[[Address], None]

    def sendto(self, data: Any, *rest: Any) -> int:
        """See `socket.socket`."""
        self.sent(rest[-1])
        return len(data)

    def sendmsg(self, parts: Any, control: Any = (), flags: int = 0, address: Any = None) -> int:
        """See `socket.socket`."""
        self.sent(address)
        return sum(map(len, parts))


@functools.cache
def _socket() -> Silent:
    sock = Silent(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


@functools.cache
def _context(identity: dtls.Identity) -> dtls.Context:
    """Reading a certificate costs more than a program."""
    return dtls.Context(identity)


class SteadyPort(Port):
    """A port whose credentials are the same in every run."""

    made = 0

    def new_local(self, hosts: Sequence[str] = ()) -> Local:
        """Return the next credentials."""
        self.made += 1
        return Local(f"u{self.made:07}", "p" * 24 + f"{self.made:08}", self.context.fingerprint, (("127.0.0.1", self.port),))


class Played:
    """In the place of `dtls.Endpoint`: the first byte behind a record's header says what becomes of the handshake."""

    def __init__(self, number: int) -> None:
        self.session: SrtpSession | None = None
        self.failure: str | None = None
        self.closed = False
        self._number = number

    def start(self, now: float) -> list[bytes]:
        """See `dtls.Endpoint`."""
        return [ANSWER]

    def feed(self, datagram: bytes, now: float) -> list[bytes]:
        """See `dtls.Endpoint`."""
        match datagram[13:14]:
            case b"\1" if self.failure is None and not self.closed:
                self.session = self.session or session(self._number, ours=True)
            case b"\2":
                self.failure = "played"
            case b"\3":
                self.closed = self.session is not None
            case _:
                pass
        return [ANSWER]

    def tick(self, now: float) -> list[bytes]:
        """See `dtls.Endpoint`."""
        return [ANSWER] if self.session is None else []

    def close(self) -> list[bytes]:
        """See `dtls.Endpoint`."""
        return [] if self.session is None else [ANSWER]


def session(number: int, *, ours: bool) -> SrtpSession:
    """One side of the keys of a peer; every fourth has the other profile."""
    profile = srtp_keys.PROFILES[number % 4 == 3]
    size = srtp_keys.exported_size(profile) // 2
    keys = [bytes((number, side)) * (size // 2) for side in (1, 2)]
    return srtp_keys.make_session(profile, keys[not ours], keys[ours])


@functools.lru_cache(1 << 15)
def sealed_rtp(number: int, sequence: int, ssrc: int) -> bytes:
    """A packet of a peer; its payload names the peer, so that no two are equal."""
    header = b"\x80\x60" + sequence.to_bytes(2, "big") + bytes(7) + bytes((ssrc,))
    return session(number, ours=False).seal(header, b"peer %d, %d" % (number, sequence), sequence)


@functools.lru_cache(64)
def sealed_rtcp(number: int) -> tuple[bytes, ...]:
    """Reports of a peer."""
    keys = session(number, ours=False)
    return tuple(keys.seal_rtcp(b"\x80\xc9\0\1" + bytes((0, 0, number, each))) for each in range(32))


@functools.lru_cache(1 << 14)
def sealed_check(ufrag: str, password: str, transaction: int, flags: int) -> bytes:
    """A connectivity check."""
    name = f"{ufrag}:them" if not flags & 4 else f"{ufrag}:others"
    return binding_request(name, password, bool(flags & 1), bool(flags & 2), b"transaction%d" % (transaction % 10))


class Handler:
    """The worker's side of one peer: takes what is its own, once."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.number = number
        self.connected = self.closed = 0
        self.taken: set[bytes] = set()

    def on_connected(self, peer: Peer, now: float) -> None:
        """See `PeerHandler`."""
        self.connected += 1
        assert self.connected == 1
        assert not self.closed

    def on_rtp(self, peer: Peer, packet: bytes, now: float) -> None:
        """See `PeerHandler`."""
        assert b"peer %d, " % self.number in packet, "somebody else's packet"
        self._take(peer, packet)

    def on_rtcp(self, peer: Peer, compound: bytes, now: float) -> None:
        """See `PeerHandler`."""
        assert compound[6] == self.number, "somebody else's report"
        self._take(peer, compound)

    def on_batch_end(self, now: float) -> None:
        """See `PeerHandler`."""

    def on_closed(self, peer: Peer, reason: str, now: float) -> None:
        """See `PeerHandler`."""
        self.closed += 1
        assert self.closed == 1
        assert peer.closed

    def _take(self, peer: Peer, plain: bytes) -> None:
        assert self.connected
        assert not self.closed
        assert not peer.closed
        assert self.world.port.table.by_address[self.world.source] is peer
        assert plain not in self.taken, "a replay was taken"
        self.taken.add(plain)
        self.world.handed += 1


class World:
    """The port, its peers, and everything that was sent to it."""

    def __init__(self) -> None:
        sock = _socket()
        sock.sent = self._sent
        self.clock = ManualClock()
        with patch.object(module, "Context", _context):
            self.port = SteadyPort(sock, CLIENT_IDENTITY, self.clock, Counters(), SETTINGS)
        self.peers: list[Peer] = []
        self.locals: list[list[Local]] = []
        self.history: list[tuple[bytes, Address]] = []
        self.proved: set[Address] = set()
        """Addresses from which an authentic check ever came."""
        self.accepted: dict[Peer, dict[bytes, Address]] = {}
        """Each peer's checks that were believed, by transaction, with the address that they came from."""
        self.source = ADDRESSES[0]
        self.handed = 0
        self.holds_batches = False

    @property
    def now(self) -> float:
        """The clock's time."""
        return self.clock.monotonic()

    def _sent(self, address: Address) -> None:
        assert address in self.proved or address == self.source, f"{address} was sent something and never passed a check"

    def count(self) -> int:
        """Return the sum of all counters."""
        return sum(self.port.counters.values.values())

    def deliver(self, data: bytes, source: Address) -> None:
        """Let the port take a datagram, and look at what it did with it."""
        port = self.port
        self.source = source
        is_known = source in port.table.by_address
        before = self.count(), self.handed, len(port.handshakes)
        accepted, sizes = port.counters.values["stun_accepted"], () if is_known else self._sizes()
        port.on_datagram(data, source, self.now)
        assert (self.count(), self.handed, len(port.handshakes)) != before, "a datagram left no trace"
        if port.counters.values["stun_accepted"] > accepted:
            known = self.accepted.setdefault(port.table.by_address[source], {})
            assert known.setdefault(data[8:20], source) == source or len(known) > MAX_TRANSACTIONS, "a replay"
            self.proved.add(source)
        elif not is_known:
            assert self._sizes() == sizes, "a stranger left something behind"
        if not self.holds_batches:
            port.end_batch(self.now)
        if len(self.history) < 256:
            self.history.append((data, source))

    def _sizes(self) -> tuple[int, ...]:
        table = self.port.table
        validated = sum(len(peer.ice.validated) for peer in table.peers)
        return len(table.peers), len(table.by_address), len(table.by_ufrag), validated, len(self.port.handshakes)

    def check(self) -> None:
        """Whatever was sent: the tables fit together, and everything is bounded."""
        table = self.port.table
        assert self.port.counters.values["handler_errors"] == 0
        assert len(self.port.handshakes) <= dtls_queue.MAX_WAITING
        for address, peer in table.by_address.items():
            assert peer in table.peers
            assert address in peer.ice.validated
        for peer in table.peers:
            ice = peer.ice
            assert not peer.closed
            assert len(ice.validated) <= MAX_ADDRESSES
            assert ice.remembered_checks <= MAX_TRANSACTIONS
            assert ice.selected is None or ice.selected in ice.validated, "media goes to an address that is not the peer's"
            assert all(table.by_address.get(address) is peer for address in ice.validated), "an address of two peers"
            assert all(table.by_ufrag[ufrag.encode()] is peer for ufrag in ice.ufrags)
        assert len(table.by_ufrag) == sum(len(peer.ice.ufrags) for peer in table.peers)


# --- steps ----------------------------------------------------------------------------------------------------------------


def _add(world: World, program: Program) -> None:
    setup, played = program.pick(SETUPS), program.byte() % 4
    if len(world.peers) >= MAX_PEERS:
        return
    number = len(world.peers)
    local = world.port.new_local()
    remote = Remote("them", "p" * 22, (Fingerprint("sha-256", bytes(32)),), setup)
    peer = world.port.add(local, remote, Handler(world, number), world.now)
    if played:
        peer._dtls = cast(dtls.Endpoint, Played(number))
    world.peers.append(peer)
    world.locals.append([local])


def _check(world: World, program: Program) -> None:
    address, which, transaction, flags = program.pick(ADDRESSES), program.byte(), program.byte(), program.byte()
    if not world.peers:
        return
    local = world.locals[which % len(world.peers)][-1 - (flags >> 3) % 2 * (len(world.locals[which % len(world.peers)]) > 1)]
    wrong = flags >> 4 == 15
    world.deliver(sealed_check(local.ufrag, "guess" if wrong else local.pwd, transaction, flags & 7), address)


def _rtp(world: World, program: Program) -> None:
    address, which, sequence, ssrc = program.pick(ADDRESSES), program.byte(), program.number(2), program.byte()
    world.deliver(sealed_rtp(which % MAX_PEERS, sequence, ssrc), address)


def _rtcp(world: World, program: Program) -> None:
    address, which, index = program.pick(ADDRESSES), program.byte(), program.byte()
    world.deliver(sealed_rtcp(which % MAX_PEERS)[index % 32], address)


def _dtls(world: World, program: Program) -> None:
    address, outcome = program.pick(ADDRESSES), program.byte()
    is_alert = outcome % 5 == 3
    body = bytes((3, 0)) if is_alert else bytes((outcome % 5,)) + bytes(11)
    header = bytes((21 if is_alert else 22, 0xFE, 0xFD)) + bytes(8) + len(body).to_bytes(2, "big")
    world.deliver(header + body, address)


def _raw(world: World, program: Program) -> None:
    address = program.pick(ADDRESSES)
    world.deliver(program.chunk(), address)


def _flipped(world: World, program: Program) -> None:
    number, at, bits = program.number(2), program.byte(), program.byte()
    if not world.history:
        return
    data, address = world.history[number % len(world.history)]
    if data:
        at %= len(data)
        world.deliver(data[:at] + bytes((data[at] ^ bits,)) + data[at + 1 :], address)


def _replay(world: World, program: Program) -> None:
    number, address = program.number(2), program.pick(ADDRESSES)
    if world.history:
        world.deliver(world.history[number % len(world.history)][0], address)


def _flood(world: World, program: Program) -> None:
    times, is_spread = program.byte(), program.byte() & 1
    if world.history:
        data, address = world.history[-1]
        for number in range(times % 64):
            world.deliver(data, ADDRESSES[number % len(ADDRESSES)] if is_spread else address)


def _wait(world: World, program: Program) -> None:
    world.clock.advance(program.number(2) / 1000)
    world.port.tick(world.now)


def _restart(world: World, program: Program) -> None:
    which = program.byte()
    if world.peers and not (peer := world.peers[which % len(world.peers)]).closed:
        world.locals[which % len(world.peers)].append(peer.restart(SdpFragment("them", 0, True, ())))


def _close(world: World, program: Program) -> None:
    which = program.byte()
    if world.peers and which > 127:
        world.peers[which % len(world.peers)].close("played")


def _lost(world: World, program: Program) -> None:
    world.port.on_lost(program.pick(ADDRESSES))


def _batches(world: World, program: Program) -> None:
    world.holds_batches = bool(program.byte() & 1)
    world.port.end_batch(world.now)


STEPS: Final[Sequence[Callable[[World, Program], None]]] = (
    _add,
    _check,
    _rtp,
    _rtcp,
    _dtls,
    _raw,
    _flipped,
    _replay,
    _flood,
    _wait,
    _restart,
    _close,
    _lost,
    _batches,
)


def run(data: bytes) -> None:
    """Play one program."""
    world = World()
    program = Program(data)
    while program:
        program.pick(STEPS)(world, program)
        world.check()
    world.port.end_batch(world.now)
    world.port.stop()
    assert not world.port.table.by_address
    assert not world.port.table.by_ufrag


ADD, CHECK, RTP, RTCP, DTLS, RAW, FLIP, REPLAY, FLOOD, WAIT, RESTART, CLOSE, LOST, BATCHES = range(len(STEPS))
_CONNECT: Final = ((ADD, 0, 1), (CHECK, 0, 0, 1, 3), (DTLS, 0, 1))
SEEDS: Final = [
    steps(*_CONNECT, (RTP, 0, 0, 0, 1, 5), (RTP, 0, 0, 0, 2, 5), (RTCP, 0, 0, 1), (WAIT, 0x27, 0x10)),
    steps(
        *_CONNECT, (ADD, 1, 1), (CHECK, 1, 1, 2, 3), (DTLS, 1, 1), (CHECK, 0, 1, 3, 3), (RTP, 1, 0, 0, 1, 5), (REPLAY, 0, 0, 1)
    ),
    steps(*_CONNECT, (RESTART, 0), (CHECK, 2, 0, 4, 3), (CHECK, 0, 0, 5, 11), (RTP, 2, 0, 0, 9, 5), (WAIT, 2, 0), (CLOSE, 128)),
    steps(*_CONNECT, (BATCHES, 1), (RAW, 0, 3, 0x16, 0, 4), (FLOOD, 60, 0), (BATCHES, 0), (WAIT, 0, 50), (RTP, 0, 0, 0, 1, 5)),
    steps(*((CHECK, each, 0, each, 2) for each in range(12)), (ADD, 0, 1), *((CHECK, each, 0, each, 2) for each in range(12))),
    steps(*_CONNECT, (RTP, 3, 0, 0, 1, 5), (FLIP, 0, 3, 20, 1), (LOST, 0), (FLOOD, 60, 1), (DTLS, 0, 3)),
]
