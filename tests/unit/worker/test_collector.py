"""Garbage is collected while nothing streams."""

import gc
from collections.abc import Iterator

import pytest

from relay.base.counters import Counters
from relay.worker import collector as rules
from relay.worker.collector import Collector


class State:
    """Whether the worker is idle."""

    idle = False


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def collector(state: State, counters: Counters) -> Iterator[Collector]:
    made = Collector(lambda: state.idle, counters)
    made.start()
    yield made
    made.stop()


def litter() -> None:
    """Make many cycles that nobody holds."""
    for _ in range(2 * rules.MIN_GARBAGE):
        cycle: list[object] = []
        cycle.append(cycle)


def test_while_cameras_stream_nothing_is_collected_by_itself(collector: Collector) -> None:
    litter()
    assert not gc.isenabled()
    assert not collector.poll()
    assert gc.get_count()[0] > rules.MIN_GARBAGE


def test_an_idle_worker_collects_what_sessions_left(collector: Collector, state: State) -> None:
    litter()
    state.idle = True
    assert collector.poll()
    assert gc.get_count()[0] < rules.MIN_GARBAGE
    assert not collector.poll()


def test_too_much_garbage_is_collected_even_while_cameras_stream(
    collector: Collector, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MAX_GARBAGE", rules.MIN_GARBAGE)
    litter()
    assert collector.poll()
    assert counters.values["gc_forced"] == 1


def test_the_automatism_comes_back(state: State) -> None:
    made = Collector(lambda: state.idle, Counters())
    made.start()
    made.stop()
    assert gc.isenabled()
