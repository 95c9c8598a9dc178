"""`scripts/soak/hostile [--minutes N] [--only TEXT] [--json FILE]`: a victim beside each attacker, and beside all at once.

The whole relay on 127.0.0.1 as `relay serve` starts it, under its default limits.  Four honest cameras are recorded; somebody
watches each of them, and every few seconds somebody joins, a page asks the time, a camera publishes for a moment, and a person
signs in.  Attackers run in processes of their own (`tests/support/hostile`), niced, from addresses of their own.  Two rows are
of honest programs that are as busy as an attacker: what they do to the victim is this machine's doing.  After the run every
recording is verified, and each gap is put into the row in which it lies; a pause is no gap where its camera sent nothing.

Owns: the order of the attacks, the table, and the bounds.  Must never know: what an attacker sends, how the relay defends
itself.  Exit code 1: a bound was exceeded; the last lines name it.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from scripts.benchmarks.hostile import TRICKS
from scripts.benchmarks.rig import attempt
from scripts.benchmarks.siege import HELD, Attacker, Honest, besieged, say
from scripts.benchmarks.tables import Row, cell, markdown
from tests.support.hostile import ATTACKS

COLUMNS = (
    "attacker", "acts", "seconds", "lost", "p50_ms", "p99_ms", "gaps", "join_ms", "publish_ms", "sign_in_ms", "health_ms",
    "page_ms", "failed", "memory_mb", "files", "log_kb", "entries",
)  # fmt: skip
IDLE = ("nobody", "idle udp", "idle http")
CAMERA_TRICKS = tuple(f"camera: {trick}" for trick in TRICKS if trick != "all")
ALONE = (*IDLE, *(name for name in ATTACKS if name not in IDLE), *HELD, *CAMERA_TRICKS)
ALL = "all at once"

ROW_SECONDS = 400.0
"""Seconds that starting and ending the attackers of a row may take."""
MAX_LOST_SHARE = 0.001
MAX_P99_MS = 60.0
MAX_TIMES = 4.0
"""A delay may be so many times what an honest program that is as busy causes."""
MAX_MS = {"join_ms": 3000.0, "publish_ms": 3000.0, "sign_in_ms": 5000.0, "health_ms": 1000.0, "page_ms": 1000.0}
"""The longest of each row, where the machine alone is faster."""
MAX_MEMORY_MB = 80.0
"""Growth of all processes together during one attack."""
MAX_LEFT_MEMORY_MB = 250.0
"""Growth over the whole run, when every attacker has left."""
MAX_LEFT_FILES = 60
MAX_LOG_KB_PER_MINUTE = 200.0
MAX_FIRST_ENTRIES = 10
"""Entries beyond those of the honest: the first refusal of each kind of act, then one a minute and kind."""
MAX_ENTRIES_PER_MINUTE = 60.0


def bounds_broken(row: Row, idle: Row) -> list[str]:
    """Return what a row exceeds, in words; `idle`: the slowest of the honest rows, by column."""
    if "error" in row:
        return [f"{row['attacker']}: {row['error']}"]
    minutes = row["seconds"] / 60
    limits = {
        "lost": MAX_LOST_SHARE * row["sent"],
        "p99_ms": max(MAX_P99_MS, MAX_TIMES * idle.get("p99_ms", 0.0)),
        "gaps": 0,
        "failed": 0,
        "memory_mb": MAX_MEMORY_MB,
        "log_kb": MAX_LOG_KB_PER_MINUTE * minutes,
        "entries": idle.get("entries", 0.0) + MAX_FIRST_ENTRIES + MAX_ENTRIES_PER_MINUTE * minutes,
    }
    asleep = [f"{row['attacker']}: {name} did nothing" for name in row.get("asleep", ())]
    limits |= {name: max(most, MAX_TIMES * idle.get(name, 0.0)) for name, most in MAX_MS.items()}
    return asleep + [
        f"{row['attacker']}: {name} {cell(row[name])}, bound {cell(float(most))}"
        for name, most in limits.items()
        if not row[name] <= most and row[name] == row[name]
    ]


def slowest(rows: Sequence[Row]) -> Row:
    """Return by column the greatest figure of the honest rows."""
    good = [row for row in rows if row["attacker"] in IDLE and "error" not in row]
    return {
        name: max((row[name] for row in good if row[name] == row[name]), default=0.0) for name in ("p99_ms", "entries", *MAX_MS)
    }


async def battery(minutes: float, only: str) -> tuple[list[Row], list[str]]:
    """Run all rows; return them and the bounds that were exceeded."""
    names = [name for name in (*ALONE, ALL) if not only or only in name or name in IDLE]
    seconds = max(6.0, minutes * 60 / len(names) - 3)
    rows: list[Row] = []
    async with besieged() as honest:
        await honest.measure("warming up", min(10.0, seconds))
        before = honest.resources()
        for name in names:
            others = [each for each in ALONE if each not in IDLE and (each in names or only == ALL)]
            rows.append(await attempt(one_row(honest, name, seconds, others), {"attacker": name}, seconds + ROW_SECONDS))
            say(markdown(rows[-1:], COLUMNS).splitlines()[-1])
        await honest.settle()
        after = honest.resources()
        await honest.end()
        gaps, findings = await asyncio.to_thread(honest.judge)
    for row in rows:
        if "error" not in row:
            row["gaps"] = sum(row["began_ns"] <= at < row["ended_ns"] for at in gaps)
    broken = [text for row in rows for text in bounds_broken(row, slowest(rows))]
    broken += [f"verdict: {finding}" for finding in findings]
    left = after.minus(before)
    if left.memory_mb > MAX_LEFT_MEMORY_MB:
        broken.append(f"memory after the run: {left.memory_mb:.0f} MB more, bound {MAX_LEFT_MEMORY_MB:.0f}")
    if left.files > MAX_LEFT_FILES:
        broken.append(f"descriptors after the run: {left.files} more, bound {MAX_LEFT_FILES}")
    return rows, broken


async def one_row(honest: Honest, name: str, seconds: float, attackers: Sequence[str]) -> Row:
    """Measure while one attacker, or all, attack."""
    chosen = () if name == "nobody" else attackers if name == ALL else (name,)
    targets = [await honest.target() for _ in chosen]
    async with AsyncExitStack() as stack:
        besiegers = [Attacker(honest, each, target) for each, target in zip(chosen, targets, strict=True)]
        running = await asyncio.gather(*(stack.enter_async_context(attacker) for attacker in besiegers))
        row = await honest.measure(name, seconds)
        acts = await asyncio.gather(*(attacker.stop() for attacker in running))
    await honest.settle()
    return {**row, "acts": sum(acts), "asleep": [each for each, count in zip(chosen, acts, strict=True) if not count]}


def main() -> None:
    """Print the table; exit 1 where a bound was exceeded."""
    parser = argparse.ArgumentParser(
        prog="scripts/soak/hostile", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the whole battery (60)")
    parser.add_argument("--only", default="", help="only attackers whose name contains this (and the honest rows)")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    rows, broken = asyncio.run(battery(options.minutes, options.only))
    print(markdown(rows, COLUMNS))
    for text in broken:
        print(f"beyond the bounds: {text}")
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1, default=str))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
