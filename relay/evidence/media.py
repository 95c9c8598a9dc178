"""Whether the given bytes are the bytes that were sealed, and if not, what happened to them.

Owns: reading segments in order, comparing digests, naming altered, missing, moved and repeated fragments.
Must never know: signatures, times.  It holds the fragments of one segment as a list, and the bytes of a few.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from relay.base.errors import RelayError, TheirError
from relay.evidence.container import Oddity
from relay.evidence.findings import FindingCollector
from relay.evidence.records import Link
from relay.evidence.seal import TAG, decrypt_fragment, sha256
from relay.evidence.search import Found, Search
from relay.evidence.verdict import Code, Form, Mark

_CHUNK = 1 << 20
MAX_FRAGMENT = 64 << 20
"""Bytes; a fragment that is longer according to its link is not read."""


class UnreadableError(TheirError):
    """The folder or the archive cannot be read; about the recording in it this says nothing, so there is no verdict."""


class Reader(Protocol):
    """A folder or an archive, read only; names are relative, with `/`."""

    def names(self) -> list[str]:
        """Return every file's name."""
        ...

    def size(self, name: str) -> int:
        """Return a file's length in bytes."""
        ...

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`: fewer only at the end of the file.  Raises TheirError or OSError."""
        ...

    def oddities(self) -> Sequence[Oddity]:
        """Return what is there besides files, once everything else was read.  Raises TheirError or OSError."""
        ...

    def folder(self) -> str:
        """Return the name of the folder that holds the files, nothing where it has none."""
        ...


def file_digest(reader: Reader, name: str) -> bytes:
    """Return the SHA-256 of a whole file, read in pieces; raises TheirError or OSError."""
    digest = hashlib.sha256()
    for at in range(0, reader.size(name), _CHUNK):
        digest.update(reader.read(name, at, _CHUNK))
    return digest.digest()


class WatchedReader:
    """A reader that remembers its first failure: a disk that does not give a file must not pass for a file that is missing."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.failure: OSError | UnreadableError | None = None

    def names(self) -> list[str]:
        """Return every file's name."""
        return self._reader.names()

    def size(self, name: str) -> int:
        """Return a file's length in bytes."""
        return self._reader.size(name)

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        try:
            return self._reader.read(name, offset, size)
        except (OSError, UnreadableError) as error:
            self.failure = self.failure or error
            raise

    def read_if_readable(self, name: str, size: int) -> bytes:
        """Return up to `size` bytes of a file that the verdict does not need, nothing where it cannot be read."""
        try:
            return self._reader.read(name, 0, size)
        except (OSError, TheirError):
            return b""

    def oddities(self) -> Sequence[Oddity]:
        """Return what is there besides files."""
        return self._reader.oddities()

    def folder(self) -> str:
        """Return the name of the folder that holds the files."""
        return self._reader.folder()


class SubfolderReader:
    """A reader seen from one of its folders: names below it lose the folder, all others get `../` in front."""

    def __init__(self, reader: Reader, folder: str) -> None:
        self._reader = reader
        self._folder = folder
        self._names = {_seen_from(folder, name): name for name in reader.names()}

    def names(self) -> list[str]:
        """Return every file's name as seen from the folder."""
        return sorted(self._names)

    def size(self, name: str) -> int:
        """Return a file's length in bytes."""
        return self._reader.size(self._names[name])

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`."""
        return self._reader.read(self._names[name], offset, size)

    def oddities(self) -> Sequence[Oddity]:
        """Return what is there besides files."""
        return self._reader.oddities()

    def folder(self) -> str:
        """Return the name of the folder."""
        return self._folder


def _seen_from(folder: str, name: str) -> str:
    return name.removeprefix(f"{folder}/") if name.startswith(f"{folder}/") else f"../{name}"


@dataclass(slots=True)
class StoredFragment:
    """A fragment as it should stand in its segment's file, and its mark."""

    fragment: int
    offset: int
    length: int
    digest: bytes
    mark: Mark = Mark.UNKNOWN


Outcome: TypeAlias = tuple[Mark, Code | None]


class PendingOutcome(Protocol):
    """The outcome of a comparison that may still be running, for example a `concurrent.futures.Future`."""

    def result(self) -> Outcome:
        """Wait for the outcome and return it."""
        ...


Submit = Callable[[Callable[[], Outcome]], PendingOutcome]
"""Runs a comparison, in the caller's thread or on another core (hashing releases the interpreter's lock)."""

MAX_RUNNING = 8
"""Fragments that are compared at the same time at most: bounds the memory."""
MAX_RUNNING_BYTES = 32 << 20
"""Bytes that are compared at the same time at most, unless one fragment alone has more."""


@dataclass(frozen=True, slots=True)
class _Done:
    """An outcome that is already known."""

    outcome: Outcome

    def result(self) -> Outcome:
        return self.outcome


def run_inline(work: Callable[[], Outcome]) -> PendingOutcome:
    """Compare in the caller's thread."""
    return _Done(work())


class MediaCheck:
    """Compares fragments with the files of a vault folder (`.seg`) or of an export (`.mp4`)."""

    def __init__(
        self, reader: Reader, collector: FindingCollector, form: Form, recording_key: bytes | None, submit: Submit = run_inline
    ) -> None:
        self._reader = reader
        self._collector = collector
        self._form = form
        self._key = recording_key if form is Form.OPENED else None
        self._submit = submit
        self._running: deque[tuple[StoredFragment, PendingOutcome]] = deque()
        self._running_bytes = 0
        self._latest: tuple[Link, bytes, PendingOutcome] | None = None
        self._sizes = {name: reader.size(name) for name in reader.names()}
        self._segment = -1
        self._pieces: list[StoredFragment] = []
        self._end = 0
        self._stored_end = 0
        self._last = -1
        self.checked_bytes = 0
        self.known: set[str] = set()

    def name(self, segment: int) -> str:
        """Return the file of a segment."""
        return f"{segment:05d}.{'mp4' if self._form is Form.EXPORT else 'seg'}"

    def link(self, link: Link, recording: str) -> None:
        """Compare one fragment, in the order of the chain; its mark is set at the latest when its segment is closed."""
        unseen = self._enter(link)
        if self._form is Form.EXPORT:
            piece = StoredFragment(link.fragment, self._end + unseen, link.plain_length, link.plain_digest)
        else:
            piece = StoredFragment(link.fragment, link.offset, link.stored_length, link.stored_digest)
        self._end = piece.offset + piece.length
        self._pieces.append(piece)
        self._collector.mark(piece.fragment, Mark.UNKNOWN)
        self._settle(MAX_RUNNING - 1, MAX_RUNNING_BYTES - piece.length)
        data = self._read(piece.offset, piece.length)
        self.checked_bytes += len(data)
        self._running_bytes += piece.length
        key = self._key
        later = self._submit(lambda: compare(data, piece, link, recording, key))
        self._running.append((piece, later))
        self._latest = link, data, later

    def plain(self, link: Link, recording: str) -> bytes | None:
        """Return the plain bytes of the link compared last; None where they cannot be read, or are not as sealed."""
        latest, self._latest = self._latest, None
        if latest is None or latest[0] is not link or (self._form is not Form.EXPORT and self._key is None):
            return None
        _, data, later = latest
        if later.result() != (Mark.INTACT, None):
            return None
        return data if self._key is None else decrypt_fragment(self._key, recording, link.fragment, data)

    def skip(self, link: Link) -> None:
        """Take a genuine link whose fragment is not compared."""
        self._enter(link)

    def _enter(self, link: Link) -> int:
        """Go on to the link's segment; return the plain bytes directly before it whose links are lost."""
        if link.segment != self._segment:
            self.close_segment()
            self._segment, self._stored_end, self._last = link.segment, link.offset, link.fragment - 1
        lost = link.fragment - self._last - 1
        unseen = max(link.offset - self._stored_end - TAG * lost, 0) if lost else 0
        self._stored_end, self._last = link.offset + link.stored_length, link.fragment
        return unseen

    def close_segment(self, more: Code = Code.EXTRA_BYTES) -> None:
        """Judge the segment's file as a whole, after its last link; `more`: what bytes after the last fragment are."""
        self._settle(0, 0)
        if self._pieces:
            self._judge_segment(self.name(self._segment), self._size(), more)
        self._pieces, self._end, self._segment = [], 0, -1

    def _judge_segment(self, name: str, size: int, more: Code) -> None:
        self.known.add(name)
        whole = all(piece.mark is Mark.INTACT for piece in self._pieces)
        found = None if whole or not size else Search(self._pieces, size, self._read).run()
        if found is None:
            self._report_in_place(name, size, more)
        else:
            self._report_found(found, name, size, more)

    def _settle(self, most: int, most_bytes: int) -> None:
        """Wait until no more than `most` comparisons are running, of no more than `most_bytes` bytes."""
        while self._running and (len(self._running) > most or self._running_bytes > most_bytes):
            piece, later = self._running.popleft()
            piece.mark, code = later.result()
            self._running_bytes -= piece.length
            self._collector.mark(piece.fragment, piece.mark)
            if code is Code.WRONG_RECORDING_KEY:
                self._collector.add_once(code, piece.fragment)
            elif code is not None:
                self._collector.add(code, piece.fragment)

    def _report_in_place(self, name: str, size: int, more: Code) -> None:
        for piece in self._pieces:
            if piece.mark is Mark.ALTERED:
                self._collector.add(Code.FRAGMENT_ALTERED, piece.fragment)
        if size > self._end:
            self._collector.add(more, file=name, count=size - self._end)

    def _size(self) -> int:
        return self._sizes.get(self.name(self._segment), 0)

    def _read(self, piece_offset: int, length: int) -> bytes:
        if piece_offset + length > self._size() or length > MAX_FRAGMENT:
            return b""
        try:
            return self._reader.read(self.name(self._segment), piece_offset, length)
        except (OSError, RelayError):
            return b""

    # --- what happened to the fragments of a segment that does not match ----------------------------------------------

    def _report_found(self, found: Found, name: str, size: int, more: Code) -> None:
        there = set(found.order)
        for piece in self._pieces:
            number = piece.fragment
            if number in found.foreign:
                self._collector.add(Code.FRAGMENT_ALTERED, number)
                self._collector.mark(number, Mark.ALTERED)
            else:
                self._collector.mark(number, Mark.INTACT if number in there else Mark.MISSING)
        self._report_duplicates(found.order)
        self._report_moves(dict.fromkeys(piece.fragment for piece in self._pieces if piece.fragment in there), found.order)
        if size > found.end:
            self._collector.add(more, file=name, count=size - found.end)

    def _report_duplicates(self, found: list[int]) -> None:
        seen: set[int] = set()
        for number in found:
            if number in seen:
                self._collector.add(Code.FRAGMENT_TWICE, number)
                self._collector.mark(number, Mark.MISPLACED)
            seen.add(number)

    def _report_moves(self, chain: Iterable[int], found: list[int]) -> None:
        """Compare the order of the fragments found with their order in the chain."""
        for wanted, number in zip(chain, dict.fromkeys(found), strict=True):
            if wanted != number:
                self._collector.add(Code.FRAGMENT_MISPLACED, wanted, other=number)
                self._collector.mark(wanted, Mark.MISPLACED)


def compare(data: bytes, piece: StoredFragment, link: Link, recording: str, key: bytes | None) -> Outcome:
    """Return the mark of one fragment and a code where there is more to report.  Pure, so that any thread may run it."""
    if len(data) < piece.length:
        return Mark.MISSING, None
    if sha256(data) != piece.digest:
        return Mark.ALTERED, None
    if key is None:
        return Mark.INTACT, None
    try:
        plain = decrypt_fragment(key, recording, link.fragment, data)
    except TheirError:  # the bytes are as sealed: so the given key is wrong
        return Mark.INTACT, Code.WRONG_RECORDING_KEY
    same = sha256(plain) == link.plain_digest and len(plain) == link.plain_length
    return Mark.INTACT, None if same else Code.PLAIN_DIFFERS
