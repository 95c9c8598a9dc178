"""Cameras that send their parameter sets once, or only in their offer, or no IDR at all, whose markers are wrong, or who send
units that are to be ignored, on a whole relay: a viewer who comes late sees them, and what was recorded is what was filmed."""

import asyncio
import contextlib
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.e2e.conftest import Scene
from tests.support.camera_streams import Habits, Stream, made, shown_in
from tests.support.chromium import Chromium, until
from tests.support.made_camera import MadeCamera
from tests.support.relay import Person

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LATE_SECONDS = 6
"""Longer than a worker keeps packets for viewers who join."""
SMALL = Habits(width=320, height=192, fps=15, gop=15, seconds=60)
REACHED = 5
"""The picture with which the relay is reached by a camera whose only IDR came before."""
CAMERAS = {
    "cam1": (replace(SMALL, sets="first", slices=4, markers="slice", ignored="31"), 0),
    "cam2": (replace(SMALL, sets="offer"), 0),
    "cam3": (replace(SMALL, sets="offer", refresh=True), REACHED),
}
"""Habits, and the first picture that is sent."""


async def played_back(marie: Person, recording: str) -> tuple[str, ...]:
    """Return the digests of the pictures that FFmpeg decodes of a recording as it is played back."""
    body = {"motive": "relecture de la patrouille"}
    view = (await marie.call("POST", f"/api/recordings/{recording}/views", body))["view"]
    playlist = await marie.text(f"/api/views/{view}/index.m3u8")
    names = [re.findall(r'URI="([^"]+)"', playlist)[0], *re.findall(r"^\S+\.m4s$", playlist, re.MULTILINE)]
    return shown_in(b"".join([await marie.read(f"/api/views/{view}/{name}") for name in names]), "mp4")


async def see_late(scene: Scene, browser: Chromium, marie: Person, cameras: Sequence[str], intervention: str) -> None:
    """Have a page watch cameras that have filmed for a while."""
    await asyncio.gather(*(marie.sees_live(camera) for camera in cameras))
    await asyncio.sleep(LATE_SECONDS)
    page = await browser.viewer(scene.relay.url, marie.cookies())
    for camera in cameras:
        posted = await page.watch(camera, scene.whep(camera, intervention), headers=marie.headers())
        assert posted.status == 201, posted.body
    for camera in cameras:
        await page.connected(camera)
        await page.frames(camera, 20)


async def closed(marie: Person) -> dict[str, str]:
    """Wait until every recording is closed; return their cameras and ids."""
    listed: list[dict[str, str]] = []

    async def are_closed() -> bool:
        listed[:] = (await marie.call("GET", "/api/recordings"))["recordings"]
        return {each["state"] for each in listed} == {"closed"}

    await until(are_closed, 90, "the recordings to be closed")
    assert len(listed) == len(CAMERAS)
    return {each["camera"]: each["recording"] for each in listed}


def judge(stream: Stream, first: int, found: Sequence[str]) -> None:
    """Compare a recording's pictures with those that were filmed, from where they are whole."""
    assert len(found) > LATE_SECONDS * stream.habits.fps
    whole = list(found[2 * stream.habits.gop if stream.habits.refresh else 0 :])
    expected = list(stream.shown[first:])
    begins = expected.index(whole[0])
    assert whole == expected[begins : begins + len(whole)], "each picture from there on, and none that was not filmed"


async def test_a_late_viewer_sees_them_and_they_are_recorded(scene: Scene, browser: Chromium) -> None:
    streams = {camera: made(habits) for camera, (habits, _) in CAMERAS.items()}
    async with scene.person("marie") as marie:
        intervention = await marie.intervention()
        async with contextlib.AsyncExitStack() as stack:
            for camera, (_, first) in CAMERAS.items():
                filming = MadeCamera(streams[camera], first).filming(scene.whip(camera), scene.tokens[camera])
                await stack.enter_async_context(filming)
            await see_late(scene, browser, marie, list(CAMERAS), intervention)
        recordings = await closed(marie)
        await marie.call("POST", f"/api/interventions/{intervention}/close")
        for camera, recording in recordings.items():
            code, verdict = scene.relay.verify(scene.relay.data / "vault" / recording)
            assert code == 0, verdict
            judge(streams[camera], CAMERAS[camera][1], await played_back(marie, recording))
