"""From the tap's socket to a sealed folder that decrypts, plays and survives the recorder's death."""

import asyncio
import base64
import contextlib
import io
import json
import sys
import threading
import time
from pathlib import Path

import av
import pytest

from relay.base.errors import TheirError
from relay.base.ids import new_id
from relay.channel import messages
from relay.evidence.chain import Cause, End, Gap, Link, Reason, Record, Recovery, Start
from relay.evidence.seal import sha256
from relay.recorder.recorder import Recorder
from relay.store.vault import CHAIN, FileOps
from tests.support.ports import until
from tests.support.recorder_line import KEY, TRACKS, Place, feed, plan, running, taken
from tests.support.rtp_source import encode_video, scene, video


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def decoded(data: bytes) -> dict[str, int]:
    with av.open(io.BytesIO(data), "r") as container:
        frames = {"video": 0, "audio": 0}
        for frame in container.decode():
            frames["video" if isinstance(frame, av.VideoFrame) else "audio"] += 1
        return frames


async def test_real_media_becomes_a_folder_that_decrypts_and_plays(place: Place) -> None:
    recording = new_id(time.time_ns())
    async with running(place.config()) as recorder:
        control, tap = await place.connect(), await place.connect()
        await control.ask(messages.RecordOpen(plan(recording), KEY))
        tap.post(messages.TapOpen(recording, "cam-1", TRACKS))
        await feed(tap, recording, scene(2.0))
        control.post(messages.RecordMeta(recording, time.time_ns(), {"battery": "0.8"}))
        await taken(tap, recorder)
        await control.ask(messages.RecordClose(recording, "stopped", "agent"))
    start, *_, end = [record.body for record in place.chain(recording)]
    assert isinstance(start, Start)
    assert isinstance(end, End)
    assert end.reason is Reason.STOPPED
    assert end.gaps == 0
    assert decoded(place.plain(recording)) == {"video": 60, "audio": 100}
    closed = [message for message in place.heard if isinstance(message, messages.RecordingClosed)]
    sealed = [message for message in place.heard if isinstance(message, messages.SegmentSealed)]
    assert [(item.reason, item.recovered, item.head) for item in closed] == [
        (
            "stopped",
            False,
            sha256(
                place.chain(recording)[-1].signed[len(b"bodycam-relay chain record 1\n") :]
                + place.chain(recording)[-1].signature
            ),
        )
    ]
    assert [item.segment for item in sealed] == [0]


async def test_packets_that_waited_for_the_signed_start_are_recorded_where_they_came_and_what_overflowed_is_a_gap(
    place: Place,
) -> None:
    """Three seconds waited, less the 0.7 s that found no room; then the camera goes on."""
    recording, since = new_id(time.time_ns()), time.monotonic() - 3.0
    started_ns = time.time_ns() - 3 * 10**9
    packets = [(int((since + timed.at) * 1e9), timed.packet) for timed in scene(4.0)]
    held = [item for item in packets if item[0] < (since + 1.5) * 1e9]
    rest = [item for item in packets if item[0] >= (since + 2.2) * 1e9]
    async with running(place.config()) as recorder:
        control, tap = await place.connect(), await place.connect()
        await control.ask(messages.RecordOpen(plan(recording, started_ns=started_ns), KEY, since))
        tap.post(messages.TapOpen(recording, "cam-1", TRACKS))
        tap.post(messages.TapPackets(recording, held))
        tap.post(messages.TapLost(recording, len(packets) - len(held) - len(rest)))
        tap.post(messages.TapPackets(recording, rest))
        await taken(tap, recorder)
        await control.ask(messages.RecordClose(recording, "stopped", None))
    start = place.chain(recording)[0].body
    links = [record.body for record in place.bodies(recording, Link)]
    gaps = [record.body for record in place.bodies(recording, Gap)]
    assert isinstance(start, Start)
    assert isinstance(links[0], Link)
    assert abs(links[0].arrival_start_ns - start.started_ns) < 50_000_000, "the first picture, when it came"
    video_gaps = [gap for gap in gaps if isinstance(gap, Gap) and gap.track == 1]
    assert [gap.cause for gap in video_gaps] == [Cause.TAP_OVERFLOW]
    assert 0.6e9 < video_gaps[0].length_ns < 2e9, "from the last picture that was kept to the next keyframe"
    assert decoded(place.plain(recording))["video"] >= 45 + 30


async def test_ffprobe_finds_picture_and_sound_in_the_plain_file(place: Place, tmp_path: Path) -> None:
    recording = new_id(time.time_ns())
    async with running(place.config()) as recorder:
        control, tap = await place.connect(), await place.connect()
        await control.ask(messages.RecordOpen(plan(recording), KEY))
        tap.post(messages.TapOpen(recording, "cam-1", TRACKS))
        await feed(tap, recording, scene(1.0))
        await taken(tap, recorder)
        await control.ask(messages.RecordClose(recording, "stopped", None))
    path = tmp_path / "plain.mp4"
    path.write_bytes(place.plain(recording))
    probe = ("-v", "error", "-count_packets", "-show_entries", "stream=codec_name,nb_read_packets,width", "-of", "json")
    process = await asyncio.create_subprocess_exec("ffprobe", *probe, path, stdout=asyncio.subprocess.PIPE)
    listed, _ = await process.communicate()
    assert json.loads(listed)["streams"] == [
        {"codec_name": "h264", "width": 320, "nb_read_packets": "30"},
        {"codec_name": "opus", "nb_read_packets": "50"},
    ]


async def test_camera_that_comes_back_continues_its_recording_after_a_signed_gap(place: Place) -> None:
    recording = new_id(time.time_ns())
    async with running(place.config()) as recorder:
        control, tap = await place.connect(), await place.connect()
        await control.ask(messages.RecordOpen(plan(recording), KEY))
        tap.post(messages.TapOpen(recording, "cam-1", TRACKS[:1]))
        await feed(tap, recording, list(video(encode_video(30))))
        tap.post(messages.TapClose(recording, "lost"))
        await taken(tap, recorder)
        again = messages.Track(7, "video", 102, 90000, "")
        tap.post(messages.TapOpen(recording, "cam-1", (again,)))
        await feed(tap, recording, list(video(encode_video(30), ssrc=7, sequence=5, timestamp=9)))
        await taken(tap, recorder)
        await control.ask(messages.RecordClose(recording, "stopped", None))
    gaps = [record.body for record in place.bodies(recording, Gap)]
    assert [gap.cause.value for gap in gaps if isinstance(gap, Gap)] == ["reconnect"]
    links = [record.body for record in place.bodies(recording, Link)]
    assert {link.segment for link in links if isinstance(link, Link)} == {0, 1}
    assert decoded(place.plain(recording))["video"] == 60


async def test_the_last_packets_before_an_end_are_recorded_whichever_connection_is_read_first(place: Place) -> None:
    recording = new_id(time.time_ns())
    async with running(place.config()) as recorder:
        control, tap = await place.connect(), await place.connect()
        await control.ask(messages.RecordOpen(plan(recording), KEY))
        tap.post(messages.TapOpen(recording, "cam-1", TRACKS[:1]))
        pictures = list(video(encode_video(45)))
        await feed(tap, recording, pictures[: len(pictures) // 2])
        await taken(tap, recorder)
        end = asyncio.create_task(control.ask(messages.RecordClose(recording, "revoked", "marie")))
        await asyncio.sleep(0.05)  # the order is there; what the worker posted before it is not
        now = time.monotonic_ns()
        tap.post(messages.TapPackets(recording, [(now, timed.packet) for timed in pictures[len(pictures) // 2 :]]))
        tap.post(messages.TapClose(recording, "stopped"))
        await end
    assert decoded(place.plain(recording))["video"] == 45
    assert place.bodies(recording, Gap) == []
    last = place.chain(recording)[-1].body
    assert isinstance(last, End)
    assert (last.reason, last.author) == (Reason.REVOKED, "marie")


@pytest.mark.parametrize("ordered", [True, False])
async def test_the_signed_end_says_why_and_by_whom_although_the_session_ended_first(place: Place, ordered: bool) -> None:
    recording = new_id(time.time_ns())
    async with running(place.config()) as recorder:
        control, tap = await place.connect(), await place.connect()
        await control.ask(messages.RecordOpen(plan(recording), KEY))
        tap.post(messages.TapOpen(recording, "cam-1", TRACKS))
        await feed(tap, recording, scene(0.5))
        tap.post(messages.TapClose(recording, "stopped"))
        await taken(tap, recorder)
        if ordered:
            await control.ask(messages.RecordClose(recording, "revoked", "marie"))
        await until(lambda: any(isinstance(message, messages.RecordingClosed) for message in place.heard), 30)
    end = place.chain(recording)[-1].body
    assert isinstance(end, End)
    assert (end.reason, end.author) == ((Reason.REVOKED, "marie") if ordered else (Reason.STOPPED, None))


@pytest.mark.parametrize("is_said", [True, False])
async def test_a_recording_ends_when_its_camera_said_so_and_not_when_the_wait_for_it_ended(place: Place, is_said: bool) -> None:
    recording = new_id(time.time_ns())
    async with running(place.config()) as recorder:
        control, tap = await place.connect(), await place.connect()
        await control.ask(messages.RecordOpen(plan(recording), KEY))
        tap.post(messages.TapOpen(recording, "cam-1", TRACKS))
        await feed(tap, recording, scene(0.5))
        await taken(tap, recorder)
        goodbye = time.monotonic_ns()
        await asyncio.sleep(1.5)  # nothing came meanwhile
        tap.post(messages.TapClose(recording, "stopped", goodbye if is_said else None))
        await until(lambda: any(isinstance(message, messages.RecordingClosed) for message in place.heard), 30)
    assert (place.bodies(recording, Gap) == []) is is_said
    end = place.chain(recording)[-1].body
    assert isinstance(end, End)
    assert end.reason is Reason.STOPPED


async def test_a_worker_that_goes_on_sending_after_the_end_was_ordered_leaves_a_signed_gap(place: Place) -> None:
    recording = new_id(time.time_ns())
    async with running(place.config()):
        control, tap = await place.connect(), await place.connect()
        await control.ask(messages.RecordOpen(plan(recording), KEY))
        tap.post(messages.TapOpen(recording, "cam-1", TRACKS))
        feeding = asyncio.create_task(feed(tap, recording, scene(3.0), realtime=1.0))
        await asyncio.sleep(0.5)
        await control.ask(messages.RecordClose(recording, "stopped", None))
        await feeding
    gaps = [record.body for record in place.bodies(recording, Gap)]
    assert [(gap.cause, gap.detail) for gap in gaps if isinstance(gap, Gap)] == [
        (Cause.RECORDER, "the worker did not end the session in time")
    ]


async def test_camera_that_stays_away_ends_lost(place: Place) -> None:
    recording = new_id(time.time_ns())
    async with running(place.config(resume_seconds=0.2)):
        control, tap = await place.connect(), await place.connect()
        await control.ask(messages.RecordOpen(plan(recording), KEY))
        tap.post(messages.TapOpen(recording, "cam-1", TRACKS))
        await feed(tap, recording, scene(1.0))
        tap.close()
        await until(lambda: any(isinstance(message, messages.RecordingClosed) for message in place.heard), 30)
    end = place.chain(recording)[-1].body
    assert isinstance(end, End)
    assert end.reason is Reason.LOST


async def test_camera_that_keeps_its_own_original_leaves_a_chain_and_no_media(place: Place) -> None:
    recording = new_id(time.time_ns())
    async with running(place.config()) as recorder:
        control, tap = await place.connect(), await place.connect()
        await control.ask(messages.RecordOpen(plan(recording, original="camera"), KEY))
        tap.post(messages.TapOpen(recording, "cam-1", TRACKS))
        await feed(tap, recording, scene(1.0))
        await taken(tap, recorder)
        await control.ask(messages.RecordClose(recording, "stopped", None))
    assert [path.name for path in (place.root / "vault" / recording).iterdir()] == [CHAIN]
    links = [record.body for record in place.bodies(recording, Link)]
    assert all(isinstance(link, Link) and link.stored_length == 0 and link.plain_length > 0 for link in links)


async def test_recorder_without_control_seals_and_ends(place: Place) -> None:
    recording = new_id(time.time_ns())
    recorder = Recorder(place.config(orphan_seconds=0.3))
    task = asyncio.create_task(recorder.run())
    control, tap = await place.connect(), await place.connect()
    await control.ask(messages.RecordOpen(plan(recording), KEY))
    tap.post(messages.TapOpen(recording, "cam-1", TRACKS))
    await feed(tap, recording, scene(1.0))
    control.close()
    async with asyncio.timeout(60):
        await task
    end = place.chain(recording)[-1].body
    assert isinstance(end, End)
    assert end.reason is Reason.SHUTDOWN


WRITTEN = 5
"""Fragments (13 pictures each at 0.44 s) that hold two seconds together."""


def _links(place: Place, recording: str) -> list[Record]:
    """Return the links written so far; none while the file ends within a record."""
    with contextlib.suppress(TheirError, FileNotFoundError):
        return place.bodies(recording, Link)
    return []


async def test_killed_recorder_leaves_what_plays_and_the_next_one_signs_a_recovery(place: Place) -> None:
    recording = new_id(time.time_ns())
    config = place.config()
    file = place.root / "recorder-0.json"
    raw = {name: getattr(config, name) for name in config.__struct_fields__}
    file.write_text(json.dumps(raw, default=lambda value: base64.b64encode(value).decode()))
    command = (sys.executable, "-m", "relay.recorder", "--config", str(file), "--index", "0")
    process = await asyncio.create_subprocess_exec(*command)
    try:
        control, tap = await place.connect(), await place.connect()
        await control.ask(messages.RecordOpen(plan(recording), KEY))
        tap.post(messages.TapOpen(recording, "cam-1", TRACKS))
        await feed(tap, recording, scene(3.0), realtime=0.5)
        await until(lambda: len(_links(place, recording)) >= 1 + WRITTEN, 30)
    finally:
        process.kill()
        await process.wait()
    before = place.chain(recording)
    assert not any(isinstance(record.body, End) for record in before)
    with (place.root / "vault" / recording / CHAIN).open("ab") as chain:
        chain.write(b"\x00\x01\x00torn")
    torn = (place.root / "vault" / recording / CHAIN).read_bytes()
    with (place.root / "vault" / recording / "00000.seg").open("ab") as segment:
        segment.write(b"half a fragment")
    place.heard.clear()
    async with running(place.config()):
        control = await place.connect()
        assert await control.ask(messages.InventoryAsk()) == messages.RecorderInventory((), (recording,))
        assert (place.root / "vault" / recording / CHAIN).read_bytes() == torn, (
            "nothing is signed before control has said what it knows"
        )
        await control.ask(messages.RecoverLeft(()))
        await until(lambda: any(isinstance(message, messages.RecordingClosed) for message in place.heard))
        assert await control.ask(messages.InventoryAsk()) == messages.RecorderInventory(())
    recovery = place.chain(recording)[-1].body
    assert isinstance(recovery, Recovery)
    assert (recovery.dropped_chain_bytes, recovery.dropped_media_bytes) == (7, 15)
    assert decoded(place.plain(recording))["video"] >= 60
    reported = [message for message in place.heard if isinstance(message, messages.RecordingClosed)]
    assert [(item.recording, item.recovered) for item in reported] == [(recording, True)]


async def test_a_long_recovery_keeps_no_camera_waiting(place: Place) -> None:
    """Reading a chain of hours takes seconds: a recorder that is back takes what is live at once."""

    class Slow(FileOps):
        read = threading.Event()

        def truncate(self, descriptor: int, size: int) -> None:
            if not self.read.wait(60):
                raise AssertionError("nobody let the recovery go on")
            super().truncate(descriptor, size)

    left, live = new_id(time.time_ns()), new_id(time.time_ns())
    async with running(place.config()):
        control = await place.connect()
        await control.ask(messages.RecordOpen(plan(left), KEY))
        folder, marks = place.root / "vault" / left, place.root / "vault" / "open-0"
        start = (folder / CHAIN).read_bytes()
    (folder / CHAIN).write_bytes(start)  # as a death would have left it
    (marks / left).touch()
    place.heard.clear()
    ops = Slow()
    recorder = Recorder(place.config(), ops=ops)
    task = asyncio.create_task(recorder.run())
    control = await place.connect()
    await control.ask(messages.RecordOpen(plan(live, previous=left), KEY))
    await control.ask(messages.RecoverLeft(()))
    assert not any(isinstance(message, messages.RecordingClosed) for message in place.heard)
    ops.read.set()
    await until(lambda: any(isinstance(message, messages.RecordingClosed) for message in place.heard))
    assert isinstance(place.chain(left)[-1].body, Recovery)
    assert len(place.chain(live)) == 1, "what was opened meanwhile was not left behind by anybody"
    recorder.stop("test")
    await task


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_bug_in_the_vault_thread_ends_the_process_so_that_the_next_one_recovers(place: Place) -> None:
    class Broken(FileOps):
        broken = False

        def write(self, descriptor: int, data: bytes) -> int:
            if self.broken:
                raise RuntimeError("a bug")
            return super().write(descriptor, data)

    ops = Broken()
    recording = new_id(time.time_ns())
    recorder = Recorder(place.config(), ops=ops)
    task = asyncio.create_task(recorder.run())
    control, tap = await place.connect(), await place.connect()
    await control.ask(messages.RecordOpen(plan(recording), KEY))
    tap.post(messages.TapOpen(recording, "cam-1", TRACKS))
    ops.broken = True
    await feed(tap, recording, scene(1.0))
    async with asyncio.timeout(60):
        await task
    assert recorder.failed
    async with running(place.config()):
        control = await place.connect()
        await control.ask(messages.RecoverLeft(()))
    assert isinstance(place.chain(recording)[-1].body, Recovery)
