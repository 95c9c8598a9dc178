"""The shape of viewer sessions and of the live views in their slots.

Owns: that shape, and the secret that names a viewer session.  Must never know: policy, the journal,
HTTP.

A wall is a page's grid of tiles.  It has one viewer session with each worker, with a slot for each tile.
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
from relay.live.ice_restart import IceGeneration
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
    upper_bound: bool = False
    """No worker reports the span any more: it is the longest possible one."""


@dataclass(slots=True)
class ViewerSession:
    """One viewer session."""

    secret: str
    user: str
    worker: int
    ice: IceGeneration
    slots: int
    single: bool = False
    """Whether a WHEP player opened it, for one view: it ends with that view."""
    sign_in: str | None = None
    """The sign-in that it ends with."""
    expires_ns: int | None = None
    """When that sign-in ends (steady UTC); None where that is not known."""
    valid_to_ns: int | None = None
    """When the person's designation ends (wall clock, ACC-01); None where it has no end."""
    views: dict[int, LiveView] = field(default_factory=dict)
    send_to_page: SendToPage | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def belong(self, sign_in: str | None, expires_ns: int | None, valid_to_ns: int | None) -> None:
        """Set what it ends with: the sign-in behind it and its person's designation."""
        self.sign_in, self.expires_ns, self.valid_to_ns = sign_in, expires_ns, valid_to_ns

    def is_over(self, steady_ns: int, wall_ns: int) -> bool:
        """Return whether the sign-in or the designation behind it has ended."""
        signed_out = self.expires_ns is not None and self.expires_ns <= steady_ns
        return signed_out or (self.valid_to_ns is not None and self.valid_to_ns <= wall_ns)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who opens a viewer session, and until when (steady UTC) the sign-in behind it lasts."""

    person: Person
    sign_in: str | None
    expires_ns: int | None


@dataclass(frozen=True, slots=True)
class Opened:
    """An accepted viewer session."""

    secret: str
    answer: Answer


def make_secret(user: str) -> str:
    """Return an unguessable name of a viewer session that only `user` can claim."""
    token = new_token()
    return f"{token}.{_owner(token, user)}"


def belongs_to(secret: str, user: str) -> bool:
    """Return whether the viewer session of this name was opened by `user`."""
    token, _, owner = secret.partition(".")
    return hmac.compare_digest(owner.encode(), _owner(token, user).encode())


def _owner(token: str, user: str) -> str:
    return hashlib.sha256(f"{token}\0{user}".encode()).hexdigest()[:32]


def notify_ended(viewer_session: ViewerSession, view: LiveView, reason: str) -> None:
    """Notify the page, if there is one, that a view in one of its slots is over."""
    if viewer_session.send_to_page is not None:
        viewer_session.send_to_page(ViewEnded(view.slot, viewer_session.worker, view.view, reason))


def leg_report(leg: m.LegReport) -> LegReport:
    """Return a worker's report of a leg as its page gets it."""
    stamp_ns, stamp_rtp = leg.stamp or (None, None)
    return LegReport(
        view=leg.view, kbps=leg.kbps, loss=leg.loss, rtt_ms=leg.rtt_ms, layer=leg.layer, limited=leg.limited,
        delay_ms=leg.delay_ms, stamp_ns=stamp_ns, stamp_rtp=stamp_rtp,
    )  # fmt: skip


def adopted_session(viewer: ViewerHeld, worker: int) -> ViewerSession:
    """Return a viewer session that a worker held while control was away.

    Its person is known once the person claims it (`belongs_to`), or once the row of a view in it names the person.
    """
    return ViewerSession(viewer.session, "", worker, IceGeneration(viewer.etag), viewer.slots)
