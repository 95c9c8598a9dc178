"""What the bench makes of what was measured."""

import math

from scripts.benchmarks import fleet, forward, glass, join, latency
from tests.support.chromium import Shown


def test_cpu_is_of_everything_forwarded_and_what_never_came_is_missing() -> None:
    seen = {"delays": [1.0, 2.0, 3.0], "last": [3.0], "last_key": [9.0]}
    result = {"packets": [90, 100], "lost": [10, 0], "bursts": 19, "sent": 100, "busy": 0.9, "cameras": [seen]}
    row = forward.figures(result, used=0.0019, seconds=2.0, viewers=2)
    assert row["us_per_packet"] == 10.0
    assert row["cpu_share"] == 0.00095
    assert (row["lost"], round(row["missing_share"], 3), row["packets_per_read"]) == (10, 0.05, 10.0)
    assert (row["p50_ms"], row["last_leg_p50_ms"], row["last_leg_key_max_ms"]) == (2.0, 3.0, 9.0)
    assert "90% busy" in row["note"]


def test_the_other_camera_has_figures_of_its_own() -> None:
    first = {"delays": [1.0, 5.0], "last": [5.0], "last_key": []}
    other = {"delays": [0.5], "last": [0.5], "last_key": []}
    row = latency.figures({"cameras": [first, other], "lost": [0, 0], "busy": 0.1})
    assert (row["max_ms"], row["other_p99_ms"]) == (5.0, 0.5)
    assert math.isnan(row["last_leg_key_max_ms"])


def test_a_picture_that_never_came_is_counted_and_not_averaged() -> None:
    assert join.spread((10.0, math.nan, 30.0, 20.0)) == {"p50_ms": 20.0, "p95_ms": 30.0, "max_ms": 30.0, "no_picture": 1}


def test_glass_to_glass_is_from_the_code_to_the_screen() -> None:
    shown = [Shown(1000, 1050.0), Shown(None, 1090.0), Shown(1066, 1126.0)]
    row = glass.figures(shown, seconds=0.1)
    assert (row["p50_ms"], row["max_ms"], row["unreadable"], row["longest_still_ms"]) == (60.0, 60.0, 1, 40.0)
    assert round(row["fps_shown"]) == 30


def test_growth_of_memory_is_given_per_minute_of_the_second_half() -> None:
    memory = [100.0, 140.0, 150.0, 151.0, 152.0, 153.0]
    samples = [(at * 60.0, {"worker": value}) for at, value in enumerate(memory)]
    row = fleet.process_row("worker", 0.5, samples)
    assert row["memory_first_mb"] == 100.0
    assert row["memory_last_mb"] == 153.0
    assert round(row["mb_per_minute"], 6) == 1.0
