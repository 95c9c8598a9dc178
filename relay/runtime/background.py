"""The background tasks of one owner.

Owns: which of them are under way, so that the owner can wait for them or cancel them as it ends.
Must never know: what they do.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from relay.base.counters import Counters
from relay.runtime.tasks import run_logged, spawn


class Background:
    """One owner's tasks.  They have no deadline; a failure is counted and logged."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self.tasks: set[asyncio.Task[bool]] = set()
        """The tasks under way."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin a task that nobody awaits."""
        task = spawn(run_logged(work, getattr(work, "__qualname__", "background work"), self._counters))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def settled(self) -> None:
        """Wait for the tasks that are under way now."""
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def drop(self) -> None:
        """Cancel the tasks that are under way, and wait for their end."""
        for task in tuple(self.tasks):
            task.cancel()
        await self.settled()
