"""What a verifier read, as one digest: the SHA-256 of the list that `sha256sum` prints of the files.

Owns: FORMAT.md §7.8.  Must never know: what the files mean.

Anybody with the same files computes the same digest with the system's own commands.  A report that names it says which bytes
it is about.  Bytes are digested as they pass to the verifier; what the verifier did not ask for is read at the end.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from relay.base.errors import RelayError
from relay.evidence.container import Oddity
from relay.evidence.media import Reader
from relay.evidence.verdict import Readings

_CHUNK = 1 << 20


class _Hasher(Protocol):
    def update(self, data: memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


@dataclass(slots=True)
class _File:
    hasher: _Hasher = field(default_factory=hashlib.sha256)
    position: int = 0
    """Bytes that were digested, from the beginning."""


def content_digest(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256 (hex) of the list that `sha256sum` prints of these files, sorted by the bytes of their names.

    `files`: name, relative to the folder, to the SHA-256 (32 bytes) of its content.
    """
    listing = hashlib.sha256()
    for name in sorted(files, key=_bytes_of):
        listing.update(files[name].hex().encode() + b"  " + _bytes_of(name) + b"\n")
    return listing.hexdigest()


def _bytes_of(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


class HashingReader:
    """A reader that digests what passes through it, in a thread of its own: another core hashes while this one compares."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._files: dict[str, _File] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="digest")
        self._running: Future[Any] | None = None

    def names(self) -> list[str]:
        """Return every file's name."""
        return self._reader.names()

    def size(self, name: str) -> int:
        """Return a file's length in bytes."""
        return self._reader.size(name)

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; raises TheirError or OSError."""
        data = self._reader.read(name, offset, size)
        self._take(name, offset, data)
        return data

    def oddities(self) -> Sequence[Oddity]:
        """Return what is there besides files."""
        return self._reader.oddities()

    def folder(self) -> str:
        """Return the name of the folder that holds the files."""
        return self._reader.folder()

    def _take(self, name: str, offset: int, data: bytes) -> None:
        file = self._files.setdefault(name, _File())
        if offset <= file.position < offset + len(data):
            fresh = memoryview(data)[file.position - offset :]
            file.position += len(fresh)
            self._update(file.hasher.update, fresh)

    def _update(self, update: Callable[[memoryview], None], data: memoryview) -> None:
        """Hash in the other thread; one piece waits at most, so that memory holds two."""
        if self._running is not None:
            self._running.result()
        self._running = self._pool.submit(update, data)

    def finish(self) -> Readings:
        """Read what nobody asked for, and return the digest of the list."""
        names, whole, length = sorted(self.names(), key=_bytes_of), True, 0
        for name in names:
            whole = self._read_rest(name) and whole
            length += self._files[name].position if name in self._files else 0
        if self._running is not None:
            self._running.result()
        digests = {name: self._files.setdefault(name, _File()).hasher.digest() for name in names}
        return Readings(len(names), length, content_digest(digests) if whole else "")

    def _read_rest(self, name: str) -> bool:
        """Return whether the file could be read to its end."""
        try:
            size = self.size(name)
            while (at := self._files.setdefault(name, _File()).position) < size:
                if not self.read(name, at, min(_CHUNK, size - at)):
                    return False
        except (OSError, RelayError):
            return False
        return True

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown()
