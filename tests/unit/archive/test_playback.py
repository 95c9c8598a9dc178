"""Playback: who may watch, under which entry, and which events end it."""

from unittest.mock import patch

import pytest

from relay.base.errors import Kind, TheirError
from relay.people.sign_ins import CONSOLE
from relay.policy.roles import Person
from tests.support.services import ADMINISTRATOR, AUDITOR, COMMANDER, OPERATOR, House


async def _refused(kind: Kind, awaitable: object) -> TheirError:
    with pytest.raises(TheirError) as refused:
        await awaitable  # type: ignore[misc]
    assert refused.value.kind is kind
    return refused.value


async def test_a_commander_plays_what_was_recorded_within_a_journalled_view(house: House) -> None:
    recording = await house.record()
    view = await house.playbacks.open(COMMANDER, recording, "procédure 12/2026")
    assert "consultation/playback opened" in await house.events()
    text = house.playbacks.playlist(COMMANDER, view.view)
    assert '#EXT-X-MAP:URI="0.init.mp4"' in text
    assert "#EXTINF:3.000,\n0.m4s" in text
    assert await house.playbacks.init(COMMANDER, view.view, 0) == b"init"
    pieces = [piece async for piece in await house.playbacks.media(COMMANDER, view.view, 0)]
    assert [len(piece) for piece in pieces] == [2_000] * 3
    await house.playbacks.close(COMMANDER, view.view)
    assert (await house.events())[-1] == "systeme/playback closed"
    assert await house.catalogue.views.list_open() == []


@pytest.mark.parametrize("person", [OPERATOR, AUDITOR, ADMINISTRATOR])
async def test_only_commanders_play_recordings_and_the_refusal_is_entered(house: House, person: Person) -> None:
    recording = await house.record()
    await _refused(Kind.FORBIDDEN, house.playbacks.open(person, recording, "curiosité"))
    assert (await house.events())[-1] == "refus/play_recording"


@pytest.mark.parametrize("motive", [None, "", "  ", "x", "test"])
async def test_without_a_motive_there_is_no_picture(house: House, motive: str | None) -> None:
    recording = await house.record()
    await _refused(Kind.INCOMPLETE, house.playbacks.open(COMMANDER, recording, motive))
    assert (await house.events())[-1] == "refus/play_recording"


async def test_a_view_is_nobody_elses(house: House) -> None:
    view = await house.playbacks.open(COMMANDER, await house.record(), "procédure 12")
    other = Person("cora", "Cora", COMMANDER.role, COMMANDER.service)
    with pytest.raises(TheirError):
        house.playbacks.playlist(other, view.view)


async def test_a_view_that_ends_serves_not_one_fragment_more(house: House) -> None:
    view = await house.playbacks.open(COMMANDER, await house.record(), "procédure 12")
    served = []
    async for piece in await house.playbacks.media(COMMANDER, view.view, 0):
        served.append(piece)
        await house.playbacks.end_of_person("carl", "signed out")
    assert len(served) == 1


async def test_the_key_of_a_playback_is_forgotten_with_the_recording(house: House) -> None:
    view = await house.playbacks.open(COMMANDER, await house.record(), "procédure 12")
    assert [piece async for piece in await house.playbacks.media(COMMANDER, view.view, 0)]
    assert house.keyring.keys_in_memory == 1
    house.clock.advance(40 * 86_400)
    await house.retention.sweep()
    assert house.keyring.keys_in_memory == 0


async def test_an_idle_view_closes_itself(house: House) -> None:
    view = await house.playbacks.open(COMMANDER, await house.record(), "procédure 12")
    house.clock.advance(599)
    await house.playbacks.tick()
    house.playbacks.playlist(COMMANDER, view.view)
    house.clock.advance(601)
    await house.playbacks.tick()
    await _refused(Kind.NOT_FOUND, house.playbacks.close(COMMANDER, view.view))


@pytest.mark.parametrize("step", [3600, -3600])
async def test_a_step_of_the_wall_clock_makes_no_playback_idle_and_keeps_none_open(house: House, step: float) -> None:
    view = await house.playbacks.open(COMMANDER, await house.record(), "procédure 12")
    house.clock.step_utc(step)
    house.clock.advance(599)
    await house.playbacks.tick()
    assert view.view in house.playbacks.open_views()
    house.clock.advance(2)
    await house.playbacks.tick()
    assert house.playbacks.open_views() == frozenset()


async def test_a_recording_in_progress_is_not_played(house: House) -> None:
    await house.enrolment.enrol(CONSOLE, "cam-1", "Un", "bodycam_pm")
    its = await house.interventions.open_by_camera("cam-1", "Rixe", "appel")
    camera = await house.enrolment.camera("cam-1")
    plan, _ = await house.recordings.begin(camera, its.intervention, trigger="bouton", threat="agents")
    refusal = await _refused(Kind.CONFLICT, house.playbacks.open(COMMANDER, plan.recording, "procédure 12"))
    assert "ACC-03" in refusal.detail


async def test_the_end_of_a_playback_says_which_segments_were_served(house: House) -> None:
    recording = await house.record()
    for served in ("", "0"):
        view = await house.playbacks.open(COMMANDER, recording, "procédure 12/2026")
        if served:
            assert [piece async for piece in await house.playbacks.media(COMMANDER, view.view, 0)]
        with patch.object(house.journal, "append", wraps=house.journal.append) as entered:
            await house.playbacks.close(COMMANDER, view.view)
        assert entered.call_args.args[0].details["segments"] == served


async def test_a_playback_open_as_control_died_is_closed_at_the_next_start(house: House) -> None:
    recording = await house.record()
    await house.fresh_playbacks().open(COMMANDER, recording, "procédure 12/2026")  # of a control that died since
    await house.playbacks.close_left_open()
    assert (await house.events())[-1] == "systeme/playback closed"
    assert await house.catalogue.views.list_open() == []
    await house.playbacks.close_left_open()
    assert (await house.events()).count("systeme/playback closed") == 1
