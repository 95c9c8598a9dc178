"""Fragments for a player: the sound is moved as the chain's sender reports say, and no other byte is changed."""

from dataclasses import replace

import pytest

from relay.archive.hls import runs
from relay.archive.moved import move_tracks
from relay.evidence.lipsync import Moves, Shift
from relay.evidence.records import Link, TrackKind
from relay.evidence.samples import track_parts
from tests.support.recordings import AUDIO, VIDEO, Samples, build, fragment, init_segment

MS = 1_000_000
PARTS = [Samples(VIDEO, 180_000, 3_000, (b"picture",)), Samples(AUDIO, 96_000, 960, (b"sound", b"more"))]


def _fragment() -> tuple[bytes, Link]:
    data = fragment(1, PARTS)
    link = next(record.body for record in build("SIPE").records() if isinstance(record.body, Link) and record.body.tracks)
    return data, replace(link, tracks=tuple(track_parts(init_segment(), data)))


def _first(data: bytes) -> dict[TrackKind, int]:
    return {part.kind: part.first for part in track_parts(init_segment(), data)}


def test_fragment_of_a_recording_without_reports_is_sent_as_it_was_sealed() -> None:
    data, link = _fragment()
    assert move_tracks(data, link, Moves()) is data


@pytest.mark.parametrize(
    ("shifts", "picture", "sound"),
    [
        ((Shift(0, 100 * MS),), 0, 4_800),
        ((Shift(96_000, 100 * MS),), 0, 4_800),
        ((Shift(96_001, 100 * MS),), 0, 0),
        ((Shift(0, -100 * MS),), 9_000, 0),
        ((Shift(0, -100 * MS), Shift(50_000, 20 * MS)), 9_000, 5_760),
    ],
)
def test_only_where_the_tracks_begin_is_changed(shifts: tuple[Shift, ...], picture: int, sound: int) -> None:
    data, link = _fragment()
    moved = move_tracks(data, link, Moves(lips=shifts))
    assert _first(moved) == {TrackKind.VIDEO: 180_000 + picture, TrackKind.AUDIO: 96_000 + sound}
    assert [part.digest for part in track_parts(init_segment(), moved)] == [part.digest for part in link.tracks]
    assert sum(old != new for old, new in zip(data, moved, strict=True)) <= 16


@pytest.mark.parametrize(("segments", "said"), [((), ""), ((3,), "3"), ((0, 1, 2, 7), "0-2,7"), ((5, 4, 9, 8), "4-5,8-9")])
def test_served_segments_are_written_in_runs(segments: tuple[int, ...], said: str) -> None:
    assert runs(segments) == said
