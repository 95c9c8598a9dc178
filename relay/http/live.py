"""`/live` and `/live/camera`: the two WebSockets (relay/protocol/LIVE.md).

Owns: which service acts on which message, and the answers to pages.  Must never know: what a view or a
request costs.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType, web

from relay.base.codes import Code
from relay.base.counters import declare
from relay.base.errors import Kind, OurError, RelayError, TheirError
from relay.http.connections import recognise
from relay.http.context import Access, Context, Route, bearer, context, signed_in
from relay.http.hub import Page
from relay.http.outbox import Outbox
from relay.people.sign_ins import SignedIn
from relay.policy.roles import Action
from relay.protocol import page as messages
from relay.protocol import wire
from relay.viewing.sessions import SendToPage, Viewer

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0
"""A WebSocket ping is sent this often; a peer that does not answer one in half that time is disconnected."""

declare(
    live_malformed="messages over live sockets that could not be read",
    live_failures="messages over live sockets that were right and were not carried out because of an error of ours",
)


async def page_socket(request: web.Request) -> web.StreamResponse:
    """Serve a page's live socket."""
    services = context(request)
    found = signed_in(request)
    await services.authorizer.require(found.person, Action.LIST_INTERVENTIONS, object_type="live")
    with services.live_sockets.taken(found):
        return await _serve_page(request, services, found)


async def _serve_page(request: web.Request, services: Context, found: SignedIn) -> web.StreamResponse:
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=wire.MAX_BYTES)
    await socket.prepare(request)
    batches = request.query.get("states") == "batch"
    page = Page(found, Outbox(socket, services.options.live_queue, services.counters, batches=batches))
    sending = asyncio.create_task(page.outbox.run(), name="live socket")
    workers = tuple(process.index for process in services.processes.workers)
    person = found.person
    page.send(messages.Hello(wire.VERSION, workers, person.user, person.role.value, services.clock.utc_ns()))
    handler = _PageMessages(services, page)
    services.live.add(page)
    try:
        await _read(socket, services, page.outbox, handler.take)
    finally:
        services.live.remove(page)
        services.viewing.forget_page(handler.send)
        await _finish(sending)
    return socket


class _PageMessages:
    """The messages of one page; `send` queues one for it."""

    def __init__(self, services: Context, page: Page) -> None:
        self._services = services
        self._page = page
        self.send: SendToPage = page.send

    async def take(self, data: bytes) -> None:
        """Act on one message; raises TheirError where it cannot be read.  A refusal is sent to the page, not raised."""
        if not self._services.live.is_connected(self._page):
            return
        message = messages.read(data)
        try:
            await self._act(message)
        except RelayError as error:
            self._refuse(message, error)

    async def _act(self, message: messages.FromPage) -> None:
        person, viewing = self._page.person, self._services.viewing
        match message:
            case messages.Assign():
                await self._assign(message)
            case messages.SetLayer():
                viewing.layer(person, message.wall, message.slot, message.layer)
            case messages.Listen():
                await viewing.listen(person, message.wall, message.slot)
            case messages.AskTime():
                self.send(messages.ServerTime(self._services.clock.utc_ns(), message.echo))

    def _refuse(self, message: messages.FromPage, error: RelayError) -> None:
        self.send(
            messages.Refused(
                slot=getattr(message, "slot", None),
                worker=getattr(message, "worker", None),
                camera=getattr(message, "camera", None),
                kind=error.kind,
                code=error.code,
                detail=error.detail,
                facts=error.facts,
            )
        )

    async def _assign(self, message: messages.Assign) -> None:
        page, viewing, slot = self._page, self._services.viewing, message.slot
        viewing.claim(Viewer(page.person, page.sign_in, page.expires_ns), message.wall)
        watching = await viewing.assign(
            page.person, message.wall, slot, message.camera, message.intervention, message.layer, self.send
        )
        view = watching.view if watching is not None else None
        self.send(messages.Assigned(slot, message.worker, message.camera, view))


async def camera_socket(request: web.Request) -> web.StreamResponse:
    """Serve a camera's live socket; its token says which camera it is."""
    services = context(request)
    token = bearer(request)
    if token is None:
        raise TheirError(Kind.UNAUTHENTICATED, "a camera token is required", code=Code.TOKEN_REQUIRED)
    camera = await services.enrolment.camera_of(token)
    recognise(request, f"camera:{camera.camera}")
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=wire.MAX_BYTES)
    await socket.prepare(request)
    outbox = Outbox(socket, services.options.live_queue, services.counters)
    sending = asyncio.create_task(outbox.run(), name="camera socket")
    send = outbox.send

    async def take(data: bytes) -> None:
        services.camera_sockets.receive(camera.camera, data)

    services.camera_sockets.connect(camera, send, outbox.close)
    try:
        await _read(socket, services, outbox, take)
    finally:
        services.camera_sockets.disconnect(camera.camera, send)
        await _finish(sending)
    return socket


async def _read(
    socket: web.WebSocketResponse, services: Context, outbox: Outbox, take: Callable[[bytes], Awaitable[None]]
) -> None:
    async for message in socket:
        await outbox.room()
        if message.type is not WSMsgType.BINARY:
            services.counters.count("live_malformed")
            continue
        try:
            await take(message.data)
        except TheirError:
            # One bad message must not cost the connection over which views and alarms come.
            services.counters.count("live_malformed")
        except Exception as error:
            services.counters.count("live_failures")
            detail = error.detail if isinstance(error, OurError) else repr(error)
            logger.error(
                "a message of a live socket was not carried out",
                extra={"detail": detail},
                exc_info=not isinstance(error, OurError),
            )


async def _finish(sending: asyncio.Task[None]) -> None:
    sending.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sending


ROUTES = (
    Route("GET", "/live", Access.SIGNED_IN, page_socket, "Live socket of a page (WebSocket, msgpack)", status=101),
    Route("GET", "/live/camera", Access.CAMERA, camera_socket, "Live socket of a camera (WebSocket, msgpack)", status=101),
)
