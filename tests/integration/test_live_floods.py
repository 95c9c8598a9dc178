"""Floods over real live sockets: they end by themselves, cost nobody else, and lose no press."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import msgpack

from tests.support.control_line import Socket, control_line, until
from tests.support.live_messages import as_bytes


async def closed(socket: Socket) -> tuple[int | None, list[dict[str, Any]]]:
    """Read until the relay closes the socket; return the code and what came before."""
    heard = []
    async with asyncio.timeout(60):
        while (message := await socket.raw.receive()).type is aiohttp.WSMsgType.BINARY:
            heard.append(msgpack.unpackb(message.data))
    return socket.raw.close_code, heard


async def test_a_camera_that_floods_is_closed_and_its_press_stands_and_it_may_come_back(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        await line.enrol("pm-1")
        async with line.camera("pm-1") as camera:
            beat = as_bytes({"t": "beat", "battery": 50.0})
            for number in range(700):
                await camera.raw.send_bytes(as_bytes({"t": "press"}) if number == 450 else beat)
            assert (await closed(camera))[0] == aiohttp.WSCloseCode.POLICY_VIOLATION
        unit = line.control.context.camera_sockets.unit("pm-1")
        assert unit is not None
        assert unit.pressed
        assert line.control.context.counters.values["live_floods"] == 1
        await until(lambda: not unit.online, "the socket is gone")
        async with line.camera("pm-1") as camera:
            await camera.hear("welcome")
            await camera.raw.send_bytes(as_bytes({"t": "time", "echo": 5}))
            await camera.hear("time", echo=5)


async def test_a_page_that_floods_is_told_why_it_is_closed(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        pace = line.control.context.live.pace_of("olga")
        assert pace.may_wait(29.9, line.control.context.clock.monotonic())
        async with line.page(olga) as page:
            for _ in range(100):
                await page.raw.send_bytes(as_bytes({"t": "time", "echo": 1}))
            code, heard = await closed(page)
            assert code == aiohttp.WSCloseCode.POLICY_VIOLATION
            assert heard[-1] == {"t": "bye", "reason": "too many messages"}
            assert [message["code"] for message in heard if message["t"] == "refused"] == ["too_many_messages"]


async def test_a_page_that_asked_for_batches_gets_states_several_at_once(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        for number in range(40):
            await line.enrol(f"pm-{number}")
        await line.control.context.live.refresh()
        async with olga.http.ws_connect(f"{line.url}/live?states=batch") as raw:
            page = Socket(raw)
            await page.hear("cameras")
            for number in range(40):
                line.control.context.live.camera_changed(f"pm-{number}")
            names: set[str] = set()
            while len(names) < 40:
                states = await page.hear("states")
                assert len(states["cameras"]) <= 32
                names |= {state["camera"] for state in states["cameras"]}
