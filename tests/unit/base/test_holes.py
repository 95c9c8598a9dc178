"""Open numbers as ranges, against a plain set of them."""

from hypothesis import given
from hypothesis import strategies as st

from relay.base.holes import Holes
from tests.support.steps import steps

GAPS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), min_size=1, max_size=30)


@given(GAPS, st.lists(st.integers(-2, 340), max_size=120))
def test_a_number_is_filled_once_and_only_where_it_was_passed_over(gaps: list[tuple[int, int]], numbers: list[int]) -> None:
    holes, model, at = Holes(500), set[int](), 0
    for before, size in gaps:
        at += before
        holes.open(at, at + size)
        model |= set(range(at, at + size))
        at += size
    for number in numbers:
        assert (number in holes) == (number in model)
        assert holes.fill(number) == (number in model)
        model.discard(number)
        assert len(holes) <= len(model)


@given(GAPS, st.lists(st.integers(0, 340), max_size=60), st.integers(1, 8))
def test_ranges_are_bounded_and_the_oldest_are_forgotten(gaps: list[tuple[int, int]], numbers: list[int], most: int) -> None:
    holes, everything, at = Holes(most), Holes(1000), 0
    for before, size in gaps:
        at += before + 1
        for one in (holes, everything):
            one.open(at, at + size)
        at += size
    for number in numbers:
        assert len(holes) <= most
        open_anywhere, open_here = everything.fill(number), holes.fill(number)
        assert open_anywhere or not open_here
    assert at - 1 in holes or at - 1 in numbers or at - 1 not in everything


def test_a_wide_gap_costs_what_a_narrow_one_does() -> None:
    holes = Holes(500)
    assert steps(lambda: holes.open(0, 1)) == steps(lambda: holes.open(10, 1_000_000))
    assert steps(lambda: holes.fill(500_000)) < 2 * steps(lambda: holes.fill(0))


def test_all_are_closed_at_once() -> None:
    holes = Holes(10)
    holes.open(1, 5)
    holes.clear()
    assert not holes
    assert 3 not in holes
    assert not holes.fill(3)
