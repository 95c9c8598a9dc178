"""Cameras drawn from one seed after the other, for as long as wanted: recordings and late viewers are held to their laws.

Owns: which larger streams are drawn than CI has time for, and the report.  Must never know: what the laws are.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.support import any_camera, any_viewer
from tests.support.camera_streams import Habits, drawn, made
from tests.support.strict_viewer import watch

LARGE = [(320, 180), (640, 480), (1280, 720), (1920, 1080), (3840, 2160)]


def larger(seed: int) -> Habits:
    """Return the habits of a seed, where it is drawn in a larger picture, with keyframes of up to 600 KB."""
    dice = random.Random(seed ^ 0x5EED)
    width, height = dice.choice(LARGE)
    seconds = 1.0 if width == 3840 else dice.choice([2.0, 4.0, 10.0]) if width < 1000 else 2.0
    habits = drawn(seed)
    mtu = habits.mtu if width < 1000 else 1200  # thousands of slices a picture are no camera's
    crf = dice.choice([14, 23, 28] if width < 1000 else [28, 32, 36])
    return replace(habits, width=width, height=height, seconds=seconds, crf=crf, mtu=mtu)


async def one(seed: int, habits: Habits) -> list[str]:
    """Return what breaks the laws for one seed."""
    stream = made(habits, seed)
    with tempfile.TemporaryDirectory() as folder:
        found = await any_camera.recorded(Path(folder), stream)
    out = [f"recording: {fault}" for fault in any_camera.faults(stream, found)]
    if stream.lost or habits.refresh:
        return out
    since = habits.seconds / 2
    watched = watch(stream.packets, since=since, spec=any_viewer.spec(stream))
    return out + [f"viewer: {fault}" for fault in any_viewer.faults(stream, watched, since)]


def main() -> int:
    """Run until the time is over; return 1 where a law was broken."""
    parser = argparse.ArgumentParser(prog="scripts/soak/cameras", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--first", type=int, default=1000, help="the first seed")
    parser.add_argument("--small", action="store_true", help="pictures as small as those of CI: more seeds in the same time")
    options = parser.parse_args()
    end, seed, broken = time.monotonic() + 60 * options.minutes, options.first, 0
    while time.monotonic() < end:
        habits = drawn(seed) if options.small else larger(seed)
        if faults := asyncio.run(one(seed, habits)):
            broken += 1
            print(f"seed {seed}: {habits}", *faults[:5], sep="\n  ", flush=True)
        seed += 1
    print(f"{seed - options.first} cameras from seed {options.first} on, {broken} of them beyond the laws")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
