"""FFmpeg is the judge: an accepted copy shows the sealed pictures and sound; a forgery that it obeys shows something else."""

from collections.abc import Callable
from functools import cache

import pytest

from tests.evidence.vectors import VECTORS
from tests.evidence.vectors_copy import FORGED, HONEST, Case, drifted, numbered, reordered, resized, shifted
from tests.support.copies import Shown, derived_copy, recording, sealed_files, shown
from tests.support.recordings import Built

TOLERANCE_MS = 50
"""What the verifier allows."""


@cache
def sealed(make: Callable[[], Built]) -> tuple[list[str], list[str]]:
    """Return the digests of the decoded pictures and sounds of the sealed segments, one after the other."""
    parts = [shown(data) for data in sealed_segments(make())]
    return [one for part in parts for _, one in part.pictures], [one for part in parts for _, one in part.sound]


def sealed_segments(built: Built) -> list[bytes]:
    """Return one file for all segments that share an init segment, as a player would be given it."""
    return sealed_files(built) if built in (resized(), numbered()) else [b"".join(sealed_files(built))]


def times(of: Shown) -> tuple[list[int], list[int]]:
    """Return when pictures and sounds are shown, from the first picture on."""
    begin = of.pictures[0][0]
    return [at - begin for at, _ in of.pictures], [at - begin for at, _ in of.sound]


def near(left: list[int], right: list[int], *, from_second: bool = False) -> bool:
    """Whether times agree; a track's first sample may come early."""
    pairs = list(zip(left, right, strict=False))[1 if from_second else 0 :]
    return all(abs(one - other) <= TOLERANCE_MS for one, other in pairs)


@pytest.mark.parametrize("case", HONEST, ids=[case.name for case in HONEST])
def test_an_accepted_copy_shows_what_was_sealed(case: Case) -> None:
    built = case.built()
    found, (pictures, sounds) = shown(case.made()), sealed(case.built)
    assert [one for _, one in found.pictures] == pictures
    heard = [one for _, one in found.sound]
    # FFmpeg's own tables end the sound 6.5 ms early, for its pre-skip; a second segment begins a decoder anew.
    assert len(sounds) - 1 <= len(heard) <= len(sounds)
    assert built in (resized(), numbered()) or heard[:-1] == sounds[: len(heard) - 1]
    moved, kept = times(shown(derived_copy(built))), times(shown(derived_copy(built, moved=False)))
    (picture_times, sound_times) = times(found)
    assert any(near(picture_times, way[0]) and near(sound_times, way[1]) for way in (moved, kept))


@pytest.mark.parametrize("case", FORGED, ids=[case.name for case in FORGED])
def test_a_forgery_shows_something_else(case: Case) -> None:
    honest, found = shown(derived_copy(case.built())), shown(case.made())
    same = found.pictures == honest.pictures and near([at for at, _ in found.sound], [at for at, _ in honest.sound])
    same = same and [one for _, one in found.sound[:-1]] == [one for _, one in honest.sound[: len(found.sound) - 1]]
    assert same != case.obeyed


def test_there_are_variants_of_each_kind() -> None:
    assert len(FORGED) >= 40
    assert len({case.name for case in FORGED + HONEST}) == len(FORGED) + len(HONEST)
    assert {f"copy: {case.name}" for case in FORGED + HONEST} <= {vector.name for vector in VECTORS}
    assert {case.built for case in HONEST} == {recording, shifted, resized, numbered, drifted, reordered}
