"""A few threads that wait for the disk, and whether it lets them come back.

What this file owns: those threads and their queue.  What it must never know: SQL, who waits.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from relay.runtime import deadlines

T = TypeVar("T")


class DiskExecutor:
    """`threads` threads that take work in order."""

    def __init__(self, threads: int, name: str) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._busy = 0
        self._since = 0.0

    @property
    def stalled(self) -> bool:
        """Whether no thread is free and none came back for as long as anybody in a hurry waits: the disk does not answer."""
        with self._lock:
            return self._busy == self._threads and time.monotonic() - self._since >= deadlines.SECONDS

    def submit(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Queue work; to be called on the loop."""
        return asyncio.get_running_loop().run_in_executor(self._pool, self._run, work)

    def shut(self) -> None:
        """Finish what waits and end the threads."""
        self._pool.shutdown()

    def _run(self, work: Callable[[], T]) -> T:
        self._note(1)
        try:
            return work()
        finally:
            self._note(-1)

    def _note(self, more: int) -> None:
        # Noted by the thread: a loop that is late itself must not take its own delay for the disk's.
        with self._lock:
            self._busy += more
            self._since = time.monotonic()
