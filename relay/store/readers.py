"""Readers for `evidence.verify`: a folder, or a zip archive (an export).

Owns: opening files for reading, whatever a folder or an archive holds besides files.  Must never know: what the files mean.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from relay.base.errors import Kind, TheirError
from relay.evidence.container import Oddity, OddityKind
from relay.evidence.media import Reader, UnreadableError
from relay.store.inflate import Allowance, InflatedFile
from relay.store.zip_layout import DEFLATED, MAX_FILES, STORED, Member, read_layout

MAX_DEPTH = 64
"""Folders inside folders; deeper ones are refused."""
MAX_INFLATED = 8
"""Compressed members that are open at a time: one is closed for the next, and read again from its start."""
METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES"}


class FolderReader:
    """Every regular file below a folder; links, pipes and devices are not followed.  The file read last stays open.

    The length of the file `first` is taken before everything else, and nothing after it is read: of a folder that grows, such a
    file speaks of nothing that the others do not hold yet.
    """

    def __init__(self, folder: Path, first: str = "chain") -> None:
        self._folder = folder
        self._first = first
        self._first_size = (folder / first).stat().st_size if (folder / first).is_file() else 0
        self._oddities: list[Oddity] = []
        self._names = sorted(self._walk())
        self._open: tuple[str, BinaryIO] | None = None

    def _walk(self) -> Iterator[str]:
        waiting, count = [(str(self._folder), "", 0)], 0
        while waiting:
            folder, above, depth = waiting.pop()
            if depth > MAX_DEPTH:
                raise TheirError(Kind.TOO_LARGE, f"folders deeper than {MAX_DEPTH} in {self._folder}")
            with os.scandir(folder) as entries:
                for entry in entries:
                    count += 1
                    if count > MAX_FILES:
                        raise TheirError(Kind.TOO_LARGE, f"more than {MAX_FILES} files in {self._folder}")
                    name = above + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, f"{name}/", depth + 1))
                    elif entry.is_file(follow_symlinks=False):
                        yield name
                    else:
                        self._oddities.append(Oddity(OddityKind.LINK, name))

    def names(self) -> list[str]:
        """Return every file's name."""
        return self._names

    def oddities(self) -> Sequence[Oddity]:
        """Return what is in the folder besides files."""
        return self._oddities

    def folder(self) -> str:
        """Return the folder's own name."""
        return self._folder.resolve().name

    def size(self, name: str) -> int:
        """Return a file's length in bytes."""
        return self._first_size if name == self._first else (self._folder / name).stat().st_size

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; raises OSError."""
        if self._open is None or self._open[0] != name:
            self.close()
            self._open = name, (self._folder / name).open("rb", buffering=0)
        if name == self._first:
            size = max(min(size, self._first_size - offset), 0)
        return _read_at(self._open[1], offset, size)

    def close(self) -> None:
        """Close the file read last."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


class ZipReader:
    """Every file of a zip archive, without a common top folder."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        try:
            size = self._file.seek(0, os.SEEK_END)
            layout = read_layout(self._at, size, path.name)
        except BaseException:
            self._file.close()
            raise
        self._top = top = _common_top([member.name for member in layout.members])
        self._members: dict[str, Member] = {}
        self._oddities = layout.oddities
        for member in layout.members:
            name = member.name.removeprefix(top)
            if name in self._members:
                self._oddities.append(Oddity(OddityKind.TWICE, name, name))
            self._members[name] = member
        links = [name.removeprefix(top) for name in layout.links]
        self._oddities += [Oddity(OddityKind.TWICE, link, link) for link in links if link in self._members]
        self._allowance = Allowance(size)
        self._inflated: OrderedDict[str, InflatedFile] = OrderedDict()

    def names(self) -> list[str]:
        """Return every file's name."""
        return sorted(self._members)

    def oddities(self) -> Sequence[Oddity]:
        """Return what is in the archive besides its files; reads compressed members to their end.  Raises UnreadableError."""
        hidden = [
            Oddity(OddityKind.HIDDEN, name, "its compressed bytes do not end where the archive says")
            for name, member in self._members.items()
            if member.method == DEFLATED and not member.encrypted and not self._inflate(name, member).ends_where_it_should()
        ]
        return [*self._oddities, *hidden]

    def folder(self) -> str:
        """Return the name of the common top folder, nothing where there is none."""
        return self._top.removesuffix("/")

    def size(self, name: str) -> int:
        """Return a file's length in bytes, as the archive says."""
        return self._members[name].size

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`.

        Raises TheirError where the member is damaged, UnreadableError where it is encrypted or compressed in a way that no
        verifier needs to know.
        """
        member = self._members[name]
        if member.encrypted or member.method not in (STORED, DEFLATED):
            how = (
                "encrypted" if member.encrypted else f"compressed with {METHODS.get(member.method, f'method {member.method}')}"
            )
            raise UnreadableError(Kind.UNSUPPORTED, f"{name} is {how}: unpack the archive and verify the folder")
        if member.method == DEFLATED:
            try:
                return self._inflate(name, member).read(offset, size)
            except UnreadableError:
                raise
            except TheirError as error:
                raise TheirError(error.kind, f"{name}: {error.detail}") from None
        return self._at(member.data + offset, min(size, max(member.packed - offset, 0)))

    def close(self) -> None:
        """Close the archive."""
        self._file.close()

    def _at(self, offset: int, size: int) -> bytes:
        return _read_at(self._file, offset, size)

    def _inflate(self, name: str, member: Member) -> InflatedFile:
        found = self._inflated.pop(name, None)
        if found is None:
            while len(self._inflated) >= MAX_INFLATED:
                self._inflated.popitem(last=False)
            found = InflatedFile(lambda at, size: self._at(member.data + at, size), member.packed, member.size, self._allowance)
        self._inflated[name] = found
        return found


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


def _read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(size)
    while data and len(data) < size:
        more = file.read(size - len(data))
        if not more:
            break
        data += more
    return data
