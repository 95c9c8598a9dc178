"""`/api/check`: compare vault, catalogue, keys and journal, and repair safe disagreements.

Owns: the JSON of comparison and repair.  Must never know: how they work.
"""

from collections.abc import Iterable

from aiohttp import web

from relay.archive.check import Disagreement
from relay.http import schemas
from relay.http.bodies import answer
from relay.http.context import Access, Route, context, signed_in
from relay.policy.roles import Action


def _out(found: Iterable[Disagreement]) -> list[schemas.DisagreementOut]:
    return [
        schemas.DisagreementOut(kind=item.kind, object_id=item.object_id, detail=item.detail, safe=item.safe) for item in found
    ]


async def check(request: web.Request) -> web.StreamResponse:
    """Compare everything now; no media byte is read."""
    services = context(request)
    await services.authorizer.require(signed_in(request).person, Action.READ_METRICS, object_type="check")
    found = await services.check.run()
    return answer(schemas.CheckOut(disagreements=_out(found), cages=list(services.cages.incomplete)))


async def progress(request: web.Request) -> web.StreamResponse:
    """Return the progress of the running comparison."""
    services = context(request)
    await services.authorizer.require(signed_in(request).person, Action.READ_METRICS, object_type="check")
    what, done, total = services.check.under_way or ("", 0, 0)
    return answer(schemas.CheckProgressOut(what=what, done=done, total=total))


async def repair(request: web.Request) -> web.StreamResponse:
    """Repair the safe disagreements, each with a journal entry; never media."""
    services = context(request)
    found = await services.repair.run(signed_in(request).person)
    left = _out(found.left)
    return answer(schemas.RepairOut(mended=_out(found.mended), disagreements=left, cages=list(services.cages.incomplete)))


ROUTES = (
    Route("POST", "/api/check", Access.SIGNED_IN, check, "Compare vault, catalogue, keys and journal", None, schemas.CheckOut),
    Route("GET", "/api/check", Access.SIGNED_IN, progress, "Progress of the comparison", None, schemas.CheckProgressOut),
    Route(
        "POST",
        "/api/check/repair",
        Access.SIGNED_IN,
        repair,
        "Compare, then repair safe disagreements",
        None,
        schemas.RepairOut,
    ),
)
