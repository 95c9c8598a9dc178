"""The connections behind the requests: a place for each, and a deadline for everything that its peer must do.

Owns: aiohttp's handler of one connection, extended by what `ConnectionTable` must learn.  Must never know: routes; how a
connection was accepted.

aiohttp bounds the wait for a request's head and the pause between two requests (`keepalive_timeout`).  It bounds neither the
wait for the rest of a body, nor that for a peer that does not read its answer, nor the end of a connection whose last bytes
nobody takes (`close` waits for them for ever), nor how many connections there are: those bounds are here.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias, cast

from aiohttp import web

from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, TheirError
from relay.http.connection_table import ConnectionTable, Places

HEAD_SECONDS = 20.0
"""A request's head must have come this long after the connection was accepted, or after the last answer."""
PIPELINED = 8
"""Requests that may wait behind another one of a connection that proved nothing yet; with more it ends after the next answer.
Browsers and cameras send none; 32, aiohttp's own bound, would be 32 answers for one small packet."""
PROXY_IDLE_SECONDS = 150.0
"""The same for a trusted proxy: it keeps connections for its next caller (Caddy for 120 s, nginx for 60 s).  If the relay
closed first, that caller would get a 502."""
LINGER_SECONDS = 2.0
"""How long the rest of a refused body is read and thrown away, so that the peer can read its refusal."""
SWEEP_SECONDS = 1.0

declare(
    http_connections="HTTP connections accepted",
    http_connections_refused="HTTP connections refused: no place, and nobody who waits could give way",
    http_connections_replaced="HTTP connections closed because a newcomer needed the place of the one that waited longest",
    http_connections_of_one_holder="HTTP connections closed or requests refused because one person or camera had too many",
    http_connections_overdue="HTTP connections cut off: no body, no reading of the answer or no end within its deadline",
)


@dataclass(frozen=True, slots=True)
class Place:
    """The place of an accepted connection: its number in the table, and its socket."""

    number: int
    sock: socket.socket
    among: "Connections"


class PlacedConnection(web.RequestHandler):
    """One connection, which tells the table what it waits for.  `place` is None where a server of aiohttp accepted it."""

    __slots__ = ("_held", "_place", "_request", "_stream")

    def __init__(self, server: web.Server, *, place: Place | None = None, **options: object) -> None:
        super().__init__(server, **options)  # type: ignore[arg-type]
        self._place = place
        self._held = False
        self._stream: asyncio.Transport | None = None
        self._request: web.BaseRequest | None = None

    def hold(self, holder: str) -> bool:
        """A request proved whose this connection is; return False where its holder has too many at work."""
        self._held = self._place is None or self._place.among.hold(self._place.number, holder)
        return self._held

    def begin(self, request: web.BaseRequest) -> None:
        """A request's head has come."""
        waits = request.body_exists and not request.content.is_eof()
        self._request = request if waits else None
        if self._place is not None:
            self._place.among.table.work(self._place.number, self._place.among.now(), body=waits)

    def is_closing(self) -> bool:
        """Whether the relay has closed it and its last bytes still wait."""
        return self._stream is not None and self._stream.is_closing()

    def abort(self) -> None:
        """Cut the connection off now; what waits to be sent is thrown away."""
        if self._stream is not None:
            self._stream.abort()
        elif self._place is not None:
            # Its TLS handshake has not ended: the transport is not ours yet, and learns of the end from the socket.
            with contextlib.suppress(OSError):
                self._place.sock.shutdown(socket.SHUT_RDWR)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is ready for requests."""
        self._stream = cast(asyncio.Transport, transport)  # uvloop's is one without descending from it
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a head, of a body or of a live socket."""
        super().data_received(data)
        if len(self._messages) > PIPELINED and not self._held:
            self.close()
        if self._request is not None and self._request.content.is_eof():
            self._request = None
            if self._place is not None:
                self._place.among.table.body_came(self._place.number)

    def pause_writing(self) -> None:
        """The peer does not read as fast as we write."""
        super().pause_writing()
        if self._place is not None:
            self._place.among.table.stall(self._place.number, self._place.among.now())

    def resume_writing(self) -> None:
        """The peer read."""
        super().resume_writing()
        if self._place is not None:
            self._place.among.table.flow(self._place.number)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; then it is the peer's turn."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._request = None
            if self._place is not None:
                self._place.among.table.wait(self._place.number)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone."""
        super().connection_lost(exc)
        if self._place is not None:
            self._place.among.forget(self._place.number)


Maker: TypeAlias = Callable[..., PlacedConnection]
"""Makes the handler of a connection from `place` and aiohttp's options."""


class Connections:
    """All connections that have places in one table."""

    def __init__(self, places: Places, monotonic: Callable[[], float], counters: Counters) -> None:
        self.table = ConnectionTable(places)
        self.now = monotonic
        self._counters = counters
        self._open: dict[int, PlacedConnection] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._open)

    def admit(
        self, sock: socket.socket, source: str, make: Maker, *, proxy: bool = False, crowded: bool = False
    ) -> tuple[int, PlacedConnection] | None:
        """Return number and handler of an accepted socket, None where it has no place; see `ConnectionTable.admit`."""
        self._next += 1
        number = self._next
        verdict = self.table.admit(number, source, self.now(), proxy=proxy, crowded=crowded)
        if not verdict.admitted:
            self._counters.count("http_connections_refused")
            return None
        self._counters.count("http_connections")
        self._replace(verdict.close, "http_connections_replaced")
        idle = PROXY_IDLE_SECONDS if proxy else HEAD_SECONDS
        made = make(place=Place(number, sock, self), keepalive_timeout=idle, lingering_time=LINGER_SECONDS)
        self._open[number] = made
        return number, made

    def hold(self, number: int, holder: str) -> bool:
        """See `PlacedConnection.hold`."""
        verdict = self.table.hold(number, holder, self.now())
        self._replace(verdict.close, "http_connections_of_one_holder")
        if not verdict.admitted:
            self._counters.count("http_connections_of_one_holder")
        return verdict.admitted

    def forget(self, number: int) -> None:
        """The connection is gone, or never came to be."""
        self._open.pop(number, None)
        self.table.remove(number)

    def sweep(self) -> None:
        """Cut off the connections that missed a deadline; call about once a second."""
        now = self.now()
        for number, connection in self._open.items():
            if connection.is_closing():
                self.table.close(number, now)
        for number, _why in self.table.overdue(now):
            self._counters.count("http_connections_overdue")
            self._open[number].abort()

    def _replace(self, numbers: tuple[int, ...], counter: str) -> None:
        for number in numbers:
            self._counters.count(counter)
            self._open[number].abort()


def recognise(request: web.Request, holder: str) -> None:
    """A request proved who it is from: its connection and its address count as theirs.

    `holder`: a person's name, or `camera:NAME`.  Raises TheirError TOO_MANY where the holder has too many connections at work.
    """
    connection = request.protocol
    if isinstance(connection, PlacedConnection) and not connection.hold(holder):
        raise TheirError(
            Kind.TOO_MANY, "too many connections of one sign-in or camera are at work", code=Code.TOO_MANY_OPEN, retry_after=2.0
        )


@web.middleware
async def attended(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """Tell the connection that a request has begun; the outermost middleware."""
    connection = request.protocol
    if isinstance(connection, PlacedConnection):
        connection.begin(request)
    return await handler(request)
