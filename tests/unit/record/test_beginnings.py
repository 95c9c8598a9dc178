"""Where a recording begins whose camera sends no IDR."""

import pytest

from relay.record.assemble import Sample
from relay.record.beginnings import PATIENCE_NS, Beginnings, Start
from relay.record.cut import Fragment
from relay.record.gaps import MediaGap
from relay.record.line import KeyframeRequest, Line, LineSettings, Output, TappedStream
from relay.rtp.parameter_sets import ParameterSets, Sets
from tests.support.rtp_source import rtp

SECOND = 1_000_000_000
SPS, PPS = bytes.fromhex("6742c01fda014016e840000003004000000c83c60ca8"), b"\x68\xce\x3c\x80"
I_PICTURE, P_PICTURE = b"\x61\x88\x80", b"\x61\x9a\x80"
RECOVERY = b"\x06\x06\x01\x30\x80"
"""A recovery point, after 5 pictures."""
STEP = 3600
"""Ticks: 25 pictures a second."""


def sample(number: int, *units: bytes, key: bool = False) -> Sample:
    data = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
    return Sample(number * STEP, number * SECOND // 25, data, key, 0, Sets((SPS,), (PPS,)) if key else None)


def at(number: int) -> int:
    return number * SECOND // 25


def test_a_recovery_point_is_taken_at_once_and_an_i_picture_only_where_nothing_better_came() -> None:
    sets, rules = ParameterSets((SPS, PPS)), Beginnings()

    def of(number: int, *units: bytes) -> Start | None:
        return rules.of(sample(number, *units), sets, wanted=True, kept_anyway=False, now=at(number))

    assert of(0, P_PICTURE) is None
    assert of(1, I_PICTURE) is None
    start = of(2, RECOVERY, P_PICTURE)
    assert start is not None
    assert (start.is_key, start.incomplete, start.sets) == (False, 5 * STEP, Sets((SPS,), (PPS,)))
    late = 3 + 25 * PATIENCE_NS // SECOND
    assert of(3, I_PICTURE) is None
    start = of(late, I_PICTURE)
    assert start is not None
    assert (start.is_key, start.incomplete) == (False, 0)


def test_an_idr_is_waited_for_where_pictures_are_kept_anyway() -> None:
    sets, rules = ParameterSets((SPS, PPS)), Beginnings()

    def of(number: int, *units: bytes) -> Start | None:
        return rules.of(sample(number, *units), sets, wanted=True, kept_anyway=True, now=at(number))

    assert of(0, RECOVERY, P_PICTURE) is None
    assert of(25, RECOVERY, P_PICTURE) is None
    start = of(50, RECOVERY, P_PICTURE)
    assert start is not None
    assert not start.is_key


def test_no_beginning_is_looked_for_where_none_is_wanted() -> None:
    rules = Beginnings()
    assert rules.of(sample(0, RECOVERY, P_PICTURE), ParameterSets(), wanted=False, kept_anyway=True, now=0) is None
    start = rules.of(sample(0, b"\x65\x88", key=True), ParameterSets(), wanted=False, kept_anyway=True, now=0)
    assert start is not None
    assert start.is_key


def recorded(pictures: int, units: list[bytes], every: int) -> list[Output]:
    """Record pictures of a camera that sends `units` before every so-many-th one, and never an IDR; 3 s make a segment."""
    line = Line(LineSettings(segment_ns=3 * SECOND), 0)
    out = line.open([TappedStream(5, 1, (SPS, PPS))], 0)
    sequence = 0
    for number in range(pictures):
        payloads = [*(units if number % every == 2 else []), P_PICTURE]
        for payload in payloads:
            out += line.packets(
                [(at(number), rtp(96, sequence, number * STEP, 5, payload is payloads[-1], payload))], at(number)
            )
            sequence += 1
    return out + line.close()


def test_a_camera_without_an_idr_is_recorded_in_segments_that_begin_at_recovery_points() -> None:
    out = recorded(500, [RECOVERY], 25)
    fragments = [item for item in out if isinstance(item, Fragment)]
    assert sum(len(fragment.video) for fragment in fragments) == 498
    opening = [fragment for fragment in fragments if fragment.opens]
    assert [fragment.video[0].keyframe for fragment in opening] == [True] * len(opening)
    lengths = [later.video[0].time - sooner.video[0].time for sooner, later in zip(opening, opening[1:], strict=False)]
    assert all(3 * 90_000 <= length <= 7 * 90_000 for length in lengths)
    assert len(lengths) >= 3
    marks = [item for item in out if isinstance(item, MediaGap) and item.cause == "recovery_point"]
    assert [mark.length for mark in marks] == [at(5), *([0] * (len(opening) - 1))]
    assert any(isinstance(item, KeyframeRequest) for item in out)


def test_a_recording_without_any_beginning_keeps_nothing() -> None:
    assert [item for item in recorded(100, [], 25) if isinstance(item, Fragment)] == []


@pytest.mark.parametrize("claimed", [b"\x06\x06\x04\x00\x00\x00\x00\x80", b"\x06\x06\x05\x00\x00\x20\x00\x01\x80"])
def test_an_absurd_recovery_point_claims_no_absurd_time(claimed: bytes) -> None:
    found = [item for item in recorded(100, [claimed], 25) if isinstance(item, MediaGap) and item.cause == "recovery_point"]
    assert all(mark.length <= 3600 * SECOND for mark in found)
