"""`/wall`: one connection per worker with a pool of slots; a slot's camera is assigned over `/live`.

Owns: status codes and headers of this endpoint.  Must never know: which camera is shown.
"""

from aiohttp import web

from relay.channel.messages import Patched
from relay.http.bodies import SDP, created, number, read_text
from relay.http.context import Access, Route, context, signed_in
from relay.http.endpoints import options, patched
from relay.http.reached import media_hosts
from relay.policy.roles import Action
from relay.viewing.sessions import Viewer


async def open_wall(request: web.Request) -> web.StreamResponse:
    """Accept an offer of slots; nothing is shown before a slot is assigned."""
    services = context(request)
    found = signed_in(request)
    await services.authorizer.require(found.person, Action.LIST_INTERVENTIONS, object_type="wall")
    worker = number(request, "worker", 0, 0, 63)
    offer = await read_text(request, SDP)
    viewer = Viewer(found.person, found.sign_in, found.expires_ns)
    opened = await services.viewing.open_session(viewer, worker, offer, hosts=media_hosts(request))
    return created(opened.answer.sdp, f"/wall/{opened.secret}", opened.answer.etag, services.options.ice_servers)


async def patch(request: web.Request) -> web.StreamResponse:
    """Trickle or restart ICE."""
    services = context(request)
    secret, found = request.match_info["secret"], signed_in(request)
    services.viewing.claim(Viewer(found.person, found.sign_in, found.expires_ns), secret)

    async def send(fragment: str, if_match: str | None) -> Patched:
        return await services.viewing.patch(secret, fragment, if_match, media_hosts(request))

    return await patched(request, send)


async def delete(request: web.Request) -> web.StreamResponse:
    """Close the wall; its views end."""
    services = context(request)
    secret = request.match_info["secret"]
    await services.viewing.close(secret, user=signed_in(request).person.user)
    return web.Response(status=200)


ROUTES = (
    Route("POST", "/wall", Access.SIGNED_IN, open_wall, "Open a pool of slots on one worker (SDP in, SDP out)", status=201),
    Route("OPTIONS", "/wall", Access.ANYONE, options, "Accepted content type", status=204),
    Route("PATCH", "/wall/{secret}", Access.SIGNED_IN, patch, "Trickle or restart ICE", status=204),
    Route("DELETE", "/wall/{secret}", Access.SIGNED_IN, delete, "Close the wall"),
)
