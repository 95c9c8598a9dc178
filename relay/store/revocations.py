"""The recordings for which a revoked key still vouches: those whose head a journal checkpoint held before the revocation.

Owns: `<data>/keys/revoked` (public keys in hex, one a line, never shortened) and the heads that the journal attests for each.
Must never know: who asks, seals, how a key was revoked.

The file says *that* a key is revoked; it outlives the journal's three years and any restore.  The journal says *when*.  Where
the entry is purged or the journal is not intact, the key vouches for no recording: the error is on the safe side.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from pathlib import Path

from relay.base.errors import OurError
from relay.evidence.seal import KEY
from relay.store import journal_rows
from relay.store.database import Database
from relay.store.journal_check import PAGE, verify_journal
from relay.store.journal_rows import Row
from relay.store.vault import FileOps, write_file

REVOKED = "key revoked"
"""The event of a revocation's entry; its detail `key` is the public key in hex."""
CLOSED = "recording closed"
"""The event of the entry that holds a recording's last head."""

Attested = dict[bytes, frozenset[bytes]]
"""Revoked public key to the heads that a checkpoint held before its revocation."""


def revoked_keys(path: Path) -> list[bytes]:
    """Return the keys in the file; raises OurError where it is damaged."""
    if not path.exists():
        return []
    try:
        found = [bytes.fromhex(line) for line in path.read_text(encoding="ascii").split()]
    except ValueError as error:
        raise OurError(f"{path} is damaged: put it back (relay/OPERATING.md)") from error
    if any(len(key) != KEY for key in found):
        raise OurError(f"{path} is damaged: put it back (relay/OPERATING.md)")
    return found


def add_revoked(path: Path, key: bytes) -> None:
    """Add a key (32 bytes) to the revoked keys, durably; idempotent.  Raises OurError, OSError."""
    known = revoked_keys(path)
    if key not in known:
        write_file(FileOps(), path, "".join(f"{each.hex()}\n" for each in [*known, key]).encode())


async def attested(
    database: Database, checkpoints: Path, public_keys: Sequence[bytes], origin: str, now_ns: int, revoked: Collection[bytes]
) -> Attested:
    """Return the heads for which each revoked key still vouches.  Reads the journal three times if there is a revoked key.

    Raises OurError.
    """
    found: Attested = dict.fromkeys(revoked, frozenset())
    if not revoked or not (await verify_journal(database, checkpoints, public_keys, origin, now_ns)).intact:
        return found
    sizes = [size for size, _ in await database.read(journal_rows.all_checkpoints)]
    heads, after = AttestedHeads(sizes), -1
    while rows := await database.read(partial(journal_rows.select, after=after, limit=PAGE)):
        heads.take(rows)
        after = rows[-1].leaf
    return found | {key: kept for key, kept in heads.found.items() if key in found}


class AttestedHeads:
    """Reads an intact journal's rows in order; `sizes` are the journal sizes for which a checkpoint was signed."""

    def __init__(self, sizes: Iterable[int]) -> None:
        self._sizes = sorted(sizes)
        self._heads: list[tuple[int, bytes]] = []
        self.found: Attested = {}

    def take(self, rows: Iterable[Row]) -> None:
        """Take the next rows."""
        for row in rows:
            details = json.loads(row.body)["details"] if row.body is not None else {}
            if details.get("event") == CLOSED and details.get("head"):
                self._heads.append((row.leaf, bytes.fromhex(details["head"])))
            elif details.get("event") == REVOKED:
                self._revocation(row.leaf, bytes.fromhex(details["key"]))

    def _revocation(self, leaf: int, key: bytes) -> None:
        """Take a revocation; the first of a key counts.  A checkpoint of `size` entries holds the entries numbered below it."""
        signed = max((size for size in self._sizes if size <= leaf), default=0)
        self.found.setdefault(key, frozenset(head for at, head in self._heads if at < signed))
