"""The whole line for real: cameras of three makes, three Chromium pages at once, recordings that a stranger checks."""

import asyncio
import contextlib
import itertools
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.conftest import Scene
from tests.support.chromium import Chromium, Viewer, until
from tests.support.ffmpeg_whip import ffmpeg_whip
from tests.support.relay import Person

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


async def watching(browser: Chromium, scene: Scene, person: Person, cameras: Sequence[str], intervention: str) -> Viewer:
    """Open a page of this person that watches these cameras; wait until all of them play."""
    viewer = await browser.viewer(scene.relay.url, person.cookies())
    for camera in cameras:
        reads = len(cameras) == 1
        posted = await viewer.watch(camera, scene.whep(camera, intervention), headers=person.headers(), codes=reads)
        assert posted.status == 201, posted.body
    for camera in cameras:
        await viewer.connected(camera)
        await viewer.frames(camera)
    return viewer


async def plays_on(page: Viewer, camera: str) -> None:
    """Wait for twenty more pictures, and find sound beside them."""
    before = (await page.report(camera, "inbound-rtp", "video"))["framesDecoded"]
    await page.frames(camera, before + 20)
    assert (await page.report(camera, "inbound-rtp", "audio")).get("packetsReceived", 0) > 0


async def recording_is(person: Person, recording: str, state: str) -> bool:
    """Return whether a recording is `open` or `closed`."""
    return bool((await person.call("GET", f"/api/recordings/{recording}"))["state"] == state)


async def test_three_makes_of_camera_watched_recorded_verified_and_tampered_with(
    scene: Scene, browser: Chromium, footage: Path, tmp_path: Path
) -> None:
    cameras = ("cam1", "cam2", "cam3")
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(scene.simulated("cam1", flags=("--footage", f"cam1={footage}")))
        await stack.enter_async_context(ffmpeg_whip(scene.whip("cam2"), scene.tokens["cam2"], tmp_path))
        publisher = await browser.viewer(scene.relay.url)
        posted = await publisher.publish("cam3", scene.whip("cam3"), scene.tokens["cam3"], fps=10, width=320, height=240)
        assert posted.status == 201, posted.body
        marie = await stack.enter_async_context(scene.person("marie"))
        await asyncio.gather(*(marie.sees_live(camera) for camera in cameras))
        intervention = await marie.intervention()
        pages = await asyncio.gather(*(watching(browser, scene, marie, cameras, intervention) for _ in range(3)))
        await asyncio.gather(*(plays_on(page, camera) for camera, page in itertools.product(cameras, pages)))
        await publisher.close("cam3", token=scene.tokens["cam3"])
    assert await scene.relay.stop() == 0
    folders = scene.relay.recordings()
    assert len(folders) == 3
    for folder in folders:
        code, verdict = scene.relay.verify(folder)
        assert code == 0, verdict
    scene.relay.run("journal", "verify")
    scene.relay.run("check")
    tampered = folders[0] / "00000.seg"
    data = bytearray(tampered.read_bytes())
    data[len(data) // 2] ^= 1
    tampered.write_bytes(data)
    assert scene.relay.verify(folders[0])[0] == 1


async def test_without_live_audio_no_sound_leaves_but_it_is_recorded(scene: Scene, browser: Chromium) -> None:
    async with scene.simulated("mute"), scene.person("marie") as marie:
        await marie.sees_live("mute")
        page = await watching(browser, scene, marie, ["mute"], await marie.intervention())
        await page.sees("mute", 30)
        assert (await page.report("mute", "inbound-rtp", "audio")).get("packetsReceived", 0) == 0


async def test_where_the_law_has_no_sound_the_recorded_file_has_none(scene: Scene) -> None:
    scene.tokens["car"] = scene.relay.enrol("car", "--regime", "embarquee")
    async with scene.person("marie") as marie:
        intervention = await marie.intervention()
        async with scene.simulated("car"):
            await marie.sees_live("car")
            (folder,) = scene.relay.recordings()
            await scene.relay.sealed(folder)
        await until(lambda: recording_is(marie, folder.name, "closed"), 90, "the recording to be closed")
        await marie.call("POST", f"/api/interventions/{intervention}/close")
        view = await marie.call("POST", f"/api/recordings/{folder.name}/views", {"motive": "relecture de la patrouille"})
        init = await marie.read(f"/api/views/{view['view']}/0.init.mp4")
    assert b"vide" in init
    assert b"soun" not in init
    assert scene.relay.verify(folder)[0] == 0


async def test_who_may_not_watch_sees_nothing(scene: Scene, browser: Chromium) -> None:
    async with scene.simulated("cam1"), scene.person("marie") as marie, scene.person("alice") as alice:
        await marie.sees_live("cam1")
        intervention = await marie.intervention()
        for who, under, status in ((marie, None, 422), (None, intervention, 401), (alice, intervention, 403)):
            page = await browser.viewer(scene.relay.url, who.cookies() if who is not None else None)
            headers = who.headers() if who is not None else {}
            posted = await page.watch("cam1", scene.whep("cam1", under), headers=headers)
            assert posted.status == status, posted.body
            assert await page.report("cam1", "inbound-rtp", "video") == {}


async def test_killing_control_stops_neither_picture_nor_recording(scene: Scene, browser: Chromium) -> None:
    async with scene.simulated("cam1"), scene.person("marie") as marie:
        await marie.sees_live("cam1")
        page = await watching(browser, scene, marie, ["cam1"], await marie.intervention())
        (control,) = scene.relay.pids("control")
        (folder,) = scene.relay.recordings()
        scene.relay.send_signal(signal.SIGSTOP)  # a supervisor that is held back starts no new control
        os.kill(control, signal.SIGKILL)
        killed_at = time.time() * 1000
        await page.sees_since("cam1", killed_at + 2000)
        await scene.relay.sealed(folder)
        assert scene.relay.pids("control") == [control], "all this without any control"
        scene.relay.send_signal(signal.SIGCONT)

        async def back() -> bool:
            return scene.relay.pids("control") not in ([control], []) and await scene.relay.ready()

        await until(back, 90, "a new control")
        await marie.sees_live("cam1")
        await page.sees_since("cam1", time.time() * 1000)
        assert scene.relay.recordings() == [folder]
    assert await scene.relay.stop() == 0
    assert scene.relay.verify(folder)[0] == 0


async def test_a_revoked_camera_stops_within_a_second(scene: Scene, browser: Chromium) -> None:
    async with scene.simulated("cam1"), scene.person("marie") as marie, scene.person("alice") as alice:
        await marie.sees_live("cam1")
        page = await watching(browser, scene, marie, ["cam1"], await marie.intervention())
        (folder,) = scene.relay.recordings()
        shown = await page.sees("cam1")
        await alice.call("DELETE", "/api/cameras/cam1")
        revoked_at = time.time() * 1000
        await until(lambda: recording_is(marie, folder.name, "closed"), 90, "the recording to be closed")
        shown += await page.stands_still("cam1")
        assert revoked_at - 60_000 < max(shown) < revoked_at + 1000

        async def refused() -> bool:
            viewer = await browser.viewer(scene.relay.url)
            return (await viewer.publish("cam1", scene.whip("cam1"), scene.tokens["cam1"])).status in (401, 403)

        await until(refused, 90, "the token to be refused")


async def test_ctrl_c_closes_every_recording(scene: Scene, footage: Path) -> None:
    async with scene.simulated("cam1", "cam2", flags=("--footage", f"cam2={footage}")), scene.person("marie") as marie:
        await marie.sees_live("cam1")
        await marie.sees_live("cam2")
        for folder in scene.relay.recordings():
            await scene.relay.sealed(folder)
        assert await scene.relay.stop() == 0
        folders = scene.relay.recordings()
        assert len(folders) == 2
        assert [scene.relay.verify(folder)[0] for folder in folders] == [0, 0]


async def test_an_idle_camera_streams_on_request(scene: Scene) -> None:
    async with scene.simulated("cam1", flags=("--idle",)), scene.person("olivier") as olivier:

        async def online() -> bool:
            return bool((await olivier.camera("cam1"))["online"])

        await until(online, 90, "cam1 to be online")
        intervention = await olivier.intervention()
        await olivier.call("POST", "/api/cameras/cam1/request", {"intervention": intervention})
        await olivier.sees_live("cam1")
        camera = await olivier.camera("cam1")
        assert camera["intervention"] == intervention
        assert camera["battery"] is not None


async def test_a_camera_that_falls_and_comes_back_continues_its_recording(scene: Scene) -> None:
    async with scene.person("marie") as marie:
        async with scene.simulated("cam1") as camera:
            await marie.sees_live("cam1")
            (folder,) = scene.relay.recordings()
            await scene.relay.sealed(folder)
            camera.kill()
            await camera.wait()

            async def missed() -> bool:
                return bool((await marie.camera("cam1"))["state"] != "live")

            await until(missed, 90, "cam1 to be missed")
        async with scene.simulated("cam1"):
            await marie.sees_live("cam1")
            await scene.relay.sealed(folder)
    assert await scene.relay.stop() == 0
    assert scene.relay.recordings() == [folder]
    code, verdict = scene.relay.verify(folder)
    assert code == 0, verdict
    gaps = [note["values"] for note in verdict["notes"] if note["code"] == "gap"]
    assert max(float(gap["seconds"]) for gap in gaps) > 1


async def test_killing_the_worker_costs_seconds_and_no_recording(scene: Scene) -> None:
    async with scene.simulated("cam1"), scene.person("marie") as marie:
        await marie.sees_live("cam1")
        (folder,) = scene.relay.recordings()
        await scene.relay.sealed(folder)
        (worker,) = scene.relay.pids("worker")
        os.kill(worker, signal.SIGKILL)

        async def replaced() -> bool:
            return scene.relay.pids("worker") not in ([worker], [])

        await until(replaced, 90, "a new worker")
        await marie.sees_live("cam1")
        await scene.relay.sealed(folder)
    assert await scene.relay.stop() == 0
    assert scene.relay.recordings() == [folder]
    code, verdict = scene.relay.verify(folder)
    assert code == 0, verdict


async def test_killing_the_recorder_keeps_the_picture_and_begins_a_new_recording(scene: Scene, browser: Chromium) -> None:
    async with scene.simulated("cam1"), scene.person("marie") as marie:
        await marie.sees_live("cam1")
        page = await watching(browser, scene, marie, ["cam1"], await marie.intervention())
        (recorder,) = scene.relay.pids("recorder")
        os.kill(recorder, signal.SIGKILL)

        async def second() -> bool:
            return len(scene.relay.recordings()) == 2

        await until(second, 90, "a second recording")
        await page.sees_since("cam1", time.time() * 1000)
        await scene.relay.sealed(scene.relay.recordings()[1])
    assert await scene.relay.stop() == 0
    first, following = scene.relay.recordings()
    code, verdict = scene.relay.verify(first)
    assert code == 1
    assert "interrupted" in str(verdict)
    assert scene.relay.verify(following)[0] == 0
