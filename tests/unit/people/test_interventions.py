"""A picture needs an intervention joined with one's own motive."""

from typing import Any

import pytest

from relay.base.errors import Kind, TheirError
from tests.support.services import AUDITOR, COMMANDER, OPERATOR, House


async def _kind(awaitable: Any) -> Kind:
    with pytest.raises(TheirError) as refused:
        await awaitable
    return refused.value.kind


async def test_who_opens_has_joined_and_the_others_have_not(house: House) -> None:
    made = await house.interventions.open(OPERATOR, "Rixe rue Haute", "appel 17 pour rixe")
    assert await house.interventions.motive_of(OPERATOR, made.intervention) == "appel 17 pour rixe"
    assert await _kind(house.interventions.motive_of(COMMANDER, made.intervention)) is Kind.INCOMPLETE
    joined = await house.interventions.join(COMMANDER, made.intervention, "conduite des opérations")
    assert joined.motive == "conduite des opérations"
    assert [item.motive for item in await house.interventions.list_open(COMMANDER)] == ["conduite des opérations"]


@pytest.mark.parametrize("motive", [None, "", " \t", "ok", "Service", "a\x00bcd"])
async def test_no_motive_no_intervention_and_the_refusal_is_entered(house: House, motive: str | None) -> None:
    assert await _kind(house.interventions.open(OPERATOR, "Rixe", motive)) in {Kind.INCOMPLETE, Kind.INVALID}
    assert (await house.events())[-1] == "refus/open_intervention"
    assert await house.interventions.list_open(OPERATOR) == []


async def test_one_opened_by_a_bearer_is_joined_by_nobody_yet(house: House) -> None:
    made = await house.interventions.open_by_camera("cam-1", "Patrouille 1", "agent menacé")
    assert await _kind(house.interventions.motive_of(OPERATOR, made.intervention)) is Kind.INCOMPLETE
    assert [item.motive for item in await house.interventions.list_open(OPERATOR)] == [None]


async def test_a_closed_intervention_gives_no_more_pictures_and_notifies_its_listeners(house: House) -> None:
    notified: list[str] = []
    house.interventions.on_closed.append(notified.append)
    made = await house.interventions.open(OPERATOR, "Rixe", "appel 17")
    assert await _kind(house.interventions.close(COMMANDER, made.intervention)) is Kind.INCOMPLETE
    await house.interventions.close(OPERATOR, made.intervention)
    assert notified == [made.intervention]
    assert await _kind(house.interventions.motive_of(OPERATOR, made.intervention)) is Kind.INCOMPLETE
    assert await _kind(house.interventions.join(COMMANDER, made.intervention, "conduite")) is Kind.CONFLICT
    assert await house.interventions.list_open(OPERATOR) == []


async def test_a_refused_act_in_an_intervention_is_entered(house: House) -> None:
    made = await house.interventions.open(OPERATOR, "Rixe", "appel 17")
    assert await _kind(house.interventions.close(COMMANDER, made.intervention)) is Kind.INCOMPLETE
    assert (await house.events())[-1] == "refus/close_intervention"
    assert await _kind(house.interventions.join(COMMANDER, "0" * 32, "conduite")) is Kind.NOT_FOUND
    assert (await house.events())[-1] == "refus/join_intervention"


@pytest.mark.parametrize("label", ["\x00\x1b", "x" * 400, "\u202e" + "é" * 300])
async def test_no_label_of_a_camera_costs_its_press_the_intervention(house: House, label: str) -> None:
    made = await house.interventions.open_by_camera("cam-1", label, "agent menacé")
    assert made.label.isprintable()
    assert len(made.label.encode()) <= 200


async def test_one_whose_camera_is_just_connecting_is_not_closed_as_abandoned(house: House) -> None:
    made = await house.interventions.open_by_camera("cam-1", "Patrouille 1", "agent menacé")
    await house.interventions.close_abandoned(frozenset)
    assert len(await house.interventions.list_open(OPERATOR)) == 1
    house.clock.advance(60)
    asked: list[str] = []

    def busy() -> set[str]:
        asked.append("after the search")
        return {made.intervention}

    await house.interventions.close_abandoned(busy)
    assert asked == ["after the search"]
    assert len(await house.interventions.list_open(OPERATOR)) == 1
    await house.interventions.close_abandoned(frozenset)
    assert await house.interventions.list_open(OPERATOR) == []


async def test_an_auditor_opens_nothing(house: House) -> None:
    assert await _kind(house.interventions.open(AUDITOR, "Rixe", "curiosité")) is Kind.FORBIDDEN


@pytest.mark.parametrize("intervention", [None, "", "nothing"])
async def test_no_intervention_no_motive(house: House, intervention: str | None) -> None:
    assert await _kind(house.interventions.motive_of(OPERATOR, intervention)) is Kind.INCOMPLETE
