"""Only enrolled cameras exist; a revoked one stops."""

from dataclasses import replace
from typing import Any

import pytest

from relay.base.errors import Kind, TheirError
from relay.people.sign_ins import CONSOLE
from relay.policy.roles import Person, Role
from tests.support.services import ADMINISTRATOR, OPERATOR, SERVICE, House


async def _kind(awaitable: Any) -> Kind:
    with pytest.raises(TheirError) as refused:
        await awaitable
    return refused.value.kind


async def test_a_token_is_recognised_for_its_own_camera_only_and_not_stored(house: House) -> None:
    token = await house.enrolment.enrol(CONSOLE, "cam-1", "Un", "bodycam_pm")
    other = await house.enrolment.enrol(CONSOLE, "cam-2", "Deux", "bodycam_pm")
    assert (await house.enrolment.recognise(token, "cam-1")).camera == "cam-1"
    assert await _kind(house.enrolment.recognise(other, "cam-1")) is Kind.FORBIDDEN
    assert (await house.events())[-1] == "refus/publish"
    assert await _kind(house.enrolment.recognise("nonsense", "cam-1")) is Kind.UNAUTHENTICATED
    assert all(token.encode() not in path.read_bytes() for path in house.root.rglob("*") if path.is_file())


async def test_live_sound_is_off_unless_asked_for_and_never_where_the_law_has_none(house: House) -> None:
    await house.enrolment.enrol(CONSOLE, "cam-1", "Un", "bodycam_pn_gn")
    assert not (await house.enrolment.camera("cam-1")).live_audio
    assert (await house.enrolment.change(CONSOLE, "cam-1", live_audio=True)).live_audio
    await house.enrolment.enrol(CONSOLE, "cam-2", "Deux", "videoprotection")
    assert await _kind(house.enrolment.change(CONSOLE, "cam-2", live_audio=True)) is Kind.INVALID
    assert await _kind(house.enrolment.enrol(CONSOLE, "cam-3", "Trois", "videoprotection", live_audio=True)) is Kind.INVALID


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"regime": "cctv"}, Kind.INVALID),
        ({"original": "cloud"}, Kind.INVALID),
        ({"camera": "Cam 1"}, Kind.INVALID),
        ({"label": " "}, Kind.INCOMPLETE),
        ({"commune": "75000"}, Kind.FORBIDDEN),
        ({"actor": OPERATOR}, Kind.FORBIDDEN),
    ],
)
async def test_what_is_not_a_lawful_camera_is_not_enrolled(house: House, changes: dict[str, Any], kind: Kind) -> None:
    wanted = {"actor": CONSOLE, "camera": "cam-1", "label": "Un", "regime": "bodycam_pm", **changes}
    assert await _kind(house.enrolment.enrol(**wanted)) is kind
    assert await house.accounts.list_cameras() == []


async def test_the_prefects_number_of_cameras_is_kept_and_a_revoked_one_makes_room(house: House) -> None:
    for number in range(3):
        await house.enrolment.enrol(CONSOLE, f"cam-{number}", "Une", "bodycam_pm")
    with pytest.raises(TheirError, match="REC-03"):
        await house.enrolment.enrol(CONSOLE, "cam-9", "Neuf", "bodycam_pm")
    await house.enrolment.revoke(CONSOLE, "cam-0")
    await house.enrolment.enrol(CONSOLE, "cam-9", "Neuf", "bodycam_pm")


async def test_a_revoked_camera_is_notified_at_once_and_never_recognised_again(house: House) -> None:
    notified: list[str] = []
    house.enrolment.on_revoked.append(notified.append)
    token = await house.enrolment.enrol(CONSOLE, "cam-1", "Un", "bodycam_pm")
    await house.enrolment.revoke(CONSOLE, "cam-1")
    assert notified == ["cam-1"]
    assert await _kind(house.enrolment.recognise(token, "cam-1")) is Kind.UNAUTHENTICATED
    assert await _kind(house.enrolment.reissue(CONSOLE, "cam-1")) is Kind.GONE


async def test_a_reissued_token_replaces_the_old_one(house: House) -> None:
    old = await house.enrolment.enrol(CONSOLE, "cam-1", "Un", "bodycam_pm")
    new = await house.enrolment.reissue(CONSOLE, "cam-1")
    assert await _kind(house.enrolment.recognise(old, "cam-1")) is Kind.UNAUTHENTICATED
    assert (await house.enrolment.recognise(new, "cam-1")).camera == "cam-1"


async def test_an_administrator_manages_the_cameras_in_scope_only(house: House) -> None:
    await house.enrolment.enrol(CONSOLE, "fixed", "Place", "videoprotection", commune="35000")
    elsewhere = replace(ADMINISTRATOR, communes=frozenset({"75000"}))
    abroad = replace(ADMINISTRATOR, service="Gendarmerie")
    for actor in (elsewhere, abroad):
        for refused in (
            house.enrolment.enrol(actor, "fixed-2", "Gare", "videoprotection", commune="35000"),
            house.enrolment.change(actor, "fixed", label="Autre"),
            house.enrolment.reissue(actor, "fixed"),
            house.enrolment.revoke(actor, "fixed"),
        ):
            assert await _kind(refused) is Kind.FORBIDDEN
            assert (await house.events())[-1] == "refus/manage_cameras"
    assert (await house.enrolment.camera("fixed")).label == "Place"


async def test_people_see_the_fixed_cameras_of_their_communes_only(house: House) -> None:
    await house.enrolment.enrol(CONSOLE, "fixed", "Place", "videoprotection", commune="35000")
    await house.enrolment.enrol(CONSOLE, "worn", "Un", "bodycam_pm")
    elsewhere = Person("eve", "Eve", Role.OPERATOR, SERVICE, frozenset({"75000"}))
    assert [camera.camera for camera in await house.enrolment.list(elsewhere)] == ["worn"]
    assert [camera.camera for camera in await house.enrolment.list(OPERATOR)] == ["fixed", "worn"]
    await house.enrolment.revoke(CONSOLE, "worn")
    assert len(await house.enrolment.list(ADMINISTRATOR)) == 2
