"""`/whep/{camera}`: a standard client watches one camera (draft-ietf-wish-whep); a viewer session of one slot.

Owns: status codes and headers of this endpoint.  Must never know: workers, the journal.
"""

from aiohttp import web

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.channel.messages import Patched
from relay.http.bodies import SDP, created, read_text
from relay.http.connections import recognise
from relay.http.context import Access, Route, bearer, context, signed_in
from relay.http.endpoints import options, patched
from relay.http.reached import media_hosts
from relay.viewing.sessions import Viewer


async def _viewer(request: web.Request) -> tuple[Viewer, str | None]:
    """Return viewer and intervention: from the view token, or from cookie and query."""
    wanted = request.query.get("intervention")
    token = bearer(request)
    if token is None:
        found = signed_in(request)
        return Viewer(found.person, found.sign_in, found.expires_ns), wanted
    grant = await context(request).view_tokens.redeem(token, request.match_info["camera"])
    recognise(request, grant.person.user)
    if wanted is not None and wanted != grant.intervention:
        raise TheirError(Kind.FORBIDDEN, "this view token is for another intervention", code=Code.VIEW_TOKEN_OF_OTHER)
    return Viewer(grant.person, grant.sign_in, grant.expires_ns), grant.intervention


async def watch(request: web.Request) -> web.StreamResponse:
    """Accept an offer: 201; 422 without an intervention; 404 when the camera is not live."""
    viewer, intervention = await _viewer(request)
    offer = await read_text(request, SDP)
    services = context(request)
    camera = request.match_info["camera"]
    opened = await services.viewing.open_single(viewer, camera, intervention, offer, media_hosts(request))
    location = f"/whep/{camera}/{opened.secret}"
    return created(opened.answer.sdp, location, opened.answer.etag, services.options.ice_servers)


async def patch(request: web.Request) -> web.StreamResponse:
    """Trickle or restart ICE."""

    async def send(fragment: str, if_match: str | None) -> Patched:
        secret = request.match_info["secret"]
        return await context(request).viewing.patch(secret, fragment, if_match, media_hosts(request))

    return await patched(request, send)


async def delete(request: web.Request) -> web.StreamResponse:
    """Stop watching."""
    await context(request).viewing.close(request.match_info["secret"])
    return web.Response(status=200)


ROUTES = (
    Route("POST", "/whep/{camera}", Access.VIEWER, watch, "Watch one camera (WHEP offer in, answer out)", status=201),
    Route("OPTIONS", "/whep/{camera}", Access.ANYONE, options, "Accepted content type; CORS preflight", status=204),
    Route("PATCH", "/whep/{camera}/{secret}", Access.SECRET, patch, "Trickle or restart ICE", status=204),
    Route("DELETE", "/whep/{camera}/{secret}", Access.SECRET, delete, "Stop watching"),
    Route("OPTIONS", "/whep/{camera}/{secret}", Access.ANYONE, options, "CORS preflight", status=204),
)
