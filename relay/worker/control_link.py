"""The channel to control: a listening Unix socket, questions that are answered, facts that are posted.

Owns: the connections of control, and since when there is none.  Must never know: what a message means.
"""

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from relay.base.counters import Counters
from relay.base.errors import Kind, TheirError
from relay.channel import messages as m
from relay.channel.framing import Connection, listen

Answerer: TypeAlias = Callable[[Any], m.Message]
"""From a question to its answer; raises TheirError to refuse."""
Taker: TypeAlias = Callable[[Any], None]


class Closable(Protocol):
    """What `close` ends."""

    def close(self) -> None:
        """End it."""
        ...


class ControlLink:
    """All connections of control to this worker; after its restart there may be two for a moment."""

    def __init__(
        self,
        where: Path | socket.socket,
        control_pass: bytes,
        counters: Counters,
        monotonic: Callable[[], float],
        answerers: Mapping[type[m.Message], Answerer],
        takers: Mapping[type[m.Message], Taker],
    ) -> None:
        """`where`: a path, or a socket that is bound.

        `answerers` answer questions, `takers` take what control posts; both by the type of the message.
        """
        self._where = where
        self._passes = {"control": control_pass}
        self._counters = counters
        self._monotonic = monotonic
        self._answerers = answerers
        self._takers = takers
        self._connections: set[Connection] = set()
        self._alone_since = monotonic()
        self._server: Closable | None = None

    async def open(self) -> None:
        """Listen.  Raises OSError where the socket cannot be made."""
        self._server = await listen(
            self._where, self._passes, self._on_connected, on_post=self._on_post, on_ask=self._on_ask, counters=self._counters
        )

    def close(self) -> None:
        """Close every connection and stop listening; messages that were posted are still written."""
        for connection in self._connections:
            connection.close()
        if self._server is not None:
            self._server.close()

    def add(self, connection: Connection) -> None:
        """Post facts to a connection from now on."""
        self._connections.add(connection)

    def post(self, message: m.Message) -> None:
        """Send a fact to every control."""
        for connection in self._connections:
            connection.post(message)

    def alone_for(self, now: float) -> float:
        """Return for how many seconds there has been no control; to be called in every round."""
        self._connections = {connection for connection in self._connections if not connection.closed}
        if self._connections:
            self._alone_since = now
        return now - self._alone_since

    async def _on_connected(self, connection: Connection) -> None:
        self.add(connection)

    def _on_post(self, connection: Connection, message: m.Message) -> None:
        taker = self._takers.get(type(message))
        if taker is not None:
            taker(message)

    async def _on_ask(self, connection: Connection, message: m.Message) -> m.Message:
        answerer = self._answerers.get(type(message))
        if answerer is None:
            raise TheirError(Kind.INVALID, f"a worker answers no {type(message).__name__}")
        return answerer(message)
