"""What one sign-in and one person may have open at once."""

import contextlib

import pytest

from relay.base.clock import SECOND_NS
from relay.base.codes import Code
from relay.base.counters import Counters
from relay.base.errors import TheirError
from relay.http.shares import Shares
from relay.people.sign_ins import SignedIn
from relay.policy.roles import Person, Role


def signed_in(user: str, sign_in: str) -> SignedIn:
    return SignedIn(Person(user, user, Role.COMMANDER, "Service"), "csrf", 3600 * SECOND_NS, sign_in)


def test_one_sign_in_has_its_share_and_another_one_of_the_person_the_rest() -> None:
    counters = Counters()
    shares = Shares(2, 3, counters)
    first, second = signed_in("chef", "one"), signed_in("chef", "two")
    with contextlib.ExitStack() as open_now:
        open_now.enter_context(shares.taken(first))
        open_now.enter_context(shares.taken(first))
        with pytest.raises(TheirError) as refused:
            open_now.enter_context(shares.taken(first))
        assert refused.value.code is Code.TOO_MANY_OPEN
        open_now.enter_context(shares.taken(second))
        with pytest.raises(TheirError):
            open_now.enter_context(shares.taken(second))
        open_now.enter_context(shares.taken(signed_in("op", "three")))
        assert counters.values["shares_refused"] == 2
    assert len(shares) == 0


def test_what_ends_by_an_error_is_given_back() -> None:
    shares = Shares(1, 1, Counters())
    with contextlib.suppress(RuntimeError), shares.taken(signed_in("chef", "one")):
        raise RuntimeError
    with shares.taken(signed_in("chef", "one")):
        assert len(shares) == 2
