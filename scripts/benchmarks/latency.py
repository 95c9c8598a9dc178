"""Delay that the relay adds, quiet and while everything else happens beside it.

From the camera's system call to the kernel's stamp at each sink, of the last packet of every picture (720p30 at 2 Mbit/s, a
burst a picture); any hold on purpose is in it.  First table: the worker alone, load and server in two network namespaces: ten
viewers, then a hundred (the last of them to get each picture, and that on keyframes), with another camera and its one viewer
on the same worker.  Second table: the whole relay on 127.0.0.1, ten viewers of one camera and one of another, both recorded
(mux, seal, fsync are always at work), while something runs beside them again and again; `done` says how often it did.

Owns: the tables and what runs beside.  Must never know: how a packet is timed (`load`, `tables`).
"""

import argparse
import asyncio
import dataclasses
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import aiohttp

from scripts.benchmarks.forward import SETTLE_SECONDS, connected
from scripts.benchmarks.join import one_join
from scripts.benchmarks.rig import Hosts, LoadProcess, RelayServer, attempt, running
from scripts.benchmarks.tables import Row, busy_note, markdown, percentile
from scripts.benchmarks.whole import Whole, beside, loads, sending, whole
from tests.support.relay import PASSWORD

COLUMNS = (
    "worker", "viewers", "p50_ms", "p99_ms", "max_ms", "last_leg_p50_ms", "last_leg_key_p50_ms", "last_leg_key_max_ms",
    "other_p50_ms", "other_p99_ms", "lost", "load_busy",
)  # fmt: skip
BESIDE = ("beside", "done", "p50_ms", "p99_ms", "max_ms", "other_p50_ms", "other_p99_ms", "lost", "load_busy")
VIEWERS, MORE_CAMERAS = 10, 8
CLOSED_SECONDS = 20.0
"""How much is recorded of the camera whose recording is then extracted and verified."""

Work: TypeAlias = Callable[[asyncio.Event], Any]


@dataclasses.dataclass
class CollectingServer(RelayServer):
    """A worker that collects garbage once a second."""

    name: str = "collecting"
    module: str = "scripts.benchmarks.collecting_worker"


async def measure(hosts: Hosts, options: argparse.Namespace) -> list[Row]:
    """Both tables."""
    seconds = options.seconds or 6.0
    rows = []
    for viewers in options.viewers or [10, 100]:
        for kind in (RelayServer, CollectingServer):
            rows.append(await attempt(alone(kind, hosts, viewers, seconds), {"worker": kind.name, "viewers": viewers}))
    print(markdown(rows, COLUMNS), flush=True)
    beside_rows = await everything_beside(seconds)
    print("\n" + markdown(beside_rows, BESIDE), flush=True)
    return rows + beside_rows


async def alone(kind: type[RelayServer], hosts: Hosts, viewers: int, seconds: float) -> Row:
    """One camera with its viewers, another with one."""
    async with running(kind, hosts) as (server, load):
        for camera in ("cam", "other"):
            await server.publish(camera)
        await load.ask("run", seconds=0.5, delays=False)
        await connected(server, load, viewers)
        await server.view(["other"])
        await load.ask("run", seconds=SETTLE_SECONDS, delays=False)
        result = await load.ask("run", seconds=seconds)
    return {"worker": server.name, "viewers": viewers, **figures(result)}


def figures(result: Row) -> Row:
    """Return the delays of the first camera and of the second."""
    first, second = result["cameras"][:2]
    return {
        "p50_ms": percentile(first["delays"], 0.5),
        "p99_ms": percentile(first["delays"], 0.99),
        "max_ms": max(first["delays"], default=float("nan")),
        "last_leg_p50_ms": percentile(first["last"], 0.5),
        "last_leg_key_p50_ms": percentile(first["last_key"], 0.5),
        "last_leg_key_max_ms": max(first["last_key"], default=float("nan")),
        "other_p50_ms": percentile(second["delays"], 0.5),
        "other_p99_ms": percentile(second["delays"], 0.99),
        "lost": sum(result["lost"]),
        "load_busy": result["busy"],
        "note": busy_note(result["busy"]),
    }


async def everything_beside(seconds: float) -> list[Row]:
    """The same relay for all rows: first quiet, then with each thing beside it."""
    rows = []
    async with whole() as found:
        with loads(2) as (load, others):
            cameras = await found.enrol(3 + MORE_CAMERAS)
            recording = await recorded(found, others, cameras[0])
            for camera in cameras[1:3]:
                await found.publish(load, camera)
            async with sending(load, 0.1):
                for _ in range(VIEWERS):
                    await found.view(load, cameras[1])
                await found.view(load, cameras[2])
            for name, work in works(found, others, cameras, recording).items():
                rows.append(await attempt(one_beside(load, name, work, seconds), {"beside": name}))
            rows.append(await attempt(with_more(found, load, others, cameras[3:], seconds), {"beside": "more cameras"}))
    return rows


def works(found: Whole, others: LoadProcess, cameras: list[str], recording: str) -> dict[str, Work]:
    """Return what is to run beside the streams."""
    return {
        "nothing": until_over(lambda: asyncio.sleep(0.1), count=False),
        "sign-ins (Argon2)": until_over(lambda: sign_in(found)),
        "extractions": until_over(lambda: extract(found, recording)),
        "verifications": until_over(lambda: found.marie.call("POST", f"/api/recordings/{recording}/verify")),
        "viewers come and go": until_over(lambda: one_join(found, others, cameras[1])),
    }


def until_over(once: Callable[[], Any], *, count: bool = True) -> Work:
    """Return work that does one thing again and again, and says how often."""

    async def work(over: asyncio.Event) -> int:
        done = 0
        while not over.is_set():
            await once()
            done += count
        return done

    return work


async def one_beside(load: LoadProcess, name: str, work: Work, seconds: float) -> Row:
    """Measure with one thing beside."""
    row: Row = {"beside": name}
    await load.ask("run", seconds=1.0, delays=False)
    async with beside(work, row):
        result = await load.ask("run", seconds=seconds)
    return {**row, **figures(result)}


async def with_more(found: Whole, load: LoadProcess, others: LoadProcess, cameras: list[str], seconds: float) -> Row:
    """Measure while more cameras are recorded."""
    async with sending(load, 0.1):
        for camera in cameras:
            await found.publish(others, camera)
    async with sending(others):
        await load.ask("run", seconds=2.0, delays=False)
        result = await load.ask("run", seconds=seconds)
    return {"beside": f"{len(cameras)} more cameras recorded at 2 Mbit/s", "done": len(cameras), **figures(result)}


async def recorded(found: Whole, load: LoadProcess, camera: str) -> str:
    """Record a camera for a while and close it; return its recording."""
    seat = await found.publish(load, camera)
    await load.ask("run", seconds=CLOSED_SECONDS, delays=False)
    await found.end(camera, seat)
    await load.ask("unplug", index=seat.index)
    async with asyncio.timeout(30):
        while True:
            (recording,) = (await found.marie.call("GET", "/api/recordings"))["recordings"]
            if recording["ended_at"]:
                # ACC-03: nothing is extracted while its intervention is open.
                await found.marie.call("POST", f"/api/interventions/{recording['intervention']}/close")
                found.intervention = await found.marie.intervention()
                return str(recording["recording"])
            await asyncio.sleep(0.2)


async def sign_in(found: Whole) -> None:
    """Sign in and out."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        async with http.post(f"{found.relay.url}/api/session", json={"user": "marie", "password": PASSWORD}) as response:
            said = await response.json()
            if response.status != 200:
                raise RuntimeError(f"sign-in: {response.status} {said}")
        async with http.delete(f"{found.relay.url}/api/session", headers={"X-CSRF": said["csrf"]}):
            pass


async def extract(found: Whole, recording: str) -> None:
    """Extract a whole recording and read the archive to its end."""
    wanted = {
        "from": 0,
        "to": time.time_ns(),
        "motive": "measuring an extraction",
        "legal_basis": "CPP_60-1",
        "requesting_agent": "bench",
        "requesting_service": "bench",
        "procedure_no": "2026/1",
    }
    made = await found.marie.call("POST", f"/api/recordings/{recording}/exports", wanted)
    await found.marie.download(made["file"])
