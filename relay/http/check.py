"""`/api/check`: do vault, catalogue, keys and journal say the same?

What this file owns: the JSON of the comparison.  What it must never know: how it is made.
"""

from aiohttp import web

from relay.http import schemas
from relay.http.bodies import answer
from relay.http.context import Access, Route, context, signed_in
from relay.policy.roles import Action


async def check(request: web.Request) -> web.StreamResponse:
    """Compare everything now; no media byte is read."""
    services = context(request)
    await services.guard.require(signed_in(request).person, Action.READ_METRICS, object_type="check")
    found = [
        schemas.DisagreementOut(kind=item.kind, object_id=item.object_id, detail=item.detail, safe=item.safe)
        for item in await services.check.run()
    ]
    return answer(schemas.CheckOut(disagreements=found))


ROUTES = (
    Route("POST", "/api/check", Access.SIGNED_IN, check, "Compare vault, catalogue, keys and journal", None, schemas.CheckOut),
)
