"""What the catalogue should say of a recording, read from its chain.

What this file owns: rows made of signed records, the same as a recorder tells of them.  What it must never know: files, the
catalogue.
"""

from collections.abc import Sequence

from relay.channel.messages import RecordingClosed
from relay.evidence.chain import End, Gap, Link, Record, Recovery
from relay.store.catalogue import Segment


def segments_in(recording: str, records: Sequence[Record]) -> dict[int, Segment]:
    """Return the segments that links name, by number."""
    links: dict[int, list[tuple[Link, bytes]]] = {}
    for record in records:
        if isinstance(record.body, Link) and record.body.stored_length:
            links.setdefault(record.body.segment, []).append((record.body, record.head))
    return {
        number: Segment(
            recording=recording,
            segment=number,
            first_link=found[0][0].fragment,
            last_link=found[-1][0].fragment,
            start_ns=found[0][0].arrival_start_ns,
            end_ns=max(link.arrival_end_ns for link, _ in found),
            stored_bytes=sum(link.stored_length for link, _ in found),
            head=found[-1][1],
        )
        for number, found in links.items()
    }


def gaps_in(records: Sequence[Record]) -> dict[int, Gap]:
    """Return the signed gaps by their start (UTC ns); tracks that stop together are one, as in the catalogue."""
    gaps: dict[int, Gap] = {}
    for record in records:
        if isinstance(record.body, Gap):
            gaps.setdefault(record.body.start_ns, record.body)
    return gaps


def end_in(recording: str, records: Sequence[Record]) -> RecordingClosed | None:
    """Return how the recording ended; None where neither a signed end nor a recovery stands last."""
    last = records[-1].body if records else None
    if not isinstance(last, End | Recovery):
        return None
    links = [record.body for record in records if isinstance(record.body, Link)]
    arrived_ns = links[-1].arrival_end_ns if links else 0
    return RecordingClosed(
        recording=recording,
        reason=last.reason.value if isinstance(last, End) else "interrupted",
        links=len(links),
        head=records[-1].head,
        end_ns=last.end_ns if isinstance(last, End) else arrived_ns,
        recovered=isinstance(last, Recovery),
        gaps=sum(isinstance(record.body, Gap) for record in records),
        duration_ns=_span_ns(links),
        stored_bytes=sum(link.stored_length for link in links),
    )


def _span_ns(links: Sequence[Link]) -> int:
    """Return the length on the recording's own timeline, from its first sample to its last, holes included."""
    parts = [part for link in links for part in link.tracks]
    if not parts:
        return 0
    first = min(part.first * 1_000_000_000 // part.kind.clock_rate for part in parts)
    return max(part.end * 1_000_000_000 // part.kind.clock_rate for part in parts) - first
