"""`/whip/{camera}`: cameras publish here (RFC 9725).

Owns: status codes and headers of this endpoint.  Must never know: workers, recordings.
"""

from aiohttp import web

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.channel.messages import Patched
from relay.http.bodies import SDP, created, read_text
from relay.http.context import Access, Route, bearer, context, remember_camera
from relay.http.endpoints import options, patched
from relay.http.reached import media_hosts
from relay.store.accounts import Camera


async def _camera(request: web.Request) -> Camera:
    """Return the camera that publishes; a token at any other name gets one answer, whether or not that name is enrolled."""
    token = bearer(request)
    if token is None:
        raise TheirError(Kind.UNAUTHENTICATED, "a camera token is required", code=Code.TOKEN_REQUIRED)
    camera = await context(request).enrolment.recognise(token, request.match_info["camera"])
    remember_camera(request, camera.camera, token)
    return camera


async def publish(request: web.Request) -> web.StreamResponse:
    """Accept an offer: 201; 409 while this camera is live; 406 where no track can be accepted."""
    camera = await _camera(request)
    offer = await read_text(request, SDP)
    services = context(request)
    opened = await services.streams.publish(camera, offer, media_hosts(request))
    location = f"/whip/{camera.camera}/{opened.secret}"
    return created(opened.answer.sdp, location, opened.answer.etag, services.options.ice_servers)


async def patch(request: web.Request) -> web.StreamResponse:
    """Trickle or restart ICE."""
    camera = await _camera(request)

    async def send(fragment: str, if_match: str | None) -> Patched:
        secret = request.match_info["secret"]
        return await context(request).streams.patch(camera.camera, secret, fragment, if_match, media_hosts(request))

    return await patched(request, send)


async def delete(request: web.Request) -> web.StreamResponse:
    """End the publish session; its recording is closed."""
    camera = await _camera(request)
    await context(request).streams.close(camera.camera, request.match_info["secret"])
    return web.Response(status=200)


ROUTES = (
    Route("POST", "/whip/{camera}", Access.CAMERA, publish, "Publish (WHIP offer in, answer out)", status=201),
    Route("OPTIONS", "/whip/{camera}", Access.ANYONE, options, "Accepted content type; CORS preflight", status=204),
    Route("PATCH", "/whip/{camera}/{secret}", Access.CAMERA, patch, "Trickle or restart ICE", status=204),
    Route("DELETE", "/whip/{camera}/{secret}", Access.CAMERA, delete, "End the publication"),
    Route("OPTIONS", "/whip/{camera}/{secret}", Access.ANYONE, options, "CORS preflight", status=204),
)
