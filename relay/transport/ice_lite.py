"""ICE-lite (RFC 8445 §2.5, RFC 8839): which addresses are the peer's, and to which one we send.

Owns: one peer's credentials, validated addresses and the selected one.  Must never know: sockets, other
peers, DTLS.

Theory.  The peer is controlling and sends checks; a check that is authentic validates the address it came from.  The
selected address is

1. the one of the latest check with USE-CANDIDATE (the peer's nomination; Chromium repeats it, so that a NAT rebinding or a
   walk to another network is followed with the first check from there);
2. another validated address from which authentic packets come while the selected one has been silent for `QUIET_SECONDS`
   (stacks such as aioice nominate once and then check without USE-CANDIDATE; FFmpeg stops checking altogether);
3. before any nomination, the one from which the handshake or media came (Chromium over TCP nominates later).

A check that was seen before counts only from the address where it came first: a recorded check stays authentic for ever, and
must not carry the stream to an attacker who replays it.

A second interface that only sends checks thus never takes the stream away from a live selected address.
"""

import hmac
from dataclasses import dataclass
from typing import Final, TypeAlias

from relay.base.allowance import Allowance
from relay.transport import stun
from relay.transport.sdp_types import Local

Address: TypeAlias = tuple[str, int]
"""(host, port), as `socket.recvfrom` gives it, without scope; of a TCP connection with `TCP_PREFIX` before the host."""
TCP_PREFIX: Final = "tcp!"

MAX_ADDRESSES: Final = 8
"""Validated addresses kept per peer: every interface of a phone, twice."""
MAX_TCP_ADDRESSES: Final = 3
"""Of these, TCP connections: the port has few places for them, and browsers open one per interface."""
MAX_TRANSACTIONS: Final = 256
"""Checks remembered per peer: minutes of Chromium's."""
FORGED_BY_STRANGERS: Final = 100.0
"""Checks a second that may fail for one peer from addresses that are not its own: an attacker who read a ufrag off the wire
must not be able to keep us busy with HMACs.  Beyond that only checks from the peer's own addresses are looked at; a walk to a
new network waits."""
FORGED_FROM_OWN: Final = 1000.0
"""The same for the peer's own addresses, which can be forged too."""
CHECKS: Final = 100.0
CHECKS_BURST: Final = 200.0
"""Authentic checks of one peer that are looked at, a second and at once.  Chromium sends at most 21 a second, aioice 50."""
CHECKS_PER_MOVE: Final = 10.0
"""As many checks counts one from a new address: it changes the table of addresses and the kernel's filter."""
QUIET_SECONDS: Final = 0.5
"""Silence of the selected address after which another one may take its place without a nomination."""


class Budget:
    """A number of failures a second, and as many at once; a caller over its budget is not looked at."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left = rate
        self._at = 0.0

    def is_spent(self, now: float) -> bool:
        """Return whether no failure is left at `now`."""
        if self._left < 1:
            self._left = min(self._rate, self._left + max(0.0, now - self._at) * self._rate)
            self._at = now
        return self._left < 1

    def spend(self, now: float) -> None:
        """A failure happened."""
        if self._left >= self._rate:
            self._at = now
        self._left -= 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """The effects of an authentic check.

    `answer` goes back to where the check came from.  `evicted`: an address that no longer is the peer's.  `retired`: a ufrag
    that is no longer valid, since the restart's new one has been used.
    """

    answer: bytes
    nominated: bool
    evicted: Address | None
    retired: str | None


class _Generation:
    """Credentials of one ICE generation, ready for checks."""

    __slots__ = ("key", "local", "username")

    def __init__(self, local: Local, remote_ufrag: str) -> None:
        self.local = local
        self.username = f"{local.ufrag}:{remote_ufrag}".encode()
        self.key = stun.Key(local.pwd.encode())


class IceLite:
    """One peer's ICE state."""

    def __init__(self, local: Local, remote_ufrag: str) -> None:
        self.selected: Address | None = None
        self.validated: dict[Address, float] = {}
        """Address -> time of the latest authentic packet."""
        self._current = _Generation(local, remote_ufrag)
        self._next: _Generation | None = None
        self._transactions: dict[bytes, Address] = {}
        self._strangers = Budget(FORGED_BY_STRANGERS)
        self._own = Budget(FORGED_FROM_OWN)
        self._checks = Allowance(CHECKS, CHECKS_BURST)

    @property
    def local(self) -> Local:
        """Our credentials in use."""
        return self._current.local

    @property
    def remembered_checks(self) -> int:
        """How many transactions are remembered against replays."""
        return len(self._transactions)

    @property
    def ufrags(self) -> tuple[str, ...]:
        """Our ufrags that are valid now: two during a restart."""
        return tuple(each.local.ufrag for each in (self._current, self._next) if each is not None)

    def restart(self, local: Local, remote_ufrag: str) -> str | None:
        """Begin an ICE restart (RFC 8445 §9); return the ufrag of an unfinished earlier one, which is void now.

        The credentials in use and the selected address stay until the new credentials are first used.
        """
        void = None if self._next is None else self._next.local.ufrag
        self._next = _Generation(local, remote_ufrag)
        return void

    def is_ignoring(self, source: Address, now: float) -> bool:
        """Whether too many checks failed lately for one from this source to be looked at."""
        return (self._own if source in self.validated else self._strangers).is_spent(now)

    def is_pacing(self, now: float) -> bool:
        """Whether so many authentic checks came lately that no other one is looked at."""
        return not self._checks.has(now, CHECKS_PER_MOVE)

    def check(self, data: bytes, request: stun.Request, source: Address, now: float) -> Outcome | None:
        """Take a binding request; None where it is not authentic or replayed (it gets no answer: I9)."""
        generation = self._generation_of(request.username)
        if generation is None or not self._is_genuine(data, request, source, generation):
            (self._own if source in self.validated else self._strangers).spend(now)
            return None
        self._checks.take(now, 1.0 if source in self.validated else CHECKS_PER_MOVE)
        retired = self._adopt() if generation is self._next else None
        evicted = self._validate(source, now)
        nominated = request.use_candidate or self._is_quiet(now)
        if nominated:
            self.selected = source
        return Outcome(stun.success(request.transaction, source, generation.key), nominated, evicted, retired)

    def note_packet(self, source: Address, now: float) -> None:
        """Take note of an authentic DTLS, SRTP or SRTCP packet from a validated address."""
        if self.selected is None or source != self.selected and self._is_quiet(now):
            self.selected = source
        self.validated[source] = now

    def forget(self, address: Address) -> None:
        """Forget an address that passed to another peer, or whose connection is gone; the next is that of the newest packet."""
        self.validated.pop(address, None)
        if self.selected == address:
            self.selected = max(self.validated, key=lambda other: self.validated[other], default=None)

    def _is_genuine(self, data: bytes, request: stun.Request, source: Address, generation: "_Generation") -> bool:
        return stun.is_authentic(data, request, generation.key) and self._is_new(request.transaction, source)

    def _is_new(self, transaction: bytes, source: Address) -> bool:
        first = self._transactions.setdefault(transaction, source)
        if len(self._transactions) > MAX_TRANSACTIONS:
            del self._transactions[next(iter(self._transactions))]
        return first == source

    def _generation_of(self, username: bytes) -> "_Generation | None":
        for generation in (self._next, self._current):
            if generation is not None and hmac.compare_digest(username, generation.username):
                return generation
        return None

    def _adopt(self) -> str:
        """The restart's credentials were used: the old ones are retired."""
        assert self._next is not None
        retired = self._current.local.ufrag
        self._current, self._next = self._next, None
        return retired

    def _validate(self, source: Address, now: float) -> Address | None:
        self.validated[source] = now
        by_tcp = [address for address in self.validated if address[0].startswith(TCP_PREFIX)]
        if len(by_tcp) > MAX_TCP_ADDRESSES:
            candidates = by_tcp
        elif len(self.validated) > MAX_ADDRESSES:
            candidates = list(self.validated)
        else:
            return None
        oldest = min((a for a in candidates if a not in (source, self.selected)), key=lambda a: self.validated[a])
        del self.validated[oldest]
        return oldest

    def _is_quiet(self, now: float) -> bool:
        """Whether the selected address is silent; False while the peer has yet to choose one."""
        if self.selected is None:
            return False
        return now - self.validated.get(self.selected, 0.0) > QUIET_SECONDS
