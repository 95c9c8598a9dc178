"""A DTLS handshake and what follows it, with datagrams lost, doubled, changed, replayed and forged at any point.

Owns: two of our endpoints, each behind its record gate, the network between them, and what must hold after each step.
Must never know: atheris.

OpenSSL draws its own random numbers, so that two runs of one program differ in their bytes, never in their steps.
What must hold:

- nothing raises; a failure is a sentence; who failed or closed sends nothing more;
- each datagram fits the path, and none is answered with more than a flight;
- both sides have the same keys as soon as both have any, and never others;
- a goodbye that arrives is understood, or dropped as one alert too many, whatever came before it after the handshake.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Final

from OpenSSL import SSL

from relay.transport import dtls
from relay.transport.dtls_records import RecordGate
from relay.transport.srtp import SrtpError, SrtpSession
from tests.fuzz.program import Program, steps
from tests.support.clients import CLIENT_IDENTITY
from tests.support.ports import IDENTITY

MAX_FLIGHT: Final = 8
MAX_WAITING: Final = 64
HEADER: Final = b"\x80\x60\0\1" + bytes(8)


@functools.cache
def _contexts() -> tuple[dtls.Context, dtls.Context]:
    return dtls.Context(IDENTITY), dtls.Context(CLIENT_IDENTITY)


class Side:
    """One endpoint, and the datagrams on their way to it."""

    def __init__(self, context: dtls.Context, role: dtls.Role, other: dtls.Context) -> None:
        self.endpoint = dtls.Endpoint(context, role, (other.fingerprint,))
        self.gate = RecordGate()
        self.dropped = 0
        self.waiting: list[bytes] = []
        self.seen: list[bytes] = []
        self.session: SrtpSession | None = None

    def feed(self, datagram: bytes, now: float) -> list[bytes]:
        """Take a datagram; returns the answers."""
        was_over = self.endpoint.is_over
        admitted = self.gate.admit(datagram, now, has_session=self.session is not None)
        self.dropped += admitted.dropped
        if not admitted.records:
            return []
        out = self.endpoint.feed(admitted.records, now)
        assert not (was_over and out), "an endpoint that is over answers"
        return self.checked(out)

    def checked(self, out: list[bytes]) -> list[bytes]:
        """Look at what an endpoint sends and says of itself."""
        assert len(out) <= MAX_FLIGHT
        assert all(0 < len(datagram) <= 1300 for datagram in out)
        assert self.endpoint.failure is None or self.endpoint.failure
        if self.session is not None:
            assert self.endpoint.session is self.session, "the keys changed"
        self.session = self.endpoint.session
        return out


class Network:
    """A server, a client, and what is between them."""

    def __init__(self) -> None:
        ours, theirs = _contexts()
        self.sides = Side(ours, "server", theirs), Side(theirs, "client", ours)
        self.now = 0.0
        self.send(1, self.sides[1].endpoint.start(self.now))

    def send(self, sender: int, datagrams: Sequence[bytes]) -> None:
        """Datagrams of one side are on their way; where too many are, they are lost."""
        other = self.sides[1 - sender]
        other.waiting += datagrams[: MAX_WAITING - len(other.waiting)]

    def deliver(self, to: int, datagram: bytes) -> None:
        """A datagram arrives."""
        side = self.sides[to]
        if datagram:
            self.send(to, side.feed(datagram, self.now))
            if len(side.seen) < MAX_WAITING:
                side.seen.append(datagram)

    def next(self, to: int, index: int = 0) -> bytes:
        """Take a datagram off the network; empty where none is on its way."""
        waiting = self.sides[to].waiting
        return waiting.pop(index % len(waiting)) if waiting else b""

    def check(self) -> None:
        """Both sides have the same keys, once both have any."""
        server, client = self.sides
        if server.session is not None and client.session is not None:
            for ours, theirs in ((server.session, client.session), (client.session, server.session)):
                try:
                    assert theirs.open_rtp(ours.seal(HEADER, b"x", 1)) == HEADER + b"x"
                except SrtpError as error:
                    raise AssertionError("the sides have different keys") from error

    def write(self, sender: int, size: int) -> list[bytes]:
        """Return the records of application data that one side makes; none where it is not connected."""
        connection = self.sides[sender].endpoint._ssl
        if self.sides[sender].session is None or self.sides[sender].endpoint.is_over:
            return []
        try:
            connection.send(bytes(size))
            return [connection.bio_read(65536)]
        except SSL.Error:
            return []


# --- steps ----------------------------------------------------------------------------------------------------------------


def _deliver(network: Network, program: Program) -> None:
    to, index = program.byte() & 1, program.byte()
    network.deliver(to, network.next(to, index))


def _exchange(network: Network, program: Program) -> None:
    """Everything that is on its way arrives, for a few rounds."""
    for _ in range(1 + program.byte() % 4):
        for to in (0, 1):
            for _ in range(len(network.sides[to].waiting)):
                network.deliver(to, network.next(to))


def _lose(network: Network, program: Program) -> None:
    network.next(program.byte() & 1, program.byte())


def _double(network: Network, program: Program) -> None:
    to, times = program.byte() & 1, program.byte() % 30
    datagram = network.next(to)
    for _ in range(times):
        network.deliver(to, datagram)


def _change(network: Network, program: Program) -> None:
    to, at, by = program.byte() & 1, program.number(2), program.byte()
    datagram = network.next(to)
    if datagram:
        at %= len(datagram)
        network.deliver(to, datagram[:at] + bytes((datagram[at] ^ by,)) + datagram[at + 1 :])


def _cut(network: Network, program: Program) -> None:
    to, size = program.byte() & 1, program.number(2)
    datagram = network.next(to)
    if datagram:
        network.deliver(to, datagram[: size % len(datagram)])


def _replay(network: Network, program: Program) -> None:
    to, index = program.byte() & 1, program.byte()
    if network.sides[to].seen:
        network.deliver(to, network.sides[to].seen[index % len(network.sides[to].seen)])


def _reflect(network: Network, program: Program) -> None:
    to = program.byte() & 1
    network.deliver(1 - to, network.next(to))


def _raw(network: Network, program: Program) -> None:
    network.deliver(program.byte() & 1, program.chunk())


def _record(network: Network, program: Program) -> None:
    """A record with a header that fits: any type, epoch and number."""
    to, kind, epoch, number, body = program.byte() & 1, program.byte(), program.byte() % 4, program.byte(), program.chunk()
    header = bytes((20 + kind % 8, 0xFE, 0xFD, 0, epoch)) + number.to_bytes(6, "big") + len(body).to_bytes(2, "big")
    network.deliver(to, header + body)


def _data(network: Network, program: Program) -> None:
    """Application data, which nobody needs: many records, maybe several in one datagram."""
    sender, times, size, is_packed = program.byte() & 1, program.byte() % 40, program.number(2) % 1100, program.byte() & 1
    records = [record for _ in range(times) for record in network.write(sender, max(size, 1))]
    for datagram in [b"".join(records)] if is_packed else records:
        network.deliver(1 - sender, datagram)


def _wait(network: Network, program: Program) -> None:
    network.now += program.byte() / 10
    for number, side in enumerate(network.sides):
        network.send(number, side.checked(side.endpoint.tick(network.now)))


def _goodbye(network: Network, program: Program) -> None:
    sender, is_lost = program.byte() & 1, program.byte() & 1
    side, other = network.sides[sender], network.sides[1 - sender]
    was_open = other.session is not None and not other.endpoint.is_over
    for datagram in side.checked(side.endpoint.close()):
        if not is_lost:
            dropped = other.dropped
            network.deliver(1 - sender, datagram)
            assert not was_open or other.dropped > dropped or other.endpoint.is_over, "a goodbye was not understood"


STEPS: Final[Sequence[Callable[[Network, Program], None]]] = (
    _deliver,
    _exchange,
    _lose,
    _double,
    _change,
    _cut,
    _replay,
    _reflect,
    _raw,
    _record,
    _data,
    _wait,
    _goodbye,
)


def run(data: bytes) -> None:
    """Play one program."""
    network = Network()
    program = Program(data)
    while program:
        program.pick(STEPS)(network, program)
    network.check()


DELIVER, EXCHANGE, LOSE, DOUBLE, CHANGE, CUT, REPLAY, REFLECT, RAW, RECORD, DATA, WAIT, GOODBYE = range(len(STEPS))
SEEDS: Final = [
    steps((EXCHANGE, 3), (DATA, 1, 5, 0, 9, 0), (WAIT, 9), (GOODBYE, 1, 0)),
    steps((DELIVER, 0, 0), (LOSE, 1, 0), (WAIT, 5), (EXCHANGE, 3), (GOODBYE, 0, 0)),
    steps((DOUBLE, 0, 3), (EXCHANGE, 0), (REPLAY, 0, 0), (EXCHANGE, 3), (REPLAY, 0, 1)),
    steps((CHANGE, 0, 0, 40, 1), (EXCHANGE, 3), (WAIT, 20), (EXCHANGE, 3)),
    steps((CUT, 0, 0, 30), (WAIT, 9), (REFLECT, 0), (RAW, 0, 3, 22, 254, 253), (EXCHANGE, 3)),
    steps(
        (EXCHANGE, 3),
        (RECORD, 0, 1, 1, 9, 2, 2, 40),
        (RECORD, 0, 3, 0, 9, 4, 1, 2, 3, 4),
        (DATA, 1, 30, 4, 0, 1),
        (GOODBYE, 1, 0),
    ),
]
