"""What every handler needs: the services, and the access rule of a route.

Owns: the shape of a route and of the application's context.  Must never know: any particular route.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeAlias

from aiohttp import web
from pydantic import BaseModel

from relay.archive.check import Check
from relay.archive.exports import Exports
from relay.archive.holds import Holds
from relay.archive.playback import Playbacks
from relay.archive.recordings import Recordings
from relay.archive.repair import Repair
from relay.archive.verification import Verification
from relay.base.addresses import source_of
from relay.base.clock import Clock, SteadyClock
from relay.base.counters import Counters
from relay.http.connections import Connections, recognise
from relay.http.doors import Door, Proofs
from relay.http.hub import LiveHub
from relay.http.limits import Buckets
from relay.http.proxies import Caller, Networks
from relay.http.proxies import caller as caller_of
from relay.http.shares import Shares
from relay.live.cages import Cages
from relay.live.camera_sockets import CameraSockets
from relay.live.media_addresses import MediaAddresses
from relay.live.processes import Processes
from relay.live.streams import Streams
from relay.live.time_limit import TimeLimit
from relay.people.authorize import Authorizer
from relay.people.designations import Designations
from relay.people.enrolment import Enrolment
from relay.people.interventions import Interventions
from relay.people.sign_ins import CONSOLE, SignedIn, SignIns
from relay.people.view_tokens import ViewTokens
from relay.runtime.deadlines import Deadline
from relay.store.journal import Journal
from relay.store.vault_probe import VaultProbe
from relay.viewing.camera_state import CameraStates
from relay.viewing.viewing import Viewing

COOKIE = "relay_session"


class Access(Enum):
    """Who may call a route; there is no default, so that nothing is open by accident."""

    ANYONE = "anyone"
    SIGNED_IN = "session cookie"
    CAMERA = "Bearer token of the camera"
    VIEWER = "session cookie or Bearer view token"
    SECRET = "unguessable URL"  # noqa: S105
    METRICS = "this machine, or an administrator"


@dataclass(frozen=True, slots=True)
class Options:
    """The settings that HTTP needs."""

    tls: bool
    """Whether the relay itself serves TLS."""
    https: bool
    """Whether browsers reach the relay over https, by its own TLS or by that of the proxy at `public_origin`."""
    trusted_proxies: Networks
    """Peers whose forwarding headers are believed."""
    behind_proxy: bool
    """Whether a proxy stands before the relay, and `trusted_proxies` does not say where: then no address opens anything."""
    metrics_token: str | None
    """SHA-256 of the Bearer token that opens `/metrics`."""
    origins: frozenset[str]
    """Origins of the relay's own page; a browser's request with a cookie must come from one of them."""
    allowed_origins: frozenset[str]
    """Origins of other pages that may use WHIP and WHEP with tokens."""
    ice_servers: tuple[str, ...]
    ui_dir: Path
    live_queue: int


@dataclass(frozen=True)
class Context:
    """The services behind the routes."""

    console_pass: bytes
    """What a command shows on control's Unix socket."""
    clock: Clock
    steady: SteadyClock
    counters: Counters
    deadline: Deadline
    """How long a request waits for the disk."""
    options: Options
    authorizer: Authorizer
    sign_ins: SignIns
    designations: Designations
    view_tokens: ViewTokens
    enrolment: Enrolment
    interventions: Interventions
    camera_sockets: CameraSockets
    streams: Streams
    viewing: Viewing
    time_limit: TimeLimit
    camera_states: CameraStates
    recordings: Recordings
    playbacks: Playbacks
    verification: Verification
    exports: Exports
    holds: Holds
    check: Check
    repair: Repair
    live: LiveHub
    journal: Journal
    proofs: Proofs
    """Credentials that have an allowance of their own at the doors below."""
    endpoint_door: Door
    """Rate limit of the endpoints of cameras, view tokens and unguessable URLs."""
    sign_in_rate: Buckets
    """Rate limit of the sign-in: per name and address, or per name and known browser."""
    sign_in_door: Door
    """Rate limit of requests to the sign-in: what it costs to read them."""
    connections: Connections
    """Those of the public listener; a test's own server has none there."""
    live_sockets: Shares
    downloads: Shares
    processes: Processes
    media_addresses: MediaAddresses
    """At which addresses cameras and viewers find the workers."""
    ready: Callable[[], Mapping[str, bool]]
    vault_probe: VaultProbe
    cages: Cages
    gauges: Callable[[], Mapping[str, Mapping[str, float]]]
    process_counters: Callable[[], Mapping[str, Mapping[str, float]]]


Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One route; `body` and `answer` are the models that OpenAPI shows and the handler uses."""

    method: str
    path: str
    access: Access
    handler: Handler
    summary: str
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = 200


CONTEXT: web.AppKey[Context] = web.AppKey("context")
ROUTES: web.AppKey[tuple[Route, ...]] = web.AppKey("routes", tuple[Route, ...])
_CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
_SIGNED_IN: web.RequestKey[SignedIn] = web.RequestKey("signed_in", SignedIn)


def context(request: web.Request) -> Context:
    """Return the services."""
    return request.app[CONTEXT]


def caller(request: web.Request) -> Caller:
    """Return who asks: behind a trusted proxy the person or camera, not the proxy."""
    found = request.get(_CALLER)
    if found is None:
        found = caller_of(request.remote, request.headers.items(), context(request).options.trusted_proxies)
        request[_CALLER] = found
    return found


def source(request: web.Request) -> str:
    """Return the key under which limits and lockouts count the caller: his address, the /64 for IPv6."""
    return source_of(caller(request).address)


def is_https(request: web.Request) -> bool:
    """Return whether the caller's browser came over https; then cookies are Secure and HSTS is sent."""
    return context(request).options.https or caller(request).scheme == "https"


def remember(request: web.Request, signed_in: SignedIn) -> None:
    """Keep the sign-in that the access check found; its connection is that person's.  Raises TheirError as `recognise` does."""
    if signed_in.person is not CONSOLE:
        recognise(request, signed_in.person.user)
        context(request).proofs.add(signed_in.person.user, request.cookies[COOKIE])
    request[_SIGNED_IN] = signed_in


def signed_in(request: web.Request) -> SignedIn:
    """Return the sign-in that the access check found; a KeyError here is our bug."""
    return request[_SIGNED_IN]


def signed_in_or_none(request: web.Request) -> SignedIn | None:
    """Return the sign-in that the access check found, None where it admitted a caller without one."""
    return request.get(_SIGNED_IN)


def remember_camera(request: web.Request, camera: str, token: str) -> None:
    """A camera proved itself with its token: the connection is that camera's.  Raises TheirError as `recognise` does."""
    recognise(request, f"camera:{camera}")
    context(request).proofs.add(f"camera:{camera}", token)


def bearer(request: web.Request) -> str | None:
    """Return the Bearer token of a request, None without one (RFC 6750 §2.1)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
