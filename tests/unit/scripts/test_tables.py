"""Figures and tables of the bench."""

import math

from scripts.benchmarks.tables import Row, busy_note, cell, freezes, markdown, median_of, percentile, slope


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (51.0, 100.0, 100.0)
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert math.isnan(percentile([], 0.5))


def test_a_row_is_the_median_of_its_runs() -> None:
    runs = [
        {"server": "relay", "us": 9.0, "note": ""},
        {"server": "relay", "us": 7.0, "note": ""},
        {"server": "relay", "us": 8.0},
    ]
    assert median_of(runs) == {"server": "relay", "us": 8.0, "note": ""}


def test_a_failed_run_is_shown_and_not_averaged() -> None:
    runs: list[Row] = [{"server": "janus", "us": 9.0}, {"server": "janus", "error": "RuntimeError: does not answer"}]
    row = median_of(runs)
    assert row["us"] == 9.0
    assert "1 of 2 runs failed: RuntimeError: does not answer" in row["note"]


def test_where_every_run_failed_the_row_says_why() -> None:
    row = median_of([{"server": "janus", "viewers": 10, "error": "no"}] * 2)
    assert row == {"server": "janus", "viewers": 10, "error": "no"}
    table = markdown([{"server": "relay", "viewers": 10, "us": 9.0}, row], ["server", "viewers", "us"])
    assert table.splitlines() == [
        "| server | viewers | us | note |",
        "|---|---|---|---|",
        "| relay | 10 | 9 |  |",
        "| janus | 10 |  | no |",
    ]


def test_a_table_without_notes_has_no_column_for_them() -> None:
    assert markdown([{"a": 1, "note": ""}], ["a"]) == "| a |\n|---|\n| 1 |"


def test_a_busy_load_is_warned_of() -> None:
    assert busy_note(0.7) == ""
    assert "85%" in busy_note(0.85)


def test_cells_have_three_digits_and_cannot_break_the_table() -> None:
    assert [cell(value) for value in (0.01234, 12345.6, 3.0, math.nan, None, 7, "a|b\nc")] == [
        "0.0123", "12346", "3", "–", "–", "7", "a/b c",
    ]  # fmt: skip


def test_a_slope_shows_growth() -> None:
    assert slope([(0.0, 10.0), (1.0, 12.0), (2.0, 14.0)]) == 2.0
    assert slope([(0.0, 5.0), (60.0, 5.0)]) == 0.0
    assert math.isnan(slope([(0.0, 5.0)]))


def test_freezes_are_gaps_and_the_longest_is_shown_also_where_none_counts() -> None:
    assert freezes([0.0, 0.05, 0.1, 0.9, 0.95], 0.5) == (1, 0.8)
    assert freezes([0.0, 0.1], 0.5) == (0, 0.1)
    assert freezes([], 0.5)[0] == 0
