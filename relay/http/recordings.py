"""`/api/recordings` and `/api/views`: the catalogue, and playback inside a journalled view.

Owns: the JSON and the HLS URLs.  Must never know: keys, the vault.
"""

from aiohttp import hdrs, web

from relay.archive.recordings import Detail
from relay.base.clock import SECOND_NS, rfc3339
from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.http import schemas
from relay.http.bodies import answer, number, read_body
from relay.http.context import Access, Route, context, signed_in
from relay.policy.texts import trimmed_text
from relay.store.catalogue import Recording, RecordingFilter

PAGE = 100


def _fields(row: Recording) -> dict[str, object]:
    return {
        "recording": row.recording,
        "camera": row.camera,
        "camera_label": row.camera_label,
        "regime": row.regime,
        "original": row.original,
        "bearer": row.bearer,
        "intervention": row.intervention,
        "trigger": row.trigger,
        "threat": row.threat,
        "previous": row.previous,
        "started_at": rfc3339(row.started_ns),
        "ended_at": rfc3339(row.ended_ns) if row.ended_ns is not None else None,
        "expires_on": row.expires_on,
        "state": row.state,
        "reason": row.reason,
        "recovered": row.recovered,
        "links": row.links,
        "gaps": row.gaps,
        "duration_s": row.duration_ns / SECOND_NS,
        "stored_bytes": row.stored_bytes,
    }


def _detail(found: Detail) -> schemas.RecordingDetail:
    segments = [
        schemas.SegmentOut(
            segment=item.segment, start_at=rfc3339(item.start_ns), end_at=rfc3339(item.end_ns), stored_bytes=item.stored_bytes
        )
        for item in found.segments
    ]
    gaps = [
        schemas.GapOut(start_at=rfc3339(start), seconds=length / SECOND_NS, cause=cause) for start, length, cause in found.gaps
    ]
    return schemas.RecordingDetail.model_validate(
        {**_fields(found.recording), "segments": segments, "gap_list": gaps, "held": found.held}
    )


async def list_recordings(request: web.Request) -> web.StreamResponse:
    """List recordings, newest first; filters are metadata only (REC-10)."""
    query = request.query
    known = {"camera", "intervention", "state", "before", "limit", "from_ns", "to_ns"}
    if query.keys() - known:
        unknown = trimmed_text(", ".join(sorted(query.keys() - known)), max_bytes=200)
        raise TheirError(Kind.INVALID, f"unknown filter: {unknown}", code=Code.FILTER_UNKNOWN, facts={"field": unknown})
    wanted = RecordingFilter(
        camera=query.get("camera"),
        intervention=query.get("intervention"),
        from_ns=number(request, "from_ns", 0, 0, 1 << 62) if "from_ns" in query else None,
        to_ns=number(request, "to_ns", 0, 0, 1 << 62) if "to_ns" in query else None,
        state=query.get("state"),
        before=query.get("before"),
        limit=number(request, "limit", PAGE, 1, 500),
    )
    rows = await context(request).recordings.list(signed_in(request).person, wanted)
    more = rows[-1].recording if len(rows) >= wanted.limit else None
    shown = [schemas.RecordingOut.model_validate(_fields(row)) for row in rows]
    return answer(schemas.RecordingList(recordings=shown, next=more))


async def show(request: web.Request) -> web.StreamResponse:
    """Return one recording with its segments and gaps."""
    found = await context(request).recordings.get(signed_in(request).person, request.match_info["recording"])
    return answer(_detail(found))


async def open_view(request: web.Request) -> web.StreamResponse:
    """Begin a playback; it is journalled before any byte is decrypted."""
    body = await read_body(request, schemas.ViewOpen)
    playbacks = context(request).playbacks
    person = signed_in(request).person
    view = await playbacks.open(person, request.match_info["recording"], body.motive, body.intervention)
    return answer(schemas.ViewOpened(view=view.view, playlist=f"/api/views/{view.view}/index.m3u8"), 201)


async def close_view(request: web.Request) -> web.StreamResponse:
    """End a playback."""
    await context(request).playbacks.close(signed_in(request).person, request.match_info["view"])
    return web.Response(status=204)


async def playlist(request: web.Request) -> web.StreamResponse:
    """Return the HLS playlist of the caller's playback."""
    text = context(request).playbacks.playlist(signed_in(request).person, request.match_info["view"])
    return web.Response(text=text, content_type="application/vnd.apple.mpegurl", headers={hdrs.CACHE_CONTROL: "no-store"})


async def init_segment(request: web.Request) -> web.StreamResponse:
    """Return the init segment of a piece."""
    services = context(request)
    piece = int(request.match_info["piece"])
    data = await services.playbacks.init(signed_in(request).person, request.match_info["view"], piece)
    return web.Response(body=data, content_type="video/mp4", headers={hdrs.CACHE_CONTROL: "no-store"})


async def media(request: web.Request) -> web.StreamResponse:
    """Stream the fragments of a piece, decrypted one by one."""
    services = context(request)
    piece = int(request.match_info["piece"])
    fragments = await services.playbacks.media(signed_in(request).person, request.match_info["view"], piece)
    response = web.StreamResponse(headers={hdrs.CACHE_CONTROL: "no-store", hdrs.CONTENT_TYPE: "video/iso.segment"})
    with services.downloads.taken(signed_in(request)):
        await response.prepare(request)
        if request.method != "HEAD":
            async for fragment in fragments:
                await response.write(fragment)
        await response.write_eof()
    return response


_ONE = "/api/recordings/{recording}"
_VIEW = "/api/views/{view}"
ROUTES = (
    Route("GET", "/api/recordings", Access.SIGNED_IN, list_recordings, "Recordings", None, schemas.RecordingList),
    Route("GET", _ONE, Access.SIGNED_IN, show, "One recording", None, schemas.RecordingDetail),
    Route("POST", _ONE + "/views", Access.SIGNED_IN, open_view, "Begin a playback", schemas.ViewOpen, schemas.ViewOpened, 201),
    Route("DELETE", _VIEW, Access.SIGNED_IN, close_view, "End a playback", status=204),
    Route("GET", _VIEW + "/index.m3u8", Access.SIGNED_IN, playlist, "HLS playlist of a playback"),
    Route("GET", _VIEW + r"/{piece:\d{1,6}}.init.mp4", Access.SIGNED_IN, init_segment, "Init segment of a piece"),
    Route("GET", _VIEW + r"/{piece:\d{1,6}}.m4s", Access.SIGNED_IN, media, "Fragments of a piece"),
)
