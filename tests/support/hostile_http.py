"""Clients that hold a server's connections: they connect and are silent, slow or deaf, and come back when they are closed.

Owns the attackers of one test, soak or bench.  Must never import the relay: it is used as a stranger would use it.  They
speak to 127.0.0.1 only.
"""

import argparse
import asyncio
import contextlib
import ipaddress
import resource
import ssl
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

COME_BACK_SECONDS = 1.0
"""How long an attacker whose connection was closed waits before the next."""
DRIP_SECONDS = 2.0
"""Between two bytes of a slow attacker."""
_HEAD_OF_A_SIGN_IN = (
    b"POST /api/session HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
)


class Kind(StrEnum):
    """What an attacker does with its connection."""

    SILENT = "silent"
    """Connects, sends nothing; towards a TLS port: no ClientHello."""
    SLOW_HEAD = "slow-head"
    """Sends a request's head, one line every `DRIP_SECONDS`."""
    SLOW_BODY = "slow-body"
    """Sends a whole head, then the body byte by byte."""
    IDLE = "idle"
    """Makes one request, then keeps its connection."""
    DEAF = "deaf"
    """Makes many requests and reads no answer."""
    TLS_SILENT = "tls-silent"
    """Begins a TLS handshake and does not go on."""


@dataclass
class Attackers:
    """How the attackers fare."""

    wanted: int
    open: int = 0
    connected: int = 0
    """Connections made so far."""
    closed: int = 0
    """Connections that the server closed."""
    failed: int = 0
    """Attempts that the server did not accept."""
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)


def sources(count: int) -> Iterator[str]:
    """Yield different addresses of 127.0.0.0/8, from 127.8.0.1 on."""
    first = int(ipaddress.IPv4Address("127.8.0.1"))
    return (str(ipaddress.IPv4Address(first + at)) for at in range(count))


def allow_descriptors() -> None:
    """Let this process open as many sockets as the system allows it to."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@asynccontextmanager
async def attacking(
    kind: Kind, port: int, count: int, *, addresses: Sequence[str] = ("127.0.0.1",), tls: bool = False
) -> AsyncIterator[Attackers]:
    """Hold `count` connections to a port of 127.0.0.1 from these addresses in turn, until the block ends.

    `tls`: the port speaks TLS, and the attackers shake hands before they are slow (`SILENT` and `TLS_SILENT` do not).
    """
    allow_descriptors()
    found = Attackers(count)
    found.tasks = [
        asyncio.create_task(_attack(kind, port, addresses[at % len(addresses)], found, tls=tls)) for at in range(count)
    ]
    try:
        yield found
    finally:
        for task in found.tasks:
            task.cancel()
        await asyncio.gather(*found.tasks, return_exceptions=True)


async def _attack(kind: Kind, port: int, address: str, found: Attackers, *, tls: bool) -> None:
    context = _careless() if tls and kind not in (Kind.SILENT, Kind.TLS_SILENT) else None
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, local_addr=(address, 0))
        except OSError:
            found.failed += 1
            await asyncio.sleep(COME_BACK_SECONDS)
            continue
        found.open += 1
        found.connected += 1
        try:
            await _hold(kind, reader, writer)
        except OSError:
            pass
        finally:
            found.open -= 1
            writer.transport.abort()
        found.closed += 1
        await asyncio.sleep(COME_BACK_SECONDS)


def _careless() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _hold(kind: Kind, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Keep one connection until the server closes it."""
    match kind:
        case Kind.SLOW_HEAD:
            await _drip(writer, _lines())
        case Kind.SLOW_BODY:
            await _drip(writer, iter([_HEAD_OF_A_SIGN_IN, *([b"x"] * 60_000)]))
        case Kind.IDLE:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n")
        case Kind.DEAF:
            writer.transport.pause_reading()  # type: ignore[attr-defined] # a transport that reads has it
            writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: relay\r\n\r\n" * 400)
            await _gone(writer)
            return
        case Kind.TLS_SILENT:
            writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # the first bytes of a ClientHello of 512
        case Kind.SILENT:
            pass
    while await reader.read(65_536):
        pass


def _lines() -> Iterator[bytes]:
    yield b"GET /healthz HTTP/1.1\r\nHost: relay\r\n"
    for number in range(100):
        yield b"X-Slow-%d: 1\r\n" % number


async def _drip(writer: asyncio.StreamWriter, parts: Iterator[bytes]) -> None:
    for part in parts:
        if writer.transport.is_closing():
            return
        writer.write(part)
        await asyncio.sleep(DRIP_SECONDS)


async def _gone(writer: asyncio.StreamWriter) -> None:
    """Wait until the server reset the connection, without reading from it."""
    while not writer.transport.is_closing():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRIP_SECONDS):
                await asyncio.Event().wait()
        writer.write(b"\r\n")


async def main() -> None:
    """Attack until standard input ends; print how the attackers fare, once a second, as `open connected closed failed`."""
    parser = argparse.ArgumentParser(prog="tests.support.hostile_http")
    parser.add_argument("kind", type=Kind)
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--addresses", type=int, default=1)
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    addresses = list(sources(options.addresses))
    async with attacking(options.kind, options.port, options.count, addresses=addresses, tls=options.tls) as found:
        while not ended.done():
            print(found.open, found.connected, found.closed, found.failed, flush=True)
            await asyncio.wait([ended], timeout=1)


if __name__ == "__main__":
    asyncio.run(main())
