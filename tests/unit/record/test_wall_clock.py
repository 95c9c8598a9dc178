"""Wall time: slewing is followed, a step is never silently believed."""

import pytest

from relay.record.wall_clock import WallClock

SECOND = 1_000_000_000
UTC = 1_700_000_000 * SECOND


def test_small_corrections_are_followed() -> None:
    wall = WallClock(UTC, 0)
    for second in range(1, 100):
        assert not wall.observe(UTC + second * SECOND + second * 1_000_000, second * SECOND)
    assert wall.utc(100 * SECOND) == UTC + 100 * SECOND + 99_000_000
    assert not wall.suspect


@pytest.mark.parametrize("step", [3600, -3600, 1])
def test_a_step_keeps_time_even_and_marks_it_suspect_for_good(step: int) -> None:
    wall = WallClock(UTC, 0)
    assert wall.observe(UTC + SECOND + step * SECOND, SECOND)
    assert wall.suspect
    assert wall.utc(2 * SECOND) == UTC + 2 * SECOND
    assert not wall.observe(UTC + 2 * SECOND, 2 * SECOND)
    assert wall.suspect
