"""scripts/bench METHOD: what the relay costs and what it adds, measured; references in the same run.

Owns: the command line.  Must never know: how a method measures: its module says so, and prints its own tables (Markdown, as
BENCHMARKS.md has them).
"""

import argparse
import asyncio
import json
import os
import sys
import time
from importlib import import_module

from scripts.benchmarks.rig import Hosts

METHODS = {
    "forward": "CPU per forwarded packet, beside Janus, MediaMTX and stock aiortc",
    "latency": "delay added, quiet and while everything else happens beside it",
    "join": "from the request to the first picture",
    "switch": "from a slot's assignment to the other camera's first picture",
    "record": "the recorder's CPU per packet",
    "neighbours": "twenty recorded cameras beside one that tries to cost them their recordings",
    "fleet": "a hundred recorded cameras and four walls: losses, CPU, memory",
    "sockets": "how quickly others are answered while a camera and a page flood their live sockets",
    "glass": "glass to glass in Chromium, read from the burnt-in time code",
    "networks": "freezes and gaps on bad networks, before and behind the relay",
}
ALONE = ("flood", "verify", "check", "doors", "heads", "way", "addresses")
"""Methods with command lines of their own."""


def arguments() -> argparse.Namespace:
    """Return the options."""
    methods = "\n".join(f"  {name:12}{what}" for name, what in METHODS.items())
    methods += "".join(f"\n  {name:12}see scripts/bench {name} --help" for name in ALONE)
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=f"{__doc__}\n{methods}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--viewers", type=lambda text: [int(part) for part in text.split(",")], help="counts, comma-separated")
    parser.add_argument("--seconds", type=float, help="length of one measurement; each method has its own default")
    parser.add_argument("--runs", type=int, default=3, help="runs of each row of `forward`; the row is their median")
    parser.add_argument(
        "--spread", action="store_true", help="packets of a picture spread over its time, as radios deliver them"
    )
    parser.add_argument("--cameras", type=int, help="`fleet`: how many cameras (100)")
    parser.add_argument("--walls", type=int, help="`fleet`: how many walls, each with its page (4)")
    parser.add_argument("--tiles", type=int, help="`fleet`: how many tiles each wall has (16)")
    parser.add_argument("--kbps", type=int, help="`fleet`: kbit/s of each camera (500)")
    parser.add_argument("--fps", type=int, help="`fleet`: pictures a second of each camera (30)")
    parser.add_argument("--count", type=int, help="`join`, `switch`: how many times (40)")
    parser.add_argument("--only", help="`networks`: rows whose name contains this")
    parser.add_argument("--json", help="write the rows to this file")
    return parser.parse_args()


def _module(method: str) -> str:
    return f"scripts.benchmarks.{'join' if method == 'switch' else method}"


async def run(options: argparse.Namespace) -> None:
    """Run one method and print its tables."""
    hosts = Hosts()
    if not hosts.namespaces:
        print("network namespaces are not allowed here: everything on 127.0.0.1, without Janus, MediaMTX and stock aiortc")
    begun, load = time.monotonic(), os.getloadavg()[0]
    module = import_module(_module(options.method))
    try:
        rows = await (module.measure_switch if options.method == "switch" else module.measure)(hosts, options)
    finally:
        hosts.close()
    took, command = time.monotonic() - begun, " ".join(sys.argv[1:])
    print(f"\n{os.cpu_count()} CPUs, load before {load:.1f}, took {took:.0f} s: scripts/bench {command}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in ALONE:
        name = sys.argv.pop(1)
        import_module(f"scripts.benchmarks.{name}").main()
    else:
        asyncio.run(run(arguments()))
