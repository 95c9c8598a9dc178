"""One step's bug costs that step only, is counted each time and logged now and then."""

import logging

import pytest

from relay.base.counters import Counters
from relay.runtime.error_barrier import LOG_SECONDS, ErrorBarrier


class World:
    """A clock, a barrier and what its steps did."""

    def __init__(self) -> None:
        self.now = 10.0
        self.counters = Counters()
        self.barrier = ErrorBarrier(lambda: self.now, self.counters, "timer_failures")
        self.done: list[str] = []

    def fails(self) -> None:
        """A step with a bug."""
        raise OverflowError("a bug")

    def step(self, name: str) -> int:
        """A sound step."""
        self.done.append(name)
        return len(self.done)


def test_a_sound_step_gives_its_result() -> None:
    world = World()
    assert world.barrier.call("a step", world.step, "one") == 1


def test_an_error_of_ours_ends_at_the_barrier_and_is_counted() -> None:
    world = World()
    assert world.barrier.call("a camera", world.fails) is None
    assert world.barrier.call("a camera", world.step, "another") == 1
    assert world.counters.values["timer_failures"] == 1


def test_what_fails_forty_times_a_second_is_logged_once_and_counted_always(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level(logging.ERROR):
        for _ in range(40):
            world.now += LOG_SECONDS / 40 - 1e-6
            world.barrier.call("a camera", world.fails)
        assert len(caplog.records) == 1
        world.now += LOG_SECONDS
        world.barrier.call("a camera", world.fails)
        assert len(caplog.records) == 2
    assert world.counters.values["timer_failures"] == 41


def test_one_that_fails_for_ever_does_not_keep_another_out_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level(logging.ERROR):
        world.barrier.call("a camera", world.fails)
        world.barrier.call("the leases", world.fails)
    assert [record.getMessage() for record in caplog.records] == ["a camera failed", "the leases failed"]


def test_a_step_that_fails_again_and_again_is_counted_and_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    for _ in range(1000):
        world.barrier.call("a number", int, "no number")
    assert world.counters.values["timer_failures"] == 1000
    assert len(caplog.records) == 1
