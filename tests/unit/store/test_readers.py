"""Readers return the bytes of files and refuse paths that are no recording."""

import os
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from relay.base.errors import TheirError
from relay.store.readers import FolderReader, ZipReader, open_reader

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


def test_a_damaged_archive_is_refused_where_it_is_damaged(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"chain": b"ABCDEFGH" * 100})
    path.write_bytes(path.read_bytes().replace(b"ABCDEFGH", b"ABCDEFGX", 1))
    with closing(ZipReader(path)) as reader, pytest.raises(TheirError, match="chain"):
        reader.read("chain", 0, 800)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("chain", b"one")
        archive.writestr("chain", b"two")
    with pytest.raises(TheirError, match="stands twice"):
        ZipReader(path)


def test_damaged_compression_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"chain": bytes(range(256)) * 40}, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    data[60:90] = bytes(30)
    path.write_bytes(data)
    with closing(ZipReader(path)) as reader, pytest.raises(TheirError, match="chain"):
        reader.read("chain", 0, 10_240)
