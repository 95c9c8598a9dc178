"""Decode times of pictures that are shown in another order: none is decoded after it is shown, and times rise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.record.decode_times import DecodeTimes

FRAME = 3000


def coded(count: int, b_pictures: int, *, pyramid: bool = False) -> list[tuple[int, bool]]:
    """Return (place in the order of showing, whether it is a B picture) in the order of decoding."""
    out = [(0, False)]
    for at in range(b_pictures + 1, count, b_pictures + 1):
        between = list(range(at - b_pictures, at))
        if pyramid:
            middle = between.pop(len(between) // 2)
            between.insert(0, middle)
        out += [(at, False), *((place, True) for place in between)]
    return out


def leads(times: DecodeTimes, pictures: list[tuple[int, bool]], since: int = 0) -> list[tuple[int, int]]:
    """Return (shown, decoded) of each picture."""
    out = []
    for place, is_b in pictures:
        shown = since + place * FRAME
        out.append((shown, shown - times.take(shown, reordered=is_b and times.goes_back(shown))))
    return out


@pytest.mark.parametrize(
    ("b_pictures", "pyramid", "frames"), [(1, False, 1), (2, False, 1), (3, False, 1), (3, True, 2), (4, True, 2)]
)
def test_a_stream_that_states_its_order_decodes_each_picture_in_time(b_pictures: int, pyramid: bool, frames: int) -> None:
    times = DecodeTimes()
    times.state(frames)
    found = leads(times, coded(60, b_pictures, pyramid=pyramid))
    assert all(decoded <= shown for shown, decoded in found)
    assert all(late > early for (_, early), (_, late) in zip(found, found[1:], strict=False))


@pytest.mark.parametrize(("b_pictures", "pyramid", "frames"), [(1, False, 1), (3, False, 1), (3, True, 2)])
def test_an_order_that_is_not_stated_is_learned_from_the_first_b_pictures(b_pictures: int, pyramid: bool, frames: int) -> None:
    times = DecodeTimes()
    found = leads(times, coded(60, b_pictures, pyramid=pyramid))
    assert times.frames == frames
    assert all(decoded <= shown for shown, decoded in found[8:])


def test_pictures_that_are_shown_as_they_come_are_decoded_when_they_are_shown() -> None:
    times = DecodeTimes()
    times.state(0)
    assert [times.take(at * FRAME) for at in range(100)] == [0] * 100
    assert times.take(3 * FRAME) == 0, "a clock that goes back without B pictures is no order"
    assert times.frames == 0


def test_after_a_leap_of_the_clock_the_order_begins_anew() -> None:
    times = DecodeTimes()
    times.state(2)
    leads(times, coded(30, 2))
    for since in (10_000_000, 0):
        found = leads(times, coded(30, 2), since)
        assert all(since - 2 * FRAME <= decoded <= shown for shown, decoded in found)


@given(st.lists(st.tuples(st.integers(-(1 << 33), 1 << 33), st.booleans()), max_size=60), st.integers(0, 40))
def test_any_timestamps_cost_little_and_lead_by_less_than_a_leap(pictures: list[tuple[int, bool]], frames: int) -> None:
    times = DecodeTimes()
    times.state(frames)
    for timestamp, is_b in pictures:
        times.take(timestamp, reordered=is_b and times.goes_back(timestamp))
    assert times.frames <= 16
