"""A proof that one entry stands in the journal: C2SP `tlog-proof` text, one file for one entry or several.

Owns: FORMAT.md §8.2, to the byte, and when a proof holds.  Must never know: where entries are kept, what an
entry means.

A proof reveals its own entry only: the hashes beside it are of salted commitments, and nobody can guess an entry from one.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from relay.base.errors import Kind, TheirError
from relay.evidence.log import SALT, Checkpoint, commitment, inclusion_holds, is_note, leaf_hash, open_by_any

MAGIC = "c2sp.org/tlog-proof@v1\n"
MAX_FILE = 1 << 20
"""Bytes of a file of proofs."""
MAX_PROOFS = 64
"""Proofs in one file."""
MAX_ENTRY = 64 << 10
"""Bytes of an entry."""
_ENTRY, _PURGED = 1, 2

_PROOF = re.compile(
    re.escape(MAGIC)
    + r"extra ([A-Za-z0-9+/]+={0,2})\nindex (0|[1-9][0-9]{0,18})\n((?:[A-Za-z0-9+/]{43}=\n){0,64})\n"
    + r"((?:[^\n]+\n){3,19}\n(?:— [^\n]+\n)+)"
)


@dataclass(frozen=True, slots=True)
class Proof:
    """One entry's place under a checkpoint (RFC 6962 §2.1.1)."""

    index: int
    leaf_hash: bytes
    path: tuple[bytes, ...]
    note: str
    """The signed checkpoint, as it was issued."""
    salt: bytes = b""
    entry: bytes | None = None
    """Canonical JSON; None where body and salt were deleted after three years (JRN-03): then the leaf hash alone is proved."""

    def text(self) -> str:
        """Return the proof as C2SP text."""
        kind, said = (_PURGED, self.leaf_hash) if self.entry is None else (_ENTRY, self.salt + self.entry)
        lines = [f"extra {_base64(bytes([kind]) + said)}", f"index {self.index}", *map(_base64, self.path)]
        return MAGIC + "".join(f"{line}\n" for line in lines) + "\n" + self.note


def proof_of(index: int, salt: bytes, entry: bytes, path: Sequence[bytes], note: str) -> Proof:
    """Return the proof of an entry whose text and salt are known."""
    return Proof(index, leaf_hash(commitment(salt, entry)), tuple(path), note, salt, entry)


def proofs_text(proofs: Iterable[Proof]) -> bytes:
    """Return a file of proofs, one after the other."""
    return "".join(proof.text() for proof in proofs).encode()


def is_proof(data: bytes) -> bool:
    """Return whether these first bytes of a file are those of a proof."""
    return mended_text(data).startswith(MAGIC.encode())


def mended_text(data: bytes) -> bytes:
    """Return a text file without what mail programs and editors add: a byte order mark, carriage returns.

    Nothing that is signed or hashed holds either.
    """
    return data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")


def read_proofs(data: bytes) -> list[Proof]:
    """Read a file of proofs; raises TheirError with the position.  Checks the form, not whether a proof holds."""
    if len(data) > MAX_FILE:
        raise TheirError(Kind.TOO_LARGE, f"more than {MAX_FILE} bytes: not a file of proofs")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise TheirError(Kind.INVALID, f"byte {error.start}: not UTF-8") from None
    found: list[Proof] = []
    position = 0
    while position < len(text) or not found:
        match = _PROOF.match(text, position)
        if match is None or len(found) == MAX_PROOFS:
            raise TheirError(Kind.INVALID, f"character {position}: not a proof of a journal entry")
        found.append(_proof(match, position))
        position = match.end()
    return found


def _proof(match: re.Match[str], position: int) -> Proof:
    extra, index, path, note = match.groups()
    said, siblings = _bytes(extra, position), tuple(_bytes(line, position) for line in path.splitlines())
    if not is_note(note):
        raise TheirError(Kind.INVALID, f"character {position}: its checkpoint is not one")
    kind, rest = said[0], said[1:]
    if kind == _PURGED and len(rest) == 32:
        return Proof(int(index), rest, siblings, note)
    if kind != _ENTRY or not SALT < len(rest) <= SALT + MAX_ENTRY:
        raise TheirError(Kind.INVALID, f"character {position}: its extra data is neither an entry nor a leaf hash")
    return proof_of(int(index), rest[:SALT], rest[SALT:], siblings, note)


def _bytes(text: str, position: int) -> bytes:
    """Decode base64; raises TheirError for a text that is not the one encoding of its bytes."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        data = b""
    if not data or _base64(data) != text:
        raise TheirError(Kind.INVALID, f"character {position}: not base64")
    return data


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def signed_checkpoint(proof: Proof, public_keys: Sequence[bytes]) -> tuple[Checkpoint, bytes]:
    """Return the proof's checkpoint and the key that signed it; raises TheirError where none of `public_keys` did."""
    if not public_keys:
        raise TheirError(Kind.INVALID, "no trusted key was given")
    checkpoint, place = open_by_any(proof.note, public_keys)
    return checkpoint, public_keys[place]


def objection(proof: Proof, checkpoint: Checkpoint) -> str:
    """Return why the proof does not hold under its checkpoint; nothing where it holds.  The signature is another question."""
    if not inclusion_holds(proof.leaf_hash, proof.index, checkpoint.size, proof.path, checkpoint.root):
        return f"entry {proof.index} is not in the journal of this checkpoint"
    if proof.entry is None:
        return ""
    said = entry_fields(proof).get("leaf")
    # `True == 1` and `1.0 == 1` in Python: the number must be an integer.
    if type(said) is not int or said != proof.index:
        return f"the entry does not say that it is entry {proof.index}"
    return ""


def entry_fields(proof: Proof) -> dict[str, Any]:
    """Return the entry's fields (FORMAT.md §8.1); nothing where it was purged or is no JSON object with each key once."""
    try:
        found = json.loads(proof.entry or b"{}", object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found
