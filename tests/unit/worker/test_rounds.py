"""Rounds ride with the packets; where none come, a timer of their own sees to them."""

from asyncio import TimerHandle
from collections.abc import Callable
from typing import cast

from relay.base.counters import Counters
from relay.runtime.error_barrier import ErrorBarrier
from relay.worker.rounds import Rounds


class Timer:
    """One armed timer."""

    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        """As asyncio's."""
        self.cancelled = True


class World:
    """A clock, its timers and the rounds that were made."""

    def __init__(self) -> None:
        self.now = 10.0
        self.timers: list[Timer] = []
        self.made: list[float] = []
        self.fails = False
        self.counters = Counters()
        self.rounds = Rounds(
            self.step, 0.025, 0.05, self.later, lambda: self.now, ErrorBarrier(lambda: self.now, self.counters, "worker_errors")
        )

    def step(self, now: float) -> None:
        """What a round does."""
        self.made.append(now)
        if self.fails:
            raise ValueError("a bug")

    def later(self, seconds: float, call: Callable[[], None]) -> TimerHandle:
        """As a loop's `call_later`."""
        timer = Timer(self.now + seconds, call)
        self.timers.append(timer)
        return cast(TimerHandle, timer)

    def run_until(self, end: float) -> None:
        """Let time pass without a packet."""
        while due := [timer for timer in self.timers if not timer.cancelled and timer.at <= end]:
            timer = min(due, key=lambda timer: timer.at)
            self.timers.remove(timer)
            self.now = timer.at
            timer.call()
        self.now = end


def test_without_packets_a_round_is_made_at_the_latest() -> None:
    world = World()
    world.rounds.start()
    world.run_until(10.16)
    assert [round(at, 3) for at in world.made] == [10.0, 10.05, 10.1, 10.15]


def test_where_packets_come_rounds_ride_with_them_and_no_timer_fires() -> None:
    world = World()
    world.rounds.start()
    fired = 0
    for _ in range(30):
        world.now += 0.033
        before = len(world.made)
        world.run_until(world.now)
        fired += len(world.made) - before
        world.rounds.passing(world.now)
    assert fired == 0
    assert len(world.made) == 31


def test_many_packets_make_no_more_rounds_than_are_due() -> None:
    world = World()
    world.rounds.start()
    for _ in range(100):
        world.now += 0.001
        world.rounds.passing(world.now)
    assert 4 <= len(world.made) <= 5


def test_a_round_that_fails_costs_itself_only_and_is_counted() -> None:
    world = World()
    world.fails = True
    world.rounds.start()
    world.run_until(10.12)
    assert len(world.made) == 3
    assert world.counters.values["worker_errors"] == 3


def test_after_the_stop_nothing_is_made() -> None:
    world = World()
    world.rounds.start()
    world.rounds.stop()
    world.run_until(11.0)
    world.rounds.passing(11.0)
    assert world.made == [10.0]
