"""How long a request waits for a data disk that does not answer.

Owns: the deadline as a value, and the ways of waiting under one.  Must never know: which
disk, HTTP.

A disk that is frozen (a storage network away, a controller that resets) does not fail: calls simply do not return.  A request
must be answered all the same: 503 after `Deadline.seconds`.  The relay's own work (facts of recorders, ends of views, erasure)
has `NO_DEADLINE` and waits as long as it takes.  No helper here ever cancels work: a deadline ends only the waiting.

The helpers differ in the work they take, and in what the caller gets when the deadline passes:

    wait_within         a future or thread that runs by itself               OurError
    run_to_completion   a coroutine that follows a durable entry             OurError; the coroutine runs to its end
    run_and_wait        a coroutine that notes what has happened             it returns; the coroutine runs to its end
    run_in_background   a coroutine that a refused request leaves behind     (it returns at once)
    held_within         a lock whose holder may itself wait for the disk     OurError
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from relay.base.codes import Code
from relay.base.errors import OurError, RelayError
from relay.runtime.tasks import spawn

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Deadline:
    """The longest time that one wait of a request may take; None: as long as it takes.

    It bounds each wait, not the sum of all waits of a request.
    """

    seconds: float | None

    def is_over(self, waited_seconds: float) -> bool:
        """Return whether a wait of that length is longer than allowed."""
        return self.seconds is not None and waited_seconds >= self.seconds

    def error(self) -> OurError:
        """Return the refusal of a request whose deadline passed: UNAVAILABLE (503), to be tried again after as long a time."""
        return OurError("the data disk does not answer", code=Code.DISK_NOT_ANSWERING, retry_after=self.seconds)


NO_DEADLINE = Deadline(None)
"""For the relay's own work: it waits as long as it takes."""

_left_behind: set["asyncio.Task[None]"] = set()
"""The work of `run_in_background` that is under way."""


async def wait_within(work: Awaitable[T], deadline: Deadline) -> T:
    """Return the result of work that goes on by itself (a future, a thread).  Raises OurError once the deadline has passed."""
    future = asyncio.ensure_future(work)
    if deadline.seconds is None:
        return await asyncio.shield(future)
    done, _ = await asyncio.wait({future}, timeout=deadline.seconds)
    if not done:
        future.add_done_callback(_take_error)
        raise deadline.error()
    return future.result()


async def run_to_completion(work: Coroutine[Any, Any, T], deadline: Deadline) -> T:
    """Carry out what follows a durable journal entry, and return its result.

    Raises OurError once the deadline has passed; the work is carried to its end all the same, and its own waits have no
    deadline.
    """
    if deadline.seconds is None:
        return await work
    return await wait_within(spawn(work), deadline)


async def run_and_wait(work: Coroutine[Any, Any, object], deadline: Deadline) -> None:
    """Carry out the noting of something that has happened already; return when the deadline passes, and raise nothing for it.

    Raises an error of the work where that comes before the deadline.
    """
    if deadline.seconds is None:
        await work
        return
    task = spawn(work)
    try:
        await wait_within(task, deadline)
    except OurError:
        if task.done():
            raise


def run_in_background(work: Coroutine[Any, Any, None]) -> None:
    """Begin work that a refused or cancelled request leaves behind, and return at once; a failure is logged."""
    task = spawn(_logged(work))
    _left_behind.add(task)
    task.add_done_callback(_left_behind.discard)


async def background_settled(seconds: float) -> None:
    """Wait for the work begun by `run_in_background`, at most `seconds`: call before the journal is closed."""
    if _left_behind:
        await asyncio.wait(set(_left_behind), timeout=seconds)


@asynccontextmanager
async def held_within(lock: asyncio.Lock, deadline: Deadline) -> AsyncIterator[None]:
    """Hold a lock.  Raises OurError once the deadline has passed without getting it."""
    await take_within(lock, deadline)
    try:
        yield
    finally:
        lock.release()


async def take_within(lock: asyncio.Lock, deadline: Deadline) -> None:
    """Take a lock, which the caller releases.  Raises OurError once the deadline has passed without getting it."""
    try:
        async with asyncio.timeout(deadline.seconds):
            await lock.acquire()
    except TimeoutError:
        raise deadline.error() from None


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except RelayError as error:
        logger.error("the outcome of a refused request could not be noted", extra={"detail": error.detail})


def _take_error(work: "asyncio.Future[Any]") -> None:
    """Take the error of work that nobody waits for any more, so that asyncio does not report it as never retrieved."""
    if not work.cancelled():
        work.exception()
