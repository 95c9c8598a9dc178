"""What a worker answers to control when things are not as they should be."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aioice.ice
import pytest

from relay.base.errors import Kind, TheirError
from relay.channel import messages as m
from relay.rtp import header
from relay.worker import publishers
from tests.support.ports import until
from tests.support.worker_line import Line, camera, film, viewer

FILM = film(1)
RESTART = "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    before = aioice.ice.get_host_addresses
    yield
    aioice.ice.get_host_addresses = before


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    async with Line(tmp_path).serving() as serving:
        yield serving


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (m.PublishOpen("s", "cam", "no SDP", True, "r", 5.0), Kind.INVALID),
        (m.ViewerOpen("v", "v=0\r\n"), Kind.INVALID),
        (m.PeerPatch("nobody", "a=mid:0\r\n", restart=False), Kind.NOT_FOUND),
        (m.SlotAssign("nobody", 0, "cam", "view", "high", 1e9), Kind.NOT_FOUND),
        (m.AudioAssign("nobody", 0), Kind.NOT_FOUND),
        (m.RecordingSwitch("nobody", "r"), Kind.NOT_FOUND),
        (m.PublisherChange("nobody", live_audio=False, confirmed_mono=0.0), Kind.NOT_FOUND),
        (m.RecordClose("r", "stopped", None), Kind.INVALID),
    ],
)
async def test_a_wish_that_cannot_be_granted_is_refused_and_changes_nothing(line: Line, message: m.Message, kind: Kind) -> None:
    with pytest.raises(TheirError) as refused:
        await line.ask(message)
    assert refused.value.kind is kind
    assert await line.ask(m.InventoryAsk()) == m.WorkerInventory((), (), ())


async def test_closing_what_is_gone_already_is_done(line: Line) -> None:
    assert await line.ask(m.PeerClose("nobody", m.PeerCloseReason.CLOSED_BY_VIEWER)) == m.Done()


async def test_a_slot_that_was_not_agreed_cannot_be_assigned(line: Line) -> None:
    async with viewer(line, "v", slots=2):
        for slot in (-1, 2):
            with pytest.raises(TheirError) as refused:
                await line.assign("v", slot, "cam", "view")
            assert refused.value.kind is Kind.NOT_FOUND
        with pytest.raises(TheirError):
            await line.ask(m.AudioAssign("v", 2))


async def test_trickle_is_accepted_and_a_restart_has_a_new_tag(line: Line) -> None:
    async with camera(line, "cam", FILM), viewer(line, "v") as watching:
        await line.assign("v", 0, "cam", "view")
        await watching.picture()
        before = (await line.ask(m.InventoryAsk())).viewers[0].etag
        assert await line.ask(m.PeerPatch("v", "a=end-of-candidates\r\n", restart=False)) == m.Patched(None, None)
        patched = await line.ask(m.PeerPatch("v", RESTART.format("abcd", "p" * 24), restart=True))
        assert patched.etag not in (None, before)
        assert f"a=ice-ufrag:{patched.etag}" in patched.fragment
        await watching.picture()


async def test_a_session_closed_by_control_reports_how_its_views_ended(line: Line) -> None:
    async with camera(line, "cam", FILM), viewer(line, "v", slots=2) as watching:
        await line.assign("v", 0, "cam", "view-1")
        await line.assign("v", 1, "cam", "view-2")
        await watching.picture()
        await line.ask(m.PeerClose("v", m.PeerCloseReason.SIGNED_OUT))
        await until(lambda: line.of(m.ViewerState)[-1].state == "closed")
        assert {(fact.view, fact.reason) for fact in line.of(m.LegEnded)} == {
            ("view-1", "signed out"),
            ("view-2", "signed out"),
        }
        assert (await line.ask(m.InventoryAsk())).legs == ()


async def test_a_camera_closed_by_control_ends_its_recording_and_leaves_its_slots_waiting(line: Line) -> None:
    async with viewer(line, "v") as watching:
        async with camera(line, "cam", FILM):
            await line.assign("v", 0, "cam", "view-1")
            await watching.picture()
            await line.ask(m.PeerClose("s-cam", m.PeerCloseReason.TOKEN_REVOKED))
            await until(lambda: line.recorder.of(m.TapClose))
            assert line.recorder.of(m.TapClose)[-1].reason == "stopped"
            assert line.of(m.PublisherState)[-1].reason == "token revoked"
        assert line.of(m.LegEnded) == []
        async with camera(line, "cam", FILM):
            await watching.picture()


async def test_a_camera_that_comes_back_takes_its_old_session_over(line: Line) -> None:
    async with camera(line, "cam", FILM):
        await until(lambda: line.recorder.packets > 5)
        async with camera(line, "cam", FILM):
            taken = [fact for fact in line.of(m.PublisherState) if fact.state == "lost"]
            assert [fact.reason for fact in taken] == ["taken over by a new session"]
            seen = line.recorder.packets
            await until(lambda: line.recorder.packets > seen + 5)
        assert len(line.recorder.of(m.TapOpen)) == 2


async def test_a_recording_that_died_is_followed_by_another_in_the_same_session(line: Line) -> None:
    async with camera(line, "cam", FILM):
        await until(lambda: line.recorder.packets > 5)
        await line.ask(m.RecordingSwitch("s-cam", "r-2"))
        await until(lambda: [message for message in line.recorder.of(m.TapPackets) if message.recording == "r-2"])
        assert [message.recording for message in line.recorder.of(m.TapOpen)] == ["r-cam", "r-2"]
        assert (await line.ask(m.InventoryAsk())).publishers[0].recording == "r-2"


async def test_before_the_signed_start_a_camera_is_shown_to_nobody_and_its_first_picture_waits(line: Line) -> None:
    async with viewer(line, "v") as watching:
        await line.assign("v", 0, "cam", "view-1")
        async with camera(line, "cam", FILM, is_recording_open=False):
            await until(lambda: line.of(m.RecordingWanted))
            await until(lambda: line.counters.values["tap_held_back"] > 60)
            assert line.recorder.packets == 0
            assert line.of(m.LegStarted) == [], "LIV-02"
            assert {fact.state for fact in line.of(m.PublisherState)} == {"connecting"}
            held = (await line.ask(m.InventoryAsk())).publishers[0]
            assert (held.recording, held.is_recording_open) == ("r-cam", False)
            await until(lambda: len(line.of(m.RecordingWanted)) > 1, seconds=10)  # in case control died meanwhile
            await line.ask(m.RecordingSwitch("s-cam", "r-cam"))
            await until(lambda: line.of(m.PublisherState)[-1].state == "live")
            await until(lambda: line.of(m.LegStarted))
            await watching.picture()
            await until(lambda: line.recorder.packets > line.counters.values["tap_held_back"])
        first_at, first = line.recorder.of(m.TapPackets)[0].packets[0]
        assert abs(first_at / 1e9 - line.of(m.RecordingWanted)[0].since_mono) < 1e-3
        begins_with = header.parse(first).payload(first)[0] & 0x1F
        assert begins_with in (7, 24), "the parameter sets before the first keyframe"
        assert line.recorder.of(m.TapLost) == []


async def test_what_waited_for_a_camera_that_left_is_given_up_in_the_end(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishers, "DEPARTED_SECONDS", 1.0)
    before = line.worker.publishers._tap.room.left
    async with camera(line, "cam", FILM, is_recording_open=False):
        await until(lambda: line.counters.values["tap_held_back"] > 60)
        await line.ask(m.PeerClose("s-cam", m.PeerCloseReason.TOKEN_REVOKED))
        assert line.worker.publishers._tap.room.left < before
        await until(lambda: line.worker.publishers._tap.room.left == before, seconds=10)
    with pytest.raises(TheirError):
        await line.ask(m.RecordingSwitch("s-cam", "r-cam"))
    assert line.recorder.packets == 0
    assert line.counters.values["tap_held_back_lost"] > 60


async def test_what_control_lets_a_worker_keep_comes_back_with_the_inventory(line: Line) -> None:
    async with camera(line, "cam", FILM, is_recording_open=False):
        line.control.post(m.PublisherKeep("s-cam", b"why"))
        assert (await line.ask(m.InventoryAsk())).publishers[0].kept == b"why"


async def test_a_frozen_camera_is_reported_and_so_is_its_return(line: Line) -> None:
    async with camera(line, "cam", FILM) as filming:
        await until(lambda: line.of(m.PublisherState)[-1].state == "live")
        filming.paused = True
        await until(lambda: line.of(m.PublisherState)[-1].state == "frozen")
        filming.paused = False
        await until(lambda: line.of(m.PublisherState)[-1].state == "live")
