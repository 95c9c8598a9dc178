"""Refusals to identified people: the first is an entry at once; those like it are counted, and none is lost."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.errors import OurError
from relay.store.journal import Journal
from relay.store.refusals import OTHERS, PERIOD_SECONDS, TARGETS_PER_PERSON, Refusal, RepeatedRefusals
from tests.support.services import House

NS = 1_000_000_000


def refusal(target: str = "pm-1", author: str = "olga") -> Refusal:
    return Refusal(author, "operator", "view_live", "forbidden", "outside the commune", "VID-03", "camera", target)


def test_the_first_is_entered_at_once_and_the_rest_of_its_minute_is_one_count() -> None:
    refusals = RepeatedRefusals()
    assert [refusals.is_first(refusal(), second / 10, second * NS) for second in range(4)] == [True, False, False, False]
    assert refusals.take_due(PERIOD_SECONDS - 0.1) == []
    (repeated,) = refusals.take_due(PERIOD_SECONDS)
    assert (repeated.count, repeated.first_ns, repeated.last_ns) == (3, NS, 3 * NS)
    assert refusals.is_first(refusal(), PERIOD_SECONDS, 0)


def test_another_person_target_or_reason_is_another_refusal() -> None:
    refusals = RepeatedRefusals()
    assert refusals.is_first(refusal(), 0, 0)
    assert refusals.is_first(refusal("pm-2"), 0, 0)
    assert refusals.is_first(refusal(author="carl"), 0, 0)


def test_a_first_one_that_the_disk_refused_is_no_reason_to_only_count_the_next() -> None:
    refusals = RepeatedRefusals()
    assert refusals.is_first(refusal(), 0, 0)
    refusals.not_entered(refusal())
    assert refusals.is_first(refusal(), 0, 0)
    assert not refusals.is_first(refusal(), 0, 0)


def test_made_up_targets_are_counted_by_act_beyond_a_bound_and_cost_others_nothing() -> None:
    refusals = RepeatedRefusals()
    entered = sum(refusals.is_first(refusal(f"made-up-{number}"), 0, 1) for number in range(10_000))
    assert entered == TARGETS_PER_PERSON + 1
    assert len(refusals) == TARGETS_PER_PERSON + 1
    assert refusals.is_first(refusal(author="carl"), 0, 1)
    (repeated,) = refusals.take_due(PERIOD_SECONDS)
    assert (repeated.refusal.object_id, repeated.count) == (OTHERS, 10_000 - TARGETS_PER_PERSON - 1)
    assert len(refusals) == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("refuse"), st.sampled_from(["pm-1", "pm-2", "pm-3"])),
        st.tuples(st.sampled_from(["wait", "flush", "disk"]), st.just("")),
    ),
    max_size=80,
)


@given(STEPS)
def test_entries_and_counts_add_up_to_what_came(steps: list[tuple[str, str]]) -> None:
    refusals, now, came, told = RepeatedRefusals(), 0.0, Counter[str](), Counter[str]()
    for step, target in steps:
        if step == "refuse":
            came[target] += 1
            told[target] += refusals.is_first(refusal(target), now, 1 + int(now))
        elif step == "wait":
            now += 25
        else:
            for repeated in refusals.take_due(now):
                if step == "disk":
                    refusals.give_back(repeated)
                else:
                    assert repeated.first_ns <= repeated.last_ns
                    told[repeated.refusal.object_id] += repeated.count
    for repeated in refusals.take_due(now, everything=True):
        told[repeated.refusal.object_id] += repeated.count
    assert told == came
    assert len(refusals) == 0


async def refused(journal: Journal, times: int, target: str = "pm-1") -> None:
    for _ in range(times):
        await journal.refuse("olga", "operator", "view_live", "forbidden", "no", object_type="camera", object_id=target)


async def test_an_operator_who_is_refused_again_and_again_writes_two_entries_a_minute(house: House) -> None:
    before = house.journal.size
    await refused(house.journal, 500)
    assert house.journal.size == before + 1
    house.clock.advance(60)
    await house.journal.flush_refusals()
    assert house.journal.size == before + 2
    body = (await house.journal.read(after=before))[0].body
    assert body is not None
    details = body["details"]
    assert isinstance(details, dict)
    assert (body["author"], body["object_id"], details["event"], details["count"]) == ("olga", "pm-1", "repeated", 499)
    assert details["first"] <= details["last"]


async def test_counts_survive_a_disk_that_refuses_and_an_orderly_stop_enters_them(house: House) -> None:
    await refused(house.journal, 3)
    await house.database.write(
        lambda c: c.exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON journal BEGIN SELECT RAISE(FAIL, 'full'); END")
    )
    house.clock.advance(60)
    with pytest.raises(OurError):
        await house.journal.flush_refusals()
    await house.database.write(lambda c: c.exec_driver_sql("DROP TRIGGER full"))
    before = house.journal.size
    await house.journal.flush_refusals(everything=True)
    assert house.journal.size == before + 1
