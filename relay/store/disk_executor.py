"""A few threads that make the blocking calls to the disk, and whether those calls return.

Owns: those threads and their queue.  Must never know: SQL, who waits.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from relay.runtime.deadlines import Deadline

T = TypeVar("T")


class DiskExecutor:
    """`threads` threads that take work in the order of its arrival."""

    def __init__(self, threads: int, name: str) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._busy = 0
        self._changed_at = 0.0
        """Monotonic seconds at which a call last began or returned."""

    def stalled(self, deadline: Deadline) -> bool:
        """Return whether no thread is free and none has returned for as long as the deadline: the disk does not answer."""
        with self._lock:
            return self._busy == self._threads and deadline.is_over(time.monotonic() - self._changed_at)

    def submit(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Queue work; call it on the event loop."""
        return asyncio.get_running_loop().run_in_executor(self._pool, self._run, work)

    def shut(self) -> None:
        """Finish the queued work and end the threads."""
        self._pool.shutdown()

    def _run(self, work: Callable[[], T]) -> T:
        self._count_busy(1)
        try:
            return work()
        finally:
            self._count_busy(-1)

    def _count_busy(self, more: int) -> None:
        # The thread notes it, not the loop: a loop that is late must not take its own delay for the disk's.
        with self._lock:
            self._busy += more
            self._changed_at = time.monotonic()
