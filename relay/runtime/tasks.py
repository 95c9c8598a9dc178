"""Work that nobody awaits: none of it ends unseen.

What this file owns: how a failure of such work is told.  What it must never know: what the work is.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from relay.base.counters import Counters, declare
from relay.base.errors import RelayError

logger = logging.getLogger(__name__)

declare(
    task_failures="pieces of background work that failed",
    timer_failures="runs of a periodic task that failed; it is tried again",
)


async def run_logged(work: Awaitable[object], what: str, counters: Counters, counter: str = "task_failures") -> bool:
    """Await work; count and log its failure, whatever it is, instead of raising it.  Returns whether it succeeded."""
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
    """Do something again and again until cancelled; a run that fails costs that run only."""
    while True:
        await asyncio.sleep(seconds)
        await run_logged(work(), getattr(work, "__qualname__", "a timer"), counters, "timer_failures")


def attempt(counters: Counters, counter: str, step: Callable[..., object], *arguments: object) -> None:
    """Take one step of a loop that must go on; a failure is counted, and logged the 1st, 2nd, 4th, 8th … time."""
    try:
        step(*arguments)
    except Exception:
        counters.count(counter)
        failures = counters.values[counter]
        if failures & (failures - 1) == 0:
            logger.exception("a step failed", extra={"counter": counter, "failures": failures})
