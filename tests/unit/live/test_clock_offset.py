"""The offset of a camera's clock: never further from the truth than it says."""

from hypothesis import given
from hypothesis import strategies as st

from relay.base.clock import SECOND_NS
from relay.live.clock_offset import ClockOffset

MS = 1_000_000


@given(
    true_ms=st.integers(-3_600_000, 3_600_000),
    trips=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), min_size=1, max_size=20),
)
def test_the_truth_lies_within_the_uncertainty(true_ms: int, trips: list[tuple[int, int]]) -> None:
    clock, mono, utc = ClockOffset(), 0, 1_700_000_000 * SECOND_NS
    for there, back in trips:
        echo = clock.ask(utc, mono)
        camera = utc + (there + true_ms) * MS
        mono, utc = mono + (there + back) * MS, utc + (there + back) * MS
        found = clock.answer(echo, camera, mono)
        assert found is not None
        assert abs(found.offset_ms - true_ms) <= found.uncertainty_ms + 1e-3
        mono, utc = mono + 3 * SECOND_NS, utc + 3 * SECOND_NS


def test_answers_to_nothing_and_answers_too_late_are_no_samples() -> None:
    clock = ClockOffset()
    assert clock.answer(5, 5, 0) is None
    echo = clock.ask(100, 0)
    assert clock.answer(echo, 100, 3 * SECOND_NS) is None
    assert clock.answer(echo, 100, 0) is None
    assert clock.best(0) is None


def test_old_samples_are_forgotten() -> None:
    clock = ClockOffset()
    clock.answer(clock.ask(0, 0), 0, 10)
    assert clock.best(10) is not None
    assert clock.best(121 * SECOND_NS) is None


def test_questions_without_answer_do_not_pile_up() -> None:
    clock = ClockOffset()
    for at in range(1000):
        clock.ask(at, at)
    assert clock.unanswered <= 32
