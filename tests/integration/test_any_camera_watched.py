"""Cameras of every make, watched: a viewer that keeps to the letter of RFC 6184 sees every picture.

The viewer ends pictures where markers say so and tells key pictures by the types of units, as Chromium does.  FFmpeg is the
judge: it decodes what the viewer assembled, and it decoded the source.
"""

from dataclasses import replace

import pytest

from relay.fanout.single_units import SingleUnits
from relay.rtp.h264 import STAP_A
from tests.support.any_viewer import faults, spec
from tests.support.camera_streams import Habits, drawn, made
from tests.support.strict_viewer import watch

SINCE = 1.2
"""The viewer comes so many seconds after the camera."""
KINDS = {
    "a browser": Habits(),
    "units of type 0 before each picture": Habits(ignored="0"),
    "an ignored unit inside an aggregation packet": Habits(ignored="inside", delimiters=True),
    "an ignored unit behind the picture": Habits(ignored="after"),
    "a marker on each of four slices": Habits(slices=4, markers="slice"),
    "a marker on each of four slices, in small packets": Habits(slices=4, markers="slice", mtu=300),
    "a marker on each unit": Habits(slices=2, markers="unit", aggregated=False, delimiters=True),
    "no marker at all": Habits(markers="none"),
    "no marker at all, several slices": Habits(markers="none", slices=4, information=True, filler=True),
    "markers now and then": Habits(markers="sometimes"),
    "sets once": Habits(sets="first", gop=15),
    "sets in the offer only": Habits(sets="offer"),
    "sets under the timestamp before": Habits(sets="before", gop=10),
    "sets that alternate": Habits(sets="alternate", gop=5),
    "sets and IDR in one unit with start codes": Habits(sets="joined", gop=10),
    "sets and IDR in one unit, small packets and wrong markers": Habits(
        sets="joined", gop=10, mtu=300, slices=2, markers="slice", delimiters=True
    ),
    "sets and small IDR in one packet": Habits(sets="joined", gop=10, width=64, height=64, crf=45),
    "B-frames": Habits(b_frames=2),
    "interlaced": Habits(interlaced=True, height=256),
    "single units only": Habits(mode=0, mtu=700),
    "a bad header extension": Habits(extension="bad"),
    "padding and fillers": Habits(padding=True, filler=True, information=True, delimiters=True),
}
HONEST = {name for name, habits in KINDS.items() if habits.markers == "right"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_viewer_sees_every_picture_of_a_camera_of_one_habit(kind: str) -> None:
    stream = made(replace(KINDS[kind], seconds=2.5))
    watched = watch(stream.packets, since=SINCE, spec=spec(stream))
    assert faults(stream, watched, SINCE) == []
    assert watched.stream is not None
    assert watched.stream.markers.are_wrong is (kind not in HONEST)


@pytest.mark.parametrize("seed", range(24))
def test_a_viewer_sees_every_picture_of_a_camera_of_drawn_habits(seed: int) -> None:
    habits = replace(drawn(seed, most_seconds=2.5), loss=0.0, refresh=False)
    stream = made(habits, seed)
    watched = watch(stream.packets, since=SINCE, spec=spec(stream))
    assert faults(stream, watched, SINCE) == [], habits


@pytest.mark.parametrize(
    "kind", ["a browser", "a marker on each of four slices", "sets and IDR in one unit with start codes", "B-frames"]
)
def test_a_viewer_that_takes_single_units_only_sees_every_picture(kind: str) -> None:
    stream = made(replace(KINDS[kind], seconds=2.5))
    watched = watch(stream.packets, since=SINCE, spec=spec(stream), units=SingleUnits())
    assert faults(stream, watched, SINCE) == []
    assert all(0 < sent.payload[0] & 31 < STAP_A for sent in watched.packets)
