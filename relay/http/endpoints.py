"""Shared by WHIP, WHEP and the wall: PATCH, OPTIONS and CORS (RFC 9725 §4.3, draft-ietf-wish-whep).

Owns: the answers that do not depend on the owner of a session.  Must never know: cameras, viewers.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import hdrs, web

from relay.channel.messages import Patched
from relay.http.bodies import FRAGMENT, SDP, quoted, read_text
from relay.http.context import context

Patch: TypeAlias = Callable[[str, str | None], Awaitable[Patched]]


async def patched(request: web.Request, patch: Patch) -> web.Response:
    """Answer a PATCH: 204 for a trickle, 200 with the relay's fragment and a new ETag for an ICE restart.

    A trickle with a stale If-Match is still answered 204: its candidates are not needed (the relay is ICE-lite).
    """
    fragment = await read_text(request, FRAGMENT)
    result = await patch(fragment, request.headers.get(hdrs.IF_MATCH))
    if result.fragment is None or result.etag is None:
        return web.Response(status=204)
    response = web.Response(body=result.fragment.encode(), content_type=FRAGMENT)
    response.headers[hdrs.ETAG] = quoted(result.etag)
    return response


async def options(request: web.Request) -> web.StreamResponse:
    """Answer OPTIONS: the accepted content type and methods; to a CORS preflight also the allowed headers."""
    response = web.Response(status=204)
    response.headers["Accept-Post"] = SDP
    response.headers[hdrs.ALLOW] = "OPTIONS, POST, PATCH, DELETE"
    if hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "OPTIONS, POST, PATCH, DELETE"
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = "Authorization, Content-Type, If-Match"
        response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "600"
    return response


@web.middleware
async def cors(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """Let pages of the configured origins use WHIP and WHEP with tokens, never with cookies; they can read refusals as well.

    The outermost middleware: what stands inside it has made an answer of every error.
    """
    response = await handler(request)
    origin = request.headers.get(hdrs.ORIGIN)
    if not request.path.startswith(("/whip/", "/whep/")) or response.prepared:
        return response
    response.headers.add(hdrs.VARY, hdrs.ORIGIN)
    if origin is not None and origin in context(request).options.allowed_origins:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = (
            "Location, ETag, Link, Accept-Patch, Retry-After, WWW-Authenticate"
        )
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response
