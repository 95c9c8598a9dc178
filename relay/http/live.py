"""`/live` and `/live/camera`: the two WebSockets (relay/protocol/LIVE.md).

Owns: which service acts on which message, and the answers to pages.  Must never know: what a view or a
request costs.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from aiohttp import WSCloseCode, WSMsgType, web

from relay.base.codes import Code
from relay.base.counters import declare
from relay.base.errors import Kind, RelayError, TheirError
from relay.http.context import Access, Context, Route, bearer, context, remember_camera, signed_in
from relay.http.hub import Page
from relay.http.outbox import Outbox
from relay.people.sign_ins import SignedIn
from relay.policy.roles import Action
from relay.protocol import page as messages
from relay.protocol import wire
from relay.viewing.sessions import SendToPage, Viewer

HEARTBEAT_SECONDS = 10.0
"""A WebSocket ping is sent this often; a peer that does not answer one in half that time is disconnected."""
CLOSE_SECONDS = 2.0
"""How long the end of a socket waits for its peer."""
MESSAGES_PER_TURN = 8
"""Messages of one socket that are acted on before everything else in this process has a turn."""
FLOODED = "too many messages"

declare(
    live_malformed="messages over live sockets that could not be read",
    live_failures="messages over live sockets that were right and were not carried out because of an error of ours",
    live_slowed="times that the relay waited before it acted on a page's message, because the person's pages send too many",
    live_floods="live sockets closed because too many messages came over them",
)


async def page_socket(request: web.Request) -> web.StreamResponse:
    """Serve a page's live socket."""
    services = context(request)
    found = signed_in(request)
    await services.authorizer.require(found.person, Action.LIST_INTERVENTIONS, object_type="live")
    with services.live_sockets.taken(found):
        return await _serve_page(request, services, found)


async def _serve_page(request: web.Request, services: Context, found: SignedIn) -> web.StreamResponse:
    socket = await _accepted(request)
    batches = request.query.get("states") == "batch"
    page = Page(found, Outbox(socket, services.options.live_queue, services.counters, batches=batches))
    sending = asyncio.create_task(page.outbox.run(), name="live socket")
    workers = tuple(process.index for process in services.processes.workers)
    person = found.person
    page.send(messages.Hello(wire.VERSION, workers, person.user, person.role.value, services.clock.utc_ns()))
    handler = _PageMessages(services, page)
    services.live.add(page)
    try:
        if await _read(socket, services, page.outbox, handler.take):
            page.outbox.farewell(messages.Bye(FLOODED), WSCloseCode.POLICY_VIOLATION)
    finally:
        services.live.remove(page)
        services.viewing.forget_page(handler.send)
        await _finish(sending, page.outbox)
    return socket


class _PageMessages:
    """The messages of one page; `send` queues one for it."""

    def __init__(self, services: Context, page: Page) -> None:
        self._services = services
        self._page = page
        self._pace = services.live.pace_of(page.person.user)
        self.send: SendToPage = page.send

    async def take(self, data: bytes) -> None:
        """Act on one message.  A refusal is sent to the page, not raised.

        Raises TheirError: INVALID where the message cannot be read, TOO_MANY where the socket is to be closed.
        """
        if not self._services.live.is_connected(self._page):
            return
        try:
            message = messages.read(data)
        except TheirError:
            await self._wait(None)
            raise
        await self._wait(type(message))
        try:
            await self._act(message)
        except RelayError as error:
            self.send(_refused(message, error))

    async def _wait(self, kind: type | None) -> None:
        """Wait until the person's pages may send another message of this kind."""
        monotonic = self._services.clock.monotonic
        while (seconds := self._pace.take(kind, monotonic())) > 0:
            self._services.counters.count("live_slowed")
            if not self._pace.may_wait(seconds, monotonic()):
                error = TheirError(Kind.TOO_MANY, "this page sends too many messages", code=Code.TOO_MANY_MESSAGES)
                self.send(_refused(None, error))
                raise error
            await asyncio.sleep(seconds)

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

    async def _assign(self, message: messages.Assign) -> None:
        page, viewing, slot = self._page, self._services.viewing, message.slot
        viewing.claim(Viewer(page.person, page.sign_in, page.expires_ns), message.wall)
        watching = await viewing.assign(
            page.person, message.wall, slot, message.camera, message.intervention, message.layer, self.send
        )
        view = watching.view if watching is not None else None
        self.send(messages.Assigned(slot, message.worker, message.camera, view))


def _refused(message: messages.FromPage | None, error: RelayError) -> messages.Refused:
    return messages.Refused(
        slot=getattr(message, "slot", None),
        worker=getattr(message, "worker", None),
        camera=getattr(message, "camera", None),
        kind=error.kind,
        code=error.code,
        detail=error.detail,
        facts=error.facts,
    )


async def camera_socket(request: web.Request) -> web.StreamResponse:
    """Serve a camera's live socket; its token says which camera it is."""
    services = context(request)
    token = bearer(request)
    if token is None:
        raise TheirError(Kind.UNAUTHENTICATED, "a camera token is required", code=Code.TOKEN_REQUIRED)
    camera = await services.enrolment.camera_of(token)
    remember_camera(request, camera.camera, token)
    socket = await _accepted(request)
    outbox = Outbox(socket, services.options.live_queue, services.counters)
    sending = asyncio.create_task(outbox.run(), name="camera socket")
    send = outbox.send

    async def take(data: bytes) -> None:
        services.camera_sockets.receive(camera.camera, data)

    services.camera_sockets.connect(camera, send, outbox.close)
    try:
        if await _read(socket, services, outbox, take):
            outbox.close(WSCloseCode.POLICY_VIOLATION, FLOODED)
    finally:
        services.camera_sockets.disconnect(camera.camera, send)
        await _finish(sending, outbox)
    return socket


async def _accepted(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=wire.MAX_BYTES, timeout=CLOSE_SECONDS)
    await socket.prepare(request)
    return socket


async def _read(
    socket: web.WebSocketResponse, services: Context, outbox: Outbox, take: Callable[[bytes], Awaitable[None]]
) -> bool:
    """Act on messages until the peer disconnects, or has sent too many: then return True."""
    number = 0
    async for message in socket:
        await outbox.room()
        number += 1
        if number % MESSAGES_PER_TURN == 0:  # what waits in the socket's buffer is handed over without a turn for others
            await asyncio.sleep(0)
        try:
            await take(message.data if message.type is WSMsgType.BINARY else b"")
        except TheirError as error:
            if error.code is Code.TOO_MANY_MESSAGES:
                services.live.flooded()
                return True
            # One bad message must not cost the connection over which views and alarms come.
            services.counters.count("live_malformed")
        except Exception:
            services.live.errors.failed("a message of a live socket")
    return False


async def _finish(sending: asyncio.Task[None], outbox: Outbox) -> None:
    """End the task that sends; a socket that is being closed may send what waits first."""
    if outbox.closing:
        await asyncio.wait({sending}, timeout=CLOSE_SECONDS)
    sending.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sending


ROUTES = (
    Route("GET", "/live", Access.SIGNED_IN, page_socket, "Live socket of a page (WebSocket, msgpack)", status=101),
    Route("GET", "/live/camera", Access.CAMERA, camera_socket, "Live socket of a camera (WebSocket, msgpack)", status=101),
)
