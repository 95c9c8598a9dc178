"""Whose seal it is: certificates, successions of long-term keys, revocation.

Owns: when the origin counts as proved.  Must never know: media, times of fragments, where keys are kept.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from relay.base.errors import Kind, TheirError
from relay.evidence.chain import VERSION, Record, rollover_bytes
from relay.evidence.findings import FindingCollector
from relay.evidence.media import Reader
from relay.evidence.office import Offices
from relay.evidence.records import KeyRollover, Recovery, Start
from relay.evidence.seal import DAY_NS, LONGEST_LIFE_NS, SessionCertificate, is_weak, key_id, signature_holds
from relay.evidence.statement import (
    MAX_DOCUMENT,
    MAX_SUCCESSIONS,
    Revocations,
    Statement,
    Succession,
    read_revocations,
    read_succession,
    revocations_hold,
    statement_holds,
    succession_holds,
)
from relay.evidence.verdict import Code, utc_text

SLACK_NS = 1_000_000_000
"""A document may be dated before what it names by so much: two readings of one clock."""
_ROLE = "recorder"


@dataclass(slots=True)
class Trust:
    """The trusted long-term keys by id: the one given, and those that successions lead to."""

    collector: FindingCollector
    public_key: bytes | None
    revoked: Mapping[bytes, Collection[bytes]] | None
    """Revoked public key (long-term or session) to the chain heads that a journal checkpoint held before; None: not known."""
    signer: str = ""
    version: int = VERSION
    """The format version of the chain."""
    offices: Offices = field(default_factory=Offices)
    _keys: dict[bytes, bytes] = field(default_factory=dict)
    _used: set[bytes] = field(default_factory=set)
    _loggers: set[bytes] = field(default_factory=set)
    """Keys that signed a journal checkpoint beside the chain."""
    _extractors: set[bytes] = field(default_factory=set)
    """The key that signed the list of the extraction, and the keys that it rests on."""
    _resting: dict[bytes, set[bytes]] = field(default_factory=dict)
    """For each long-term key in use, itself and the keys that it rests on."""
    _lists: list[Revocations] = field(default_factory=list)
    _dated: list[tuple[str, int]] = field(default_factory=list)
    """Documents about the chain, each with its file and the time of its issue."""

    def __post_init__(self) -> None:
        if self.public_key is not None:
            if is_weak(self.public_key):
                raise TheirError(Kind.INVALID, "the trusted key proves nothing: anybody can sign with it (low order)")
            self._keys[key_id(self.public_key)] = self.public_key

    def learn(self, reader: Reader, names: Collection[str], given: Sequence[bytes] = ()) -> None:
        """Read successions, `given` and beside the chain: a key that a trusted key attests is trusted too."""
        successions = [read_succession(encoded) for encoded in given]
        for name in sorted(names, key=str.encode)[:MAX_SUCCESSIONS]:
            try:
                successions.append(read_succession(reader.read(name, 0, MAX_DOCUMENT + 1)))
            except TheirError as error:
                self.collector.add(_unread(error), file=name)
        holding = [succession for succession in successions if succession_holds(succession)]
        for _ in holding:
            for succession in holding:
                self._learn(succession)
        for succession in holding:
            self.offices.learn(succession)

    def _learn(self, succession: Succession) -> None:
        old, new = key_id(succession.old_key), key_id(succession.new_key)
        if new in self._keys and old not in self._keys:
            self._keys[old] = succession.old_key
            self.collector.add(Code.SUCCESSION, key=old.hex(), by=new.hex())

    def learn_revocations(self, beside: bytes | None, given: Sequence[bytes] = ()) -> None:
        """Read lists of revoked keys, `given` and beside the chain; raises TheirError where one of `given` is malformed."""
        self._lists += [read_revocations(encoded) for encoded in given]
        if beside is not None:
            try:
                self._lists.append(read_revocations(beside))
            except TheirError as error:
                newer = _unread(error) is Code.NEWER_FORMAT
                self.collector.add_once(Code.REVOCATIONS_NEWER if newer else Code.REVOCATIONS_FOREIGN)

    def known_keys(self) -> list[bytes]:
        """Return the trusted key and the keys before it that successions lead to."""
        return list(self._keys.values())

    def signed_journal(self, key: bytes, at_ns: int | None) -> None:
        """Judge the office of the key that signed a checkpoint beside the chain; `at_ns`: when, as the checkpoint says."""
        self._loggers |= self._use(key)
        if at_ns is not None:
            self._in_office(key, at_ns, DAY_NS)

    def record(self, record: Record) -> None:
        """Judge the certificate of a record that has one."""
        body = record.body
        if isinstance(body, KeyRollover):
            self._consent(record, body)
        if isinstance(body, Start | KeyRollover | Recovery):
            self._certificate(record.sequence, body.certificate)

    def _consent(self, record: Record, body: KeyRollover) -> None:
        signed = rollover_bytes(record.previous, body.certificate)
        if not signature_holds(body.certificate.session_key, signed, body.consent):
            self.collector.add(Code.ROLLOVER_FORGED, record=record.sequence)

    def _certificate(self, sequence: int, certificate: SessionCertificate) -> None:
        self.signer = self.signer or certificate.issuer.hex()
        self._used.add(certificate.session_key)
        self._judge_form(sequence, certificate)
        key = self._keys.get(certificate.issuer)
        if self.public_key is None:
            self.collector.add_once(Code.NO_PUBLIC_KEY, key=certificate.issuer.hex())
        elif key is None:
            wanted = key_id(self.public_key).hex()
            self.collector.add_once(Code.FOREIGN_KEY, key=certificate.issuer.hex(), wanted=wanted)
        elif not certificate.issued_by(key):
            self.collector.add(Code.BAD_CERTIFICATE, record=sequence, key=certificate.issuer.hex())
        else:
            self._used |= self._use(key)
            self._in_office(key, certificate.not_before_ns, 0)

    def _judge_form(self, sequence: int, certificate: SessionCertificate) -> None:
        """Judge role and life of a certificate, whoever issued it."""
        if certificate.role != _ROLE:
            self.collector.add(Code.CERTIFICATE_ROLE, record=sequence, role=certificate.role)
        days, most = f"{certificate.life_ns / DAY_NS:.1f}", LONGEST_LIFE_NS[self.version]
        if certificate.life_ns > most:
            self.collector.add(Code.CERTIFICATE_LONG, record=sequence, days=days, most=most // DAY_NS)
        elif certificate.life_ns > DAY_NS:
            self.collector.add_once(Code.CERTIFICATE_LASTING, days=days)

    def _use(self, key: bytes) -> set[bytes]:
        """Return a trusted key that signed something, with the keys that its trust rests on; judge them the first time."""
        if key not in self._resting:
            ways = self.offices.rests_on(key, self.public_key or b"", self.known_keys())
            self._resting[key] = {key, *(new for new, _ in ways)}
            for new, at_ns in ways:
                self._in_office(new, at_ns, DAY_NS)
        return self._resting[key]

    def _in_office(self, key: bytes, utc_ns: int, grace_ns: int) -> None:
        """Check that a long-term key was in office at that time."""
        fault = self.offices.fault(key, utc_ns, grace_ns)
        if fault is not None:
            code, since = fault
            self.collector.add_once(code, key=key_id(key).hex(), since=since, at=utc_text(utc_ns))

    def time(self, sequence: int, certificate: SessionCertificate, utc_ns: int, fragment: int | None = None) -> None:
        """Check that the time of a record lies within its signer's certificate, and within the office of the key above it."""
        if not certificate.covers(utc_ns):
            self.collector.add_once(Code.CERTIFICATE_LIFE, fragment, record=sequence, at=utc_text(utc_ns))
        key = self._keys.get(certificate.issuer)
        if key is not None:
            self._in_office(key, utc_ns, LONGEST_LIFE_NS[self.version])

    def statement(self, statement: Statement) -> None:
        """Judge the signature of an interval's statement."""
        self._dated.append(("statement", statement.issued_ns))
        key = self._keys.get(statement.issuer)
        if key is None or not statement_holds(statement, key):
            self.collector.add(Code.STATEMENT_FOREIGN)
        else:
            self._used |= self._use(key)
            self._in_office(key, statement.issued_ns, DAY_NS)

    def extraction(self, issuer: bytes, issued_ns: int, holds: Callable[[bytes], bool]) -> bool:
        """Judge the signature of an extraction's list, which `holds` checks; return whether a trusted key made it."""
        key = self._keys.get(issuer)
        if key is None or not holds(key):
            self.collector.add(Code.EXTRACTION_FOREIGN)
            return False
        self._extractors = self._use(key)
        self._dated.append(("extraction", issued_ns))
        self._in_office(key, issued_ns, DAY_NS)
        return True

    def revocations(self, head: bytes, latest_ns: int) -> None:
        """Judge dates of documents, then keys: a revoked one vouches only for a head that a checkpoint held before.

        `latest_ns`: the latest time of the chain.
        """
        for name, issued_ns in self._dated:
            if issued_ns < latest_ns - SLACK_NS:
                self.collector.add(Code.DOCUMENT_EARLY, file=name, at=utc_text(issued_ns), until=utc_text(latest_ns))
        revoked = {**self._listed(head, latest_ns), **(self.revoked or {})}
        for key in sorted(self._used & set(revoked)):
            if head not in revoked[key]:
                self.collector.add(Code.KEY_REVOKED, key=key_id(key).hex())
        if self._extractors & set(revoked):
            # A checkpoint held the chain's head, but never this list: a thief can sign another one today.
            self.collector.add(Code.EXTRACTION_REVOKED)
        if self._loggers & set(revoked):
            self.collector.add(Code.JOURNAL_REVOKED)

    def _listed(self, head: bytes, latest_ns: int) -> dict[bytes, frozenset[bytes]]:
        """Return the keys on any list; the head is attested only where every list that names the key says so."""
        if self.public_key is None:
            return {}
        lists = [each for each in self._lists if self._believed(each, head, self.public_key) and self._in_time(each, latest_ns)]
        found: dict[bytes, frozenset[bytes]] = {}
        for revoked in (revoked for each in lists for revoked in each.keys):
            heads = frozenset({head} if revoked.attested else ())
            found[revoked.key] = heads & found.get(revoked.key, heads)
        if lists:
            newest = max(each.issued_ns for each in lists)
            self.collector.add(Code.REVOCATION_CHECKED, at=utc_text(newest), count=len(found))
        elif self.revoked is None:
            self.collector.add(Code.REVOCATION_UNCHECKED, head=head.hex())
        return found

    def _believed(self, listing: Revocations, head: bytes, public_key: bytes) -> bool:
        """Whether a list counts: only the trusted key may issue one, because an earlier key may be in a thief's hands."""
        key = self._keys.get(listing.issuer)
        if key is None or listing.head != head or not revocations_hold(listing, key):
            self.collector.add_once(Code.REVOCATIONS_FOREIGN)
            return False
        return key == public_key

    def _in_time(self, listing: Revocations, latest_ns: int) -> bool:
        """Whether a list is not older than the chain that it is about: such a list cannot know its head."""
        if listing.issued_ns >= latest_ns - SLACK_NS:
            return True
        self.collector.add_once(Code.REVOCATIONS_EARLY, at=utc_text(listing.issued_ns), until=utc_text(latest_ns))
        return False


def _unread(error: TheirError) -> Code:
    """Return the note about a document beside the chain that cannot be read."""
    return Code.NEWER_FORMAT if error.kind is Kind.UNSUPPORTED else Code.NOT_COVERED
