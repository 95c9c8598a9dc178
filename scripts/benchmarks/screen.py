"""Simulated cameras that film and a Chromium that watches them, around the whole relay.

Owns: the cameras' process and what is read from a page: pictures with their time codes, and Chromium's own statistics.  Must
never know: what is measured.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

from scripts.benchmarks.tables import Row
from scripts.benchmarks.whole import Whole
from tests.support.chromium import Chromium, Viewer

SUMS = (
    "packetsReceived", "packetsLost", "retransmittedPacketsReceived", "nackCount", "pliCount", "framesDecoded", "framesDropped",
    "freezeCount", "totalFreezesDuration", "jitterBufferDelay", "jitterBufferEmittedCount", "totalDecodeTime",
)  # fmt: skip


@contextlib.asynccontextmanager
async def filming(found: Whole, cameras: Iterable[str], *flags: str, script: str = "") -> AsyncIterator[None]:
    """Run `sim-cameras` for these cameras until the block ends; then they leave and their recordings close."""
    folder = found.relay.data
    (folder / "tokens").write_text("".join(f"{camera} {found.tokens[camera]}\n" for camera in cameras))
    command = [sys.executable, "-m", "sim_cameras", "--url", found.relay.url, "--tokens", str(folder / "tokens"), *flags]
    if script:
        (folder / "script.toml").write_text(script)
        command += ["--script", str(folder / "script.toml")]
    with (folder / "cameras.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, cwd=Path(__file__).parents[2])
    try:
        for camera in cameras:
            await found.marie.sees_live(camera, 30)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def watching(found: Whole, browser: Chromium, cameras: Sequence[str], ports: Sequence[dict[str, str]] = ()) -> Viewer:
    """Open one page that watches these cameras, each by the ports given (a proxy's for the relay's)."""
    page = await browser.viewer(found.relay.url, found.marie.cookies())
    for number, camera in enumerate(cameras):
        through = ports[number] if ports else {}
        url = f"{found.relay.url}/whep/{camera}?intervention={found.intervention}"
        posted = await page.watch(camera, url, headers=found.marie.headers(), ports=through)
        if posted.status != 201:
            raise RuntimeError(f"{camera}: {posted.status} {posted.body}")
    for camera in cameras:
        await page.sees(camera, 5, 30)
    return page


async def sums(page: Viewer, camera: str) -> Row:
    """Return Chromium's running sums of a picture."""
    report = await page.report(camera, "inbound-rtp", "video")
    return {name: report.get(name, 0) for name in SUMS}


def grown(before: Row, after: Row) -> Row:
    """Return how much each sum grew."""
    return {name: after[name] - before[name] for name in SUMS}


def per(total: Any, count: Any) -> float:
    """Return ms of each from seconds in all; nan for none."""
    return total / count * 1000 if count else float("nan")
