"""Clients that we did not write publish to a whole relay and watch each other; FFmpeg finds again what was filmed."""

import asyncio
import itertools

import pytest

from tests.clients import film as films
from tests.clients.film import FPS, Film
from tests.clients.scenario import WATCHED_SECONDS, Afternoon, spend
from tests.e2e.conftest import Scene

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PLAIN = ("gstreamer", "libdatachannel", "ffmpeg", "aiortc")
REPLAYING = (*PLAIN, "gstreamer-sets-in-offer", "gstreamer-b-frames", "libdatachannel-closes-first")
"""Cameras that publish a film as it is: plain, and with habits that differ."""
CAMERAS = (*REPLAYING, "chromium")
"""Chromium encodes pictures of its own."""
KEEPING = ("gstreamer", "libdatachannel", "aiortc")
"""Viewers that keep what they see; Chromium counts."""
PAIRS = (
    *itertools.product(PLAIN, KEEPING),
    ("gstreamer-sets-in-offer", "libdatachannel"),
    ("gstreamer-b-frames", "gstreamer"),
    ("libdatachannel", "gstreamer-no-mode"),
)
"""Which viewer watches which camera and keeps what it sees."""
FILMED_BY_CHROMIUM = tuple(("chromium", viewer) for viewer in KEEPING)
SHOWN_BY_CHROMIUM = tuple((camera, "chromium") for camera in CAMERAS)
REORDERED = 2
"""How many B-frames are sent after the picture that is shown after them, and are not sent where a camera stops there."""
RECORDED_LEAST = 8 * FPS
"""What a recording has at least of the time in which viewers watched."""
WATCHED_LEAST = 2 * FPS
"""What a viewer has seen at least: on a busy machine some are far behind when they leave."""


@pytest.fixture(scope="module")
def films_by_camera(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Film]:
    folder = tmp_path_factory.mktemp("films")
    plain, with_b_frames = films.make(folder), films.make(folder, b_frames=True)
    return {camera: with_b_frames if camera.endswith("b-frames") else plain for camera in CAMERAS}


@pytest.fixture(scope="module")
def afternoon(installed: Scene, films_by_camera: dict[str, Film], tmp_path_factory: pytest.TempPathFactory) -> Afternoon:
    folder = tmp_path_factory.mktemp("afternoon")
    relay = installed.relay.copy(folder / "data")
    pairs = (*PAIRS, *FILMED_BY_CHROMIUM, *SHOWN_BY_CHROMIUM)
    return asyncio.run(spend(relay, installed.passwords, films_by_camera, pairs, folder))


@pytest.mark.parametrize("camera", CAMERAS)
def test_a_camera_publishes_is_recorded_and_stops(afternoon: Afternoon, camera: str) -> None:
    filmed = afternoon.cameras[camera]
    assert filmed.fault == ""
    assert filmed.word("status") in (201, None), "FFmpeg's muxer does not tell"
    assert filmed.word("deleted") in (200, None)
    assert (filmed.recording["state"], filmed.recording["reason"]) == ("closed", "stopped")
    assert filmed.verdict["code"] == 0, filmed.verdict
    assert len(filmed.pictures) > RECORDED_LEAST
    assert len(filmed.sounds) > RECORDED_LEAST


@pytest.mark.parametrize("camera", REPLAYING)
def test_every_picture_and_sound_that_was_sent_is_in_the_recording(
    afternoon: Afternoon, films_by_camera: dict[str, Film], camera: str
) -> None:
    film, filmed = films_by_camera[camera], afternoon.cameras[camera]
    assert filmed.pictures[0] == film.pictures[0], "recorded from the first picture on"
    last = film.pictures.index(filmed.pictures[-1])
    unsent = range(last - REORDERED, last) if camera == "gstreamer-b-frames" else ()
    assert set(films.missing(film.pictures, filmed.pictures)) <= set(unsent)
    assert films.missing(film.sounds, filmed.sounds) == []


@pytest.mark.parametrize(("camera", "viewer"), PAIRS)
def test_a_viewer_sees_what_was_filmed(
    afternoon: Afternoon, films_by_camera: dict[str, Film], camera: str, viewer: str
) -> None:
    film, watched = films_by_camera[camera], afternoon.viewers[camera, viewer]
    assert watched.fault == ""
    assert watched.left == 200, "it was not cut off before"
    assert watched.seen is not None
    if camera == "gstreamer-b-frames":  # live pictures of such a camera may stutter, as the page says: its recording is whole
        assert len(set(watched.seen.pictures) & set(film.pictures)) > WATCHED_LEAST
        return
    places = films.places(film.pictures, watched.seen.pictures)
    assert places[0] % FPS == 0, "the first picture is a keyframe"
    assert places[-1] - places[0] > WATCHED_LEAST
    if viewer != "aiortc" and not watched.word("lost"):
        # aiortc states a limit where the machine is busy, and is then sent less; libdatachannel asks for nothing again.
        assert films.missing(film.pictures, watched.seen.pictures) == []
        assert films.missing(film.sounds, watched.seen.sounds or []) == []


@pytest.mark.parametrize("viewer", KEEPING)
def test_a_viewer_decodes_what_chromium_films(afternoon: Afternoon, viewer: str) -> None:
    watched = afternoon.viewers["chromium", viewer]
    assert (watched.fault, watched.left) == ("", 200)
    assert watched.seen is not None
    assert len(watched.seen.pictures) > WATCHED_SECONDS


@pytest.mark.parametrize("camera", CAMERAS)
def test_chromium_shows_every_make_of_camera(afternoon: Afternoon, camera: str) -> None:
    watched = afternoon.viewers[camera, "chromium"]
    assert (watched.fault, watched.left) == ("", 200)
    assert watched.decoded > WATCHED_SECONDS, "at least each keyframe: it states a limit where the machine is busy"
