"""What a hostile recording costs: operations and memory follow the bytes given, never the product of two of their counts."""

import sys
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest

from relay.evidence.chain import ChainWriter
from relay.evidence.continuity import Continuity, Scope
from relay.evidence.findings import FindingCollector
from relay.evidence.records import Cause, Gap, Link, Reason, TrackKind, TrackPart
from relay.evidence.seal import sha256
from relay.evidence.search import FREE, PER_BYTE, Search
from relay.evidence.verify import verify
from tests.evidence.vectors import Files, stored
from tests.evidence.vectors_containers import MANY, arranged, far_ahead, foreign_but, signed_again
from tests.support.recordings import LONGTERM, SECOND, T0, Built, MemoryReader, build, session, start_record


class CountingReader(MemoryReader):
    """Counts the bytes that are read."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(files)
        self.bytes = 0

    def read(self, name: str, offset: int, size: int) -> bytes:
        data = super().read(name, offset, size)
        self.bytes += len(data)
        return data


@pytest.mark.parametrize("change", [foreign_but(), foreign_but(30, 31), arranged(0, *[1] * 3000), arranged(*[-1] * 20_000)])
def test_a_segment_that_does_not_match_is_read_in_proportion_to_its_length(change: Callable[[Built, Files], None]) -> None:
    built = build(MANY)
    files = dict(built.files)
    change(built, files)
    reader = CountingReader(files)
    assert verify(reader, LONGTERM.public_key).exit_code == 1
    assert reader.bytes < (PER_BYTE + 3) * sum(map(len, files.values())) + 2 * FREE


def test_many_lengths_and_many_positions_do_not_multiply() -> None:
    """Two thousand fragments, each of another length, in a file of foreign bytes."""

    def cost(count: int) -> float:
        pieces = [_Piece(number, 0, 17 + number, sha256(number.to_bytes(4, "big"))) for number in range(count)]
        size = sum(piece.length for piece in pieces)
        return lines_of(lambda: Search(pieces, size, lambda _, length: bytes(length)).run()) / size

    assert cost(1200) < 1.5 * cost(300) + 1


def test_a_fragment_that_stands_there_a_thousand_times_is_counted_in_one_pass() -> None:
    pieces = [_Piece(number, 17 * number, 17, sha256(bytes(17))) for number in range(2000)]
    found = Search(pieces, 17 * 2000, lambda _, length: bytes(length)).run()
    assert found is not None
    assert found.order == list(range(2000))


def test_gaps_times_tracks() -> None:
    def lines(count: int) -> int:
        return lines_of(lambda: feed(count))

    def feed(count: int) -> None:
        continuity = Continuity(FindingCollector(), Scope(None))
        for number in range(count):
            continuity.link(_link(number, [8 * number + extra for extra in range(8)]))
        for _ in range(count):
            continuity.gap(Gap(T0, SECOND, None, Cause.RADIO))
        continuity.finish(0)

    assert lines(400) < 2.3 * lines(200)


def test_fragments_that_are_compared_at_once_have_a_bound_in_bytes() -> None:
    """Six fragments of 24 MiB on eight cores: not all of them are in memory together."""
    length, signer = 24 << 20, session()
    digest = sha256(bytes(length))
    writer = ChainWriter(signer, start_record(signer))
    chain = writer.start()
    for number in range(6):
        plain = Link(number, 0, False, number * length, length - 16, length, digest, digest, (), T0, 0)
        chain += writer.link(plain)
    chain += writer.end(Reason.STOPPED, None, T0)
    reader = _Zeros({"chain": chain}, {"00000.seg": 6 * length})
    tracemalloc.start()
    with ThreadPoolExecutor(8) as pool:
        verdict = verify(reader, LONGTERM.public_key, submit=pool.submit)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert verdict.marks == "......"
    assert peak < 2.5 * length


def test_a_number_that_claims_four_million_fragments_costs_a_few_bytes_each() -> None:
    files = stored(signed_again(far_ahead(3_999_998)))(build("SIPPE"))
    tracemalloc.start()
    verdict = verify(MemoryReader(files), LONGTERM.public_key)
    verdict.as_json()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert verdict.exit_code == 1
    assert peak < 32_000_000


class _Zeros(MemoryReader):
    """Files of zeros beside those in memory, made as they are read."""

    def __init__(self, files: dict[str, bytes], zeros: dict[str, int]) -> None:
        super().__init__(files)
        self.zeros = zeros

    def names(self) -> list[str]:
        return sorted([*self.files, *self.zeros])

    def size(self, name: str) -> int:
        return self.zeros[name] if name in self.zeros else super().size(name)

    def read(self, name: str, offset: int, size: int) -> bytes:
        return bytes(size) if name in self.zeros else super().read(name, offset, size)


class _Piece:
    def __init__(self, fragment: int, offset: int, length: int, digest: bytes) -> None:
        self.fragment, self.offset, self.length, self.digest = fragment, offset, length, digest


def _link(number: int, tracks: list[int]) -> Link:
    parts = tuple(TrackPart(track, TrackKind.AUDIO, 1, bytes(32), 0, 1) for track in tracks)
    return Link(number, 0, False, 0, 1, 1, bytes(32), bytes(32), parts, T0, 0)


def lines_of(work: Callable[[], object]) -> int:
    """Return how many lines of Python `work` runs: a measure that does not depend on the machine."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
