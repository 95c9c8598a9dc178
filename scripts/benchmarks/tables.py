"""Figures and tables of the bench.

Owns: the arithmetic and the form of tables.  Must never know: a process, a socket or a clock.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]
BUSY = 0.7
"""Share of a core beyond which a load generator measures itself."""


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which `share` (0..1) of the values lie (nearest rank); nan for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else math.nan


def median_of(runs: Sequence[Row]) -> Row:
    """Return the medians of the numbers of several runs of one thing; failed runs are named in the note, not averaged."""
    good = [run for run in runs if "error" not in run]
    if not good:
        return dict(runs[0])
    row: Row = {key: _middle([run[key] for run in good if key in run]) for key in good[0]}
    if len(good) < len(runs):
        failed = next(run["error"] for run in runs if "error" in run)
        row["note"] = f"{len(runs) - len(good)} of {len(runs)} runs failed: {failed}"
    return row


def _middle(values: list[Any]) -> Any:
    """Return the median of numbers; of words the longest, so that no run's warning is lost."""
    return statistics.median(values) if all(type(value) in (int, float) for value in values) else max(values, key=_length)


def _length(value: object) -> int:
    return len(str(value))


def busy_note(busy: float) -> str:
    """Return a warning where the load was busier than it may be, else nothing."""
    return f"load {busy:.0%} busy: its own figures" if busy > BUSY else ""


def markdown(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Return a table; a row that failed says why in its last cell (`note`), and the column of notes shows only where needed."""
    notes = any(row.get("note") or row.get("error") for row in rows)
    heads = [*columns, "note"] if notes else list(columns)
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        shown = {**row, "note": "; ".join(filter(None, (row.get("note", ""), row.get("error", ""))))}
        lines.append("| " + " | ".join(cell(shown.get(head, "")) for head in heads) + " |")
    return "\n".join(lines)


def cell(value: object) -> str:
    """Return a figure with three digits, `–` where there is none."""
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "–" if value is None else str(value).replace("|", "/").replace("\n", " ")


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Return the least-squares slope of (x, y) samples, y per x; nan for fewer than two."""
    if len(samples) < 2:
        return math.nan
    mean_x, mean_y = (statistics.fmean(axis) for axis in zip(*samples, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else math.nan


def freezes(shown: Sequence[float], still: float) -> tuple[int, float]:
    """Return how many gaps between pictures (seconds, ascending) lasted `still` or longer, and the longest gap of all."""
    gaps = [after - before for before, after in zip(shown, shown[1:], strict=False)]
    return sum(gap >= still for gap in gaps), max(gaps, default=math.nan)
