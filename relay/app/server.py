"""The HTTP server: sockets, TLS, and the console's Unix socket.

Owns: which addresses and sockets are bound.  Must never know: routes.
"""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from relay.app.listener import Listener
from relay.app.settings import Settings
from relay.base.errors import OurError
from relay.http.app import make_app
from relay.http.connection_table import Places
from relay.http.connections import Connections
from relay.http.context import Context
from relay.http.malformed import Runner
from relay.http.proxies import networks
from relay.runtime.host_addresses import WILDCARDS

logger = logging.getLogger(__name__)


CONSOLE_SOCKET = "control.sock"
CONSOLE_PLACES = Places(total=32, strangers=32, per_source=32, per_holder=32)
"""Connections of commands: their places are their own, so that a full house never keeps the administrator out."""
SHUTDOWN_SECONDS = 3.0


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS context, None without a certificate; raises OurError if the certificate cannot be read."""
    if settings.http.tls_cert is None or settings.http.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.http.tls_cert, settings.http.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise OurError(f"TLS certificate: {error}") from error
    return context


@asynccontextmanager
async def serving(services: Context, settings: Settings, *, public: bool) -> AsyncIterator[str]:
    """Serve the application on the console's socket and, if `public`, on TCP; yields the URL ("" if not public)."""
    runner = Runner(make_app(services), services.counters, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    listeners: list[Listener] = []
    try:
        listeners.append(_console(runner, services, settings.run / CONSOLE_SOCKET))
        url = ""
        if public:
            public_listeners, url = await _public(runner, services, settings)
            listeners += public_listeners
        for listener in listeners:
            listener.start()
        yield url
    finally:
        for listener in listeners:
            listener.close()
        await runner.cleanup()
        (settings.run / CONSOLE_SOCKET).unlink(missing_ok=True)  # noqa: ASYNC240 - one unlink at the end


def _console(runner: Runner, services: Context, path: Path) -> Listener:
    path.unlink(missing_ok=True)
    connections = Connections(CONSOLE_PLACES, services.clock.monotonic, services.counters)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(previous)
    return Listener(sock, runner.maker, connections, services.counters)


async def _public(runner: Runner, services: Context, settings: Settings) -> tuple[list[Listener], str]:
    """Bind every address of the host; return the listeners and the URL."""
    http, context = settings.http, tls_context(settings)
    try:
        bound = await asyncio.to_thread(lambda: list(_bound(http.host, http.port)))
    except OSError as error:
        raise OurError(f"cannot bind {http.host} port {http.port}: {error.strerror}") from error
    most = services.connections.table.places.total
    if most < http.max_connections:
        logger.warning("fewer HTTP connections than http.max_connections: raise LimitNOFILE", extra={"connections": most})
    trusted = networks(http.trusted_proxies)
    listeners = [
        Listener(sock, runner.maker, services.connections, services.counters, tls=context, trusted=trusted) for sock in bound
    ]
    port = bound[0].getsockname()[1]
    host = f"[{http.host}]" if ":" in http.host else http.host
    return listeners, http.public_origin or f"{'https' if context else 'http'}://{host}:{port}"


def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a bound socket for each address of a host, `::` being every address; raises OSError, and then leaves none open."""
    with contextlib.ExitStack() as opened:
        found = [
            each
            for name in WILDCARDS.get(host, (host,))
            for each in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        ]
        made: list[socket.socket] = []
        for family, kind, protocol, _name, address in dict.fromkeys(found):
            sock = opened.enter_context(socket.socket(family, kind, protocol))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # With port 0 the system chooses one for the first address; the others take the same.
            sock.bind((address[0], made[0].getsockname()[1], *address[2:]) if made else address)
            made.append(sock)
        opened.pop_all()
    yield from made
