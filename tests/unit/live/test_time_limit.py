"""LIV-07: a transmission ends after its longest time, is announced before, and goes on where somebody says why it must."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relay.base.clock import SECOND_NS, ManualClock
from relay.base.errors import Kind, OurError, TheirError
from relay.channel.messages import PeerCloseReason
from relay.live.capture import Circumstances
from relay.live.ice_restart import IceGeneration
from relay.live.publish_sessions import Listeners, PublishSession
from relay.live.streams import Streams
from relay.live.time_limit import WARNS_BEFORE_SECONDS, TimeLimit
from relay.people.authorize import Authorizer
from relay.policy.roles import Person
from relay.protocol.page import AlarmReason
from relay.store.accounts import Camera
from tests.support.services import ADMINISTRATOR, AUDITOR, COMMANDER, OPERATOR, SERVICE, House

CAMERA = Camera("pm-1", "PM 1", "bodycam_pm", SERVICE, "", "relay", False, 0, None)
SECONDS = 7200.0


class Sessions:
    """One camera that is live."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        why = Circumstances("intervention", "press", "agents", None)
        self.lives = {"pm-1": PublishSession(CAMERA, "secret", 0, "recording", why, clock.monotonic(), IceGeneration("etag"))}
        self.stopped: list[tuple[str, str]] = []
        self.alarms: list[AlarmReason] = []
        self.on = Listeners()
        self.on.alarm.append(lambda camera, reason: self.alarms.append(reason))

    def live(self, camera: str) -> PublishSession | None:
        return self.lives.get(camera)

    def all(self) -> tuple[PublishSession, ...]:
        return tuple(self.lives.values())

    def confirm(self, live: PublishSession) -> None:
        live.confirm(self.clock.monotonic())

    async def stop(self, camera: str, reason: PeerCloseReason, why: str, author: str | None) -> None:
        self.stopped.append((camera, reason.sentence))
        del self.lives[camera]


class Scene:
    """The rule, over a real journal."""

    def __init__(self, house: House) -> None:
        self.house, self.clock = house, house.clock
        self.sessions = Sessions(house.clock)
        authorizer = Authorizer(house.journal, house.clock)
        self.time_limit = TimeLimit(cast(Streams, self.sessions), authorizer, house.journal, house.clock, SECONDS)

    async def refusal(self, person: Person, motive: str | None = "menace persistante", camera: Camera = CAMERA) -> Kind:
        with pytest.raises(TheirError) as refused:
            await self.time_limit.confirm(person, camera, motive)
        return refused.value.kind


@pytest.fixture
def scene(house: House) -> Scene:
    return Scene(house)


def test_pages_are_notified_before_a_transmission_ends(scene: Scene) -> None:
    live = scene.sessions.lives["pm-1"]
    assert scene.time_limit.ends_ns(live) == scene.clock.utc_ns() + 7200 * SECOND_NS
    scene.clock.advance(100)
    assert scene.time_limit.ends_ns(live) == scene.clock.utc_ns() + 7100 * SECOND_NS
    assert scene.time_limit.ends_ns(None) is None


async def test_a_transmission_is_announced_ten_minutes_before_its_end_and_then_ends(scene: Scene) -> None:
    scene.clock.advance(SECONDS - WARNS_BEFORE_SECONDS - 1)
    await scene.time_limit.tick()
    assert scene.sessions.alarms == []
    scene.clock.advance(1)
    await scene.time_limit.tick()
    await scene.time_limit.tick()
    assert scene.sessions.alarms == [AlarmReason.ENDS_SOON]
    assert scene.sessions.stopped == []
    scene.clock.advance(WARNS_BEFORE_SECONDS + 1)
    await scene.time_limit.tick()
    assert scene.sessions.stopped == [("pm-1", "the transmission reached its longest time")]


@pytest.mark.parametrize("person", [OPERATOR, COMMANDER])
async def test_a_transmission_confirmed_with_a_motive_goes_on_and_the_journal_says_so(scene: Scene, person: Person) -> None:
    scene.clock.advance(SECONDS - 1)
    await scene.time_limit.tick()
    await scene.time_limit.confirm(person, CAMERA, "menace persistante")
    scene.clock.advance(SECONDS - WARNS_BEFORE_SECONDS - 1)
    await scene.time_limit.tick()
    assert scene.sessions.stopped == []
    assert len(scene.sessions.alarms) == 1
    entry = (await scene.house.journal.read(limit=1000))[-1].body
    assert entry is not None
    assert (entry["author"], entry["motive"]) == (person.user, "menace persistante")
    assert cast(dict[str, Any], entry["details"])["event"] == "transmission confirmed"
    scene.clock.advance(1)
    await scene.time_limit.tick()
    assert len(scene.sessions.alarms) == 2, "announced again"


@pytest.mark.parametrize("person", [ADMINISTRATOR, AUDITOR, replace(OPERATOR, service="another")])
async def test_who_may_not_see_it_confirms_nothing_and_the_refusal_is_entered(scene: Scene, person: Person) -> None:
    assert await scene.refusal(person) is Kind.FORBIDDEN
    assert (await scene.house.events())[-1] == "refus/confirm_stream"


async def test_a_fixed_camera_is_confirmed_within_ones_communes_only(scene: Scene) -> None:
    fixed = replace(CAMERA, regime="videoprotection", commune="35000")
    assert await scene.refusal(replace(OPERATOR, communes=frozenset({"75000"})), camera=fixed) is Kind.FORBIDDEN


@pytest.mark.parametrize("motive", [None, "", "ok"])
async def test_without_a_motive_nothing_is_confirmed(scene: Scene, motive: str | None) -> None:
    confirmed = scene.sessions.lives["pm-1"].confirmed
    scene.clock.advance(5)
    assert await scene.refusal(OPERATOR, motive) is Kind.INCOMPLETE
    assert scene.sessions.lives["pm-1"].confirmed == confirmed
    assert (await scene.house.events())[-1] == "refus/confirm_stream"


async def test_what_is_not_live_cannot_be_confirmed(scene: Scene) -> None:
    assert await scene.refusal(OPERATOR, camera=replace(CAMERA, camera="pm-2")) is Kind.CONFLICT


async def test_without_a_journal_nothing_is_confirmed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_: object, **__: object) -> None:
        raise OurError("journal: read-only file system")

    monkeypatch.setattr(scene.house.journal, "append", refuse)
    confirmed = scene.sessions.lives["pm-1"].confirmed
    scene.clock.advance(5)
    with pytest.raises(OurError):
        await scene.time_limit.confirm(OPERATOR, CAMERA, "menace persistante")
    assert scene.sessions.lives["pm-1"].confirmed == confirmed


def test_a_short_longest_time_is_announced_at_its_half(house: House) -> None:
    sessions = Sessions(house.clock)
    short = TimeLimit(cast(Streams, sessions), cast(Authorizer, SimpleNamespace()), house.journal, house.clock, 60.0)
    assert short.warns_before == 30.0
