"""The figures of scripts/crash: what is lost, whose fault it is, and what counts as recovered."""

from scripts.benchmarks.crash_report import Checked, Kill, Span, Taken, around, markdown, rows

S = 1_000_000_000


def line(*spans: tuple[float, float]) -> tuple[Span, ...]:
    return tuple((int(start * S), int(end * S)) for start, end in spans)


def kill(role: str, at: float, recording: str = "r1", back: bool = True) -> Kill:
    return Kill(role, int(at * S), (recording,), ("cam",), back)


def test_a_recording_that_goes_on_lost_nothing() -> None:
    spans = line((0, 0.4), (0.45, 0.85), (0.9, 1.3))
    assert around(spans, int(0.6 * S)) is None
    assert around(spans, int(0.87 * S)) is None


def test_a_gap_is_measured_from_its_last_media_to_its_first() -> None:
    spans = line((0, 0.4), (0.45, 0.85), (3.0, 3.4))
    assert around(spans, 1 * S) == (int(0.85 * S), 3 * S)


def test_a_recording_that_never_comes_back_has_no_other_end() -> None:
    assert around(line((0, 0.4)), 1 * S) == (int(0.4 * S), None)


def test_a_camera_not_yet_recorded_has_nothing_to_lose() -> None:
    assert around(line((5, 5.4)), 1 * S) is None


def test_a_kill_is_charged_its_own_gap_and_outage_only() -> None:
    taken = Taken("r1", "cam", line((0, 0.5), (2.5, 10.0), (10.05, 20.0)), recovery=False)
    kills = [kill("worker", 1.0), kill("control", 10.0)]
    table = rows(kills, {"r1": taken}, {"r1": Checked(0, ())}, {"cam": [(int(0.9 * S), 4 * S)]}, 20 * S)
    worker, control = table
    assert (worker.lost, worker.gaps, worker.outages) == ([0.5], [1.5], [3.1])
    assert (control.lost, control.gaps, control.outages) == ([0.0], [0.0], [])
    assert (worker.recovered, control.recovered, control.views) == (1, 1, 1)


def test_interrupted_counts_as_recovered_only_by_a_signed_recovery_and_nothing_else() -> None:
    recovered, altered = Checked(1, ("recovered",)), Checked(1, ("recovered", "fragment_altered"))
    assert recovered.sound(recovery=True)
    assert not recovered.sound(recovery=False)
    assert not altered.sound(recovery=True)
    assert not Checked(1, ("interrupted",)).sound(recovery=False)
    assert not Checked(0, ()).sound(recovery=True)


def test_a_recording_that_is_gone_or_never_back_is_in_the_table() -> None:
    (row,) = rows([kill("recorder", 1.0, "gone", back=False)], {}, {}, {}, 2 * S)
    assert (row.recordings, row.recovered, row.not_back) == (1, 0, 1)
    assert "| recorder | 1 | 0 of 1 | 0 of 1 |" in markdown([row])
