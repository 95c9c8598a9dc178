"""A disk that fails when told: for tests of whatever writes through `FileOps`."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
