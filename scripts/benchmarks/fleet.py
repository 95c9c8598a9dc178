"""A hundred cameras at 500 kbit/s, all recorded and sealed, and four walls of sixteen tiles; options change each number.

The whole relay on 127.0.0.1 (one worker, one recorder), thin cameras in a process for each hundred, thin walls in another;
every tile shows a camera of its own, as long as there are enough.  Each wall has its page's live socket, which gets the state
of every camera.  Figures over the run: packets that the walls missed (by sequence numbers), what each page received, pages
whose socket was closed, CPU of each process, its memory at the beginning and the end and the slope between; afterwards every
recording is verified and its gaps are counted.  A full run is thirty minutes (`--seconds 1800`); the table says how long this
one was.

The run fails where a page was disconnected or missed a camera, a recording has a gap or a finding, or the walls missed more
than one packet in a thousand.

Owns: the fleet, its figures and their bounds.  Must never know: how a recording is judged (`relay verify` does).
"""

import argparse
import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from scripts.benchmarks.rig import Hosts, LoadProcess, Meter, attempt
from scripts.benchmarks.tables import Row, busy_note, markdown, slope
from scripts.benchmarks.whole import ROLES, WallSeat, Whole, loads, sending, verdicts, whole

COLUMNS = (
    "cameras", "kbps", "fps", "tiles", "seconds", "machine_busy", "packets_in", "packets_out", "lost_by_walls",
    "kernel_dropped", "pages_open", "cameras_seen", "page_messages_per_s", "page_kb_per_s", "recordings", "gaps",
)  # fmt: skip
PROCESSES = ("process", "cpu_share", "memory_first_mb", "memory_last_mb", "mb_per_minute")
KBPS, FPS, CAMERAS, WALLS, TILES = 500, 30, 100, 4, 16
CAMERAS_PER_PROCESS = 100
"""Cameras that one process of the load sends.  Each process connects its cameras beside the others."""
BEGIN_AT_ONCE, BEGIN_SECONDS = 5, 0.5
"""So many cameras of each process begin to film at once, and so long after the ones before."""
SLOWER = 10
"""Cameras film so many times fewer pictures until all walls are open: processes that share the machine with a relay at full
load take seconds for a handshake, which cameras and browsers out there do on processors of their own."""
SETTLE_SECONDS = 3.0
SETUP_SECONDS, SETUP_SECONDS_PER_CAMERA = 300.0, 3.0
"""Seconds that connecting, stopping and verifying may take beside the run."""
MOST_LOST = 0.001


async def measure(_: Hosts, options: argparse.Namespace) -> list[Row]:
    """One fleet for so long; raise SystemExit where a bound was broken."""
    cameras, seconds = options.cameras or CAMERAS, options.seconds or 40.0
    walls, tiles = options.walls or WALLS, options.tiles or TILES
    longest = seconds + SETUP_SECONDS + SETUP_SECONDS_PER_CAMERA * cameras
    fleet = one_fleet(cameras, (options.kbps or KBPS, options.fps or FPS), walls, tiles, seconds)
    row = await attempt(fleet, {"cameras": cameras, "seconds": seconds}, longest)
    print(markdown([row], COLUMNS), "", markdown(row.get("processes", []), PROCESSES), sep="\n", flush=True)
    broken = list(broken_bounds(row, walls))
    if broken:
        print("\ngaps:", *row.get("gap_spans", []), sep="\n  ", flush=True)
        raise SystemExit(f"beyond the bounds: {'; '.join(broken)}")
    return [row]


def broken_bounds(row: Row, walls: int) -> Iterator[str]:
    """Yield what went wrong."""
    if "error" in row:
        yield str(row["error"])
        return
    if row["pages_open"] < walls:
        yield f"{walls - row['pages_open']} pages were disconnected"
    if row["cameras_seen"] < row["cameras"]:
        yield f"a page got the states of {row['cameras_seen']} of {row['cameras']} cameras only"
    if row["gaps"] or row["whole"] < row["cameras"]:
        yield f"{row['gaps']} gaps, {row['whole']} of {row['cameras']} recordings whole"
    if row["lost_by_walls"] > MOST_LOST * row["packets_out"]:
        yield f"the walls missed {row['lost_by_walls']} packets"


async def one_fleet(cameras: int, stream: tuple[int, int], walls: int, tiles: int, seconds: float) -> Row:
    """Enrol and connect them all (`stream`: kbit/s and pictures a second), measure, stop, verify."""
    async with whole() as found:
        with loads(1 + -(-cameras // CAMERAS_PER_PROCESS), is_background=True) as (room, *fields):
            names = await found.enrol(cameras)
            async with all_sending(fields, 0.05):  # who is there already must not wait for the others: that would be a gap
                await asyncio.gather(
                    *(connect(found, field, names[at :: len(fields)], *stream) for at, field in enumerate(fields))
                )
            row = await filmed(found, fields, room, names, (walls, tiles), seconds)
            async with all_sending(fields):  # a camera that fell silent before the end would leave a gap of our making
                await found.relay.stop()
        codes, gaps = await asyncio.to_thread(verdicts, found.relay)
    whole_ones = codes.count(0)
    verified = {"recordings": f"{whole_ones} of {len(codes)} whole", "whole": whole_ones}
    return {**row, **verified, "kbps": stream[0], "fps": stream[1], "gaps": len(gaps), "gap_spans": gaps[:100]}


async def connect(found: Whole, field: LoadProcess, names: list[str], kbps: int, fps: int) -> None:
    """Connect the cameras of one process, one after the other, and have them film a few at a time.

    A process that waits for a handshake sends nothing; so that its other cameras are not silent then, none films before all
    are connected.
    """
    for camera in names:
        await found.publish(field, camera, kbps=kbps, fps=fps, held=True)
    while (await field.ask("begin", count=BEGIN_AT_ONCE, slower=SLOWER))["begun"]:
        await asyncio.sleep(BEGIN_SECONDS)


async def quicken(field: LoadProcess) -> None:
    """Have the cameras of one process film as many pictures as they were made for, a few more at a time."""
    while (await field.ask("quicken", count=BEGIN_AT_ONCE))["quickened"]:
        await asyncio.sleep(BEGIN_SECONDS)


@contextlib.asynccontextmanager
async def all_sending(fields: list[LoadProcess], step: float = 0.5) -> AsyncIterator[None]:
    """Have the cameras of all these processes send inside the block."""
    async with contextlib.AsyncExitStack() as stack:
        for field in fields:
            await stack.enter_async_context(sending(field, step))
        yield


async def filmed(
    found: Whole, fields: list[LoadProcess], room: LoadProcess, names: list[str], grid: tuple[int, int], seconds: float
) -> Row:
    """Open the walls (so many, of so many tiles), let everything settle, and measure."""
    count, tiles = grid
    async with all_sending(fields), sending(room, 0.1):
        walls = [await WallSeat.open(found, room, tiles) for _ in range(count)]
        for tile in range(count * tiles):
            await walls[tile // tiles].assign(tile % tiles, names[tile % len(names)])
        await asyncio.gather(*map(quicken, fields))
        await asyncio.sleep(SETTLE_SECONDS)
    # The cameras go on as if nothing were: what the walls miss shows in the sequence numbers.
    before = await counters(found)
    meters = {role: Meter(found.pid(role)) for role in ROLES}
    for wall in walls:
        wall.messages = wall.bytes = 0
        wall.cameras.clear()
    sampling, idle = asyncio.create_task(sampled(found, seconds)), idle_seconds()
    seen, *sent = await asyncio.gather(
        *(load.ask("run", seconds=seconds, delays=False, settle=False) for load in (room, *fields))
    )
    processes = [process_row(role, meters[role].used() / seconds, await sampling) for role in ROLES]
    after, idle = await counters(found), idle_seconds() - idle
    return {
        "cameras": len(names),
        "tiles": count * tiles,
        "seconds": seconds,
        "machine_busy": 1 - idle / (seconds * (os.cpu_count() or 1)),
        "packets_in": sum(each["sent"] for each in sent),
        "packets_out": sum(seen["packets"]),
        "lost_by_walls": sum(seen["lost"]),
        "kernel_dropped": after["udp_overflow"] - before["udp_overflow"],
        "pages_open": sum(not wall.reading.done() for wall in walls),
        "cameras_seen": min(len(wall.cameras) for wall in walls),
        "page_messages_per_s": sum(wall.messages for wall in walls) / count / seconds,
        "page_kb_per_s": sum(wall.bytes for wall in walls) / count / seconds / 1000,
        "processes": processes,
        "note": "; ".join(filter(None, (busy_note(each["busy"]) for each in (seen, *sent)))),
    }


def idle_seconds() -> float:
    """Return how long all processors together had nothing to do since the machine began (proc(5), /proc/stat)."""
    columns = Path("/proc/stat").read_text().split(maxsplit=5)
    return float(columns[4]) / os.sysconf("SC_CLK_TCK")


async def counters(found: Whole) -> dict[str, float]:
    """Return the worker's counters of datagrams that the kernel dropped."""
    page = await found.alice.text("/metrics")
    lines = [line.split() for line in page.splitlines() if "udp_overflow" in line and not line.startswith("#")]
    return {"udp_overflow": sum(float(line[-1]) for line in lines)}


async def sampled(found: Whole, seconds: float) -> list[tuple[float, dict[str, float]]]:
    """Return the memory of each process, about fifty times over the run."""
    begun, samples = time.monotonic(), []
    while (elapsed := time.monotonic() - begun) < seconds:
        samples.append((elapsed, found.memory()))
        await asyncio.sleep(max(0.5, seconds / 50))
    return samples


def process_row(role: str, cpu_share: float, samples: list[tuple[float, dict[str, float]]]) -> Row:
    """Return what a process took; the slope is of the second half, when everything that grows once has grown."""
    half = samples[len(samples) // 2 :]
    return {
        "process": role,
        "cpu_share": cpu_share,
        "memory_first_mb": samples[0][1][role],
        "memory_last_mb": samples[-1][1][role],
        "mb_per_minute": slope([(at / 60, memory[role]) for at, memory in half]),
    }
