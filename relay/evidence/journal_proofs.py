"""What the journal says of a recording: the proofs that stand beside its chain, compared with it.

Owns: the rules of FORMAT.md §8.3.  Must never know: where the journal is, how a proof is written (`log_proof`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.base.errors import TheirError
from relay.evidence.findings import FindingCollector
from relay.evidence.log import checkpoint_ns, checkpoint_time, further_signatures
from relay.evidence.log_proof import MAX_FILE, Proof, entry_fields, objection, read_proofs, signed_checkpoint
from relay.evidence.media import Reader
from relay.evidence.records import Start
from relay.evidence.statement import Statement
from relay.evidence.trust import Trust
from relay.evidence.verdict import Code, utc_text

JOURNAL = "journal"
"""The file's name."""


@dataclass(slots=True)
class JournalProofs:
    """The proofs of one recording; `judge` is called once, when the chain was read."""

    collector: FindingCollector
    trust: Trust
    _proofs: list[Proof] = field(default_factory=list)

    def read(self, reader: Reader, names: Collection[str]) -> None:
        """Read the file `journal`, if there is one; without a trusted key it is not judged."""
        if JOURNAL not in names or self.trust.public_key is None:
            return
        try:
            self._proofs = read_proofs(reader.read(JOURNAL, 0, MAX_FILE + 1))
        except TheirError as error:
            self.collector.add(Code.JOURNAL_PROOF_FALSE, why=error.detail)

    def judge(self, start: Start | None, statement: Statement | None, head: bytes) -> None:
        """Compare each entry with the chain's Start, its final head and the interval's statement."""
        notes: dict[str, None] = {}
        roots: dict[tuple[str, int], bytes] = {}
        for proof in self._proofs:
            try:
                checkpoint, key = signed_checkpoint(proof, self.trust.known_keys())
            except TheirError:
                self.collector.add(Code.JOURNAL_FOREIGN, leaf=proof.index)
                continue
            self.trust.signed_journal(key, checkpoint_ns(checkpoint))
            if roots.setdefault((checkpoint.origin, checkpoint.size), checkpoint.root) != checkpoint.root:
                self.collector.add_once(Code.JOURNAL_FORKED, size=checkpoint.size)
            why = objection(proof, checkpoint)
            if why:
                self.collector.add(Code.JOURNAL_PROOF_FALSE, why=why)
                continue
            self._entry(proof, start, statement, head)
            if proof.note not in notes:
                notes[proof.note] = None
                at, ignored = checkpoint_time(checkpoint) or "?", further_signatures(proof.note)
                self.collector.add(Code.JOURNAL_CHECKPOINT, at=at, size=checkpoint.size, ignored=ignored)

    def _entry(self, proof: Proof, start: Start | None, statement: Statement | None, head: bytes) -> None:
        if proof.entry is None:
            self.collector.add(Code.JOURNAL_PURGED, leaf=proof.index)
            return
        entry = entry_fields(proof)
        details = entry.get("details")
        details = details if isinstance(details, dict) else {}
        event = str(details.get("event"))
        if start is not None:
            why = _misfit(entry, details, start, statement)
            if why:
                self.collector.add(Code.JOURNAL_ENTRY_FOREIGN, leaf=proof.index, why=why)
                return
        if start is not None and event == "recording closed" and details.get("head") != head.hex():
            self.collector.add(Code.JOURNAL_HEAD_DIFFERS, leaf=proof.index, head=str(details.get("head")))
            return
        self.collector.add(Code.JOURNAL_ENTRY, leaf=proof.index, at=_time(entry), event=event)


def _misfit(entry: Mapping[str, Any], details: Mapping[str, Any], start: Start, statement: Statement | None) -> str:
    """Return why a proved entry is not about this recording and this extraction, nothing where it is."""
    if entry.get("object_type") != "recording" or entry.get("object_id") != start.recording:
        return f"it is about {entry.get('object_type')} {entry.get('object_id')}"
    if details.get("event") == "recording begun":
        said = (entry.get("author"), details.get("intervention"), details.get("expires_on"))
        if said != (start.camera, start.intervention, start.expires_on):
            return "camera, intervention or term are not those of the signed start"
    if details.get("event") == "extraction requested" and statement is not None:
        first, last = details.get("first"), details.get("last")
        if (first, last) != (statement.first, statement.last):
            return f"it is about fragments {first} to {last}"
    return ""


def _time(entry: Mapping[str, Any]) -> str:
    at_ns = entry.get("at_ns")
    return utc_text(at_ns) if type(at_ns) is int else "?"
