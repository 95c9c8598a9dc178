"""The clocks of a track: jitter and drift are followed, impossible jumps are reported, and time never runs backwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.record.timeline import SECOND, Timeline

MS = 1_000_000
UTC_MINUS_MONO = 1_700_000_000 * SECOND


def test_timeline_begins_at_arrival_and_runs_on_the_tracks_own_clock() -> None:
    line = Timeline(48_000, origin=5 * SECOND)
    places = [line.place(1000 + 960 * index, 6 * SECOND + index * 20 * MS + (index % 7) * 9 * MS) for index in range(100)]
    assert [place.time for place in places] == [48_000 + 960 * index for index in range(100)]
    assert not any(place.jump for place in places)


@given(st.lists(st.tuples(st.integers(0, (1 << 32) - 1), st.integers(0, 3 * SECOND)), max_size=60))
def test_any_timestamps_give_growing_times(steps: list[tuple[int, int]]) -> None:
    line = Timeline(90_000, 0)
    now, last = 0, -1
    for timestamp, later in steps:
        now += later
        place = line.place(timestamp, now)
        assert place.time > last
        last = place.time


def test_timestamps_ahead_of_time_are_a_jump_and_the_track_lies_by_arrival_again() -> None:
    line = Timeline(90_000, 0)
    line.place(0, SECOND)
    jumped = line.place(90_000 * 500, 2 * SECOND)
    assert jumped == (2 * 90_000, True)
    assert line.place(90_000 * 501, 3 * SECOND) == (3 * 90_000, False)


def test_stall_of_the_radio_followed_by_a_burst_is_no_jump() -> None:
    line = Timeline(90_000, 0)
    line.place(0, 0)
    places = [line.place(90_000 * second, 8 * SECOND) for second in range(1, 9)]
    assert [place.time for place in places] == [90_000 * second for second in range(1, 9)]
    assert not any(place.jump for place in places)


def test_drift_of_a_poor_crystal_is_followed_for_hours() -> None:
    line = Timeline(90_000, 0)
    for second in range(0, 6 * 3600, 5):
        place = line.place(round(second * 90_000 * 1.0002), second * SECOND)
        assert not place.jump


def test_first_fix_is_by_arrival_and_reports_take_over() -> None:
    line = Timeline(90_000, 0)
    assert line.take_fix(0, UTC_MINUS_MONO) is None
    line.place(0, SECOND)
    first = line.take_fix(SECOND, UTC_MINUS_MONO)
    assert first is not None
    assert (first.by_report, first.wall_ns, first.time, first.offset_ns) == (False, UTC_MINUS_MONO + SECOND, 90_000, 0)
    assert line.take_fix(2 * SECOND, UTC_MINUS_MONO) is None
    line.report(90_000, camera_ns=UTC_MINUS_MONO + 7 * SECOND, arrival_utc_ns=UTC_MINUS_MONO + 2 * SECOND, rtt_ns=60 * MS)
    fix = line.take_fix(3 * SECOND, UTC_MINUS_MONO)
    assert fix is not None
    assert (fix.by_report, fix.time, fix.rtp) == (True, 180_000, 90_000)
    assert fix.offset_ns == 5 * SECOND + 30 * MS
    assert 30 * MS <= fix.uncertainty_ns < 31 * MS


def test_unchanged_reports_are_reported_seldom_and_changed_ones_at_once() -> None:
    line = Timeline(90_000, 0)
    line.place(0, 0)
    reported = []
    for second in range(1, 40):
        moved = 20 * MS if second > 25 else 0
        line.report(90_000 * second, UTC_MINUS_MONO + second * SECOND + moved, UTC_MINUS_MONO + second * SECOND, 0)
        if line.take_fix(second * SECOND, UTC_MINUS_MONO) is not None:
            reported.append(second)
    assert reported == [1, 2, 12, 22, 26, 36], "the anchor, the first report, each ten seconds, the change"


def test_first_report_is_reported_however_little_it_moves() -> None:
    line = Timeline(90_000, 0)
    line.place(0, 0)
    assert line.take_fix(0, UTC_MINUS_MONO) is not None
    line.report(45_000, UTC_MINUS_MONO + SECOND // 2, UTC_MINUS_MONO + SECOND // 2, 0)
    fix = line.take_fix(SECOND // 2, UTC_MINUS_MONO)
    assert fix is not None
    assert fix.by_report


def test_timestamps_that_go_back_are_a_jump_and_the_track_goes_on_from_where_it_is() -> None:
    line = Timeline(90_000, 0)
    for tenth in range(50):
        line.place(9_000 * tenth, tenth * SECOND // 10)
    restarted = line.place(9_000 * 10, 5 * SECOND)
    assert restarted == (5 * 90_000, True)
    assert line.place(9_000 * 11, 5 * SECOND + SECOND // 10) == (5 * 90_000 + 9_000, False)


def test_timestamps_of_b_pictures_go_back_a_little_without_a_jump() -> None:
    line = Timeline(90_000, 0)
    order = [0, 3, 1, 2, 6, 4, 5]
    places = [line.place(3_000 * picture, place * 33 * MS) for place, picture in enumerate(order)]
    assert not any(place.jump for place in places)


def test_new_anchor_is_reported_by_arrival_before_any_report_of_it() -> None:
    line = Timeline(90_000, 0)
    line.place(0, 0)
    line.report(0, UTC_MINUS_MONO, UTC_MINUS_MONO, 0)
    reported = [line.take_fix(0, UTC_MINUS_MONO), line.take_fix(SECOND, UTC_MINUS_MONO)]
    line.place(90_000 * 500, 2 * SECOND)
    line.report(90_000 * 500, UTC_MINUS_MONO + 2 * SECOND, UTC_MINUS_MONO + 2 * SECOND, 0)
    reported += [line.take_fix(2 * SECOND, UTC_MINUS_MONO), line.take_fix(3 * SECOND, UTC_MINUS_MONO)]
    assert [fix and fix.by_report for fix in reported] == [False, True, False, True]


@pytest.mark.parametrize("away", [-(1 << 31), -61 * 90_000, 61 * 90_000, 1 << 30])
def test_report_of_another_clock_than_the_packets_is_ignored(away: int) -> None:
    line = Timeline(90_000, 0)
    line.place(1 << 32, 100 * SECOND)
    line.take_fix(100 * SECOND, UTC_MINUS_MONO)
    line.report((1 << 32) + away, UTC_MINUS_MONO, UTC_MINUS_MONO, 0)
    assert line.take_fix(101 * SECOND, UTC_MINUS_MONO) is None


def test_absurd_reports_are_ignored() -> None:
    line = Timeline(90_000, 0)
    line.report(0, 1, 1, 0)
    line.place(100_000, SECOND)
    line.report(0, UTC_MINUS_MONO, UTC_MINUS_MONO, 0)
    line.report(100_000, 0, UTC_MINUS_MONO, 0)
    fix = line.take_fix(SECOND, UTC_MINUS_MONO)
    assert fix is not None
    assert not fix.by_report


@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, SECOND)), max_size=40))
def test_what_is_foreseen_is_what_happens(samples: list[tuple[int, int]]) -> None:
    line, now = Timeline(90_000, 0), 0
    for timestamp, pause in samples:
        now += pause
        foreseen = line.foresee(timestamp, now)
        assert line.foresee(timestamp, now) == foreseen
        assert line.place(timestamp, now) == foreseen
