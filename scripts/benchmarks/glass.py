"""Glass to glass in Chromium at 30 fps, read from the time code burnt into the picture.

A simulated camera films live (its encoder included), the whole relay on 127.0.0.1 forwards and records, a page of headless
Chromium shows it.  The code is the camera's clock when the picture was taken; each shown picture is read back by a canvas and
dated with the time Chromium expects it on the screen (`requestVideoFrameCallback`, `expectedDisplayTime`).  All on one
machine, one clock; encoder and decoder run on its cores too.  Beside it: what Chromium's own buffer and decoder took of it.

Owns: the figures.  Must never know: how a time code is drawn or read (`sim_cameras.timecode`).
"""

import argparse
import asyncio

from scripts.benchmarks.rig import Hosts, attempt
from scripts.benchmarks.screen import filming, grown, per, sums, watching
from scripts.benchmarks.tables import Row, freezes, markdown, percentile
from scripts.benchmarks.whole import whole
from tests.support.chromium import Shown, chromium

COLUMNS = (
    "size", "kbps", "fps_shown", "p50_ms", "p95_ms", "max_ms", "unreadable", "longest_still_ms",
    "jitter_buffer_ms", "decode_ms",
)  # fmt: skip
FILMS = (("640x360", 500), ("1280x720", 2000))
FPS = 30
SETTLE_SECONDS = 4.0


async def measure(_: Hosts, options: argparse.Namespace) -> list[Row]:
    """A small and a large picture."""
    rows = []
    for size, kbps in FILMS:
        rows.append(await attempt(one_film(size, kbps, options.seconds or 15.0), {"size": size, "kbps": kbps}))
    print(markdown(rows, COLUMNS), flush=True)
    return rows


async def one_film(size: str, kbps: int, seconds: float) -> Row:
    """Watch one film for so long."""
    async with whole() as found, chromium() as browser:
        (camera,) = await found.enrol(1)
        async with filming(found, [camera], "--size", size, "--fps", str(FPS), "--bitrate", str(kbps * 1000)):
            page = await watching(found, browser, [camera])
            await asyncio.sleep(SETTLE_SECONDS)
            await page.shown(camera)
            before = await sums(page, camera)
            await asyncio.sleep(seconds)
            shown, after = await page.shown(camera), await sums(page, camera)
    return {"size": size, "kbps": kbps, **figures(shown, seconds), **of_chromium(grown(before, after))}


def figures(shown: list[Shown], seconds: float) -> Row:
    """Return the delays of the pictures shown, ms."""
    delays = [each.at - each.code for each in shown if each.code is not None]
    return {
        "fps_shown": len(shown) / seconds,
        "p50_ms": percentile(delays, 0.5),
        "p95_ms": percentile(delays, 0.95),
        "max_ms": max(delays, default=float("nan")),
        "unreadable": len(shown) - len(delays),
        "longest_still_ms": freezes([each.at for each in shown], 500)[1],
    }


def of_chromium(grew: Row) -> Row:
    """Return what Chromium says it took itself, per picture."""
    return {
        "jitter_buffer_ms": per(grew["jitterBufferDelay"], grew["jitterBufferEmittedCount"]),
        "decode_ms": per(grew["totalDecodeTime"], grew["framesDecoded"]),
    }
