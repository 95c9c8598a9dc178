"""One hostile party never keeps another from signing in: who is counted, who waits, and who has a place kept."""

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from relay.base.clock import SECOND_NS
from relay.base.errors import Kind, TheirError
from relay.people.attempts import MAX_TRACKED, Attempt, Attempts, Claim
from relay.people.passwords import Passwords, Place
from relay.people.sign_ins import CONSOLE, SignedIn
from relay.policy.lockout import Limits
from tests.support.services import House

PASSWORD = "correct horse battery"
HOME, STRANGE = "10.0.0.1", "203.0.113.9"


async def _add(house: House, *users: str) -> None:
    for user in users or ("olga",):
        await house.designations.add(CONSOLE, user, "Olga Op", "operator", password=PASSWORD, must_change=False)


async def _kind(awaitable: Any) -> Kind | None:
    try:
        await awaitable
    except TheirError as refused:
        return refused.kind
    return None


async def _lock(house: House, user: str = "olga", *, sources: str = "198.51.100") -> None:
    for number in range(6):
        await _kind(house.sign_ins.sign_in(user, "wrong", f"{sources}.{number}"))


async def _browser(house: House, source: str = HOME, user: str = "olga", cookie: str | None = None) -> str:
    """Sign in with a browser; return the cookie by which it is known from then on."""
    _, signed_in = await house.sign_ins.sign_in(user, PASSWORD, source, cookie)
    return await house.sign_ins.known_browser(signed_in, cookie)


async def test_thirty_two_guesses_at_once_pass_no_further_than_five_in_a_row(house: House) -> None:
    await _add(house)
    guesses = [house.sign_ins.sign_in("olga", f"guess number {number}", f"10.0.1.{number}") for number in range(32)]
    kinds = await asyncio.gather(*map(_kind, guesses))
    assert kinds.count(Kind.UNAUTHENTICATED) == 5
    assert kinds.count(Kind.TOO_MANY) == 27


async def test_an_attempt_is_given_back_on_success(house: House) -> None:
    await _add(house)
    for number in range(20):
        await house.sign_ins.sign_in("olga", PASSWORD, f"10.0.1.{number}")
    for _ in range(4):
        assert await asyncio.gather(*(_kind(house.sign_ins.sign_in("olga", PASSWORD, HOME)) for _ in range(5))) == [None] * 5


async def test_a_name_locked_by_strangers_still_signs_in_where_it_signed_in_before(house: House) -> None:
    await _add(house)
    await house.sign_ins.sign_in("olga", PASSWORD, HOME)
    await _lock(house)
    assert await _kind(house.sign_ins.sign_in("olga", PASSWORD, STRANGE)) is Kind.TOO_MANY
    assert await _kind(house.sign_ins.sign_in("olga", PASSWORD, HOME)) is None


async def test_a_browser_that_signed_in_before_keeps_an_allowance_of_its_own_anywhere(house: House) -> None:
    await _add(house)
    cookie = await _browser(house)
    await _lock(house)
    for _ in range(5):
        assert await _kind(house.sign_ins.sign_in("olga", "a typo", STRANGE, cookie)) is Kind.UNAUTHENTICATED
    assert await _kind(house.sign_ins.sign_in("olga", PASSWORD, STRANGE, cookie)) is Kind.TOO_MANY
    house.clock.advance(2)
    assert await _kind(house.sign_ins.sign_in("olga", PASSWORD, STRANGE, cookie)) is None


async def test_a_browser_is_known_for_each_person_who_signed_in_with_it_and_for_nobody_else(house: House) -> None:
    await _add(house, "olga", "paul", "eve")
    cookie = await _browser(house, user="olga")
    cookie = await _browser(house, user="paul", cookie=cookie)
    for user in ("olga", "paul", "eve"):
        await _lock(house, user)
    assert await _kind(house.sign_ins.sign_in("olga", PASSWORD, STRANGE, cookie)) is None
    assert await _kind(house.sign_ins.sign_in("paul", PASSWORD, STRANGE, cookie)) is None
    assert await _kind(house.sign_ins.sign_in("eve", PASSWORD, STRANGE, cookie)) is Kind.TOO_MANY


@pytest.mark.parametrize(
    "spoil", [lambda c: c[:-1], lambda c: "A" + c[1:], lambda c: "\udcff" + c, lambda c: "", lambda c: c * 99]
)
async def test_an_altered_cookie_makes_no_browser_known(house: House, spoil: Callable[[str], str]) -> None:
    await _add(house)
    cookie = spoil(await _browser(house, source="10.0.9.9"))
    await _lock(house)
    assert await _kind(house.sign_ins.sign_in("olga", PASSWORD, STRANGE, cookie)) is Kind.TOO_MANY


async def test_a_reset_or_a_change_of_the_password_and_half_a_year_end_what_a_browser_is_known_for(house: House) -> None:
    await _add(house)
    cookie = await _browser(house)
    await house.designations.reset_password(CONSOLE, "olga")
    await _lock(house)
    assert await _kind(house.sign_ins.sign_in("olga", "x", STRANGE, cookie)) is Kind.TOO_MANY
    await _add(house, "paul")
    cookie = await _browser(house, user="paul")
    house.clock.advance(181 * 86_400)
    await _lock(house, "paul")
    assert await _kind(house.sign_ins.sign_in("paul", PASSWORD, STRANGE, cookie)) is Kind.TOO_MANY


async def test_guessing_the_old_password_at_its_change_is_locked_too_and_locks_no_sign_in(house: House) -> None:
    await _add(house)
    token, _ = await house.sign_ins.sign_in("olga", PASSWORD, HOME)
    guesses = (house.sign_ins.change_password(token, f"guess number {number}", "another long one") for number in range(32))
    kinds = await asyncio.gather(*map(_kind, guesses))
    assert (kinds.count(Kind.UNAUTHENTICATED), kinds.count(Kind.TOO_MANY)) == (5, 27)
    assert await _kind(house.sign_ins.change_password(token, PASSWORD, "another long one")) is Kind.TOO_MANY
    assert await _kind(house.sign_ins.sign_in("olga", PASSWORD, STRANGE)) is None
    house.clock.advance(2)
    assert await _kind(house.sign_ins.change_password(token, PASSWORD, "another long one")) is None


def _fail(attempts: Attempts, claim: Claim, times: int = 1) -> None:
    for _ in range(times):
        attempts.failed(attempts.begin(claim), SECOND_NS)


def test_ten_thousand_made_up_names_forget_no_lock() -> None:
    attempts = Attempts(Limits())
    _fail(attempts, Claim("olga", STRANGE, known_name=True), 5)
    _fail(attempts, Claim("mallory", STRANGE), 9)
    for number in range(MAX_TRACKED * 2):
        _fail(attempts, Claim(f"name-{number}", f"2001:db8:0:{number:x}::/64"))
    assert attempts.wait_seconds(Claim("olga", HOME), SECOND_NS) > 0
    assert attempts.wait_seconds(Claim("mallory", HOME), SECOND_NS) > 0
    assert len(attempts) <= 4 * MAX_TRACKED


def test_a_person_with_an_account_forgets_nobody_elses_places() -> None:
    attempts = Attempts(Limits())
    attempts.signed_in(attempts.begin(Claim("olga", HOME)))
    for number in range(MAX_TRACKED + 1):
        attempts.signed_in(attempts.begin(Claim("mallory", f"source-{number}")))
    assert attempts.knows(Claim("olga", HOME))
    assert not attempts.knows(Claim("mallory", "source-0"))


class AttemptsMachine(RuleBasedStateMachine):
    """However attempts overlap: none is left pending, and no more than five failures in a row pass without a wait."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts, self.open = Attempts(Limits()), list[Attempt]()
        self.passed: Counter[tuple[str, str]] = Counter()

    @rule(name=st.sampled_from("ab"), source=st.sampled_from("xyz"), browser=st.sampled_from([None, "m"]))
    def begin(self, name: str, source: str, browser: str | None) -> None:
        claim = Claim(name, source, browser, known_name=True)
        if self.attempts.wait_seconds(claim, SECOND_NS) == 0:
            self.open.append(self.attempts.begin(claim))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), how=st.sampled_from(["failed", "given_back", "right", "signed_in"]))
    def end(self, data: st.DataObject, how: str) -> None:
        attempt = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        key = (attempt.claim.name, _counted_at(attempt))
        if how == "failed":
            self.attempts.failed(attempt, SECOND_NS)
            self.passed[key] += 1
        else:
            getattr(self.attempts, how)(attempt)
            self.passed[key] *= how == "given_back"
        assert self.passed[key] <= Limits().free_failures

    def teardown(self) -> None:
        for attempt in self.open:
            self.attempts.given_back(attempt)
        for name, source, browser in itertools.product("ab", "xyz", (None, "m")):
            assert self.attempts.pending(Claim(name, source, browser)) == 0


def _counted_at(attempt: Attempt) -> str:
    claim = attempt.claim
    return "strange" if not attempt.known else claim.browser or claim.source


TestAttempts = AttemptsMachine.TestCase


class _Slow(PasswordHasher):
    """A hasher that waits for the test, and remembers in which order passwords came."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.go = threading.Event()
        self.order: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]  # noqa: A002
        self.go.wait(30)
        self.order.append(str(password))
        return True


async def _queue(places: list[tuple[Place, str]]) -> tuple[list[str], list[bool | BaseException]]:
    slow = _Slow()
    passwords = Passwords(slow)
    asked = [asyncio.ensure_future(passwords.matches("hash", name, place)) for place, name in places]
    await asyncio.sleep(0)
    slow.go.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    passwords.close()
    return slow.order, answers


async def test_sources_that_signed_in_before_have_places_of_their_own_and_go_first() -> None:
    strangers = [(Place(f"stranger-{number}", known=False), f"stranger-{number}") for number in range(100)]
    known = [(Place("room", known=True), f"known-{number}") for number in range(14)]
    order, answers = await _queue([*strangers, *known])
    assert answers[100:] == [True] * 14
    assert sum(isinstance(answer, TheirError) for answer in answers) == 100 - 33
    assert max(order.index(f"known-{number}") for number in range(14)) <= 20


async def test_one_source_takes_no_place_that_another_needs() -> None:
    greedy = [(Place("greedy", known=False), f"greedy-{number}") for number in range(100)]
    others = [(Place(f"other-{number}", known=False), f"other-{number}") for number in range(16)]
    order, answers = await _queue([*greedy, *others])
    assert answers[100:] == [True] * 16
    assert max(order.index(f"other-{number}") for number in range(16)) <= 34


async def test_nobodys_view_tokens_push_out_those_of_another(house: House) -> None:
    await _add(house, "olga", "mallory")
    _, olga = await house.sign_ins.sign_in("olga", PASSWORD, HOME)
    _, mallory = await house.sign_ins.sign_in("mallory", PASSWORD, STRANGE)

    def issue(signed_in: SignedIn) -> str:
        return house.view_tokens.issue(signed_in, "cam-1", "i1").token

    mine, first = issue(olga), issue(mallory)
    for _ in range(5000):
        last = issue(mallory)
    assert (await house.view_tokens.redeem(mine, "cam-1")).person.user == "olga"
    assert (await house.view_tokens.redeem(last, "cam-1")).person.user == "mallory"
    assert await _kind(house.view_tokens.redeem(first, "cam-1")) is Kind.UNAUTHENTICATED
    assert len(house.view_tokens) <= 65
    house.clock.advance(121)
    issue(olga)
    assert len(house.view_tokens) == 1
