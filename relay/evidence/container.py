"""Folders and archives: whether what a verifier reads in one is all that another program may show of it.

Owns: FORMAT.md §1a: names that collide or lead astray, what a reader saw besides files, files that a system leaves behind.
Must never know: chains, fragments, how an archive is read.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from relay.evidence.codes import Code
from relay.evidence.findings import FindingCollector


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


def report_oddities(oddities: Iterable[Oddity], names: Sequence[str], collector: FindingCollector) -> None:
    """Add a finding or a note for each oddity, and one for each name that a file system may take for another."""
    for oddity in oddities:
        collector.add(oddity.kind.value, file=oddity.name, detail=oddity.detail)
    for first, second in clashes(names):
        collector.add(Code.NAME_TWICE, file=second, detail=first)


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
