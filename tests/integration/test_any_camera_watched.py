"""Cameras of every make, watched: a viewer that keeps to the letter of RFC 6184 sees every picture.

The viewer ends pictures where markers say so and tells key pictures by the types of units, as Chromium does.  FFmpeg is the
judge: it decodes what the viewer assembled, and it decoded the source.
"""

import base64
from dataclasses import replace

import pytest

from relay.fanout.single_units import SingleUnits
from relay.fanout.tracks import TrackSpec
from relay.rtp.h264 import STAP_A
from tests.support.camera_streams import Habits, Stream, drawn, made, shown_in
from tests.support.strict_viewer import Watched, watch

SINCE = 1.2
"""The viewer comes so many seconds after the camera."""
NEAR = 0.15
"""A key picture so near to that may be the first one, or not."""
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


def spec(stream: Stream) -> TrackSpec:
    """The video track as the camera offers it."""
    fmtp = f"packetization-mode={stream.habits.mode}"
    if stream.habits.sets == "offer":
        fmtp += ";sprop-parameter-sets=" + ",".join(base64.b64encode(unit).decode() for unit in stream.parameter_sets)
    return TrackSpec("video", "0", 102, 90_000, fmtp, nack=True)


def faults(stream: Stream, watched: Watched) -> list[str]:
    """Return what a viewer missed of the pictures since the last key picture before it came."""
    keys = [picture for picture in stream.pictures if picture.key]
    sure = max(picture.number for picture in keys if picture.at <= SINCE - NEAR)
    near = max(picture.number for picture in keys if picture.at <= SINCE + NEAR)
    expected, found = stream.shown[near:], shown_in(watched.film())
    missing = [near + number for number, digest in enumerate(expected) if digest not in found]
    extra = len(found) - len(stream.shown[sure:])
    return [f"missing: {missing}" for _ in [0] if missing] + [f"{extra} more pictures" for _ in [0] if extra > 0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_viewer_sees_every_picture_of_a_camera_of_one_habit(kind: str) -> None:
    stream = made(replace(KINDS[kind], seconds=2.5))
    watched = watch(stream.packets, since=SINCE, spec=spec(stream))
    assert faults(stream, watched) == []
    assert watched.stream is not None
    assert watched.stream.markers.are_wrong is (kind not in HONEST)


@pytest.mark.parametrize("seed", range(24))
def test_a_viewer_sees_every_picture_of_a_camera_of_drawn_habits(seed: int) -> None:
    habits = replace(drawn(seed, most_seconds=2.5), loss=0.0, refresh=False)
    stream = made(habits, seed)
    watched = watch(stream.packets, since=SINCE, spec=spec(stream))
    assert faults(stream, watched) == [], habits


@pytest.mark.parametrize(
    "kind", ["a browser", "a marker on each of four slices", "sets and IDR in one unit with start codes", "B-frames"]
)
def test_a_viewer_that_takes_single_units_only_sees_every_picture(kind: str) -> None:
    stream = made(replace(KINDS[kind], seconds=2.5))
    watched = watch(stream.packets, since=SINCE, spec=spec(stream), units=SingleUnits())
    assert faults(stream, watched) == []
    assert all(0 < sent.payload[0] & 31 < STAP_A for sent in watched.packets)
