"""Accepts connections for aiohttp, each with a place of its own.

Owns: the loop of `accept`, and TLS handshakes under a deadline.  Must never know: which connection gives way for another.

aiohttp's own sites are not used, because asyncio's servers hand over a connection only after its TLS handshake: ten thousand
peers that connect and say nothing would hold ten thousand descriptors that nobody counts.  Here a socket is counted as soon as
it is accepted, and refused or closed before it costs more.
"""

import asyncio
import contextlib
import logging
import socket
import ssl

from relay.base.addresses import source_of
from relay.base.counters import Counters, declare
from relay.http.connections import SWEEP_SECONDS, Connections, Maker, PlacedConnection
from relay.http.proxies import Networks, is_trusted
from relay.runtime.tasks import every, spawn

logger = logging.getLogger(__name__)

BACKLOG = 1024
"""Connections that wait in the kernel; it takes less where `net.core.somaxconn` is less."""
TAKEN_PER_TURN = 16
"""Then everything else that is ready has its turn."""
REFUSED_PER_TURN = 512
"""A refusal costs a hundredth of what a connection costs: nobody waits in the kernel behind a crowd that is refused."""
PAUSE_SECONDS = 0.2
"""Without descriptors or memory `accept` fails at once and would be called again at once: nothing else would run."""
HANDSHAKE_SECONDS = 10.0

declare(
    http_accept_failures="pauses of accepting HTTP connections because the system had no descriptor or memory for one",
    http_handshake_failures="HTTP connections that ended before their TLS handshake did",
)


class Listener:
    """One listening socket, and the connections that came from it."""

    def __init__(
        self,
        sock: socket.socket,
        make: Maker,
        connections: Connections,
        counters: Counters,
        *,
        tls: ssl.SSLContext | None = None,
        trusted: Networks = (),
    ) -> None:
        """`sock` is bound, and ours from now on.  `make` makes a connection's handler.

        `trusted`: networks of the proxies that carry many people.
        """
        self._sock = sock
        self._make = make
        self._connections = connections
        self._counters = counters
        self._tls = tls
        self._trusted = trusted
        self._loop = asyncio.get_running_loop()
        self._crowded = False
        """More connections waited than the last turn took."""
        self._pause: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen and accept."""
        self._sock.setblocking(False)
        self._sock.listen(BACKLOG)
        self._loop.add_reader(self._sock, self._accept)
        self._sweeping = spawn(every(SWEEP_SECONDS, self._sweep, self._counters), "sweep of HTTP connections")

    def close(self) -> None:
        """Accept no more; connections that are open go on."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._loop.remove_reader(self._sock)
        if self._pause is not None:
            self._pause.cancel()
        self._sock.close()

    async def _sweep(self) -> None:
        self._connections.sweep()

    def _accept(self) -> None:
        taken = 0
        for _ in range(REFUSED_PER_TURN):
            try:
                accepted, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                self._crowded = False
                return
            except OSError as error:
                self._rest(error)
                return
            taken += self._take(accepted, address[0] if isinstance(address, tuple) else "")
            if taken == TAKEN_PER_TURN:
                break
        self._crowded = True

    def _rest(self, error: OSError) -> None:
        """Stop accepting for a moment; what waits in the kernel goes on waiting."""
        if self._counters.values["http_accept_failures"] == 0:
            logger.error("no HTTP connection can be accepted for now", extra={"detail": error.strerror})
        self._counters.count("http_accept_failures")
        self._loop.remove_reader(self._sock)
        self._pause = self._loop.call_later(PAUSE_SECONDS, self._loop.add_reader, self._sock, self._accept)

    def _take(self, accepted: socket.socket, host: str) -> bool:
        """Take or refuse a connection; return whether it was taken."""
        source, proxy = source_of(host), is_trusted(host, self._trusted)
        admitted = self._connections.admit(accepted, source, self._make, proxy=proxy, crowded=self._crowded)
        if admitted is None:
            accepted.close()
            return False
        accepted.setblocking(False)
        spawn(self._serve(accepted, *admitted), "HTTP connection")
        return True

    async def _serve(self, accepted: socket.socket, number: int, connection: PlacedConnection) -> None:
        """Hand a socket to its handler; with TLS, once its handshake is done."""
        limit = HANDSHAKE_SECONDS if self._tls is not None else None
        try:
            await self._loop.connect_accepted_socket(lambda: connection, accepted, ssl=self._tls, ssl_handshake_timeout=limit)
        except OSError:  # also ssl.SSLError, ConnectionError and TimeoutError: the peer's doing
            self._counters.count("http_handshake_failures")
            self._connections.forget(number)
            with contextlib.suppress(OSError):
                accepted.close()
