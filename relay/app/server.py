"""The HTTP server: sockets, TLS, and the console's Unix socket.

Owns: which addresses and sockets are bound.  Must never know: routes.
"""

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from relay.app.settings import Settings
from relay.base.errors import OurError
from relay.http.app import make_app
from relay.http.context import Context
from relay.http.malformed import Runner

CONSOLE_SOCKET = "control.sock"
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
    try:
        await _console(runner, settings.run / CONSOLE_SOCKET)
        yield await _public(runner, settings) if public else ""
    finally:
        await runner.cleanup()
        (settings.run / CONSOLE_SOCKET).unlink(missing_ok=True)  # noqa: ASYNC240 - one unlink at the end


async def _console(runner: web.AppRunner, path: Path) -> None:
    path.unlink(missing_ok=True)  # noqa: ASYNC240 - one unlink at start
    previous = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(previous)


async def _public(runner: web.AppRunner, settings: Settings) -> str:
    http = settings.http
    context = tls_context(settings)
    site = web.TCPSite(runner, http.host, http.port, ssl_context=context)
    try:
        await site.start()
    except OSError as error:
        raise OurError(f"cannot bind {http.host} port {http.port}: {error.strerror}") from error
    port = next(address[1] for address in runner.addresses if isinstance(address, tuple))
    host = f"[{http.host}]" if ":" in http.host else http.host
    return http.public_origin or f"{'https' if context else 'http'}://{host}:{port}"
