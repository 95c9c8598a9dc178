"""`/api/interventions`: open, join, close.

Owns: the JSON of interventions.  Must never know: views, recordings.
"""

from aiohttp import web

from relay.base.clock import rfc3339
from relay.http import schemas
from relay.http.bodies import answer, read_body
from relay.http.context import Access, Route, context, signed_in
from relay.store.catalogue import Intervention


def _shown(row: Intervention, motive: str | None) -> schemas.InterventionOut:
    return schemas.InterventionOut(
        intervention=row.intervention,
        label=row.label,
        opened_by=row.opened_by,
        opened_at=rfc3339(row.opened_ns),
        motive=motive,
    )


async def list_open(request: web.Request) -> web.StreamResponse:
    """List open interventions."""
    found = await context(request).interventions.list_open(signed_in(request).person)
    return answer(schemas.InterventionList(interventions=[_shown(item.intervention, item.motive) for item in found]))


async def open_one(request: web.Request) -> web.StreamResponse:
    """Open an intervention; the caller has joined it."""
    body = await read_body(request, schemas.InterventionOpen)
    made = await context(request).interventions.open(signed_in(request).person, body.label, body.motive)
    return answer(_shown(made, body.motive), 201)


async def join(request: web.Request) -> web.StreamResponse:
    """Join an intervention with a motive."""
    body = await read_body(request, schemas.Motive)
    services = context(request)
    found = await services.interventions.join(signed_in(request).person, request.match_info["intervention"], body.motive)
    return answer(_shown(found.intervention, found.motive))


async def close(request: web.Request) -> web.StreamResponse:
    """Close an intervention: its transmissions and views end."""
    await context(request).interventions.close(signed_in(request).person, request.match_info["intervention"])
    return web.Response(status=204)


_ONE = "/api/interventions/{intervention}"
ROUTES = (
    Route("GET", "/api/interventions", Access.SIGNED_IN, list_open, "Open interventions", None, schemas.InterventionList),
    Route(
        "POST", "/api/interventions", Access.SIGNED_IN, open_one, "Open an intervention", schemas.InterventionOpen,
        schemas.InterventionOut, 201,
    ),
    Route("POST", _ONE + "/join", Access.SIGNED_IN, join, "Join with a motive", schemas.Motive, schemas.InterventionOut),
    Route("POST", _ONE + "/close", Access.SIGNED_IN, close, "Close an intervention", status=204),
)  # fmt: skip
