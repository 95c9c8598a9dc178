"""Clocks that lie: the sum of a drift is measured against arrival and corrected, the delays of a network are not."""

import random
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.record.drift import LIMIT_NS, Drifts, Moved, lower_hull, simplified
from relay.record.drift import _Bucket as Bucket
from relay.record.line import Line, LineSettings, MediaGap, TappedStream
from relay.record.timeline import SECOND, Fix
from tests.support.copies import pictures
from tests.support.rtp_source import AUDIO_SSRC, VIDEO_SSRC, h264_payloads, rtp

VIDEO, AUDIO = 1, 2
RATES = {VIDEO: 90_000, AUDIO: 48_000}
UTC = 1_767_225_600 * SECOND
Course = Callable[[float], float]


def true(at: float) -> float:
    """A clock that tells the time."""
    return at


def none(_: float) -> float:
    """No delay besides the jitter."""
    return 0.0


@dataclass
class Scene:
    """A camera whose tracks stamp what they send by clocks of their own, and the path by which it comes."""

    seconds: int
    clocks: dict[int, Course] = field(default_factory=dict)
    delays: dict[int, Course] = field(default_factory=dict)
    jitter: float = 0.08
    reports: bool = False
    tracks: tuple[int, ...] = (VIDEO, AUDIO)
    points: list[Moved] = field(default_factory=list)
    sent: dict[int, list[tuple[int, float]]] = field(default_factory=lambda: {VIDEO: [], AUDIO: []})
    """Decode time (ticks) and true time (s) of each sample."""

    def play(self) -> "Scene":
        """Let everything arrive."""
        chance, drifts, last = random.Random(7), Drifts(0), dict.fromkeys(RATES, 0.0)
        for track in self.tracks:
            drifts.anchor(track, RATES[track])
        for number in range(self.seconds * 25):
            at = number / 25
            if self.reports and number % 125 == 25:
                for track in self.tracks:
                    drifts.report(track, self._fix(track, at))
            for track in self.tracks:
                time = int(self.clocks.get(track, true)(at) * RATES[track])
                late = 0.05 + self.delays.get(track, none)(at) + chance.random() ** 3 * self.jitter
                last[track] = max(last[track], at + late)
                drifts.sample(track, time, int(last[track] * SECOND))
                self.sent[track].append((time, at))
            self.points += drifts.take()
        self.points += drifts.finish()
        return self

    def _fix(self, track: int, at: float) -> Fix:
        time = int(self.clocks.get(track, true)(at) * RATES[track])
        return Fix(True, UTC + int(at * SECOND), time & 0xFFFFFFFF, time, 0, 0)

    def errors(self, track: int) -> tuple[float, float]:
        """Return how far before and after its true time (s) what is moved is shown."""
        kept: list[Moved] = []
        for point in self.points:
            if point.track == track:
                kept = [*(one for one in kept if one.time < point.time), point]
        found = [time / RATES[track] + moved(kept, time) / SECOND - at for time, at in self.sent[track]]
        return min(found), max(found)


def moved(points: list[Moved], time: int) -> int:
    """Return by how many ns what has this decode time (ticks) is moved, as FORMAT.md §7.7 says."""
    number = bisect_right([point.time for point in points], time)
    if not number:
        return 0
    before = points[number - 1]
    if number == len(points) or not points[number].gradual:
        return before.moved_ns
    after = points[number]
    return before.moved_ns + (after.moved_ns - before.moved_ns) * (time - before.time) // (after.time - before.time)


@pytest.mark.parametrize("jitter", [0.02, 0.4, 1.5])
def test_an_honest_camera_is_not_moved_whatever_the_jitter(jitter: float) -> None:
    assert Scene(300, jitter=jitter).play().points == []


@pytest.mark.parametrize(
    ("name", "pace", "seconds"),
    [
        ("1 % fast for 20 minutes", 1.01, 1200),
        ("1 % slow for 20 minutes", 0.99, 1200),
        ("25 fps stamps at 21 fps for a minute", 21 / 25, 60),
        ("stamps of twice the rate", 2.0, 60),
        ("stamps of half the rate", 0.5, 60),
    ],
)
@pytest.mark.parametrize("track", [VIDEO, AUDIO])
@pytest.mark.parametrize("reports", [False, True])
def test_a_track_whose_clock_lies_is_brought_back_to_the_time_that_passed(
    name: str, pace: float, seconds: int, track: int, *, reports: bool
) -> None:
    scene = Scene(seconds, {track: lambda at: at * pace}, reports=reports).play()
    early, late = scene.errors(track)
    assert (early > -1.0, late < 0.5) == (True, True), name
    assert {point.track for point in scene.points} == {track}
    assert len(scene.points) <= seconds / 5 + 20


def test_without_correction_the_same_clocks_would_be_seconds_apart() -> None:
    scene = Scene(1200, {VIDEO: lambda at: at * 1.01})
    scene.play().points.clear()
    assert scene.errors(VIDEO)[1] > 11.9


def test_a_camera_that_films_at_night_only_is_corrected_at_night_only() -> None:
    night: Course = lambda at: at if at < 200 else 200 + (at - 200) * 0.84 if at < 400 else at - 32  # noqa: E731
    early, late = Scene(600, {VIDEO: night}).play().errors(VIDEO)
    assert early > -0.5
    assert late < 0.5


def test_a_crystal_of_100_ppm_is_corrected_once_it_is_half_a_second() -> None:
    scene = Scene(2 * 3600, {VIDEO: lambda at: at * 1.0001}, jitter=0.02).play()
    assert scene.points
    assert scene.errors(VIDEO)[1] < 0.5 + 0.1
    assert len(scene.points) < 100


def test_a_full_path_delays_both_tracks_and_moves_neither() -> None:
    full: Course = lambda at: 2.0 if 100 < at < 160 else 0.0  # noqa: E731
    assert Scene(300, delays={VIDEO: full, AUDIO: full}).play().points == []


def test_a_sender_that_holds_its_pictures_back_is_believed_where_its_reports_say_so() -> None:
    held: Course = lambda at: 1.0 if 100 < at < 160 else 0.0  # noqa: E731
    assert Scene(300, delays={VIDEO: held}, reports=True).play().points == []


def test_a_track_alone_that_runs_slow_is_corrected_after_two_minutes() -> None:
    early, late = Scene(600, {VIDEO: lambda at: at * 0.99}, tracks=(VIDEO,)).play().errors(VIDEO)
    assert early > -0.5
    assert late < 0.5


def test_both_clocks_that_lie_alike_stay_together() -> None:
    scene = Scene(1200, {VIDEO: lambda at: at * 1.01, AUDIO: lambda at: at * 1.01}).play()
    assert all(early > -0.5 and late < 0.5 for early, late in (scene.errors(track) for track in RATES))


def test_a_new_anchor_ends_the_correction() -> None:
    drifts = Drifts(0)
    drifts.anchor(VIDEO, 90_000)
    for number in range(1000):
        drifts.sample(VIDEO, round(number * 3600 * 1.1), number * SECOND // 25)
    before = drifts.take()
    drifts.anchor(VIDEO, 90_000)
    drifts.sample(VIDEO, 9_000_000, 100 * SECOND)
    assert before[-1].moved_ns < -LIMIT_NS
    assert drifts.take()[-1] == Moved(VIDEO, 9_000_000, 0, gradual=False)


def test_what_began_too_early_is_moved_from_its_beginning_on() -> None:
    drifts = Drifts(0)
    drifts.anchor(VIDEO, 90_000)
    for number in range(100):
        drifts.sample(VIDEO, 90_000 * 3 + number * 3600, number * SECOND // 25)
    first = drifts.take()[0]
    assert (first.time, first.gradual) == (270_000, False)
    assert abs(first.moved_ns + 3 * SECOND) < SECOND // 10


def test_a_report_of_a_track_that_is_not_there_is_ignored() -> None:
    Drifts(0).report(VIDEO, Fix(True, UTC, 0, 0, 0, 0))


BUCKETS = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(-(10**9), 10**9)), min_size=1, max_size=60, unique_by=lambda pair: pair[0]
)


@given(BUCKETS)
@settings(max_examples=200)
def test_the_hull_lies_below_every_bucket_and_bends_upwards(pairs: list[tuple[int, int]]) -> None:
    points = [Bucket(*pair) for pair in sorted(pairs)]
    hull = lower_hull(points)
    assert (hull[0], hull[-1]) == (points[0], points[-1])
    slopes = [(after.late - before.late) / (after.time - before.time) for before, after in pairwise(hull)]
    assert slopes == sorted(slopes)
    for point in points:
        over = [(before, after) for before, after in pairwise(hull) if before.time <= point.time <= after.time]
        assert all(
            point.late >= before.late + (after.late - before.late) * (point.time - before.time) / (after.time - before.time) - 1
            for before, after in over
        )
    assert len(simplified(hull)) <= 18


@pytest.mark.parametrize("fps", [6, 12, 21, 25, 30])
def test_stamps_of_25_fps_make_no_false_gap_whatever_the_true_rate(fps: int) -> None:
    """A camera that films 6 pictures a second in the dark and stamps 25 falls behind by 46 s in a minute."""
    line = Line(LineSettings(), 0)
    gaps: list[MediaGap] = []
    line.open([TappedStream(VIDEO_SSRC, VIDEO), TappedStream(AUDIO_SSRC, AUDIO)], 0)
    payloads, sound = h264_payloads(pictures(1, in_band=True).units[0]), bytes([0x78, 1, 2])
    numbers = {VIDEO: 0, AUDIO: 0}
    for at in range(0, 60 * SECOND, 20_000_000):
        packets = [(at, rtp(111, numbers[AUDIO], at * 48_000 // SECOND, AUDIO_SSRC, False, sound))]
        numbers[AUDIO] += 1
        if at * fps // SECOND != (at - 20_000_000) * fps // SECOND:
            stamp = (at * fps // SECOND) * 3600
            for place, payload in enumerate(payloads):
                marker = place == len(payloads) - 1
                packets.append((at, rtp(102, numbers[VIDEO], stamp, VIDEO_SSRC, marker, payload)))
                numbers[VIDEO] += 1
        gaps += [item for item in line.packets(packets, at) if isinstance(item, MediaGap)]
    assert sum(gap.length for gap in gaps) == 0
    assert any(moved.track == VIDEO for moved in line.drifts.finish()) == (fps != 25)
