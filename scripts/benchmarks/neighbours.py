"""Twenty honest cameras beside one that tries everything (`hostile`): what it costs them.

The whole relay on 127.0.0.1 (one worker, one recorder), the honest cameras in one process and the hostile one in another; a
row for each trick and one without it.  The lag is the age of the newest media in an honest chain, sampled twice a second (a
fragment lasts 0.44 s).  Afterwards every recording is verified.  The run fails where an honest recording has a gap or a
finding, where the lag exceeds `MAX_LAG_SECONDS`, or where the hostile camera's own recording has a finding: what the relay
received and did not keep has to lie in its signed gaps.

Owns: the figures and their bounds.  Must never know: how the relay shares its time.
"""

import argparse
import asyncio
import time
from pathlib import Path

from scripts.benchmarks.crash_report import taken
from scripts.benchmarks.hostile import TRICKS
from scripts.benchmarks.rig import Hosts, LoadProcess, Meter, attempt
from scripts.benchmarks.tables import Row, busy_note, markdown, percentile
from scripts.benchmarks.whole import Whole, gaps_of, loads, sending, whole

CAMERAS, KBPS = 20, 500
MAX_LAG_SECONDS = 3.0
SETUP_SECONDS = 600.0
"""Seconds that connecting, stopping and verifying may take beside the run."""
COLUMNS = (
    "trick", "seconds", "hostile_per_s", "lag_p50_s", "lag_p99_s", "lag_max_s", "honest_gaps", "honest_findings",
    "longest_gap_s", "hostile_gaps", "hostile_findings", "hostile_segments", "recorder_cpu", "worker_cpu",
)  # fmt: skip


async def measure(_: Hosts, options: argparse.Namespace) -> list[Row]:
    """A row without the hostile camera, and one for each trick."""
    seconds = options.seconds or 20.0
    tricks = [name for name in ("none", *TRICKS) if not options.only or options.only in name]
    rows = []
    for trick in tricks:
        rows.append(
            await attempt(beside(trick, options.cameras or CAMERAS, seconds), {"trick": trick}, SETUP_SECONDS + seconds)
        )
        print(markdown(rows[-1:], COLUMNS), flush=True)
    print(markdown(rows, COLUMNS), flush=True)
    bad = [row["trick"] for row in rows if not within_bounds(row)]
    if bad:
        raise SystemExit(f"beyond the bounds: {', '.join(bad)}")
    return rows


def within_bounds(row: Row) -> bool:
    """Return whether a row is what the relay promises."""
    return (
        "error" not in row
        and not row["honest_gaps"]
        and not row["honest_findings"]
        and not row["hostile_findings"]
        and row["lag_max_s"] <= MAX_LAG_SECONDS
    )


async def beside(trick: str, cameras: int, seconds: float) -> Row:
    """Record the honest cameras, the hostile one beside them; stop, verify."""
    async with whole() as found:
        with loads(2) as (field, corner):
            names = await found.enrol(cameras)
            async with sending(field, 0.05):
                for camera in names:
                    await found.publish(field, camera, kbps=KBPS)
            if trick != "none":
                (hostile,) = await found.enrol(1)
                async with sending(field):
                    await found.publish(corner, hostile, trick=trick)
            async with sending(field):  # a camera that fell silent before the end would leave a gap of our making
                row = await played(found, corner, trick, seconds)
                await found.relay.stop()
        return {"trick": trick, "seconds": seconds, **row, **await asyncio.to_thread(judged, found, set(names))}


async def played(found: Whole, corner: LoadProcess, trick: str, seconds: float) -> Row:
    """Let the hostile camera send, and sample the lag of the honest."""
    chains = [folder / "chain" for folder in found.relay.recordings()]
    if trick != "none":
        chains = chains[:-1]
    recorder, worker = Meter(found.pid("recorder")), Meter(found.pid("worker"))
    sampling = asyncio.create_task(lags(chains, seconds))
    hostile = await corner.ask("run", seconds=seconds, delays=False, settle=False)
    ages = await sampling
    return {
        "hostile_per_s": round(hostile["sent"] / seconds),
        "lag_p50_s": percentile(ages, 0.5),
        "lag_p99_s": percentile(ages, 0.99),
        "lag_max_s": max(ages),
        "recorder_cpu": recorder.used() / seconds,
        "worker_cpu": worker.used() / seconds,
        "note": busy_note(hostile["busy"]),
    }


async def lags(chains: list[Path], seconds: float) -> list[float]:
    """Return how old the newest media in each chain was, twice a second."""
    ages, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        for chain in chains:
            newest = max((end for _, end in taken("", chain.read_bytes()).spans), default=0)
            if newest:
                ages.append((time.time_ns() - newest) / 1e9)
            await asyncio.sleep(0.5 / len(chains))
    return ages


def judged(found: Whole, honest: set[str]) -> Row:
    """Verify every recording; return what is missing in the honest ones, and what the hostile one's says."""
    row: Row = {"honest_gaps": 0, "honest_findings": 0, "longest_gap_s": 0.0}
    row.update(hostile_gaps=0, hostile_findings=0, hostile_segments=0)
    for folder in found.relay.recordings():
        _, verdict = found.relay.verify(folder)
        who = "honest" if taken(folder.name, (folder / "chain").read_bytes()).camera in honest else "hostile"
        gaps = gaps_of(verdict)
        row[f"{who}_gaps"] += len(gaps)
        row[f"{who}_findings"] += len(verdict["findings"])
        if who == "honest":
            row["longest_gap_s"] = max([row["longest_gap_s"], *(float(gap["seconds"]) for gap in gaps)])
        else:
            row["hostile_segments"] += len(list(folder.glob("*.seg")))
        if gaps or verdict["findings"]:
            print(who, folder.name, verdict["findings"][:3], gaps[:3], flush=True)
    return row
