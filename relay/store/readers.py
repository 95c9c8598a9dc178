"""Readers for `evidence.verify`: a folder, or a zip archive (an export).

Owns: opening files for reading, refusing names that leave the folder.  Must never know: what the files
mean.
"""

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from relay.base.errors import Kind, TheirError
from relay.evidence.media import Reader

MAX_FILES = 20_000
"""In one folder or archive; more are refused."""


class FolderReader:
    """Every regular file below a folder; symbolic links are not followed.  The file read last stays open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = sorted(self._walk())
        self._open: tuple[str, BinaryIO] | None = None

    def _walk(self) -> Iterator[str]:
        count = 0
        for root, _, files in os.walk(self._folder, onerror=_raise):
            for name in files:
                path = Path(root, name)
                if path.is_symlink() or not path.is_file():
                    continue
                count += 1
                if count > MAX_FILES:
                    raise TheirError(Kind.TOO_LARGE, f"more than {MAX_FILES} files in {self._folder}")
                yield path.relative_to(self._folder).as_posix()

    def names(self) -> list[str]:
        """Return every file's name."""
        return self._names

    def size(self, name: str) -> int:
        """Return a file's length in bytes."""
        return (self._folder / name).stat().st_size

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; raises OSError."""
        if self._open is None or self._open[0] != name:
            self.close()
            self._open = name, (self._folder / name).open("rb", buffering=0)
        file = self._open[1]
        file.seek(offset)
        data = file.read(size)
        while data and len(data) < size:
            more = file.read(size - len(data))
            if not more:
                break
            data += more
        return data

    def close(self) -> None:
        """Close the file read last."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


class ZipReader:
    """Every file of a zip archive, without a common top folder.  Reading a compressed file backwards reads it again."""

    def __init__(self, path: Path) -> None:
        try:
            self._archive = zipfile.ZipFile(path)
            entries = [entry for entry in self._archive.infolist() if not entry.is_dir()]
        except (zipfile.BadZipFile, ValueError, RuntimeError) as error:
            raise TheirError(Kind.INVALID, f"{path.name}: {error}") from None
        top = _common_top([entry.filename for entry in entries])
        self._entries = {entry.filename.removeprefix(top): entry for entry in entries}
        if len(self._entries) != len(entries) or len(entries) > MAX_FILES:
            raise TheirError(Kind.INVALID, f"{path.name}: a name stands twice, or too many files")
        self._open: tuple[str, zipfile.ZipExtFile] | None = None

    def names(self) -> list[str]:
        """Return every file's name."""
        return sorted(self._entries)

    def size(self, name: str) -> int:
        """Return a file's length in bytes, as the archive says."""
        return self._entries[name].file_size

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; raises TheirError where the archive is damaged."""
        try:
            if self._open is None or self._open[0] != name:
                self._close_file()
                file = self._archive.open(self._entries[name])
                assert isinstance(file, zipfile.ZipExtFile)
                self._open = name, file
            self._open[1].seek(offset)
            return self._open[1].read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
            self._open = None
            raise TheirError(Kind.INVALID, f"{name}: {error}") from None

    def close(self) -> None:
        """Close the archive."""
        self._close_file()
        self._archive.close()

    def _close_file(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


@contextmanager
def open_reader(path: Path) -> Iterator[Reader]:
    """Open a folder or a zip archive; raises TheirError where it is neither."""
    if not path.exists():
        raise TheirError(Kind.NOT_FOUND, f"{path} does not exist")
    reader = FolderReader(path) if path.is_dir() else ZipReader(path)
    try:
        yield reader
    finally:
        reader.close()


def _common_top(names: list[str]) -> str:
    """Return the folder (with its `/`) in which all of `names` lie, or nothing."""
    tops = {name.split("/", 1)[0] if "/" in name else "" for name in names}
    return f"{tops.pop()}/" if len(tops) == 1 and "" not in tops else ""


def _raise(error: OSError) -> None:
    raise error
