"""A WebRTC peer without an event loop: STUN by aioice, DTLS and SRTP by our own endpoints, datagrams handed over by hand."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

from aioice import stun as oracle

from relay.base.clock import Clock, ManualClock
from relay.base.counters import Counters
from relay.transport import dtls
from relay.transport.ice_lite import Address
from relay.transport.port import Peer, Port, PortSettings
from relay.transport.sdp import Remote, Setup
from relay.transport.srtp import SrtpSession
from tests.support.ports import IDENTITY, Remembering, bound_socket

CLIENT_IDENTITY = dtls.new_identity()
UFRAG, PWD = "them", "p" * 22
"""ICE credentials of every client."""


@contextlib.contextmanager
def still_port(**settings: object) -> Iterator[tuple[Port, ManualClock]]:
    """A port that reads nothing by itself: datagrams are given to `on_datagram`; its answers leave through a real socket."""
    clock = ManualClock()
    with bound_socket() as sock:
        port = Port(sock, IDENTITY, clock, Counters(), PortSettings(**settings))  # type: ignore[arg-type]
        yield port, clock
        port.stop()


def binding_request(
    username: str, password: str, use_candidate: bool = True, controlling: bool = True, transaction: bytes | None = None
) -> bytes:
    """A connectivity check as aioice makes them."""
    message = oracle.Message(message_method=oracle.Method.BINDING, message_class=oracle.Class.REQUEST)
    if transaction is not None:
        message.transaction_id = transaction
    message.attributes["USERNAME"] = username
    message.attributes["PRIORITY"] = 1845501695
    message.attributes["ICE-CONTROLLING" if controlling else "ICE-CONTROLLED"] = 7
    if use_candidate:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(password.encode())
    return bytes(message)


@dataclass
class Client:
    """One remote peer of a still port; `setup` as its offer says."""

    port: Port
    clock: Clock
    setup: Setup = "actpass"
    silence_after: float | None = None
    expected: Peer | None = None
    """The peer that this client is, where the port knows it already; its offer said `UFRAG` and `CLIENT_IDENTITY`."""
    sockets: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        context = dtls.Context(CLIENT_IDENTITY)
        self.handler = Remembering()
        self.ufrag = UFRAG
        if self.expected is None:
            self.local = self.port.new_local()
            remote = Remote(self.ufrag, PWD, (context.fingerprint,), self.setup)
            self.peer = self.port.add(self.local, remote, self.handler, self.now, self.silence_after)
        else:
            self.peer, self.local = self.expected, self.expected.local
        role: dtls.Role = "server" if self.setup == "passive" else "client"
        self.dtls = dtls.Endpoint(context, role, (self.local.fingerprint,))
        self.open_socket()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self.sockets:
            sock.close()

    @property
    def now(self) -> float:
        """The clock's time."""
        return self.clock.monotonic()

    @property
    def address(self) -> Address:
        """Where this client sends from now."""
        host, port = self.sockets[-1].getsockname()
        return host, port

    @property
    def srtp(self) -> SrtpSession:
        """The client's keys."""
        assert self.dtls.session is not None
        return self.dtls.session

    def open_socket(self) -> None:
        """Walk to another network: from now on everything comes from a new address."""
        self.sockets.append(bound_socket())

    def deliver(self, data: bytes, source: Address | None = None) -> None:
        """Let the port take a datagram, and finish its batch."""
        self.port.on_datagram(data, source or self.address, self.now)
        self.port.end_batch(self.now)

    def received(self, sock: socket.socket | None = None) -> list[bytes]:
        """What has arrived at the newest (or a given) socket."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append((sock or self.sockets[-1]).recv(2048))
        return found

    def check(self, use_candidate: bool = True) -> list[bytes]:
        """Send a check from the present address; returns what came back."""
        username = f"{self.local.ufrag}:{self.ufrag}"
        self.deliver(binding_request(username, self.local.pwd, use_candidate))
        return self.received()

    def connect(self) -> None:
        """Check and shake hands."""
        self.shake()
        assert self.peer.connected, self.handler.reason

    def shake(self) -> None:
        """Check and run the handshake to whatever end."""
        answers = self.check()
        flights = [*self.dtls.start(self.now)]
        incoming = [datagram for datagram in answers if datagram[0] >= 20]
        while flights or incoming:
            for datagram in flights:
                self.deliver(datagram)
            incoming += [datagram for datagram in self.received() if datagram[0] >= 20]
            flights = [out for datagram in incoming for out in self.dtls.feed(datagram, self.now)]
            incoming = []

    def rtp(self, seq: int, payload: bytes = b"picture", ssrc: int = 1111) -> bytes:
        """A sealed RTP packet."""
        header = b"\x80\x60" + seq.to_bytes(2, "big") + bytes(4) + ssrc.to_bytes(4, "big")
        return self.srtp.seal(header, payload, seq)
