"""`/api/holds`: recordings kept past their term for a procedure (RET-02).

Owns: the JSON of holds.  Must never know: terms, keys.
"""

from aiohttp import web

from relay.archive.holds import HeldRecording, HoldRequest
from relay.base.clock import rfc3339
from relay.http import schemas
from relay.http.bodies import answer, read_body
from relay.http.context import Access, Route, context, signed_in


def _shown(held: HeldRecording) -> schemas.HoldOut:
    hold, row = held.hold, held.recording
    return schemas.HoldOut(
        hold=hold.hold,
        recording=hold.recording,
        camera_label=row.camera_label,
        started_at=rfc3339(row.started_ns),
        expires_on=row.expires_on,
        procedure_type=hold.procedure_type,
        procedure_no=hold.procedure_no,
        authority=hold.authority,
        requested_by=hold.requested_by,
        opened_by=hold.opened_by,
        opened_at=rfc3339(hold.opened_ns),
        review_on=hold.review_on,
        overdue=held.overdue,
        lifted_by=hold.released_by,
        lifted_at=rfc3339(hold.released_ns) if hold.released_ns is not None else None,
    )


async def open_hold(request: web.Request) -> web.StreamResponse:
    """Keep a recording past its term for a procedure."""
    body = await read_body(request, schemas.HoldOpen)
    asked = HoldRequest(body.procedure_type, body.procedure_no, body.authority, body.requested_by)
    made = await context(request).holds.open(signed_in(request).person, request.match_info["recording"], asked)
    return answer(_shown(made), 201)


async def of_recording(request: web.Request) -> web.StreamResponse:
    """List the holds of a recording, including lifted ones."""
    found = await context(request).holds.of_recording(signed_in(request).person, request.match_info["recording"])
    shown = [_shown(held) for held in found.holds]
    return answer(schemas.RecordingHolds(holds=shown, procedures=list(found.procedures), lost=found.lost))


async def list_holds(request: web.Request) -> web.StreamResponse:
    """List open holds, the next review first."""
    found = await context(request).holds.list_open(signed_in(request).person)
    return answer(schemas.HoldList(holds=[_shown(held) for held in found]))


async def review(request: web.Request) -> web.StreamResponse:
    """Review a hold: record why it is still needed."""
    body = await read_body(request, schemas.Motive)
    return answer(_shown(await context(request).holds.review(signed_in(request).person, _hold(request), body.motive)))


async def lift(request: web.Request) -> web.StreamResponse:
    """End a hold."""
    body = await read_body(request, schemas.Motive)
    return answer(_shown(await context(request).holds.lift(signed_in(request).person, _hold(request), body.motive)))


def _hold(request: web.Request) -> str:
    return request.match_info["hold"]


_OF = "/api/recordings/{recording}/holds"
_ONE = "/api/holds/{hold}"
ROUTES = (
    Route("GET", "/api/holds", Access.SIGNED_IN, list_holds, "Open holds, the next review first", None, schemas.HoldList),
    Route("GET", _OF, Access.SIGNED_IN, of_recording, "Holds of a recording", None, schemas.RecordingHolds),
    Route("POST", _OF, Access.SIGNED_IN, open_hold, "Open a hold (RET-02)", schemas.HoldOpen, schemas.HoldOut, 201),
    Route("POST", _ONE + "/review", Access.SIGNED_IN, review, "A hold is still needed", schemas.Motive, schemas.HoldOut),
    Route("POST", _ONE + "/lift", Access.SIGNED_IN, lift, "Lift a hold", schemas.Motive, schemas.HoldOut),
)
