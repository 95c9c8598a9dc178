"""One camera or viewer on the port: ICE, then DTLS, then SRTP.

Owns: the life of one peer and the order of its layers.  Must never know: the socket (its owner sends
for it), other peers, media.

Life: waiting for an authentic check -> handshake -> connected -> closed.  Nothing but STUN is looked at before an address is
validated, nothing but DTLS before the handshake is done.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, TheirError
from relay.transport.dtls import Context, Endpoint, Role
from relay.transport.dtls_records import RecordGate
from relay.transport.ice_lite import Address, IceLite
from relay.transport.sdp_types import Local, Remote, SdpFragment
from relay.transport.srtp import ReplayError, SrtpError, SrtpSession

declare(
    dtls_unexpected="DTLS records dropped unread: application data, huge or odd records, more records than a peer needs",
    dtls_astray="DTLS datagrams whose address was lost, or passed to another peer, while they waited",
    dtls_failed="DTLS handshakes that failed (certificate, profile, protocol)",
    peer_paced="SRTP packets dropped unread because their peer sends more than any camera or viewer needs",
    srtp_early="SRTP packets that came before the handshake was done",
    srtp_forged="SRTP packets that were not authentic",
    srtp_replayed="SRTP packets whose index had been seen before or was too old",
)


ABUSE_PER_TICK: Final = 100
"""Useless datagrams from one peer's addresses between two ticks after which it queues with strangers; a network that repeats
every packet of a camera makes ten."""
DEMOTED_SECONDS: Final = 5.0
WORK_AT_ONCE: Final = 5000
"""Work that one authenticated peer may cause at once.  The unit is a media packet.  A camera of 8 Mbit/s sends 900 packets a
second, and what it held back at once after its radio was down for some seconds."""
WORK_PER_SECOND: Final = 2000
"""Work that one authenticated peer may cause a second: about a twentieth of a worker's time, so that ten that do their worst
leave half of it to the others.  More where cameras may send more (`PortSettings.work_per_second`)."""
RTCP_BYTES_PER_UNIT: Final = 100
"""RTCP costs by its length: 1400 bytes may hold 64 packets, whose reading takes as long as 15 media packets."""


class PeerHandler(Protocol):
    """The worker's side of a peer; never called re-entrantly from within `Port.send`."""

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


class _Gone:
    """The handler of a peer that is closed.  Peer and handler refer to each other; a closed peer lets go of its own."""

    def on_connected(self, peer: "Peer", now: float) -> None:
        """Nothing."""

    def on_rtp(self, peer: "Peer", packet: bytes, now: float) -> None:
        """Nothing."""

    def on_rtcp(self, peer: "Peer", compound: bytes, now: float) -> None:
        """Nothing."""

    def on_batch_end(self, now: float) -> None:
        """Nothing."""

    def on_closed(self, peer: "Peer", reason: str, now: float) -> None:
        """Nothing."""


_GONE: Final = _Gone()


class PeerOwner(Protocol):
    """The port, as its peers see it."""

    counters: Counters
    context: Context
    work_per_second: float
    """Work that each peer may cause."""

    def transmit(self, datagrams: Sequence[bytes], address: Address) -> int:
        """Send datagrams to one address; returns how many the kernel took."""
        ...

    def forget(self, peer: "Peer") -> None:
        """The peer is closed: drop its ufrags and addresses."""
        ...

    def renew(self, peer: "Peer", remote_ufrag: str, hosts: Sequence[str]) -> Local:
        """Make and register credentials for an ICE restart; `hosts`: our addresses for candidates, () for the usual ones."""
        ...


class Peer:
    """One peer; `srtp` is there after `on_connected` and must not be touched before."""

    __slots__ = (
        "_added",
        "_demoted_until",
        "_dtls",
        "_gate",
        "_owner",
        "_received_at",
        "_useless",
        "_work_left",
        "_worked_at",
        "closed",
        "connected",
        "handler",
        "ice",
        "paced",
        "remote",
        "said_goodbye",
        "silence_after",
        "srtp",
    )

    srtp: SrtpSession

    def __init__(
        self, owner: PeerOwner, local: Local, remote: Remote, handler: PeerHandler, now: float, silence_after: float
    ) -> None:
        self.ice = IceLite(local, remote.ufrag)
        self.remote = remote
        self.handler = handler
        self.silence_after = silence_after
        self.connected = False
        self.closed = False
        self.said_goodbye = False
        """Whether the peer ended the connection itself (DTLS close_notify)."""
        self._owner = owner
        self._dtls: Endpoint | None = None
        self._gate = RecordGate()
        self._added = now
        self._received_at = now
        """When the last authenticated packet came."""
        self._useless = 0
        """Datagrams from this peer's addresses that could not be used, since the last `judge`."""
        self._demoted_until: float | None = None
        self._work_left: float = WORK_AT_ONCE
        self.paced = 0
        """Packets of this peer that were dropped unread because it sends too much."""
        self._worked_at = now
        """When work was last added to `_work_left`."""

    @property
    def local(self) -> Local:
        """Our credentials in use."""
        return self.ice.local

    def close(self, reason: str) -> None:
        """Forget the peer (a DTLS close_notify is sent where connected); `on_closed` is not called.

        `reason` is for the caller's own record: only the close_notify is sent.
        """
        if self.closed:
            return
        if self._dtls is not None and self.ice.selected is not None:
            self._owner.transmit(self._dtls.close(), self.ice.selected)
        self.closed = True
        self.connected = False
        # What follows is freed now: a worker collects cycles rarely, and its collector sees nothing of OpenSSL's 100 kB.
        self._dtls = None
        self.handler = _GONE
        self._owner.forget(self)

    def restart(self, fragment: SdpFragment, hosts: Sequence[str] = ()) -> Local:
        """ICE restart: return new local credentials; the old stay valid until the new are first used.

        `hosts`: our addresses for candidates, the best first.

        Raises `TheirError` INVALID where the fragment carries no credentials.
        """
        if fragment.ufrag is None:
            raise TheirError(Kind.INVALID, "SDP: a restart needs ice-ufrag and ice-pwd", code=Code.SDP_INVALID)
        return self._owner.renew(self, fragment.ufrag, hosts)

    def send_rtcp(self, compound: bytes, now: float) -> None:
        """Seal and send one compound; nothing happens while the peer has no address."""
        if self.connected and self.ice.selected is not None:
            self._owner.transmit((self.srtp.seal_rtcp(compound),), self.ice.selected)

    def silent_for(self, now: float) -> float:
        """Seconds since the last authenticated packet (or since `Port.add`)."""
        return now - self._received_at

    # --- abuse ---------------------------------------------------------------------------------------------------------

    @property
    def is_demoted(self) -> bool:
        """Whether this peer's addresses queue with strangers for a while, because they brought mostly unusable datagrams."""
        return self._demoted_until is not None

    @property
    def is_shaking(self) -> bool:
        """Whether a handshake has begun."""
        return self._dtls is not None

    def count_useless(self) -> None:
        """A datagram from one of this peer's addresses could not be used."""
        self._useless += 1

    def judge(self, now: float) -> bool:
        """Once a tick: demote a peer whose addresses were abused, or take it back; returns whether they were."""
        self._work_left = min(WORK_AT_ONCE, self._work_left + (now - self._worked_at) * self._owner.work_per_second)
        self._worked_at = now
        useless, self._useless = self._useless, 0
        if useless > ABUSE_PER_TICK:
            self._demoted_until = now + DEMOTED_SECONDS
            return True
        if self._demoted_until is not None and now >= self._demoted_until:
            self._demoted_until = None
        return False

    # --- packets -------------------------------------------------------------------------------------------------------

    def validated(self, now: float) -> None:
        """An authentic check came; the first nomination of an active peer of ours begins the handshake."""
        self._received_at = now
        if self._dtls is None and self.ice.selected is not None and self.remote.setup == "passive":
            self._send_dtls(self._endpoint().start(now), self.ice.selected, now)

    def admit_dtls(self, datagram: bytes, now: float) -> bytes:
        """Return the records of a DTLS datagram that are worth their work; the others are counted and held against the peer."""
        admitted = self._gate.admit(datagram, now, has_session=self.connected)
        if admitted.dropped:
            self._useless += 1
            self._owner.counters.count("dtls_unexpected", admitted.dropped)
        return admitted.records

    def on_dtls(self, datagram: bytes, source: Address, now: float) -> None:
        """Records that `admit_dtls` returned, from a validated address; dropped where the peer has lost that address since."""
        if source not in self.ice.validated:
            self._owner.counters.count("dtls_astray")
            return
        endpoint = self._endpoint()
        self._send_dtls(endpoint.feed(datagram, now), source, now)

    def on_srtp(self, packet: bytes, source: Address, now: float) -> bool:
        """An SRTP or SRTCP packet from a validated address; returns whether the handler got it."""
        counters = self._owner.counters
        if not self.connected:
            self._useless += 1
            counters.count("srtp_early")
            return False
        if self._work_left < 1:  # only authentic packets count, so that nobody can spend it by forging the peer's address
            self._useless += 1
            self.paced += 1
            counters.count("peer_paced")
            return False
        is_rtcp = 192 <= packet[1] <= 223  # RFC 5761 §4
        try:
            plain = self.srtp.open_rtcp(packet) if is_rtcp else self.srtp.open_rtp(packet)
        except SrtpError as error:
            self._useless += 1
            counters.count("srtp_replayed" if isinstance(error, ReplayError) else "srtp_forged")
            return False
        self._work_left -= 1 + len(packet) // RTCP_BYTES_PER_UNIT if is_rtcp else 1
        self._received_at = now
        if source != self.ice.selected:
            self.ice.note_packet(source, now)
        else:
            self.ice.validated[source] = now
        deliver = self.handler.on_rtcp if is_rtcp else self.handler.on_rtp
        deliver(self, plain, now)
        return True

    def tick(self, now: float, handshake_after: float) -> None:
        """Repeat DTLS flights; close a peer that never connected or fell silent."""
        if self.connected:
            if now - self._received_at > self.silence_after:
                self.lose(f"silent for {self.silence_after:g} s", now)
            return
        if self._dtls is not None and self.ice.selected is not None:
            self._send_dtls(self._dtls.tick(now), self.ice.selected, now)
        if not self.closed and now - self._added > handshake_after:
            what = "no connectivity check arrived" if self.ice.selected is None else "the DTLS handshake did not end"
            self.lose(f"not connected after {handshake_after:g} s: {what}", now)

    def lose(self, reason: str, now: float) -> None:
        """Close the peer, and report the reason to its handler."""
        if not self.closed:
            handler = self.handler
            self.close(reason)
            handler.on_closed(self, reason, now)

    def _endpoint(self) -> Endpoint:
        if self._dtls is None:
            role: Role = "client" if self.remote.setup == "passive" else "server"
            self._dtls = Endpoint(self._owner.context, role, self.remote.fingerprints)
        return self._dtls

    def _send_dtls(self, datagrams: Sequence[bytes], address: Address, now: float) -> None:
        """Send the datagrams of the handshake, and act on its result."""
        endpoint = self._endpoint()
        if datagrams:
            self._owner.transmit(datagrams, address)
        if endpoint.failure is not None:
            self._owner.counters.count("dtls_failed")
            self.lose(endpoint.failure, now)
        elif endpoint.closed:
            self.said_goodbye = True
            self.lose("the peer said goodbye", now)
        elif endpoint.session is not None and not self.connected:
            self.srtp = endpoint.session
            self.connected = True
            self._received_at = now
            self.ice.note_packet(address, now)
            self.handler.on_connected(self, now)
