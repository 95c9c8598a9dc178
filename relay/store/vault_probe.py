"""Whether the vault can be written now: a file written, renamed and removed, and its folder synced.

Owns: the trial, when it is made again, how long a caller waits for it.  Must never know: recordings, who asks.

Callers do not make disk work: one trial is under way at most, and its result serves everybody for `FRESH_SECONDS`.  A disk that
does not answer keeps one thread, and each caller is told so at once when the trial is older than its deadline.
"""

import asyncio
import contextlib
import errno
import logging
from pathlib import Path
from typing import Final

from relay.base.clock import Clock
from relay.runtime.deadlines import Deadline
from relay.store.disk_executor import DiskExecutor
from relay.store.vault import FileOps, write_all

logger = logging.getLogger(__name__)

FRESH_SECONDS: Final = 5.0
NAME: Final = "trial"
CANNOT: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EPERM, errno.EACCES})
"""Errors by which a file system, or the rights on it, rule an operation out.  Others (full, away, read-only) may pass."""


class TrialError(OSError):
    """The trial failed at `step`, a few words for people."""

    def __init__(self, step: str, error: OSError) -> None:
        super().__init__(error.errno, error.strerror or str(error))
        self.step = step


def try_vault(ops: FileOps, root: Path) -> None:
    """Write, sync, rename and remove a small file, and sync the folder; waits for the disk.  Raises TrialError."""
    first, second = root / f"{NAME}.tmp", root / NAME
    step = "making a file"
    try:
        descriptor = ops.open_append(first)
        try:
            step = "writing"
            write_all(ops, descriptor, b"the vault can be written\n")
            step = "syncing a file (fsync)"
            ops.fsync(descriptor)
        finally:
            ops.close(descriptor)
        step = "renaming"
        ops.rename(first, second)
        step = "syncing the folder (fsync)"
        ops.fsync_dir(root)
        step = "removing a file"
        ops.unlink(second)
    except OSError as error:
        for path in (first, second):
            with contextlib.suppress(OSError):
                ops.unlink(path)
        raise TrialError(step, error) from error


class VaultProbe:
    """Answers whether the vault can be written."""

    def __init__(self, root: Path, clock: Clock, deadline: Deadline, ops: FileOps | None = None) -> None:
        self._root = root
        self._clock = clock
        self._deadline = deadline
        self._ops = ops or FileOps()
        self._thread = DiskExecutor(1, "vault-probe")
        self._trial: asyncio.Future[None] | None = None
        self._begun = 0.0

    async def can_write(self) -> bool:
        """Return the result of the last trial, or of a new one where that is old; waits no longer than the deadline."""
        now = self._clock.monotonic()
        if self._trial is None or self._trial.done() and now - self._begun >= FRESH_SECONDS:
            self._begun = now
            self._trial = self._thread.submit(lambda: try_vault(self._ops, self._root))
        trial = self._trial
        if not trial.done() and not self._deadline.is_over(now - self._begun):
            await asyncio.wait({trial}, timeout=self._deadline.seconds)
        if not trial.done():
            return False
        error = trial.exception()
        if error is not None and not isinstance(error, TrialError):
            raise error
        return error is None
