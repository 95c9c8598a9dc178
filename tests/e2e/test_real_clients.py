"""Clients that we did not write publish to a whole relay and watch each other; FFmpeg finds again what was filmed."""

import asyncio
import itertools

import pytest

from tests.clients import film as films
from tests.clients.film import FPS, Film
from tests.clients.scenario import WATCHED_SECONDS, Afternoon, spend
from tests.e2e.conftest import Scene

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

REPLAYING = ("gstreamer", "libdatachannel", "ffmpeg", "aiortc")
"""Cameras that publish the film as it is; Chromium, the fifth, encodes pictures of its own."""
CAMERAS = (*REPLAYING, "chromium")
KEEPING = ("gstreamer", "libdatachannel", "aiortc")
"""Viewers that keep what they see; Chromium counts."""
VIEWERS = (*KEEPING, "chromium")
LEAST_PICTURES = 8 * FPS
"""What a recording has of the time in which viewers watched, and what passes before a viewer, on a busy machine too."""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Film:
    return films.make(tmp_path_factory.mktemp("film"))


@pytest.fixture(scope="module")
def afternoon(installed: Scene, film: Film, tmp_path_factory: pytest.TempPathFactory) -> Afternoon:
    folder = tmp_path_factory.mktemp("afternoon")
    relay = installed.relay.copy(folder / "data")
    return asyncio.run(spend(relay, installed.passwords, film, folder, CAMERAS, VIEWERS))


@pytest.mark.parametrize("camera", CAMERAS)
def test_a_camera_publishes_is_recorded_and_stops(afternoon: Afternoon, camera: str) -> None:
    filmed = afternoon.cameras[camera]
    assert filmed.fault == ""
    assert filmed.word("status") in (201, None), "FFmpeg's muxer does not tell"
    assert filmed.word("deleted") in (200, None)
    assert (filmed.recording["state"], filmed.recording["reason"]) == ("closed", "stopped")
    assert filmed.verdict["code"] == 0, filmed.verdict
    assert len(filmed.pictures) > LEAST_PICTURES
    assert len(filmed.sounds) > LEAST_PICTURES


@pytest.mark.parametrize("camera", REPLAYING)
def test_every_picture_and_sound_that_was_sent_is_in_the_recording(afternoon: Afternoon, film: Film, camera: str) -> None:
    filmed = afternoon.cameras[camera]
    assert filmed.pictures[0] == film.pictures[0], "recorded from the first picture on"
    assert films.missing(film.pictures, filmed.pictures) == []
    assert films.missing(film.sounds, filmed.sounds) == []


@pytest.mark.parametrize(("camera", "viewer"), tuple(itertools.product(REPLAYING, KEEPING)))
def test_a_viewer_sees_what_was_filmed(afternoon: Afternoon, film: Film, camera: str, viewer: str) -> None:
    watched = afternoon.viewers[camera, viewer]
    assert watched.fault == ""
    assert watched.left == 200, "it was not cut off before"
    assert watched.seen is not None
    places = films.places(film.pictures, watched.seen.pictures)
    assert places[0] % FPS == 0, "the first picture is a keyframe"
    assert places[-1] - places[0] > LEAST_PICTURES
    if viewer != "aiortc":  # which states a limit where the machine is busy, and is then sent less
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
