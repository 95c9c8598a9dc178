"""A camera of which something arrives that cannot be recorded: the page, the log, the metrics and the verdict all say so."""

import asyncio
from pathlib import Path
from typing import Any

import msgpack
import pytest

from relay.evidence.chain import Gap, iterate
from tests.e2e.conftest import Scene
from tests.support.chromium import until
from tests.support.ffmpeg_whip import ffmpeg_whip

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


async def test_a_picture_that_arrives_and_cannot_be_recorded_is_an_alarm_and_never_complete(
    scene: Scene, tmp_path: Path
) -> None:
    heard: list[dict[str, Any]] = []
    async with scene.person("marie") as marie:
        page = await marie.live()

        async def listen() -> None:
            async for message in page:
                heard.append(msgpack.unpackb(message.data))

        listening = asyncio.create_task(listen())
        async with ffmpeg_whip(scene.whip("cam1"), scene.tokens["cam1"], tmp_path, spoilt_after=12):

            async def rec_is(rec: str) -> bool:
                return bool((await marie.camera("cam1"))["rec"] == rec)

            await until(lambda: rec_is("recording"), 60, "the first seal")
            await until(lambda: rec_is("unrecorded"), 60, "the picture to be spoilt")
            assert (await marie.camera("cam1"))["unrecorded"] == ["video"], "the sound is recorded"
            reasons = [(message["camera"], message["reason"]) for message in heard if message["t"] == "alarm"]
            assert reasons == [("cam1", "not_recorded")], "one alarm, however long it lasts"
            metrics = await marie.text("/metrics")
            assert 'relay_recordings_unrecorded_total{process="control"} 1.0' in metrics
            assert 'relay_unrecorded_cameras{process="control"} 1.0' in metrics
        listening.cancel()
        (folder,) = scene.relay.recordings()
    assert await scene.relay.stop() == 0
    assert "received, not recorded" in scene.relay.log()
    code, verdict = scene.relay.verify(folder)
    assert code == 1, verdict
    assert {finding["code"] for finding in verdict["findings"]} == {"not_recorded"}
    assert verdict["completeness"] == "incomplete"


async def test_the_recordings_of_cameras_that_begin_with_picture_and_sound_begin_without_a_gap(
    scene: Scene, tmp_path: Path
) -> None:
    filming = ffmpeg_whip(scene.whip("cam2"), scene.tokens["cam2"], tmp_path)
    async with scene.person("marie") as marie, filming, scene.simulated("cam1"):
        await asyncio.gather(marie.sees_live("cam1"), marie.sees_live("cam2"))
        await asyncio.gather(*(scene.relay.sealed(folder, 20_000) for folder in scene.relay.recordings()))
    assert await scene.relay.stop() == 0
    folders = scene.relay.recordings()
    assert len(folders) == 2
    for folder in folders:
        code, verdict = scene.relay.verify(folder)
        assert code == 0, verdict
        gaps = [record.body for record in iterate((folder / "chain").read_bytes()) if isinstance(record.body, Gap)]
        # A camera that this machine starves leaves pictures out: that is a pause.
        assert {gap.cause.value for gap in gaps} <= {"paused", "silence", "radio"}, gaps
