"""Is this what we delivered?  An archive or folder, compared with the journal's entries of deliveries.

Owns: the comparison and its words.  Must never know: arguments, the database, whose journal it is.

An archive that another program packed anew has other bytes around the same files.  So an entry of a delivery holds two digests:
of the archive, and of its files (`evidence/readings`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relay.base.clock import rfc3339
from relay.evidence.container import left_by_systems
from relay.evidence.media import Reader, file_digest
from relay.evidence.readings import content_digest
from relay.store.journal_rows import Row

_EVENT = b'"event":"extraction delivered"'


@dataclass(frozen=True, slots=True)
class Delivery:
    """One entry *extraction delivered*; digests are SHA-256 in hex."""

    leaf: int
    at_ns: int
    recording: str
    export: str
    archive: str
    content: str | None
    """None in an entry of a version that did not digest the files."""

    def name(self) -> str:
        """Return what people call it."""
        return f"extraction {self.export} of recording {self.recording}, delivered {rfc3339(self.at_ns)} (entry {self.leaf})"


@dataclass(slots=True)
class Deliveries:
    """Collects the deliveries of a journal, row by row."""

    found: list[Delivery] = field(default_factory=list)
    purged: bool = False
    """Whether entries were deleted after three years: older deliveries are not known any more."""

    def take(self, rows: Sequence[Row]) -> None:
        """Take the next rows; an entry that was damaged is passed over, the journal's check names it."""
        for row in rows:
            self.purged |= row.body is None
            if isinstance(row.body, bytes) and _EVENT in row.body:
                made = _delivery(row.leaf, row.at_ns, row.body)
                self.found += [] if made is None else [made]


def _delivery(leaf: int, at_ns: int, body: bytes) -> Delivery | None:
    try:
        entry = json.loads(body)
        details, content = entry["details"], entry["details"].get("content")
        archive, export, recording = details["sha256"], details["export"], entry["object_id"]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if not all(isinstance(text, str) for text in (archive, export, recording)):
        return None
    return Delivery(leaf, at_ns, recording, export, archive, content if isinstance(content, str) else None)


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody holds: the SHA-256 of the archive (empty for a folder), and of each file in the recording's folder."""

    archive: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    hidden: Sequence[str] = ()
    """What an archive may show to another program beside these files (FORMAT.md §1a)."""
    left: Sequence[str] = ()
    """Names of the files that a system left there by itself (FORMAT.md §1a)."""

    @classmethod
    def of(cls, archive: str, reader: Reader) -> "Given":
        """Return what a reader of the recording's folder gives; raises TheirError or OSError."""
        files = {name: file_digest(reader, name) for name in reader.names()}
        return cls(archive, files, hidden_in(reader), sorted(left_by_systems(reader)))

    @property
    def content(self) -> str:
        """Digest of the files that no system left (FORMAT.md §7.8)."""
        left = set(self.left)
        return content_digest({name: digest for name, digest in self.files.items() if name not in left})


def hidden_in(reader: Reader) -> list[str]:
    """Return what a reader saw that another program may show otherwise; raises TheirError or OSError."""
    return [f"{one.name}: {one.kind.name.lower()} {one.detail}".strip() for one in reader.oddities() if one.kind.value.against]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer: `same` where it is what was delivered, `lines` in words."""

    same: bool
    lines: tuple[str, ...]


def compare(given: Given, deliveries: Deliveries, signed: int, recording: str = "") -> Comparison:
    """Compare; `signed`: how many entries of the journal stand under a checkpoint; `recording`: whose files these say they are.

    Only an entry under a checkpoint counts: nobody vouches for a row that nothing signs.
    """
    whole = [one for one in deliveries.found if given.archive and one.archive == given.archive]
    packed = [one for one in deliveries.found if one.content is not None and one.content == given.content]
    if whole:
        said = f"this is what was delivered, every byte of the archive: {whole[-1].name()}"
    elif packed:
        said = f"packed anew or unpacked, but every file is as it was delivered: {packed[-1].name()}"
    else:
        return Comparison(False, tuple(_unknown(given, deliveries, recording)))
    matching = whole or packed
    lines = [said] + [f"not of the delivery, and harmless: {name}" for name in ([] if whole else given.left)]
    if given.hidden and not whole:
        lines += [f"but another program may show other files of this archive: {what}" for what in given.hidden]
        return Comparison(False, tuple(lines))
    if min(one.leaf for one in matching) >= signed:
        lines.append(
            f"entry {matching[-1].leaf} stands under no signed checkpoint yet: ask again in a minute, with the relay running"
        )
        return Comparison(False, tuple(lines))
    return Comparison(True, tuple(lines))


def _unknown(given: Given, deliveries: Deliveries, recording: str) -> list[str]:
    """Return why nothing matches, as exactly as can be said."""
    of_this = [one for one in deliveries.found if recording and one.recording == recording]
    lines = ["this is NOT what was delivered: the journal knows no delivery of these bytes, nor of these files"]
    lines += [f"delivered of this recording: {one.name()}" for one in of_this[-5:]]
    if any(one.content is None for one in of_this):
        lines.append(
            "a delivery by an older version is entered with the digest of its archive only: files packed anew cannot be told"
        )
    if not of_this and recording:
        lines.append(f"the journal knows no delivery of recording {recording}")
    if deliveries.purged:
        lines.append("entries older than three years were deleted: an older delivery would not be known any more")
    return lines
