"""A camera that goes on beginning recordings waits, at most five seconds, and never for good."""

from hypothesis import given
from hypothesis import strategies as st

from relay.live import pacing
from relay.live.pacing import FREE, MAX_PAUSE_SECONDS, RecordingPace

STEPS = st.lists(st.tuples(st.sampled_from(["begin", "wait", "forgive"]), st.floats(0, 100)), max_size=60)


def _pauses(count: int) -> list[float]:
    """Begin recordings as fast as the pace lets a camera; return the pause before each."""
    pace, now, pauses = RecordingPace(), 1000.0, []
    for _ in range(count):
        pauses.append(pace.pause("cam", now))
        now += pauses[-1]
        pace.begun("cam", now)
    return pauses


def test_a_second_press_is_free_and_then_the_pause_grows_to_five_seconds() -> None:
    assert _pauses(8) == [0, 0, 1, 2, 4, 5, 5, 5]


def test_a_camera_that_presses_twice_a_minute_never_waits() -> None:
    pace = RecordingPace()
    for at in range(100):
        assert pace.pause("cam", at * 30.0) == 0
        pace.begun("cam", at * 30.0)


def test_what_the_relay_caused_waits_for_nothing_and_does_not_count() -> None:
    pace = RecordingPace()
    for _ in range(6):
        pace.begun("cam", 0.0)
    assert pace.pause("cam", 0.0) == MAX_PAUSE_SECONDS
    pace.forgive("cam")
    assert pace.pause("cam", 0.0) == 0
    pace.begun("cam", 4.0)
    assert pace.pause("cam", 4.0) == MAX_PAUSE_SECONDS - 4.0, "the pause since the last one that counts"


def test_one_camera_does_not_pace_another() -> None:
    pace = RecordingPace()
    for _ in range(6):
        pace.begun("cam", 0.0)
    assert pace.pause("other", 0.0) == 0


@given(STEPS)
def test_no_pause_is_longer_than_five_seconds_and_each_one_ends(steps: list[tuple[str, float]]) -> None:
    pace, now, free = RecordingPace(), 0.0, 0
    for what, seconds in steps:
        if what == "begin":
            pause = pace.pause("cam", now)
            assert 0 <= pause <= MAX_PAUSE_SECONDS
            assert pace.pause("cam", now + pause + 1e-6) == 0
            free += 1
            assert pause == 0 or free > FREE
            now += pause
            pace.begun("cam", now)
        elif what == "forgive":
            pace.forgive("cam")
            assert pace.pause("cam", now) == 0
        else:
            now += seconds


@given(st.floats(0.1, 30), st.integers(2, 200))
def test_however_a_camera_tries_it_begins_few_recordings(every: float, tries: int) -> None:
    pace, begun = RecordingPace(), 0
    for at in range(tries):
        if pace.pause("cam", at * every) == 0:
            pace.begun("cam", at * every)
            begun += 1
    assert begun <= FREE + 3 + tries * every / 2.5


def test_the_table_is_bounded() -> None:
    pace = RecordingPace()
    for number in range(pacing.MAX_CAMERAS + 10):
        pace.begun(f"cam-{number}", 0.0)
    assert len(pace) == pacing.MAX_CAMERAS
