"""The bench of bad networks: the networks that it gives to cameras, and the gaps that it reads from a verdict."""

from scripts.benchmarks.networks import CASES, COMPARED, Case, radio_gaps, script_of
from scripts.benchmarks.whole import gaps_of
from sim_cameras import scenario
from sim_cameras.impair import Network


def steps(case: Case) -> list[tuple[float, str, Network | float | None]]:
    parsed = scenario.parse(script_of(case, "cam1", 9.0))
    assert all(step.concerns("cam1") and not step.concerns("cam2") for step in parsed)
    return [(step.at, step.do, step.network() if step.do == "network" else step.seconds) for step in parsed]


def test_a_steady_network_is_there_from_the_start() -> None:
    network = Network(loss=0.05, burst=5, delay=0.03)
    assert steps(Case("bursts", network)) == [(0.0, "network", network)]


def test_cuts_come_once_in_a_period() -> None:
    assert steps(Case("cuts", Network(), cut=0.5))[1:] == [(4.0, "cut", 0.5), (8.0, "cut", 0.5)]


def test_a_pipe_narrows_and_widens_in_turn() -> None:
    case = Case("steps", Network(bandwidth=2e6), narrow=4e5)
    wide, narrow = case.networks()
    assert (wide.bandwidth, narrow.bandwidth) == (2e6, 4e5)
    assert [each for _, _, each in steps(case)] == [wide, narrow, wide, narrow, wide]


def test_every_case_can_be_played_and_the_compared_ones_exist() -> None:
    assert all(steps(case) for case in CASES)
    assert set(COMPARED) < {case.name for case in CASES}


def gap(track: str, cause: str, seconds: str) -> dict[str, object]:
    values = {"at": "1970-01-01 00:01:42.500 UTC", "cause": cause, "seconds": seconds, "track": track}
    return {"code": "gap", "values": values}


def test_radio_gaps_are_gaps_of_the_picture_that_the_radio_made_and_each_gap_is_dated() -> None:
    notes = [gap("video", "radio", "0.3"), gap("audio", "radio", "0.02"), gap("video", "reconnect", "2.1")]
    found = radio_gaps(gaps_of({"notes": [*notes, {"code": "sync_by_arrival", "values": {}}]}), begun=100.0)
    assert found == {"gaps": 1, "gaps_s": 0.3, "note": "radio 0.3 s at +2.5 s, reconnect 2.1 s at +2.5 s"}
    assert radio_gaps([], 100.0) == {"gaps": 0, "gaps_s": 0, "note": ""}
