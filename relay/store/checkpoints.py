"""The checkpoint file beside the database: a copy kept elsewhere reveals a database that was rolled back (LAW.md T5).

Owns: the file.  Must never know: leaves, SQL, what a checkpoint says (`relay.evidence.log`).
Format: C2SP notes one after the other, each followed by an empty line; each append is synced before it returns.
"""

import fcntl
import os
import re
from pathlib import Path

from relay.base.codes import Code
from relay.base.errors import OurError
from relay.store.vault import FileOps, write_all

_END = b"\n\n"
_NOTE = re.compile(r"(?:[^\n]+\n){3,20}\n(?:— [^\n]+\n)+")


class CheckpointFile:
    """Append-only file of notes; blocking."""

    def __init__(self, path: Path, ops: FileOps | None = None) -> None:
        self._path = path
        self._ops = ops or FileOps()
        self._torn = False
        """A part of a note may be at the end of the file; it is cut off before the next note is written."""
        self._lock: int | None = None

    def lock(self) -> None:
        """Become the journal's only writer until `unlock` or the end of the process.  Raises OurError where another one is.

        Two writers would give the same number to two entries, and every entry of the second would be refused.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self._path.with_name("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise OurError("another process writes this journal: is the relay running?", code=Code.ALREADY_RUNNING) from error
        self._lock = handle

    def unlock(self) -> None:
        """Let another process write; idempotent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def append(self, note: str) -> None:
        """Append a note and fsync.  On OSError the next call first removes any part of the note that was written."""
        if self._torn:
            self.cut_torn()
        fresh = not self._path.exists()
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = self._ops.open_append(self._path)
        try:
            self._torn = True
            write_all(self._ops, handle, f"{note}\n".encode())
            self._ops.fsync(handle)
            self._torn = False
        finally:
            self._ops.close(handle)
        if fresh:
            self._ops.fsync_dir(self._path.parent)

    def notes(self) -> list[str]:
        """Return the notes in the order of writing; text that is no whole note is returned as it is (it will not verify)."""
        if not self._path.exists():
            return []
        text = self._path.read_text(errors="replace")
        found: list[str] = []
        end = 0
        for match in _NOTE.finditer(text):
            found += [rest for rest in [text[end : match.start()]] if rest.strip()]
            found.append(match[0])
            end = match.end()
        return found + [rest for rest in [text[end:]] if rest.strip()]

    def cut_torn(self) -> None:
        """Cut off a note that a crash left half-written at the end."""
        if not self._path.exists():
            self._torn = False
            return
        data = self._path.read_bytes()
        if data and not data.endswith(_END):
            whole = data.rfind(_END) + len(_END) if _END in data else 0
            # A note contains an empty line before its signature: search back to the end of a whole note.
            while whole and not _ends_note(data[:whole]):
                whole = data.rfind(_END, 0, whole - 1) + len(_END) if _END in data[: whole - 1] else 0
            self._cut(whole)
        self._torn = False

    def _cut(self, size: int) -> None:
        handle = self._ops.open_append(self._path)
        try:
            self._ops.truncate(handle, size)
        finally:
            self._ops.close(handle)


def _ends_note(data: bytes) -> bool:
    last = data.rstrip(b"\n").rpartition(b"\n")[2]
    return last.startswith("— ".encode())
