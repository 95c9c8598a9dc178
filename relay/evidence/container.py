"""Folders and archives: whether what a verifier reads in one is all that another program may show of it.

Owns: FORMAT.md §1a: names that collide or lead astray, what a reader saw besides files, files that a system leaves behind.
Must never know: chains, fragments, how an archive is read.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from relay.evidence.codes import Code
from relay.evidence.findings import FindingCollector

_LEFT_FILES = frozenset({".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", ".directory", ".localized", "icon\r"})
_LEFT_FOLDERS = frozenset(
    {
        "__macosx",
        ".spotlight-v100",
        ".trashes",
        ".fseventsd",
        ".temporaryitems",
        ".appledouble",
        "$recycle.bin",
        "system volume information",
        "@eadir",
    }
)
_FILM = re.compile(r"\.(?:mp4|m4v|mov)[. ]*\Z", re.IGNORECASE)
_APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0"
"""How the companion `._NAME` begins in which macOS keeps what other file systems cannot (RFC 1740)."""
_MAX_COMPANION = 1 << 16
_ID = re.compile(r"[0-9a-f]{32}")


class OddityKind(Enum):
    """Something about a folder or an archive that is no file; its value is the finding or note that names it."""

    OUTSIDE = Code.ARCHIVE_BYTES
    HIDDEN = Code.ARCHIVE_HIDES
    TWICE = Code.NAME_TWICE
    ASTRAY = Code.NAME_ASTRAY
    COMMENT = Code.ARCHIVE_COMMENT
    LINK = Code.LINK_NOT_FOLLOWED


@dataclass(frozen=True, slots=True)
class Oddity:
    """One of them: the file it is about (the archive's own where it is about no member), and what there is to say."""

    kind: OddityKind
    name: str
    detail: str = ""


class Holder(Protocol):
    """A reader, as far as this module uses one."""

    def names(self) -> list[str]:
        """Return every file's name."""
        ...

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        ...

    def oddities(self) -> Sequence[Oddity]:
        """Return what is there besides files."""
        ...


def report_container(reader: Holder, left: Iterable[str], collector: FindingCollector) -> None:
    """Add a finding or a note for each oddity, each name that a file system may take for another, each file `left`."""
    for oddity in reader.oddities():
        collector.add(oddity.kind.value, file=oddity.name, detail=oddity.detail)
    for first, second in clashes(reader.names()):
        collector.add(Code.NAME_TWICE, file=second, detail=first)
    for name in left:
        collector.add(Code.LEFT_BY_SYSTEM, file=name)


def left_by_systems(reader: Holder) -> list[str]:
    """Return the files that macOS, Windows and network storage leave in folders: nobody put them there on purpose.

    A name alone does not make a film such a file: a forger could choose it.  Raises TheirError or OSError.
    """
    return [
        name
        for name in reader.names()
        if is_left_by_name(name) and not (_FILM.search(name) and not _is_apple_double(reader, name))
    ]


def is_left_by_name(name: str) -> bool:
    """Whether a file has such a name."""
    *folders, last = name.casefold().split("/")
    return last in _LEFT_FILES or last.startswith("._") or any(folder in _LEFT_FOLDERS for folder in folders)


def _is_apple_double(reader: Holder, name: str) -> bool:
    if not name.rpartition("/")[2].startswith("._"):
        return False
    data = reader.read(name, 0, _MAX_COMPANION + 1)  # its beginning is also the length of a box: a film could begin so
    return data.startswith(_APPLE_DOUBLE) and len(data) <= _MAX_COMPANION and b"moov" not in data


def names_a_recording(folder: str) -> str | None:
    """Return the recording whose id a folder has as its name, None where its name is something else."""
    last = folder.rpartition("/")[2]
    return last if _ID.fullmatch(last) else None


def clashes(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of names that a file system may take for one: another case, Unicode form, or dots at the end."""
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(_as_one_file(name), name)
        if first != name:
            yield first, name


def _as_one_file(name: str) -> str:
    parts = (part.rstrip(". ") or part for part in unicodedata.normalize("NFC", name).split("/"))
    return unicodedata.normalize("NFC", "/".join(parts).casefold())


def leads_astray(name: str) -> bool:
    """Whether programs would put a member of this name at different places, or outside the folder."""
    drive = len(name) > 1 and name[1] == ":" and name[0].isascii() and name[0].isalpha()
    return drive or "\0" in name or any(part in ("", ".", "..") for part in name.split("/"))
