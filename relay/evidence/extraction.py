"""The signed list of an extraction: which files were handed over beside the sealed ones, and whether they are still the same.

Owns: FORMAT.md §5a, to the byte, and the comparison with the files.  Must never know: who asked for an extraction, the chain.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from relay.base.errors import Kind, TheirError
from relay.evidence.codes import Code
from relay.evidence.findings import FindingCollector
from relay.evidence.media import Reader, UnreadableError, file_digest
from relay.evidence.seal import DIGEST, DOMAIN_EXTRACTION, SIGNATURE, Signer, key_id, signature_holds
from relay.evidence.trust import Trust
from relay.evidence.verdict import utc_text
from relay.evidence.wire import Fixed, Raw, Repeat, Struct, Text, UInt, decode, encode

EXTRACTION = "extraction"
"""The file's name."""
MANIFEST = "manifest.json"
STATEMENT = "statement"
MAGIC = b"BCREXTRA"
VERSION = b"\0\1"
LAST_WITHOUT = 1
"""Format version of the last chains that were exported without a list."""
MAX_EXTRACTION = 65_536
"""Bytes; the document is no longer."""
MAX_LISTED = 200
"""Files in one list at most."""


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file of an extraction that the chain does not cover."""

    name: str
    """Relative to the folder of the chain, with `/`."""
    length: int
    """Bytes."""
    digest: bytes
    """SHA-256 of the whole file."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """The long-term key says: with the chain of this head these files were handed over, to the byte."""

    recording: str
    head: bytes
    """Head of the whole chain as it travels with the export."""
    issued_ns: int
    files: tuple[ListedFile, ...]
    issuer: bytes
    signature: bytes = bytes(SIGNATURE)

    def __post_init__(self) -> None:
        if any(after.name.encode() <= before.name.encode() for before, after in pairwise(self.files)):
            raise ValueError("the files are not sorted and unique")


_FILE = Struct(ListedFile, (("name", Text(200)), ("length", UInt()), ("digest", Raw(DIGEST))))
_LAYOUT = Struct(
    Extraction,
    (
        ("recording", Text(64)),
        ("head", Raw(DIGEST)),
        ("issued_ns", Fixed(8)),
        ("files", Repeat(_FILE, MAX_LISTED)),
        ("issuer", Raw(DIGEST)),
        ("signature", Raw(SIGNATURE)),
    ),
)


def _signed_bytes(extraction: Extraction) -> bytes:
    return DOMAIN_EXTRACTION + encode(_LAYOUT, extraction)[:-SIGNATURE]


def sign_extraction(longterm: Signer, *, recording: str, head: bytes, files: Iterable[ListedFile], issued_ns: int) -> bytes:
    """Return the bytes of the file `extraction`; raises ValueError for more than 200 files or a name twice."""
    listed = tuple(sorted(files, key=lambda file: file.name.encode()))
    bare = Extraction(recording, head, issued_ns, listed, key_id(longterm.public_key))
    return MAGIC + VERSION + encode(_LAYOUT, replace(bare, signature=longterm.sign(_signed_bytes(bare))))


def is_newer(data: bytes) -> bool:
    """Return whether a file `extraction` is of a version that this reader does not know."""
    return data.startswith(MAGIC) and data[len(MAGIC) : len(MAGIC + VERSION)] > VERSION


def read_extraction(data: bytes) -> Extraction:
    """Read the file `extraction`; raises TheirError with the position.  Does not check the signature."""
    if not data.startswith(MAGIC + VERSION) or len(data) > MAX_EXTRACTION:
        raise TheirError(Kind.INVALID, "byte 0: not an extraction of a known format version")
    return decode(_LAYOUT, data[len(MAGIC + VERSION) :], len(MAGIC + VERSION))


def extraction_holds(extraction: Extraction, public_key: bytes) -> bool:
    """Return whether the long-term key `public_key` signed this list."""
    return extraction.issuer == key_id(public_key) and signature_holds(
        public_key, _signed_bytes(extraction), extraction.signature
    )


class ExtractionCheck:
    """Compares the files of an export with its signed list; without a list it says so of the manifest."""

    def __init__(self, reader: Reader, names: Collection[str], collector: FindingCollector) -> None:
        self._reader = reader
        self._names = set(names)
        self._collector = collector
        self._found: Extraction | None = None
        self._always_listed = False
        """Whether every export of a chain of this version has a list."""
        self.believed = False
        """Whether the list is signed by a trusted key and is about this chain."""

    def read(self, trust: Trust) -> None:
        """Read the list and judge its signature; before the chain is read."""
        self._always_listed = trust.version > LAST_WITHOUT and not any(name.endswith(".seg") for name in self._names)
        if EXTRACTION not in self._names:
            return
        try:
            data = self._reader.read(EXTRACTION, 0, MAX_EXTRACTION + 1)
            if is_newer(data):
                self._collector.add(Code.EXTRACTION_NEWER)
                return
            found = read_extraction(data)
        except TheirError:
            self._collector.add(Code.EXTRACTION_FOREIGN)
            return
        if trust.extraction(found.issuer, found.issued_ns, lambda key: extraction_holds(found, key)):
            self._found = found

    def finish(self, recording: str | None, head: bytes) -> None:
        """Compare the list with the chain (`recording` is None where it has no genuine start) and with the files."""
        found = self._found
        if found is None:
            if MANIFEST in self._names and EXTRACTION not in self._names:
                self._collector.add(Code.EXTRACTION_MISSING if self._always_listed else Code.MANIFEST_UNSIGNED)
            return
        if found.head != head or (recording is not None and found.recording != recording):
            self._collector.add(Code.EXTRACTION_MISMATCH)
            return
        self.believed = True
        if STATEMENT in self._names and not self.lists(STATEMENT):
            self._collector.add(Code.STATEMENT_UNLISTED)
        if all([self._is_same(file) for file in found.files]):
            self._collector.add(Code.EXTRACTION_CHECKED, at=utc_text(found.issued_ns), count=len(found.files))

    def lists(self, name: str) -> bool:
        """Return whether a list that is believed names this file."""
        return self.believed and self._found is not None and any(file.name == name for file in self._found.files)

    def _is_same(self, file: ListedFile) -> bool:
        digest = self._digest(file) if file.name in self._names else None
        if digest is None:
            self._collector.add(Code.LISTED_MISSING, file=file.name)
        elif digest != file.digest:
            self._collector.add(Code.LISTED_ALTERED, file=file.name)
        return digest == file.digest

    def _digest(self, file: ListedFile) -> bytes | None:
        """Return a file's SHA-256, no bytes where its length differs, None where the archive holds it damaged.

        Raises UnreadableError or OSError where archive or disk do not give it: that says nothing about the file.
        """
        if self._reader.size(file.name) != file.length:
            return b""
        try:
            return file_digest(self._reader, file.name)
        except UnreadableError:
            raise
        except TheirError:
            return None
