"""Failures delay the next attempt, never for ever, and a stepped clock lengthens no wait."""

from hypothesis import given
from hypothesis import strategies as st

from relay.base.clock import SECOND_NS
from relay.policy.lockout import Failures, Limits, failed, wait_seconds

LIMITS = Limits()
NOW = 1_800_000_000 * SECOND_NS


def _after(count: int) -> Failures:
    state = Failures()
    for _ in range(count):
        state = failed(state, NOW, LIMITS)
    return state


def test_the_first_failures_are_free_then_waits_double_up_to_a_quarter_of_an_hour() -> None:
    assert [wait_seconds(_after(count), NOW, LIMITS) for count in range(17)] == [
        *[0.0] * 5,
        *[2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0],
        *[900.0] * 3,
    ]


@given(st.integers(0, 100_000), st.floats(-1e7, 1e7))
def test_no_wait_is_ever_longer_than_the_limit(count: int, elapsed: float) -> None:
    state = Failures(count, NOW)
    assert 0 <= wait_seconds(state, NOW + round(elapsed * SECOND_NS), LIMITS) <= LIMITS.longest_seconds


@given(st.integers(5, 50), st.floats(0, 900))
def test_waiting_shortens_the_wait(count: int, elapsed: float) -> None:
    before, after = (wait_seconds(Failures(count, NOW), NOW + round(part * SECOND_NS), LIMITS) for part in (0.0, elapsed))
    assert after <= before
    assert wait_seconds(Failures(count, NOW), NOW + 901 * SECOND_NS, LIMITS) == 0


def test_a_day_without_failure_forgets_them() -> None:
    later = NOW + round(LIMITS.forget_seconds + 1) * SECOND_NS
    assert failed(_after(50), later, LIMITS).count == 1
