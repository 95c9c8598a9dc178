"""A disk that fails when told: for tests of whatever writes through `FileOps`, and of what writes to the database."""

import contextlib
import errno
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from relay.runtime import deadlines
from relay.store.database import Database
from relay.store.disk_executor import DiskExecutor
from relay.store.journal import Journal
from relay.store.vault import FileOps


class Killed(BaseException):
    """The process died here: nothing after this point ran (not an Exception, so that nobody handles it)."""


class FaultyOps(FileOps):
    """Counts operations; `plan(number, name)` may return an errno to fail with, or raise `Killed`.

    A write that fails has written half of its bytes, as a full or dying disk does.
    """

    def __init__(self, plan: Callable[[int, str], int | None]) -> None:
        self.plan = plan
        self.operations = 0

    def _step(self, name: str) -> None:
        self.operations += 1
        code = self.plan(self.operations, name)
        if code is not None:
            raise OSError(code, errno.errorcode[code])

    def write(self, descriptor: int, data: bytes) -> int:
        try:
            self._step("write")
        except (OSError, Killed):
            super().write(descriptor, data[: len(data) // 2])
            raise
        return super().write(descriptor, data)

    def mkdir(self, path: Path) -> None:
        self._step("mkdir")
        super().mkdir(path)

    def open_append(self, path: Path) -> int:
        self._step("open")
        return super().open_append(path)

    def fsync(self, descriptor: int) -> None:
        self._step("fsync")
        super().fsync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        self._step("truncate")
        super().truncate(descriptor, size)

    def allocate(self, descriptor: int, size: int) -> None:
        self._step("allocate")
        super().allocate(descriptor, size)

    def rename(self, source: Path, target: Path) -> None:
        self._step("rename")
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        self._step("unlink")
        super().unlink(path)

    def fsync_dir(self, path: Path) -> None:
        self._step("fsync_dir")
        super().fsync_dir(path)


def never(*_: Any) -> None:
    """A plan without faults."""
    return


def killing(at: int) -> Callable[[int, str], int | None]:
    """Return a plan that kills at the `at`-th operation and at every one after it."""

    def plan(number: int, name: str) -> int | None:
        if number >= at:
            raise Killed(f"killed at {name} {number}")
        return None

    return plan


class HeldMedia(FileOps):
    """A disk that lets no fragment of `tests.support.sealing.media` by before it is told to."""

    STORED = 216
    """Bytes of such a fragment with its tag."""

    def __init__(self, released: threading.Event) -> None:
        self._released = released

    def write(self, descriptor: int, data: bytes) -> int:
        if len(data) == self.STORED:
            assert self._released.wait(20)
        return super().write(descriptor, data)


class SmallDisk(FileOps):
    """A disk of `capacity` bytes below `root`: it fills, and it empties again."""

    def __init__(self, root: Path, capacity: int) -> None:
        self.root = root
        self.capacity = capacity

    def free(self, path: Path) -> int:
        used = sum(one.stat().st_size for one in self.root.rglob("*") if one.is_file())
        return max(self.capacity - used, 0)

    def write(self, descriptor: int, data: bytes) -> int:
        room = self.free(self.root)
        if not room:
            raise OSError(errno.ENOSPC, "full")
        return super().write(descriptor, data[:room])

    def allocate(self, descriptor: int, size: int) -> None:
        if self.free(self.root) < size:
            raise OSError(errno.ENOSPC, "full")
        super().allocate(descriptor, size)


class SilentDisk:
    """The disk of a database that answers nothing at all while told so: commits do not return, and are done when it is back.

    Nobody loses patience while it answers, however slow this machine is.  While it is silent requests wait for a moment, or,
    once that was `noticed`, are refused at once; a test says which, because it cannot say how much time passes.
    """

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self._answers = threading.Event()
        self._answers.set()
        self._reads = False
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(deadlines, "SECONDS", 600.0)
        event.listen(database._engine, "commit", self._commit)

    @contextlib.contextmanager
    def silent(self, *, reads: bool = False) -> Iterator[None]:
        """Within: no write comes back, and no read where `reads`."""
        self._reads = reads
        self._answers.clear()
        with self._monkeypatch.context() as patched:
            patched.setattr(deadlines, "SECONDS", 0.05)
            if not reads:
                patched.setattr(Database, "read", _reading_patiently(Database.read))
            patched.setattr(DiskExecutor, "stalled", False)
            patched.setattr(Journal, "stalled", False)
            try:
                yield
            finally:
                self._answers.set()

    @contextlib.contextmanager
    def noticed(self) -> Iterator[None]:
        """Within: it is known that nothing comes back."""
        with self._monkeypatch.context() as patched:
            patched.setattr(DiskExecutor, "stalled", True)
            patched.setattr(Journal, "stalled", True)
            yield

    def _commit(self, connection: Connection) -> None:
        if self._reads or connection.get_execution_options().get("relay_writes", True):
            assert self._answers.wait(60)


def _reading_patiently(read: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def patiently(*arguments: Any) -> Any:
        with deadlines.unhurried():
            return await read(*arguments)

    return patiently
