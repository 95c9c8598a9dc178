"""A viewer's session and the views in its slots, as control remembers them.

What this file owns: their shape, and the secret that names a session.  What it must never know: policy, the journal, HTTP.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from relay.base.ids import new_token
from relay.channel import messages as m
from relay.channel.messages import Answer, ViewerHeld
from relay.policy.roles import Person
from relay.protocol.page import LegReport, ToPage, ViewEnded

SendToPage: TypeAlias = Callable[[ToPage], None]
"""Queue a message for one page; never waits."""


@dataclass(frozen=True, slots=True)
class LiveView:
    """One live view: who, what, why, in which slot."""

    view: str
    user: str
    camera: str
    intervention: str
    slot: int
    opened_ns: int


@dataclass(frozen=True, slots=True)
class ViewEnd:
    """The end of a view, with the span really sent (None where nothing ever left)."""

    view: str
    user: str
    camera: str
    first_ns: int | None
    last_ns: int | None
    reason: str
    bound: bool = False
    """The worker cannot tell the span any more: nothing was seen outside of this one."""


@dataclass(slots=True)
class ViewerSession:
    """One viewer session.  `expires_ns` (steady UTC): when its person's sign-in ends, None where that is not known;
    `valid_to_ns` (wall clock): when the person's designation does (ACC-01)."""

    secret: str
    user: str
    worker: int
    etag: str
    slots: int
    single: bool = False
    session: str | None = None
    expires_ns: int | None = None
    valid_to_ns: int | None = None
    ufrag: str | None = None
    views: dict[int, LiveView] = field(default_factory=dict)
    send_to_page: SendToPage | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def belong(self, session: str | None, expires_ns: int | None, valid_to_ns: int | None) -> None:
        """Say what it ends with: the sign-in behind it and its person's designation."""
        self.session, self.expires_ns, self.valid_to_ns = session, expires_ns, valid_to_ns

    def over(self, steady_ns: int, wall_ns: int) -> bool:
        """Tell whether the sign-in or the designation behind it has ended."""
        signed_out = self.expires_ns is not None and self.expires_ns <= steady_ns
        return signed_out or (self.valid_to_ns is not None and self.valid_to_ns <= wall_ns)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who opens a session, and until when (steady UTC) the sign-in behind it lasts."""

    person: Person
    session: str | None
    expires_ns: int | None


@dataclass(frozen=True, slots=True)
class Opened:
    """An accepted viewer session."""

    secret: str
    answer: Answer


def make_secret(user: str) -> str:
    """Return an unguessable name of a session that only `user` can claim."""
    token = new_token()
    return f"{token}.{_owner(token, user)}"


def belongs_to(secret: str, user: str) -> bool:
    """Tell whether the session of this name was opened by `user`."""
    token, _, owner = secret.partition(".")
    return hmac.compare_digest(owner.encode(), _owner(token, user).encode())


def _owner(token: str, user: str) -> str:
    return hashlib.sha256(f"{token}\0{user}".encode()).hexdigest()[:32]


def notify_ended(wall: ViewerSession, watching: LiveView, reason: str) -> None:
    """Tell the page that a view in one of its slots is over."""
    if wall.send_to_page is not None:
        wall.send_to_page(ViewEnded(watching.slot, wall.worker, watching.view, reason))


def leg_report(leg: m.LegReport) -> LegReport:
    """Return a worker's report of a leg as its page gets it."""
    stamp_ns, stamp_rtp = leg.stamp or (None, None)
    return LegReport(
        view=leg.view, kbps=leg.kbps, loss=leg.loss, rtt_ms=leg.rtt_ms, layer=leg.layer, limited=leg.limited,
        delay_ms=leg.delay_ms, stamp_ns=stamp_ns, stamp_rtp=stamp_rtp,
    )  # fmt: skip


def adopted_session(viewer: ViewerHeld, worker: int) -> ViewerSession:
    """Return a session that a worker held while control was away."""
    # Whose it is shows when its person claims it (`belongs_to`) or when a leg's view names the person.
    return ViewerSession(viewer.session, "", worker, viewer.etag, viewer.slots)
