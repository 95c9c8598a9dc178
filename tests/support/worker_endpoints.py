"""Endpoints of a few lines in front of a worker line, so that Chromium can publish to it and watch it."""

import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from relay.channel import messages as m
from tests.support.worker_line import Line


@contextlib.asynccontextmanager
async def endpoints(line: Line) -> AsyncIterator[str]:
    """Serve `POST /whip/{camera}` and `POST /whep/{session}` on a free port; yields the origin."""

    async def whip(request: web.Request) -> web.Response:
        answer = await line.publish(request.match_info["name"], await request.text())
        return web.Response(status=201, text=answer.sdp, content_type="application/sdp")

    async def whep(request: web.Request) -> web.Response:
        answer = await line.ask(m.ViewerOpen(request.match_info["name"], await request.text()))
        return web.Response(status=201, text=answer.sdp, content_type="application/sdp")

    app = web.Application()
    app.router.add_post("/whip/{name}", whip)
    app.router.add_post("/whep/{name}", whep)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
