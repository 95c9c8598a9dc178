"""A worker or recorder that was taken over lies to control: it is believed about its own cameras and recordings only."""

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from relay.channel import messages as m
from relay.live.circumstances import Circumstances
from relay.live.claims import Kept
from relay.store.passes import KEPT
from tests.support.control_line import Line, control_line, serving, until
from tests.support.fake_peers import FakeRecorder, FakeWorker

TWO = {"count": 2}


@contextlib.asynccontextmanager
async def _beside(data: Path) -> AsyncIterator[tuple[FakeWorker, FakeRecorder]]:
    """Run the second worker and recorder, which are taken over."""
    run = data / "run"
    run.mkdir(exist_ok=True)
    worker, recorder = FakeWorker(run, 1), FakeRecorder(run, 1)
    await worker.start()
    await recorder.start()
    try:
        yield worker, recorder
    finally:
        await worker.stop()
        await recorder.stop()


async def _live(line: Line) -> str:
    """Publish a camera on worker 0; return its recording."""
    await line.enrol("pm-1")
    assert (await line.publish("pm-1")).status == 201
    live = line.control.context.streams.live("pm-1")
    assert live is not None
    assert (live.worker, live.recording is not None) == (0, True)
    return live.recording or ""


async def _refused(line: Line, count: int) -> None:
    await until(lambda: line.control.context.counters.values["claims_refused"] >= count, f"{count} refused claims")


async def _restarted(line: Line) -> None:
    """Stop control as a kill would: nothing of it may write from here on."""
    await line.control.processes.stop()
    await line.control.stores.journal.close()


async def test_a_recorder_reports_nothing_about_what_another_one_holds(tmp_path: Path) -> None:
    async with _beside(tmp_path) as (_, liar), control_line(tmp_path, workers=TWO) as line:
        recording = await _live(line)
        liar.post(m.SegmentSealed(recording, 0, 0, 9, 1, 2, 3, b"x" * 32))
        liar.post(m.GapSeen(recording, 1, 2, "disk"))
        liar.close(recording, "damaged")
        report = m.RecordingReport(recording, "pm-1", time.monotonic(), 1, 0, 100, "full")
        liar.post(m.RecorderReport(1, (report,), {}, 0.0, 10**9, 0, (recording,)))
        await _refused(line, 4)
        services, live = line.control.context, line.control.context.streams.live("pm-1")
        assert live is not None
        assert live.recording == recording
        assert not services.streams.recording_supervisor.in_grace(live)
        held = line.control.capture.held(recording)
        assert held is not None
        assert (held.index, held.state) == (0, "waiting")
        row = await line.control.stores.catalogue.recordings.get(recording)
        assert (row.state, row.links, row.recorder) == ("open", 0, 0)
        assert not [entry for entry in await line.entries() if entry["details"].get("event") == "recording closed"]


async def test_a_recorder_reports_nothing_about_what_another_one_closed(tmp_path: Path) -> None:
    async with _beside(tmp_path) as (_, liar), control_line(tmp_path, workers=TWO) as line:
        recording = await _live(line)
        line.recorder.close(recording, "stopped")
        await until(lambda: line.control.context.counters.values["recordings_closed"] == 1, "its end")
        before = await line.control.stores.catalogue.recordings.get(recording)
        liar.close(recording, "damaged")
        await _refused(line, 1)
        assert await line.control.stores.catalogue.recordings.get(recording) == before
        line.recorder.close(recording, "damaged")
        await until(lambda: line.control.context.counters.values["recordings_damaged"] == 1, "its own recorder is believed")


async def test_a_recorder_does_not_claim_what_another_one_holds_from_a_control_that_connects_anew(tmp_path: Path) -> None:
    async with _beside(tmp_path) as (_, liar), control_line(tmp_path, workers=TWO) as line:
        recording = await _live(line)
        plan = line.recorder.open[recording]
        await _restarted(line)
        liar.open = {recording: plan, "f" * 32: replace(plan, recording="f" * 32)}
        async with serving(line.settings, line.worker, line.recorder) as again:
            held = again.control.capture.held(recording)
            assert held is not None
            assert held.index == 0
            assert again.control.capture.open() == {recording}
            await _refused(again, 2)
            live = again.control.context.streams.live("pm-1")
            assert live is not None
            assert (live.worker, live.recording) == (0, recording)


async def test_recorder_0_closes_what_a_recorder_that_is_no_more_left_open(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        recording = await _live(line)
        await line.control.stores.catalogue.recordings.update(recording, {"recorder": 3})
        line.recorder.close(recording, "interrupted")
        await until(lambda: line.control.context.counters.values["recordings_closed"] == 1, "its end")


@pytest.mark.parametrize("kept", ["nothing", "rubbish", "of another worker", "of another camera"])
async def test_a_worker_claims_no_camera_that_control_never_gave_it(tmp_path: Path, kept: str) -> None:
    async with _beside(tmp_path) as (liar, _), control_line(tmp_path, workers=TWO) as line:
        recording = await _live(line)
        await line.enrol("pm-2")
        why = line.worker.publishers[line.worker.all(m.PublishOpen)[0].session].kept
        await _restarted(line)
        given = {"nothing": b"", "rubbish": b"x" * 99}.get(kept, why)
        camera, fed = ("pm-1", recording) if kept == "of another worker" else ("pm-2", "f" * 32)
        session = line.worker.all(m.PublishOpen)[0].session if kept.startswith("of") else "s"
        claim = m.PublisherHeld(session, camera, fed, "live", True, "e", 0.0, 0.0, is_recording_open=False, kept=given)
        line.worker.publishers.clear()
        liar.publishers = {session: claim}
        async with serving(line.settings, line.worker, line.recorder) as again:
            assert not again.control.context.streams.all()
            assert (await liar.next(m.PeerClose)).session == session
            assert again.control.context.counters.values["claims_refused"] == (kept != "nothing")


@pytest.mark.parametrize("of", ["another camera", "another recorder"])
async def test_a_worker_claims_no_recording_that_is_not_its_cameras(tmp_path: Path, of: str) -> None:
    async with _beside(tmp_path) as (liar, _), control_line(tmp_path, workers=TWO) as line:
        recording = await _live(line)
        await line.enrol("pm-2")
        camera = "pm-1" if of == "another recorder" else "pm-2"
        # Sealed by control itself: once this camera was on that worker.
        sealed = Kept(line.control.stores.passes.of(KEPT)).seal(1, "s", camera, Circumstances("", "press", "agents", None))
        await line.control.stores.catalogue.recordings.update(recording, {"recorder": 0 if of == "another recorder" else 1})
        await _restarted(line)
        line.worker.publishers.clear()
        liar.publishers = {"s": m.PublisherHeld("s", camera, recording, "live", True, "e", 0.0, 0.0, kept=sealed)}
        async with serving(line.settings, line.worker, line.recorder) as again:
            assert not again.control.context.streams.all()
            await _refused(again, 1)


async def test_a_worker_that_connects_again_brings_back_no_session_that_ended(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        await _live(line)
        held = dict(line.worker.publishers)
        held = {
            session: replace(publisher, kept=line.worker.all(m.PublisherKeep)[0].kept) for session, publisher in held.items()
        }
        await line.control.context.streams.stop("pm-1", m.PeerCloseReason.LOST_TAKEN_OVER, "lost", None)
        await line.worker.stop()
        await until(lambda: not line.control.processes.workers[0].up, "worker away")
        line.worker.publishers = held
        await line.worker.start()
        await _refused(line, 1)
        assert line.control.context.streams.live("pm-1") is None
