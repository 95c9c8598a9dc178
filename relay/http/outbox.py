"""The messages that wait to be sent over one live socket, and the task that sends them.

Owns: when a message leaves, and the end of a socket that takes none.  Must never know: who is connected, which message takes
the place of which (`waiting`).
"""

import asyncio
import logging

from aiohttp import WSCloseCode, web

from relay.base.counters import Counters, declare
from relay.http.waiting import Item, Waiting
from relay.protocol.page import Bye

logger = logging.getLogger(__name__)

SEND_SECONDS = 30.0
"""A socket that has not taken one message after this time is closed: nobody reads it."""
MAX_CLOSE_BYTES = 123
"""Of a close frame's text (RFC 6455 §5.5)."""

declare(
    live_messages="messages sent over live sockets",
    live_replaced="states that were not sent over a live socket, because a newer state took their place while they waited",
    live_dropped="live sockets closed because they did not take their messages in time",
)


class Outbox:
    """The messages that wait to be sent over one socket.  A peer that takes none of them for long is disconnected."""

    def __init__(self, socket: web.WebSocketResponse, bound: int, counters: Counters, *, batches: bool = False) -> None:
        """`bound`: events that may wait; `batches`: states of cameras go out several at once."""
        self._socket = socket
        self._waiting = Waiting(bound, batches=batches)
        self._half = bound // 2
        self._counters = counters
        self._wake, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()
        self._code: WSCloseCode | None = None
        """Set once the socket is to be closed."""
        self._why = b""

    @property
    def closing(self) -> bool:
        """Whether the socket is to be closed."""
        return self._code is not None

    def send(self, message: Item) -> None:
        """Queue a message; never waits.  A socket that lets its events overflow is closed."""
        if self.closing:
            return
        before = len(self._waiting)
        if not self._waiting.put(message):
            self._give_up()
        elif len(self._waiting) <= before:
            self._counters.count("live_replaced")
        if self._waiting.events > self._half:
            self._room.clear()
        self._wake.set()

    def farewell(self, message: Bye, code: WSCloseCode = WSCloseCode.GOING_AWAY) -> None:
        """Send a page its last message, for which there is always room, then close the socket."""
        if not self.closing:
            self._waiting.last = message
        self.close(code, message.reason)

    def close(self, code: WSCloseCode = WSCloseCode.GOING_AWAY, why: str = "") -> None:
        """Close the socket after the messages that wait were sent; `why` goes into the close frame."""
        if not self.closing:
            self._code, self._why = code, why.encode()[:MAX_CLOSE_BYTES]
        self._wake.set()

    async def room(self) -> None:
        """Wait until few enough answers wait: a peer that does not read its answers is asked nothing more."""
        await self._room.wait()

    async def run(self) -> None:
        """Send until the peer disconnects, `close` is called or the events overflow; then close the socket in every case."""
        try:
            await self._send_all()
        except ConnectionError:
            pass
        except TimeoutError:
            self._give_up()
        except Exception:
            logger.exception("sending over a live socket failed: it is closed")
        finally:
            self._room.set()
        await self._socket.close(code=self._code or WSCloseCode.GOING_AWAY, message=self._why)

    def _give_up(self) -> None:
        self._counters.count("live_dropped")
        self._code = WSCloseCode.TRY_AGAIN_LATER

    async def _send_all(self) -> None:
        while self._code is not WSCloseCode.TRY_AGAIN_LATER:
            message = self._waiting.take()
            if message is None:
                if self.closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            if self._waiting.events <= self._half:
                self._room.set()
            async with asyncio.timeout(SEND_SECONDS):
                await self._socket.send_bytes(message)
            self._counters.count("live_messages")
