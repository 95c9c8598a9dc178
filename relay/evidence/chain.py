"""The chain of one recording: the exact bytes of its records, and which record may follow which.

Owns: the layout of the file `chain` (FORMAT.md §3) and the writer that appends to it.
Must never know: files, the vault, whether a chain is *true* (that is `verify`).

    chain  = magic version record*
    record = length(3) type(1) sequence previous body signature(64)

`length` counts the bytes after itself.  The signature covers a domain and every byte of the record before the signature.  The
head after a record is the SHA-256 of the whole record; the next record repeats it in `previous`.  So a record that is altered,
dropped, moved or repeated is noticed.  A tail that is cut off is noticed because `End` is missing.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from relay.base.errors import Kind, TheirError
from relay.evidence.records import (
    BODIES,
    TYPE_OF,
    Body,
    Cause,
    ClockMap,
    Correction,
    End,
    Gap,
    KeyRollover,
    Link,
    Original,
    Point,
    Reason,
    Recovery,
    Start,
    SyncSource,
    TrackKind,
    TrackPart,
)
from relay.evidence.seal import (
    CERTIFICATE,
    DIGEST,
    DOMAIN_RECORDS,
    DOMAIN_ROLLOVER,
    NO_DIGEST,
    SIGNATURE,
    SessionCertificate,
    SessionSigner,
    Signer,
    sha256,
)
from relay.evidence.wire import Cursor, Raw, UInt, encode, newer_format

__all__ = [
    "Body",
    "Cause",
    "ChainWriter",
    "ClockMap",
    "Correction",
    "End",
    "Gap",
    "KeyRollover",
    "Link",
    "Original",
    "Point",
    "Reason",
    "Record",
    "Recovery",
    "Start",
    "SyncSource",
    "TornChain",
    "TrackKind",
    "TrackPart",
    "frame",
    "iterate",
    "parse_record",
    "record_length",
    "recover",
    "rollover_bytes",
    "stream",
    "survey",
    "version_of",
]

MAGIC = b"BCRCHAIN"
VERSION = 3
"""The version that is written.  Since version 2 a session certificate lives a day at most (FORMAT.md §7.2).  Since version 3
there are corrections of clocks, and four more causes of gaps."""
PREAMBLES = {version: MAGIC + version.to_bytes(2, "big") for version in DOMAIN_RECORDS}
PREAMBLE = PREAMBLES[VERSION]
MAX_RECORD = 1 << 16
"""Longest record in bytes, without its length field."""

_LENGTH = 3


_SEQUENCE = UInt(0xFFFF_FFFF)
_PREVIOUS = Raw(DIGEST)


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it stands in a chain."""

    sequence: int
    previous: bytes
    body: Body
    signature: bytes
    signed: bytes
    """The bytes that the signature covers, domain included."""
    head: bytes
    """SHA-256 of the whole record."""
    position: int
    """Offset of its length field in the chain, in bytes."""
    size: int
    """Bytes of the whole record, its length field included."""


def version_of(preamble: bytes) -> int:
    """Return the format version of a chain from its first bytes; raises TheirError, also for a later version than ours."""
    found = next((version for version, known in PREAMBLES.items() if preamble[: len(known)] == known), None)
    if found is None:
        raise newer_format(preamble, MAGIC, VERSION) or TheirError(Kind.INVALID, "byte 0: not a chain")
    return found


def frame(sequence: int, previous: bytes, body: Body, signer: Signer, version: int = VERSION) -> bytes:
    """Return the exact bytes of a signed record; raises ValueError when a field is out of its bounds."""
    out = bytearray(_LENGTH)
    out.append(TYPE_OF[type(body)])
    _SEQUENCE.write(out, sequence)
    _PREVIOUS.write(out, previous)
    if (layout := BODIES[version].get(TYPE_OF[type(body)])) is None:
        raise ValueError(f"no {type(body).__name__} in format version {version}")
    layout.write(out, body)
    length = len(out) - _LENGTH + SIGNATURE
    if length > MAX_RECORD:
        raise ValueError(f"record of {length} bytes")
    out[:_LENGTH] = length.to_bytes(_LENGTH, "big")
    out += signer.sign(DOMAIN_RECORDS[version] + out)
    return bytes(out)


def parse_record(data: bytes, position: int = 0, version: int = VERSION) -> Record:
    """Read one whole record (its length field included) of a chain of that format version.

    `position` is its offset in the chain, for messages.

    Raises TheirError with the position of the first byte that breaks the format.
    """
    domain = DOMAIN_RECORDS[version]
    cursor = Cursor(data, position)
    if int.from_bytes(cursor.take(_LENGTH), "big") != len(data) - _LENGTH or len(data) < _LENGTH + 1 + SIGNATURE:
        raise cursor.fail("length does not match the record")
    code = cursor.take(1)[0]
    if code not in BODIES[version]:
        raise cursor.fail(f"unknown record type {code}")
    inner = Cursor(data[:-SIGNATURE], position)
    inner.position = cursor.position
    sequence, previous = _SEQUENCE.read(inner), _PREVIOUS.read(inner)
    body = BODIES[version][code].read(inner)
    inner.finish()
    return Record(sequence, previous, body, data[-SIGNATURE:], domain + data[:-SIGNATURE], sha256(data), position, len(data))


class _Unsigned:
    """A signer that does not sign: for a record that is only measured."""

    public_key = b""

    def sign(self, message: bytes) -> bytes:
        """Return zeros of the length of a signature."""
        return bytes(SIGNATURE)


class ChainWriter:
    """Makes the bytes of one chain, in order; the caller appends each record to the file before it asks for the next.

    It holds the head and the counts, nothing else.  After its process died a recording is closed (`recover`), never continued.
    """

    def __init__(self, signer: SessionSigner, start: Start, version: int = VERSION) -> None:
        if start.certificate != signer.certificate:
            raise ValueError("the start names another session key than the signer's")
        self._signer: SessionSigner = signer
        self._start = start
        self._version = version
        self._sequence = 0
        self.head = NO_DIGEST
        self.links = 0
        self.gaps = 0
        self.segments = 0
        self.plain_bytes = 0
        self.stored_bytes = 0
        self.closed = False

    def start(self) -> bytes:
        """Return the chain's preamble and its signed start."""
        if self._sequence:
            raise ValueError("already started")
        return PREAMBLES[self._version] + self._append(self._start)

    def check(self, link: Link) -> None:
        """Raise ValueError where this link could not be signed, whatever its digests; called before its number is used."""
        if link.fragment != self.links:
            raise ValueError(f"fragment {link.fragment} where {self.links} belongs")
        frame(self._sequence, self.head, link, _Unsigned(), self._version)

    def link(self, link: Link) -> bytes:
        """Return the signed link of the next fragment; raises ValueError when its number is not the next."""
        if link.fragment != self.links:
            raise ValueError(f"fragment {link.fragment} where {self.links} belongs")
        record = self._append(link)
        self.links += 1
        self.segments = max(self.segments, link.segment + 1)
        self.plain_bytes += link.plain_length
        self.stored_bytes += link.stored_length
        return record

    def gap(self, gap: Gap) -> bytes:
        """Return a signed gap."""
        record = self._append(gap)
        self.gaps += 1
        return record

    def correction(self, correction: Correction) -> bytes:
        """Return a signed correction of the tracks' clocks."""
        return self._append(correction)

    @property
    def records(self) -> int:
        """How many records there are so far."""
        return self._sequence

    @property
    def signer(self) -> SessionSigner:
        """The session key that signs the next record."""
        return self._signer

    def rollover(self, signer: SessionSigner) -> bytes:
        """Return the record from which on `signer` signs; both keys sign it."""
        consent = signer.sign(rollover_bytes(self.head, signer.certificate))
        record = self._append(KeyRollover(signer.certificate, consent))
        self._signer = signer
        return record

    def end(self, reason: Reason, author: str | None, end_ns: int) -> bytes:
        """Return the signed end, with the counts of all records and bytes; nothing follows it."""
        end = End(reason, author, end_ns, self.links, self.gaps, self.segments, self.plain_bytes, self.stored_bytes)
        record = self._append(end)
        self.closed = True
        return record

    def _append(self, body: Body) -> bytes:
        if self.closed or (self._sequence == 0) != isinstance(body, Start):
            raise ValueError(f"no {type(body).__name__} here")
        record = frame(self._sequence, self.head, body, self._signer, self._version)
        self._sequence += 1
        self.head = sha256(record)
        return record


def rollover_bytes(head: bytes, certificate: SessionCertificate) -> bytes:
    """Return the bytes that a new session key signs to take over a chain whose head is `head`."""
    return DOMAIN_ROLLOVER + head + encode(CERTIFICATE, certificate)


def iterate(data: bytes) -> Iterator[Record]:
    """Yield the records of a whole chain held in memory; raises TheirError at the first byte that breaks the format.

    Checks neither signatures nor order; `verify` does.
    """
    yield from stream((data,))


def stream(pieces: Iterable[bytes]) -> Iterator[Record]:
    """Yield the records of a chain that comes in pieces, as `iterate` does; holds one piece and the record that crosses it."""
    window = _Window(iter(pieces))
    version = version_of(window.peek(len(PREAMBLE)))
    window.skip(len(PREAMBLE))
    while prefix := window.peek(_LENGTH):
        length = record_length(prefix, window.position)
        record = window.peek(length)
        if len(record) < length:
            detail = f"byte {window.position}: record of {length} bytes, {len(record)} left"
            raise TheirError(Kind.INVALID, detail)
        yield parse_record(record, window.position, version)
        window.skip(length)


class _Window:
    """The bytes to be read next, from a sequence of pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = b""
        self._at = 0
        self.position = 0
        """Bytes that were skipped so far."""

    def peek(self, size: int) -> bytes:
        """Return the next bytes, fewer than `size` at the end."""
        while len(self._buffer) - self._at < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._buffer, self._at = self._buffer[self._at :] + piece, 0
        return self._buffer[self._at : self._at + size]

    def skip(self, size: int) -> None:
        """Skip bytes that were peeked at."""
        self._at += size
        self.position += size


def record_length(prefix: bytes, position: int) -> int:
    """Return the size of the record whose first bytes are `prefix`, its length field included; raises TheirError."""
    if len(prefix) < _LENGTH:
        raise TheirError(Kind.INVALID, f"byte {position}: {len(prefix)} bytes left, a length has {_LENGTH}")
    length = int.from_bytes(prefix[:_LENGTH], "big")
    if not 1 + SIGNATURE <= length <= MAX_RECORD:
        raise TheirError(Kind.INVALID, f"byte {position}: record length {length}")
    return _LENGTH + length


@dataclass(frozen=True, slots=True)
class TornChain:
    """The chain of a recorder that died: its whole records, and where they end."""

    records: int
    chain_length: int
    """Bytes of the chain up to the end of the last whole record."""
    head: bytes
    last_link: Link | None
    links: int
    gaps: int
    closed: bool
    """The chain already has its End or Recovery: there is nothing to recover."""
    version: int = VERSION
    """The format version in which the chain began, and in which it is closed."""


def survey(data: bytes) -> TornChain:
    """Read the whole records of a chain; raises TheirError where not even its Start is whole."""
    records, length, head, last, links, gaps, closed = 0, 0, NO_DIGEST, None, 0, 0, False
    try:
        for record in iterate(data):
            records, length, head = records + 1, record.position + record.size, record.head
            if isinstance(record.body, Link):
                last, links = record.body, links + 1
            gaps += isinstance(record.body, Gap)
            closed = isinstance(record.body, End | Recovery)
    except TheirError:
        if not records:
            raise
    if not records:
        raise TheirError(Kind.INVALID, "no signed start")
    return TornChain(records, length, head, last, links, gaps, closed, version_of(data))


def newest_head(data: bytes) -> bytes:
    """Return the head of a chain's last whole record without reading those before it; raises TheirError."""
    position, last = len(PREAMBLE), (0, 0)
    with contextlib.suppress(TheirError):
        while position < len(data):
            length = record_length(data[position : position + _LENGTH], position)
            if position + length > len(data):
                break
            last, position = (position, position + length), position + length
    return parse_record(data[last[0] : last[1]], last[0], version_of(data)).head


def recover(
    torn: TornChain, signer: SessionSigner, *, cause: str, recovered_ns: int, dropped_chain_bytes: int, dropped_media_bytes: int
) -> bytes:
    """Return the record that closes a torn chain; the caller first cuts chain and segment to the lengths in `torn`."""
    if torn.closed:
        raise ValueError("this chain is closed")
    body = Recovery(cause, recovered_ns, dropped_chain_bytes, dropped_media_bytes, torn.links, torn.gaps, signer.certificate)
    return frame(torn.records, torn.head, body, signer, torn.version)
