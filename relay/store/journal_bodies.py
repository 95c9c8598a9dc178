"""The bytes of journal entries: canonical JSON, salt and leaf hash.

Owns: which fields an entry's body has; the entries of refusals and undoings.  Must never know: the queue, the tree, SQL.

A leaf is the RFC 6962 hash of `commitment(salt, body)` (`relay.evidence.log`).
"""

import json
import secrets
from collections.abc import Mapping, Sequence

from relay.base.errors import OurError
from relay.evidence.log import SALT, commitment, leaf_hash
from relay.evidence.log_proof import Proof
from relay.policy.texts import trimmed_text
from relay.store.journal_entry import Entry, Operation
from relay.store.journal_rows import Row
from relay.store.refusals import Refusal


def refusal_entry(refusal: Refusal, details: Mapping[str, str | int | bool | None]) -> Entry:
    """Return the entry of a refusal to an identified person or camera."""
    return Entry(
        Operation.REFUS, refusal.author, refusal.role, motive=refusal.motive, object_type=refusal.object_type,
        object_id=refusal.object_id, result="denied", details=details,
    )  # fmt: skip


def undoing(entry: Entry) -> Entry:
    """Return the entry saying that another, which is queued already, was not carried out."""
    kept = {name: entry.details[name] for name in ("view", "intervention", "recording") if name in entry.details}
    details = {**kept, "event": "not carried out", "what": entry.details.get("event"), "reason": "the disk did not answer"}
    return Entry(
        Operation.SYSTEME, "relay", "system", object_type=entry.object_type, object_id=entry.object_id, result="error",
        details=details,
    )  # fmt: skip


def row_of(leaf: int, at_ns: int, at: str, entry: Entry, undoes: int | None) -> Row:
    """Return an entry's row with a fresh salt.  `at`: what the wall clock said; `undoes`: the leaf that this entry undoes."""
    salt = secrets.token_bytes(SALT)
    # The leaf number and time are part of the hashed bytes: a row that was moved contradicts itself.
    body = canonical({"leaf": leaf, "at_ns": at_ns, **_fields(entry, at, undoes)})
    return Row(leaf, at_ns, entry.operation.value, salt, body, leaf_hash(commitment(salt, body)))


def canonical(value: Mapping[str, object]) -> bytes:
    """Return canonical JSON: sorted keys, no white space, UTF-8; raises ValueError for NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _fields(entry: Entry, at: str, undoes: int | None) -> dict[str, object]:
    undone = {} if undoes is None else {"undoes": undoes}
    return {
        "at": at,
        "author": trimmed_text(entry.author),
        "role": entry.role,
        "operation": entry.operation.value,
        "motive": trimmed_text(entry.motive),
        "object_type": entry.object_type,
        "object_id": trimmed_text(entry.object_id),
        "recipients": list(entry.recipients),
        "result": entry.result,
        "details": {**{name: _clean(value) for name, value in entry.details.items()}, **undone},
    }


def _clean(value: str | int | bool | None) -> str | int | bool | None:
    """Return a value of an entry; a refusal carries the words of the refused, which no door has cleaned."""
    return trimmed_text(value) if isinstance(value, str) else value


def row_proof(row: Row, path: Sequence[bytes], note: str) -> Proof:
    """Return the proof of a row under a checkpoint; of a purged one, that of its hash.

    Raises OurError where the row is not what was entered: no proof leaves that would not hold.
    """
    if row.body is None or row.salt is None:
        return Proof(row.leaf, row.leaf_hash, tuple(path), note)
    if leaf_hash(commitment(row.salt, row.body)) != row.leaf_hash:
        raise OurError(f"entry {row.leaf} of the journal is damaged: `relay journal verify` names what was changed")
    return Proof(row.leaf, row.leaf_hash, tuple(path), note, row.salt, row.body)
