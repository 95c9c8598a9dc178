"""Room kept for the journal: a preallocated file that is given up when the disk is full.

Owns: that file.  Must never know: what is written in its place.  Every method waits for the disk: call
it from a writer's thread.
"""

import contextlib
import logging
import os
import time
from pathlib import Path

logger = logging.getLogger(__name__)

SIZE = 16 << 20
ROOM = 64 << 20
"""Free bytes beyond the reserve at which the reserve is allocated again."""
RETRY_SECONDS = 10.0


class Reserve:
    """One file of `size` bytes at `path`.  Where there is no room, `hold` tries again every `RETRY_SECONDS`."""

    def __init__(self, path: Path, size: int = SIZE) -> None:
        self.path = path
        self._size = size
        self._held = False
        self._next = 0.0

    @property
    def held(self) -> bool:
        """Whether the file is allocated."""
        return self._held

    def hold(self) -> None:
        """Allocate the file where there is room; cheap while it is allocated.  Never raises OSError."""
        if self._held or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + RETRY_SECONDS
        with contextlib.suppress(OSError):
            there = self.path.exists() and self.path.stat().st_size >= self._size
            found = os.statvfs(self.path.parent)
            if there or found.f_bavail * found.f_frsize >= self._size + ROOM:
                self._allocate()
                self._held = True

    def spend(self) -> bool:
        """Unlink the file; return False where there was none."""
        if not self._held:
            return False
        self._held, self._next = False, time.monotonic() + RETRY_SECONDS
        with contextlib.suppress(OSError):
            self.path.unlink()
            logger.error("the disk is full: the journal's reserve is given up")
            return True
        return False

    def _allocate(self) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._size)
        finally:
            os.close(descriptor)
