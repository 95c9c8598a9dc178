"""Camera, worker, viewers: stock aiortc at both ends, the channel's sockets between, one process."""

import asyncio
import contextlib
import gc
import math
import sys
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aioice.ice
import msgspec
import pytest

from relay.base.clock import SystemClock
from relay.base.counters import Counters
from relay.base.errors import Kind, TheirError
from relay.channel import messages as m
from relay.channel.framing import Connection, connect
from relay.worker import camera_peer
from relay.worker.config import WorkerConfig
from sim_cameras.impair import Network
from tests.support.passes import CONTROL, TAP
from tests.support.ports import IDENTITY, until
from tests.support.worker_line import Line, camera, film, no_questions, viewer

FILM = film()


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    before = aioice.ice.get_host_addresses
    yield
    aioice.ice.get_host_addresses = before


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    async with Line(tmp_path).serving() as serving:
        yield serving


async def test_a_viewer_sees_the_camera_and_the_recorder_gets_every_packet(line: Line) -> None:
    async with camera(line, "cam", FILM, sound=True), viewer(line, "v") as watching:
        await line.assign("v", 0, "cam", "view-1")
        picture = await watching.picture()
        assert (picture.width, picture.height) == (320, 240)
        await until(lambda: line.recorder.packets > 50 and line.of(m.WorkerReport))
        await _tapped_sound(line)
    opened = line.recorder.of(m.TapOpen)[-1]
    assert {track.kind for track in opened.tracks} == {"video", "audio"}
    assert opened.recording == "r-cam"
    assert line.counters.values["tap_lost"] == 0
    assert [fact.view for fact in line.of(m.LegStarted)] == ["view-1"]


async def test_what_a_session_held_is_freed_when_it_ends_without_the_collector(line: Line) -> None:
    gc.collect()
    gc.disable()  # as in a worker while a camera streams, which in a command post is always
    try:
        async with camera(line, "cam", FILM, sound=True), viewer(line, "v"):
            await line.assign("v", 0, "cam", "view-1")
            await until(lambda: line.counters.values["leg_packets"] > 0)
            worker = line.worker
            ends: list[object] = [worker.publishers.by_camera["cam"], worker.viewers.by_session["v"]]
            held = [weakref.ref(each) for each in ends]
            del ends
        await until(lambda: not any(each() for each in held))
    finally:
        gc.enable()


async def test_no_packet_leaves_before_a_view_is_assigned(line: Line) -> None:
    async with camera(line, "cam", FILM), viewer(line, "v"):
        await until(lambda: line.recorder.packets > 50)
        assert line.counters.values["leg_packets"] == 0


async def test_a_late_viewer_starts_from_the_cache_of_a_camera_that_answers_no_keyframe_request(line: Line) -> None:
    async with camera(line, "cam", film(4, key_every=90)) as filming:
        filming.answers_keyframes = False
        await until(lambda: line.recorder.packets > 60)
        filming.paused = True  # from here on there is nothing but the cache
        async with viewer(line, "v") as watching:
            await line.assign("v", 0, "cam", "view-1")
            await watching.picture()


async def test_sound_is_heard_only_where_it_is_allowed(line: Line) -> None:
    async with camera(line, "loud", FILM, sound=True), viewer(line, "v") as watching:
        await line.assign("v", 0, "loud", "view-1")
        await line.ask(m.AudioAssign("v", 0))
        frame = await asyncio.wait_for(watching.sound.recv(), 30)
        assert frame.sample_rate == 48_000


async def test_sound_of_a_camera_without_live_audio_is_recorded_and_never_sent(line: Line) -> None:
    async with camera(line, "mute", FILM, sound=True, live_audio=False), viewer(line, "v") as watching:
        await line.assign("v", 0, "mute", "view-1")
        with pytest.raises(TheirError) as refused:
            await line.ask(m.AudioAssign("v", 0))
        assert refused.value.kind is Kind.FORBIDDEN
        await watching.picture()
        await _tapped_sound(line)
        slot = line.worker.viewers.by_session["v"].audio
        assert slot is not None
        assert slot.sender.leg.packets == 0


@pytest.mark.parametrize("obeys", [True, False])
async def test_sound_of_a_camera_whose_regime_records_none_goes_nowhere(
    line: Line, monkeypatch: pytest.MonkeyPatch, obeys: bool
) -> None:
    publish = line.publish

    async def deaf(camera: str, offer: str, **changes: object) -> m.Answer:
        """A camera that sends its sound whatever it was answered."""
        answer = await publish(camera, offer, **changes)
        assert "a=inactive" in answer.sdp
        return msgspec.structs.replace(answer, sdp=answer.sdp.replace("a=inactive", "a=recvonly"))

    if not obeys:
        monkeypatch.setattr(line, "publish", deaf)
    async with camera(line, "cctv", FILM, sound=True, live_audio=False, records_sound=False):
        await until(lambda: line.recorder.packets > 50)
        if not obeys:
            await until(lambda: line.counters.values["inbound_unknown"] > 5)
    (opened,) = line.recorder.of(m.TapOpen)
    assert [track.kind for track in opened.tracks] == ["video"]
    packets = [packet for message in line.recorder.of(m.TapPackets) for _, packet in message.packets]
    assert {int.from_bytes(packet[8:12], "big") for packet in packets} == {opened.tracks[0].ssrc}


async def test_sound_switched_off_ends_for_who_hears_it_and_goes_on_into_the_recording(line: Line) -> None:
    async with camera(line, "loud", FILM, sound=True), viewer(line, "v") as watching:
        await line.assign("v", 0, "loud", "view-1")
        await line.ask(m.AudioAssign("v", 0))
        await asyncio.wait_for(watching.sound.recv(), 30)
        await line.ask(m.PublisherChange("s-loud", live_audio=False, confirmed_mono=7.0))
        slot = line.worker.viewers.by_session["v"].audio
        assert slot is not None
        sent = slot.sender.leg.packets
        await _tapped_sound(line)
        taped = len(_sound(line))
        await until(lambda: len(_sound(line)) > taped + 20)
        assert slot.sender.leg.packets == sent
        with pytest.raises(TheirError) as refused:
            await line.ask(m.AudioAssign("v", 0))
        assert refused.value.kind is Kind.FORBIDDEN
        inventory = await line.ask(m.InventoryAsk())
        assert isinstance(inventory, m.WorkerInventory)
        assert [(held.live_audio, held.confirmed_mono) for held in inventory.publishers] == [(False, 7.0)]
        await line.ask(m.PublisherChange("s-loud", live_audio=True, confirmed_mono=7.0))
        await line.ask(m.AudioAssign("v", 0))
        await until(lambda: slot.sender.leg.packets > sent)


def _sound(line: Line) -> list[bytes]:
    """Return the packets of sound that came through the tap: none before the recorder was told of that track."""
    tracks = [track for opened in line.recorder.of(m.TapOpen) for track in opened.tracks]
    sources = {track.ssrc for track in tracks if track.kind == "audio"}
    packets = (packet for message in line.recorder.of(m.TapPackets) for _, packet in message.packets)
    return [packet for packet in packets if int.from_bytes(packet[8:12], "big") in sources]


async def _tapped_sound(line: Line) -> None:
    """Wait until sound was tapped: a camera's picture and sound begin apart, and the tap announces a track once it knows it."""
    await until(lambda: _sound(line))


async def test_a_slot_changes_its_camera_without_renegotiation(line: Line) -> None:
    large = film(2, width=640, height=360)
    async with camera(line, "one", FILM), camera(line, "two", large), viewer(line, "v") as watching:
        await line.assign("v", 0, "one", "view-1")
        assert (await watching.picture()).width == 320
        await line.assign("v", 0, "two", "view-2")
        async with asyncio.timeout(60):
            while (await watching.picture()).width != 640:
                pass
    ended = line.of(m.LegEnded)[0]
    assert (ended.view, ended.reason) == ("view-1", "assigned")
    assert ended.first_ns is not None
    assert ended.last_ns is not None
    assert ended.packets > 0


async def test_a_wall_shows_two_cameras_on_one_connection(line: Line) -> None:
    async with camera(line, "one", FILM), camera(line, "two", FILM), viewer(line, "wall", slots=2) as watching:
        await line.assign("wall", 0, "one", "view-1")
        await line.assign("wall", 1, "two", "view-2")
        await watching.picture(0)
        await watching.picture(1)


async def test_a_leg_dies_with_its_lease_and_lives_on_renewal(line: Line) -> None:
    async with camera(line, "cam", FILM), viewer(line, "v", slots=2):
        await line.assign("v", 0, "cam", "short", lease=3.0)
        await line.assign("v", 1, "cam", "renewed", lease=3.0)
        line.control.post(m.LeaseRenew(("renewed",), SystemClock().monotonic() + 30))
        await until(lambda: line.of(m.LegEnded))
        inventory = await line.ask(m.InventoryAsk())
        assert [leg.view for leg in inventory.legs] == ["renewed"]
        assert line.of(m.LegEnded)[0].reason == "lease over"


async def test_losses_on_the_way_from_the_camera_are_repaired_before_the_recorder_sees_them(line: Line) -> None:
    network = Network(loss=0.05, delay=0.02)
    async with camera(line, "cam", FILM, network=network), viewer(line, "v") as watching:
        await line.assign("v", 0, "cam", "view-1")
        await watching.picture()
        await until(lambda: line.recorder.packets > 250, 60)
        source = line.worker.publishers.by_camera["cam"].source.layers[""]
        assert source.inbound.repair.recovered > 0
        assert source.inbound.repair.abandoned == 0


async def test_losses_on_the_way_to_the_viewer_are_resent(line: Line) -> None:
    async with camera(line, "cam", FILM), viewer(line, "v", network=Network(loss=0.05, delay=0.01)) as watching:
        await line.assign("v", 0, "cam", "view-1")
        await watching.picture()
        await until(lambda: line.counters.values["leg_resent"] > 0)
        await watching.picture()


async def test_a_stream_with_b_frames_is_shown_and_recorded_and_its_operator_warned(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    async with camera(line, "cam", film(2, bframes=2)), viewer(line, "v") as watching:
        await line.assign("v", 0, "cam", "view-1")
        await watching.picture()
        await until(lambda: any(source.warnings for report in line.of(m.WorkerReport) for source in report.sources))
        (source,) = line.of(m.WorkerReport)[-1].sources
        assert (source.state, source.warnings) == ("live", ("b_frames",))
        await until(lambda: line.recorder.packets > 60)
    warned = [record.getMessage() for record in caplog.records if "B-frames" in record.getMessage()]
    assert len(warned) == 1
    assert "camera cam" in warned[0]


async def test_a_camera_that_bundles_nothing_is_recorded_with_its_sound(line: Line) -> None:
    def payload_types() -> set[int]:
        return {packet[1] & 127 for message in line.recorder.of(m.TapPackets) for _, packet in message.packets}

    async with camera(line, "cam", FILM, sound=True, bundled=False):
        await until(lambda: len(payload_types()) == 2)
        held = line.worker.publishers.by_camera["cam"]
        assert held.sound_peer is not None
        assert held.sound_peer.ice.selected != held.peer.ice.selected if held.peer is not None else False
    await until(lambda: line.of(m.PublisherState)[-1].state == "frozen")
    await line.ask(m.PeerClose("s-cam", m.PeerCloseReason.STOPPED_BY_CAMERA))
    assert held.sound_peer.closed


async def test_a_camera_that_closes_its_connection_has_stopped_if_nothing_follows(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_peer, "GOODBYE_SECONDS", 1.0)
    async with camera(line, "cam", FILM):
        await until(lambda: line.recorder.packets > 10)
    hung_up = SystemClock().monotonic()
    await until(lambda: line.of(m.PublisherState)[-1].state == "frozen")
    assert line.recorder.of(m.TapClose) == []
    held = (await line.ask(m.InventoryAsk())).publishers[0]
    assert held.silent_for == math.inf, "another session may take its place at once"
    await until(lambda: line.of(m.PublisherState)[-1].state == "ended")
    assert line.of(m.PublisherState)[-1].is_stop
    await until(lambda: line.recorder.of(m.TapClose))
    closed = line.recorder.of(m.TapClose)[-1]
    assert closed.reason == "stopped"
    assert closed.at_ns is not None
    assert closed.at_ns / 1e9 == pytest.approx(hung_up, abs=0.9), "it ended when the camera said so"


async def test_a_camera_that_closes_its_connection_and_publishes_again_goes_on(line: Line) -> None:
    async with camera(line, "cam", FILM):
        await until(lambda: line.recorder.packets > 10)
    await until(lambda: line.of(m.PublisherState)[-1].state == "frozen")
    await line.ask(m.PeerClose("s-cam", m.PeerCloseReason.LOST_TAKEN_OVER))
    await until(lambda: line.recorder.of(m.TapClose))
    assert line.recorder.of(m.TapClose)[-1].reason == "lost"
    before = line.recorder.packets
    async with camera(line, "cam", FILM):
        await until(lambda: line.recorder.packets > before + 10)


async def test_a_camera_that_closes_its_connection_and_sends_delete_has_stopped_at_its_goodbye(line: Line) -> None:
    async with camera(line, "cam", FILM):
        await until(lambda: line.recorder.packets > 10)
    await until(lambda: line.of(m.PublisherState)[-1].state == "frozen")
    await line.ask(m.PeerClose("s-cam", m.PeerCloseReason.STOPPED_BY_CAMERA))
    await until(lambda: line.recorder.of(m.TapClose))
    closed = line.recorder.of(m.TapClose)[-1]
    assert (closed.reason, closed.at_ns is None) == ("stopped", False)


async def test_a_worker_that_ends_in_order_says_goodbye_to_every_peer(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with Line(tmp_path).serving() as line:
            filming = await stack.enter_async_context(camera(line, "cam", FILM))
            watching = await stack.enter_async_context(viewer(line, "v"))
            idle = await stack.enter_async_context(viewer(line, "w"))
            await line.assign("v", 0, "cam", "view-1")
            await watching.picture()
        await until(lambda: {watching.peer.connectionState, idle.peer.connectionState} == {"closed"})
        await until(lambda: filming.peer.connectionState == "closed")


async def test_a_new_control_finds_everything_again(line: Line) -> None:
    async with camera(line, "cam", FILM), viewer(line, "v") as watching:
        await line.assign("v", 0, "cam", "view-1")
        await watching.picture()
        line.control.close()
        await line.connect_control()
        inventory = await line.ask(m.InventoryAsk())
        assert [held.camera for held in inventory.publishers] == ["cam"]
        assert [held.session for held in inventory.viewers] == ["v"]
        assert [held.view for held in inventory.legs] == ["view-1"]
        await watching.picture()


async def test_nobody_asking_for_the_worker_ends_it(tmp_path: Path) -> None:
    async with Line(tmp_path, orphan_seconds=0.3).serving() as line, camera(line, "cam", FILM):
        await until(lambda: line.recorder.packets > 10)
        line.control.close()
        await until(lambda: line.recorder.of(m.TapClose))
        assert line.recorder.of(m.TapClose)[-1].reason == "shutdown"


async def _connected(path: Path) -> Connection:
    """Connect to a process that binds its socket a moment before it listens."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                return await connect(path, CONTROL, on_post=lambda *_: None, on_ask=no_questions, counters=Counters())
            await asyncio.sleep(0.02)


async def test_the_process_answers_on_its_socket_and_ends_on_sigterm(tmp_path: Path) -> None:
    certificate = tmp_path / "dtls.pem"
    certificate.write_bytes(IDENTITY.private_key + IDENTITY.certificate)
    config = WorkerConfig(index=3, run_dir=str(tmp_path), certificate=str(certificate), control_pass=CONTROL, tap_pass=TAP)
    (tmp_path / "worker-3.json").write_bytes(msgspec.json.encode(config))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay.worker", "--config", str(tmp_path / "worker-3.json"), "--index", "3"
    )
    await until((tmp_path / "worker-3.sock").exists)
    control = await _connected(tmp_path / "worker-3.sock")
    reading = asyncio.create_task(control.run())
    pong = await control.ask(m.Ping())
    assert isinstance(pong, m.Pong)
    assert (pong.role, pong.index, pong.pid) == ("worker", 3, process.pid)
    assert (tmp_path / "worker-3.pid").read_text() == str(process.pid)
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 30) == 0
    await reading
