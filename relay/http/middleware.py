"""What every request passes: security headers, errors to statuses, rate limits, access checks.

Owns: the one table from `Kind` to HTTP status, and the default refusal.  Must never know: a resource.
"""

import hmac
import json
import logging
import math
import socket
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import hdrs, web

from relay.base.codes import Code
from relay.base.counters import declare
from relay.base.errors import Kind, OurError, RelayError, TheirError
from relay.base.ids import token_digest
from relay.http.context import COOKIE, Access, Context, Handler, Route, bearer, caller, context, is_https, remember, source
from relay.http.proxies import is_trusted, networks
from relay.http.reached import is_proxied
from relay.people.sign_ins import CONSOLE, SignedIn

logger = logging.getLogger(__name__)

CONSOLE_HEADER = "X-Relay-Console"
"""Header with the console's pass (hexadecimal) on requests over control's Unix socket."""
_CONSOLE_REFUSED = "the console asks for its pass: run the command as the relay's own user, who can read the data folder's keys"
SIGN_IN = "/api/session"
KNOWN_BROWSER = "relay_known_browser"
"""The cookie of `people/known_browsers`; it opens nothing, and is sent to the sign-in only."""
LOOPBACK = networks(("127.0.0.0/8", "::1"))
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

STATUS: dict[Kind, int] = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.NOT_ACCEPTABLE: 406,
    Kind.CONFLICT: 409,
    Kind.GONE: 410,
    Kind.STALE: 412,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED: 415,
    Kind.INCOMPLETE: 422,
    Kind.PRECONDITION_REQUIRED: 428,
    Kind.TOO_MANY: 429,
    Kind.UNAVAILABLE: 503,
}
KIND = {status: kind for kind, status in STATUS.items()}

SERVER = "relay"
PROBLEM = "application/problem+json"
PROBLEM_TYPE = "urn:bodycam-relay:problem:"

SECURITY_HEADERS = {
    # Media Source Extensions and hls.js play from `blob:`; Lit writes inline styles.
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; media-src 'self' blob:; "
        "worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(), display-capture=()",
}

declare(
    http_requests="HTTP requests answered",
    http_refused="HTTP requests refused: the caller's fault",
    http_failed="HTTP requests failed: our fault",
    http_limited="HTTP requests refused by a rate limit",
)


@web.middleware
async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as a problem (RFC 9457), and count."""
    counters = context(request).counters
    counters.count("http_requests")
    try:
        response = await handler(request)
    except RelayError as error:
        counters.count("http_refused" if isinstance(error, TheirError) else "http_failed")
        if error.kind is Kind.UNAUTHENTICATED and (request.method, route_name(request)) != ("POST", SIGN_IN):
            # Counted, and journalled once per source and minute (I3); the sign-in journals its own refusals.
            context(request).journal.refuse_anonymous(caller(request).address, route_name(request))
        if isinstance(error, OurError):
            logger.warning("request failed", extra={"route": route_name(request), "detail": error.detail})
        response = refusal(error)
    except web.HTTPException as error:
        counters.count("http_refused")
        response = _plain(error)
    except web.RequestPayloadError:
        counters.count("http_refused")
        response = problem(400, Code.BODY_INVALID, "the body breaks its own encoding: chunks, compression or length")
    except Exception as error:
        response = _failed(request, error)
    return response


def _failed(request: web.Request, error: Exception) -> web.Response:
    counters = context(request).counters
    if isinstance(error, ConnectionError) and request.transport is None:
        # The caller hung up while his body was read.  Nobody reads the answer.
        counters.count("http_refused")
        return problem(400, Code.BODY_INVALID, "the connection ended within the body")
    counters.count("http_failed")
    logger.error("request failed", extra={"route": route_name(request)}, exc_info=error)
    return problem(500, Code.INTERNAL, "the relay made a mistake")


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on an answer, also on sockets and downloads: connected to `on_response_prepare`."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    # What stands in for aiohttp's own value, which names its version and Python's.
    response.headers[hdrs.SERVER] = SERVER
    if request.path.startswith("/api/"):
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    if is_https(request):
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")


def refusal(error: RelayError) -> web.Response:
    """Return an error as its response, with `Retry-After` where a retry makes sense."""
    response = problem(STATUS[error.kind], error.code, error.detail, error.facts)
    if error.retry_after is not None or error.kind is Kind.UNAVAILABLE:
        response.headers[hdrs.RETRY_AFTER] = str(max(1, math.ceil(error.retry_after or 1)))
    if error.kind is Kind.UNAUTHENTICATED:
        response.headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="relay"'
    return response


def problem(status: int, code: Code, detail: str, facts: Mapping[str, str | int] | None = None) -> web.Response:
    """Return a problem details object (RFC 9457 §3); the facts are its extension members."""
    body = {
        **(facts or {}),
        "type": PROBLEM_TYPE + code.value,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code.value,
    }
    return web.Response(text=json.dumps(body), status=status, content_type=PROBLEM)


def route_name(request: web.Request) -> str:
    """Return the route's pattern, which holds no secret, unlike the path."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


def guarded(route: Route) -> Handler:
    """Return the route's handler behind its rate limit and access check."""

    async def handle(request: web.Request) -> web.StreamResponse:
        services = context(request)
        limit(request, services, route)
        await _ACCESS[route.access](request, services)
        return await route.handler(request)

    return handle


def limit(request: web.Request, services: Context, route: Route) -> None:
    """Raise TheirError(TOO_MANY) where too many requests come to the sign-in or to token endpoints; see `doors`."""
    now = services.clock.monotonic()
    if (route.method, route.path) == ("POST", SIGN_IN):
        refuse(services, services.sign_in_door.take(source(request), request.cookies.get(KNOWN_BROWSER), now))
    elif route.access in {Access.CAMERA, Access.VIEWER, Access.SECRET}:
        credential = bearer(request) or request.cookies.get(COOKIE)
        refuse(services, services.endpoint_door.take(source(request), credential, now))


def refuse(services: Context, wait: float) -> None:
    """Raise TheirError(TOO_MANY) where a rate limit asks to wait for some seconds."""
    if wait > 0:
        services.counters.count("http_limited")
        raise TheirError(Kind.TOO_MANY, "too many requests from this address", retry_after=wait, code=Code.TOO_MANY_REQUESTS)


async def _anyone(request: web.Request, services: Context) -> None:
    if request.method not in SAFE_METHODS:
        check_origin(request, services)


async def _signed_in(request: web.Request, services: Context) -> None:
    token = request.cookies.get(COOKIE)
    if token is None and _is_over_unix_socket(request):
        if not is_console(request):
            raise TheirError(Kind.UNAUTHENTICATED, _CONSOLE_REFUSED, code=Code.CONSOLE_PASS_REQUIRED)
        remember(request, SignedIn(CONSOLE, "", 0, "console"))
        return
    if token is None:
        raise TheirError(Kind.UNAUTHENTICATED, "sign in first", code=Code.SIGN_IN_REQUIRED)
    found = await services.sign_ins.who(token)
    if request.method not in SAFE_METHODS:
        check_origin(request, services)
        services.sign_ins.check_csrf(found, request.headers.get("X-CSRF"))
    elif request.headers.get(hdrs.UPGRADE):
        # A WebSocket handshake is a GET that no CSRF header can protect: its Origin must be ours (RFC 6455 §10.2).
        check_origin(request, services)
    remember(request, found)


def is_console(request: web.Request) -> bool:
    """Return whether a command of the relay asks, over control's Unix socket and with the console's pass.

    Every process of the relay's user reaches that socket; workers and recorders, which parse what strangers send, are some of
    them.  Only the commands and control can read the pass.
    """
    shown = request.headers.get(CONSOLE_HEADER, "").encode("utf-8", "replace")
    return _is_over_unix_socket(request) and hmac.compare_digest(shown, context(request).console_pass.hex().encode())


def _is_over_unix_socket(request: web.Request) -> bool:
    sock = request.transport.get_extra_info("socket") if request.transport is not None else None
    return sock is not None and sock.family == socket.AF_UNIX


async def _with_token(request: web.Request, services: Context) -> None:
    if bearer(request) is None:
        raise TheirError(Kind.UNAUTHENTICATED, "a Bearer token is required", code=Code.TOKEN_REQUIRED)


async def _viewer(request: web.Request, services: Context) -> None:
    if bearer(request) is None:
        await _signed_in(request, services)


async def _metrics(request: web.Request, services: Context) -> None:
    token = bearer(request)
    wanted = services.options.metrics_token
    if token is not None and wanted is not None and hmac.compare_digest(token_digest(token), wanted):
        return
    if not is_local(request):
        await _signed_in(request, services)


def is_local(request: web.Request) -> bool:
    """Return whether a program on this machine asks by itself: a proxy on this machine has a loopback address, too."""
    return not is_proxied(request) and (is_console(request) or is_trusted(request.remote, LOOPBACK))


async def _secret(_request: web.Request, _services: Context) -> None:
    """The handler finds the session by the secret in the path, or answers 404."""


_ACCESS = {
    Access.ANYONE: _anyone,
    Access.SIGNED_IN: _signed_in,
    Access.CAMERA: _with_token,
    Access.VIEWER: _viewer,
    Access.SECRET: _secret,
    Access.METRICS: _metrics,
}


def check_origin(request: web.Request, services: Context) -> None:
    """Raise TheirError(FORBIDDEN) where a browser's `Origin` header names the page of another site."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None or origin in services.options.origins:
        return
    asked = caller(request)
    own = f"{asked.scheme or ('https' if services.options.tls else 'http')}://{asked.host or request.host}"
    if origin != own:
        raise TheirError(Kind.FORBIDDEN, "this Origin is not ours", code=Code.ORIGIN_NOT_ALLOWED)


def _code_of(status: int) -> Code:
    """Return the general code for a status that aiohttp chose."""
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return Code.METHOD_NOT_ALLOWED
    kind = KIND.get(status)
    if kind is not None:
        return Code(kind.value)
    return Code.INVALID if status < 500 else Code.INTERNAL


def _plain(error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        return web.Response(status=error.status, headers=error.headers)
    response = problem(error.status, _code_of(error.status), error.reason)
    if hdrs.ALLOW in error.headers:
        response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    return response
