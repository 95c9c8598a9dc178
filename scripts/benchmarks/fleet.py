"""A hundred cameras at 500 kbit/s, all recorded and sealed, and four walls of sixteen tiles.

The whole relay on 127.0.0.1 (one worker, one recorder), thin cameras in one process, thin walls in another; every tile shows a
camera of its own.  Figures over the run: packets that the walls missed (by sequence numbers), CPU of each process, its memory
at the beginning and the end and the slope between; afterwards every recording is verified and its gaps are counted.  A full
run is thirty minutes (`--seconds 1800`); the table says how long this one was.

Owns: the fleet and its figures.  Must never know: how a recording is judged (`relay verify` does).
"""

import argparse
import asyncio
import time

from scripts.benchmarks.rig import Hosts, LoadProcess, Meter, attempt
from scripts.benchmarks.tables import Row, busy_note, markdown, slope
from scripts.benchmarks.whole import ROLES, WallSeat, Whole, loads, sending, verdicts, whole

COLUMNS = (
    "cameras", "tiles", "seconds", "packets_in", "packets_out", "lost_by_walls", "kernel_dropped",
    "recordings", "gaps",
)  # fmt: skip
PROCESSES = ("process", "cpu_share", "memory_first_mb", "memory_last_mb", "mb_per_minute")
KBPS, CAMERAS, WALLS, TILES = 500, 100, 4, 16
SETTLE_SECONDS = 3.0
SETUP_SECONDS = 400.0
"""Seconds that connecting, stopping and verifying may take beside the run."""


async def measure(_: Hosts, options: argparse.Namespace) -> list[Row]:
    """One fleet for so long."""
    cameras, seconds = options.cameras or CAMERAS, options.seconds or 40.0
    row = await attempt(one_fleet(cameras, seconds), {"cameras": cameras, "seconds": seconds}, seconds + SETUP_SECONDS)
    print(markdown([row], COLUMNS), "", markdown(row.get("processes", []), PROCESSES), sep="\n", flush=True)
    return [row]


async def one_fleet(cameras: int, seconds: float) -> Row:
    """Enrol and connect them all, measure, stop, verify."""
    async with whole() as found:
        with loads(2) as (field, room):
            names = await found.enrol(cameras)
            async with sending(field, 0.05):  # who is there already must not wait for the others: that would be a gap
                for camera in names:
                    await found.publish(field, camera, kbps=KBPS)
            row = await filmed(found, field, room, names, seconds)
            async with sending(field):  # a camera that fell silent before the end would leave a gap of our making
                await found.relay.stop()
        codes, gaps = await asyncio.to_thread(verdicts, found.relay)
    whole_ones = f"{codes.count(0)} of {len(codes)} whole"
    return {**row, "recordings": whole_ones, "gaps": len(gaps), "gap_spans": gaps[:100]}


async def filmed(found: Whole, field: LoadProcess, room: LoadProcess, names: list[str], seconds: float) -> Row:
    """Open the walls, let everything settle, and measure."""
    async with sending(field), sending(room, 0.1):
        walls = [await WallSeat.open(found, room, TILES) for _ in range(WALLS)]
        for tile in range(WALLS * TILES):
            await walls[tile // TILES].assign(tile % TILES, names[tile % len(names)])
        await asyncio.sleep(SETTLE_SECONDS)
    # The cameras go on as if nothing were: what the walls miss shows in the sequence numbers.
    before = await counters(found)
    meters = {role: Meter(found.pid(role)) for role in ROLES}
    sampling = asyncio.create_task(sampled(found, seconds))
    sent, seen = await asyncio.gather(
        field.ask("run", seconds=seconds, delays=False, settle=False),
        room.ask("run", seconds=seconds, delays=False, settle=False),
    )
    processes = [process_row(role, meters[role].used() / seconds, await sampling) for role in ROLES]
    after = await counters(found)
    return {
        "cameras": len(names),
        "tiles": WALLS * TILES,
        "seconds": seconds,
        "packets_in": sent["sent"],
        "packets_out": sum(seen["packets"]),
        "lost_by_walls": sum(seen["lost"]),
        "kernel_dropped": after["udp_overflow"] - before["udp_overflow"],
        "processes": processes,
        "note": "; ".join(filter(None, (busy_note(sent["busy"]), busy_note(seen["busy"])))),
    }


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
