"""The verdict on a file of journal proofs, for an outsider who has no relay.

Owns: the verdict and its words in French and English.  Must never know: files, arguments, when a proof holds (`log_proof`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from relay.base.errors import TheirError
from relay.evidence.exits import Exit
from relay.evidence.log import Checkpoint, checkpoint_ns, checkpoint_time, further_signatures
from relay.evidence.log_proof import Proof, entry_fields, mended_text, objection, read_proofs, signed_checkpoint
from relay.evidence.office import Offices
from relay.evidence.seal import DAY_NS, key_id
from relay.evidence.statement import predecessors, read_succession, succession_holds
from relay.evidence.verdict import Language, foreign_text, utc_text

_FIELDS = ("at", "author", "role", "operation", "motive", "object_type", "object_id", "recipients", "result")
_WORDS: dict[str, tuple[str, str]] = {
    "proved": ("PROUVÉE : inscription {index} du journal {origin}", "PROVED: entry {index} of journal {origin}"),
    "not proved": ("NON PROUVÉE : inscription {index} ({why})", "NOT PROVED: entry {index} ({why})"),
    "checkpoint": (
        "  point de contrôle de {size} inscriptions, {at}, signé par la clé {key}",
        "  checkpoint of {size} entries, {at}, signed by key {key}",
    ),
    "ignored": (
        "  {count} signature(s) de tiers sur ce point de contrôle n'ont pas été contrôlées",
        "  {count} signature(s) of others on this checkpoint were not checked",
    ),
    "purged": (
        "  ses mots ont été effacés après trois ans : seule sa place est prouvée, par son empreinte {leaf}",
        "  its words were deleted after three years: its place alone is proved, by its hash {leaf}",
    ),
}


@dataclass(frozen=True, slots=True)
class ProvedEntry:
    """One proof, judged: `why` is empty where the entry is proved."""

    proof: Proof
    why: str
    checkpoint: Checkpoint | None = None
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class ProofVerdict:
    """The verdict on a file of proofs."""

    entries: tuple[ProvedEntry, ...]

    @property
    def exit_code(self) -> int:
        """0 where every entry is proved, else 1."""
        return Exit.FINDING if any(entry.why for entry in self.entries) else Exit.NO_FINDING

    def lines(self, language: Language) -> list[str]:
        """Return the verdict as lines of plain text."""
        return [line for entry in self.entries for line in _lines(entry, language)]

    def as_json(self) -> dict[str, Any]:
        """Return plain data for `--json`; an entry that is not proved has no fields, so that nobody relies on them."""
        return {"proofs": [_plain(entry) for entry in self.entries], "exit_code": int(self.exit_code)}


def judge_proofs(data: bytes, public_key: bytes | None, successions: Sequence[bytes] = ()) -> ProofVerdict:
    """Judge a file of proofs under the trusted key and the keys before it; raises TheirError where it cannot be read.

    Without a trusted key nothing is proved.  A byte order mark and carriage returns, which mail programs add, are passed over.
    """
    keys = [] if public_key is None else [public_key, *predecessors(public_key, successions)]
    offices = Offices()
    for succession in map(read_succession, successions):
        if succession_holds(succession):
            offices.learn(succession)
    return ProofVerdict(tuple(_without_forks([_judge(proof, keys, offices) for proof in read_proofs(mended_text(data))])))


def _without_forks(entries: Sequence[ProvedEntry]) -> Iterator[ProvedEntry]:
    """Take back what two checkpoints of one name and length prove whose roots differ: there are two journals."""
    roots: dict[tuple[str, int], set[bytes]] = {}
    for its in (entry.checkpoint for entry in entries):
        if its is not None:
            roots.setdefault((its.origin, its.size), set()).add(its.root)
    for entry in entries:
        its = entry.checkpoint
        if its is not None and not entry.why and len(roots[its.origin, its.size]) > 1:
            yield ProvedEntry(
                entry.proof, f"two checkpoints for {its.size} entries contradict each other: there are two journals"
            )
        else:
            yield entry


def _judge(proof: Proof, keys: Sequence[bytes], offices: Offices) -> ProvedEntry:
    try:
        checkpoint, key = signed_checkpoint(proof, keys)
    except TheirError as error:
        return ProvedEntry(proof, error.detail)
    at_ns = checkpoint_ns(checkpoint)
    ways = [] if key == keys[0] else offices.rests_on(key, keys[0], keys)
    if any(offices.fault(new, followed_ns, DAY_NS) for new, followed_ns in ways):
        return ProvedEntry(proof, "a key made the signing key trusted by a succession outside its own office")
    if at_ns is not None and offices.fault(key, at_ns, DAY_NS) is not None:
        return ProvedEntry(proof, f"the checkpoint is of {utc_text(at_ns)}, when the key that signed it was not in office")
    return ProvedEntry(proof, objection(proof, checkpoint), checkpoint, key)


def _lines(entry: ProvedEntry, language: Language) -> list[str]:
    proof, checkpoint = entry.proof, entry.checkpoint
    if entry.why or checkpoint is None:
        return [_said("not proved", language, index=proof.index, why=entry.why)]
    at, key, ignored = foreign_text(checkpoint_time(checkpoint)), key_id(entry.key).hex(), further_signatures(proof.note)
    lines = [
        _said("proved", language, index=proof.index, origin=foreign_text(checkpoint.origin)),
        _said("checkpoint", language, size=checkpoint.size, at=at, key=key),
    ]
    if ignored:
        lines.append(_said("ignored", language, count=ignored))
    if proof.entry is None:
        return [*lines, _said("purged", language, leaf=proof.leaf_hash.hex())]
    fields = entry_fields(proof)
    lines += [f"  {name}: {_value(fields[name])}" for name in _FIELDS if fields.get(name) not in (None, "", [])]
    details = fields.get("details")
    its = sorted(details.items()) if isinstance(details, dict) else []
    return lines + [f"  {foreign_text(name)}: {_value(value)}" for name, value in its if value is not None]


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value)
    return foreign_text(value if isinstance(value, str) else str(value))


def _plain(entry: ProvedEntry) -> dict[str, Any]:
    proof, checkpoint = entry.proof, entry.checkpoint
    found: dict[str, Any] = {
        "index": proof.index,
        "proved": not entry.why,
        "why": entry.why,
        "leaf_hash": proof.leaf_hash.hex(),
    }
    if entry.why or checkpoint is None:
        return found
    its = {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex(), "extra": list(checkpoint.extra)}
    its |= {"key": entry.key.hex(), "signatures_ignored": further_signatures(proof.note)}
    return found | {"checkpoint": its, "entry": None if proof.entry is None else entry_fields(proof)}


def _said(word: str, language: Language, **values: object) -> str:
    return _WORDS[word][0 if language == "fr" else 1].format(**values)
