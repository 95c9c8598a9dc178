"""A burst at once, a rate on average, whatever the clock and the caller do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.allowance import Allowance


def test_a_burst_is_there_at_once_and_comes_back_at_the_rate() -> None:
    allowance = Allowance(rate=2, burst=3)
    assert [allowance.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert not allowance.take(10.4)
    assert allowance.take(10.5)
    assert not allowance.take(10.5)


def test_a_long_pause_saves_up_no_more_than_a_burst() -> None:
    allowance = Allowance(rate=2, burst=3)
    assert allowance.take(0.0)
    assert [allowance.take(1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_stands_or_goes_back_gives_nothing() -> None:
    allowance = Allowance(rate=100, burst=1)
    assert allowance.take(5.0)
    assert not allowance.take(5.0)
    assert not allowance.take(1.0)
    assert not allowance.take(5.0)


def test_what_is_not_there_is_not_taken() -> None:
    allowance = Allowance(rate=1, burst=10)
    assert not allowance.take(0.0, 11)
    assert allowance.take(0.0, 10)


@given(st.lists(st.floats(0, 3), max_size=40), st.floats(0.1, 50), st.floats(1, 50))
def test_who_waits_as_long_as_it_says_is_let_through(pauses: list[float], rate: float, burst: float) -> None:
    allowance, now = Allowance(rate, burst), 0.0
    for pause in pauses:
        now += pause
        wait = allowance.wait(now)
        assert (wait == 0) == allowance.has(now)
        now += wait * (1 + 1e-9) + 1e-6
        assert allowance.take(now)


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0.1, 4)), max_size=60), st.floats(0.1, 50), st.floats(1, 50))
def test_no_pattern_gets_more_than_the_burst_and_the_rate(steps: list[tuple[float, float]], rate: float, burst: float) -> None:
    allowance, now, got = Allowance(rate, burst), 0.0, 0.0
    for pause, units in steps:
        now += pause
        got += units if allowance.take(now, units) else 0
    assert got <= burst + now * rate + 1e-6 or got == pytest.approx(burst + now * rate)
