"""`join`: from the request to the first picture; `switch`: from a slot's assignment to the other camera's first picture.

The whole relay on 127.0.0.1 (so the journal entry that must be durable first is part of it), cameras of 720p30 at 2 Mbit/s in
a process of their own, one keyframe in two seconds.  A join is timed from before the POST to `/whep` (the offer is made
beforehand) to the kernel's stamp of the last packet of the first whole keyframe: HTTP, policy, journal, ICE, DTLS, the replay
of what came since the keyframe.  A switch is timed from before the message on the live socket, in a wall of sixteen slots.

Owns: both figures.  Must never know: how the relay decides.
"""

import argparse
import asyncio
import random
import time

from scripts.benchmarks.rig import Hosts, LoadProcess, attempt
from scripts.benchmarks.tables import Row, markdown, percentile
from scripts.benchmarks.whole import WallSeat, Whole, loads, sending, whole

COUNT = 40
SLOTS = 16
JOIN_COLUMNS = ("watching", "joins", "p50_ms", "p95_ms", "max_ms", "answer_p50_ms", "connected_p50_ms", "no_picture")
SWITCH_COLUMNS = ("watching", "switches", "p50_ms", "p95_ms", "max_ms", "assigned_p50_ms", "no_picture")
PAUSE_SECONDS = 0.12


async def one_join(found: Whole, load: LoadProcess, camera: str) -> tuple[float, float, float]:
    """Join and leave; return ms to the answer, to the connection and to the first picture (nan: none in five seconds)."""
    made = await load.ask("add_sink", videos=1)
    await load.ask("watch", index=made["index"], camera=0)
    begun = time.time_ns()
    answer, location = await found.marie.offer(f"/whep/{camera}?intervention={found.intervention}", made["offer"])
    answered = time.time_ns()
    await load.connect("sink", made["index"], answer)
    connected = time.time_ns()
    seen = (await load.ask("pictures", sinks=[made["index"]]))["picture_ns"][0]
    await found.marie.call("DELETE", location)
    await load.ask("close", index=made["index"])
    return (answered - begun) / 1e6, (connected - begun) / 1e6, (seen - begun) / 1e6 if seen else float("nan")


async def measure(_: Hosts, options: argparse.Namespace) -> list[Row]:
    """Joins while so many others watch the same camera."""
    count = options.count or COUNT
    rows = [await attempt(all_joins(watching, count), {"watching": watching}) for watching in options.viewers or [0, 30]]
    print(markdown(rows, JOIN_COLUMNS), flush=True)
    return rows


async def all_joins(watching: int, count: int) -> Row:
    """Set everything up for one row."""
    async with whole() as found:
        with loads(2) as (near, far):
            (camera,) = await found.enrol(1)
            await found.publish(near, camera)
            async with sending(near):
                for _ in range(watching):
                    await found.view(near, camera)
                return await joins(found, far, camera, watching, count)


async def joins(found: Whole, load: LoadProcess, camera: str, watching: int, count: int) -> Row:
    """Join so often, at instants that have nothing to do with the keyframes."""
    instants = random.Random(1)
    await asyncio.sleep(3)
    times = []
    for _ in range(count):
        await asyncio.sleep(PAUSE_SECONDS * instants.uniform(1, 3))
        times.append(await one_join(found, load, camera))
    answered, connected, seen = zip(*times, strict=True)
    return {
        "watching": watching,
        "joins": count,
        **spread(seen),
        "answer_p50_ms": percentile(answered, 0.5),
        "connected_p50_ms": percentile(connected, 0.5),
    }


def spread(times: tuple[float, ...]) -> Row:
    """Return the figures of times to a picture; pictures that never came are counted apart."""
    came = [each for each in times if each == each]
    return {
        "p50_ms": percentile(came, 0.5),
        "p95_ms": percentile(came, 0.95),
        "max_ms": max(came, default=float("nan")),
        "no_picture": len(times) - len(came),
    }


async def measure_switch(_: Hosts, options: argparse.Namespace) -> list[Row]:
    """Switches of one slot of a wall between two cameras."""
    count = options.count or COUNT
    rows = [await attempt(all_switches(watching, count), {"watching": watching}) for watching in options.viewers or [0]]
    print(markdown(rows, SWITCH_COLUMNS), flush=True)
    return rows


async def all_switches(watching: int, count: int) -> Row:
    """Set everything up for one row."""
    async with whole() as found:
        with loads(2) as (near, far):
            cameras = await found.enrol(2)
            for camera in cameras:
                await found.publish(near, camera)
            async with sending(near):
                for number in range(watching):
                    await found.view(near, cameras[number % 2])
                return {"watching": watching, **await switches(found, far, cameras, count)}


async def switches(found: Whole, load: LoadProcess, cameras: list[str], count: int) -> Row:
    """Switch so often, at instants that have nothing to do with the keyframes."""
    instants = random.Random(2)
    wall = await WallSeat.open(found, load, SLOTS)
    await load.ask("run", seconds=3, delays=False)
    times, assigned = [], []
    for number in range(count + 1):
        await load.ask("run", seconds=PAUSE_SECONDS * instants.uniform(1, 3), delays=False, settle=False)
        await load.ask("watch", index=wall.index, camera=number % 2)
        begun = time.time_ns()
        await wall.assign(0, cameras[number % 2])
        assigned.append((time.time_ns() - begun) / 1e6)
        seen = (await load.ask("pictures", sinks=[wall.index]))["picture_ns"][0]
        times.append((seen - begun) / 1e6 if seen else float("nan"))
    await wall.close()
    return {"switches": count, **spread(tuple(times[1:])), "assigned_p50_ms": percentile(assigned[1:], 0.5)}
