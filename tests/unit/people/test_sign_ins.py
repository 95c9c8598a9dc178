"""Who may sign in, how long a sign-in lasts, and which changes end it."""

from typing import Any

import pytest

from relay.base.errors import Kind, TheirError
from relay.people.sign_ins import CONSOLE, SignIns
from relay.policy.roles import Role
from tests.support.services import OPERATOR, House

PASSWORD = "correct horse battery"


async def _add(house: House, user: str = "olga", role: str = "operator", **more: Any) -> None:
    await house.designations.add(CONSOLE, user, "Olga Op", role, password=PASSWORD, must_change=False, **more)


async def _kind(awaitable: Any) -> Kind:
    with pytest.raises(TheirError) as refused:
        await awaitable
    return refused.value.kind


async def test_a_session_lasts_one_shift_and_carries_the_person(house: House) -> None:
    await _add(house, communes=frozenset({"35000"}))
    token, signed_in = await house.sign_ins.sign_in("olga", PASSWORD, "10.0.0.1")
    found = await house.sign_ins.who(token)
    assert found == signed_in
    assert (found.person.role, found.person.communes) == (Role.OPERATOR, frozenset({"35000"}))
    house.clock.advance(12 * 3600)
    assert await _kind(house.sign_ins.who(token)) is Kind.UNAUTHENTICATED


async def test_neither_token_nor_password_rests_in_clear_on_disk(house: House) -> None:
    await _add(house)
    token, _ = await house.sign_ins.sign_in("olga", PASSWORD, "10.0.0.1")
    for path in house.root.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert token.encode() not in data
            assert PASSWORD.encode() not in data


@pytest.mark.parametrize(("user", "password"), [("olga", "wrong"), ("nobody", PASSWORD), ("", ""), ("../x", PASSWORD)])
async def test_every_wrong_sign_in_gets_the_same_answer(house: House, user: str, password: str) -> None:
    await _add(house)
    with pytest.raises(TheirError, match="^wrong name or password$") as refused:
        await house.sign_ins.sign_in(user, password, "10.0.0.1")
    assert refused.value.kind is Kind.UNAUTHENTICATED


async def test_a_wrong_password_is_entered_by_name_and_an_unknown_name_only_counted(house: House) -> None:
    await _add(house)
    await _kind(house.sign_ins.sign_in("olga", "wrong", "10.0.0.1"))
    assert (await house.events())[-1] == "refus/sign_in"
    await _kind(house.sign_ins.sign_in("nobody", "wrong", "10.0.0.1"))
    assert (await house.events())[-1] == "refus/sign_in"
    house.clock.advance(60)
    await house.journal.flush_refusals()
    assert (await house.events())[-1] == "refus/sign-in"


async def test_failures_lock_the_name_for_a_while_even_for_the_right_password(house: House) -> None:
    await _add(house)
    for number in range(5):
        assert await _kind(house.sign_ins.sign_in("olga", "wrong", f"10.0.0.{number}")) is Kind.UNAUTHENTICATED
    with pytest.raises(TheirError) as locked:
        await house.sign_ins.sign_in("olga", PASSWORD, "10.0.1.1")
    assert (locked.value.kind, locked.value.retry_after) == (Kind.TOO_MANY, 2.0)
    house.clock.advance(2)
    await house.sign_ins.sign_in("olga", PASSWORD, "10.0.1.1")


async def test_failures_lock_a_source_that_tries_many_names(house: House) -> None:
    await _add(house)
    for number in range(20):
        assert await _kind(house.sign_ins.sign_in(f"user{number}", "wrong", "10.0.0.9")) is Kind.UNAUTHENTICATED
    assert await _kind(house.sign_ins.sign_in("olga", PASSWORD, "10.0.0.9")) is Kind.TOO_MANY
    await house.sign_ins.sign_in("olga", PASSWORD, "10.0.0.8")


async def test_a_typo_a_shift_by_different_people_behind_one_address_locks_nobody(house: House) -> None:
    await _add(house)
    for shift in range(30):
        house.clock.advance(8 * 3600)
        await _kind(house.sign_ins.sign_in(f"user{shift % 7}", "wrong", "10.0.0.5"))
        await house.sign_ins.sign_in("olga", PASSWORD, "10.0.0.5")


async def test_one_persons_failures_count_once_for_the_source(house: House) -> None:
    await _add(house)
    for _ in range(25):
        house.clock.advance(900)
        await _kind(house.sign_ins.sign_in("paul", "wrong", "10.0.0.5"))
    await house.sign_ins.sign_in("olga", PASSWORD, "10.0.0.5")


async def test_a_one_time_password_opens_nothing_but_its_own_change(house: House) -> None:
    one_time = await house.designations.add(CONSOLE, "olga", "Olga", "administrator")
    token, signed_in = await house.sign_ins.sign_in("olga", one_time, "10.0.0.1")
    assert await _kind(house.designations.list_all(signed_in.person)) is Kind.FORBIDDEN
    assert await _kind(house.sign_ins.change_password(token, one_time, one_time)) is Kind.INVALID
    assert await _kind(house.sign_ins.change_password(token, "wrong", PASSWORD)) is Kind.UNAUTHENTICATED
    other, _ = await house.sign_ins.sign_in("olga", one_time, "10.0.0.2")
    notified: list[str] = []
    house.sign_ins.on_signed_out.append(notified.append)
    await house.sign_ins.change_password(token, one_time, PASSWORD)
    assert notified == ["olga"]
    assert await _kind(house.sign_ins.who(other)) is Kind.UNAUTHENTICATED
    person = (await house.sign_ins.who(token)).person
    assert [account.person.user for account in await house.designations.list_all(person)] == ["olga"]


@pytest.mark.parametrize("ends", ["sign_out", "forced", "removed", "disabled", "demoted", "reset", "expired"])
async def test_every_way_a_session_ends(house: House, ends: str) -> None:
    notified: list[str] = []
    house.sign_ins.on_signed_out.append(notified.append)
    await _add(house, valid_to_ns=house.clock.utc_ns() + 10**12 if ends == "expired" else None)
    token, _ = await house.sign_ins.sign_in("olga", PASSWORD, "10.0.0.1")
    await _end(house, ends, token)
    if ends == "expired":
        house.clock.advance(1001)
    assert await _kind(house.sign_ins.who(token)) is Kind.UNAUTHENTICATED
    assert notified == ([] if ends in {"sign_out", "expired"} else ["olga"])


async def _end(house: House, ends: str, token: str) -> None:
    if ends == "sign_out":
        await house.sign_ins.sign_out(token)
    elif ends == "forced":
        assert await house.designations.sign_out(CONSOLE, "olga") == 1
    elif ends == "removed":
        await house.designations.remove(CONSOLE, "olga")
    elif ends == "disabled":
        await house.designations.update(CONSOLE, "olga", disabled=True)
    elif ends == "demoted":
        await house.designations.update(CONSOLE, "olga", role="auditor")
    elif ends == "reset":
        await house.designations.reset_password(CONSOLE, "olga")


async def test_csrf_tokens_belong_to_one_session(house: House) -> None:
    await _add(house)
    _, first = await house.sign_ins.sign_in("olga", PASSWORD, "10.0.0.1")
    _, second = await house.sign_ins.sign_in("olga", PASSWORD, "10.0.0.1")
    house.sign_ins.check_csrf(first, first.csrf)
    for wrong in (None, "", second.csrf, first.sign_in):
        with pytest.raises(TheirError):
            house.sign_ins.check_csrf(first, wrong)


async def test_a_person_has_at_most_eight_sessions(house: House) -> None:
    await _add(house)
    tokens = []
    for _ in range(9):
        house.clock.advance(1)
        tokens.append((await house.sign_ins.sign_in("olga", PASSWORD, "10.0.0.1"))[0])
    assert await _kind(house.sign_ins.who(tokens[0])) is Kind.UNAUTHENTICATED
    for token in tokens[1:]:
        await house.sign_ins.who(token)


async def test_only_administrators_manage_people_and_refusals_are_entered(house: House) -> None:
    assert await _kind(house.designations.add(OPERATOR, "eve", "Eve", "commander")) is Kind.FORBIDDEN
    assert (await house.events())[-1] == "refus/manage_people"


async def test_a_user_is_added_once_with_a_known_role_and_a_decent_password(house: House) -> None:
    await _add(house)
    assert await _kind(_add(house)) is Kind.CONFLICT
    assert await _kind(_add(house, "eve", "king")) is Kind.INVALID
    assert await _kind(house.designations.add(CONSOLE, "Eve!", "Eve", "operator")) is Kind.INVALID
    assert await _kind(house.designations.add(CONSOLE, "eve", "Eve", "operator", password="short")) is Kind.INVALID


async def test_a_view_token_opens_one_camera_for_two_minutes_of_a_live_session(house: House) -> None:
    await _add(house)
    token, signed_in = await house.sign_ins.sign_in("olga", PASSWORD, "10.0.0.1")
    issued = house.view_tokens.issue(signed_in, "cam-1", "i1")
    grant = await house.view_tokens.redeem(issued.token, "cam-1")
    assert (grant.person.user, grant.intervention) == ("olga", "i1")
    assert await _kind(house.view_tokens.redeem(issued.token, "cam-2")) is Kind.UNAUTHENTICATED
    house.clock.advance(120)
    assert await _kind(house.view_tokens.redeem(issued.token, "cam-1")) is Kind.UNAUTHENTICATED
    second = house.view_tokens.issue(signed_in, "cam-1", "i1")
    await house.sign_ins.sign_out(token)
    assert await _kind(house.view_tokens.redeem(second.token, "cam-1")) is Kind.UNAUTHENTICATED


@pytest.mark.parametrize("step", [3600, -3600, 40 * 86_400])
async def test_a_step_of_the_wall_clock_neither_ends_nor_prolongs_a_sign_in_or_a_view_token(house: House, step: float) -> None:
    await _add(house)
    house.clock.advance(86_400)
    token, signed_in = await house.sign_ins.sign_in("olga", PASSWORD, "10.0.0.1")
    issued = house.view_tokens.issue(signed_in, "cam-1", "i1")
    house.clock.step_utc(step)
    house.clock.advance(119)
    await house.view_tokens.redeem(issued.token, "cam-1")
    house.clock.advance(1)
    assert await _kind(house.view_tokens.redeem(issued.token, "cam-1")) is Kind.UNAUTHENTICATED
    house.clock.advance(12 * 3600 - 121)
    assert (await house.sign_ins.who(token)).expires_ns == signed_in.expires_ns
    house.clock.advance(1)
    assert await _kind(house.sign_ins.who(token)) is Kind.UNAUTHENTICATED


@pytest.mark.parametrize("step", [3600, -3600])
async def test_a_step_of_the_wall_clock_neither_opens_nor_prolongs_a_lock(house: House, step: float) -> None:
    await _add(house)
    house.clock.advance(86_400)
    for number in range(6):
        await _kind(house.sign_ins.sign_in("olga", "wrong", f"10.0.0.{number}"))
    house.clock.step_utc(step)
    assert await _kind(house.sign_ins.sign_in("olga", PASSWORD, "10.0.1.1")) is Kind.TOO_MANY
    house.clock.advance(4)
    await house.sign_ins.sign_in("olga", PASSWORD, "10.0.1.1")


def _after_a_restart(house: House) -> SignIns:
    return SignIns(
        house.accounts,
        house.journal,
        house.authorizer,
        house.clock,
        house.counters,
        passwords=house.passwords,
    )


async def test_across_a_restart_the_wall_clock_decides_and_one_that_was_put_back_prolongs_nothing(house: House) -> None:
    await _add(house)
    house.clock.step_utc(3600)
    token, _ = await _after_a_restart(house).sign_in("olga", PASSWORD, "10.0.0.1")
    await _after_a_restart(house).who(token)
    house.clock.step_utc(-3600)
    assert await _kind(_after_a_restart(house).who(token)) is Kind.UNAUTHENTICATED
    house.clock.step_utc(13 * 3600)
    assert await _kind(_after_a_restart(house).who(token)) is Kind.UNAUTHENTICATED


async def test_a_designation_ends_on_its_day_by_the_wall_clock(house: House) -> None:
    await _add(house, valid_to_ns=house.clock.utc_ns() + 3600 * 10**9)
    token, _ = await house.sign_ins.sign_in("olga", PASSWORD, "10.0.0.1")
    house.clock.step_utc(3600)
    assert await _kind(house.sign_ins.who(token)) is Kind.UNAUTHENTICATED
