"""Control hears how far each recording went, enters it, and tells the recorder that recovers what a dead one left open."""

from pathlib import Path

from relay.channel import messages as m
from tests.support.control_line import Line, control_line, serving, until


async def _live(line: Line) -> str:
    """Publish a camera; return its recording."""
    await line.enrol("pm-1")
    assert (await line.publish("pm-1")).status == 201
    (recording,) = line.recorder.open
    return recording


async def test_a_recorder_is_told_how_far_the_recordings_went_that_a_dead_one_left_open(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        recording = await _live(line)
        line.recorder.report_heads(b"h" * 32, 9, 8, 5 * 10**9)
        await until(lambda: line.control.capture.heads.reported, "the head")
        line.recorder.left = (recording, "f" * 32)
        await line.recorder.stop()
        line.recorder.open.clear()
        await line.recorder.start()
        order = await line.recorder.next(m.RecoverLeft)
        assert order.known == (m.KnownHead(recording, b"h" * 32, 9, 8, 100, 5 * 10**9),)
        entered = [entry for entry in await line.entries() if entry["details"].get("event") == "heads sealed"]
        assert [(entry["object_id"], entry["details"]["heads"]) for entry in entered] == [("0", 1)], "the recorder was lost"


async def test_a_control_that_starts_again_tells_what_its_catalogue_knows(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        recording = await _live(line)
        line.recorder.report_heads(b"h" * 32, 9, 8, 5 * 10**9)
        await until(lambda: line.control.capture.heads.reported, "the head")
        await line.control.capture.heads.tick()
        await line.control.processes.stop()
        await line.control.stores.journal.close()
        line.recorder.left = (recording,)
        async with serving(line.settings, line.worker, line.recorder) as again:
            order = await line.recorder.next(m.RecoverLeft)
            assert [(head.recording, head.head, head.links) for head in order.known] == [(recording, b"h" * 32, 8)]
            damage = "missing at its end: 5 records, 4 fragments, 1.6 s"
            line.recorder.post(m.RecordingClosed(recording, "damaged", 4, b"h" * 32, 10**9, True, 0, 0, 9, damage))
            counters = again.control.context.counters.values
            await until(lambda: counters["recordings_damaged"] == 1, "the alarm")
            assert (await again.control.stores.catalogue.recordings.get(recording)).reason == "damaged"
