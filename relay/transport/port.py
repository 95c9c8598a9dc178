"""One UDP socket for all peers of a worker.

What it owns: the socket, who is behind which address, the guard at the door (I9).  What it must never know: cameras,
viewers, codecs, policy.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.base.clock import Clock
from relay.base.counters import Counters
from relay.transport.dtls import Identity
from relay.transport.sdp import Fragment, Local, Remote
from relay.transport.srtp import SrtpSession


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


class PeerHandler(Protocol):
    """What a worker does with a peer; never called re-entrantly from within `Port.send`."""

    def on_connected(self, peer: "Peer", now: float) -> None:
        """DTLS is done: `peer.srtp` is there."""
        ...

    def on_rtp(self, peer: "Peer", packet: bytes, now: float) -> None:
        """A plain, authenticated, replay-checked RTP packet, in order of arrival.  Header fields are NOT validated."""
        ...

    def on_rtcp(self, peer: "Peer", compound: bytes, now: float) -> None:
        """A plain, authenticated RTCP compound.  Its contents are NOT validated."""
        ...

    def on_batch_end(self, now: float) -> None:
        """Once after each socket drain that brought any peer of this handler something."""
        ...

    def on_closed(self, peer: "Peer", reason: str, now: float) -> None:
        """The peer is gone (not called for one's own `Peer.close`)."""
        ...


class Peer(Protocol):
    """One camera or viewer on the port."""

    local: Local
    remote: Remote
    srtp: SrtpSession
    """Only after `on_connected`."""
    connected: bool
    closed: bool

    def close(self, reason: str) -> None:
        """Forget the peer (a DTLS close_notify is sent where connected); `on_closed` is not called."""
        ...

    def restart(self, fragment: Fragment) -> Local:
        """ICE restart: return new local credentials; the old stay valid until the new are first used."""
        ...

    def send_rtcp(self, compound: bytes, now: float) -> None:
        """Seal and send one compound."""
        ...

    def silent_for(self, now: float) -> float:
        """Seconds since the last authenticated packet (or since `add`)."""
        ...


class Port:
    """See the module."""

    def __init__(
        self, sock: socket.socket, identity: Identity, clock: Clock, counters: Counters, settings: PortSettings
    ) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Begin reading: registers with the running asyncio loop."""
        raise NotImplementedError

    def stop(self) -> None:
        """Close every peer and stop reading; the socket stays the caller's."""
        raise NotImplementedError

    def new_local(self) -> Local:
        """Fresh credentials, our fingerprint and candidates, for `sdp.answer_*`."""
        raise NotImplementedError

    def add(
        self, local: Local, remote: Remote, handler: PeerHandler, now: float, silence_after: float | None = None
    ) -> Peer:
        """Expect a peer."""
        raise NotImplementedError

    def send(self, peer: Peer, datagrams: Sequence[bytes]) -> int:
        """Send sealed packets to the peer's selected address; returns how many the kernel took (never raises for a slow peer)."""
        raise NotImplementedError

    def send_burst(self, peer: Peer, out: bytearray, lengths: Sequence[int], at: int = 0) -> int:
        """As `send`, from what `seal_burst` made: consecutive packets in `out` from offset `at`."""
        raise NotImplementedError

    def tick(self, now: float) -> None:
        """Every 20-50 ms: DTLS retransmission, silence, handshakes that never ended."""
        raise NotImplementedError
