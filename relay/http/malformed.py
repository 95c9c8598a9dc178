"""What arrives on a connection and is no HTTP request: answered like every other refusal, without a traceback.

Owns: the answers that are given before the application sees a request.  Must never know: routes, limits of connections.
"""

import logging

from aiohttp import hdrs, web

from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.http.connections import Maker, Place, PlacedConnection
from relay.http.middleware import SECURITY_HEADERS, SERVER, problem

logger = logging.getLogger(__name__)

CONTINUE = "100-continue"

declare(http_malformed="requests that are not HTTP: a bad request line, header or chunk")


class Connection(PlacedConnection):
    """One connection whose errors are answered as everywhere else."""

    __slots__ = ("_counters",)

    def __init__(self, server: web.Server, counters: Counters, *, place: Place | None = None, **options: object) -> None:
        super().__init__(server, place=place, **options)
        self._counters = counters

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Return the answer to what is not HTTP (status below 500: the caller's fault, only counted) or to an error of ours."""
        if status < 500:
            self._counters.count("http_malformed")
            detail = "this is not a request of HTTP/1.1"
        else:
            self._counters.count("http_failed")
            logger.error("request failed outside of its route", exc_info=exc)
            detail = "the relay made a mistake"
        if request.writer.output_size > 0:
            # A part of another answer is on its way: nothing that follows it could be read.
            raise ConnectionError("the answer had begun")
        response = _refusal(status, Code.INVALID if status < 500 else Code.INTERNAL, detail)
        response.force_close()
        return response


def _refusal(status: int, code: Code, detail: str) -> web.Response:
    response = problem(status, code, detail)
    response.headers.update({**SECURITY_HEADERS, hdrs.SERVER: SERVER})
    return response


class Connections(web.Server):
    """Makes the connections of a server."""

    def __init__(self, server: web.Server, counters: Counters, **options: object) -> None:
        """`server`: the application's own, whose handlers are used; `options`: those of `web.AppRunner`."""
        self._inner = server.request_handler
        super().__init__(
            self._handle,
            request_factory=server.request_factory,
            handler_cancellation=server.handler_cancellation,
        )
        self._counters = counters
        self._options = options

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Refuse expectations that do not exist (RFC 9110 §10.1.1): aiohttp fails at those that are not UTF-8."""
        if request.headers.get(hdrs.EXPECT, CONTINUE).lower() != CONTINUE:
            self._counters.count("http_refused")
            return _refusal(417, Code.INVALID, "the only expectation is 100-continue")
        return await self._inner(request)

    def __call__(self) -> Connection:
        """Return the handler of a new connection."""
        return self.make()

    def make(self, *, place: Place | None = None, **options: object) -> Connection:
        """Return the handler of a new connection that may have a place; `options` go before those of the server."""
        return Connection(self, self._counters, place=place, loop=self._loop, **{**self._options, **options})


class Runner(web.AppRunner):
    """Runs an application behind `Connections`."""

    __slots__ = ("_counters",)

    def __init__(self, app: web.Application, counters: Counters, **options: object) -> None:
        super().__init__(app, **options)  # type: ignore[arg-type]
        self._counters = counters

    async def _make_server(self) -> web.Server:
        return Connections(await super()._make_server(), self._counters, **self._kwargs)

    @property
    def maker(self) -> Maker:
        """Makes the handlers of connections; call `setup` first."""
        assert isinstance(self.server, Connections)
        return self.server.make
