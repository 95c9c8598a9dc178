"""By how much sound is moved: the offset follows from the sender reports of both tracks, and ends at a new anchor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.evidence.lipsync import (
    MAX_OFFSET_NS,
    MAX_SHIFTS,
    MIN_CHANGE_NS,
    Moves,
    Shift,
    moves_of,
    offset_at,
    sound_shifts,
    thinned,
)
from relay.evidence.records import ClockMap, Correction, Link, Point, SyncSource, TrackKind, TrackPart

NS = 1_000_000_000
MS = 1_000_000
EPOCH = 1_767_225_600 * NS
VIDEO, AUDIO = 1, 2
STEP = 19_200
"""Ticks of sound in a fragment of 0.4 s."""


def link(number: int, *clocks: ClockMap, sound: bool = True) -> Link:
    parts = [TrackPart(VIDEO, TrackKind.VIDEO, 12, bytes(32), 36_000 * number, 36_000)]
    if sound:
        parts.append(TrackPart(AUDIO, TrackKind.AUDIO, 20, bytes(32), STEP * number, STEP))
    at = EPOCH + number * 400 * MS
    return Link(number, 0, False, 0, 1, 17, bytes(32), bytes(32), tuple(parts), at, 400 * MS, clocks)


def report(track: int, seconds: float, late_ns: int = 0, offset_ns: int = 0) -> ClockMap:
    """A sender report `seconds` after the recording began: what lies there was captured `late_ns` later than its place says."""
    rate = 90_000 if track == VIDEO else 48_000
    wall = EPOCH + round(seconds * NS) + late_ns + offset_ns
    return ClockMap(track, SyncSource.SENDER_REPORT, wall, 0, round(seconds * rate), offset_ns, 0)


def anchor(track: int) -> ClockMap:
    return ClockMap(track, SyncSource.ARRIVAL, EPOCH, 0, 0, 0, 100 * MS)


ANCHORS = (anchor(VIDEO), anchor(AUDIO))


@pytest.mark.parametrize(
    ("clocks", "offset"),
    [
        ((report(VIDEO, 1), report(AUDIO, 1)), 0),
        ((report(VIDEO, 1), report(AUDIO, 1, 120 * MS)), 120 * MS),
        ((report(VIDEO, 1, 120 * MS), report(AUDIO, 1)), -120 * MS),
        ((report(VIDEO, 1), report(AUDIO, 2, 80 * MS)), 80 * MS),
        ((report(VIDEO, 1), anchor(AUDIO)), 0),
        ((report(VIDEO, 1),), 0),
        ((report(VIDEO, 1), report(AUDIO, 1, MAX_OFFSET_NS + 1)), 0),
        ((report(9, 1), report(AUDIO, 1, 120 * MS)), 0),
    ],
)
def test_sound_is_moved_by_what_the_reports_of_both_tracks_say(clocks: tuple[ClockMap, ...], offset: int) -> None:
    shifts = sound_shifts([link(0, *ANCHORS), link(1, *clocks), link(2)])
    assert [offset_at(shifts, time) for time in (0, STEP, 5 * STEP)] == [offset] * 3


def test_camera_that_comes_back_has_an_offset_of_its_own_from_its_first_sound_on() -> None:
    first = [link(0, *ANCHORS), link(1, report(VIDEO, 0.4), report(AUDIO, 0.4, 120 * MS)), link(2)]
    again = [link(3, *ANCHORS), link(4), link(5, report(VIDEO, 2), report(AUDIO, 2, -60 * MS))]
    assert sound_shifts(first + again) == (Shift(0, 120 * MS), Shift(3 * STEP, -60 * MS))
    assert sound_shifts(first + again[:2]) == (Shift(0, 120 * MS), Shift(3 * STEP, 0)), "synchronised by arrival again"


def test_reports_after_a_restart_say_nothing_of_what_came_before_it() -> None:
    links = [link(0, *ANCHORS), link(1), link(2, *ANCHORS), link(3, report(VIDEO, 1.2), report(AUDIO, 1.2, 90 * MS))]
    assert sound_shifts(links) == (Shift(2 * STEP, 90 * MS),)


def test_one_track_that_jumps_is_not_compared_with_what_it_was() -> None:
    links = [link(0, *ANCHORS), link(1, report(VIDEO, 0.4), report(AUDIO, 0.4, 90 * MS)), link(2, anchor(VIDEO))]
    links += [link(3, report(AUDIO, 1.2, 90 * MS)), link(4, report(VIDEO, 1.6, 50 * MS))]
    assert sound_shifts(links) == (Shift(0, 90 * MS), Shift(2 * STEP, 40 * MS))


def test_camera_whose_wall_clock_is_stepped_between_two_reports_does_not_move_its_sound() -> None:
    links = [link(0, *ANCHORS), link(1, report(VIDEO, 0.4), report(AUDIO, 0.4, 20 * MS))]
    links += [link(2, report(AUDIO, 0.8, 20 * MS, offset_ns=3 * NS)), link(3)]
    assert sound_shifts(links) == (Shift(0, 20 * MS),)
    assert sound_shifts([*links, link(4, report(VIDEO, 1.6, offset_ns=3 * NS))]) == (Shift(0, 20 * MS),)


def test_camera_whose_clock_was_stepped_between_its_first_reports_is_understood_with_the_next() -> None:
    links = [link(0, *ANCHORS), link(1, report(VIDEO, 0.4), report(AUDIO, 0.4, 20 * MS, offset_ns=3 * NS))]
    assert sound_shifts(links) == ()
    assert sound_shifts([*links, link(2, report(VIDEO, 0.8, offset_ns=3 * NS))]) == (Shift(0, 20 * MS),)


def test_drift_between_the_tracks_is_followed_in_steps_too_small_to_hear() -> None:
    links = [link(0, *ANCHORS)]
    links += [link(n, report(VIDEO, 0.4 * n), report(AUDIO, 0.4 * n, n * MS)) for n in range(1, 100)]
    shifts = sound_shifts(links)
    assert len(shifts) < 20
    assert all(abs(offset_at(shifts, STEP * n) - n * MS) <= MIN_CHANGE_NS for n in range(1, 100))


def test_sound_that_pauses_is_moved_from_where_it_goes_on() -> None:
    links = [link(0, *ANCHORS), link(1, sound=False), link(2, report(VIDEO, 0.8), report(AUDIO, 0.8, 70 * MS), sound=False)]
    assert sound_shifts([*links, link(3)]) == (Shift(0, 70 * MS),)


def test_reports_that_say_something_else_each_second_are_bounded() -> None:
    links = [link(0, *ANCHORS)]
    links += [link(n, report(VIDEO, 0.4 * n), report(AUDIO, 0.4 * n, n % 2 * NS // 10)) for n in range(1, MAX_SHIFTS + 99)]
    assert len(sound_shifts(links)) == MAX_SHIFTS


_clocks = st.builds(
    ClockMap,
    st.sampled_from([VIDEO, AUDIO, 7]),
    st.sampled_from(SyncSource),
    st.integers(0, (1 << 64) - 1),
    st.just(0),
    st.integers(0, (1 << 64) - 1),
    st.integers(-NS, NS),
    st.just(0),
)


@given(st.lists(st.tuples(st.lists(_clocks, max_size=3), st.booleans()), max_size=20))
def test_any_clocks_give_ascending_changing_and_bounded_shifts(script: list[tuple[list[ClockMap], bool]]) -> None:
    shifts = sound_shifts(link(n, *clocks, sound=sound) for n, (clocks, sound) in enumerate(script))
    times = [shift.since for shift in shifts]
    offsets = [0, *(shift.offset_ns for shift in shifts)]
    assert times == sorted(set(times))
    assert all(before != after for before, after in zip(offsets, offsets[1:], strict=False))
    assert all(abs(offset) <= MAX_OFFSET_NS for offset in offsets)


@given(st.lists(st.tuples(st.integers(-4 * NS, 4 * NS), st.integers(1, 4)), min_size=1, max_size=5))
def test_each_anchor_is_played_by_its_own_true_offset(anchors: list[tuple[int, int]]) -> None:
    """However many links pass until the reports: afterwards all sound since the anchor is where it was captured."""
    links: list[Link] = []
    for offset, later in anchors:
        links.append(link(len(links), *ANCHORS))
        links += [link(len(links) + one) for one in range(later)]
        at = 0.4 * len(links)
        links.append(link(len(links), report(VIDEO, at), report(AUDIO, at, offset)))
    shifts = sound_shifts(links)
    first = 0
    for offset, later in anchors:
        assert all(offset_at(shifts, STEP * number) == offset for number in range(first, first + later + 2))
        first += later + 2


def correction(*points: tuple[int, float, int, bool]) -> Correction:
    """Points as (track, seconds, milliseconds, gradual)."""
    return Correction(
        tuple(
            Point(track, SyncSource.ARRIVAL, round(seconds * (90_000 if track == VIDEO else 48_000)), moved * MS, gradual)
            for track, seconds, moved, gradual in points
        )
    )


def moves(*bodies: Link | Correction) -> Moves:
    return moves_of(lambda: bodies)


def test_a_correction_moves_its_track_evenly_between_two_points() -> None:
    found = moves(link(0), link(1), correction((VIDEO, 0, 0, False), (VIDEO, 10, 500, True)))
    seen = [found.at(TrackKind.VIDEO, seconds * 90_000) // MS for seconds in (0, 5, 10, 20)]
    assert seen == [0, 250, 500, 500]
    assert found.at(TrackKind.AUDIO, 240_000) == 0


def test_a_later_point_takes_away_those_at_its_time_and_after_it() -> None:
    found = moves(link(0), correction((VIDEO, 0, 0, False), (VIDEO, 10, 500, True)), correction((VIDEO, 4, 80, False)))
    assert [found.at(TrackKind.VIDEO, seconds * 90_000) // MS for seconds in (2, 4, 12)] == [0, 80, 80]


def test_a_point_of_a_track_without_media_is_ignored() -> None:
    assert moves(link(0), correction((7, 0, 90, False))) == Moves()


def test_reports_lay_sound_beside_a_picture_that_was_corrected() -> None:
    """Stamps of the picture run 20 % fast: its report says 5 s where 6 s were decoded.  Corrected, nothing is left to move."""
    reports = (report(VIDEO, 6.0, late_ns=-NS), report(AUDIO, 5.0))
    found = moves(link(0, *ANCHORS), link(1, *reports), correction((VIDEO, 0, 0, False), (VIDEO, 6, -1000, True)))
    assert found.lips == ()
    assert moves(link(0, *ANCHORS), link(1, *reports)).lips[0].offset_ns == NS


def test_a_straight_line_of_points_is_thinned_to_its_ends() -> None:
    line = [Shift(0, 0), *(Shift(n * 1000, n * 10 * MS, gradual=True) for n in range(1, 90))]
    bent = [*line, *(Shift(90_000 + n * 1000, 890 * MS, gradual=True) for n in range(5))]
    assert thinned(line, MS) == [line[0], line[-1]]
    assert len(thinned(bent, MS)) <= 4
    kept = thinned(bent, MS)
    assert all(abs(offset_at(kept, shift.since) - shift.offset_ns) <= MS for shift in bent)
    assert thinned([], MS) == []
