"""How long somebody who wants an answer waits for a disk that does not give one.

What this file owns: that bound, and whose work it is for.  What it must never know: which disk, HTTP.

A disk that is frozen (a storage network away, a controller that resets) does not fail: calls simply do not return.  Whoever
asked for something must be told within `SECONDS`; what the relay does by itself (facts of recorders, ends of views) waits as
long as it takes.  A request runs in `hurried()`; tasks begun by `spawn` are patient again, whoever began them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

from relay.base.codes import Code
from relay.base.errors import OurError, RelayError

logger = logging.getLogger(__name__)

T = TypeVar("T")

SECONDS = 2.0
"""The default of the setting `store.patience_seconds`: longer than a busy disk takes (a queue of writes on a spinning disk:
half a second), shorter than a person presses twice."""

_hurried: ContextVar[bool] = ContextVar("hurried", default=False)
_begun: set["asyncio.Task[Any]"] = set()


def be_patient_for(seconds: float) -> None:
    """Set the bound of this process, once, at its start."""
    global SECONDS
    SECONDS = seconds


@contextmanager
def hurried() -> Iterator[None]:
    """Within: nothing waits for the disk longer than `SECONDS`."""
    token = _hurried.set(True)
    try:
        yield
    finally:
        _hurried.reset(token)


@contextmanager
def unhurried() -> Iterator[None]:
    """Within: waits take as long as they take, also in a request (a comparison of everything, say)."""
    token = _hurried.set(False)
    try:
        yield
    finally:
        _hurried.reset(token)


def in_a_hurry() -> bool:
    """Tell whether somebody waits for an answer."""
    return _hurried.get()


def no_answer() -> OurError:
    """Return what a request is told: 503, try again."""
    return OurError("the data disk does not answer", retry_after=SECONDS, code=Code.DISK_NOT_ANSWERING)


def spawn(work: Coroutine[Any, Any, T], name: str | None = None) -> "asyncio.Task[T]":
    """Begin a task that waits as long as it takes, also when a request begins it."""
    context = copy_context()
    context.run(_hurried.set, False)
    task = asyncio.get_running_loop().create_task(work, name=name, context=context)
    _begun.add(task)  # the loop itself keeps no hold of a task
    task.add_done_callback(_begun.discard)
    return task


def follow(work: Coroutine[Any, Any, None]) -> None:
    """Begin what must still be noted of something that was refused; where it fails, the log says so."""
    spawn(_logged(work))


async def answered(work: "asyncio.Future[T]", seconds: float | None = None) -> T:
    """Wait for what goes on by itself; in a hurry raise `no_answer` after `seconds` (`SECONDS`).  It is never cancelled."""
    if not in_a_hurry():
        return await asyncio.shield(work)
    done, _ = await asyncio.wait({work}, timeout=SECONDS if seconds is None else seconds)
    if not done:
        work.add_done_callback(_heard)
        raise no_answer()
    return work.result()


async def carried_out(work: Coroutine[Any, Any, T]) -> T:
    """Do what follows a durable entry, to its end: whoever is in a hurry may stop waiting, the work does not stop."""
    if not in_a_hurry():
        return await work
    return await answered(spawn(work))


async def ended(work: Coroutine[Any, Any, Any]) -> None:
    """The same for what has happened already and needs only to be noted: nobody is told that it did not happen."""
    if not in_a_hurry():
        await work
        return
    task = spawn(work)
    try:
        await answered(task)
    except OurError:
        if task.done():
            raise


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except RelayError as error:
        logger.error("what came of a refused request could not be noted", extra={"detail": error.detail})


def _heard(work: "asyncio.Future[Any]") -> None:
    """Take the error of what nobody waits for any more."""
    if not work.cancelled():
        work.exception()


def bounded(work: Awaitable[T]) -> Awaitable[T]:
    """Wait for a thread that writes files of its own; in a hurry at most `SECONDS`."""
    return answered(asyncio.ensure_future(work))
