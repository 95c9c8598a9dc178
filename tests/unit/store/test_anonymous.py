"""Nobody outside can fill the journal, and nothing that was counted is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from relay.store.anonymous import DAY_NS, ENTRIES_PER_DAY, MINUTE_NS, SOURCES_PER_MINUTE, AnonymousRefusals

START = 20_000 * DAY_NS


def _total(entries: list[dict[str, str | int | bool | None]]) -> int:
    return sum(int(entry["count"] or 0) for entry in entries)


def test_one_entry_per_source_and_minute_with_its_count() -> None:
    refusals = AnonymousRefusals()
    for source in ("10.0.0.1", "10.0.0.1", "10.0.0.2"):
        refusals.count(source, "whip", START)
    assert list(refusals.take_due(START + MINUTE_NS - 1)) == []
    entries = list(refusals.take_due(START + MINUTE_NS))
    assert [entry["count"] for entry in entries] == [2, 1]
    assert all("10.0.0" not in str(entry) for entry in entries)
    assert list(refusals.take_due(START + MINUTE_NS)) == []


def test_beyond_sixteen_sources_a_minute_the_rest_share_one_entry() -> None:
    refusals = AnonymousRefusals()
    for number in range(1000):
        refusals.count(f"10.0.{number // 256}.{number % 256}", "whip", START)
    entries = list(refusals.take_due(START + MINUTE_NS))
    assert len(entries) == SOURCES_PER_MINUTE + 1
    assert _total(entries) == 1000


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 120)), max_size=400))
def test_every_refusal_is_counted_exactly_once(steps: list[tuple[int, int]]) -> None:
    refusals, now, entries = AnonymousRefusals(), START, []
    for source, seconds in steps:
        now += seconds * 1_000_000_000
        entries += list(refusals.take_due(now))
        refusals.count(str(source), "door", now)
    entries += list(refusals.take_due(now + MINUTE_NS))
    assert _total(entries) == len(steps)


def test_a_day_of_attack_writes_a_bounded_number_of_entries_and_still_counts_all() -> None:
    refusals, entries, noted = AnonymousRefusals(), [], 0
    for minute in range(24 * 60):
        for source in range(20):
            refusals.count(f"{minute}-{source}", "door", START + minute * MINUTE_NS)
            noted += 1
        entries += list(refusals.take_due(START + minute * MINUTE_NS))
    entries += list(refusals.take_due(START + DAY_NS))
    assert len(entries) <= ENTRIES_PER_DAY + 25
    assert _total(entries) == noted
