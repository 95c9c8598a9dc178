"""A small hostile copy costs little time and memory: both are in proportion to the bytes of its boxes."""

import struct
import time
import tracemalloc
from collections.abc import Callable

import pytest

from relay.base.errors import TheirError
from relay.evidence.playable import MAX_SMALL_BOXES, CopySamples
from relay.evidence.records import TrackKind
from relay.evidence.verdict import Code
from relay.evidence.verify import MAX_COPIES, verify
from tests.support.mp4_editor import File, Node, edited, playable
from tests.support.recordings import LONGTERM, VIDEO, MemoryReader, box, build, full, init_segment

MANY = 4_000_000
SECONDS, BYTES = 5.0, 32 << 20
"""On a busy machine; each takes a fraction of a second and a few MB."""


def tables(stts: bytes, stsc: bytes, stsz: bytes, stco: bytes) -> bytes:
    """Return a copy with these tables of pictures."""

    def change(file: File) -> None:
        stbl = file.track(b"vide").one("mdia/minf/stbl")
        kinds = ((b"stts", stts), (b"stsc", stsc), (b"stsz", stsz), (b"stco", stco))
        stbl.children = [*stbl.every("stsd"), *[Node(kind, bytes(4) + data) for kind, data in kinds]]

    return edited(playable(init_segment()), change)


def rows(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def constant_sizes() -> bytes:
    return tables(rows(1, MANY, 1), rows(1, 1, MANY, 1), rows(1, MANY), rows(1, 0))


def chunks_times_runs() -> bytes:
    many = 100_000
    stsc = rows(many) + b"".join(rows(1, 1, 1) for _ in range(many))
    return tables(rows(1, many, 1), stsc, rows(1, many), rows(many) + bytes(4 * many))


def ascending_runs() -> bytes:
    many = 100_000
    stsc = rows(many) + b"".join(rows(n + 1, 1, 1) for n in range(many))
    return tables(rows(1, many, 1), stsc, rows(1, many), rows(many) + bytes(4 * many))


def runs_of_defaults() -> bytes:
    tfhd = full(b"tfhd", 0, 0x20038, struct.pack(">IIII", VIDEO, 1, 1, 0))
    trun = full(b"trun", 0, 1, struct.pack(">Ii", MANY, 0))
    moof = box(b"moof", box(b"traf", tfhd, full(b"tfdt", 0, 0, bytes(4)), *[trun] * 1000))
    return playable(init_segment()) + moof + box(b"free", bytes(MANY))


def tiny_boxes() -> bytes:
    return playable(init_segment()) + box(b"free") * (MAX_SMALL_BOXES * 3)


HOSTILE = [constant_sizes, chunks_times_runs, ascending_runs, runs_of_defaults, tiny_boxes]


@pytest.mark.parametrize("make", HOSTILE, ids=[make.__name__ for make in HOSTILE])
def test_a_hostile_copy_is_judged_at_once(make: Callable[[], bytes]) -> None:
    reader = MemoryReader({"chain": build("SIPPPE").files["chain"], "copy.mp4": make()})
    tracemalloc.start()
    began = time.process_time()
    verdict = verify(reader, LONGTERM.public_key)
    spent, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert verdict.exit_code == 1
    assert {finding.code for finding in verdict.findings} & {Code.DERIVED_DIFFERS, Code.DERIVED_UNREADABLE}
    assert spent < SECONDS
    assert peak < BYTES


def test_samples_are_made_one_by_one() -> None:
    copy = CopySamples(MemoryReader({"copy.mp4": constant_sizes()}), "copy.mp4")
    found = [copy.next(TrackKind.VIDEO) for _ in range(3)]
    assert [one[0].time for one in found if one is not None] == [0, 1, 2]


def test_tiny_boxes_are_refused() -> None:
    copy = CopySamples(MemoryReader({"copy.mp4": tiny_boxes()}), "copy.mp4")
    with pytest.raises(TheirError, match="fewer than"):
        copy.next(TrackKind.VIDEO)


def test_further_copies_are_named_but_not_compared() -> None:
    files = build("SIPPPE").export()
    reader = MemoryReader({**files, **{f"copy{n:03d}.mp4": b"" for n in range(MAX_COPIES + 2)}})
    verdict = verify(reader, LONGTERM.public_key)
    named = [value for finding in verdict.findings if finding.code is Code.DERIVED_UNJUDGED for _, value in finding.values]
    assert named == [f"copy{MAX_COPIES:03d}.mp4", "more than 32 copies", f"copy{MAX_COPIES + 1:03d}.mp4", "more than 32 copies"]
