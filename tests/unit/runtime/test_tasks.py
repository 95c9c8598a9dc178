"""Background work that fails is counted, logged and, where it is periodic, tried again."""

import asyncio

import pytest

from relay.base.counters import Counters
from relay.base.errors import OurError
from relay.runtime.tasks import every, run_logged


async def _fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("error", [OurError("disk"), KeyError("a bug")])
async def test_a_failure_of_background_work_is_counted_and_not_raised(error: Exception) -> None:
    counters = Counters()
    assert not await run_logged(_fail(error), "the work", counters)
    assert counters.values["task_failures"] == 1


async def test_work_that_succeeds_is_not_counted() -> None:
    counters = Counters()
    assert await run_logged(asyncio.sleep(0), "the work", counters)
    assert counters.values["task_failures"] == 0


async def test_a_timer_outlives_every_failure_of_its_work() -> None:
    counters, runs, enough = Counters(), 0, asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            enough.set()
        raise [OurError("disk"), ZeroDivisionError(), KeyError()][runs % 3]

    timer = asyncio.create_task(every(0, work, counters))
    await enough.wait()
    await asyncio.sleep(0)
    assert not timer.done()
    timer.cancel()
    assert counters.values["timer_failures"] >= 2


async def test_a_cancelled_piece_of_work_is_cancelled() -> None:
    task = asyncio.create_task(run_logged(asyncio.Event().wait(), "the work", Counters()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
