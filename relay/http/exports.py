"""`/api/exports` and verdicts: extraction of an interval, and the verdict of `relay verify`.

Owns: the JSON of extractions and verdicts.  Must never know: archives, chains.
"""

import contextlib

from aiohttp import hdrs, web

from relay.archive.exports import Delivery, ExportRequest
from relay.base.clock import rfc3339
from relay.http import schemas
from relay.http.bodies import answer, plain, read_body
from relay.http.context import Access, Route, context, signed_in
from relay.store.catalogue import Export


def _shown(export: Export) -> schemas.ExportOut:
    return schemas.ExportOut(
        export=export.export,
        recording=export.recording,
        state=export.state,
        progress=export.progress,
        detail=export.detail,
        sha256=export.sha256,
        requested_at=rfc3339(export.requested_ns),
        file=f"/api/exports/{export.export}/file",
    )


async def verdict(request: web.Request) -> web.StreamResponse:
    """Verify a recording now."""
    found = await context(request).verification.verify(signed_in(request).person, request.match_info["recording"])
    return plain(found)


async def ask(request: web.Request) -> web.StreamResponse:
    """Register an extraction: requesting agent, service and legal basis."""
    body = await read_body(request, schemas.ExportAsk)
    wanted = ExportRequest(
        from_ns=body.from_ns,
        to_ns=body.to_ns,
        motive=body.motive,
        legal_basis=body.legal_basis,
        requesting_agent=body.requesting_agent,
        requesting_service=body.requesting_service,
        procedure_no=body.procedure_no,
    )
    made = await context(request).exports.request(signed_in(request).person, request.match_info["recording"], wanted)
    return answer(_shown(made), 201)


async def show(request: web.Request) -> web.StreamResponse:
    """Return the state of an extraction."""
    return answer(_shown(await context(request).exports.get(signed_in(request).person, request.match_info["export"])))


async def file(request: web.Request) -> web.StreamResponse:
    """Stream the archive; no part of it is written to the relay's disk."""
    export, services, found = request.match_info["export"], context(request), signed_in(request)
    if request.method == "HEAD":
        # Only GET hands over: it is entered, counted, and done once.
        await services.exports.get(found.person, export)
        return _archive(export)
    with services.downloads.taken(found):
        async with contextlib.aclosing(await services.exports.deliver(found.person, export)) as chunks:
            return await _send(request, export, chunks)


def _archive(export: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={hdrs.CACHE_CONTROL: "no-store", hdrs.CONTENT_TYPE: "application/zip"})
    response.headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="export-{export}.zip"'
    return response


async def _send(request: web.Request, export: str, chunks: Delivery) -> web.StreamResponse:
    response = _archive(export)
    await response.prepare(request)
    async for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    return response


_ONE = "/api/recordings/{recording}"
ROUTES = (
    Route("POST", _ONE + "/verify", Access.SIGNED_IN, verdict, "The verdict on a recording, as `relay verify --json` gives it"),
    Route("POST", _ONE + "/exports", Access.SIGNED_IN, ask, "Extract an interval", schemas.ExportAsk, schemas.ExportOut, 201),
    Route("GET", "/api/exports/{export}", Access.SIGNED_IN, show, "State of an extraction", None, schemas.ExportOut),
    Route("GET", "/api/exports/{export}/file", Access.SIGNED_IN, file, "The archive (zip)"),
)
