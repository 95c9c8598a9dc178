"""`/api/session`: sign in, show the sign-in, sign out.

Owns: the cookies.  Must never know: how passwords are checked.
"""

import contextlib

from aiohttp import web

from relay.base.clock import rfc3339
from relay.base.errors import OurError
from relay.channel.messages import PeerCloseReason
from relay.http import schemas
from relay.http.bodies import answer, read_body
from relay.http.connections import recognise
from relay.http.context import COOKIE, Access, Route, context, is_https, signed_in, source
from relay.http.middleware import KNOWN_BROWSER, SIGN_IN, refuse
from relay.people.known_browsers import LASTS_DAYS
from relay.people.sign_ins import SignedIn


def _shown(request: web.Request, found: SignedIn) -> schemas.Session:
    person = found.person
    return schemas.Session(
        user=person.user,
        name=person.name,
        role=person.role.value,
        csrf=found.csrf,
        expires_at=rfc3339(context(request).steady.wall_ns(found.expires_ns)),
        must_change=person.must_change,
    )


async def sign_in(request: web.Request) -> web.StreamResponse:
    """Sign in: set the cookie, and return `csrf` for the header `X-CSRF` of every unsafe request."""
    body = await read_body(request, schemas.SignIn)
    services = context(request)
    browser = request.cookies.get(KNOWN_BROWSER)
    # By name, too: a room behind one address changes shift at once.  And by browser where this person signed in with it
    # before: nobody else at that address makes it wait.
    known = await services.sign_ins.browser_of(body.user, browser)
    key = f"{source(request) if known is None else known} {body.user[:40]}"
    refuse(services, services.sign_in_rate.take(key, services.clock.monotonic()))
    token, found = await services.sign_ins.sign_in(body.user, body.password, source(request), browser)
    recognise(request, found.person.user)
    response = answer(_shown(request, found))
    seconds = (found.expires_ns - services.steady.utc_ns()) // 1_000_000_000
    response.set_cookie(COOKIE, token, max_age=seconds, path="/", httponly=True, samesite="Strict", secure=is_https(request))
    await _remember_browser(request, response, found)
    return response


async def _remember_browser(request: web.Request, response: web.Response, found: SignedIn) -> None:
    """Set the cookie by which this browser keeps an allowance of its own; without the disk, it stays as it was."""
    with contextlib.suppress(OurError):
        value = await context(request).sign_ins.known_browser(found, request.cookies.get(KNOWN_BROWSER))
        context(request).proofs.add(found.person.user, value)
        response.set_cookie(
            KNOWN_BROWSER, value, max_age=LASTS_DAYS * 86_400, path=SIGN_IN, httponly=True, samesite="Strict",
            secure=is_https(request),
        )  # fmt: skip


async def show(request: web.Request) -> web.StreamResponse:
    """Return the person who is signed in."""
    return answer(_shown(request, signed_in(request)))


async def sign_out(request: web.Request) -> web.StreamResponse:
    """Sign out: the sign-in ends, and all views under it."""
    services = context(request)
    ending = signed_in(request).sign_in
    services.viewing.end_where(PeerCloseReason.SIGNED_OUT, sign_in=ending)
    services.live.sign_out("signed out", sign_in=ending)
    await services.sign_ins.sign_out(request.cookies[COOKIE])
    response = web.Response(status=204)
    response.del_cookie(COOKIE, path="/")
    return response


async def change_password(request: web.Request) -> web.StreamResponse:
    """Change the caller's own password; every other sign-in of the person ends."""
    body = await read_body(request, schemas.PasswordChange)
    await context(request).sign_ins.change_password(request.cookies[COOKIE], body.old, body.new)
    response = web.Response(status=204)
    await _remember_browser(request, response, signed_in(request))
    return response


ROUTES = (
    Route("POST", "/api/session", Access.ANYONE, sign_in, "Sign in", schemas.SignIn, schemas.Session),
    Route("GET", "/api/session", Access.SIGNED_IN, show, "Who is signed in", None, schemas.Session),
    Route("DELETE", "/api/session", Access.SIGNED_IN, sign_out, "Sign out", status=204),
    Route(
        "POST", "/api/session/password", Access.SIGNED_IN, change_password, "Change one's own password", schemas.PasswordChange,
        status=204,
    ),
)  # fmt: skip
