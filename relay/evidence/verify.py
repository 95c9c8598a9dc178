"""The verdict on a recording: a vault folder, a copy of it, or an export, checked against its chain and a trusted public key.

Owns: the order of the checks, and how findings lead to the four answers.
Must never know: where the recording came from, how the verdict is shown, the network.  It reads through a `Reader`,
hashes the bytes, re-encodes nothing (I6), and holds a few fragments and the list of one segment at most.

The rules are FORMAT.md §7.  Parts: `order` (signatures and sequence), `trust` (keys), `media` (bytes), `continuity` (times),
`derived` (remuxed copies).
"""

import contextlib
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from relay.base.errors import Kind, TheirError
from relay.evidence.answers import completeness_of, integrity_of, time_of
from relay.evidence.chain import PREAMBLE, Record, version_of
from relay.evidence.chain_file import CHAIN, ChainEnd, read_records
from relay.evidence.container import left_by_systems, names_a_recording, report_container
from relay.evidence.contents import PLAYABLE, SEGMENT, form_of, locate
from relay.evidence.continuity import Continuity, Scope
from relay.evidence.derived import Derived
from relay.evidence.extraction import EXTRACTION, STATEMENT, ExtractionCheck
from relay.evidence.findings import FindingCollector
from relay.evidence.journal_proofs import JOURNAL, JournalProofs
from relay.evidence.keys import public_key_from
from relay.evidence.lipsync import Moves, moves_of
from relay.evidence.media import MAX_FRAGMENT, MediaCheck, Reader, Submit, WatchedReader, run_inline
from relay.evidence.order import Order
from relay.evidence.records import Body, Correction, End, Gap, KeyRollover, Link, Original, Recovery, Start
from relay.evidence.seal import SessionCertificate, key_id
from relay.evidence.statement import MAX_DOCUMENT, Statement, read_statement
from relay.evidence.trust import Trust
from relay.evidence.verdict import Axis, Code, Form, Mark, Verdict, utc_text

REVOCATIONS = "revocations"
SUCCESSION = "succession-"
"""How the names of successions begin."""
MAX_KEY_BESIDE = 4096
"""Bytes; a longer file beside the chain is not searched for the trusted key."""

MAX_COPIES = 32
"""Playable copies that are compared: the work is in proportion to copies times links."""

_EXPLAINS_COUNTS = {Code.RECORD_ALTERED, Code.RECORDS_MISSING, Code.RECORD_MISPLACED, Code.CHAIN_BROKEN, Code.NO_START}
"""After one of these findings the totals of the End must differ: that is not reported again."""

Progress = Callable[[int, int], None]
"""Called with bytes read and bytes to read."""


def verify(
    reader: Reader,
    public_key: bytes | None,
    recording_key: bytes | None = None,
    *,
    successions: Sequence[bytes] = (),
    revoked: Mapping[bytes, Collection[bytes]] | None = None,
    revocations: Sequence[bytes] = (),
    key_within: bool = False,
    expected: str | None = None,
    still_open: int | None = None,
    progress: Progress | None = None,
    submit: Submit = run_inline,
) -> Verdict:
    """Judge what `reader` holds.

    `public_key`: the relay's long-term public key (32 bytes), from elsewhere than the recording; None is a finding.
    `recording_key`: the AES-256 key of the recording (32 bytes) where there is one; without it, *checked as stored*.
    `successions`: encoded successions (FORMAT.md §6), besides those in the reader; raises TheirError where one is malformed.
    `revoked`: for each revoked public key, the chain heads that a journal checkpoint held before its revocation.  Where it is
    None, a list beside the recording or in `revocations` is used (FORMAT.md §6a); without any list there is a note.
    `key_within`: the public key was read from a file within what is judged, which is a finding.
    `expected`: the recording that this should be.  A folder whose name is a recording's id should be that recording besides.
    `still_open`: the relay that holds the recording says that it is being recorded now, and that at least this many fragments
    were sealed (FORMAT.md §7.9); never taken from the recording, nor from whoever hands it over.
    `submit`: runs the comparison of a fragment, for example on another core (`ThreadPoolExecutor.submit`).
    Raises TheirError where nothing can be read as a recording, and OSError or UnreadableError where a file that is there cannot
    be read (exit code 2).
    """
    watched = WatchedReader(locate(reader))
    left = left_by_systems(watched)
    names = sorted(set(watched.names()) - set(left))
    if CHAIN not in names:
        return _without_chain(names)
    form = form_of(names, recording_key)
    wanted = {name for name in (expected, names_a_recording(watched.folder())) if name is not None}
    context = _Context(frozenset(wanted), still_open, tuple(left))
    judging = _Verification(
        watched, names, form, public_key, recording_key, successions, revocations, revoked, progress, submit, context
    )
    if key_within:
        judging.collector.add(Code.KEY_FROM_RECORDING)
    verdict = judging.run()
    if watched.failure is not None:
        raise watched.failure
    return verdict


def _without_chain(names: list[str]) -> Verdict:
    if not any(PLAYABLE.fullmatch(name) or SEGMENT.fullmatch(name) for name in names):
        raise TheirError(Kind.INVALID, "no recording: neither a chain nor media")
    collector = FindingCollector()
    collector.add(Code.UNSIGNED)
    answers = ("not judged", "not judged", "not proved", "time not proved")
    findings, notes = tuple(collector.findings), tuple(collector.notes)
    return Verdict(Form.UNSIGNED, "", "", *answers, "", findings, notes, 0, "", None, None, 0, 0, "")


@dataclass(frozen=True, slots=True)
class _Context:
    """What is known of the recording besides its files."""

    expected: frozenset[str]
    still_open: int | None
    left: tuple[str, ...]
    """Files that a system left beside it."""


def _holds_key(reader: WatchedReader, name: str, public_key: bytes) -> bool:
    """Return whether a file is a copy of the trusted key."""
    with contextlib.suppress(TheirError, OSError):
        key = public_key_from(reader.read_if_readable(name, MAX_KEY_BESIDE))
        return reader.size(name) <= MAX_KEY_BESIDE and key == public_key
    return False


@dataclass(slots=True)
class _Verification:
    """One verification from beginning to end."""

    reader: WatchedReader
    names: list[str]
    form: Form
    public_key: bytes | None
    recording_key: bytes | None
    successions: Sequence[bytes]
    revocations: Sequence[bytes]
    revoked: Mapping[bytes, Collection[bytes]] | None
    progress: Progress | None
    submit: Submit
    context: _Context
    collector: FindingCollector = field(default_factory=FindingCollector)
    chain_end: ChainEnd = field(default_factory=ChainEnd)
    start: Start | None = None
    certificate: SessionCertificate | None = None
    close: End | Recovery | None = None
    statement: Statement | None = None
    links: int = 0
    segments: int = 0
    plain_bytes: int = 0
    stored_bytes: int = 0
    head: bytes = b""
    latest_ns: int = 0
    """The latest time in the chain that is not suspect: a document about the chain cannot be older."""
    order: Order = field(init=False)
    trust: Trust = field(init=False)
    journal: JournalProofs = field(init=False)
    media: MediaCheck = field(init=False)
    times: Continuity = field(init=False)
    extraction: ExtractionCheck = field(init=False)
    copies: list[Derived] = field(default_factory=list)
    comparing: list[Derived] = field(default_factory=list)
    _total: int = 0

    def __post_init__(self) -> None:
        self.order = Order(self.collector)
        self.trust = Trust(self.collector, self.public_key, self.revoked)
        self.journal = JournalProofs(self.collector, self.trust)
        self.trust.version = version_of(self.reader.read(CHAIN, 0, len(PREAMBLE)))
        self.media = MediaCheck(self.reader, self.collector, self.form, self.recording_key, self.submit)
        self.extraction = ExtractionCheck(self.reader, self.names, self.collector)
        self._total = sum(self.reader.size(name) for name in self.names)

    def run(self) -> Verdict:
        """Read everything once and return the verdict."""
        self._read_beside()
        for record in read_records(self.reader, self.collector, self.chain_end):
            for judged in self.order.feed(record):
                self._judge(judged)
        for judged in self.order.finish():
            self._judge(judged)
        self.head = self.order.head
        self._finish()
        return self._verdict()

    # --- before the chain ---------------------------------------------------------------------------------------------

    def _read_beside(self) -> None:
        beside = [name for name in self.names if name.startswith(SUCCESSION)]
        self.trust.learn(self.reader, beside, self.successions)
        listed = self.reader.read(REVOCATIONS, 0, MAX_DOCUMENT + 1) if REVOCATIONS in self.names else None
        self.trust.learn_revocations(listed, self.revocations)
        self.journal.read(self.reader, self.names)
        if STATEMENT in self.names:
            try:
                self.statement = read_statement(self.reader.read(STATEMENT, 0, MAX_DOCUMENT + 1))
            except TheirError as error:
                if error.kind is Kind.UNSUPPORTED:
                    raise
                self.collector.add(Code.STATEMENT_MISMATCH, why=error.detail)
            else:
                self.trust.statement(self.statement)
        self.extraction.read(self.trust)
        names = [name for name in self.names if PLAYABLE.fullmatch(name) and not SEGMENT.fullmatch(name)]
        moves = self._moves() if names else Moves()
        self.copies = [Derived(self.reader, name, self.collector, moves) for name in sorted(names)[:MAX_COPIES]]
        self.comparing = list(self.copies)
        for name in sorted(names)[MAX_COPIES:]:
            self.collector.add(Code.DERIVED_UNJUDGED, file=name, what=f"more than {MAX_COPIES} copies")
        self.times = Continuity(self.collector, Scope(self.statement))

    def _moves(self) -> Moves:
        """Return by how much tracks are moved (FORMAT.md §7.7), from the links up to the end of the interval."""
        last = math.inf if self.statement is None else self.statement.last
        return moves_of(lambda: (one.body for one in read_records(self.reader, FindingCollector(), ChainEnd())), last)

    def _inside(self, fragment: int) -> bool:
        return self.times.scope.includes(fragment)

    # --- record by record ---------------------------------------------------------------------------------------------

    def _judge(self, record: Record) -> None:
        body: Body = record.body
        if self.close is not None:
            self.collector.add_once(Code.AFTER_END)
            return
        self.trust.record(record)
        if isinstance(body, Link):
            self._link(record, body)
        elif isinstance(body, Gap):
            self.times.gap(body)
        elif isinstance(body, Start):
            self._start(record, body)
        elif isinstance(body, KeyRollover):
            self.certificate = body.certificate
        elif isinstance(body, Correction):
            self.times.correction(body)
        else:
            self.close = body
            self._closing(record, body)

    def _start(self, record: Record, body: Start) -> None:
        if self.start is not None:
            self.collector.add(Code.CHAIN_RULE, record=record.sequence, why="a second start")
            return
        self.start, self.certificate = body, body.certificate
        self.trust.time(record.sequence, body.certificate, body.started_ns)
        if body.previous_recording is not None:
            self.collector.add(Code.FOLLOWS, recording=body.previous_recording)
        if body.original is Original.CAMERA and self.form is not Form.DERIVED:
            self.form = Form.CHAIN_ONLY

    def _closing(self, record: Record, body: End | Recovery) -> None:
        certificate = body.certificate if isinstance(body, Recovery) else self.certificate
        at_ns = body.recovered_ns if isinstance(body, Recovery) else body.end_ns
        if certificate is not None:
            self.trust.time(record.sequence, certificate, at_ns)
        if not (self.times.suspect or (isinstance(body, Recovery) and body.clock_suspect)):
            self.latest_ns = max(self.latest_ns, at_ns)

    def _link(self, record: Record, link: Link) -> None:
        rule = self._broken_rule(link)
        if rule:
            self.collector.add(Code.CHAIN_RULE, link.fragment, record=record.sequence, why=rule)
        self.links += 1
        self.segments = max(self.segments, link.segment + 1)
        self.plain_bytes += link.plain_length
        self.stored_bytes += link.stored_length
        self.times.link(link)
        if not link.clock_suspect:
            self.latest_ns = max(self.latest_ns, link.arrival_end_ns)
        if self.times.scope.omits(link):
            self.collector.add_once(
                Code.STATEMENT_MISMATCH, why=f"fragment {link.fragment} lies in the interval but is left out"
            )
        if self.certificate is not None:
            self.trust.time(record.sequence, self.certificate, link.arrival_start_ns, link.fragment)
        self._compare(link)
        if self.progress is not None:
            self.progress(self.media.checked_bytes, self._total)

    def _broken_rule(self, link: Link) -> str | None:
        """Return the rule of FORMAT.md §7.1 that a genuine link breaks, None where it breaks none."""
        if link.fragment < len(self.collector.marks):
            return "its fragment has a link already"
        if max(link.plain_length, link.stored_length) > MAX_FRAGMENT:
            return "its fragment is too long"
        if link.segment + 1 < self.segments:
            return "it goes back to an earlier segment"
        if link.init and link.tracks:
            return "an init segment has no samples"
        return None

    def _compare(self, link: Link) -> None:
        if self.start is not None and self.form not in (Form.CHAIN_ONLY, Form.DERIVED) and self._exported(link):
            self.media.link(link, self.start.recording)
            self._compare_copies(link)
        else:
            self.media.skip(link)
            self._compare_copies(link)
            self.collector.mark(link.fragment, self._mark(link))

    def _compare_copies(self, link: Link) -> None:
        if not self.comparing:
            return
        plain = self.media.plain(link, self.start.recording) if self.start is not None else None
        for copy in self.comparing:
            if link.init:
                copy.init(plain)
            elif self._inside(link.fragment):
                copy.link(link, plain)
        if any(copy.differs for copy in self.comparing):
            self.comparing = [copy for copy in self.comparing if not copy.differs]

    def _mark(self, link: Link) -> Mark:
        """Return the mark of a fragment whose bytes are not compared."""
        if self.start is None:
            return Mark.UNKNOWN
        if self.form is Form.CHAIN_ONLY:
            return Mark.INTACT
        return self._derived_mark(link) if self.form is Form.DERIVED else Mark.NOT_EXPORTED

    def _derived_mark(self, link: Link) -> Mark:
        if not self._inside(link.fragment):
            return Mark.NOT_EXPORTED
        return Mark.ALTERED if all(copy.differs for copy in self.copies) else Mark.UNKNOWN

    def _exported(self, link: Link) -> bool:
        """Whether this fragment must be there: in an interval, its fragments and the init segments of its segments."""
        if self._inside(link.fragment):
            return True
        return link.init and self.media.name(link.segment) in self.names

    # --- after the chain ----------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        if self.start is None:
            self.collector.add_once(Code.NO_START)
        for wanted in sorted(self.context.expected - {self.start.recording}) if self.start is not None else ():
            self.collector.add(Code.OTHER_RECORDING, wanted=wanted)
        self._torn()
        self.media.close_segment(Code.TAIL_UNFINISHED if self._unfinished else Code.EXTRA_BYTES)
        self.times.finish(len(self.collector.marks) - 1)
        if isinstance(self.close, End):
            self._counts(self.close)
        self._interruption()
        if self.statement is not None:
            self._interval(self.statement)
        for copy in self.copies:
            copy.finish(alone=self.form is Form.DERIVED)
        if self.form is Form.DERIVED:
            self.collector.add(Code.DERIVED_ONLY)
        self.journal.judge(self.start, self.statement, self.head)
        self.trust.revocations(self.head, self.latest_ns)
        self.extraction.finish(self.start.recording if self.start else None, self.head)
        self._missing()
        report_container(self.reader, self.context.left, self.collector)
        self._other_files()

    @property
    def _unfinished(self) -> bool:
        """Whether this is a vault folder whose recorder may have been writing when it was copied (FORMAT.md §7.9)."""
        return self.close is None and self.start is not None and form_of(self.names, None) is Form.STORED

    def _torn(self) -> None:
        if self.chain_end.torn and self._unfinished:
            self.collector.add(Code.TAIL_UNFINISHED, file=CHAIN, count=self.chain_end.torn)
        elif self.chain_end.torn:
            self.collector.add(Code.CHAIN_UNREADABLE, why=self.chain_end.why)

    def _counts(self, end: End) -> None:
        if self.collector.codes & _EXPLAINS_COUNTS:
            return
        said = (end.links, end.gaps, end.segments, end.plain_bytes, end.stored_bytes)
        if said != (self.links, self.times.gaps, self.segments, self.plain_bytes, self.stored_bytes):
            found, gaps = self.links, self.times.gaps
            self.collector.add(Code.COUNTS_DIFFER, said=end.links, gaps_said=end.gaps, found=found, gaps_found=gaps)

    def _interruption(self) -> None:
        last = self.times.last_ns
        if isinstance(self.close, End) or (self.statement is not None and last is not None and self.statement.to_ns <= last):
            return
        until = "?" if last is None else utc_text(last)
        if isinstance(self.close, Recovery):
            self.collector.add(Code.RECOVERED, until=until, cause=self.close.cause)
            if self.close.missing_tail is not None:
                fragments, seconds = self.close.missing_tail
                self.collector.add(Code.TAIL_MISSING, fragments=fragments, seconds=seconds)
            self.times.recovery(self.close, len(self.collector.marks) - 1)
        elif self.start is not None and self.context.still_open is not None and self.links >= self.context.still_open:
            self.collector.add(Code.STILL_OPEN, until=until)
        else:
            self.collector.add(Code.INTERRUPTED, until=until)

    def _interval(self, statement: Statement) -> None:
        self.collector.add(Code.NOT_EXPORTED, at=utc_text(statement.from_ns), until=utc_text(statement.to_ns))
        if self.start is not None and statement.recording != self.start.recording:
            self.collector.add(Code.STATEMENT_MISMATCH, why=f"it is about {statement.recording}")
        if statement.head != self.head:
            self.collector.add(Code.STATEMENT_MISMATCH, why="the chain is not the one it was signed for")
        if statement.last >= len(self.collector.marks):
            self.collector.add(Code.STATEMENT_MISMATCH, why=f"fragment {statement.last} is not in the chain")

    def _missing(self) -> None:
        """Report each run of missing fragments once."""
        for run in re.finditer(Mark.MISSING.encode() + b"+", bytes(self.collector.marks)):
            first, last = run.start(), run.end() - 1
            if last == len(self.collector.marks) - 1 and self._unfinished and self.context.still_open is None:
                self.collector.add(Code.TAIL_NOT_COPIED, first, count=last - first + 1)
            elif first == last:
                self.collector.add(Code.FRAGMENT_MISSING, first)
            else:
                self.collector.add(Code.FRAGMENTS_MISSING, first, last=last, count=last - first + 1)

    def _other_files(self) -> None:
        documents = {STATEMENT, REVOCATIONS, EXTRACTION, JOURNAL} | {copy.name for copy in self.copies}
        for name in sorted(set(self.names) - self.media.known - {CHAIN}):
            if SEGMENT.fullmatch(name):
                if self._unfinished and int(name[:5]) >= self.segments:
                    self.collector.add(Code.TAIL_UNFINISHED, file=name, count=self.reader.size(name))
                elif self.start is not None:
                    self.collector.add(Code.FOREIGN_FILE, file=name)
            elif self.extraction.believed:
                if name != EXTRACTION and not self.extraction.lists(name):
                    self.collector.add(Code.NOT_LISTED, file=name)
            elif name not in documents and not name.startswith(SUCCESSION):
                self.collector.add(Code.NOT_COVERED, file=name)
            if self.public_key is not None and _holds_key(self.reader, name, self.public_key):
                self.collector.add_once(Code.KEY_BESIDE, file=name)

    # --- adding up ----------------------------------------------------------------------------------------------------

    def _verdict(self) -> Verdict:
        start, times, codes = self.start, self.times, self.collector.codes
        return Verdict(
            form=self.form,
            recording=start.recording if start else "",
            camera=start.camera if start else "",
            integrity=integrity_of(codes, start is not None, self.form),
            completeness=completeness_of(codes, interval=self.statement is not None),
            origin="not proved" if start is None or Axis.ORIGIN in self.collector.against else "proved",
            time=time_of(codes, start is not None),
            marks=self.collector.marks.decode(),
            findings=tuple(self.collector.findings),
            notes=tuple(self.collector.notes),
            omitted=self.collector.omitted,
            signer=self.trust.signer,
            start_ns=start.started_ns if start else times.first_ns,
            end_ns=self.close.end_ns if isinstance(self.close, End) else times.last_ns,
            fragments=len(self.collector.marks),
            checked_bytes=self.media.checked_bytes,
            head=self.head.hex(),
            start=self.start,
            close=self.close,
            trusted="" if self.public_key is None else key_id(self.public_key).hex(),
        )
