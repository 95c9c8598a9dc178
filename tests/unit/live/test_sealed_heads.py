"""Heads in control's memory: the newest of each recording, entered once a minute where there is news, bounded."""

from typing import Any, cast

import pytest

from relay.archive.heads import MAX_PER_ENTRY, Heads
from relay.base.counters import Counters
from relay.base.errors import OurError
from relay.channel.messages import RecordingClosed, RecordingReport
from relay.evidence.heads import SealedHead
from relay.live import sealed_heads
from relay.live.sealed_heads import SealedHeads


class Entries:
    """What would be entered, in place of the journal."""

    def __init__(self) -> None:
        self.made: list[tuple[int, list[str]]] = []
        self.rows: dict[str, SealedHead] = {}
        self.refuses = False

    async def enter(self, index: int, heads: list[SealedHead]) -> None:
        if self.refuses:
            raise OurError("no room")
        self.made.append((index, [head.recording for head in heads]))

    async def newest(self, names: Any) -> dict[str, SealedHead]:
        return {name: self.rows[name] for name in names if name in self.rows}


def made() -> tuple[SealedHeads, Entries, Counters]:
    entries, counters = Entries(), Counters()
    return SealedHeads(cast(Heads, entries), counters), entries, counters


def report(recording: str, records: int = 5, **changes: Any) -> RecordingReport:
    values = {
        "recording": recording,
        "camera": "cam-1",
        "sealed_until_mono": 0.0,
        "links": records - 1,
        "gaps": 0,
        "stored_bytes": 100 * records,
        "state": "recording",
        "head": records.to_bytes(32, "big"),
        "records": records,
        "sealed_until_ns": records * 10**9,
    }
    return RecordingReport(**{**values, **changes})


def closed(recording: str, links: int, reason: str = "stopped") -> RecordingClosed:
    return RecordingClosed(recording, reason, links, bytes(32), 3 * 10**9, False, 0, 0, 0)


async def test_one_entry_a_recorder_and_none_without_news() -> None:
    heads, entries, counters = made()
    for camera in range(40):
        assert heads.note(camera % 2, report(f"r{camera}"))
    await heads.tick()
    assert [(index, len(names)) for index, names in entries.made] == [(0, 20), (1, 20)]
    await heads.tick()
    assert len(entries.made) == 2
    heads.note(1, report("r1", 6))
    await heads.tick()
    assert entries.made[2:] == [(1, ["r1"])]
    assert counters.values["heads_entered"] == 41


async def test_a_recorder_that_comes_and_goes_makes_no_more_than_one_entry_more_a_minute() -> None:
    now = 0.0
    entries = Entries()
    heads = SealedHeads(cast(Heads, entries), Counters(), lambda: now)
    for second in range(130):
        now = float(second)
        heads.note(0, report("r", second + 2))
        await heads.lost(0)
    assert len(entries.made) == 3


async def test_what_the_journal_refused_is_entered_a_minute_later() -> None:
    heads, entries, counters = made()
    heads.note(0, report("r"))
    entries.refuses = True
    await heads.tick()
    entries.refuses = False
    await heads.tick()
    assert entries.made == [(0, ["r"])]
    assert counters.values["heads_failed"] == 1


async def test_an_entry_has_a_bound_and_so_has_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_heads, "MAX_KNOWN", MAX_PER_ENTRY + 10)
    heads, entries, counters = made()
    for number in range(MAX_PER_ENTRY + 13):
        heads.note(0, report(f"r{number}"))
    await heads.tick()
    assert [len(names) for _, names in entries.made] == [MAX_PER_ENTRY, 10]
    assert "r2" not in entries.made[0][1], "the ones that were reported longest ago are forgotten"
    assert counters.values["heads_over"] == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"head": b"short"},
        {"records": 0},
        {"links": 5},
        {"links": -1},
        {"records": 1 << 40, "links": 1},
        {"stored_bytes": 1 << 63},
        {"stored_bytes": -1},
        {"sealed_until_ns": 1 << 63},
        {"sealed_until_ns": -1},
    ],
)
async def test_numbers_that_cannot_be_never_reach_the_database(changes: dict[str, Any]) -> None:
    heads, entries, _ = made()
    assert not heads.note(0, report("r", **changes))
    await heads.tick()
    assert entries.made == []


async def test_a_recorder_that_has_sealed_nothing_yet_says_nothing() -> None:
    heads, entries, _ = made()
    assert heads.note(0, report("r", head=b"", records=0))
    await heads.tick()
    assert entries.made == []


async def test_a_recording_that_ends_with_less_than_was_reported_is_damaged() -> None:
    heads, _, _ = made()
    heads.note(0, report("r", 8))
    end = heads.judged(closed("r", 3))
    assert (end.reason, end.damage) == ("damaged", "missing at its end: 4 fragments, 5.0 s")
    assert heads.judged(closed("r", 3)).reason == "stopped", "it is forgotten with its end"


@pytest.mark.parametrize("links", [7, 9])
async def test_a_recording_that_ends_with_what_was_reported_or_more_is_what_it_is(links: int) -> None:
    heads, entries, _ = made()
    heads.note(0, report("r", 8))
    assert heads.judged(closed("r", links)) == closed("r", links)
    await heads.tick()
    assert entries.made == [], "its end has an entry of its own"


async def test_a_recorder_that_reports_less_than_before_takes_nothing_back() -> None:
    heads, _, _ = made()
    heads.note(0, report("r", 8))
    heads.note(0, report("r", 2))
    (known,) = await heads.known(["r"])
    assert known.records == 8


async def test_a_recorder_is_told_the_newest_that_memory_or_catalogue_know() -> None:
    heads, entries, _ = made()
    entries.rows = {name: SealedHead(name, bytes(32), 0, 6, 0, 1) for name in ("row", "both", "older")}
    heads.note(0, report("memory", 4))
    heads.note(0, report("both", 7))
    heads.note(0, report("older", 5))
    told = {
        head.recording: (head.records, head.links) for head in await heads.known(["row", "memory", "both", "older", "none"])
    }
    assert told == {"row": (0, 6), "memory": (4, 3), "both": (7, 6), "older": (0, 6)}
