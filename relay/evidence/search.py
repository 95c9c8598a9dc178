"""Which fragment of a segment stands where, in a file that is not as it was sealed.

Owns: the re-reading of FORMAT.md §7.3, and its bound.  Must never know: signatures, times, marks.

A hostile file must not cost more than its length: each try has a cost, and a re-reading that costs too much is given up.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

PER_BYTE = 16
"""The cost of a re-reading may be this many times the length of the file …"""
FREE = 1 << 20
"""… and this much besides, so that a short file is always read again."""
PER_LENGTH = 1000
"""Cost of one more length that is tried at a position; a byte that is hashed costs 1."""
_CHUNK = 1 << 20


class Piece(Protocol):
    """A fragment as it should stand in the file; lengths and offsets in bytes."""

    @property
    def fragment(self) -> int:
        """Return its number."""
        ...

    @property
    def offset(self) -> int:
        """Return where it should stand."""
        ...

    @property
    def length(self) -> int:
        """Return its length."""
        ...

    @property
    def digest(self) -> bytes:
        """Return its SHA-256."""
        ...


@dataclass(slots=True)
class Found:
    """What a re-reading found: fragments in the order of the file, those replaced by foreign bytes, and where it ended."""

    order: list[int] = field(default_factory=list)
    foreign: set[int] = field(default_factory=set)
    end: int = 0


class TooCostlyError(Exception):
    """The re-reading would cost more than its bound."""


class Search:
    """One re-reading of a file of `size` bytes; `read(offset, length)` returns fewer bytes where they cannot be read."""

    def __init__(self, pieces: Sequence[Piece], size: int, read: Callable[[int, int], bytes]) -> None:
        self._pieces = pieces
        self._size = size
        self._read = read
        self._left = PER_BYTE * size + FREE
        self._by_length: dict[int, dict[bytes, list[int]]] = {}
        for index, piece in enumerate(pieces):
            if piece.length > 0:
                self._by_length.setdefault(piece.length, {}).setdefault(piece.digest, []).append(index)
        self._lengths = sorted(self._by_length)

    def run(self) -> Found | None:
        """Read the file from its start; None where that would cost more than the bound."""
        try:
            return self._run()
        except TooCostlyError:
            return None

    def _run(self) -> Found:
        found, expected, at = Found(), 0, 0
        while at < self._size:
            index = self._at(at, expected)
            if index is None:
                if expected >= len(self._pieces):
                    break
                piece = self._pieces[expected]
                if piece.offset > at and self._matches(piece, piece.offset):
                    at = piece.offset  # bytes of fragments whose links are lost
                    continue
                if at + piece.length <= self._size:
                    found.foreign.add(piece.fragment)
            else:
                piece = self._pieces[index]
                found.order.append(piece.fragment)
            at, expected = at + max(piece.length, 1), (expected if index is None else index) + 1
        found.foreign -= set(found.order)
        found.end = min(at, self._size)
        return found

    def _at(self, at: int, expected: int) -> int | None:
        """Return the index of the fragment at `at`: the expected one, else the first after it, else the first before it."""
        if expected < len(self._pieces) and self._matches(self._pieces[expected], at):
            return expected
        fitting = self._lengths[: bisect_left(self._lengths, self._size - at + 1)]
        if not fitting:
            return None
        self._spend(PER_LENGTH * len(fitting) + fitting[-1])
        matches: list[int] = []
        for length, digest in zip(fitting, self._digests(at, fitting), strict=False):
            indices = self._by_length[length].get(digest)
            if indices is not None:
                after = bisect_left(indices, expected)
                matches.append(indices[after] if after < len(indices) else indices[0])
        return min(matches, key=lambda index: (index < expected, index), default=None)

    def _matches(self, piece: Piece, at: int) -> bool:
        if not 0 < piece.length <= self._size - at:
            return False
        self._spend(piece.length)
        return self._digests(at, [piece.length]) == [piece.digest]

    def _digests(self, at: int, lengths: Sequence[int]) -> list[bytes]:
        """Return the digests of the bytes at `at`, for each of these ascending lengths; fewer where bytes cannot be read."""
        hasher, buffer, base = hashlib.sha256(), memoryview(b""), 0
        digests: list[bytes] = []
        done = 0
        for length in lengths:
            while done < length:
                if done == base + len(buffer):
                    base, buffer = done, memoryview(self._read(at + done, min(_CHUNK, lengths[-1] - done)))
                    if not buffer:
                        return digests
                piece = buffer[done - base : length - base]
                hasher.update(piece)
                done += len(piece)
            digests.append(hasher.copy().digest())
        return digests

    def _spend(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise TooCostlyError
