"""The rows that the catalogue should have of a recording, read from its chain.

Owns: rows made of signed records, equal to those made of a recorder's reports.  Must never know: files,
the catalogue.

A chain of hours is read once, record by record; a few sums and one segment's row are kept in memory.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from relay.channel.messages import RecordingClosed
from relay.evidence.chain import Body, End, Gap, Link, Record, Recovery, Start
from relay.evidence.seal import key_id, signature_holds
from relay.evidence.span import Span
from relay.store.catalogue import Segment


@dataclass(slots=True)
class ChainFacts:
    """One reading of a chain.  `on_segment` is called with each segment that links name, `on_gap` with each signed gap.

    Where several tracks have a gap at one time, `on_gap` is called for each; the catalogue keeps the first by its start.
    """

    recording: str
    on_segment: Callable[[Segment], None] = lambda _segment: None
    on_gap: Callable[[Gap], None] = lambda _gap: None
    on_record: "Callable[[ChainFacts], None]" = lambda _facts: None
    """Called with these facts after each record."""
    start: Record | None = None
    """The record of the signed start, if it is the first record."""
    last: Body | None = None
    links: int = 0
    gaps: int = 0
    stored_bytes: int = 0
    records: int = 0
    head: bytes = b""
    until_ns: int = 0
    """Arrival (UTC) of the last packet so far; before the first link the start of the recording."""
    _arrived_ns: int = 0
    _span: Span = field(default_factory=Span)
    _segment: Segment | None = None

    def read(self, records: Iterable[Record]) -> RecordingClosed | None:
        """Take every record; return how the recording ended, None where the last record is neither a signed end nor a recovery.

        Raises TheirError as `records` does.
        """
        for record in records:
            self._take(record)
        if self._segment is not None:
            self.on_segment(self._segment)
            self._segment = None
        return self._end()

    def _take(self, record: Record) -> None:
        if self.last is None and isinstance(record.body, Start):
            self.start, self.until_ns = record, record.body.started_ns
        self.last, self.head, self.records = record.body, record.head, self.records + 1
        if isinstance(record.body, Link):
            self._link(record.body)
        elif isinstance(record.body, Gap):
            self.gaps += 1
            self.on_gap(record.body)
        self.on_record(self)

    @property
    def recovered(self) -> bool:
        """Whether the last record is a recovery: it was signed after the recorder's death."""
        return isinstance(self.last, Recovery)

    def _link(self, link: Link) -> None:
        self.links += 1
        self.stored_bytes += link.stored_length
        self._arrived_ns = link.arrival_end_ns
        self.until_ns = max(self.until_ns, link.arrival_end_ns)
        self._span.add(link.tracks)
        if link.stored_length:
            self._grow(link)

    def _grow(self, link: Link) -> None:
        """Add a link to its segment.  Segments follow one another (FORMAT.md §3.3): a new one completes the one before."""
        before, stored = self._segment, link.stored_length
        if before is not None and before.segment != link.segment:
            self.on_segment(before)
            before = None
        first, start_ns, end_ns = link.fragment, link.arrival_start_ns, link.arrival_end_ns
        if before is not None:
            first, start_ns, end_ns = before.first_link, before.start_ns, max(before.end_ns, end_ns)
            stored += before.stored_bytes
        self._segment = Segment(self.recording, link.segment, first, link.fragment, start_ns, end_ns, stored, self.head)

    def _end(self) -> RecordingClosed | None:
        last = self.last
        if not isinstance(last, End | Recovery):
            return None
        return RecordingClosed(
            recording=self.recording,
            reason=last.reason.value if isinstance(last, End) else "damaged" if last.damaged else "interrupted",
            links=self.links,
            head=self.head,
            end_ns=last.end_ns if isinstance(last, End) else self._arrived_ns,
            recovered=isinstance(last, Recovery),
            gaps=self.gaps,
            duration_ns=self._span.length_ns,
            stored_bytes=self.stored_bytes,
        )


def is_ours(start: Record, public_keys: Collection[bytes]) -> bool:
    """Return whether a start is signed under a certificate of one of these long-term keys."""
    assert isinstance(start.body, Start)
    certificate = start.body.certificate
    issuers = [key for key in public_keys if key_id(key) == certificate.issuer]
    issued = any(certificate.issued_by(key) for key in issuers)
    return issued and signature_holds(certificate.session_key, start.signed, start.signature)
