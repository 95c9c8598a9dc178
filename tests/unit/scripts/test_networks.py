"""The bench of bad networks: what it tells the cameras to suffer, and what it reads from a verdict."""

from scripts.benchmarks.networks import CASES, COMPARED, Case, holes_of, script_of
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
    return {"code": "gap", "values": {"at": "", "cause": cause, "seconds": seconds, "track": track}}


def test_holes_are_gaps_of_the_picture_and_those_not_of_the_radio_are_named() -> None:
    notes = [gap("1", "radio", "0.3"), gap("2", "radio", "0.02"), gap("1", "radio", "0.2"), gap("1", "reconnect", "2.1")]
    found = holes_of(gaps_of({"notes": [*notes, {"code": "sync_by_arrival", "values": {}}]}))
    assert found == {"holes": 2, "holes_s": 0.5, "note": "reconnect 2.1 s"}
    assert holes_of([]) == {"holes": 0, "holes_s": 0, "note": ""}
