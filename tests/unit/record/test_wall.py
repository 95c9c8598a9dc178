"""Wall time: slewing is followed, a step is never silently believed."""

import pytest

from relay.record.sync import Offset, Tie, sound_offset
from relay.record.wall import WallClock

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


def tie(video: bool, wall_ms: int, time_ms: int, *, by_report: bool = True) -> Tie:
    rate = 90_000 if video else 48_000
    return Tie(video, by_report, wall_ms * 1_000_000, time_ms * rate // 1000, rate, 5_000_000)


def test_sound_is_moved_beside_the_picture_by_reports_of_both() -> None:
    assert sound_offset([tie(True, 1000, 100), tie(False, 1000, 130)]) == Offset(-30_000_000, 5_000_000, True)


def test_the_last_reports_count() -> None:
    ties = [tie(True, 1000, 100), tie(False, 1000, 130), tie(False, 2000, 1120)]
    assert sound_offset(ties).sound_ns == -20_000_000


def test_without_reports_of_both_tracks_it_says_synchronised_by_arrival() -> None:
    ties = [tie(True, 1000, 100), tie(True, 1000, 100, by_report=False), tie(False, 1000, 900, by_report=False)]
    assert sound_offset(ties) == Offset(0, 5_000_000, False)
