"""The camera's live socket: presence, battery and position, the button, requests, who watches, the clock.

Owns: the messages (msgpack maps, one per WebSocket message) and the estimate of the relay's clock.  Must never know: media.
"""

import asyncio
import dataclasses
import time
from typing import Any, Protocol

import aiohttp
import msgpack

_BEAT_SECONDS = 5.0


@dataclasses.dataclass
class Vitals:
    """The values of a beat."""

    battery: float
    """Percent."""
    lat: float
    lon: float
    accuracy_m: float


class LiveHandler(Protocol):
    """How a camera answers the messages of its relay."""

    def vitals(self) -> Vitals:
        """Return the present battery and position."""
        ...

    def on_welcome(self, live: "LiveSocket") -> None:
        """Called when the socket is up: messages may now be sent through `live`."""
        ...

    def on_request(self, request: str, reason: str) -> None:
        """Called when somebody asks for the picture."""
        ...

    def on_watched(self, by: int) -> None:
        """Called with the number of people who watch."""
        ...

    def on_stop(self, reason: str) -> None:
        """Called when the relay wants the publication to end."""
        ...

    def on_republish(self, reason: str) -> None:
        """Called when the relay lost the session by its own fault: publish again."""
        ...


@dataclasses.dataclass
class RelayClock:
    """An estimate of the relay's clock, by NTP's rule: the exchange with the shortest round trip wins, and ages slowly."""

    offset_ns: int | None = None
    """Relay's clock minus ours."""
    uncertainty_ns: int = 0
    _taken_ns: int = 0

    def update(self, sent_ns: int, server_ns: int, received_ns: int) -> None:
        """Take one exchange: our time of sending, the relay's time, our time of receipt (UTC nanoseconds)."""
        half = max(0, received_ns - sent_ns) // 2
        aged = self.uncertainty_ns + (received_ns - self._taken_ns) // 20_000
        if self.offset_ns is None or half <= aged:
            self.offset_ns = server_ns - (sent_ns + half)
            self.uncertainty_ns, self._taken_ns = half, received_ns


class LiveSocket:
    """The connection to `/live/camera`: `run` holds it once, and may be called again."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str, handler: LiveHandler) -> None:
        self._http = http
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._handler = handler
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.clock = RelayClock()
        self.welcomed = asyncio.Event()
        self._asked: dict[int, asyncio.Future[None]] = {}

    async def run(self) -> None:
        """Hold the socket until it closes; raises aiohttp.ClientError (WSServerHandshakeError if the relay refuses it)."""
        async with self._http.ws_connect(self._url, headers=self._headers, heartbeat=10, max_msg_size=65_536) as socket:
            self._socket = socket
            beats = asyncio.create_task(self._beat())
            try:
                await self.send({"t": "hello", "firmware": "sim-cameras"})
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.BINARY:
                        await self._on_message(msgpack.unpackb(message.data))
            finally:
                beats.cancel()
                self._socket = None
                self.welcomed.clear()

    async def send(self, message: dict[str, Any]) -> bool:
        """Send a message; return False if the socket is down."""
        if self._socket is None or self._socket.closed:
            return False
        try:
            await self._socket.send_bytes(msgpack.packb(message))
        except (ConnectionError, aiohttp.ClientError):
            return False
        return True

    async def round_trip(self) -> None:
        """Ask for the relay's time and wait for the answer: the relay has then handled every earlier message.

        Waits for ever if the socket is down; the caller sets a timeout.
        """
        asked = time.time_ns()
        answered = self._asked[asked] = asyncio.get_running_loop().create_future()
        try:
            await self.send({"t": "time", "echo": asked})
            await answered
        finally:
            del self._asked[asked]

    async def _beat(self) -> None:
        while True:
            await self.send({"t": "beat", "utc_ns": time.time_ns()} | dataclasses.asdict(self._handler.vitals()))
            await self.send({"t": "time", "echo": time.time_ns()})
            await asyncio.sleep(_BEAT_SECONDS)

    async def _on_message(self, message: Any) -> None:
        """Act on one message; messages of unknown kinds are ignored."""
        match message:
            case {"t": "welcome"}:
                self.welcomed.set()
                self._handler.on_welcome(self)
            case {"t": "request", "request": str(request)}:
                self._handler.on_request(request, str(message.get("reason", "")))
            case {"t": "watched", "by": int(by)}:
                self._handler.on_watched(by)
            case {"t": "stop"}:
                self._handler.on_stop(str(message.get("reason", "")))
            case {"t": "time", "server_ns": int(server_ns), "echo": int(echo)}:
                self._on_time(server_ns, echo)
            case {"t": "time", "server_ns": int(server_ns)}:
                await self.send({"t": "time", "echo": server_ns, "utc_ns": time.time_ns()})
            case {"t": "republish"}:
                self._handler.on_republish(str(message.get("reason", "")))
            case _:
                pass

    def _on_time(self, server_ns: int, echo: int) -> None:
        self.clock.update(echo, server_ns, time.time_ns())
        asked = self._asked.get(echo)
        if asked is not None and not asked.done():
            asked.set_result(None)
