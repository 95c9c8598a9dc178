"""A deadline ends the waiting, never the work."""

import asyncio
import logging

import pytest

from relay.base.errors import Kind, OurError, TheirError
from relay.runtime.deadlines import (
    NO_DEADLINE,
    Deadline,
    run_and_wait,
    run_in_background,
    run_to_completion,
    wait_within,
)

SHORT, LONG = Deadline(0.01), Deadline(600.0)


class Disk:
    """Answers when a test lets it; then returns 7 or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.answers = asyncio.Event()
        self.error = error
        self.done = 0
        self.ended = asyncio.Event()

    async def write(self) -> int:
        await self.answers.wait()
        self.done += 1
        self.ended.set()
        if self.error is not None:
            raise self.error
        return 7

    async def note(self) -> None:
        await self.write()

    async def settled(self) -> None:
        self.answers.set()
        async with asyncio.timeout(30):
            await self.ended.wait()


@pytest.mark.parametrize("deadline", [NO_DEADLINE, LONG])
async def test_work_that_comes_back_in_time_gives_its_result(deadline: Deadline) -> None:
    disk = Disk()
    disk.answers.set()
    assert await wait_within(disk.write(), deadline) == 7
    assert await run_to_completion(disk.write(), deadline) == 7
    await run_and_wait(disk.note(), deadline)
    assert disk.done == 3


@pytest.mark.parametrize("deadline", [NO_DEADLINE, LONG])
async def test_an_error_that_comes_in_time_is_raised(deadline: Deadline) -> None:
    disk = Disk(OurError("read-only"))
    disk.answers.set()
    for waiting in (wait_within(disk.write(), deadline), run_to_completion(disk.write(), deadline)):
        with pytest.raises(OurError, match="read-only"):
            await waiting
    with pytest.raises(OurError, match="read-only"):
        await run_and_wait(disk.note(), deadline)


async def test_a_wait_that_is_too_long_is_refused_and_the_work_goes_on() -> None:
    disk = Disk()
    with pytest.raises(OurError) as refused:
        await wait_within(disk.write(), SHORT)
    assert (refused.value.kind, refused.value.retry_after) == (Kind.UNAVAILABLE, SHORT.seconds)
    await disk.settled()


async def test_what_follows_a_durable_entry_reaches_its_end_after_its_request_was_refused() -> None:
    disk = Disk()
    with pytest.raises(OurError):
        await run_to_completion(disk.write(), SHORT)
    assert disk.done == 0
    await disk.settled()


async def test_noting_what_has_happened_never_says_that_it_did_not() -> None:
    disk = Disk()
    await run_and_wait(disk.note(), SHORT)
    assert disk.done == 0
    await disk.settled()


async def test_work_in_the_background_is_not_waited_for_and_its_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk(TheirError(Kind.CONFLICT, "no such view"))
    with caplog.at_level(logging.ERROR):
        run_in_background(disk.note())
        await disk.settled()
        await asyncio.sleep(0)
    (record,) = caplog.records
    assert record.__dict__["detail"] == "no such view"


def test_without_a_deadline_no_wait_is_too_long() -> None:
    assert not NO_DEADLINE.is_over(1e9)
    assert (SHORT.is_over(0.0), SHORT.is_over(0.01)) == (False, True)
