"""The vault: one folder per recording, holding its chain and its stored (encrypted) segments (VAULT.md).

Owns: paths, appending, the order of writes and fsyncs, reading back.  Must never know: what a link
means, long-term keys, the database.

Everything that changes the disk goes through one small object, `FileOps`, so that a test can fail, stall, tear or kill at each
single operation.  Order of one fragment: stored bytes into the segment, then its link into the chain.  A grouped fsync syncs
the segments before the chain, at least once a second, and before more than `MAX_UNSYNCED_…` of a recording wait for it.  After
a power cut a link may be there without its bytes: recovery cuts the chain back to the last link whose bytes are all there.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.evidence.seal import decrypt_fragment

CHAIN = "chain"
RESERVE = "reserve"
_CHUNK = 1 << 20

MAX_UNSYNCED_RECORDS = 8
MAX_UNSYNCED_BYTES = 8 << 20
"""At most so many records and stored bytes of a recording are appended without an fsync, at any clock and any backlog; a single
longer fragment is the exception.  Recovery may cut that much and nothing older."""


class FileOps:
    """The only code that writes in a vault.  Each method is one operation of the operating system and may raise OSError."""

    def mkdir(self, path: Path) -> None:
        """Make a folder of mode 0700; its parent exists."""
        path.mkdir(mode=0o700)

    def open_append(self, path: Path) -> int:
        """Open (or make, mode 0600) a file for appending; return its descriptor."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, descriptor: int, data: bytes) -> int:
        """Write some of `data`; return how many bytes were written."""
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        """Wait until the file's bytes and size are on the medium."""
        os.fsync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file back to `size` bytes."""
        os.ftruncate(descriptor, size)

    def allocate(self, descriptor: int, size: int) -> None:
        """Reserve `size` bytes on the medium for the file."""
        os.posix_fallocate(descriptor, 0, size)

    def free(self, path: Path) -> int:
        """Return the bytes that are free on the medium below `path`."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Put `source` in the place of `target`, atomically."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def rmdir(self, path: Path) -> None:
        """Remove an empty folder."""
        path.rmdir()

    def fsync_dir(self, path: Path) -> None:
        """Wait until the folder's names are on the medium.

        Some network and FUSE file systems know no such call.  There a name is as durable as their server makes it, and nothing
        is raised: `sync_folder` says which ones they are, and `relay serve` warns of it.
        """
        sync_folder(path)


def sync_folder(path: Path) -> bool:
    """Wait until a folder's names are on the medium; False where the file system cannot do that.  Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        return False
    finally:
        os.close(descriptor)
    return True


def write_file(ops: FileOps, path: Path, data: bytes) -> None:
    """Replace a small file, so that after a crash it is the old one or the whole new one; raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    with contextlib.suppress(FileNotFoundError):
        ops.unlink(temporary)
    descriptor = ops.open_append(temporary)
    try:
        write_all(ops, descriptor, data)
        ops.fsync(descriptor)
    finally:
        ops.close(descriptor)
    ops.rename(temporary, path)
    ops.fsync_dir(path.parent)


def write_all(ops: FileOps, descriptor: int, data: bytes) -> None:
    """Write all of `data`; raises OSError (ENOSPC where the system writes nothing and reports no error)."""
    view = memoryview(data)
    while view:
        written = ops.write(descriptor, bytes(view) if len(view) < len(data) else data)
        if written <= 0:
            raise OSError(errno.ENOSPC, "nothing written")
        view = view[written:]


def segment_name(segment: int) -> str:
    """Return the file name of a segment: five digits and `.seg`."""
    return f"{segment:05d}.seg"


class AppendFile:
    """One growing file that always ends where the last complete append ended.

    A write that failed half-way is cut off before the next one, so a repeated append never leaves a torn middle.  A failed
    fsync may have dropped the bytes that it was to write, and the next may succeed all the same (fsync(2)).  So the bytes since
    the last good fsync are kept in memory; they are cut off and written again before another fsync, and before another append.
    """

    def __init__(self, ops: FileOps, path: Path) -> None:
        self._ops = ops
        self._descriptor = ops.open_append(path)
        self.size = self._durable = os.fstat(self._descriptor).st_size
        self._pending: list[bytes] = []
        """Appended since the last good fsync."""
        self._bad_from: int | None = None
        """Size to which the file has to be cut before the rest is written again; None while the file is right."""
        self._fsync_failed = False

    @property
    def dirty(self) -> bool:
        """Whether anything was appended that is not durable."""
        return bool(self._pending)

    def append(self, data: bytes) -> None:
        """Append all of `data` or (raising OSError) none of it."""
        if self._fsync_failed:
            self.sync()
        self._restore()
        self._bad_from = self.size
        write_all(self._ops, self._descriptor, data)
        self._bad_from = None
        self.size += len(data)
        self._pending.append(data)

    def sync(self) -> None:
        """Make everything appended durable; raises OSError."""
        if not self._pending:
            return
        if self._fsync_failed:
            self._restore()
        try:
            self._ops.fsync(self._descriptor)
        except OSError:
            self._fsync_failed, self._bad_from = True, self._durable
            raise
        self._durable, self._fsync_failed = self.size, False
        self._pending.clear()

    def _restore(self) -> None:
        """Cut off torn or untrusted bytes, and write the right ones again; raises OSError."""
        if self._bad_from is None:
            return
        self._ops.truncate(self._descriptor, self._bad_from)
        if self._bad_from < self.size:
            write_all(self._ops, self._descriptor, b"".join(self._pending))
        self._bad_from = None

    def close(self) -> None:
        """Cut off a torn end where possible, and close."""
        with contextlib.suppress(OSError):
            self._restore()
        self._ops.close(self._descriptor)


class RecordingWriter:
    """Writes one recording's folder; used by one thread only."""

    def __init__(self, ops: FileOps, folder: Path) -> None:
        """Make the folder, which must not exist, durable in its parent; raises OSError."""
        self._ops = ops
        self._folder = folder
        ops.mkdir(folder)
        ops.fsync_dir(folder.parent)
        self._chain = AppendFile(ops, folder / CHAIN)
        self._segment: AppendFile | None = None
        self._number = -1
        self._unsynced: list[AppendFile] = []
        self._unsynced_records = 0
        self._unsynced_bytes = 0
        self._new_names = True
        self._closed = False

    def append_stored(self, segment: int, data: bytes) -> int:
        """Append stored bytes to a segment; return their offset.  Segment numbers only grow.  Raises OSError."""
        if self._unsynced_bytes and self._unsynced_bytes + len(data) > MAX_UNSYNCED_BYTES:
            self.sync()
        if segment != self._number:
            self._open_segment(segment)
        assert self._segment is not None
        offset = self._segment.size
        self._segment.append(data)
        self._unsynced_bytes += len(data)
        return offset

    def next_offset(self, segment: int) -> int:
        """Return where the next stored bytes of a segment will begin."""
        return self._segment.size if self._segment is not None and segment == self._number else 0

    def append_chain(self, record: bytes) -> None:
        """Append one record to the chain; raises OSError."""
        if self._unsynced_records >= MAX_UNSYNCED_RECORDS:
            self.sync()
        self._chain.append(record)
        self._unsynced_records += 1

    def sync(self) -> None:
        """Make everything appended durable: segments, then the chain, then new names; raises OSError."""
        for old in self._unsynced:
            old.sync()
        while self._unsynced:
            self._unsynced.pop().close()
        if self._segment is not None:
            self._segment.sync()
        self._chain.sync()
        if self._new_names:
            self._ops.fsync_dir(self._folder)
            self._new_names = False
        self._unsynced_records = self._unsynced_bytes = 0

    def close(self) -> None:
        """Close every file without syncing; idempotent."""
        if self._closed:
            return
        self._closed = True
        for file in (*self._unsynced, self._segment, self._chain):
            if file is not None:
                file.close()

    def _open_segment(self, segment: int) -> None:
        opened = AppendFile(self._ops, self._folder / segment_name(segment))
        if self._segment is not None:
            self._unsynced.append(self._segment)
        self._segment, self._number, self._new_names = opened, segment, True


class Vault:
    """Reads recordings, and erases the folder of a recording whose key is already destroyed."""

    def __init__(self, root: Path, ops: FileOps | None = None) -> None:
        self.root = root
        self._ops = ops or FileOps()

    def prepare(self) -> None:
        """Make the vault's own folder where it is missing; raises OSError."""
        if not self.root.is_dir():
            self._ops.mkdir(self.root)

    def recordings(self) -> list[str]:
        """Return the ids of all recordings that have a folder, oldest first (ids sort by time)."""
        return sorted(entry.name for entry in self.root.iterdir() if entry.is_dir() and is_recording_id(entry.name))

    def folder(self, recording: str) -> Path:
        """Return the folder of a recording; raises TheirError(NOT_FOUND) where `recording` is no id."""
        if not is_recording_id(recording):
            raise TheirError(Kind.NOT_FOUND, "no such recording", code=Code.RECORDING_NOT_FOUND)
        return self.root / recording

    def segments(self, recording: str) -> list[int]:
        """Return the numbers of the segments on disk, in order."""
        return sorted(int(path.stem) for path in self.folder(recording).glob("[0-9][0-9][0-9][0-9][0-9]*.seg"))

    def chain(self, recording: str) -> Iterator[bytes]:
        """Yield the chain's bytes in pieces of at most 1 MiB; raises TheirError(NOT_FOUND)."""
        try:
            with (self.folder(recording) / CHAIN).open("rb") as file:
                while piece := file.read(_CHUNK):
                    yield piece
        except FileNotFoundError as error:
            raise TheirError(Kind.NOT_FOUND, "no such recording", code=Code.RECORDING_NOT_FOUND) from error

    def read_stored(self, recording: str, segment: int, offset: int, length: int) -> bytes:
        """Return stored bytes, fewer than `length` where the file ends before; raises TheirError(NOT_FOUND)."""
        try:
            with (self.folder(recording) / segment_name(segment)).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except FileNotFoundError as error:
            raise TheirError(Kind.NOT_FOUND, f"segment {segment} is missing", code=Code.SEGMENT_NOT_FOUND) from error

    def read_plain(self, recording: str, key: bytes, counter: int, segment: int, offset: int, length: int) -> bytes:
        """Return the plain bytes of one stored fragment; raises TheirError (NOT_FOUND, INVALID)."""
        return decrypt_fragment(key, recording, counter, self.read_stored(recording, segment, offset, length))

    def stored_bytes(self, recording: str) -> int:
        """Return the size of a recording's folder in bytes."""
        return sum(path.stat().st_size for path in self.folder(recording).iterdir())

    def erase(self, recording: str) -> None:
        """Unlink a recording's folder, durably; the caller has destroyed the key before (I5).  Raises OSError; idempotent."""
        folder = self.folder(recording)
        if not folder.is_dir():
            return
        for path in sorted(folder.iterdir()):
            self._ops.unlink(path)
        self._ops.rmdir(folder)
        self._ops.fsync_dir(self.root)


def is_recording_id(name: str) -> bool:
    """Return whether `name` is 32 lower-case hexadecimal digits."""
    return len(name) == 32 and not set(name) - set("0123456789abcdef")
