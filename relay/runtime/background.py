"""Work that one thing begins and nobody awaits.

What this file owns: which of it is under way, so that its owner's end can wait for it or drop it.  What it must never know:
what it does.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from relay.base.counters import Counters
from relay.runtime import deadlines
from relay.runtime.tasks import run_logged


class Background:
    """One owner's work; it waits for the disk as long as it takes, and a failure of it is counted and logged."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self.tasks: set[asyncio.Task[bool]] = set()
        """What is under way."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin something."""
        task = deadlines.spawn(run_logged(work, getattr(work, "__qualname__", "background work"), self._counters))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def settled(self) -> None:
        """Wait for what is under way now."""
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def drop(self) -> None:
        """Give up what is under way."""
        for task in tuple(self.tasks):
            task.cancel()
        await self.settled()
