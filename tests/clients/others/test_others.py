"""More clients that we did not write, which `scripts/soak/clients` installs: Pion, werift, and libraries for pages."""

import asyncio
import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from tests.clients import film as films
from tests.clients.film import FPS, Film
from tests.clients.programs import PROGRAMS, node, program, saw_packets
from tests.clients.scenario import Afternoon, spend
from tests.e2e.conftest import Scene
from tests.support.chromium import Chromium, Viewer, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
BUILT = Path(os.environ.get("CLIENTS_BUILT", ""))
"""Where `scripts/soak/clients` put what it built."""
MORE = {
    "pion": program(str(BUILT / "pion"), film="units", saw=saw_packets),
    "werift": program(node(), str(HERE / "werift.mjs"), film="units", saw=saw_packets),
    "str0m": program(str(BUILT / "str0m"), film="units", saw=saw_packets),
}
MAKES = tuple(MORE)
VIEWERS = (*MAKES, "gstreamer", "libdatachannel")
RECORDED_LEAST, WATCHED_LEAST = 8 * FPS, 2 * FPS
LIBRARIES = ("whip-whep", "eyevinn")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Film:
    return films.make(tmp_path_factory.mktemp("film"))


@pytest.fixture(scope="module")
def afternoon(installed: Scene, film: Film, tmp_path_factory: pytest.TempPathFactory) -> Afternoon:
    PROGRAMS.update(MORE)
    folder = tmp_path_factory.mktemp("afternoon")
    relay = installed.relay.copy(folder / "data")
    pairs = (*itertools.product(MAKES, VIEWERS), *((camera, "chromium") for camera in MAKES))
    return asyncio.run(spend(relay, installed.passwords, dict.fromkeys(MAKES, film), pairs, folder))


@pytest.mark.parametrize("camera", MAKES)
def test_a_camera_is_recorded_whole_and_stops(afternoon: Afternoon, film: Film, camera: str) -> None:
    filmed = afternoon.cameras[camera]
    assert (filmed.fault, filmed.word("status"), filmed.word("deleted")) == ("", 201, 200)
    assert (filmed.recording["state"], filmed.recording["reason"]) == ("closed", "stopped")
    assert filmed.verdict["code"] == 0, filmed.verdict
    assert len(filmed.pictures) > RECORDED_LEAST
    assert filmed.pictures[0] == film.pictures[0], "recorded from the first picture on"
    assert films.missing(film.pictures, filmed.pictures) == []
    assert films.missing(film.sounds, filmed.sounds) == []


@pytest.mark.parametrize(("camera", "viewer"), tuple(itertools.product(MAKES, VIEWERS)))
def test_a_viewer_sees_what_was_filmed(afternoon: Afternoon, film: Film, camera: str, viewer: str) -> None:
    watched = afternoon.viewers[camera, viewer]
    assert (watched.fault, watched.left) == ("", 200)
    assert watched.seen is not None
    places = films.places(film.pictures, watched.seen.pictures)
    assert places[0] % FPS == 0, "the first picture is a keyframe"
    assert places[-1] - places[0] > WATCHED_LEAST


@pytest.mark.parametrize("camera", MAKES)
def test_chromium_shows_every_make_of_camera(afternoon: Afternoon, camera: str) -> None:
    watched = afternoon.viewers[camera, "chromium"]
    assert (watched.fault, watched.left) == ("", 200)
    assert watched.decoded > 12


async def _call(page: Viewer, script: str, *given: Any) -> Any:
    return await page.page.evaluate(script, list(given))


PUBLISH = """async ([library, url, token]) => {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 320, height: 240, frameRate: 15 }, audio: true });
  globalThis.publishing = await libraries[library].publish(url, token, stream);
}"""
WATCH = """async ([library, url, token]) => {
  const video = Object.assign(document.createElement("video"), { muted: true, autoplay: true });
  document.body.append(video);
  globalThis.watching = await libraries[library].watch(url, token, video);
}"""
DECODED = """async () => {
  const reports = [...(await watching.peer.getStats()).values()];
  return Math.max(0, ...reports.filter((one) => one.kind === "video").map((one) => one.framesDecoded ?? 0));
}"""


@pytest.mark.parametrize(("camera", "viewer"), tuple(itertools.product(LIBRARIES, LIBRARIES)))
async def test_libraries_for_pages_publish_and_watch(scene: Scene, browser: Chromium, camera: str, viewer: str) -> None:
    script = (BUILT / "browser.js").read_text()
    async with scene.person("marie") as marie:
        intervention = await marie.intervention()
        filming, watching = await browser.viewer(scene.relay.url), await browser.viewer(scene.relay.url)
        refused: list[str] = []
        for page in (filming, watching):
            page.page.on(
                "response", lambda it: refused.append(f"{it.request.method} {it.status}") if it.status >= 400 else None
            )
            await page.page.evaluate(script)
        await _call(filming, PUBLISH, camera, scene.whip("cam1"), scene.tokens["cam1"])
        await marie.sees_live("cam1")
        asked = {"camera": "cam1", "intervention": intervention}
        token = (await marie.call("POST", "/api/view-tokens", asked, expect=201))["token"]
        await _call(watching, WATCH, viewer, f"{scene.relay.url}/whep/cam1", token)

        async def decodes() -> bool:
            return int(await _call(watching, DECODED)) > RECORDED_LEAST

        await until(decodes, 90, f"{RECORDED_LEAST} pictures to be decoded")
        (folder,) = scene.relay.recordings()
        await _call(watching, "() => watching.stop()")
        await _call(filming, "() => publishing.stop()")
        assert refused == []

        async def closed() -> bool:
            return bool((await marie.call("GET", f"/api/recordings/{folder.name}"))["state"] == "closed")

        await until(closed, 30, "the recording to be closed: it was stopped, and not only lost")
        assert (await marie.call("GET", f"/api/recordings/{folder.name}"))["reason"] == "stopped"
    assert await scene.relay.stop() == 0
    assert scene.relay.verify(folder)[0] == 0
