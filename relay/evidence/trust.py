"""Whose seal it is: certificates, successions of long-term keys, revocation.

What this file owns: when an origin is proved.  What it must never know: media, times of fragments, where keys are kept.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from relay.base.errors import TheirError
from relay.evidence.chain import Record, rollover_bytes
from relay.evidence.findings import FindingCollector
from relay.evidence.media import Reader
from relay.evidence.records import KeyRollover, Recovery, Start
from relay.evidence.seal import SessionCertificate, key_id, signature_holds
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


@dataclass(slots=True)
class Trust:
    """The long-term keys believed in, by id; grows by successions that a believed key signed."""

    collector: FindingCollector
    public_key: bytes | None
    revoked: Mapping[bytes, Collection[bytes]] | None
    """Public key (long-term or session) to the chain heads that a journal checkpoint held before; None: not known."""
    signer: str = ""
    _keys: dict[bytes, bytes] = field(default_factory=dict)
    _used: set[bytes] = field(default_factory=set)
    _lists: list[Revocations] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.public_key is not None:
            self._keys[key_id(self.public_key)] = self.public_key

    def learn(self, reader: Reader, names: Collection[str], given: Sequence[bytes] = ()) -> None:
        """Read successions, `given` and beside the chain: a key attested by a believed one is believed too, newest first."""
        papers = [read_succession(paper) for paper in given]
        for name in sorted(names)[:MAX_SUCCESSIONS]:
            try:
                papers.append(read_succession(reader.read(name, 0, MAX_DOCUMENT + 1)))
            except TheirError:
                self.collector.add(Code.NOT_COVERED, file=name)
        for _ in papers:
            for paper in papers:
                self._learn(paper)

    def _learn(self, paper: Succession) -> None:
        old, new = key_id(paper.old_key), key_id(paper.new_key)
        if new in self._keys and old not in self._keys and succession_holds(paper):
            self._keys[old] = paper.old_key
            self.collector.add(Code.SUCCESSION, key=old.hex(), by=new.hex())

    def learn_revocations(self, beside: bytes | None, given: Sequence[bytes] = ()) -> None:
        """Read lists of revoked keys, `given` and the one beside the chain; raises TheirError where a given one is none."""
        self._lists += [read_revocations(paper) for paper in given]
        if beside is not None:
            try:
                self._lists.append(read_revocations(beside))
            except TheirError:
                self.collector.add_once(Code.REVOCATIONS_FOREIGN)

    def record(self, record: Record) -> None:
        """Judge the certificate of a record that brings one."""
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
        key = self._keys.get(certificate.issuer)
        if self.public_key is None:
            self.collector.add_once(Code.NO_PUBLIC_KEY, key=certificate.issuer.hex())
        elif key is None:
            wanted = key_id(self.public_key).hex()
            self.collector.add_once(Code.FOREIGN_KEY, key=certificate.issuer.hex(), wanted=wanted)
        elif not certificate.issued_by(key):
            self.collector.add(Code.BAD_CERTIFICATE, record=sequence, key=certificate.issuer.hex())
        else:
            self._used.add(key)

    def time(self, sequence: int, certificate: SessionCertificate, utc_ns: int, fragment: int | None = None) -> None:
        """A record says this time: it must lie within the life of its signer's certificate."""
        if not certificate.covers(utc_ns):
            self.collector.add_once(Code.CERTIFICATE_LIFE, fragment, record=sequence, at=utc_text(utc_ns))

    def statement(self, statement: Statement) -> None:
        """Judge the signature of an interval's statement."""
        key = self._keys.get(statement.issuer)
        if key is None or not statement_holds(statement, key):
            self.collector.add(Code.STATEMENT_FOREIGN)
        else:
            self._used.add(key)

    def revocations(self, head: bytes) -> None:
        """At the end: a revoked key vouches only for a chain whose head a checkpoint held before the revocation."""
        revoked = {**self._listed(head), **(self.revoked or {})}
        for key in sorted(self._used & set(revoked)):
            if head not in revoked[key]:
                self.collector.add(Code.KEY_REVOKED, key=key_id(key).hex())

    def _listed(self, head: bytes) -> dict[bytes, frozenset[bytes]]:
        """Return what the lists say: a key on any is revoked, and vouches only where every list that names it says so."""
        if self.public_key is None:
            return {}
        lists = [each for each in self._lists if self._believed(each, head, self.public_key)]
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
        """Only the trusted key itself says which keys are revoked: one that it follows may be a thief's by now."""
        key = self._keys.get(listing.issuer)
        if key is None or listing.head != head or not revocations_hold(listing, key):
            self.collector.add_once(Code.REVOCATIONS_FOREIGN)
            return False
        return key == public_key
