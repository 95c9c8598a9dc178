"""`/live` and `/live/camera`: the two WebSockets, msgpack maps (relay/DESIGN.md §5.4).

What this file owns: reading and answering their messages.  What it must never know: what a view or a request costs.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast, get_args

import msgpack
from aiohttp import WSMsgType, web

from relay.base.counters import declare
from relay.base.errors import Kind, OurError, RelayError, TheirError
from relay.channel.messages import Layer
from relay.http.context import Access, Context, Route, bearer, context, signed_in
from relay.http.hub import Outbox, Page
from relay.policy.roles import Action
from relay.viewing.sessions import Tell, Viewer

logger = logging.getLogger(__name__)

HEARTBEAT = 10.0
MAX_MESSAGE = 16 << 10

declare(
    live_malformed="messages over live sockets that could not be read",
    live_failures="messages over live sockets that were right and that we could not act on",
)


async def page_socket(request: web.Request) -> web.StreamResponse:
    """Serve a page's live socket."""
    services = context(request)
    found = signed_in(request)
    await services.guard.require(found.person, Action.LIST_INTERVENTIONS, object_type="live")
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=MAX_MESSAGE)
    await socket.prepare(request)
    page = Page(found, Outbox(socket, services.options.live_queue, services.counters))
    sending = asyncio.create_task(page.outbox.run(), name="live socket")
    workers = [process.index for process in services.processes.workers]
    page.tell(
        {
            "t": "hello",
            "workers": workers,
            "user": found.person.user,
            "role": found.person.role.value,
            "server_ns": services.clock.utc_ns(),
        }
    )
    services.live.add(page)
    try:
        await _read(socket, services, _PageMessages(services, page).take)
    finally:
        services.live.remove(page)
        services.viewing.forget_tell(page.tell)
        await _finish(sending)
    return socket


class _PageMessages:
    """What a page may say."""

    def __init__(self, services: Context, page: Page) -> None:
        self._services = services
        self._page = page
        self._tell: Tell = page.tell

    async def take(self, message: Mapping[str, Any]) -> None:
        """Handle one message; a refusal is answered, not raised."""
        if not self._services.live.is_connected(self._page):
            return
        handlers: dict[object, Callable[[Mapping[str, Any]], Awaitable[None]]] = {
            "assign": self._assign,
            "layer": self._layer,
            "listen": self._listen,
            "time": self._time,
        }
        handler = handlers.get(message.get("t"))
        if handler is None:
            raise TheirError(Kind.INVALID, "unknown message")
        try:
            await handler(message)
        except RelayError as error:
            self._refuse(message, error)

    def _refuse(self, message: Mapping[str, Any], error: RelayError) -> None:
        self._page.tell(
            {
                "t": "refused",
                "slot": message.get("slot"),
                "worker": message.get("worker"),
                "camera": message.get("camera"),
                "kind": error.kind.value,
                "detail": error.detail,
            }
        )

    async def _assign(self, message: Mapping[str, Any]) -> None:
        camera, page = message.get("camera"), self._page
        slot = int(message["slot"])
        self._services.viewing.claim(Viewer(page.person, page.session, page.expires_ns), str(message["wall"]))
        watching = await self._services.viewing.assign(
            page.person,
            str(message["wall"]),
            slot,
            None if camera is None else str(camera),
            None if message.get("intervention") is None else str(message["intervention"]),
            _layer_of(message.get("layer", "high")),
            self._tell,
        )
        view = watching.view if watching is not None else None
        self._page.tell({"t": "assigned", "slot": slot, "worker": message.get("worker"), "camera": camera, "view": view})

    async def _layer(self, message: Mapping[str, Any]) -> None:
        layer = _layer_of(message.get("layer"))
        self._services.viewing.layer(self._page.person, str(message["wall"]), int(message["slot"]), layer)

    async def _listen(self, message: Mapping[str, Any]) -> None:
        slot = message.get("slot")
        await self._services.viewing.listen(self._page.person, str(message["wall"]), None if slot is None else int(slot))

    async def _time(self, message: Mapping[str, Any]) -> None:
        self._page.tell({"t": "time", "server_ns": self._services.clock.utc_ns(), "echo": message.get("echo")})


def _layer_of(value: object) -> Layer:
    for layer in get_args(Layer):
        if value == layer:
            return cast(Layer, layer)
    raise TheirError(Kind.INVALID, "layer must be high, low or key")


async def camera_socket(request: web.Request) -> web.StreamResponse:
    """Serve a camera's live socket; its token says which camera it is."""
    services = context(request)
    token = bearer(request)
    if token is None:
        raise TheirError(Kind.UNAUTHENTICATED, "a camera token is required")
    camera = await services.enrolment.camera_of(token)
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=MAX_MESSAGE)
    await socket.prepare(request)
    outbox = Outbox(socket, services.options.live_queue, services.counters)
    sending = asyncio.create_task(outbox.run(), name="camera socket")
    send = outbox.send
    services.camera_sockets.connect(camera, send, outbox.close)
    try:
        await _read(socket, services, lambda message: services.camera_sockets.message(camera.camera, message))
    finally:
        services.camera_sockets.disconnect(camera.camera, send)
        await _finish(sending)
    return socket


async def _read(socket: web.WebSocketResponse, services: Context, take: Callable[[Mapping[str, Any]], Awaitable[None]]) -> None:
    async for message in socket:
        if message.type is not WSMsgType.BINARY:
            services.counters.count("live_malformed")
            continue
        try:
            decoded = msgpack.unpackb(message.data, max_map_len=64, max_array_len=64, max_str_len=MAX_MESSAGE)
            if not isinstance(decoded, dict):
                raise TheirError(Kind.INVALID, "a message is a map")
            await take(decoded)
        except (TheirError, ValueError, TypeError, KeyError):
            # One bad message must not cost the connection over which views and alarms come.
            services.counters.count("live_malformed")
        except Exception as error:
            services.counters.count("live_failures")
            detail = error.detail if isinstance(error, OurError) else repr(error)
            logger.error("a message was not acted on", extra={"detail": detail}, exc_info=not isinstance(error, OurError))


async def _finish(sending: asyncio.Task[None]) -> None:
    sending.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sending


ROUTES = (
    Route("GET", "/live", Access.SIGNED_IN, page_socket, "Live socket of a page (WebSocket, msgpack)", status=101),
    Route("GET", "/live/camera", Access.CAMERA, camera_socket, "Live socket of a camera (WebSocket, msgpack)", status=101),
)
