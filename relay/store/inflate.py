"""Reading a deflated member of an archive at any place, at a cost that follows its length.

Owns: the state of decompression, kept at a few places, and the bound on what is decompressed.
Must never know: archives, names.

Media is read in order, but a copy's sound lies a little before or behind its picture, and its index may stand at the end.
So the last bytes are kept, and at most `MAX_STATES` states of zlib, from which reading begins again.
"""

import zlib
from bisect import bisect_right
from collections.abc import Callable

from relay.base.errors import Kind, TheirError
from relay.evidence.media import UnreadableError

MAX_STATES = 32
"""States of zlib that are kept of one member: 50 kB each."""
SPACING = 2 << 20
"""Bytes between two kept states, more in a member of more than 64 MiB."""
WINDOW = 2 << 20
"""Bytes that are kept before the place of reading."""
_IN, _OUT = 1 << 16, 1 << 20
MAX_GROWTH = 100
"""An archive is decompressed to this many times its own length at most (FREE besides): media hardly shrinks."""
FREE = 64 << 20


class Allowance:
    """How many bytes may still be decompressed in one archive."""

    def __init__(self, archive_size: int) -> None:
        self.left = FREE + MAX_GROWTH * archive_size

    def spend(self, count: int) -> None:
        """Take `count` bytes; raises UnreadableError where none are left."""
        self.left -= count
        if self.left < 0:
            raise UnreadableError(
                Kind.TOO_LARGE,
                "the archive cannot be read in a reasonable time as it is compressed: unpack it, verify the folder",
            )


class InflatedFile:
    """One deflated member of `packed` compressed and `size` plain bytes; `read_packed(offset, size)` returns the former."""

    def __init__(self, read_packed: Callable[[int, int], bytes], packed: int, size: int, allowance: Allowance) -> None:
        self._read_packed = read_packed
        self._packed = packed
        self._size = size
        self._allowance = allowance
        self._spacing = max(SPACING, size // MAX_STATES + 1)
        self._places: list[tuple[int, int, zlib._Decompress]] = []
        self._window = bytearray()
        self._restore(0, 0, zlib.decompressobj(-zlib.MAX_WBITS))

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; raises TheirError where the stream is damaged, UnreadableError."""
        end = min(offset + size, self._size)
        if offset >= end:
            return b""
        if not self._end - len(self._window) <= offset <= self._end:
            self._go_to(offset)
        found = bytearray()
        while offset < end:
            if offset < self._end:
                start = offset - (self._end - len(self._window))
                piece = self._window[start : start + end - offset]
                found += piece
                offset += len(piece)
            elif not self._advance():
                raise TheirError(Kind.INVALID, f"compressed bytes end at byte {self._end} of {self._size}")
        return bytes(found)

    def ends_where_it_should(self) -> bool:
        """Read to the end; return whether the stream ends with the last plain and the last compressed byte."""
        try:
            while self._advance():
                pass
            return self._end == self._size and self._stream.eof and not self._rest and self._at == self._packed
        except UnreadableError:
            raise
        except TheirError:
            return False

    def _go_to(self, offset: int) -> None:
        """Go to the nearest kept state before `offset`, unless reading on is nearer."""
        index = bisect_right(self._places, offset, key=lambda place: place[0]) - 1
        end, at, stream = self._places[index]
        if offset < self._end or end > self._end:
            self._restore(end, at, stream)

    def _restore(self, end: int, at: int, stream: "zlib._Decompress") -> None:
        self._end, self._at, self._rest = end, at, b""
        self._stream = stream.copy()
        self._window.clear()
        self._keep()

    def _advance(self) -> bool:
        """Decompress a piece; return whether there was more.  Raises TheirError, UnreadableError, OSError."""
        if self._stream.eof or self._end > self._size:
            return False
        packed = self._rest
        if not packed:
            packed = self._read_packed(self._at, min(_IN, self._packed - self._at))
            self._at += len(packed)
            if not packed:
                return False
        try:
            plain = self._stream.decompress(packed, _OUT)
        except zlib.error as error:
            raise TheirError(Kind.INVALID, f"compressed bytes are damaged: {error}") from None
        self._rest = self._stream.unconsumed_tail or self._stream.unused_data
        self._allowance.spend(len(plain) + 1)
        self._window += plain
        self._end += len(plain)
        if len(self._window) > 2 * WINDOW:
            del self._window[:-WINDOW]
        self._keep()
        return True

    def _keep(self) -> None:
        """Keep the state of this place, where enough lies between it and the last one, and nothing waits to be decompressed."""
        last = self._places[-1][0] if self._places else -self._spacing
        if self._end >= last + self._spacing and not self._stream.eof:
            self._places.append((self._end, self._at - len(self._rest), self._stream.copy()))
