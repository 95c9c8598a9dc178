"""Control between HTTP and processes: publish, view, lose, restart; the other processes are fakes that speak the channel."""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.base.clock import SECOND_NS, SystemClock, rfc3339
from relay.base.errors import Kind, OurError, TheirError
from relay.channel import messages as m
from relay.http.bodies import FRAGMENT
from relay.live import publishing, worker_adoption
from relay.live.camera_intents import Intent
from relay.live.camera_sockets import Unit
from relay.live.processes import ProcessClient
from relay.live.publish_sessions import PublishSession
from relay.store.catalogue import RecordingFilter
from tests.support.control_line import OFFER, Line, Page, Socket, control_line, serving, until
from tests.support.fake_peers import FakeRecorder, FakeWorker


async def _intervention(person: Page) -> str:
    status, made = await person.call("POST", "/api/interventions", {"label": "demo", "motive": "assistance"})
    assert status == 201
    return str(made["intervention"])


async def _live(line: Line, camera: str = "pm-1") -> str:
    await line.enrol(camera)
    response = await line.publish(camera)
    assert response.status == 201
    return response.headers["Location"]


def _unit(line: Line, camera: str) -> Unit:
    unit = line.control.context.camera_sockets.unit(camera)
    assert unit is not None
    return unit


def _in_grace(line: Line, live: PublishSession) -> bool:
    return line.control.context.streams.recording_supervisor.in_grace(live)


def _step(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """Step the wall clock of everything that runs here."""
    monkeypatch.setattr(SystemClock, "utc_ns", lambda _clock: time.time_ns() + hours * 3600 * SECOND_NS)


def _views(entries: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [entry for entry in entries if entry["details"]["event"] == event]


# --- cameras ----------------------------------------------------------------------------------------------------------


async def test_a_recording_begins_with_the_first_media_and_the_worker_hears_when_it_is_open(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        location = await _live(line)
        opened, published = line.recorder.all(m.RecordOpen)[0], line.worker.all(m.PublishOpen)[0]
        assert (published.recording, published.is_recording_open) == (opened.plan.recording, False)
        assert line.worker.all(m.RecordingSwitch) == [m.RecordingSwitch(published.session, opened.plan.recording)]
        assert opened.plan.camera == "pm-1"
        assert len(opened.key) == 32
        assert location == f"/whip/pm-1/{published.session}"
        assert (await line.control.stores.catalogue.recordings.get(opened.plan.recording)).state == "open"


@pytest.mark.parametrize(("regime", "sound"), [("videoprotection", False), ("embarquee", False), ("bodycam_pm", True)])
async def test_a_worker_knows_where_no_sound_may_be_recorded(tmp_path: Path, regime: str, sound: bool) -> None:
    async with control_line(tmp_path) as line:
        await line.enrol("cam-1", regime=regime)
        assert (await line.publish("cam-1")).status == 201
        assert [opened.sound for opened in line.worker.all(m.PublishOpen)] == [sound]


async def test_a_step_of_the_wall_clock_ends_no_transmission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with control_line(tmp_path) as line:
        await _live(line)
        _step(monkeypatch, 3)
        await line.control.context.time_limit.tick()
        assert line.control.context.streams.live("pm-1") is not None
        assert line.worker.all(m.PeerClose) == []


@pytest.mark.parametrize("hours", [3, -3])
async def test_a_step_of_the_wall_clock_ends_no_transmission_and_prolongs_none_across_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    async with control_line(tmp_path) as line:
        await _live(line)
        before = line.control.context.streams.live("pm-1")
        await line.control.processes.stop()
        await line.control.stores.journal.close()
        _step(monkeypatch, hours)
        async with serving(line.settings, line.worker, line.recorder) as again:
            live = again.control.context.streams.live("pm-1")
            assert before is not None
            assert live is not None
            assert live.since == line.worker.publishers[live.secret].since_mono


async def test_a_step_of_the_wall_clock_ends_no_view_socket_or_sign_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        await _live(line)
        await olga.post_offer(f"/whep/pm-1?intervention={await _intervention(olga)}")
        services = line.control.context
        async with line.page(olga) as page:
            await page.hear("hello")
            _step(monkeypatch, 13)
            await services.viewing.tick()
            services.live.expire(services.steady.utc_ns())
            status, session = await olga.call("GET", "/api/session")
            assert status == 200
            await page.say(t="time", echo=1)
            await page.hear("time")
        assert line.worker.all(m.PeerClose) == []
        assert session["expires_at"] > rfc3339(services.clock.utc_ns()), "shown by the clock that people see"


@pytest.mark.parametrize("hours", [3, -3])
async def test_a_step_of_the_wall_clock_makes_no_seal_look_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    async with control_line(tmp_path) as line:
        await _live(line)
        line.recorder.report("recording")
        camera = await line.control.context.enrolment.camera("pm-1")
        camera_states = line.control.context.camera_states
        await until(lambda: camera_states.of(camera).sealed_age is not None, "the report")
        _step(monkeypatch, hours)
        monkeypatch.setattr(SystemClock, "monotonic", lambda _clock: time.monotonic() + 60)
        assert 60 <= (camera_states.of(camera).sealed_age or 0.0) < 3600


async def test_a_transmission_ends_after_its_longest_time(tmp_path: Path) -> None:
    async with control_line(tmp_path, policy={"transmission_minutes": 1e-6}) as line:
        await _live(line)
        await line.control.context.time_limit.tick()
        assert (await line.worker.next(m.PeerClose)).reason.sentence == "the transmission reached its longest time"
        assert line.control.context.streams.live("pm-1") is None


async def test_a_live_camera_is_not_taken_over_before_it_was_silent_for_two_seconds(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        await _live(line)
        refused = await line.publish("pm-1")
        assert refused.status == 409
        assert refused.headers["Retry-After"] == "2"
        line.worker.silent_for = 2.1
        accepted = await line.publish("pm-1")
        assert accepted.status == 201
        first, second = line.worker.all(m.PublishOpen)
        assert first.session != second.session
        assert first.recording == second.recording
        assert len(line.recorder.all(m.RecordOpen)) == 1


async def test_a_camera_lost_and_back_continues_its_recording_and_a_stopped_one_does_not(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        location = await _live(line)
        session = location.rpartition("/")[2]
        line.worker.post(m.PublisherState(session, "pm-1", "lost", "silent", 1))
        await until(lambda: line.control.context.streams.live("pm-1") is None, "lost")
        location = (await line.publish("pm-1")).headers["Location"]
        assert len(line.recorder.all(m.RecordOpen)) == 1
        async with aiohttp.ClientSession() as http:
            headers = {"Authorization": f"Bearer {line.tokens['pm-1']}"}
            assert (await http.delete(line.url + location, headers=headers)).status == 200
            assert (await http.delete(line.url + location, headers=headers)).status == 404
        await line.publish("pm-1")
        first, second = line.recorder.all(m.RecordOpen)
        assert first.plan.recording != second.plan.recording
        assert second.plan.previous is None


def _recording_entries(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry for entry in entries if str(entry["details"].get("event")).startswith("recording")]


async def _traces(line: Line) -> tuple[int, int, int, int]:
    """Return how many recordings, keys, journal entries about recordings, and interventions there are."""
    stores = line.control.stores
    rows = await stores.catalogue.recordings.find(RecordingFilter())
    interventions = await stores.catalogue.interventions.list_open()
    return len(rows), len(stores.keyring.recordings()), len(_recording_entries(await line.entries())), len(interventions)


async def test_refused_offers_leave_no_recording_key_or_intervention_and_few_entries(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        await line.enrol("pm-1")
        line.worker.refusals[m.PublishOpen] = TheirError(Kind.NOT_ACCEPTABLE, "H.264 is accepted")
        answers = [(await line.post_offer("pm-1")).status for _ in range(150)]
        assert answers == [406] * 150
        assert await _traces(line) == (0, 0, 0, 0)
        await line.control.background.settled()
        (refused,) = [entry for entry in await line.entries() if entry["operation"] == "refus"]
        assert (refused["author"], refused["details"]["action"]) == ("pm-1", "publish")


async def test_a_session_that_never_sends_media_makes_no_recording(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        await line.enrol("pm-1")
        line.worker.sends_media = False
        assert (await line.publish("pm-1")).status == 201
        line.worker.post(m.PublisherState(line.worker.all(m.PublishOpen)[0].session, "pm-1", "lost", "silent", 1))
        await until(lambda: line.control.context.streams.live("pm-1") is None, "lost")
        assert (await _traces(line))[:3] == (0, 0, 0)
        assert line.recorder.all(m.RecordOpen) == []


async def test_without_a_recorder_nothing_is_transmitted_and_the_camera_is_asked_to_publish_again(tmp_path: Path) -> None:
    async with control_line(tmp_path, recorder={"record_grace": 0.2}) as line:
        await line.enrol("pm-1")
        line.recorder.refusals[m.RecordOpen] = TheirError(Kind.UNAVAILABLE, "disk")
        async with line.camera("pm-1") as socket:
            await socket.hear("welcome")
            assert (await line.publish("pm-1")).status == 201
            assert (await socket.hear("republish"))["reason"] == "the recording failed"
        assert line.worker.all(m.RecordingSwitch) == []
        assert (await line.worker.next(m.PeerClose)).reason.sentence == "the recording failed"


async def test_while_the_disk_takes_nothing_an_offer_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        await line.enrol("pm-1")
        line.recorder.post(m.RecorderReport(0, (), {}, 0.0, 10**9, 0, disk="full"))
        await until(lambda: line.control.capture.disk.state_of(0) == "full", "the report")
        refused = await line.publish("pm-1")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "2")
        assert line.worker.all(m.PublishOpen) == []
        assert await _traces(line) == (0, 0, 0, 0)


async def test_a_camera_that_begins_recordings_too_fast_waits_and_is_told_for_how_long(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        await line.enrol("pm-1")
        statuses = []
        for _ in range(3):
            answer = await line.publish("pm-1")
            statuses.append(answer.status)
            if answer.status == 201:
                await line.control.context.streams.close("pm-1", answer.headers["Location"].rpartition("/")[2])
        assert statuses == [201, 201, 429]
        assert answer.headers["Retry-After"] == "1"
        assert (await answer.json(content_type=None))["code"] == "recordings_too_fast"
        assert len(line.recorder.all(m.RecordOpen)) == 2


async def test_a_control_that_died_before_the_recording_was_begun_is_followed_by_one_that_begins_it(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        await line.enrol("pm-1")
        line.worker.sends_media = False
        async with line.camera("pm-1") as socket:
            await socket.say(t="press", threat="personnes", reason="altercation")
            await until(lambda: _unit(line, "pm-1").pressed, "press")
            assert (await line.publish("pm-1")).status == 201
        await line.worker.next(m.PublisherKeep)
        await line.control.processes.stop()
        await line.control.stores.journal.close()
        async with serving(line.settings, line.worker, line.recorder) as again:
            live = again.control.context.streams.live("pm-1")
            assert live is not None
            assert live.recording is None
            line.worker.want_recording(live.secret)
            await until(lambda: live.recording is not None, "its recording")
        (opened,) = line.recorder.all(m.RecordOpen)
        assert opened.plan.recording == line.worker.all(m.PublishOpen)[0].recording, "under the id that was reserved"
        assert (opened.plan.threat, opened.plan.trigger) == ("personnes", "altercation")


async def test_a_control_that_died_while_the_recording_was_opened_is_followed_by_one_that_uses_it(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        line.worker.refusals[m.RecordingSwitch] = TheirError(Kind.UNAVAILABLE, "as if control were gone")
        await line.enrol("pm-1")
        assert (await line.publish("pm-1")).status == 201
        await until(lambda: line.recorder.open, "open at the recorder")
        await line.control.processes.stop()
        await line.control.stores.journal.close()
        line.worker.refusals.clear()
        async with serving(line.settings, line.worker, line.recorder) as again:
            live = again.control.context.streams.live("pm-1")
            assert live is not None
            line.worker.want_recording(live.secret)
            await until(lambda: live.recording is not None, "its recording")
            assert len(line.recorder.all(m.RecordOpen)) == 1
            assert len(_recording_entries(await again.entries())) == 1


async def test_a_control_that_died_between_entry_and_recorder_leaves_no_recording_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with control_line(tmp_path) as line:
        line.recorder.refusals[m.RecordOpen] = TheirError(Kind.UNAVAILABLE, "as if control were gone")

        async def killed(*_: object) -> None:
            """Nothing is written any more."""

        monkeypatch.setattr(line.control.context.recordings, "abandoned", killed)
        await line.enrol("pm-1")
        assert (await line.post_offer("pm-1")).status == 201
        await line.recorder.next(m.InventoryAsk)
        await until(lambda: line.control.stores.keyring.recordings(), "its key")
        await line.control.processes.stop()
        await line.control.stores.journal.close()
        line.recorder.refusals.clear()
        async with serving(line.settings, line.worker, line.recorder) as again:
            live = again.control.context.streams.live("pm-1")
            assert live is not None
            line.worker.want_recording(live.secret)
            await until(lambda: live.recording is not None, "its recording")
            assert await again.control.context.check.run() == [], "younger than a minute"
            begun, second = (entry["object_id"] for entry in _recording_entries(await again.entries()))
            assert second == live.recording != begun
            await again.control.context.recordings.abandon_unopened(1 << 62, lambda found: found == live.recording)
            assert (await again.control.stores.catalogue.recordings.get(begun)).state == "closed"
            assert _recording_entries(await again.entries())[-1]["details"]["event"] == "recording not opened"


async def test_a_dead_recorder_is_followed_by_a_new_recording_that_names_the_one_before(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        await _live(line)
        (first,) = line.recorder.open
        await line.recorder.stop()
        line.recorder.open.clear()
        await line.recorder.start()
        switch = await line.worker.next(m.RecordingSwitch, 2)
        second = line.recorder.all(m.RecordOpen)[-1].plan
        assert switch.recording == second.recording != first
        assert second.previous == first
        live = line.control.context.streams.live("pm-1")
        assert live is not None
        await until(lambda: live.recording == second.recording, "switched")


async def test_a_recording_that_does_not_come_back_ends_the_transmission_with_an_alarm(tmp_path: Path) -> None:
    async with control_line(tmp_path, recorder={"record_grace": 0.2}) as line, line.person("olga", "operator") as olga:
        await _live(line)
        async with line.page(olga) as socket:
            await line.recorder.stop()
            alarm = await socket.hear("alarm")
            assert alarm["camera"] == "pm-1"
        closed = await line.worker.next(m.PeerClose)
        assert closed.reason.sentence == "the recording failed"


async def test_a_pressed_camera_whose_recording_failed_publishes_again_when_a_recorder_is_back(tmp_path: Path) -> None:
    async with control_line(tmp_path, recorder={"record_grace": 0.2}) as line:
        await line.enrol("pm-1")
        async with line.camera("pm-1") as socket:
            await socket.say(t="press", threat="personnes", reason="altercation")
            await until(lambda: _unit(line, "pm-1").pressed, "press")
            await line.publish("pm-1")
            (first,) = line.recorder.open
            await line.recorder.stop()
            line.recorder.open.clear()
            assert (await socket.hear("republish"))["reason"] == "the recording failed"
            assert (await line.worker.next(m.PeerClose)).reason.sentence == "the recording failed"
            refused = await line.publish("pm-1")
            assert (refused.status, "Retry-After" in refused.headers) == (503, True)
            await line.recorder.start()
            await until(lambda: line.control.processes.recorders[0].up, "recorder back")
            assert (await line.publish("pm-1")).status == 201
            again = line.recorder.all(m.RecordOpen)[-1].plan
            assert (again.previous, again.threat, again.trigger) == (first, "personnes", "altercation")


async def test_a_disk_that_does_not_take_the_recording_ends_the_transmission_after_the_grace_of_its_regime(
    tmp_path: Path,
) -> None:
    grace = {"record_grace": 100, "record_grace_by_regime": {"bodycam_pm": 0.2}}
    async with control_line(tmp_path, recorder=grace) as line, line.person("olga", "operator") as olga:
        await _live(line)
        async with line.page(olga) as socket:
            line.recorder.report("full")
            assert (await socket.hear("alarm"))["reason"] == "recording_failed"
        assert (await line.worker.next(m.PeerClose)).reason.sentence == "the recording failed"


async def test_a_disk_that_is_back_in_time_interrupts_nothing(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        await _live(line)
        live = line.control.context.streams.live("pm-1")
        assert live is not None
        line.recorder.report("stalled")
        await until(lambda: _in_grace(line, live), "grace")
        line.recorder.report("recording")
        await until(lambda: not _in_grace(line, live), "no grace")
        assert line.worker.all(m.PeerClose) == []


def _rec(line: Line) -> str | None:
    (recording,) = line.control.capture.open()
    held = line.control.capture.held(recording)
    assert held is not None
    return held.state


async def test_where_the_setting_says_so_a_transmission_goes_on_unrecorded(tmp_path: Path) -> None:
    async with control_line(tmp_path, recorder={"record_grace_by_regime": {"bodycam_pm": -1}}) as line:
        await _live(line)
        live = line.control.context.streams.live("pm-1")
        assert live is not None
        line.recorder.report("full")
        await until(lambda: _rec(line) == "full", "the report")
        assert not _in_grace(line, live)


async def test_a_recording_that_is_tapped_but_not_open_is_an_alarm_and_begins_anew(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        await _live(line)
        (first,) = line.recorder.open
        line.recorder.open.clear()
        async with line.page(olga) as socket:
            line.recorder.report("recording", first)
            assert (await socket.hear("alarm"))["reason"] == "recording_missing"
        switch = await line.worker.next(m.RecordingSwitch, 2)
        assert line.recorder.open[switch.recording].previous == first


async def test_a_recording_whose_end_waits_for_the_disk_is_not_continued(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        await _live(line)
        (first,) = line.recorder.open
        line.recorder.refusals[m.RecordClose] = TheirError(Kind.UNAVAILABLE, "disk")
        await line.control.context.streams.stop("pm-1", m.PeerCloseReason.LOST_TAKEN_OVER, "lost", None)
        assert (await line.publish("pm-1")).status == 201
        assert line.recorder.all(m.RecordOpen)[-1].plan.recording != first


async def test_a_camera_that_keeps_its_own_original_does_not_depend_on_the_recorder(tmp_path: Path) -> None:
    async with control_line(tmp_path, recorder={"record_grace": 0}) as line:
        await line.enrol("pm-1", original="camera")
        await line.publish("pm-1")
        await line.recorder.stop()
        await until(lambda: not line.control.processes.recorders[0].up, "recorder away")
        live = line.control.context.streams.live("pm-1")
        assert live is not None
        assert not _in_grace(line, live)


async def test_revoking_stops_publishing_and_closes_the_cameras_socket(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("ada", "administrator") as ada:
        await _live(line)
        async with line.camera("pm-1") as socket:
            await socket.hear("welcome")
            status, _ = await ada.call("DELETE", "/api/cameras/pm-1")
            assert status == 204
            assert (await socket.hear("stop"))["reason"] == "token revoked"
        assert (await line.worker.next(m.PeerClose)).reason.sentence == "token revoked"
        assert (await line.recorder.next(m.RecordClose)).reason == "revoked"
        assert (await line.publish("pm-1")).status == 401


async def test_a_relay_that_stops_hangs_up_on_its_cameras(tmp_path: Path) -> None:
    """Its server would wait for each of their sockets, seconds in which no other control can take over."""
    async with contextlib.AsyncExitStack() as after:
        async with control_line(tmp_path) as line:
            await line.enrol("pm-1")
            socket = await after.enter_async_context(line.camera("pm-1"))
            await socket.hear("welcome")
            hearing = asyncio.create_task(_to_the_end(socket))
        assert await hearing == aiohttp.WSCloseCode.GOING_AWAY


async def _to_the_end(socket: Socket) -> int | None:
    async for _message in socket.raw:
        pass
    return socket.raw.close_code


async def test_a_press_opens_an_intervention_when_none_is_open_and_a_second_press_joins_it(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        for camera in ("pm-1", "pm-2"):
            await line.enrol(camera)
            async with line.camera(camera) as socket:
                await socket.say(t="press", threat="personnes", reason="altercation")
                await until(lambda name=camera: _unit(line, name).pressed, "press")
                await line.publish(camera)
        first, second = [opened.plan for opened in line.recorder.all(m.RecordOpen)]
        assert first.intervention == second.intervention
        assert (first.threat, first.trigger) == ("personnes", "altercation")


async def test_a_request_accepted_puts_the_stream_into_its_intervention(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        await line.enrol("pm-1")
        await _intervention(olga)
        wanted = await _intervention(olga)
        path = "/api/cameras/pm-1/request"
        assert (await olga.call("POST", path, {"intervention": wanted}))[0] == 409
        async with line.camera("pm-1") as socket:
            await socket.hear("welcome")
            assert (await olga.call("POST", path, {"intervention": wanted}))[0] == 202
            request = await socket.hear("request")
            await socket.say(t="accept", request=request["request"])
            await until(lambda: _unit(line, "pm-1").intent is not None, "accept")
        await line.publish("pm-1")
        assert line.recorder.all(m.RecordOpen)[0].plan.intervention == wanted


async def test_cameras_that_press_at_the_same_moment_spread_over_the_workers_and_come_back_to_theirs(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    worker, recorder = FakeWorker(run, 1), FakeRecorder(run, 1)
    await worker.start()
    await recorder.start()
    try:
        async with control_line(tmp_path, workers={"count": 2}) as line:
            cameras = [f"pm-{number}" for number in range(4)]
            for camera in cameras:
                await line.enrol(camera)
            answers = await asyncio.gather(*(line.publish(camera) for camera in cameras))
            assert {answer.status for answer in answers} == {201}
            streams = line.control.context.streams
            at = {camera: live.worker for camera in cameras if (live := streams.live(camera)) is not None}
            assert sorted(at.values()) == [0, 0, 1, 1]
            back = next(camera for camera, index in at.items() if index == 1)
            session = worker.all(m.PublishOpen)[[opened.camera for opened in worker.all(m.PublishOpen)].index(back)].session
            worker.post(m.PublisherState(session, back, "lost", "silent", 1))
            await until(lambda: streams.live(back) is None, "lost")
            await line.publish(back)
            live = streams.live(back)
            assert live is not None
            assert live.worker == 1
            assert len(recorder.all(m.RecordOpen)) == 2, "it continues its recording"
    finally:
        await worker.stop()
        await recorder.stop()


async def test_a_malformed_message_costs_a_camera_nothing_but_that_message(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        await line.enrol("pm-1")
        async with line.camera("pm-1") as socket:
            for bad in (
                {"t": "beat", "battery": "full"},
                {"t": "accept", "request": "x"},
                {"t": "?"},
                {"t": "time", "utc_ns": 1},
            ):
                await socket.say(**bad)
            await socket.raw.send_bytes(b"\xc1")
            await socket.raw.send_str("text")
            await socket.say(t="time", echo=7)
            assert (await socket.hear("time", echo=7))["server_ns"] > 0


async def test_closing_an_intervention_ends_its_transmissions(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        intervention = await _intervention(olga)
        await _live(line)
        assert (await olga.call("POST", f"/api/interventions/{intervention}/close"))[0] == 204
        assert (await line.recorder.next(m.RecordClose)).reason == "stopped"


async def test_an_intervention_that_a_camera_opened_and_nobody_joined_closes_itself(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        location = await _live(line)
        services = line.control.context
        await services.interventions.close_abandoned(services.streams.interventions, spare_seconds=0)
        (opened,) = (await olga.call("GET", "/api/interventions"))[1]["interventions"]
        assert opened["opened_by"] == "camera:pm-1"
        await services.streams.close("pm-1", location.rpartition("/")[2])
        await services.interventions.close_abandoned(services.streams.interventions, spare_seconds=0)
        assert (await olga.call("GET", "/api/interventions"))[1]["interventions"] == []


async def test_an_intervention_that_somebody_joined_stays_open(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        location = await _live(line)
        services = line.control.context
        (opened,) = (await olga.call("GET", "/api/interventions"))[1]["interventions"]
        assert (await olga.call("POST", f"/api/interventions/{opened['intervention']}/join", {"motive": "renfort"}))[0] == 200
        await services.streams.close("pm-1", location.rpartition("/")[2])
        await services.interventions.close_abandoned(services.streams.interventions, spare_seconds=0)
        assert len((await olga.call("GET", "/api/interventions"))[1]["interventions"]) == 1


# --- ICE --------------------------------------------------------------------------------------------------------------


async def _patch(line: Line, location: str, fragment: str, **headers: str) -> aiohttp.ClientResponse:
    every = {"Authorization": f"Bearer {line.tokens['pm-1']}", "Content-Type": FRAGMENT, **headers}
    async with aiohttp.ClientSession() as http:
        return await http.patch(line.url + location, data=fragment, headers=every)


async def test_trickle_is_204_and_a_restart_needs_the_right_etag(tmp_path: Path) -> None:
    trickle = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"
    restart = "a=ice-ufrag:wxyz\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
    async with control_line(tmp_path) as line:
        location = await _live(line)
        assert (await _patch(line, location, trickle)).status == 204
        assert (await _patch(line, location, restart)).status == 428
        assert (await _patch(line, location, restart, **{"If-Match": '"other"'})).status == 412
        done = await _patch(line, location, restart, **{"If-Match": '"etag-1"'})
        assert done.status == 200
        assert done.headers["ETag"] == '"etag-2"'
        again = restart.replace("wxyz", "aaaa")
        assert (await _patch(line, location, again, **{"If-Match": '"etag-1"'})).status == 412
        assert (await _patch(line, location, again, **{"If-Match": '"*"'})).status == 200


# --- viewers ----------------------------------------------------------------------------------------------------------


async def test_the_join_is_in_the_journal_before_the_worker_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        await _live(line)
        intervention = await _intervention(olga)
        sizes: list[int] = []
        answer = line.worker.answer

        def watch(message: m.Message) -> m.Message:
            if isinstance(message, m.SlotAssign):
                sizes.append(line.control.stores.journal.size)
            return answer(message)

        monkeypatch.setattr(line.worker, "answer", watch)
        assert (await olga.post_offer(f"/whep/pm-1?intervention={intervention}")).status == 201
        entries = await line.entries()
        (joined,) = _views(entries, "view opened")
        assert joined["author"] == "olga"
        assert joined["motive"] == "assistance"
        assert joined["leaf"] < sizes[0]


@pytest.mark.parametrize("query", ["", "?intervention=", "?intervention=" + "0" * 32])
async def test_without_a_joined_intervention_there_is_no_picture(tmp_path: Path, query: str) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        await _live(line)
        refused = await olga.post_offer("/whep/pm-1" + query)
        assert refused.status == 422
        assert line.worker.all(m.ViewerOpen) == []
        assert any(entry["operation"] == "refus" and entry["author"] == "olga" for entry in await line.entries())


async def test_when_the_journal_cannot_be_written_nothing_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        await _live(line)
        intervention = await _intervention(olga)

        async def broken(_work: object, **_more: object) -> None:
            raise OSError("read-only file system")

        with monkeypatch.context() as patch:
            patch.setattr(line.control.stores.database, "write", broken)
            refused = await olga.post_offer(f"/whep/pm-1?intervention={intervention}")
        assert refused.status == 503
        assert line.worker.all(m.SlotAssign) == []


@pytest.mark.parametrize("role", ["administrator", "auditor"])
async def test_administrators_and_auditors_see_no_picture(tmp_path: Path, role: str) -> None:
    async with control_line(tmp_path) as line, line.person("ada", role) as ada:
        await _live(line)
        assert (await ada.post_offer("/whep/pm-1?intervention=" + "0" * 32)).status == 403
        assert (await ada.post_offer("/wall")).status == 403
        assert line.worker.all(m.ViewerOpen) == []


async def test_a_slot_switches_camera_over_the_live_socket_and_each_view_has_its_own_span(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        await _live(line, "pm-1")
        await _live(line, "pm-2")
        intervention = await _intervention(olga)
        wall = (await olga.post_offer("/wall?worker=0")).headers["Location"].rpartition("/")[2]
        async with line.page(olga) as page:
            assert (await page.hear("hello"))["workers"] == [0]
            base = {"t": "assign", "wall": wall, "worker": 0, "slot": 1, "intervention": intervention, "layer": "high"}
            await page.say(**base, camera="pm-1")
            first = await page.hear("assigned", slot=1, camera="pm-1")
            await page.say(**base, camera="pm-2")
            second = await page.hear("assigned", slot=1, camera="pm-2")
            await page.say(**base, camera=None)
            await page.hear("assigned", slot=1, camera=None)
            assert first["view"] != second["view"]
        await until(lambda: line.control.context.counters.values["views_closed"] == 2, "views closed")
        left = _views(await line.entries(), "view closed")
        assert [(entry["details"]["first_ns"], entry["details"]["last_ns"]) for entry in left] == [(5, 7), (5, 7)]


async def test_a_wall_belongs_to_who_opened_it(tmp_path: Path) -> None:
    async with (
        control_line(tmp_path) as line,
        line.person("olga", "operator") as olga,
        line.person("carl", "commander") as carl,
    ):
        await _live(line)
        intervention = await _intervention(carl)
        location = (await olga.post_offer("/wall")).headers["Location"]
        async with line.page(carl) as page:
            wall = location.rpartition("/")[2]
            await page.say(t="assign", wall=wall, worker=0, slot=0, camera="pm-1", intervention=intervention, layer="high")
            assert (await page.hear("refused"))["kind"] == "not_found"
        assert (await carl.call("DELETE", location))[0] == 404
        assert (await olga.call("DELETE", location))[0] == 200


async def test_a_forced_sign_out_ends_every_view_and_socket_at_once(tmp_path: Path) -> None:
    async with (
        control_line(tmp_path) as line,
        line.person("olga", "operator") as olga,
        line.person("ada", "administrator") as ada,
    ):
        await _live(line)
        intervention = await _intervention(olga)
        await olga.post_offer(f"/whep/pm-1?intervention={intervention}")
        async with line.page(olga) as page:
            await page.hear("hello")
            assert (await ada.call("POST", "/api/users/olga/sign-out"))[0] == 200
            assert (await page.hear("bye"))["reason"] == "signed out"
            assert (await page.raw.receive()).type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
        await line.worker.next(m.PeerClose)
        await until(lambda: line.control.context.viewing.open_views == 0, "views closed")
        assert (await olga.call("GET", "/api/session"))[0] == 401


async def test_a_sign_in_that_is_over_ends_views_and_sockets(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        await _live(line)
        await olga.post_offer(f"/whep/pm-1?intervention={await _intervention(olga)}")
        services = line.control.context
        async with line.page(olga) as page:
            await page.hear("hello")
            for viewer_session in services.viewing.registry.all():
                viewer_session.expires_ns = 1
            await services.viewing.tick()
            services.live.expire(1 << 62)
            assert (await page.hear("bye"))["reason"] == "the sign-in is over"
        assert (await line.worker.next(m.PeerClose)).reason.sentence == "the sign-in is over"


async def test_ones_own_sign_out_ends_what_was_opened_under_it(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        await _live(line)
        intervention = await _intervention(olga)
        _, made = await olga.call("POST", "/api/view-tokens", {"camera": "pm-1", "intervention": intervention})
        headers = {"Authorization": f"Bearer {made['token']}", "Content-Type": "application/sdp"}
        async with aiohttp.ClientSession() as http:
            assert (await http.post(f"{line.url}/whep/pm-1", data=OFFER, headers=headers)).status == 201
        async with line.page(olga) as page:
            await page.hear("hello")
            assert (await olga.call("DELETE", "/api/session"))[0] == 204
            await page.hear("bye")
        assert (await line.worker.next(m.PeerClose)).reason.sentence == "signed out"


async def test_the_end_of_a_view_that_could_not_be_entered_is_entered_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        await _live(line)
        await olga.post_offer(f"/whep/pm-1?intervention={await _intervention(olga)}")
        (view,) = line.worker.legs

        async def broken(_work: object, **_more: object) -> None:
            raise OSError("read-only file system")

        with monkeypatch.context() as patch:
            patch.setattr(line.control.stores.database, "write", broken)
            line.worker.post(m.LegEnded(view, 5, 9, 3, "viewer left"))
            await until(lambda: line.control.context.counters.values["journal_refused"] > 0, "refused by the disk")
        assert view in line.control.context.viewing.known()
        await line.control.context.viewing.tick()
        await until(lambda: view not in line.control.context.viewing.known(), "entered")
        (left,) = _views(await line.entries(), "view closed")
        assert left["details"]["last_ns"] == 9


async def test_a_lost_role_ends_the_views_under_it(tmp_path: Path) -> None:
    async with (
        control_line(tmp_path) as line,
        line.person("olga", "operator") as olga,
        line.person("ada", "administrator") as ada,
    ):
        await _live(line)
        await olga.post_offer(f"/whep/pm-1?intervention={await _intervention(olga)}")
        assert (await ada.call("PATCH", "/api/users/olga", {"role": "auditor"}))[0] == 200
        assert (await line.worker.next(m.PeerClose)).reason.sentence == "signed out"


async def test_a_view_token_opens_one_camera_without_a_cookie_and_nothing_else(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        await _live(line, "pm-1")
        await _live(line, "pm-2")
        intervention = await _intervention(olga)
        status, made = await olga.call("POST", "/api/view-tokens", {"camera": "pm-1", "intervention": intervention})
        assert status == 201
        headers = {"Authorization": f"Bearer {made['token']}", "Content-Type": "application/sdp"}
        async with aiohttp.ClientSession() as http:
            other = await http.post(f"{line.url}/whep/pm-2", data=OFFER, headers=headers)
            assert other.status == 401
            opened = await http.post(f"{line.url}/whep/pm-1", data=OFFER, headers=headers)
            assert opened.status == 201
            assert (await http.delete(line.url + opened.headers["Location"])).status == 200
            assert (await http.get(f"{line.url}/api/cameras", headers=headers)).status == 401


async def test_a_camera_gets_the_number_of_its_viewers(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        await _live(line)
        async with line.camera("pm-1") as socket:
            await socket.hear("watched", by=0)
            opened = await olga.post_offer(f"/whep/pm-1?intervention={await _intervention(olga)}")
            await socket.hear("watched", by=1)
            await olga.call("DELETE", opened.headers["Location"])
            await socket.hear("watched", by=0)


async def test_leases_are_renewed_for_what_is_watched(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        await _live(line)
        await olga.post_offer(f"/whep/pm-1?intervention={await _intervention(olga)}")
        (view,) = line.worker.legs
        before = line.worker.all(m.SlotAssign)[-1].lease_mono
        line.control.context.viewing.renew()
        renewed = await line.worker.next(m.LeaseRenew)
        assert renewed.views == (view,)
        assert renewed.lease_mono >= before


async def test_leases_are_renewed_however_the_journal_and_the_database_do_and_not_for_who_is_signed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        control_line(tmp_path) as line,
        line.person("olga", "operator") as olga,
        line.person("carl", "commander") as carl,
    ):
        await _live(line)
        for person in (olga, carl):
            await person.post_offer(f"/whep/pm-1?intervention={await _intervention(person)}")
        first, second = line.worker.legs
        services = line.control.context
        services.viewing.registry.all()[0].expires_ns = 1

        async def broken(_work: object, **_more: object) -> None:
            raise OSError("read-only file system")

        monkeypatch.setattr(line.control.stores.database, "write", broken)
        services.viewing.renew()
        assert (await line.worker.next(m.LeaseRenew)).views == (second,)
        with contextlib.suppress(OSError):
            await services.viewing.tick()
        assert (await line.worker.next(m.PeerClose)).reason.sentence == "the sign-in is over"
        await until(lambda: first in services.viewing.unentered(), "its end waits for the disk")
        services.viewing.renew()
        assert (await line.worker.next(m.LeaseRenew, 2)).views == (second,)
        monkeypatch.undo()


async def test_a_link_whose_loss_one_listener_cannot_take_is_made_again(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:

        def trip(process: ProcessClient) -> None:
            raise ZeroDivisionError

        line.control.processes.on_down(trip)
        await _live(line)
        await line.worker.stop()
        await until(lambda: not line.control.processes.workers[0].up, "worker away")
        await line.worker.start()
        await until(lambda: line.control.processes.workers[0].up, "worker back")


async def test_a_fact_that_trips_over_our_own_bug_costs_no_other_fact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with control_line(tmp_path) as line:
        await _live(line)
        (recording,) = line.recorder.open
        with monkeypatch.context() as patch:

            async def trip(_: object) -> None:
                raise ZeroDivisionError

            patch.setattr(line.control.context.recordings, "gap_seen", trip)
            line.recorder.post(m.GapSeen(recording, 1, 2, "disk"))
            await until(lambda: line.control.context.counters.values["recorder_facts_failed"] == 1, "tripped")
        line.recorder.close(recording, "stopped")
        await until(lambda: line.control.context.counters.values["recordings_closed"] == 1, "the next fact")


# --- restarts ---------------------------------------------------------------------------------------------------------


async def test_a_restarted_control_finds_streams_and_views_again_and_closes_only_what_no_worker_holds(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        async with line.person("olga", "operator") as olga:
            location = await _live(line)
            intervention = await _intervention(olga)
            await olga.post_offer(f"/whep/pm-1?intervention={intervention}")
            wall = (await olga.post_offer("/wall")).headers["Location"].rpartition("/")[2]
            async with line.page(olga) as page:
                await page.say(t="assign", wall=wall, worker=0, slot=0, camera="pm-1", intervention=intervention, layer="low")
                await page.hear("assigned")
            held, gone = line.worker.legs
            line.control.context.viewing.renew()
            await line.control.context.viewing.tick()
        await _restart_and_check(line, location, held, gone)


async def _restart_and_check(line: Line, location: str, held: str, gone: str) -> None:
    # As a kill would: nothing of the first control may run or write from here on.
    await line.control.processes.stop()
    line.worker.legs.pop(gone)
    await line.control.stores.journal.close()
    async with serving(line.settings, line.worker, line.recorder) as again:
        live = again.control.context.streams.live("pm-1")
        assert live is not None
        assert location == f"/whip/pm-1/{live.secret}"
        assert live.circumstances.intervention
        assert again.control.context.viewing.open_views == 1
        again.control.context.viewing.renew()
        await again.control.context.viewing.tick()
        await until(lambda: gone not in again.control.context.viewing.known(), "its end to be entered")
        (closed,) = [entry for entry in _views(await again.entries(), "view closed") if entry["details"]["view"] == gone]
        assert closed["details"]["reason"] == "the relay was restarted"
        assert closed["details"]["last_ns"] > closed["details"]["first_ns"]
        assert (await again.worker.next(m.LeaseRenew, 2)).views == (held,)
        async with again.person("olga", "operator") as olga:
            refused = await again_publish(line, again)
            assert refused.status == 409
            wall = next(session for session in again.worker.viewers if again.worker.legs[held].session != session)
            async with again.page(olga) as page:
                await page.hear("cameras")
                await page.say(t="assign", wall=wall, worker=0, slot=0, camera=None, intervention=None, layer="high")
                await page.hear("assigned")


async def again_publish(before: Line, again: Line) -> aiohttp.ClientResponse:
    """Publish at the second control with the token of the first."""
    again.tokens.update(before.tokens)
    return await again.publish("pm-1")


async def test_a_worker_that_restarted_empty_leaves_no_live_camera_and_asks_it_to_publish_again(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line:
        await _live(line)
        async with line.camera("pm-1") as socket:
            await socket.hear("welcome")
            await line.worker.stop()
            line.worker.publishers.clear()
            await line.worker.start()
            await socket.hear("republish")
        assert line.control.context.streams.live("pm-1") is None


async def test_a_press_reaches_the_pages_while_the_database_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with control_line(tmp_path) as line, line.person("olga", "operator") as olga:
        await line.enrol("pm-1")
        async with line.page(olga) as page, line.camera("pm-1") as camera:
            with monkeypatch.context() as broken:

                async def refuse(*_: object) -> object:
                    raise OurError("database: disk I/O error")

                broken.setattr(line.control.context.interventions, "open_by_camera", refuse)
                await camera.say(t="press", threat="agents", reason="x" * 5000)
                await camera.hear("pressed")
                await page.hear("camera", camera="pm-1", pressed=True)
                await until(lambda: line.control.context.counters.values["camera_presses_unentered"] > 0, "refused")
            line.control.context.camera_sockets.tick()
            await until(lambda: (_unit(line, "pm-1").intent or Intent(None, "", "", 0)).intervention is not None, "entered")


async def test_a_dead_workers_cameras_are_reported_to_pages_and_go_to_the_other_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "WORKER_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(worker_adoption, "WORKER_GONE_SECONDS", 0.0)
    run = tmp_path / "run"
    run.mkdir()
    worker, recorder = FakeWorker(run, 1), FakeRecorder(run, 1)
    await worker.start()
    await recorder.start()
    try:
        async with control_line(tmp_path, workers={"count": 2}) as line, line.person("olga", "operator") as olga:
            await _live(line)
            async with line.page(olga) as page, line.camera("pm-1") as camera:
                await camera.hear("welcome")
                await line.worker.stop()
                await line.recorder.stop()
                assert (await page.hear("camera", state="lost"))["rec"] != "recording"
                await until(lambda: not line.control.processes.workers[0].up, "worker away")
                await line.control.context.streams.tick()
                assert (await camera.hear("republish"))["reason"] == "its worker is away"
                assert (await line.publish("pm-1")).status == 201
                await page.hear("camera", worker=1)
        (first,), (second,) = line.recorder.all(m.RecordOpen), recorder.all(m.RecordOpen)
        assert second.plan.previous == first.plan.recording
    finally:
        await worker.stop()
        await recorder.stop()


async def test_live_sound_switched_off_by_an_administrator_is_off_for_the_session_that_runs(tmp_path: Path) -> None:
    async with control_line(tmp_path) as line, line.person("ada", "administrator") as ada:
        await line.enrol("pm-1", live_audio=True)
        await line.publish("pm-1")
        status, _ = await ada.call("PATCH", "/api/cameras/pm-1", {"live_audio": False})
        assert status == 200
        (change,) = line.worker.all(m.PublisherChange)
        assert change.session == line.worker.all(m.PublishOpen)[0].session
        assert not change.live_audio


async def test_a_transmission_is_confirmed_over_its_route_and_pages_see_its_new_end(tmp_path: Path) -> None:
    async with (
        control_line(tmp_path) as line,
        line.person("olga", "operator") as olga,
        line.person("ada", "administrator") as ada,
    ):
        await line.enrol("pm-1")
        path, body = "/api/cameras/pm-1/confirm", {"motive": "menace persistante"}
        assert (await olga.call("POST", path, body))[0] == 409
        await line.publish("pm-1")
        live = line.control.context.streams.live("pm-1")
        assert live is not None
        live.confirm(live.confirmed - 3600)
        _, listed = await olga.call("GET", "/api/cameras")
        (before,) = [camera["ends_ns"] for camera in listed["cameras"]]
        async with line.page(olga) as page:
            (shown,) = (await page.hear("cameras"))["cameras"]
            assert abs(shown["ends_ns"] - before) <= 3600 * SECOND_NS
            assert (await olga.call("POST", path, body))[0] == 204
            assert (await ada.call("POST", path, body))[0] == 403
            assert (await olga.call("POST", path, {}))[0] == 422
            assert (await olga.call("POST", "/api/cameras/pm-9/confirm", body))[0] == 404
            while (await page.hear("camera", camera="pm-1"))["ends_ns"] <= before:
                pass
        confirmed = await line.worker.next(m.PublisherChange)
        assert confirmed.confirmed_mono == live.confirmed
        assert any(entry["details"].get("event") == "transmission confirmed" for entry in await line.entries())
