"""scripts/bench: the packet path measured, references in the same run.

Owns the methods and the tables.  A figure is the median of its runs; a pair of servers is measured in turn, A B A B.
"""

import argparse
import asyncio
import json
import statistics
from collections.abc import Callable
from typing import Any

from scripts.benchmarks import janus
from scripts.benchmarks.rig import Hosts, LoadProcess, Meter, RelayServer, running
from scripts.benchmarks.stock_aiortc import StockAiortc

Make = Callable[[Hosts, LoadProcess], Any]


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of the values lie; nan for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


async def one_run(kind: Make, hosts: Hosts, viewers: int, seconds: float, **source: Any) -> dict[str, Any]:
    """Connect a camera and its viewers, let it settle, measure CPU per forwarded packet and the delay added."""
    async with running(kind, hosts) as (server, load):
        await server.publish("cam", **source)
        await load.ask("run", seconds=0.5)
        for number in range(viewers):
            await server.view(["cam"])
            if number % 10 == 9:
                await load.ask("run", seconds=0.1)
        await load.ask("run", seconds=2.0)
        meter = Meter(server.pid)
        result = await load.ask("run", seconds=seconds)
        packets = sum(result["packets"])
        wanted = result["sent"] * viewers
        return {
            "server": server.name,
            "viewers": viewers,
            "us_per_packet": meter.used() / max(packets, 1) * 1e6,
            "cpu_share": meter.used() / seconds,
            "packets": packets,
            "lost": sum(result["lost"]),
            "missing_share": max(0.0, 1 - packets / max(wanted, 1)),
            "packets_per_read": packets / max(result["bursts"], 1),
            "p50_ms": percentile(result["delays_us"], 0.5) / 1000,
            "p99_ms": percentile(result["delays_us"], 0.99) / 1000,
            "last_leg_p50_ms": percentile(result["last_leg_us"], 0.5) / 1000,
            "last_leg_key_max_ms": max(result["last_leg_key_us"], default=float("nan")) / 1000,
        }


def median_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of the numbers of several runs."""
    first = runs[0]
    return {
        key: statistics.median(run[key] for run in runs) if isinstance(first[key], float | int) else first[key] for key in first
    }


def show(rows: list[dict[str, Any]], columns: list[str]) -> None:
    """Print a table in Markdown."""
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in rows:
        cells = [row.get(column, "") for column in columns]
        print("| " + " | ".join(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells) + " |", flush=True)


async def forward(hosts: Hosts, options: argparse.Namespace) -> list[dict[str, Any]]:
    """CPU per forwarded packet and the delay added, beside Janus and stock aiortc."""
    rows = []
    for viewers in options.viewers:
        kinds: list[Make] = [RelayServer]
        if hosts.namespaces and janus.installed():
            kinds.append(janus.JanusServer)
        if viewers == 1 and hosts.namespaces:
            kinds.append(StockAiortc)
        runs: dict[int, list[dict[str, Any]]] = {}
        for _ in range(options.runs):
            for number, kind in enumerate(kinds):
                runs.setdefault(number, []).append(await one_run(kind, hosts, viewers, options.seconds, spread=options.spread))
        medians = [median_of(several) for several in runs.values()]
        for row in medians:
            row["vs_relay"] = row["us_per_packet"] / medians[0]["us_per_packet"]
        rows += medians
        show(medians, COLUMNS)
    return rows


COLUMNS = [
    "server", "viewers", "us_per_packet", "vs_relay", "cpu_share", "missing_share", "lost", "packets_per_read",
    "p50_ms", "p99_ms", "last_leg_p50_ms", "last_leg_key_max_ms",
]  # fmt: skip


METHODS = {"forward": forward}


async def main() -> None:
    """Run one method and print its table."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("method", choices=sorted(METHODS))
    parser.add_argument("--viewers", type=lambda text: [int(part) for part in text.split(",")], default=[1, 10, 30, 100])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--spread", action="store_true", help="packets of a frame spread over its time, as a radio delivers them"
    )
    parser.add_argument("--json", help="write the rows to this file")
    options = parser.parse_args()
    hosts = Hosts()
    if not hosts.namespaces:
        print("network namespaces are not allowed here: everything on 127.0.0.1, without Janus and stock aiortc")
    try:
        rows = await METHODS[options.method](hosts, options)
    finally:
        hosts.close()
    if options.json:
        with open(options.json, "w") as file:  # noqa: ASYNC230
            json.dump(rows, file, indent=1)


asyncio.run(main())
