"""Gaps and clocks: which gaps are explained, which are not, and which are only the cadence of frames."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from relay.evidence.continuity import Continuity, Scope
from relay.evidence.findings import FindingCollector
from relay.evidence.records import Cause, ClockMap, Gap, Link, SyncSource, TrackKind, TrackPart
from relay.evidence.statement import Statement

S = 1_000_000_000
T0 = 1_767_225_600 * S


def link(number: int, at: float, *, video: float | None = None, audio: float | None = None, suspect: bool = False) -> Link:
    """A fragment of 0.4 s that arrived at `at` seconds; tracks begin at the given seconds of media time (`at` by default)."""
    parts = (
        TrackPart(1, TrackKind.VIDEO, 12, bytes(32), round((at if video is None else video) * 90_000), 36_000),
        TrackPart(2, TrackKind.AUDIO, 20, bytes(32), round((at if audio is None else audio) * 48_000), 19_200),
    )
    start = T0 + round(at * S)
    return Link(number, 0, False, 0, 1, 1, bytes(32), bytes(32), parts, start, S * 2 // 5, clock_suspect=suspect)


def gap(seconds: float, track: int | None = None, cause: Cause = Cause.RADIO) -> Gap:
    return Gap(T0, round(seconds * S), track, cause)


def findings_of(*events: Link | Gap, statement: Statement | None = None) -> list[str]:
    """Return the findings against a recording of these events."""
    collector = FindingCollector()
    continuity = Continuity(collector, Scope(statement))
    for event in events:
        feed: Callable[..., None] = continuity.gap if isinstance(event, Gap) else continuity.link
        feed(event)
    continuity.finish(9)
    return [f"{finding.code.name.lower()}@{finding.fragment}" for finding in collector.findings]


def test_a_steady_recording_has_nothing_to_explain() -> None:
    assert findings_of(*[link(n, n * 0.4) for n in range(50)]) == []


def test_a_slow_cadence_is_no_hole() -> None:
    assert findings_of(link(0, 0), link(1, 1.3), link(2, 2.6)) == []


def test_a_hole_in_one_track_alone_is_seen() -> None:
    assert findings_of(link(0, 0), link(1, 0.4), link(2, 0.8, audio=2.5)) == ["gap_unexplained@2"]


def test_a_gap_of_another_track_explains_nothing() -> None:
    assert findings_of(link(0, 0), gap(3, track=1), link(1, 0.4, audio=3.4)) == ["gap_unexplained@1"]


def test_a_gap_of_the_same_track_explains_it() -> None:
    assert findings_of(link(0, 0), gap(3, track=2), link(1, 0.4, audio=3.4)) == []


def test_gaps_add_up() -> None:
    assert findings_of(link(0, 0), gap(2), gap(2, cause=Cause.DISK), link(1, 4.4)) == []
    assert findings_of(link(0, 0), gap(2), gap(1), link(1, 5.4)) == ["gap_unexplained@1"]


def test_a_gap_explains_only_the_hole_where_it_stands() -> None:
    assert findings_of(link(0, 0), gap(3), link(1, 0.4), link(2, 4.0)) == ["gap_unexplained@2"]


def test_a_gap_of_unknown_cause_is_not_an_explanation() -> None:
    assert findings_of(link(0, 0), gap(0.1, cause=Cause.UNKNOWN), link(1, 0.5)) == ["gap_unexplained@1"]


def test_a_gap_before_the_end_is_reported_too() -> None:
    assert findings_of(link(0, 0), gap(0.1, cause=Cause.UNKNOWN)) == ["gap_unexplained@10"]


def test_media_three_times_slower_than_its_arrival_is_retimed() -> None:
    links = [link(n, n * 0.4, video=n * 1.2, audio=n * 1.2) for n in range(12)]
    stretched = [replace(one, tracks=tuple(replace(p, duration=p.duration * 3) for p in one.tracks)) for one in links]
    assert findings_of(*stretched) == ["retimed@7"]


def test_drift_between_gaps_is_judged_apart() -> None:
    first = [link(n, n * 0.4) for n in range(3)]
    after = [link(n, n * 0.4 + 60, video=n * 0.4 + 1, audio=n * 0.4 + 1) for n in range(3, 6)]
    assert findings_of(*first, gap(60), *after) == []


@pytest.mark.parametrize(("suspect", "wanted"), [(False, ["clock_back@1", "retimed@1"]), (True, [])])
def test_a_clock_that_goes_back_is_reported_unless_declared(suspect: bool, wanted: list[str]) -> None:
    links = [link(0, 3600), link(1, 0.4, video=3600.4, audio=3600.4, suspect=suspect)]
    links += [link(2, 0.8, video=3600.8, audio=3600.8, suspect=suspect)]
    assert findings_of(*links) == wanted


def test_a_track_that_no_sender_report_ever_tied_is_noted() -> None:
    def clock(track: int, source: SyncSource) -> ClockMap:
        return ClockMap(track, source, T0, 0, 0, 0, 0)

    continuity = Continuity(FindingCollector(), Scope(None))
    continuity.link(replace(link(0, 0), clocks=(clock(1, SyncSource.ARRIVAL), clock(2, SyncSource.ARRIVAL))))
    continuity.link(replace(link(1, 0.4), clocks=(clock(2, SyncSource.SENDER_REPORT),)))
    continuity.finish(1)
    assert [(note.code.name, note.fragment, note.values) for note in continuity.collector.notes] == [
        ("SYNC_BY_ARRIVAL", 0, (("track", "video"),))
    ]


@pytest.mark.parametrize(
    ("reported", "wanted"), [((1, 4), []), ((1,), [3]), ((4,), [0]), ((), [0, 3])], ids=["both", "first", "second", "neither"]
)
def test_each_anchor_that_no_report_followed_is_noted_with_its_fragment(reported: tuple[int, ...], wanted: list[int]) -> None:
    continuity = Continuity(FindingCollector(), Scope(None))
    for number in range(6):
        source = SyncSource.ARRIVAL if number in (0, 3) else SyncSource.SENDER_REPORT
        clocks = (ClockMap(1, source, T0, 0, 0, 0, 0),) if number in (0, 3, *reported) else ()
        continuity.link(replace(link(number, 0.4 * number), clocks=clocks))
    continuity.finish(5)
    assert [note.fragment for note in continuity.collector.notes if note.code.name == "SYNC_BY_ARRIVAL"] == wanted


@pytest.mark.parametrize(
    ("first", "last", "from_s", "to_s", "wanted"),
    [
        (0, 3, 0.0, 6.0, ["gap_unexplained@2"]),
        (2, 3, 4.8, 6.0, []),
        (2, 3, 3.0, 6.0, ["gap_unexplained@2"]),
        (0, 1, 0.0, 0.8, []),
        (0, 1, 0.0, 2.0, ["gap_unexplained@2"]),
    ],
)
def test_only_holes_that_the_interval_touches_are_judged(
    first: int, last: int, from_s: float, to_s: float, wanted: list[str]
) -> None:
    statement = Statement("r", bytes(32), T0 + round(from_s * S), T0 + round(to_s * S), first, last, 0, bytes(32))
    assert findings_of(link(0, 0), link(1, 0.4), link(2, 4.8), link(3, 5.2), statement=statement) == wanted


def test_a_fragment_of_the_interval_left_out_is_noticed() -> None:
    statement = Statement("r", bytes(32), T0, T0 + 2 * S, 0, 1, 0, bytes(32))
    assert Scope(statement).omits(link(2, 1.0))
    assert not Scope(statement).omits(link(2, 2.0))
    assert not Scope(statement).omits(link(1, 1.0))
