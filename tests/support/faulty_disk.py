"""Disks that fail on demand: for tests of code that writes through `FileOps`, or to the database."""

import contextlib
import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from relay.runtime.deadlines import Deadline
from relay.store.database import Database
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
    """A disk that takes no fragment of `tests.support.sealing.media` before the test releases it."""

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


class ScriptedDeadline(Deadline):
    """A request's deadline that passes when a test says so: nobody gives up while the disk answers, however slow it is here.

    While the disk is `silent` requests wait for a moment, or, once that was `noticed`, are refused at once; a test says which,
    because it cannot say how much time passes.
    """

    def __init__(self) -> None:
        self.silent = False
        self.noticed = False

    @property
    def seconds(self) -> float:
        return 0.05 if self.silent else 600.0

    def is_over(self, waited_seconds: float) -> bool:
        return self.noticed


class SilentDisk:
    """The disk of a database that answers nothing while it is silent: commits do not return, and are done when it is back.

    Requests have its `deadline`.
    """

    def __init__(self, database: Database, deadline: ScriptedDeadline, monkeypatch: pytest.MonkeyPatch) -> None:
        self.deadline = deadline
        self._database = database
        self._answers = threading.Event()
        self._answers.set()
        self._reads = False
        self._monkeypatch = monkeypatch
        event.listen(database.engine, "commit", self._commit)

    @contextlib.contextmanager
    def silent(self, *, reads: bool = False) -> Iterator[None]:
        """Within: no write comes back, and no read where `reads`; where reads do come back, they are waited for."""
        self._reads = reads
        self._answers.clear()
        self.deadline.silent = True
        with self._monkeypatch.context() as patched:
            if not reads:
                read = self._database.read

                async def patiently(work: Callable[[Connection], Any], **_deadline: Deadline) -> Any:
                    return await read(work)

                patched.setattr(self._database, "read", patiently)
            try:
                yield
            finally:
                self.deadline.silent = False
                self._answers.set()

    @contextlib.contextmanager
    def noticed(self) -> Iterator[None]:
        """Within: it is known that nothing comes back."""
        self.deadline.noticed = True
        try:
            yield
        finally:
            self.deadline.noticed = False

    def _commit(self, connection: Connection) -> None:
        if self._reads or connection.get_execution_options().get("relay_writes", True):
            assert self._answers.wait(60)
