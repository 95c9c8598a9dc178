"""`/api/cameras`: live states, and enrolments for administrators; requests to stream; tokens for WHEP clients.

Owns: the JSON of cameras.  Must never know: SDP, positions.
"""

from typing import Any

from aiohttp import web
from msgspec.structs import asdict

from relay.base.clock import rfc3339
from relay.http import schemas
from relay.http.bodies import answer, read_body
from relay.http.context import Access, Route, context, signed_in
from relay.policy.roles import Action, Role
from relay.store.accounts import Camera


def enrolment(camera: Camera) -> schemas.CameraEnrolment:
    """Return a camera as an administrator sees it."""
    return schemas.CameraEnrolment(
        camera=camera.camera,
        label=camera.label,
        regime=camera.regime,
        service=camera.service,
        commune=camera.commune,
        original=camera.original,
        live_audio=camera.live_audio,
        enrolled_at=rfc3339(camera.enrolled_ns),
        revoked_at=rfc3339(camera.revoked_ns) if camera.revoked_ns is not None else None,
    )


async def list_cameras(request: web.Request) -> web.StreamResponse:
    """List cameras: live states for those who watch, enrolments for administrators."""
    services = context(request)
    person = signed_in(request).person
    cameras = await services.enrolment.list(person)
    shown: list[schemas.CameraState | schemas.CameraEnrolment]
    if person.role in {Role.OPERATOR, Role.COMMANDER}:
        shown = [schemas.CameraState(**asdict(services.camera_states.of(camera))) for camera in cameras]
    else:
        shown = [enrolment(camera) for camera in cameras]
    return answer(schemas.CameraList(cameras=shown))


async def enrol(request: web.Request) -> web.StreamResponse:
    """Enrol a camera; its token is shown once."""
    body = await read_body(request, schemas.CameraEnrol)
    token = await context(request).enrolment.enrol(
        signed_in(request).person,
        body.camera,
        body.label,
        body.regime,
        original=body.original,
        live_audio=body.live_audio,
        commune=body.commune,
    )
    context(request).live.enrolment_changed()
    return answer(schemas.Token(token=token), 201)


async def change(request: web.Request) -> web.StreamResponse:
    """Change the settings of a camera that may change."""
    body = await read_body(request, schemas.CameraChange)
    changes: dict[str, Any] = body.model_dump(exclude_none=True)
    services = context(request)
    found = await services.enrolment.change(signed_in(request).person, request.match_info["camera"], **changes)
    services.live.enrolment_changed()
    await services.streams.changed(found)
    return answer(enrolment(found))


async def revoke(request: web.Request) -> web.StreamResponse:
    """Revoke a camera: its publishing stops within 1 s."""
    services = context(request)
    await services.enrolment.revoke(signed_in(request).person, request.match_info["camera"])
    services.live.enrolment_changed()
    return web.Response(status=204)


async def ask(request: web.Request) -> web.StreamResponse:
    """Ask a camera to stream."""
    body = await read_body(request, schemas.StreamRequest)
    services = context(request)
    camera = await services.enrolment.camera(request.match_info["camera"])
    made = await services.camera_sockets.request(signed_in(request).person, camera, body.intervention, body.threat, body.reason)
    return answer(schemas.StreamRequested(request=made), 202)


async def confirm(request: web.Request) -> web.StreamResponse:
    """Let a transmission go on beyond its time limit."""
    body = await read_body(request, schemas.Confirm)
    services = context(request)
    camera = await services.enrolment.camera(request.match_info["camera"])
    await services.time_limit.confirm(signed_in(request).person, camera, body.motive)
    return web.Response(status=204)


async def view_token(request: web.Request) -> web.StreamResponse:
    """Make a short-lived token with which a standard WHEP client may watch one camera."""
    body = await read_body(request, schemas.ViewTokenAsk)
    services = context(request)
    found = signed_in(request)
    facts = await services.interventions.facts(found.person, body.intervention)
    await services.enrolment.authorized(found.person, Action.REQUEST_STREAM, body.camera, facts)
    made = services.view_tokens.issue(found, body.camera, body.intervention)
    return answer(schemas.ViewTokenOut(token=made.token, expires_at=rfc3339(services.steady.wall_ns(made.expires_ns))), 201)


_ONE = "/api/cameras/{camera}"
ROUTES = (
    Route("GET", "/api/cameras", Access.SIGNED_IN, list_cameras, "Cameras", None, schemas.CameraList),
    Route("POST", "/api/cameras", Access.SIGNED_IN, enrol, "Enrol a camera", schemas.CameraEnrol, schemas.Token, 201),
    Route("PATCH", _ONE, Access.SIGNED_IN, change, "Change a camera", schemas.CameraChange, schemas.CameraEnrolment),
    Route("DELETE", _ONE, Access.SIGNED_IN, revoke, "Revoke a camera", status=204),
    Route(
        "POST", _ONE + "/request", Access.SIGNED_IN, ask, "Stream request", schemas.StreamRequest, schemas.StreamRequested, 202
    ),
    Route("POST", _ONE + "/confirm", Access.SIGNED_IN, confirm, "Let a transmission go on", schemas.Confirm, status=204),
    Route(
        "POST", "/api/view-tokens", Access.SIGNED_IN, view_token, "A token for a standard WHEP client", schemas.ViewTokenAsk,
        schemas.ViewTokenOut, 201,
    ),
)  # fmt: skip
