"""Cameras of every make: what one sends is recorded picture by picture, or a signed gap says what is missing.

The streams are drawn at random from a seed, so a failure is repeated by its number.  A longer run with larger pictures is
`scripts/soak/cameras`.
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support import any_viewer
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


OWED_SEEDS_BY_VIEWERS = {7, 10, 12, 18}
OWED_BY_VIEWERS = {
    "a marker on each of four slices",
    "a marker on each unit",
    "no marker at all",
    "markers now and then",
}
"""What the fan-out does not do yet."""


def owed(case: str | int, owed: Collection[str | int]) -> Any:
    """Mark a case that is not mended yet: it fails the run once it is, so that its mark goes."""
    return pytest.param(case, marks=pytest.mark.xfail(strict=True) if case in owed else ())


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


@pytest.mark.parametrize("kind", [owed(kind, OWED_BY_VIEWERS) for kind in KINDS])
def test_a_late_viewer_of_a_camera_of_one_habit_gets_every_picture(kind: str) -> None:
    stream = made(replace(KINDS[kind], seconds=1.5))
    since = 0.7
    assert any_viewer.faults(stream, any_viewer.viewed(stream, since), since) == []


@pytest.mark.parametrize("seed", [owed(seed, OWED_SEEDS_BY_VIEWERS) for seed in SEEDS])
def test_a_late_viewer_of_a_camera_of_drawn_habits_gets_every_picture(seed: int) -> None:
    stream = made(drawn(seed, most_seconds=1.5), seed)
    since = 0.7
    assert any_viewer.faults(stream, any_viewer.viewed(stream, since), since) == [], stream.habits
