"""The front doors of a whole control under hostile connections: cameras publish and people sign in all the same."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from relay.app.server import serving
from relay.http.connection_table import Standing
from relay.http.shares import LIVE_PER_SIGN_IN
from tests.support.control_line import Line, control_line
from tests.support.hostile_http import Kind, attacking, sources

ATTACKERS = 150
PLACES = {"port": 0, "max_connections": 64, "sign_in_burst": 1000}
"""Two attackers for each place."""


@contextlib.asynccontextmanager
async def besieged(folder: Path) -> AsyncIterator[Line]:
    """Run a control behind the relay's own listener, on few places."""
    async with (
        control_line(folder, http=PLACES) as line,
        serving(line.control.context, line.settings, public=True) as url,
    ):
        yield replace(line, url=url)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("addresses", [1, ATTACKERS])
@pytest.mark.parametrize("kind", list(Kind))
async def test_a_camera_publishes_and_a_commander_signs_in_under_hostile_connections(
    tmp_path: Path, kind: Kind, addresses: int
) -> None:
    async with besieged(tmp_path) as line:
        await line.enrol("cam")
        port = int(line.url.rpartition(":")[2])
        table = line.control.context.connections.table
        async with attacking(kind, port, ATTACKERS, addresses=list(sources(addresses))) as attackers:
            await _all_came(attackers.tasks, lambda: attackers.connected + attackers.failed >= ATTACKERS)
            assert len(table) <= table.places.total
            assert table.count(Standing.STRANGER) <= table.places.strangers
            async with asyncio.timeout(60):  # a busy machine; scripts/bench doors has the bounds
                assert (await line.publish("cam")).status == 201
                async with line.person("marie", "commander") as marie:
                    assert (await marie.call("GET", "/api/cameras"))[0] == 200
                    async with line.page(marie) as page:
                        await page.hear("hello")


async def _all_came(tasks: "list[asyncio.Task[None]]", came: "object") -> None:
    async with asyncio.timeout(60):
        while not came():  # type: ignore[operator]
            assert not any(task.done() for task in tasks)
            await asyncio.sleep(0.05)


async def test_one_sign_in_cannot_hold_any_number_of_live_sockets(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("marie", "commander") as marie, contextlib.AsyncExitStack() as held:
        for _ in range(LIVE_PER_SIGN_IN):
            await held.enter_async_context(line.page(marie))
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await held.enter_async_context(line.page(marie))
        assert refused.value.status == 429


async def test_a_body_that_ends_early_is_refused_and_leaves_no_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with besieged(tmp_path) as line:
        counters = line.control.context.counters.values
        for end, counter in ((b"12345", "http_refused"), (b"zz\r\n", "http_malformed")):
            _, writer = await asyncio.open_connection("127.0.0.1", int(line.url.rpartition(":")[2]))
            how = b"Content-Length: 10" if end == b"12345" else b"Transfer-Encoding: chunked"
            head = b"POST /api/session HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n%b\r\n\r\n"
            before = counters[counter]
            writer.write(head % how + end)
            await writer.drain()
            writer.close()
            async with asyncio.timeout(10):
                while counters[counter] == before:  # noqa: ASYNC110 - what is waited for has no event of its own
                    await asyncio.sleep(0.01)
        assert counters["http_failed"] == 0
        assert "Traceback" not in caplog.text
