"""The bearer's button and the messages of a camera: none of them waits for the disk."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from relay.base.codes import Code
from relay.base.errors import Kind, OurError, TheirError
from relay.live.camera_intents import CameraIntents
from relay.live.camera_sockets import CameraSockets, Unit
from relay.people.interventions import Interventions
from relay.protocol import camera as messages
from relay.runtime.deadlines import NO_DEADLINE, Deadline
from relay.store.accounts import Camera
from relay.store.catalogue import Intervention
from tests.support.live_messages import as_bytes, as_map
from tests.support.services import AUDITOR, COMMANDER, OPERATOR, SERVICE, House


class Obstructed(Interventions):
    """Interventions whose journal refuses or hangs on demand."""

    refuses = False
    held: asyncio.Event | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.waiting = asyncio.Event()

    async def open_by_camera(self, camera: str, label: str, reason: str, *, deadline: Deadline = NO_DEADLINE) -> Intervention:
        if self.held is not None:
            self.waiting.set()
            await self.held.wait()
        if self.refuses:
            raise OurError("database: disk I/O error")
        return await super().open_by_camera(camera, label, reason, deadline=deadline)


@dataclass
class Scene:
    """The live sockets of one camera or more, and every message to them and to the pages."""

    cameras: CameraSockets
    interventions: Obstructed
    house: House
    changed: list[str] = field(default_factory=list)
    received: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def connect(self, camera: str) -> Unit:
        heard = self.received.setdefault(camera, [])
        made = Camera(camera, camera.upper(), "bodycam_pm", SERVICE, "", "relay", False, 0, None)
        self.cameras.connect(made, lambda message: heard.append(as_map(message)), lambda: None)
        self.changed.clear()
        heard.clear()
        return self.unit(camera)

    def unit(self, camera: str) -> Unit:
        unit = self.cameras.unit(camera)
        assert unit is not None
        return unit

    async def settled(self) -> None:
        """Wait for what goes on beside the messages."""
        await asyncio.gather(*self.cameras.intents.under_way(), return_exceptions=True)


@pytest.fixture
async def scene(house: House) -> AsyncIterator[Scene]:
    interventions = Obstructed(house.catalogue, house.journal, house.authorizer, house.clock)
    intents = CameraIntents(interventions, house.catalogue, house.clock, house.counters)
    made = CameraSockets(intents, interventions, house.authorizer, house.clock, house.counters)
    found = Scene(made, interventions, house)
    made.on_change.append(found.changed.append)
    yield found
    await intents.shut()


async def test_a_press_is_notified_and_answered_before_anything_is_written(scene: Scene) -> None:
    unit = scene.connect("pm-1")
    scene.interventions.held = asyncio.Event()
    scene.cameras.receive("pm-1", as_bytes({"t": "press", "threat": "agents", "reason": "arme"}))
    assert unit.pressed
    assert scene.changed == ["pm-1"]
    assert scene.received["pm-1"] == [{"t": "pressed"}]
    scene.interventions.held.set()
    await scene.settled()
    (opened,) = await scene.house.catalogue.interventions.list_open()
    assert unit.intent is not None
    assert unit.intent.intervention == opened.intervention


async def test_a_press_that_the_disk_refuses_stands_and_is_entered_as_soon_as_the_disk_takes_it(scene: Scene) -> None:
    unit = scene.connect("pm-1")
    scene.interventions.refuses = True
    scene.cameras.receive("pm-1", as_bytes({"t": "press", "threat": "biens"}))
    await scene.settled()
    scene.cameras.tick()
    await scene.settled()
    assert unit.pressed
    assert await scene.house.catalogue.interventions.list_open() == []
    assert scene.house.counters.values["camera_presses_unentered"] == 2
    scene.interventions.refuses = False
    scene.cameras.tick()
    await scene.settled()
    assert unit.intent is not None
    assert unit.intent.intervention is not None
    assert unit.intent.threat == "biens"
    assert len(await scene.house.catalogue.interventions.list_open()) == 1


async def test_a_hanging_disk_holds_up_no_other_camera_and_no_release(scene: Scene) -> None:
    first, second = scene.connect("pm-1"), scene.connect("pm-2")
    scene.interventions.held = asyncio.Event()
    scene.cameras.receive("pm-1", as_bytes({"t": "press"}))
    scene.cameras.receive("pm-2", as_bytes({"t": "press"}))
    assert first.pressed
    assert second.pressed
    scene.cameras.receive("pm-1", as_bytes({"t": "release"}))
    assert not scene.unit("pm-1").pressed
    scene.interventions.held.set()
    await scene.settled()
    assert first.intent is None
    assert second.intent is not None
    assert second.intent.intervention is not None
    assert len(await scene.house.catalogue.interventions.list_open()) == 1


async def test_a_publication_waits_for_another_cameras_hanging_press_no_longer_than_its_deadline(scene: Scene) -> None:
    scene.connect("pm-1")
    scene.interventions.held = asyncio.Event()
    scene.cameras.receive("pm-1", as_bytes({"t": "press"}))
    other = Camera("pm-2", "PM 2", "bodycam_pm", "service", "", "relay", False, 0, None)
    async with asyncio.timeout(10):
        await scene.interventions.waiting.wait()
        with pytest.raises(OurError) as refused:
            await scene.cameras.take_intent(other, Deadline(0.05))
    assert refused.value.code is Code.DISK_NOT_ANSWERING
    scene.interventions.held.set()
    await scene.settled()


@pytest.mark.parametrize(
    ("message", "threat", "trigger"),
    [
        ({"reason": "é" * 900}, "agents", "é" * 100),
        ({"reason": "arme\x00\u202e blanche"}, "agents", "arme blanche"),
        ({"reason": "  "}, "agents", "button pressed"),
        ({"reason": 7, "threat": "robots"}, "agents", "7"),
        ({"threat": ["biens"]}, "agents", "button pressed"),
        ({"threat": "personnes"}, "personnes", "button pressed"),
    ],
)
async def test_no_press_is_refused_for_its_words(scene: Scene, message: dict[str, object], threat: str, trigger: str) -> None:
    unit = scene.connect("pm-1")
    scene.cameras.receive("pm-1", as_bytes({"t": "press", **message}))
    await scene.settled()
    assert unit.pressed
    assert unit.intent is not None
    assert (unit.intent.threat, unit.intent.trigger) == (threat, trigger)
    assert len(await scene.house.catalogue.interventions.list_open()) == 1


async def test_a_press_that_stands_keeps_its_cause_however_long_the_camera_cannot_publish(scene: Scene) -> None:
    unit = scene.connect("pm-1")
    scene.cameras.receive("pm-1", as_bytes({"t": "press", "threat": "biens", "reason": "vitrine"}))
    await scene.settled()
    scene.house.clock.advance(600)
    intent = await scene.cameras.take_intent(unit.camera, NO_DEADLINE)
    assert (intent.trigger, intent.threat) == ("vitrine", "biens")


async def test_a_press_whose_words_are_nested_deeply_is_a_press(scene: Scene) -> None:
    unit = scene.connect("pm-1")
    scene.cameras.receive("pm-1", b"\x82\xa1t\xa5press\xa6reason" + b"\x91" * 1020 + b"\xc0")
    assert unit.pressed
    assert unit.intent is not None
    assert unit.intent.trigger == "button pressed"
    await scene.settled()


async def test_a_flood_of_presses_and_releases_is_the_last_state_at_a_bounded_rate(scene: Scene) -> None:
    unit = scene.connect("pm-1")
    pressed: list[str] = []
    scene.cameras.on_press.append(pressed.append)
    for _ in range(200):
        scene.cameras.receive("pm-1", as_bytes({"t": "release"}))
        scene.cameras.receive("pm-1", as_bytes({"t": "press", "reason": "flood"}))
    assert len(pressed) <= 8
    pressed.clear()
    scene.house.clock.advance(1)
    scene.cameras.tick()
    assert unit.pressed
    assert pressed == ["pm-1"]
    await scene.settled()
    assert len(await scene.house.catalogue.interventions.list_open()) == 1
    assert scene.house.counters.values["camera_acts_delayed"] > 300


async def test_a_socket_that_is_to_be_closed_for_its_flood_loses_no_press(scene: Scene) -> None:
    unit = scene.connect("pm-1")
    for _ in range(500):
        scene.cameras.receive("pm-1", as_bytes({"t": "beat", "battery": 50.0}))
    assert scene.house.counters.values["camera_messages_dropped"] == 490
    with pytest.raises(TheirError) as refused:
        scene.cameras.receive("pm-1", as_bytes({"t": "press"}))
    assert refused.value.code is Code.TOO_MANY_MESSAGES
    assert unit.pressed
    await scene.settled()


async def test_a_press_that_waits_for_its_turn_is_the_reason_of_the_publication(scene: Scene) -> None:
    unit = scene.connect("pm-1")
    for number in range(20):
        scene.cameras.receive("pm-1", as_bytes({"t": "press", "reason": f"reason {number}"}))
    intent = await scene.cameras.take_intent(unit.camera, NO_DEADLINE)
    assert intent.trigger == "reason 19"
    await scene.settled()


async def test_a_press_repeated_after_a_cut_keeps_its_age(scene: Scene) -> None:
    unit = scene.connect("pm-1")
    scene.cameras.receive("pm-1", as_bytes({"t": "press"}))
    since = unit.pressed_at
    scene.house.clock.advance(5)
    scene.cameras.receive("pm-1", as_bytes({"t": "press"}))
    assert unit.pressed_at == since


async def test_a_request_answered_after_a_cut_of_the_socket_is_answered(scene: Scene) -> None:
    made = await scene.interventions.open(OPERATOR, "Rixe", "appel 17")
    unit = scene.connect("pm-1")
    request = await scene.cameras.request(OPERATOR, unit.camera, made.intervention, "agents", "renfort")
    assert unit.send is not None
    scene.cameras.disconnect("pm-1", unit.send)
    scene.connect("pm-1")
    scene.cameras.receive("pm-1", as_bytes({"t": "accept", "request": request}))
    assert unit.intent is not None
    assert unit.intent.intervention == made.intervention
    assert scene.changed == ["pm-1"]


async def test_a_camera_is_asked_by_a_person_of_its_scope_who_has_joined_only(scene: Scene) -> None:
    made = await scene.interventions.open(OPERATOR, "Rixe", "appel 17")
    unit = scene.connect("pm-1")
    fixed = replace(unit.camera, regime="videoprotection", commune="35000")
    elsewhere = replace(OPERATOR, communes=frozenset({"75000"}))
    asked = (
        (COMMANDER, unit.camera, made.intervention, Code.INTERVENTION_NOT_JOINED),
        (AUDITOR, unit.camera, made.intervention, Code.ROLE_NOT_ALLOWED),
        (elsewhere, fixed, made.intervention, Code.OUTSIDE_COMMUNES),
        (OPERATOR, replace(unit.camera, service="Gendarmerie"), made.intervention, Code.OTHER_SERVICE),
        (OPERATOR, unit.camera, "0" * 32, Code.INTERVENTION_NOT_FOUND),
    )
    for person, camera, intervention, code in asked:
        with pytest.raises(TheirError) as refused:
            await scene.cameras.request(person, camera, intervention, "agents", "renfort")
        assert refused.value.code is code
        assert (await scene.house.events())[-1] == "refus/request_stream"
    assert scene.received["pm-1"] == []


async def test_an_answer_to_no_request_is_refused_and_counted_nowhere_as_a_press(scene: Scene) -> None:
    scene.connect("pm-1")
    with pytest.raises(TheirError) as refused:
        scene.cameras.receive("pm-1", as_bytes({"t": "accept", "request": "nothing"}))
    assert refused.value.kind is Kind.INVALID
    assert not scene.unit("pm-1").pressed


async def test_what_a_camera_says_against_the_contract_is_counted(scene: Scene) -> None:
    scene.connect("pm-1")
    wrong: tuple[dict[str, object], ...] = (
        {"t": "sing"},
        {"t": "beat", "battery": "full"},
        {"t": "beat", "battery": -1.0},
        {"t": "beat", "lat": 48.0, "lon": 2.0, "accuracy_m": -5.0},
        {"t": "beat", "lat": math.nan, "lon": 2.0},
        {"t": "accept", "request": "x" * 129},
        {"t": "time", "echo": "x" * 129},
        {"t": "time", "utc_ns": 5},
    )
    for message in wrong:
        with pytest.raises(TheirError):
            scene.cameras.receive("pm-1", as_bytes(message))
    assert scene.house.counters.values["camera_messages_refused"] == len(wrong)


@pytest.mark.parametrize("utc_ns", [math.inf, math.nan, 1e300, -1])
async def test_a_clock_that_cannot_be_costs_no_camera_its_state(scene: Scene, utc_ns: float) -> None:
    asked: list[messages.ToCamera] = []
    camera = scene.connect("pm-1").camera
    scene.cameras.connect(camera, asked.append, lambda: None)
    question = asked[-1]
    assert isinstance(question, messages.ServerTime)
    with pytest.raises(TheirError):
        scene.cameras.receive("pm-1", as_bytes({"t": "time", "echo": question.server_ns, "utc_ns": utc_ns}))
    assert scene.cameras.offset("pm-1") is None


async def test_a_second_socket_of_a_camera_closes_the_first(scene: Scene) -> None:
    closed: list[str] = []
    camera = scene.connect("pm-1").camera
    scene.cameras.connect(camera, lambda message: None, lambda: closed.append("first"))
    scene.cameras.connect(camera, lambda message: None, lambda: closed.append("second"))
    assert closed == ["first"]
