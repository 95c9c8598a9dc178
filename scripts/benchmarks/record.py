"""The recorder's CPU per packet: tap, reorder, mux, hash, encrypt, sign, write, fsync.

The whole relay on 127.0.0.1 with thin cameras and no viewer; CPU of the whole recorder process over the packets that the
cameras sent meanwhile.  Afterwards the relay is stopped and every recording verified: the figure counts only where each is
complete and without a gap.

Owns: the figure.  Must never know: how a recording is written or judged.
"""

import argparse
import asyncio

from scripts.benchmarks.rig import Hosts, Meter, attempt
from scripts.benchmarks.tables import Row, busy_note, markdown
from scripts.benchmarks.whole import loads, sending, verdicts, whole

COLUMNS = (
    "cameras",
    "kbps",
    "packets_per_s",
    "recorder_us_per_packet",
    "recorder_cpu",
    "worker_us_per_packet",
    "verified",
    "gaps",
)
FLEETS = ((1, 2000), (4, 2000), (20, 500))


async def measure(_: Hosts, options: argparse.Namespace) -> list[Row]:
    """Few fat cameras and many thin ones."""
    rows = []
    for cameras, kbps in FLEETS:
        work = one_run(cameras, kbps, options.seconds or 6.0)
        rows.append(await attempt(work, {"cameras": cameras, "kbps": kbps}))
    print(markdown(rows, COLUMNS), flush=True)
    return rows


async def one_run(cameras: int, kbps: int, seconds: float) -> Row:
    """Measure one fleet."""
    async with whole() as found:
        with loads(1) as (load,):
            names = await found.enrol(cameras)
            async with sending(load, 0.05):
                for camera in names:
                    await found.publish(load, camera, kbps=kbps)
            await load.ask("run", seconds=2, delays=False, settle=False)
            recorder, worker = Meter(found.pid("recorder")), Meter(found.pid("worker"))
            result = await load.ask("run", seconds=seconds, delays=False, settle=False)
            used, moved = recorder.used(), worker.used()
            async with sending(load):  # a camera that fell silent before the end would leave a gap of our making
                await found.relay.stop()
        codes, gaps = await asyncio.to_thread(verdicts, found.relay)
    return {
        "cameras": cameras,
        "kbps": kbps,
        "packets_per_s": round(result["sent"] / seconds),
        "recorder_us_per_packet": used / result["sent"] * 1e6,
        "recorder_cpu": used / seconds,
        "worker_us_per_packet": moved / result["sent"] * 1e6,
        "verified": f"{codes.count(0)} of {len(codes)}",
        "gaps": len(gaps),
        "note": busy_note(result["busy"]),
    }
