"""A real worker beside a real recorder: what the relay itself did not record is said to be of its making."""

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aioice.ice
import aiortc.rtcrtpsender
import pytest

from relay.base.ids import new_id
from relay.channel import messages as m
from relay.evidence.chain import Cause, End, Gap, Link
from relay.transport import peer
from tests.support.ports import until
from tests.support.recorder_line import KEY, Place, plan, running
from tests.support.worker_line import Line, camera, film

FILM = film(1)


class BesideReal(Line):
    """A worker beside a recorder that runs already."""

    async def recorder_beside(self) -> None:
        """The real one listens."""


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    before = aioice.ice.get_host_addresses
    yield
    aioice.ice.get_host_addresses = before


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path)
    async with running(place.config()):
        yield place


@pytest.fixture
async def line(place: Place) -> AsyncIterator[Line]:
    async with BesideReal(place.root).serving() as serving:
        yield serving


async def ended(place: Place, recording: str) -> list[Gap]:
    """Wait for the signed end; return the gaps before it."""
    await until(lambda: bool(place.bodies(recording, End)), seconds=30)
    return [record.body for record in place.bodies(recording, Gap) if isinstance(record.body, Gap)]


async def test_what_a_camera_sends_beyond_its_pace_is_a_gap_of_the_relays_making(
    place: Place, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiortc.rtcrtpsender, "RTP_HISTORY_SIZE", 1)  # the camera repairs nothing
    recording, control = new_id(time.time_ns()), await place.connect()
    await control.ask(m.RecordOpen(plan(recording), KEY))
    async with camera(line, "cam", FILM, recording=recording):
        await until(lambda: len(place.bodies(recording, Link)) > 2, seconds=30)
        with monkeypatch.context() as pace:
            pace.setattr(peer, "WORK_AT_ONCE", 0)
            await until(lambda: line.counters.values["peer_paced"] > 30)
        before = len(place.bodies(recording, Link))
        await until(lambda: len(place.bodies(recording, Link)) > before + 3, seconds=30)
        await line.ask(m.PeerClose("s-cam", m.PeerCloseReason.TOKEN_REVOKED))
    gaps = await ended(place, recording)
    during = [gap for gap in gaps if gap.detail != "before a keyframe"]
    assert [gap.cause for gap in during] == [Cause.RECORDER], gaps
    assert during[0].length_ns > 300_000_000
    assert during[0].detail.startswith("the relay dropped")


async def test_a_camera_that_left_while_its_recording_was_opened_is_recorded(place: Place, line: Line) -> None:
    recording, control = new_id(time.time_ns()), await place.connect()
    async with camera(line, "cam", FILM, recording=recording, is_recording_open=False):
        await until(lambda: line.counters.values["tap_held_back"] > 60)
        await line.ask(m.PeerClose("s-cam", m.PeerCloseReason.TOKEN_REVOKED))
    since = line.of(m.RecordingWanted)[0].since_mono
    await control.ask(m.RecordOpen(plan(recording), KEY, since))
    await line.ask(m.RecordingSwitch("s-cam", recording))
    assert await ended(place, recording) == []
    assert place.plain(recording)
    assert line.counters.values["tap_held_back_lost"] == 0


async def test_a_recording_that_got_nothing_of_what_waited_for_it_says_so(place: Place) -> None:
    recording, control = new_id(time.time_ns()), await place.connect()
    started_ns = time.time_ns() - 3 * 10**9
    await control.ask(m.RecordOpen(plan(recording, started_ns=started_ns), KEY, time.monotonic() - 3.0))
    await control.ask(m.RecordClose(recording, "stopped", None))
    (gap,) = await ended(place, recording)
    assert (gap.cause, gap.track) == (Cause.NOT_RECORDED, None)
    assert abs(gap.start_ns - started_ns) < 50_000_000
    assert 2.9e9 < gap.length_ns < 10e9
