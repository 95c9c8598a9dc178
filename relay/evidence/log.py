"""The journal's Merkle log: RFC 6962 §2.1 hashing over salted leaves, proofs, and C2SP signed checkpoints.

Owns: hashes, proofs and the text of a checkpoint.
Must never know: what an entry says, where leaves are kept, sign-ins, SQL.

A leaf's data is `commitment(salt, entry)`.  To purge an entry its salt and its text are destroyed: the leaf, the tree and all
proofs stay valid, and nobody can test guesses of the entry's text.  Checkpoints are C2SP `tlog-checkpoint` notes signed with
Ed25519 (`signed-note`), so that other C2SP witnesses can read them.
"""

import base64
import binascii
import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from relay.base.errors import Kind, TheirError
from relay.evidence.seal import Signer, sha256, signature_holds

SALT = 32
EMPTY_ROOT = sha256(b"")


def commitment(salt: bytes, entry: bytes) -> bytes:
    """Return the 32 bytes that stand for `entry` in the log; `salt` is 32 random bytes, used for this entry alone."""
    if len(salt) != SALT:
        raise ValueError("a salt has 32 bytes")
    return sha256(salt + entry)


def leaf_hash(data: bytes) -> bytes:
    """Return the RFC 6962 hash of a leaf's data."""
    return sha256(b"\0" + data)


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the RFC 6962 hash of an inner node."""
    return sha256(b"\1" + left + right)


class Tree:
    """Every complete node of the tree, level by level.  Appending costs one hash on average, a proof about log² n.

    Memory: 64 bytes per leaf.  Owned by one task.
    """

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        self._levels: list[bytearray] = [bytearray()]
        for leaf in leaf_hashes:
            self.append(leaf)

    @property
    def size(self) -> int:
        """Leaves in the tree."""
        return len(self._levels[0]) // 32

    def append(self, leaf: bytes) -> int:
        """Add a leaf hash (32 bytes) and return its index."""
        index = self.size
        self._levels[0] += leaf
        level, position, node = 0, index, leaf
        while position & 1:
            node = node_hash(self._node(level, position - 1), node)
            level, position = level + 1, position >> 1
            if level == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level] += node
        return index

    def leaf(self, index: int) -> bytes:
        """Return the leaf hash at `index`."""
        return self._node(0, index)

    def root(self, size: int | None = None) -> bytes:
        """Return the root when the tree had `size` leaves (now, by default)."""
        size = self._checked(self.size if size is None else size)
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the audit path of leaf `index` in the tree of `size` leaves (RFC 6962 §2.1.1)."""
        size = self._checked(self.size if size is None else size)
        if not 0 <= index < size:
            raise ValueError(f"no leaf {index} in a tree of {size}")
        path: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Return the proof that the tree of `new` leaves only appended to that of `old` (RFC 6962 §2.1.2)."""
        new = self._checked(self.size if new is None else new)
        if not 0 <= old <= new:
            raise ValueError(f"no tree of {old} within one of {new}")
        if old in (0, new):
            return []
        path: list[bytes] = []
        start, end, whole = 0, new, True
        while old != end:
            middle = start + _split(end - start)
            if old <= middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start, whole = middle, False
        if not whole:
            path.append(self._range(start, end))
        return path[::-1]

    def _node(self, level: int, position: int) -> bytes:
        return bytes(self._levels[level][32 * position : 32 * position + 32])

    def _checked(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise ValueError(f"the tree never had {size} leaves")
        return size

    def _range(self, start: int, end: int) -> bytes:
        """Hash leaves [start, end); `start` is a multiple of the largest power of two below `end - start`, or of it."""
        width = end - start
        if width & (width - 1) == 0:
            return self._node(width.bit_length() - 1, start // width)
        middle = start + _split(width)
        return node_hash(self._range(start, middle), self._range(middle, end))


def _split(width: int) -> int:
    """Return the largest power of two below `width` (2 or more)."""
    return 1 << (width - 1).bit_length() - 1


def inclusion_holds(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Check an audit path (RFC 9162 §2.1.3.2); never raises on hostile input."""
    if not 0 <= index < size:
        return False
    position, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and node == root


def consistency_holds(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Check a consistency proof (RFC 9162 §2.1.4.2); never raises on hostile input."""
    if not 0 <= old <= new or (old in (0, new) and proof):
        return False
    if old == new:
        return old_root == new_root
    if old == 0:
        return old_root == EMPTY_ROOT
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


# --- checkpoints ------------------------------------------------------------------------------------------------------

_NOTE = re.compile(
    r"([^\n]{1,255})\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n((?:[^\n]{1,1000}\n){0,16})\n((?:— [^\n]{1,8000}\n){1,32})"
)
_SIGNATURE = re.compile(r"— ([^ +\n]{1,255}) ([A-Za-z0-9+/]+={0,2})")
_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?Z")
_ED25519 = b"\1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State of a log: its origin (name), size and root; `extra` lines are signed too (a time, for example)."""

    origin: str
    size: int
    root: bytes
    extra: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the note's text, which is signed; raises ValueError where a line cannot stand in it."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extra]
        if any(not line or "\n" in line for line in lines) or " " in self.origin or "+" in self.origin:
            raise ValueError("an origin has no space nor plus sign, a line is neither empty nor broken")
        return "\n".join(lines) + "\n"


def verifier_id(name: str, public_key: bytes) -> bytes:
    """Return the 4 bytes that name a key in a note (C2SP signed-note)."""
    return sha256(name.encode() + b"\n" + _ED25519 + public_key)[:4]


def verifier_key(name: str, public_key: bytes) -> str:
    """Return the `vkey` line that other C2SP tools take."""
    return f"{name}+{verifier_id(name, public_key).hex()}+{base64.b64encode(_ED25519 + public_key).decode()}"


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> str:
    """Return the whole note, signed under the checkpoint's origin as key name."""
    text = checkpoint.text()
    blob = verifier_id(checkpoint.origin, signer.public_key) + signer.sign(text.encode())
    return f"{text}\n— {checkpoint.origin} {base64.b64encode(blob).decode()}\n"


def open_checkpoint(note: str, public_key: bytes) -> Checkpoint:
    """Return the checkpoint of a note; raises TheirError unless `public_key` signed it under its origin."""
    found = _NOTE.fullmatch(note)
    if found is None:
        raise TheirError(Kind.INVALID, "not a checkpoint note")
    origin, size, root, extra, signatures = found.groups()
    checkpoint = Checkpoint(origin, int(size), base64.b64decode(root), tuple(extra.split("\n")[:-1]))
    wanted = verifier_id(origin, public_key)
    text = note[: note.index("\n\n") + 1].encode()
    for line in signatures.split("\n"):
        blob = _signature_blob(line, origin)
        if blob[:4] == wanted and signature_holds(public_key, text, blob[4:]):
            return checkpoint
    raise TheirError(Kind.INVALID, "the checkpoint is not signed by this key")


def open_by_any(note: str, public_keys: Sequence[bytes]) -> tuple[Checkpoint, int]:
    """Return the checkpoint of a note and the index of its signer in `public_keys`; raises TheirError where none signed it."""
    for place, public_key in enumerate(public_keys[:-1]):
        with contextlib.suppress(TheirError):
            return open_checkpoint(note, public_key), place
    return open_checkpoint(note, public_keys[-1]), len(public_keys) - 1


def is_note(text: str) -> bool:
    """Return whether a text has the form of a checkpoint note; nothing is said of its signatures."""
    return _NOTE.fullmatch(text) is not None


def checkpoint_size(note: str) -> int:
    """Return for how many entries a note was signed; the note must be one of ours."""
    return int(note.split("\n", 2)[1])


def further_signatures(note: str) -> int:
    """Return how many signature lines a note has beside the log's own: those of witnesses, which nobody here checks."""
    return note.rpartition("\n\n")[2].count("\n") - 1


def checkpoint_time(checkpoint: Checkpoint) -> str:
    """Return the time that the log signed into a checkpoint (RFC 3339), nothing where there is none."""
    return checkpoint.extra[0] if checkpoint.extra else ""


def checkpoint_ns(checkpoint: Checkpoint) -> int | None:
    """Return that time in UTC nanoseconds, None where there is none or it is written in another form."""
    found = _TIME.fullmatch(checkpoint_time(checkpoint))
    if found is None:
        return None
    try:
        seconds = int(datetime.fromisoformat(f"{found[1]}+00:00").timestamp())
    except ValueError:
        return None
    return seconds * 1_000_000_000 + int((found[2] or "").ljust(9, "0"))


def _signature_blob(line: str, name: str) -> bytes:
    """Return key id and signature of a note's line; empty where the line names another key."""
    found = _SIGNATURE.fullmatch(line)
    if found is None or found[1] != name:
        return b""
    try:
        return base64.b64decode(found[2], validate=True)
    except binascii.Error:
        return b""
