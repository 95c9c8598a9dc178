"""Gaps before one fragment become few records, and what they say adds up."""

from hypothesis import given
from hypothesis import strategies as st

from relay.record.gaps import LONG_NS, MAX_LONG, SECOND, GapSums, MediaGap

gaps = st.builds(
    MediaGap,
    st.integers(0, 10 * SECOND),
    st.integers(0, 2 * SECOND),
    st.sampled_from([None, 1, 2]),
    st.sampled_from(["radio", "clock"]),
    st.just("3 packets"),
)


@given(st.lists(gaps, max_size=60))
def test_lengths_add_up_by_track_and_cause_and_the_records_are_few(found: list[MediaGap]) -> None:
    sums = GapSums()
    for gap in found:
        sums.add(gap)
    taken = sums.take()
    assert sums.take() == []
    for key in {(gap.track, gap.cause) for gap in found}:
        of_key = [gap for gap in taken if (gap.track, gap.cause) == key]
        assert 1 <= len(of_key) <= MAX_LONG + 1
        assert sum(gap.length for gap in of_key) == sum(gap.length for gap in found if (gap.track, gap.cause) == key)


def test_one_gap_stays_as_it_is_and_many_say_how_many_they_are() -> None:
    sums = GapSums()
    first = MediaGap(5 * SECOND, SECOND // 20, 1, "radio", "3 packets")
    sums.add(first)
    assert sums.take() == [first]
    for number in range(4):
        sums.add(first._replace(start=first.start + number * SECOND // 10, detail=f"{number} packets"))
    (summed,) = sums.take()
    assert summed == (5 * SECOND, SECOND // 5, 1, "radio", "4 gaps within 0.3 s, the first: 0 packets")


def test_long_gaps_stay_records_of_their_own_beside_the_short_ones() -> None:
    sums = GapSums()
    long = [MediaGap(number * SECOND, LONG_NS + 1, 1, "radio", "long") for number in range(2)]
    for gap in (long[0], MediaGap(0, 10, 1, "radio", "short"), long[1], MediaGap(0, 20, 1, "radio", "short")):
        sums.add(gap)
    assert [gap.length for gap in sums.take()] == [LONG_NS + 1, 30, LONG_NS + 1]
