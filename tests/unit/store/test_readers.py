"""Readers return the bytes of files and refuse paths that are no recording."""

import os
import random
import tracemalloc
import zipfile
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.base.errors import TheirError
from relay.evidence.container import OddityKind
from relay.evidence.media import UnreadableError
from relay.store.inflate import Allowance, InflatedFile
from relay.store.readers import FolderReader, open_reader

FILES = {"chain": b"0123456789", "derived/play.mp4": b"movie"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "rec" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "rec"


def zipped(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("method", [None, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_names_sizes_and_bytes_come_back(folder: Path, method: int | None) -> None:
    path = folder if method is None else zipped(folder.parent / "x.zip", FILES, method)
    with open_reader(path) as reader:
        assert reader.names() == sorted(FILES)
        assert reader.size("chain") == 10
        assert reader.read("chain", 4, 3) == b"456"
        assert reader.read("derived/play.mp4", 0, 99) == b"movie"
        assert reader.read("chain", 0, 2) == b"01"
        assert reader.read("chain", 8, 99) == b"89"
        assert reader.read("chain", 99, 1) == b""


def test_a_common_top_folder_is_taken_away(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {f"export/{name}": data for name, data in FILES.items()})
    with open_reader(path) as reader:
        assert reader.names() == sorted(FILES)


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "00000.seg").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe")
    with closing(FolderReader(folder)) as reader:
        assert reader.names() == sorted(FILES)


def test_what_is_not_there_or_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"not a zip")
    for name in ("nowhere", "file"):
        with pytest.raises(TheirError), open_reader(tmp_path / name):
            pass


def test_what_an_archive_holds_is_returned_whatever_its_checksum_says(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"chain": b"ABCDEFGH" * 100})
    path.write_bytes(path.read_bytes().replace(b"ABCDEFGH", b"ABCDEFGX", 1))
    with open_reader(path) as reader:
        assert reader.read("chain", 0, 8) == b"ABCDEFGX"  # the seal judges it


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_named_and_the_later_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("chain", b"one")
        archive.writestr("chain", b"two")
    with open_reader(path) as reader:
        assert reader.read("chain", 0, 9) == b"two"
        assert [oddity.kind for oddity in reader.oddities()] == [OddityKind.TWICE]


def test_damaged_compression_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"chain": bytes(range(256)) * 40}, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    data[60:90] = bytes(30)
    path.write_bytes(data)
    with open_reader(path) as reader, pytest.raises(TheirError, match="chain"):
        reader.read("chain", 0, 10_240)


def test_of_a_folder_that_grows_the_chain_names_nothing_that_is_not_there(folder: Path) -> None:
    with closing(FolderReader(folder)) as reader:
        with (folder / "chain").open("ab") as chain:
            chain.write(b"more")
        assert reader.size("chain") == 10
        assert reader.read("chain", 8, 99) == b"89"
        assert reader.read("chain", 11, 99) == b""


def test_a_pipe_is_named_and_never_opened(folder: Path) -> None:
    os.mkfifo(folder / "00000.seg")
    with closing(FolderReader(folder)) as reader:
        assert [(oddity.kind, oddity.name) for oddity in reader.oddities()] == [(OddityKind.LINK, "00000.seg")]


def test_a_folder_deeper_than_any_program_makes_is_refused(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(200):
        deep = deep / "x"
    deep.mkdir(parents=True)
    with pytest.raises(TheirError, match="deeper"):
        FolderReader(tmp_path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_archive_with_a_changed_byte_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """No byte of an archive makes a reader fail in another way than with TheirError."""
    path = zipped(tmp_path / "x.zip", FILES, data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))] if data.draw(st.booleans()) else content)
    try:
        with open_reader(path) as reader:
            for name in reader.names():
                reader.read(name, 0, 100)
            reader.oddities()
    except TheirError:
        return


@settings(max_examples=60, deadline=None)
@given(
    noise=st.binary(min_size=1, max_size=3000),
    times=st.integers(1, 4000),
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 300_000)), max_size=12),
)
def test_a_deflated_member_is_read_at_any_place(noise: bytes, times: int, places: list[tuple[float, int]]) -> None:
    plain = noise * times
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = packer.compress(plain) + packer.flush()
    file = InflatedFile(lambda at, size: packed[at : at + size], len(packed), len(plain), Allowance(1 << 40))
    for part, length in places:
        at = int(part * len(plain))
        assert file.read(at, length) == plain[at : at + length]
    assert file.ends_where_it_should()


def test_members_read_in_turn_are_decompressed_once() -> None:
    """A copy is compared with its segments, fragment by fragment: neither is begun again for the other."""
    plain = random.Random(1).randbytes(1 << 20) * 6
    packed = zlib.compress(plain, 1, -15)
    allowance = Allowance(0)
    files = [InflatedFile(lambda at, size: packed[at : at + size], len(packed), len(plain), allowance) for _ in range(2)]
    before = allowance.left
    for at in range(0, len(plain) - 8000, 4000):
        for file in files:
            file.read(at, 4000)
            file.read(max(at - 300_000, 0), 4000)
    assert before - allowance.left < 2.2 * len(plain)


def test_an_archive_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"chain": bytes(200 << 20)}, zipfile.ZIP_DEFLATED)
    with open_reader(path) as reader, pytest.raises(UnreadableError, match="unpack it"):
        reader.read("chain", (200 << 20) - 9, 9)


def test_a_deflated_archive_costs_no_more_than_its_bytes(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"film": random.Random(2).randbytes(40 << 20)}, zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    with open_reader(path) as reader:
        for at in range(0, 40 << 20, 1 << 20):
            reader.read("film", at, 1 << 20)
        for at in range(39 << 20, 0, -(5 << 20)):
            reader.read("film", at, 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20
