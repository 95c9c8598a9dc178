"""Publish sessions against workers and recorders that go away and come back."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from relay.base.clock import SECOND_NS, ManualClock
from relay.base.counters import Counters
from relay.base.errors import Kind, OurError, TheirError
from relay.channel import messages as m
from relay.live import worker_adoption
from relay.live.camera_intents import Intent
from relay.live.camera_sockets import CameraSockets
from relay.live.capture import Capture, Circumstances, OpenRecording
from relay.live.claims import Kept
from relay.live.placement import STICKY_SECONDS
from relay.live.processes import ProcessClient, Processes
from relay.live.publish_sessions import PublishSession
from relay.live.rules import LiveRules
from relay.live.streams import Streams
from relay.runtime.deadlines import Deadline
from relay.store.accounts import Accounts, Camera
from relay.store.catalogue import Catalogue
from tests.support.passes import CONTROL

KEY = b"k" * 32
OFFER = "v=0\r\na=ice-ufrag:abcd\r\n"


def camera(name: str = "pm-1") -> Camera:
    return Camera(name, name.upper(), "bodycam_pm", "service", "", "relay", True, 0, None)


class Recorders:
    """Open recordings, in place of `Capture`."""

    def __init__(self) -> None:
        self.on_closed: list[Callable[[int, str], None]] = []
        self.on_state: list[Callable[[int, str, str], None]] = []
        self.known: dict[str, OpenRecording] = {}
        self.finished: list[tuple[str | None, str]] = []
        self.previous: list[str | None] = []
        self.refusal: OurError | None = None
        self.begun: list[str | None] = []

    def held(self, recording: str | None) -> OpenRecording | None:
        return self.known.get(recording or "")

    def resumable(self, name: str, index: int) -> str | None:
        return next((r for r, held in self.known.items() if (held.camera, held.index) == (name, index)), None)

    def held_of(self, name: str) -> tuple[str, ...]:
        return tuple(recording for recording, held in self.known.items() if held.camera == name)

    def require_disk(self, index: int) -> None:
        """It takes everything."""

    def check(self, index: int, found: Camera, why: Circumstances) -> None:
        """Policy allows it."""

    async def begin(self, index: int, found: Camera, why: Circumstances, previous: str | None, **more: Any) -> str:
        if self.refusal is not None:
            raise self.refusal
        recording = f"recording-{len(self.previous)}"
        self.previous.append(previous)
        self.begun.append(more.get("recording"))
        self.known[recording] = OpenRecording(recording, found.camera, index)
        return recording

    def refuse_more(self, recording: str | None) -> None:
        """Nothing continues it: `finish` follows at once."""

    async def finish(self, recording: str | None, reason: str, author: str | None = None) -> None:
        self.finished.append((recording, reason))
        self.known.pop(recording or "", None)

    def lost(self, process: ProcessClient) -> None:
        for held in self.known.values():
            held.state = "stalled"

    async def adopt(self, process: ProcessClient) -> frozenset[str]:
        return frozenset(self.known)

    def report(self, recording: str, state: str) -> None:
        self.known[recording].state = state
        for listener in self.on_state:
            listener(self.known[recording].index, recording, "written" if state in ("recording", "waiting") else "failing")


class Cameras:
    """Sockets of cameras."""

    def __init__(self) -> None:
        self.intents = self
        self.on_beat: list[Any] = []
        self.republished: list[str] = []
        self.ready = asyncio.Event()
        self.ready.set()
        self.stopped: list[str] = []

    def unit(self, name: str) -> None:
        return None

    def tick(self) -> None:
        """Nothing is due."""

    def intended(self) -> frozenset[str]:
        return frozenset()

    def finished(self, name: str) -> None:
        """No press is left."""

    async def take_intent(self, found: Camera, deadline: Deadline) -> Intent:
        await self.ready.wait()
        return Intent("intervention", "press", "agents", 0.0)

    def republish(self, name: str, reason: str) -> None:
        self.republished.append(name)

    def stop(self, name: str, reason: str) -> None:
        self.stopped.append(name)

    def drop(self, name: str) -> None:
        """Its socket is closed."""


class Client(ProcessClient):
    """A connection that a test makes and breaks; `answer` takes what it is asked."""

    connected = True
    answer: Callable[[ProcessClient, m.Message], m.Message]

    @property
    def up(self) -> bool:
        return self.connected

    async def wait_up(self, seconds: float) -> bool:
        return self.connected

    async def ask(self, message: m.Message, answer: type[Any], seconds: float = 5.0) -> Any:
        return self.answer(self, message)


class Scene:
    """Two workers with their recorders; `down` takes a worker away, `up` brings it back."""

    def __init__(self, run: Path) -> None:
        self.clock, self.counters = ManualClock(), Counters()
        self.processes = Processes(run, 2, self.counters, lambda name: CONTROL, Client)
        self.held: dict[int, list[m.PublisherHeld]] = {0: [], 1: []}
        self.asked: list[tuple[int, m.Message]] = []
        self.capture, self.camera_sockets = Recorders(), Cameras()
        rules = LiveRules(4, 10, 7200)
        rows = SimpleNamespace(
            interventions=SimpleNamespace(get=self.intervention), recordings=SimpleNamespace(get=self.recording)
        )
        accounts = SimpleNamespace(camera=self.find)
        rows.within, accounts.within = lambda deadline: rows, lambda deadline: accounts
        self.streams = Streams(
            self.processes, cast(Capture, self.capture), cast(CameraSockets, self.camera_sockets), cast(Catalogue, rows),
            cast(Accounts, accounts), rules, self.clock, self.counters, kept_key=KEY,
        )  # fmt: skip
        self.revoked_ns: int | None = None
        self.closed_ns: int | None = None
        self.changed: list[str] = []
        self.gone: list[str] = []
        self.streams.on.change.append(self.changed.append)
        self.streams.on.gone.append(lambda name, reason: self.gone.append(name))
        for process in (*self.processes.workers, *self.processes.recorders):
            cast(Client, process).answer = self._answer

    async def find(self, name: str) -> Camera | None:
        return replace(camera(name), revoked_ns=self.revoked_ns)

    async def intervention(self, intervention: str) -> Any:
        return SimpleNamespace(closed_ns=self.closed_ns)

    async def recording(self, recording: str) -> Any:  # begun by an earlier control
        return SimpleNamespace(
            intervention="intervention", trigger="press", threat="agents", bearer=None, camera="pm-3", state="open", recorder=0
        )

    def _answer(self, process: ProcessClient, message: m.Message) -> m.Message:
        if not process.up and not isinstance(message, m.InventoryAsk | m.PeerClose):
            raise OurError("not there", kind=Kind.UNAVAILABLE)
        self.asked.append((process.index, message))
        if isinstance(message, m.PublishOpen):
            held = m.PublisherHeld(
                message.session, message.camera, message.recording, "live", True, "e", 0, 0.0,
                is_recording_open=message.is_recording_open,
            )  # fmt: skip
            self.held[process.index].append(held)
            return m.Answer("v=0", "etag", 0, True)
        if isinstance(message, m.PeerClose):
            self.held[process.index] = [held for held in self.held[process.index] if held.session != message.session]
        return m.WorkerInventory(tuple(self.held[process.index]), (), ()) if isinstance(message, m.InventoryAsk) else m.Done()

    def down(self, index: int) -> None:
        worker = self.worker(index)
        worker.connected = False
        worker.on_down(worker)

    async def up(self, index: int) -> None:
        worker = self.worker(index)
        await worker.on_up(worker)
        worker.connected = True

    def worker(self, index: int) -> Client:
        return cast(Client, self.processes.workers[index])

    def lose(self, live: PublishSession) -> None:
        """The worker reports that the radio cut the camera off."""
        worker = self.worker(live.worker)
        worker.on_message(worker, m.PublisherState(live.secret, live.camera.camera, "lost", "silent", 0))

    def say_goodbye(self, live: PublishSession) -> None:
        """The worker reports that the camera closed its connection and did not come back."""
        worker = self.worker(live.worker)
        worker.on_message(worker, m.PublisherState(live.secret, live.camera.camera, "ended", "closed", 0, True))

    def live(self, name: str = "pm-1") -> PublishSession:
        found = self.streams.live(name)
        assert found is not None
        return found

    async def publish(self, name: str = "pm-1") -> PublishSession:
        await self.streams.publish(camera(name), OFFER)
        await self.media(name)
        self.live(name).reported.state = "live"
        self.changed.clear()
        return self.live(name)

    async def media(self, name: str = "pm-1") -> None:
        """The camera's worker says that media came, if it waits for a recording."""
        live = self.live(name)
        if live.recording is None:
            worker = self.worker(live.worker)
            worker.on_message(worker, m.RecordingWanted(live.secret, name, self.clock.monotonic()))
            await self.streams.settled()

    def closed(self) -> list[tuple[int, str]]:
        return [(index, asked.session) for index, asked in self.asked if isinstance(asked, m.PeerClose)]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    yield made
    await made.streams.shut()


async def test_pages_know_at_once_that_a_dead_workers_cameras_show_nothing(scene: Scene) -> None:
    live = await scene.publish()
    live.reported.report = cast(m.SourceReport, SimpleNamespace())
    other = await scene.publish("pm-2")
    scene.changed.clear()
    scene.down(live.worker)
    assert scene.changed == ["pm-1"]
    assert scene.live().reported.state == "lost"
    assert scene.live().reported.report is None
    assert other.reported.state == "live"


async def test_a_link_that_was_lost_for_a_moment_brings_the_session_back_as_it_is(scene: Scene) -> None:
    live = await scene.publish()
    scene.down(live.worker)
    scene.changed.clear()
    await scene.up(live.worker)
    assert scene.live() is live
    assert live.reported.state == "live"
    assert scene.changed == ["pm-1"]
    assert scene.closed() == []


async def test_pages_are_notified_when_the_state_of_a_recording_changes(scene: Scene) -> None:
    live = await scene.publish()
    assert live.recording is not None
    scene.capture.report(live.recording, "recording")
    scene.capture.report(live.recording, "recording")
    assert scene.changed == ["pm-1"]
    scene.capture.report(live.recording, "stalled")
    assert len(scene.changed) > 1
    scene.changed.clear()
    scene.capture.report(live.recording, "recording")
    assert scene.changed == ["pm-1"]


async def test_while_the_worker_is_away_pages_hear_every_second_how_old_the_seal_is(scene: Scene) -> None:
    live = await scene.publish()
    assert live.recording is not None
    scene.capture.report(live.recording, "waiting")
    scene.down(live.worker)
    scene.changed.clear()
    scene.capture.report(live.recording, "waiting")
    assert scene.changed == ["pm-1"]


async def test_a_camera_whose_worker_is_away_is_placed_elsewhere_and_its_recording_is_followed(scene: Scene) -> None:
    first = await scene.publish()
    scene.down(first.worker)
    second = await scene.publish()
    assert second.worker != first.worker
    assert scene.gone == ["pm-1"]
    assert scene.capture.previous == [None, first.recording]
    await scene.streams.settled()
    assert scene.capture.finished == [(first.recording, "lost")]


async def test_a_worker_that_comes_back_with_a_session_placed_elsewhere_closes_it(scene: Scene) -> None:
    first = await scene.publish()
    scene.down(first.worker)
    second = await scene.publish()
    await scene.up(first.worker)
    assert scene.closed() == [(first.worker, first.secret)]
    assert scene.live() is second


async def test_without_another_worker_the_session_is_kept_for_the_one_that_is_away(scene: Scene) -> None:
    live = await scene.publish()
    scene.down(0)
    scene.down(1)
    with pytest.raises(OurError) as refused:
        await scene.streams.publish(camera(), OFFER)
    assert refused.value.retry_after == 1.0
    assert scene.live() is live
    await scene.up(live.worker)
    assert live.reported.state == "live"


async def test_cameras_of_a_worker_that_stays_away_are_asked_to_publish_again_once_there_is_another(scene: Scene) -> None:
    live = await scene.publish()
    other = 1 - live.worker
    scene.down(live.worker)
    scene.down(other)
    await scene.streams.tick()
    scene.clock.advance(worker_adoption.WORKER_GONE_SECONDS)
    await scene.streams.tick()
    assert scene.camera_sockets.republished == []
    await scene.up(other)
    await scene.streams.tick()
    assert scene.camera_sockets.republished == ["pm-1"]
    assert scene.streams.live("pm-1") is None
    assert (await scene.publish()).worker == other


async def test_a_session_ended_while_its_worker_was_away_does_not_come_back_with_it(scene: Scene) -> None:
    live = await scene.publish()
    scene.down(live.worker)
    worker = scene.worker(live.worker)
    answer = worker.answer

    def away(*_: Any) -> Any:
        raise OurError("not there", kind=Kind.UNAVAILABLE)

    worker.answer = away
    await scene.streams.stop("pm-1", m.PeerCloseReason.INTERVENTION_CLOSED, "stopped", None)
    worker.answer = answer
    await scene.up(live.worker)
    assert scene.streams.live("pm-1") is None
    assert scene.closed() == [(live.worker, live.secret)]


async def test_a_worker_restarted_without_the_session_makes_the_camera_publish_again(scene: Scene) -> None:
    live = await scene.publish()
    scene.down(live.worker)
    scene.held[live.worker] = []
    await scene.up(live.worker)
    assert scene.streams.live("pm-1") is None
    assert scene.camera_sockets.republished == ["pm-1"]


def sound(scene: Scene) -> list[bool]:
    return [asked.live_audio for _, asked in scene.asked if isinstance(asked, m.PublisherChange)]


async def test_sound_switched_off_is_switched_off_at_the_worker_before_that_is_answered(scene: Scene) -> None:
    live = await scene.publish()
    await scene.streams.changed(replace(camera(), live_audio=False, original="camera", label="autre"))
    assert sound(scene) == [False]
    assert (live.camera.live_audio, live.camera.label) == (False, "autre")
    assert live.camera.original == "relay", "as its recording began"


async def test_sound_switched_off_while_the_worker_is_away_is_off_when_it_is_back(scene: Scene) -> None:
    live = await scene.publish()
    scene.down(live.worker)
    await scene.streams.changed(replace(camera(), live_audio=False))
    assert sound(scene) == []
    await scene.up(live.worker)
    await scene.streams.tick()
    await scene.streams.settled()
    assert sound(scene) == [False]
    await scene.streams.tick()
    await scene.streams.settled()
    assert sound(scene) == [False], "sent once"


async def test_sound_switched_off_while_the_camera_publishes_is_off_once_it_has(scene: Scene) -> None:
    publishing = asyncio.create_task(scene.streams.publish(camera(), OFFER))
    await asyncio.sleep(0)
    await scene.streams.changed(replace(camera(), live_audio=False))
    await publishing
    assert sound(scene) == [False]


async def test_a_confirmation_outlives_the_cameras_radio_and_the_control(scene: Scene) -> None:
    live = await scene.publish()
    scene.clock.advance(100)
    scene.streams.confirm(live)
    await scene.streams.settled()
    (confirmed,) = [asked.confirmed_mono for _, asked in scene.asked if isinstance(asked, m.PublisherChange)]
    assert confirmed == live.confirmed == scene.clock.monotonic()
    scene.lose(live)
    scene.held[live.worker] = []
    scene.clock.advance(10)
    assert (await scene.publish()).confirmed == confirmed
    why = Kept(KEY).seal(0, "s", "pm-3", Circumstances("intervention", "press", "agents", None))
    held = m.PublisherHeld("s", "pm-3", "recording-9", "live", True, "e", 0, 0.0, confirmed_mono=42.0, kept=why)
    scene.held[0].append(held)
    await scene.up(0)
    assert scene.live("pm-3").confirmed == 42.0


async def test_the_longest_time_begins_anew_after_an_end_that_was_wanted(scene: Scene) -> None:
    await scene.publish()
    await scene.streams.stop("pm-1", m.PeerCloseReason.TIME_LIMIT, "stopped", None)
    scene.clock.advance(10)
    assert (await scene.publish()).confirmed == scene.clock.monotonic()


async def test_a_camera_that_is_live_is_not_published_twice(scene: Scene) -> None:
    live = await scene.publish()
    with pytest.raises(TheirError) as refused:
        await scene.streams.publish(camera(), OFFER)
    assert refused.value.kind is Kind.CONFLICT
    assert scene.live() is live


async def test_a_camera_goes_back_to_its_worker_for_a_minute(scene: Scene) -> None:
    live = await scene.publish()
    await scene.publish("pm-2")
    for seconds, same in ((STICKY_SECONDS - 1, True), (STICKY_SECONDS, False)):
        scene.lose(scene.live())
        scene.clock.advance(seconds)
        assert (scene.streams.registry.placement.recent("pm-1") is not None) is same
        if same:
            assert (await scene.publish()).worker == live.worker
    assert scene.clock.utc_ns() % SECOND_NS == 0


@pytest.mark.parametrize("how", ["revoked", "replaced"])
async def test_a_token_that_is_taken_back_while_its_camera_is_let_in_lets_it_in_no_more(scene: Scene, how: str) -> None:
    scene.camera_sockets.ready.clear()
    publishing = asyncio.create_task(scene.streams.publish(camera(), OFFER))
    await asyncio.sleep(0)
    scene.revoked_ns = 1 if how == "revoked" else None
    scene.streams.revoked("pm-1")
    scene.camera_sockets.ready.set()
    with pytest.raises(TheirError, match="token revoked"):
        await publishing
    await _settled(scene)
    assert scene.streams.live("pm-1") is None
    assert scene.held == {0: [], 1: []}
    assert scene.capture.begun == []


async def test_an_intervention_closed_while_a_camera_is_let_in_lets_it_in_no_more(scene: Scene) -> None:
    scene.camera_sockets.ready.clear()
    publishing = asyncio.create_task(scene.streams.publish(camera(), OFFER))
    await asyncio.sleep(0)
    scene.closed_ns = 1
    scene.streams.end_intervention("intervention")
    scene.camera_sockets.ready.set()
    with pytest.raises(TheirError, match="the intervention was closed"):
        await publishing
    await _settled(scene)
    assert (scene.streams.live("pm-1"), scene.held[0]) == (None, [])
    assert scene.capture.begun == []


async def test_a_camera_cut_off_while_its_intervention_is_closed_does_not_go_on_in_it(scene: Scene) -> None:
    live = await scene.publish()
    scene.lose(live)
    scene.streams.end_intervention("intervention")
    await _settled(scene)
    assert scene.capture.finished == [("recording-0", "stopped")]
    assert scene.streams.interventions() == frozenset()
    assert scene.camera_sockets.stopped == ["pm-1"]


async def test_a_recording_held_since_before_a_restart_is_not_continued_in_a_closed_intervention(scene: Scene) -> None:
    scene.capture.known["recording-9"] = OpenRecording("recording-9", "pm-1", 0)
    scene.closed_ns = 1
    with pytest.raises(TheirError, match="the intervention was closed"):
        await scene.streams.publish(camera(), OFFER)
    assert (scene.streams.live("pm-1"), scene.capture.finished) == (None, [("recording-9", "stopped")])


async def test_closing_an_intervention_leaves_cameras_of_another_alone(scene: Scene) -> None:
    live = await scene.publish()
    scene.streams.end_intervention("another")
    await _settled(scene)
    assert scene.streams.live("pm-1") is live


async def test_a_recording_that_could_not_begin_is_tried_again_under_another_id(scene: Scene) -> None:
    scene.capture.refusal = OurError("no disk")
    live = await scene.publish()
    (first,) = [asked.recording for _, asked in scene.asked if isinstance(asked, m.PublishOpen)]
    await scene.media()
    assert scene.streams.recording_supervisor.in_grace(live)
    scene.capture.refusal = None
    await scene.media()
    assert scene.capture.begun == [], "not before two seconds are over: each failed try is an entry"
    scene.clock.advance(2)
    await scene.media()
    assert (live.recording, scene.capture.begun) == ("recording-0", [live.reserved])
    assert live.reserved != first
    assert not scene.streams.recording_supervisor.in_grace(live)


async def test_a_camera_that_left_while_its_recording_was_opened_leaves_it_closed(scene: Scene) -> None:
    await scene.streams.publish(camera(), OFFER)
    live = scene.live()
    async with scene.streams.registry.lock("pm-1"):
        worker = scene.worker(live.worker)
        worker.on_message(worker, m.RecordingWanted(live.secret, "pm-1", scene.clock.monotonic()))
        await asyncio.sleep(0)
    begin = scene.capture.begin

    async def leave(*args: Any, **more: Any) -> str:
        await scene.streams.close("pm-1", live.secret)
        return await begin(*args, **more)

    scene.capture.begin = leave  # type: ignore[method-assign]
    await scene.streams.settled()
    assert ("recording-0", "stopped") in scene.capture.finished
    assert scene.capture.known == {}


async def test_what_waited_for_a_camera_that_the_radio_cut_off_meanwhile_is_asked_of_its_worker(scene: Scene) -> None:
    await scene.streams.publish(camera(), OFFER)
    live = scene.live()
    begin = scene.capture.begin

    async def cut_off(*args: Any, **more: Any) -> str:
        scene.lose(live)
        return await begin(*args, **more)

    scene.capture.begin = cut_off  # type: ignore[method-assign]
    await scene.media()
    switches = [asked for _, asked in scene.asked if isinstance(asked, m.RecordingSwitch)]
    assert switches == [m.RecordingSwitch(live.secret, "recording-0")]
    assert "recording-0" in scene.capture.known, "the camera may come back into it"


async def test_a_continued_recording_that_ends_before_media_came_is_followed_by_none(scene: Scene) -> None:
    scene.lose(await scene.publish())
    await scene.streams.publish(camera(), OFFER)
    live = scene.live()
    assert live.recording == "recording-0"
    scene.capture.known.clear()
    for listener in scene.capture.on_closed:
        listener(live.worker, "recording-0")
    await scene.streams.settled()
    assert scene.live().recording is None
    assert (live.previous, scene.capture.previous) == ("recording-0", [None])
    switches = [asked for _, asked in scene.asked if isinstance(asked, m.RecordingSwitch)]
    assert [switch.is_open for switch in switches] == [True, False]
    await scene.media()
    assert scene.capture.previous == [None, "recording-0"]


async def test_a_recording_that_a_restarted_worker_caused_does_not_count(scene: Scene) -> None:
    for _ in range(8):
        live = await scene.publish()
        scene.down(live.worker)
        scene.held[live.worker] = []
        scene.capture.known.clear()
        await scene.up(live.worker)
        assert scene.streams.live("pm-1") is None
    assert scene.streams.registry.pace.pause("pm-1", scene.clock.monotonic()) == 0


async def test_an_offer_that_no_control_answered_is_closed_at_its_worker(scene: Scene) -> None:
    scene.held[0].append(m.PublisherHeld("s", "pm-3", "reserved", "connecting", True, "e", 0, 0.0, is_recording_open=False))
    await scene.up(0)
    assert scene.streams.live("pm-3") is None
    assert scene.closed() == [(0, "s")]
    assert scene.camera_sockets.republished == ["pm-3"]


async def _settled(scene: Scene) -> None:
    await scene.streams.settled()


async def test_a_camera_hears_that_it_must_stop_before_its_session_is_taken_away(scene: Scene) -> None:
    """Else it publishes again at once: a recording of nothing, and a transmission that nobody asked for."""
    live = await scene.publish()
    worker, stopped = scene.worker(live.worker), list[list[str]]()
    answer = worker.answer

    def close(process: ProcessClient, message: m.Message) -> m.Message:
        if isinstance(message, m.PeerClose):
            stopped.append(list(scene.camera_sockets.stopped))
        return answer(process, message)

    worker.answer = close
    await scene.streams.stop("pm-1", m.PeerCloseReason.INTERVENTION_CLOSED, "stopped", None)
    assert stopped == [["pm-1"]]


async def test_a_camera_that_closes_its_connection_and_does_not_come_back_has_stopped(scene: Scene) -> None:
    live = await scene.publish()
    scene.say_goodbye(live)
    await scene.streams.settled()
    assert scene.streams.live("pm-1") is None
    assert scene.capture.finished == [(live.recording, "stopped")]
    again = await scene.publish()
    assert again.recording != live.recording
    assert scene.capture.previous == [None, None], "the next publication has nothing to do with the last one"


async def test_a_delete_after_the_connection_was_lost_ends_the_recording_as_stopped(scene: Scene) -> None:
    live = await scene.publish()
    scene.lose(live)
    assert scene.capture.finished == []
    await scene.streams.close("pm-1", live.secret)
    assert scene.capture.finished == [(live.recording, "stopped")]
    with pytest.raises(TheirError) as refused:
        await scene.streams.close("pm-1", live.secret)
    assert refused.value.kind is Kind.NOT_FOUND


async def test_a_delete_after_a_goodbye_finds_its_session_over(scene: Scene) -> None:
    live = await scene.publish()
    scene.say_goodbye(live)
    await scene.streams.settled()
    await scene.streams.close("pm-1", live.secret)
    assert {reason for _, reason in scene.capture.finished} == {"stopped"}


async def test_a_delete_of_the_session_before_leaves_a_newer_one_and_its_recording_alone(scene: Scene) -> None:
    first = await scene.publish()
    scene.lose(first)
    second = await scene.publish()
    assert second.recording == first.recording
    await scene.streams.close("pm-1", first.secret)
    assert scene.streams.live("pm-1") is second
    assert scene.capture.finished == []


async def test_a_delete_with_a_wrong_secret_ends_nothing(scene: Scene) -> None:
    live = await scene.publish()
    scene.lose(live)
    for camera_name, secret in (("pm-1", "wrong"), ("pm-2", live.secret)):
        with pytest.raises(TheirError):
            await scene.streams.close(camera_name, secret)
    assert scene.capture.finished == []
    assert (await scene.publish()).recording == live.recording


async def test_a_delete_while_the_recording_of_a_lost_camera_is_being_opened_closes_it(scene: Scene) -> None:
    await scene.streams.publish(camera(), OFFER)
    live = scene.live()
    scene.lose(live)
    await scene.streams.close("pm-1", live.secret)
    assert live.ended is not None
    assert live.ended.reason == "stopped"


async def test_a_camera_that_closed_its_connection_a_moment_ago_may_publish_again_at_once(scene: Scene) -> None:
    live = await scene.publish()
    scene.held[live.worker] = [msgspec.structs.replace(held, silent_for=math.inf) for held in scene.held[live.worker]]
    again = await scene.publish()
    assert again.recording == live.recording
