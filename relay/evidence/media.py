"""Whether the given bytes are the bytes that were sealed, and if not, what happened to them.

Owns: reading segments in order, comparing digests, naming altered, missing, moved and repeated fragments.
Must never know: signatures, times.  It holds the fragments of one segment as a list, and the bytes of a few.
"""

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from relay.base.errors import RelayError, TheirError
from relay.evidence.findings import FindingCollector
from relay.evidence.records import Link
from relay.evidence.seal import TAG, decrypt_fragment, sha256
from relay.evidence.verdict import Code, Form, Mark

MAX_FRAGMENT = 64 << 20
"""Bytes; a fragment that is longer according to its link is not read."""
MAX_DIAGNOSED = 2000
"""In a segment of more fragments the order of what was found is not examined."""


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


class SubfolderReader:
    """A reader seen from one of its folders: names below it lose the folder, all others get `../` in front."""

    def __init__(self, reader: Reader, folder: str) -> None:
        self._reader = reader
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
        data = self._read(piece.offset, piece.length)
        self.checked_bytes += len(data)
        key = self._key
        self._running.append((piece, self._submit(lambda: compare(data, piece, link, recording, key))))
        self._settle(MAX_RUNNING)

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

    def close_segment(self) -> None:
        """Judge the segment's file as a whole, after its last link."""
        self._settle(0)
        if self._pieces:
            self._judge_segment(self.name(self._segment), self._size())
        self._pieces, self._end, self._segment = [], 0, -1

    def _judge_segment(self, name: str, size: int) -> None:
        self.known.add(name)
        whole = all(piece.mark is Mark.INTACT for piece in self._pieces)
        if not whole and size and len(self._pieces) <= MAX_DIAGNOSED:
            self._diagnose(name, size)
        else:
            self._report_in_place(name, size)

    def _settle(self, most: int) -> None:
        """Wait until no more than `most` comparisons are running."""
        while len(self._running) > most:
            piece, later = self._running.popleft()
            piece.mark, code = later.result()
            self._collector.mark(piece.fragment, piece.mark)
            if code is Code.WRONG_RECORDING_KEY:
                self._collector.add_once(code, piece.fragment)
            elif code is not None:
                self._collector.add(code, piece.fragment)

    def _report_in_place(self, name: str, size: int) -> None:
        for piece in self._pieces:
            if piece.mark is Mark.ALTERED:
                self._collector.add(Code.FRAGMENT_ALTERED, piece.fragment)
        if size > self._end:
            self._collector.add(Code.EXTRA_BYTES, file=name, count=size - self._end)

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

    def _diagnose(self, name: str, size: int) -> None:
        found, foreign, end = self._scan(size)
        order = [piece.fragment for piece in self._pieces]
        by_number = {piece.fragment: piece for piece in self._pieces}
        for number in by_number:
            if number in foreign:
                self._collector.add(Code.FRAGMENT_ALTERED, number)
                self._collector.mark(number, Mark.ALTERED)
            elif number not in found:
                self._collector.mark(number, Mark.MISSING)
            else:
                self._collector.mark(number, Mark.INTACT)
        self._report_duplicates(found)
        self._report_moves(order, found)
        if size > end:
            self._collector.add(Code.EXTRA_BYTES, file=name, count=size - end)

    def _scan(self, size: int) -> tuple[list[int], set[int], int]:
        """Read the file from its start; return the fragments recognised, in order, those replaced, and where it ends."""
        found: list[int] = []
        foreign: set[int] = set()
        expected = at = 0
        while at < size:
            index = self._recognise(at, size, expected)
            if index is None:
                if expected >= len(self._pieces):
                    break
                piece = self._pieces[expected]
                if piece.offset > at and self._matches(piece, piece.offset):
                    at = piece.offset  # bytes of fragments whose links are lost
                    continue
                if at + piece.length <= size:
                    foreign.add(piece.fragment)
            else:
                piece = self._pieces[index]
                found.append(piece.fragment)
            at, expected = at + max(piece.length, 1), (expected if index is None else index) + 1
        return found, foreign - set(found), min(at, size)

    def _recognise(self, at: int, size: int, expected: int) -> int | None:
        """Return the index of the fragment at `at`: the expected one, else one after it, else one before it."""
        if expected < len(self._pieces) and self._matches(self._pieces[expected], at):
            return expected
        by_length: dict[int, list[int]] = {}
        for index, piece in enumerate(self._pieces):
            by_length.setdefault(piece.length, []).append(index)
        longest = max((length for length in by_length if at + length <= size), default=0)
        view, hasher, done, matches = memoryview(self._read(at, longest)), hashlib.sha256(), 0, []
        for length in sorted(by_length):
            if 0 < length <= len(view):
                hasher.update(view[done:length])
                digest, done = hasher.copy().digest(), length
                matches += [index for index in by_length[length] if self._pieces[index].digest == digest]
        return min(matches, key=lambda index: (index < expected, index), default=None)

    def _matches(self, piece: StoredFragment, at: int) -> bool:
        return piece.length > 0 and sha256(self._read(at, piece.length)) == piece.digest

    def _report_duplicates(self, found: list[int]) -> None:
        seen: set[int] = set()
        for number in found:
            if number in seen:
                self._collector.add(Code.FRAGMENT_TWICE, number)
                self._collector.mark(number, Mark.MISPLACED)
            seen.add(number)

    def _report_moves(self, order: list[int], found: list[int]) -> None:
        """Compare the order of the fragments found with their order in the chain."""
        there = list(dict.fromkeys(found))
        for wanted, number in zip([number for number in order if number in set(there)], there, strict=True):
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
