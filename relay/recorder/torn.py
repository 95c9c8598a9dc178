"""Which part of a dead recorder's recording may be cut: the last unsynced window, and nothing older.

Owns: telling apart what a death or a power cut tore, and what a person or the disk damaged.
Must never know: how a file is cut or closed, clocks.

The writer appends at most `MAX_UNSYNCED_RECORDS` records of a chain and `MAX_UNSYNCED_BYTES` of media without an fsync.  So a
bad record or fragment within that window may be torn: the chain is cut there.  A bad one before the window had been durable: no
death explains it, and no byte is cut for it.  Where the chain cannot be followed to the window, or where more media would be
cut than can have been unsynced, nothing is changed at all.

Control may know a head that the recorder had reported.  A head is reported after the fsync that made it durable.  So the window
begins behind that head.  Where the chain does not have it, the chain was cut short or replaced: that is damage, nothing is cut,
and what is missing is named.
"""

import contextlib
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from relay.base.errors import Kind, TheirError
from relay.evidence.chain import MAX_RECORD, VERSION, Record, TornChain, iterate, parse_record, survey, version_of
from relay.evidence.heads import SealedHead
from relay.evidence.records import TYPE_OF, End, KeyRollover, Link, Recovery, Start
from relay.evidence.seal import NO_DIGEST, sha256, signature_holds
from relay.store.vault import MAX_UNSYNCED_BYTES, MAX_UNSYNCED_RECORDS

CHECKED_LINKS = 256
"""How many of the last links are compared with their bytes: more than can be unsynced, and few enough to be read quickly."""

_LONGEST = 3 + MAX_RECORD
_TYPE = 3
"""Offset of a record's type."""
_RECORD = re.compile(rb"(?=([\x00\x01]..)[\x01-\x07])", re.DOTALL)
"""Where a record may begin: length (at most 2^16), type."""
_NOTHING = TornChain(0, 0, NO_DIGEST, None, 0, 0, False)

Read = Callable[[Link], bytes]
"""Returns the stored bytes that a link names, fewer where the file ends before."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Which part is whole, and what to do about the rest."""

    torn: TornChain
    """The part to keep and close; with `leave`, the part that can be read."""
    damage: str = ""
    """Damage before the window; empty where only the end is torn."""
    missing: str = ""
    """What is missing of the end of the chain although it was durable; empty where nothing is."""
    uncut: bool = False
    """No media may be cut: what no link names is evidence."""
    leave: bool = False
    """Nothing may be cut, and nothing may be signed behind it."""
    nothing: bool = False
    """Not one whole record and no media: the folder holds nothing."""


def examine(data: bytes, sizes: Mapping[int, int], read: Read, known: SealedHead | None = None) -> Findings:
    """Judge a chain's bytes and its segments; `sizes`: bytes on disk by segment number; `known`: a head that was durable."""
    chain = _Chain(data, known.head if known is not None else b"")
    rest = data[chain.end :]
    lost = _lost(chain, known)
    if len(rest) > MAX_UNSYNCED_RECORDS * _LONGEST:
        return _left(chain, f"the chain at byte {chain.end}", lost)
    later = _newest(rest, chain.version)
    total = max(chain.count + bool(rest), later + 1)
    if not chain.trusted:
        if known is None and total <= 1 and later < 0 and not any(sizes.values()):
            return Findings(_NOTHING, nothing=True)
        return _left(chain, "the chain's start", lost)
    since = max(1, total - MAX_UNSYNCED_RECORDS, chain.durable)
    if rest and (chain.count < since or chain.closed or (lost.any and not _is_torn_recovery(rest))):
        return _left(chain, f"the chain at byte {chain.end}", lost)
    if lost.any:
        # All that is left was durable: nothing can be torn.
        damage = lost.replaced or _until(chain, chain.count, sizes, read)[1]
        return Findings(survey(data[: chain.end]), damage, lost.missing, uncut=True)
    cut, damage = _until(chain, since, sizes, read)
    torn = survey(data[: chain.positions[cut]] if cut < chain.count else data[: chain.end])
    dropped = sum(left for _, left in surplus(torn, sizes))
    if dropped > MAX_UNSYNCED_BYTES:
        return _left(chain, f"{dropped} bytes of media are in no link", lost)
    return Findings(torn, damage)


@dataclass(frozen=True, slots=True)
class _Lost:
    """What a chain without the head that was durable does not have any more."""

    missing: str = ""
    replaced: str = ""
    """The record that is another than the durable one; empty where the chain ends before it."""

    @property
    def any(self) -> bool:
        return bool(self.missing or self.replaced)


def _lost(chain: "_Chain", known: SealedHead | None) -> _Lost:
    if known is None or chain.durable:
        return _Lost()
    records, links = chain.count - chain.recovered, len(chain.links)
    if (known.records and records >= known.records) or (not known.records and links >= known.links > 0):
        place = f"record {known.records - 1}" if known.records else f"fragment {known.links - 1}"
        return _Lost(replaced=f"{place} is not the one that was reported")
    return _Lost(known.lacking(records, links, chain.until_ns))


def _is_torn_recovery(rest: bytes) -> bool:
    """Return whether these bytes may be what is left of the recovery record of an earlier attempt that died, too."""
    return rest[_TYPE : _TYPE + 1] in (b"", bytes([TYPE_OF[Recovery]]))


def surplus(torn: TornChain, sizes: Mapping[int, int]) -> list[tuple[int, int]]:
    """Return (segment, bytes) for each segment with bytes behind the last link."""
    last = torn.last_link
    kept = -1 if last is None else last.segment
    ends = 0 if last is None else last.offset + last.stored_length
    over = [(number, size - (ends if number == kept else 0)) for number, size in sizes.items() if number >= kept]
    return [(number, left) for number, left in over if left > 0 or number > kept]


def _left(chain: "_Chain", damage: str, lost: _Lost) -> Findings:
    return Findings(survey(chain.data) if chain.count else _NOTHING, damage, lost.missing, leave=True)


def _until(chain: "_Chain", since: int, sizes: Mapping[int, int], read: Read) -> tuple[int, str]:
    """Return how many records to keep (at least `since`), and the damage before them."""
    cut = next((number for number, record in chain.last() if number >= since and not chain.holds(record)), chain.count)
    damage = ""
    if chain.loose is not None and (chain.loose < since or (chain.loose == since < cut)):
        damage = f"record {chain.loose - 1}"
    compared = len(chain.links) - CHECKED_LINKS
    for place, (number, link) in enumerate(chain.links):
        if number >= cut:
            break
        if _there(link, sizes, read if place >= compared else None):
            continue
        if number >= since:
            return number, damage
        damage = damage or f"fragment {link.fragment}"
    return cut, damage


def _there(link: Link, sizes: Mapping[int, int], read: Read | None) -> bool:
    """Return whether a link's bytes are there; with `read`, whether they have the link's digest."""
    if link.offset + link.stored_length > sizes.get(link.segment, 0) and link.stored_length:
        return False
    return read is None or not link.stored_length or sha256(read(link)) == link.stored_digest


def _newest(rest: bytes, version: int) -> int:
    """Return the highest sequence number of the records found in bytes that do not follow the chain; -1 where there is none.

    `version`: the format version of the chain.  Signatures are not checked: a forged record only makes recovery keep more.
    """
    newest = -1
    for found in _RECORD.finditer(rest):
        at, length = found.start(), 3 + int.from_bytes(found[1], "big")
        try:
            newest = max(newest, parse_record(rest[at : at + length], 0, version).sequence)
        except TheirError:
            continue
    return newest


@dataclass(slots=True)
class _Chain:
    """As much of a chain as can be read from its beginning."""

    data: bytes
    known: bytes = b""
    """A head that was durable; empty where none is known."""
    version: int = VERSION
    durable: int = 0
    """Records up to that head, itself included; 0 where the chain does not have it."""
    count: int = 0
    end: int = 0
    """Offset behind the last record that can be read and judged."""
    positions: list[int] = field(default_factory=list)
    links: list[tuple[int, Link]] = field(default_factory=list)
    """Each with the number of its record."""
    loose: int | None = None
    """Number of the first record that does not follow from the one before it."""
    trusted: bool = False
    """The start's signature is right, so the other records can be judged."""
    closed: bool = False
    recovered: bool = False
    """The last record is a Recovery: an earlier attempt signed it."""
    until_ns: int | None = None
    """Arrival (UTC) of the last packet in it; before the first link the start of the recording."""
    _key: bytes = b""
    _head: bytes = NO_DIGEST
    _recent: deque[Record] = field(default_factory=lambda: deque(maxlen=MAX_UNSYNCED_RECORDS))

    def __post_init__(self) -> None:
        with contextlib.suppress(TheirError):
            self.version = version_of(self.data)
            for record in iterate(self.data):
                self._take(record)

    def last(self) -> list[tuple[int, Record]]:
        """Return the last `MAX_UNSYNCED_RECORDS` records with their numbers."""
        return list(enumerate(self._recent, self.count - len(self._recent)))

    def holds(self, record: Record) -> bool:
        """Return whether a record's signature is right; for the last records only."""
        key = record.body.certificate.session_key if isinstance(record.body, Recovery) else self._key
        return isinstance(record.body, KeyRollover) or signature_holds(key, record.signed, record.signature)

    def _take(self, record: Record) -> None:
        body = record.body
        if isinstance(body, Start) and not self.count:
            self._key, self.until_ns = body.certificate.session_key, body.started_ns
            self.trusted = signature_holds(self._key, record.signed, record.signature)
        elif isinstance(body, KeyRollover):
            if not signature_holds(self._key, record.signed, record.signature):
                raise TheirError(Kind.INVALID, "a key that took over unasked: what follows cannot be judged")
            self._key = body.certificate.session_key
        if self.loose is None and (record.sequence != self.count or record.previous != self._head):
            self.loose = self.count
        if isinstance(body, Link):
            self.links.append((self.count, body))
            self.until_ns = max(self.until_ns or 0, body.arrival_end_ns)
        self.positions.append(record.position)
        self._recent.append(record)
        self._head = record.head
        self.closed, self.recovered = isinstance(body, End | Recovery), isinstance(body, Recovery)
        self.count, self.end = self.count + 1, record.position + record.size
        if record.head == self.known:
            self.durable = self.count
