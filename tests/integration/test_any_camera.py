"""Cameras of every make: what one sends is recorded picture by picture, or a signed gap says what is missing.

The streams are drawn at random from a seed, so a failure is repeated by its number.  A longer run with larger pictures is
`scripts/soak/cameras`.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.any_camera import faults, recorded
from tests.support.camera_streams import Habits, drawn, made

SEEDS = range(24)
KINDS = {
    "a browser": Habits(),
    "units of type 0 before each picture": Habits(ignored="0"),
    "units of type 30": Habits(ignored="30"),
    "units of type 31": Habits(ignored="31"),
    "an ignored unit inside an aggregation packet": Habits(ignored="inside", delimiters=True),
    "an ignored unit behind the picture": Habits(ignored="after"),
    "a marker on each of four slices": Habits(slices=4, markers="slice"),
    "a marker on each unit": Habits(slices=2, markers="unit", aggregated=False, delimiters=True),
    "no marker at all": Habits(markers="none"),
    "markers now and then": Habits(markers="sometimes"),
    "sets once": Habits(sets="first", gop=15),
    "sets in the offer only": Habits(sets="offer"),
    "sets under the timestamp before": Habits(sets="before", gop=10),
    "sets that alternate": Habits(sets="alternate", gop=5),
    "sets and IDR in one unit with start codes": Habits(sets="joined", gop=10),
    "intra refresh": Habits(refresh=True),
    "B-frames": Habits(b_frames=2),
    "interlaced": Habits(interlaced=True, height=256),
    "cropped": Habits(width=322, height=182),
    "single units only": Habits(mode=0, mtu=700),
    "a bad header extension": Habits(extension="bad"),
    "padding and fillers": Habits(padding=True, filler=True, information=True, delimiters=True),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_camera_of_one_habit_is_recorded_whole(kind: str, tmp_path: Path) -> None:
    stream = made(replace(KINDS[kind], seconds=1.5))
    found = await recorded(tmp_path, stream)
    assert faults(stream, found) == []


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_camera_of_drawn_habits_is_recorded_whole_or_a_gap_says_what_is_missing(seed: int, tmp_path: Path) -> None:
    stream = made(drawn(seed, most_seconds=1.5), seed)
    found = await recorded(tmp_path, stream)
    assert faults(stream, found) == [], stream.habits
