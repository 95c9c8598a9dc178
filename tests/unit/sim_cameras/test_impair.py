from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_cameras.impair import Impairment, Network

SHARES = st.floats(0, 0.5)
NETWORKS = st.builds(
    Network,
    loss=SHARES,
    burst=st.floats(1, 10),
    delay=st.floats(0, 0.2),
    jitter=st.floats(0, 0.1),
    duplicate=SHARES,
    reorder=SHARES,
    bandwidth=st.none() | st.floats(10_000, 10_000_000),
)


def play(network: Network, seed: int, count: int = 200, gap: float = 0.005) -> list[tuple[float, int]]:
    line: Impairment[int] = Impairment(network, seed)
    out = []
    for number in range(count):
        line.push(number, 1000, number * gap)
        out += [(number * gap, each) for each in line.pop(number * gap)]
    while (due := line.next_at()) is not None:
        out += [(due, each) for each in line.pop(due)]
    return out


def tally(network: Network, seed: int, count: int) -> Impairment[int]:
    line: Impairment[int] = Impairment(network, seed)
    for number in range(count):
        line.push(number, 1000, number * 0.01)
        line.pop(number * 0.01)
    return line


@given(NETWORKS, st.integers(0, 1000))
def test_equal_seeds_repeat_exactly(network: Network, seed: int) -> None:
    assert play(network, seed) == play(network, seed)


@given(NETWORKS, st.integers(0, 1000))
def test_every_datagram_is_accounted_for(network: Network, seed: int) -> None:
    line: Impairment[int] = Impairment(network, seed)
    for number in range(200):
        line.push(number, 1000, number * 0.005)
    line.pop(float("inf"))
    seen = line.tally
    assert seen.offered == 200
    assert seen.delivered == seen.offered - seen.lost - seen.cut - seen.overflowed + seen.duplicated


@given(st.integers(0, 1000), SHARES, SHARES)
def test_a_worse_network_loses_what_a_better_one_lost(seed: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    better, worse = (dict.fromkeys(number for _, number in play(Network(loss=loss), seed)) for loss in (low, high))
    assert set(worse) <= set(better)


@given(st.integers(0, 1000), st.floats(0, 0.2), st.floats(0, 0.1))
def test_jitter_delays_but_never_reorders(seed: int, delay: float, jitter: float) -> None:
    out = play(Network(delay=delay, jitter=jitter), seed)
    assert [number for _, number in out] == list(range(200))


def test_a_perfect_network_delivers_at_once() -> None:
    line: Impairment[str] = Impairment(Network(), 1)
    line.push("a", 10, 5.0)
    assert line.pop(5.0) == ["a"]
    assert line.next_at() is None


def test_delay_is_exact() -> None:
    line: Impairment[str] = Impairment(Network(delay=0.03), 1)
    line.push("a", 10, 1.0)
    assert line.pop(1.02) == []
    assert line.next_at() == pytest.approx(1.03)
    assert line.pop(1.03) == ["a"]


@pytest.mark.parametrize("burst", [1, 8])
def test_the_mean_loss_is_what_was_asked_for(burst: float) -> None:
    assert tally(Network(loss=0.1, burst=burst), 3, 40_000).tally.lost == pytest.approx(4000, rel=0.15)


def test_bursts_have_their_length() -> None:
    kept = {number for _, number in play(Network(loss=0.1, burst=8), 3, 40_000)}
    runs = sum(number not in kept and number - 1 in kept for number in range(1, 40_000))
    assert (40_000 - len(kept)) / runs == pytest.approx(8, rel=0.2)


def test_a_held_datagram_is_overtaken() -> None:
    out = [number for _, number in play(Network(reorder=0.1), 5)]
    assert out != sorted(out)
    assert sorted(out) == list(range(200))


def test_a_cut_loses_everything_while_it_lasts() -> None:
    line: Impairment[int] = Impairment(Network(), 1)
    for number in range(20):
        if number == 2:
            line.cut(1.0, 0.5)
        line.push(number, 100, 0.91 + number * 0.05)
    assert line.tally.cut == 10
    assert line.pop(10)[-1] == 19


def test_a_narrow_pipe_paces_and_its_queue_overflows() -> None:
    line: Impairment[int] = Impairment(Network(bandwidth=80_000, queue_bytes=5000), 1)
    for number in range(10):
        line.push(number, 1000, 0.0)
    assert line.tally.overflowed == 5
    assert [line.pop(at) for at in (0.05, 0.1, 0.2, 0.5)] == [[], [0], [1], [2, 3, 4]]


def test_what_is_held_is_bounded() -> None:
    line: Impairment[int] = Impairment(Network(delay=1), 1)
    for number in range(10_000):
        line.push(number, 10, 0.0)
    assert len(line.pop(2)) == 8192
    assert line.tally.overflowed == 10_000 - 8192


@pytest.mark.parametrize("wrong", [{"loss": 1.5}, {"duplicate": -0.1}, {"burst": 0.5}, {"delay": -1.0}, {"bandwidth": 0.0}])
def test_impossible_networks_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Network(**wrong)
