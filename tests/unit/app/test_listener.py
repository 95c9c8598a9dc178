"""The listener with real sockets: places, TLS handshakes, deadlines, and a system without descriptors."""

import asyncio
import contextlib
import resource
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from relay.app import listener as listening
from relay.app.listener import Listener
from relay.app.tls import ensure_certificate
from relay.base.counters import Counters
from relay.http import connections as placed
from relay.http.connection_table import BODY_SECONDS, CLOSING_SECONDS, STALL_SECONDS, Places, Standing
from relay.http.connections import Connections, PlacedConnection, attended, recognise
from relay.http.malformed import Runner
from relay.http.proxies import networks

PLACES = Places(total=8, strangers=6, per_source=4, per_holder=4)
HELLO = b"GET /hello HTTP/1.1\r\nHost: relay\r\n\r\n"


class House:
    """A small application behind a listener; its clock stands still until `now` is set."""

    def __init__(self, places: Places) -> None:
        self.now = 100.0
        self.counters = Counters()
        self.connections = Connections(places, lambda: self.now, self.counters)
        self.port = 0
        self.failed: list[str] = []

    def count(self, name: str) -> int:
        return self.counters.values[name]


async def hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def whoami(request: web.Request) -> web.Response:
    recognise(request, request.query["name"])
    return web.Response(text=request.query["name"])


async def much(_request: web.Request) -> web.Response:
    return web.Response(body=b"x" * (16 << 20))


async def read(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


@contextlib.asynccontextmanager
async def house(
    places: Places = PLACES, *, tls: ssl.SSLContext | None = None, trusted: tuple[str, ...] = (), start: bool = True
) -> AsyncIterator[tuple[House, Listener]]:
    made = House(places)
    app = web.Application(middlewares=[attended])
    for path, handler in (("/hello", hello), ("/whoami", whoami), ("/much", much)):
        app.router.add_get(path, handler)
    app.router.add_post("/read", read)
    runner = Runner(app, made.counters, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    made.port = sock.getsockname()[1]
    doors = Listener(sock, runner.maker, made.connections, made.counters, tls=tls, trusted=networks(trusted))
    if start:
        doors.start()
    else:
        sock.listen(16)
    try:
        yield made, doors
    finally:
        doors.close()
        await runner.cleanup()


class Caller:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, request: bytes = HELLO) -> bytes:
        """Send a request; return the status line, empty where the connection was closed."""
        self.writer.write(request)
        try:
            async with asyncio.timeout(10):
                head = await self.reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await self.reader.readexactly(length)
                return head.partition(b"\r\n")[0]
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def closed(self) -> bool:
        """Wait until the server has closed it."""
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass
        return True

    @property
    def is_open(self) -> bool:
        return not self.reader.at_eof()


@contextlib.asynccontextmanager
async def calling(made: House, count: int = 1, **options: object) -> AsyncIterator[list[Caller]]:
    """Open connections from addresses of their own; `address` gives all of them one."""
    address = options.pop("address", None)
    callers = []
    for at in range(count):
        local = (str(address or f"127.9.0.{at + 1}"), 0)
        opened = await asyncio.open_connection("127.0.0.1", made.port, local_addr=local, **options)  # type: ignore[arg-type]
        callers.append(Caller(*opened))
    try:
        yield callers
    finally:
        for caller in callers:
            caller.writer.transport.abort()


async def test_silent_strangers_give_way_and_a_newcomer_is_answered() -> None:
    async with house() as (made, _), calling(made, 6) as silent, calling(made, address="127.10.0.1") as (newcomer,):
        assert await newcomer.ask() == b"HTTP/1.1 200 OK"
        assert await silent[0].closed()
        assert all(caller.is_open for caller in silent[1:])
        assert made.count("http_connections_replaced") == 1


async def test_one_address_pays_for_its_own_connections() -> None:
    async with house() as (made, _), calling(made) as (other,), calling(made, 6, address="127.10.0.1") as many:
        assert await many[0].closed()
        assert await many[1].closed()
        assert await other.ask() == b"HTTP/1.1 200 OK"


async def test_connections_of_people_are_kept_and_their_address_has_places() -> None:
    async with house() as (made, _), calling(made, 2, address="127.10.0.1") as mine:
        for caller in mine:
            assert await caller.ask(HELLO.replace(b"/hello", b"/whoami?name=chef")) == b"HTTP/1.1 200 OK"
        async with calling(made, 12):
            assert made.connections.table.count(Standing.HELD) == 2
            async with calling(made, 1, address="127.10.0.1") as (third,):
                assert await third.ask() == b"HTTP/1.1 200 OK"
            for caller in mine:
                assert await caller.ask() == b"HTTP/1.1 200 OK"


async def test_a_trusted_proxy_may_have_as_many_connections_as_there_are_places() -> None:
    async with house(trusted=("127.10.0.1",)) as (made, _), calling(made, 8, address="127.10.0.1") as through:
        for caller in through:
            assert await caller.ask(HELLO.replace(b"/hello", b"/whoami?name=chef")) == b"HTTP/1.1 200 OK"
        assert made.connections.table.count(Standing.PROXY) == 8


async def test_a_body_that_does_not_come_ends_its_connection() -> None:
    head = b"POST /read HTTP/1.1\r\nHost: relay\r\nContent-Length: 10\r\n\r\n"
    async with house() as (made, _), calling(made, 2) as (slow, quick):
        slow.writer.write(head + b"12345")
        quick.writer.write(head + b"12345")
        await _until(lambda: _working(made) == 2)
        assert await quick.ask(b"67890") == b"HTTP/1.1 200 OK"
        made.now += BODY_SECONDS
        made.connections.sweep()
        assert await slow.closed()
        assert made.count("http_connections_overdue") == 1
        assert await quick.ask() == b"HTTP/1.1 200 OK"


async def test_an_answer_that_nobody_reads_is_cut_off() -> None:
    async with house() as (made, _), calling(made) as (deaf,):
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined] # a transport that reads has it
        deaf.writer.write(HELLO.replace(b"/hello", b"/much"))
        await _until(lambda: _stalled(made) == 1)
        made.now += STALL_SECONDS - 1
        made.connections.sweep()
        assert len(made.connections) == 1
        made.now += 1
        made.connections.sweep()
        await _until(lambda: len(made.connections) == 0)


async def test_a_closed_connection_whose_last_bytes_nobody_takes_is_cut_off() -> None:
    async with house() as (made, _), calling(made) as (deaf,):
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined] # a transport that reads has it
        deaf.writer.write(HELLO.replace(b"/hello", b"/much"))
        await _until(lambda: _stalled(made) == 1)
        for connection in _open(made):
            connection.force_close()
        made.connections.sweep()
        assert len(made.connections) == 1
        made.now += CLOSING_SECONDS
        made.connections.sweep()
        await _until(lambda: len(made.connections) == 0)


async def test_a_head_that_comes_too_slowly_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placed, "HEAD_SECONDS", 0.3)
    async with house() as (made, _), calling(made, 2) as (slow, idle):
        assert await idle.ask() == b"HTTP/1.1 200 OK"
        for at in range(8):
            slow.writer.write(b"GET /hello HTTP/1.1\r\n" if at == 0 else b"X-%d: 1\r\n" % at)
            await asyncio.sleep(0.05)
        assert await slow.closed()
        assert await idle.closed()


async def test_requests_that_queue_up_on_an_unproved_connection_end_it_after_one_answer() -> None:
    async with house() as (made, _), calling(made, 2) as (many, mine):
        many.writer.write(HELLO * 20)
        assert await mine.ask(HELLO.replace(b"/hello", b"/whoami?name=chef")) == b"HTTP/1.1 200 OK"
        assert (await asyncio.wait_for(many.reader.read(), 10)).count(b"HTTP/1.1 200 OK") == 1
        mine.writer.write(HELLO * 20 + HELLO.replace(b"Host", b"Connection: close\r\nHost"))
        assert (await asyncio.wait_for(mine.reader.read(), 10)).count(b"HTTP/1.1 200 OK") == 21


async def test_more_connections_than_one_turn_takes_are_all_served_if_they_come_no_faster_than_strangers_may() -> None:
    places = Places(total=200, strangers=180, per_source=150, per_holder=4)
    async with house(places) as (made, _), calling(made, 100) as callers:
        assert [await caller.ask() for caller in callers] == [b"HTTP/1.1 200 OK"] * 100


@pytest.fixture
def certified(tmp_path: Path) -> ssl.SSLContext:
    certificate, key = ensure_certificate(tmp_path, "127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


def careless() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def test_under_tls_a_connection_counts_before_its_handshake(certified: ssl.SSLContext) -> None:
    async with house(tls=certified) as (made, _), calling(made, 6) as silent:
        await _until(lambda: made.connections.table.count(Standing.STRANGER) == 6)
        async with calling(made, address="127.10.0.1", ssl=careless()) as (newcomer,):
            assert await newcomer.ask() == b"HTTP/1.1 200 OK"
            assert await silent[0].closed()
            await _until(lambda: len(made.connections) == 6)


async def test_a_handshake_has_a_deadline(certified: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HANDSHAKE_SECONDS", 0.3)
    async with house(tls=certified) as (made, _), calling(made, 2) as (silent, half):
        half.writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert await silent.closed()
        assert await half.closed()
        await _until(lambda: len(made.connections) == 0)
        assert made.count("http_handshake_failures") == 2


@contextlib.contextmanager
def without_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_descriptors_accepting_pauses_and_then_goes_on() -> None:
    async with house(start=False) as (made, doors), calling(made) as (waiting,):
        with without_descriptors():
            doors.start()
            began, used = time.monotonic(), time.process_time()
            await asyncio.sleep(3 * listening.PAUSE_SECONDS)
            busy = (time.process_time() - used) / (time.monotonic() - began)
        assert 1 <= made.count("http_accept_failures") <= 4
        assert busy < 0.5, "accept was tried again and again"
        assert await waiting.ask() == b"HTTP/1.1 200 OK"


def _open(made: House) -> list[PlacedConnection]:
    return list(made.connections._open.values())


def _working(made: House) -> int:
    return sum(entry.working for entry in made.connections.table._entries.values())


def _stalled(made: House) -> int:
    return sum(entry.stalled_since is not None for entry in made.connections.table._entries.values())


async def _until(condition: "object") -> None:
    async with asyncio.timeout(10):
        while not condition():  # type: ignore[operator] # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)
