"""ICE, the lite half (RFC 8445 §2.5, RFC 8839): which addresses are the peer's, and to which one we send.

What it owns: one peer's credentials, validated addresses and the selected one.  What it must never know: sockets, other
peers, DTLS.

Theory.  The peer is controlling and sends checks; a check that is authentic validates the address it came from.  The
selected address is

1. the one of the latest check with USE-CANDIDATE (the peer's nomination; Chromium repeats it, so that a NAT rebinding or a
   walk to another network is followed with the first check from there);
2. another validated address from which authentic packets come while the selected one has been silent for `QUIET` (stacks
   such as aioice nominate once and then check without USE-CANDIDATE; FFmpeg stops checking altogether).

A check that was seen before counts only from where it came first: a recorded one, authentic for ever, must not carry the
stream to whoever replays it.

A second interface that is merely kept warm by checks thus never takes the stream away from a live selected address.
"""

import hmac
from dataclasses import dataclass
from typing import Final, TypeAlias

from relay.transport import stun
from relay.transport.sdp_types import Local

Address: TypeAlias = tuple[str, int]
"""(host, port), as `socket.recvfrom` gives it, without scope."""

MAX_ADDRESSES: Final = 8
"""Validated addresses kept per peer: every interface of a phone, twice."""
MAX_TRANSACTIONS: Final = 256
"""Checks remembered per peer: minutes of Chromium's."""
QUIET: Final = 0.5
"""Seconds without an authentic packet from the selected address before another one may take its place unasked."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an authentic check did.

    `answer` goes back to where the check came from.  `evicted`: an address that is the peer's no longer.  `retired`: a ufrag
    that is no longer valid, since the restart's new one has been used.
    """

    answer: bytes
    nominated: bool
    evicted: Address | None
    retired: str | None


class IceLite:
    """One peer's ICE state."""

    def __init__(self, local: Local, remote_ufrag: str) -> None:
        self.local = local
        self.selected: Address | None = None
        self.validated: dict[Address, float] = {}
        """Address -> time of the latest authentic packet."""
        self._remote_ufrag = remote_ufrag
        self._next: tuple[Local, str] | None = None
        self._transactions: dict[bytes, Address] = {}

    @property
    def ufrags(self) -> tuple[str, ...]:
        """Ours that are valid now: two during a restart."""
        return (self.local.ufrag,) if self._next is None else (self.local.ufrag, self._next[0].ufrag)

    def restart(self, local: Local, remote_ufrag: str) -> str | None:
        """Begin an ICE restart (RFC 8445 §9); return the ufrag of an unfinished earlier one, which is void now.

        The credentials in use and the selected address stay until the new credentials are first used.
        """
        void = None if self._next is None else self._next[0].ufrag
        self._next = (local, remote_ufrag)
        return void

    def check(self, data: bytes, request: stun.Request, source: Address, now: float) -> Outcome | None:
        """Take a binding request; None where it is not authentic or replayed (it gets no answer: I9)."""
        credentials = self._credentials_of(request.username)
        if credentials is None:
            return None
        local, is_next = credentials
        password = local.pwd.encode()
        if not stun.is_authentic(data, request, password) or not self._is_new(request.transaction, source):
            return None
        retired = self._adopt() if is_next else None
        evicted = self._validate(source, now)
        nominated = request.use_candidate or self._is_quiet(now)
        if nominated:
            self.selected = source
        return Outcome(stun.success(request.transaction, source, password), nominated, evicted, retired)

    def heard(self, source: Address, now: float) -> None:
        """An authentic DTLS, SRTP or SRTCP packet came from a validated address."""
        if source != self.selected and self._is_quiet(now):
            self.selected = source
        self.validated[source] = now

    def forget(self, address: Address) -> None:
        """The address belongs to someone else now."""
        self.validated.pop(address, None)
        if self.selected == address:
            self.selected = None

    def _is_new(self, transaction: bytes, source: Address) -> bool:
        first = self._transactions.setdefault(transaction, source)
        if len(self._transactions) > MAX_TRANSACTIONS:
            del self._transactions[next(iter(self._transactions))]
        return first == source

    def _credentials_of(self, username: str) -> tuple[Local, bool] | None:
        """Match `<ours>:<theirs>` in constant time per generation."""
        for local, remote_ufrag, is_next in self._generations():
            if hmac.compare_digest(username, f"{local.ufrag}:{remote_ufrag}"):
                return local, is_next
        return None

    def _generations(self) -> list[tuple[Local, str, bool]]:
        current = (self.local, self._remote_ufrag, False)
        return [current] if self._next is None else [(*self._next, True), current]

    def _adopt(self) -> str:
        """The restart's credentials are used: they are the only ones from now on."""
        assert self._next is not None
        retired = self.local.ufrag
        self.local, self._remote_ufrag = self._next
        self._next = None
        return retired

    def _validate(self, source: Address, now: float) -> Address | None:
        self.validated[source] = now
        if len(self.validated) <= MAX_ADDRESSES:
            return None
        oldest = min((a for a in self.validated if a not in (source, self.selected)), key=lambda a: self.validated[a])
        del self.validated[oldest]
        return oldest

    def _is_quiet(self, now: float) -> bool:
        """Nothing selected is a nomination still to come, not a silence: a lite agent waits for the peer to choose."""
        if self.selected is None:
            return False
        return now - self.validated.get(self.selected, 0.0) > QUIET
