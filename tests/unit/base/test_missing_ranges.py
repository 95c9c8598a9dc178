"""Missing numbers as ranges, against a plain set of them."""

from hypothesis import given
from hypothesis import strategies as st

from relay.base.missing_ranges import MissingRanges
from tests.support.steps import steps

GAPS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), min_size=1, max_size=30)


@given(GAPS, st.lists(st.integers(-2, 340), max_size=120))
def test_a_number_is_filled_once_and_only_where_it_was_passed_over(gaps: list[tuple[int, int]], numbers: list[int]) -> None:
    missing, model, at = MissingRanges(500), set[int](), 0
    for before, size in gaps:
        at += before
        missing.add(at, at + size)
        model |= set(range(at, at + size))
        at += size
    for number in numbers:
        assert (number in missing) == (number in model)
        assert missing.fill(number) == (number in model)
        model.discard(number)
        assert len(missing) <= len(model)


@given(GAPS, st.lists(st.integers(0, 340), max_size=60), st.integers(1, 8))
def test_ranges_are_bounded_and_the_oldest_are_forgotten(
    gaps: list[tuple[int, int]], numbers: list[int], max_ranges: int
) -> None:
    missing, everything, at = MissingRanges(max_ranges), MissingRanges(1000), 0
    for before, size in gaps:
        at += before + 1
        for one in (missing, everything):
            one.add(at, at + size)
        at += size
    for number in numbers:
        assert len(missing) <= max_ranges
        open_anywhere, open_here = everything.fill(number), missing.fill(number)
        assert open_anywhere or not open_here
    assert at - 1 in missing or at - 1 in numbers or at - 1 not in everything


def test_a_wide_gap_costs_what_a_narrow_one_does() -> None:
    missing = MissingRanges(500)
    assert steps(lambda: missing.add(0, 1)) == steps(lambda: missing.add(10, 1_000_000))
    assert steps(lambda: missing.fill(500_000)) < 2 * steps(lambda: missing.fill(0))


def test_all_are_closed_at_once() -> None:
    missing = MissingRanges(10)
    missing.add(1, 5)
    missing.clear()
    assert not missing
    assert 3 not in missing
    assert not missing.fill(3)
