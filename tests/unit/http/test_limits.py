"""Token buckets: what one address may do at once and on average, and how many addresses are remembered."""

from hypothesis import given
from hypothesis import strategies as st

from relay.http.limits import Buckets


def test_a_burst_passes_and_the_next_one_waits() -> None:
    buckets = Buckets(rate=2, burst=3)
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b", 0.0) == 0
    assert buckets.take("a", 0.5) == 0


def test_a_clock_that_stands_still_or_goes_back_gives_nothing_away() -> None:
    buckets = Buckets(rate=1, burst=1)
    assert buckets.take("a", 10.0) == 0
    assert buckets.take("a", 5.0) == 1.0


def test_the_number_of_remembered_sources_is_bounded() -> None:
    buckets = Buckets(rate=1, burst=1, max_sources=10)
    for source in range(100):
        buckets.take(str(source), 0.0)
    assert len(buckets) == 10


@given(st.lists(st.floats(0, 5), max_size=60))
def test_never_more_than_burst_plus_rate_times_time(gaps: list[float]) -> None:
    buckets, now, passed = Buckets(rate=3, burst=4), 0.0, 0
    for gap in gaps:
        now += gap
        passed += buckets.take("a", now) == 0
    assert passed <= 4 + 3 * now + 1e-6
