"""Tasks that nobody awaits: none is lost, and none fails unseen.

Owns: how such a task is begun, and how its failure is counted and logged.  Must never know: what the
work is.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from relay.base.counters import Counters, declare
from relay.base.errors import RelayError

T = TypeVar("T")

logger = logging.getLogger(__name__)

declare(
    task_failures="pieces of background work that failed",
    timer_failures="runs of a periodic task that failed; it is tried again",
)


_begun: set["asyncio.Task[Any]"] = set()


def spawn(work: Coroutine[Any, Any, T], name: str | None = None) -> "asyncio.Task[T]":
    """Begin a task and keep it until it ends: the loop itself holds tasks only weakly."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    _begun.add(task)
    task.add_done_callback(_begun.discard)
    return task


async def run_logged(work: Awaitable[object], what: str, counters: Counters, counter: str = "task_failures") -> bool:
    """Await work; count and log any failure instead of raising it.  Return whether it succeeded."""
    try:
        await work
    except RelayError as error:
        counters.count(counter)
        logger.error("%s failed", what, extra={"detail": error.detail})
        return False
    except Exception:
        counters.count(counter)
        logger.exception("%s failed", what)
        return False
    return True


async def every(seconds: float, work: Callable[[], Awaitable[object]], counters: Counters) -> None:
    """Run `work` every `seconds` until cancelled; a failed run is counted and logged, and the next one follows."""
    while True:
        await asyncio.sleep(seconds)
        await run_logged(work(), getattr(work, "__qualname__", "a timer"), counters, "timer_failures")
