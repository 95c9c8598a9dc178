"""CPU per forwarded packet, beside Janus, MediaMTX and stock aiortc.

A camera (720p30, 2 Mbit/s) and N viewers on one server, load and server in two network namespaces.  Figures: CPU of the whole
server process (to the nanosecond) over everything forwarded in a run that begins and ends with nothing under way; delays from
the camera's system call to the kernel's stamp at each sink.  Servers are measured in turn, A B A B; a row is the median of its
runs.

Owns: the rows and their order.  Must never know: how a server is started or asked (`rig`, `janus`, `mediamtx`, `stock_aiortc`).
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.benchmarks import janus, mediamtx
from scripts.benchmarks.rig import Hosts, LoadProcess, Meter, RelayServer, attempt, running
from scripts.benchmarks.stock_aiortc import StockAiortc
from scripts.benchmarks.tables import Row, busy_note, markdown, median_of, percentile

Make = Callable[[Hosts, LoadProcess], Any]
COLUMNS = (
    "server", "viewers", "us_per_packet", "vs_relay", "cpu_share", "missing_share", "lost", "packets_per_read",
    "p50_ms", "p99_ms", "last_leg_p50_ms", "last_leg_key_max_ms", "load_busy",
)  # fmt: skip
SETTLE_SECONDS = 2.0
RECUTS: tuple[Make, ...] = (StockAiortc, mediamtx.MediaMtxServer)
"""Servers that cut pictures into packets of their own: what is missing cannot be counted by packets."""


async def connected(server: Any, load: LoadProcess, viewers: int, camera: str = "cam") -> None:
    """Connect viewers; the camera sends meanwhile, or it would be declared lost."""
    for number in range(viewers):
        await server.view([camera])
        if number % 10 == 9:
            await load.ask("run", seconds=0.1, delays=False)


async def one_run(kind: Make, hosts: Hosts, viewers: int, seconds: float, **source: Any) -> Row:
    """Connect a camera and its viewers, let it settle, measure."""
    async with running(kind, hosts) as (server, load):
        await server.publish("cam", **source)
        await load.ask("run", seconds=0.5, delays=False)
        await connected(server, load, viewers)
        await load.ask("run", seconds=SETTLE_SECONDS, delays=False)
        meter = Meter(server.pid)
        result = await load.ask("run", seconds=seconds)
        used = meter.used()
    row = {"server": server.name, "viewers": viewers, **figures(result, used, seconds, viewers)}
    if kind in RECUTS:
        row |= {"missing_share": None, "note": "; ".join(filter(None, (row["note"], _recut(result, viewers))))}
    return row


def _recut(result: Row, viewers: int) -> str:
    """Return how many packets a server made of each of the camera's."""
    return f"{sum(result['packets']) / max(result['sent'] * viewers, 1):.2f} packets for one of the camera's"


def figures(result: Row, used: float, seconds: float, viewers: int) -> Row:
    """Return the figures of a run: what the load counted, and the server's CPU seconds."""
    packets, seen = sum(result["packets"]), result["cameras"][0]
    return {
        "us_per_packet": used / max(packets, 1) * 1e6,
        "cpu_share": used / seconds,
        "packets": packets,
        "lost": sum(result["lost"]),
        "missing_share": max(0.0, 1 - packets / max(result["sent"] * viewers, 1)),
        "packets_per_read": packets / max(result["bursts"], 1),
        "p50_ms": percentile(seen["delays"], 0.5),
        "p99_ms": percentile(seen["delays"], 0.99),
        "last_leg_p50_ms": percentile(seen["last"], 0.5),
        "last_leg_key_max_ms": max(seen["last_key"], default=float("nan")),
        "load_busy": result["busy"],
        "note": busy_note(result["busy"]),
    }


@dataclass
class UncagedServer(RelayServer):
    """A worker of ours outside its cage: the difference is what the filter of system calls costs."""

    name: str = "uncaged"
    module: str = "scripts.benchmarks.uncaged_worker"


def kinds(hosts: Hosts, viewers: int) -> dict[str, Make]:
    """Return the servers that can be measured here."""
    found: dict[str, Make] = {"relay": RelayServer, "uncaged": UncagedServer}
    if hosts.namespaces and janus.installed():
        found["janus"] = janus.JanusServer
    if hosts.namespaces and mediamtx.installed():
        found["mediamtx"] = mediamtx.MediaMtxServer
    if hosts.namespaces and viewers == 1:
        found["aiortc"] = StockAiortc
    return found


async def measure(hosts: Hosts, options: argparse.Namespace) -> list[Row]:
    """Every count of viewers, every server, every run."""
    rows = []
    for viewers in options.viewers or [1, 10, 30, 100]:
        runs: dict[str, list[Row]] = {}
        for _ in range(options.runs):
            for name, kind in kinds(hosts, viewers).items():
                work = one_run(kind, hosts, viewers, options.seconds or 5.0, spread=options.spread)
                runs.setdefault(name, []).append(await attempt(work, {"server": name, "viewers": viewers}))
        medians = [median_of(several) for several in runs.values()]
        own = medians[0].get("us_per_packet")
        for row in medians:
            row["vs_relay"] = row["us_per_packet"] / own if own and "us_per_packet" in row else None
        rows += medians
        print(markdown(medians, COLUMNS), flush=True)
    return rows
