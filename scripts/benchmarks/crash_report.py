"""What a series of kills cost, read from what is on disk and from when viewers saw packets.

Owns: the arithmetic and the table.  Must never know: how processes are started, killed or watched: it takes chains, instants
(UTC, nanoseconds) and verdicts.
"""

import bisect
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from relay.base.errors import TheirError
from relay.evidence.chain import Link, Recovery, Start, iterate

SECOND_NS = 1_000_000_000
HOLE_NS = SECOND_NS // 4
"""Two fragments whose arrivals are further apart are no continuous recording: cameras send every 50 ms."""
OUTAGE_NS = SECOND_NS // 2
"""A viewer that gets nothing for longer was interrupted."""
BEFORE_NS = SECOND_NS // 4
"""The last packet before a kill may have come that much earlier."""

Span = tuple[int, int]


@dataclass(frozen=True)
class Kill:
    """One process killed."""

    role: str
    at_ns: int
    recordings: tuple[str, ...]
    """What was open in the processes concerned."""
    cameras: tuple[str, ...]
    back: bool
    """Whether everything was live and watched again in time."""


@dataclass(frozen=True)
class Taken:
    """What a chain says of itself."""

    recording: str
    camera: str
    spans: tuple[Span, ...]
    """Arrival of the first and last packet of each fragment."""
    recovery: bool


@dataclass(frozen=True)
class Checked:
    """What `relay verify` said of one folder."""

    exit_code: int
    findings: tuple[str, ...]

    def sound(self, recovery: bool) -> bool:
        """Whole and nothing against it; or interrupted, said so by a signed recovery, and nothing else against it."""
        return self.exit_code == 0 if not recovery else (self.exit_code, self.findings) == (1, ("recovered",))


@dataclass
class Row:
    """One line of the table; times in seconds."""

    role: str
    kills: int = 0
    not_back: int = 0
    recordings: int = 0
    recovered: int = 0
    lost: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    views: int = 0
    outages: list[float] = field(default_factory=list)


def taken(recording: str, chain: bytes) -> Taken:
    """Read a chain; what cannot be read is for `relay verify` to name."""
    camera, spans, recovery = "", [], False
    try:
        for record in iterate(chain):
            body = record.body
            if isinstance(body, Start):
                camera = body.camera
            elif isinstance(body, Recovery):
                recovery = True
            elif isinstance(body, Link) and not body.init:
                spans.append((body.arrival_start_ns, body.arrival_end_ns))
    except TheirError:
        pass
    return Taken(recording, camera, tuple(spans), recovery)


def timelines(found: Iterable[Taken]) -> dict[str, list[Span]]:
    """Return by camera when its media arrived that is recorded, over all its recordings, oldest first."""
    lines: dict[str, list[Span]] = {}
    for each in found:
        lines.setdefault(each.camera, []).extend(each.spans)
    return {camera: sorted(spans) for camera, spans in lines.items()}


def around(spans: Sequence[Span], at_ns: int) -> tuple[int, int | None] | None:
    """Return when recorded media ended before an instant and began again after it (None: never); None where it never stopped.

    What arrived before the instant and lies after the first of the two is lost.
    """
    following = bisect.bisect_right(spans, at_ns, key=lambda span: span[0])
    if not following:
        return None
    end = max(span[1] for span in spans[max(0, following - 4) : following])
    start = spans[following][0] if following < len(spans) else None
    if end >= at_ns or (start is not None and start - end < HOLE_NS):
        return None
    return end, start


def rows(
    kills: Sequence[Kill],
    found: Mapping[str, Taken],
    checked: Mapping[str, Checked],
    outages: Mapping[str, Sequence[Span]],
    end_ns: int,
) -> list[Row]:
    """Return a line per killed role, in the order of first kills; `outages` by camera, `end_ns` is when watching ended."""
    lines = timelines(found.values())
    table: dict[str, Row] = {}
    for kill, until_ns in zip(kills, [*(kill.at_ns for kill in kills[1:]), end_ns], strict=True):
        row = table.setdefault(kill.role, Row(kill.role))
        row.kills += 1
        row.not_back += not kill.back
        row.recordings += len(kill.recordings)
        row.recovered += sum(
            name in checked and name in found and checked[name].sound(found[name].recovery) for name in kill.recordings
        )
        for camera in kill.cameras:
            _add(row, kill.at_ns, until_ns, lines.get(camera, []), outages.get(camera, ()))
    return list(table.values())


def _add(row: Row, at_ns: int, until_ns: int, spans: Sequence[Span], outages: Sequence[Span]) -> None:
    gap = around(spans, at_ns)
    row.lost.append(0.0 if gap is None else (at_ns - gap[0]) / SECOND_NS)
    row.gaps.append(0.0 if gap is None else ((gap[1] or until_ns) - at_ns) / SECOND_NS)
    row.views += 1
    begun = (at_ns - BEFORE_NS, until_ns - BEFORE_NS)
    felt = [end - start for start, end in outages if begun[0] <= start < begun[1] and end - start > OUTAGE_NS]
    if felt:
        row.outages.append(max(felt) / SECOND_NS)


def markdown(table: Sequence[Row]) -> str:
    """Return the table in Markdown."""
    columns = [
        "killed", "kills", "back in time", "recordings whole or recovered", "lost of what had arrived, median / max",
        "gap until recorded again, median / max", "live views interrupted", "for, median / max",
    ]  # fmt: skip
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in table:
        cells = [
            row.role,
            str(row.kills),
            f"{row.kills - row.not_back} of {row.kills}",
            f"{row.recovered} of {row.recordings}",
            _seconds(row.lost),
            _seconds(row.gaps),
            f"{len(row.outages)} of {row.views}",
            _seconds(row.outages),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _seconds(values: Sequence[float]) -> str:
    """Return `median / max`, in seconds."""
    measures: tuple[Callable[[Sequence[float]], float], ...] = (statistics.median, max)
    return " / ".join(f"{measure(values):.2f} s" for measure in measures) if values else "–"
