"""Pages get every change, whatever the database does, and only of cameras in their scope."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import msgpack
import pytest

from relay.base.clock import ManualClock
from relay.base.counters import Counters
from relay.base.errors import OurError
from relay.http import hub
from relay.http.alarms import KEPT_SECONDS, PER_CAMERA, UNSURE_SECONDS
from relay.http.hub import LiveHub, Page
from relay.http.outbox import Outbox
from relay.http.waiting import Item
from relay.people.enrolment import Enrolment
from relay.people.sign_ins import SignedIn
from relay.policy.roles import Person, Role
from relay.protocol.page import AlarmReason, CameraState, CameraUpdate
from relay.store.accounts import Camera
from relay.viewing.camera_state import CameraStates
from tests.support.live_messages import as_map, camera_state


def camera(name: str, commune: str = "") -> Camera:
    return Camera(
        name, name.upper(), "videoprotection" if commune else "bodycam_pm", "service", commune, "relay", False, 0, None
    )


class Cameras:
    """An enrolment that refuses or hangs on demand."""

    def __init__(self, *names: Camera) -> None:
        self.known = names
        self.refusals = 0
        self.held: asyncio.Event | None = None
        self.asked = asyncio.Event()

    async def enrolled(self) -> tuple[Camera, ...]:
        self.asked.set()
        if self.held is not None:
            await self.held.wait()
        if self.refusals:
            self.refusals -= 1
            raise OurError("database: database is locked")
        return self.known


class States:
    """The state of each camera; asking fails for those in `broken`."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.pressed: set[str] = set()

    def of(self, found: Camera) -> CameraState:
        if found.camera in self.broken:
            raise ZeroDivisionError
        return camera_state(found.camera, pressed=found.camera in self.pressed)


class CollectingPage(Page):
    """A page that keeps the messages it gets."""

    def __init__(self, user: str, communes: frozenset[str] | None = None, session: str = "s") -> None:
        person = Person(user, user, Role.OPERATOR, "service", communes)
        found = cast(SignedIn, SimpleNamespace(person=person, sign_in=session, expires_ns=100))
        super().__init__(found, cast(Outbox, SimpleNamespace(send=self.take, farewell=self.take)))
        self.messages: list[dict[str, Any]] = []
        self.arrived = asyncio.Event()

    def take(self, message: Item) -> None:
        self.messages.append(msgpack.unpackb(message.alone()) if isinstance(message, CameraUpdate) else as_map(message))
        self.arrived.set()

    async def received(self, **wanted: object) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                for message in self.messages:
                    if all(message.get(key) == value for key, value in wanted.items()):
                        return message
                self.arrived.clear()
                await self.arrived.wait()


class Scene:
    """A hub that runs."""

    def __init__(self, *names: Camera) -> None:
        self.cameras, self.states, self.counters = Cameras(*names), States(), Counters()
        self.clock = ManualClock()
        self.hub = LiveHub(cast(Enrolment, self.cameras), cast(CameraStates, self.states), self.clock, self.counters)


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(hub, "RETRY_SECONDS", 0.0)
    made = Scene(camera("pm-1"), camera("pm-2"))
    await made.hub.refresh()
    running = asyncio.create_task(made.hub.run())
    yield made
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_database_error_freezes_no_page_and_the_list_is_read_again(scene: Scene) -> None:
    page = CollectingPage("olga")
    scene.hub.add(page)
    scene.cameras.refusals = 3
    scene.cameras.known = (camera("pm-2"), camera("pm-3"))
    scene.hub.enrolment_changed()
    await page.received(t="gone", camera="pm-1")
    await page.received(t="camera", camera="pm-3")
    assert scene.counters.values["live_refresh_failures"] == 3


async def test_a_database_that_hangs_freezes_no_page(scene: Scene) -> None:
    page = CollectingPage("olga")
    scene.hub.add(page)
    scene.cameras.held, scene.cameras.asked = asyncio.Event(), asyncio.Event()
    scene.hub.enrolment_changed()
    await scene.cameras.asked.wait()
    scene.hub.camera_changed("pm-1")
    await page.received(t="camera", camera="pm-1")


async def test_one_camera_whose_state_cannot_be_made_costs_no_other_its_own(scene: Scene) -> None:
    page = CollectingPage("olga")
    scene.hub.add(page)
    scene.states.broken.add("pm-1")
    scene.hub.camera_changed("pm-1")
    scene.hub.camera_changed("pm-2")
    await page.received(t="camera", camera="pm-2")
    scene.states.broken.clear()
    scene.hub.camera_changed("pm-1")
    await page.received(t="camera", camera="pm-1")
    assert scene.counters.values["live_untold"] == 1


async def test_a_press_that_is_released_at_once_is_shown(scene: Scene) -> None:
    page = CollectingPage("olga")
    scene.hub.add(page)
    scene.states.pressed.add("pm-1")
    scene.hub.camera_pressed("pm-1")
    scene.hub.camera_changed("pm-1")
    scene.states.pressed.clear()
    scene.hub.camera_changed("pm-1")
    await page.received(t="camera", camera="pm-1", pressed=False)
    assert [message["pressed"] for message in page.messages if message["t"] == "camera"] == [True, False]


def test_pages_are_let_go_when_their_sign_in_is_over() -> None:
    made = Scene()
    page = CollectingPage("olga")
    made.hub.add(page)
    made.hub.expire(99)
    assert made.hub.is_connected(page)
    made.hub.expire(100)
    assert not made.hub.is_connected(page)
    assert page.messages[-1] == {"t": "bye", "reason": "the sign-in is over"}


def alarms(page: CollectingPage) -> list[tuple[str, str]]:
    return [(message["camera"], message["reason"]) for message in page.messages if message["t"] == "alarm"]


async def test_an_alarm_reaches_pages_in_scope_and_only_those(scene: Scene) -> None:
    scene.cameras.known = (camera("pm-1"), camera("fixe-1", "35000"))
    await scene.hub.refresh()
    everywhere, here, elsewhere = (
        CollectingPage("olga"),
        CollectingPage("pia", frozenset({"35000"})),
        CollectingPage("paul", frozenset({"75000"})),
    )
    for page in (everywhere, here, elsewhere):
        scene.hub.add(page)
    scene.hub.alarm("fixe-1", AlarmReason.RECORDING_FAILED)
    scene.hub.alarm("unknown", AlarmReason.RECORDING_FAILED)
    assert alarms(everywhere) == [("fixe-1", "recording_failed"), ("unknown", "recording_failed")]
    assert alarms(here) == [("fixe-1", "recording_failed")]
    assert alarms(elsewhere) == []
    late = CollectingPage("petra", frozenset({"75000"}), "s-2")
    scene.hub.add(late)
    assert alarms(late) == []


async def test_a_page_that_connects_later_learns_of_the_alarms_it_missed_once(scene: Scene) -> None:
    scene.hub.alarm("pm-1", AlarmReason.RECORDING_FAILED)
    raised_ns = scene.clock.utc_ns()
    scene.clock.advance(60)
    page = CollectingPage("olga")
    scene.hub.add(page)
    assert alarms(page) == [("pm-1", "recording_failed")]
    assert page.messages[-1]["at_ns"] == raised_ns
    scene.clock.advance(UNSURE_SECONDS + 1)
    scene.hub.remove(page)
    again, other = CollectingPage("olga"), CollectingPage("carl", session="s-2")
    scene.hub.add(again)
    scene.hub.add(other)
    assert alarms(again) == []
    assert alarms(other) == [("pm-1", "recording_failed")]


async def test_an_alarm_sent_to_a_dying_socket_is_sent_again(scene: Scene) -> None:
    page = CollectingPage("olga")
    scene.hub.add(page)
    scene.hub.alarm("pm-1", AlarmReason.RECORDING_FAILED)
    scene.clock.advance(UNSURE_SECONDS - 1)
    scene.hub.remove(page)
    again = CollectingPage("olga")
    scene.hub.add(again)
    assert alarms(again) == [("pm-1", "recording_failed")]


async def test_kept_alarms_are_the_last_few_of_the_last_hour_of_cameras_that_are_enrolled(scene: Scene) -> None:
    scene.hub.alarm("pm-2", AlarmReason.RECORDING_MISSING)
    scene.clock.advance(KEPT_SECONDS)
    for number in range(PER_CAMERA + 3):
        scene.hub.alarm("pm-1", cast(AlarmReason, str(number)))
    page = CollectingPage("olga")
    scene.hub.add(page)
    assert alarms(page) == [("pm-1", str(number)) for number in range(3, PER_CAMERA + 3)]
    scene.cameras.known = (camera("pm-2"),)
    await scene.hub.refresh()
    other = CollectingPage("carl", session="s-2")
    scene.hub.add(other)
    assert alarms(other) == []


async def test_a_camera_that_is_revoked_is_gone_for_those_who_knew_of_it(scene: Scene) -> None:
    scene.cameras.known = (camera("fixe-1", "35000"),)
    await scene.hub.refresh()
    here, elsewhere = CollectingPage("pia", frozenset({"35000"})), CollectingPage("paul", frozenset({"75000"}))
    scene.hub.add(here)
    scene.hub.add(elsewhere)
    scene.cameras.known = ()
    await scene.hub.refresh()
    assert {"t": "gone", "camera": "fixe-1"} in here.messages
    assert {"t": "gone", "camera": "fixe-1"} not in elsewhere.messages
