"""Attackers at the live sockets: a signed-in operator's page and a camera, each of which sends without end.

Owns: what they send.  Must never import the relay.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import msgpack

from tests.support.hostile_target import Target, paced

RATE = 5_000
"""Messages a second."""


async def page(target: Target, over: asyncio.Event) -> int:
    """Questions for the time, assignments to slots of nobody, and bytes that are no message."""
    made = [
        msgpack.packb({"t": "time", "echo": 1}),
        msgpack.packb({"t": "assign", "wall": "nobody", "worker": 0, "slot": 0, "camera": target.watched, "layer": "high"}),
        msgpack.packb({"t": "layer", "wall": "nobody", "slot": 1 << 30, "layer": "low"}),
        msgpack.packb({"t": "listen", "wall": "nobody", "slot": None}),
        b"\xc1" * 16_000,
    ]
    return await _flood(target, over, "/live", target.signed_in(), lambda number: made[number % len(made)])


async def camera(target: Target, over: asyncio.Event) -> int:
    """Beats, presses and releases in turn, answers to no request, and bytes that are no message."""
    made: list[bytes | Mapping[str, Any]] = [
        {"t": "beat", "battery": 50, "lat": 48.0, "lon": 2.0},
        {"t": "press", "threat": "agents", "reason": "x" * 15_000},
        {"t": "release"},
        {"t": "accept", "request": "nobody"},
        {"t": "time", "echo": 5, "utc_ns": 5},
        b"\xff" * 100,
    ]
    packed = [each if isinstance(each, bytes) else msgpack.packb(each) for each in made]
    return await _flood(target, over, "/live/camera", target.as_camera(), lambda number: packed[number % len(packed)])


async def _flood(
    target: Target, over: asyncio.Event, path: str, headers: Mapping[str, str], message: Callable[[int], bytes]
) -> int:
    """Send until it is over; come back when the socket is closed."""
    sent = 0
    async with target.client() as http:
        while not over.is_set():
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, ConnectionError):
                async with http.ws_connect(target.url + path, headers={**headers, "Origin": target.url}) as socket:
                    reading = asyncio.create_task(_read(socket))
                    try:
                        async for number in paced(RATE, over):
                            if socket.closed or reading.done():
                                break
                            await asyncio.wait_for(socket.send_bytes(message(number)), 5)
                            sent += 1
                    finally:
                        reading.cancel()
            await asyncio.sleep(0.2)
    return sent


async def _read(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass
