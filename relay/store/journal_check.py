"""`relay journal verify`: is the journal what it was when each checkpoint was signed?

Owns: the comparison of rows, checkpoints in the database and checkpoints in the checkpoint file.  Must never know: who asks.

Findings, and what names their place:
* a changed entry (it does not fit its hash), a missing, inserted or moved one: its number;
* an entry rewritten with its hash recomputed: the interval between two signed checkpoints;
* a cut tail, or a database rolled back: the checkpoint that covers more entries;
* a checkpoint removed, altered, or signed by another key or by one of ours that had been succeeded: its number.
* another history, signed anew with the relay's key: by a checkpoint that was kept elsewhere (`outside_checkpoints`).
Not found: entries after the last checkpoint that somebody with the database cuts or rewrites.  Checkpoints are signed at the
start, every 256 entries, every minute and at the stop, and the checkpoint file can be copied elsewhere as it grows.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from relay.base.errors import Kind, TheirError
from relay.evidence.log import Checkpoint, Tree, commitment, leaf_hash, open_by_any
from relay.policy.retention import journal_purge_ns
from relay.store import journal_rows
from relay.store.checkpoints import CheckpointFile
from relay.store.database import Database
from relay.store.journal_rows import Row
from relay.store.outside_checkpoints import HOLDS, Answer, Outside, Own

PAGE = 1000
MAX_FINDINGS = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind`: edited, missing, inserted, moved, rewritten, truncated, rolled_back, checkpoint; `first`..`last` leaf numbers."""

    kind: str
    first: int
    last: int
    detail: str


@dataclass(frozen=True, slots=True)
class JournalVerdict:
    """`intact` when nothing was found; `signed` entries stand under the last good checkpoint, `size` exist."""

    size: int
    signed: int
    checkpoints: int
    findings: tuple[Finding, ...]
    outside: tuple[Answer, ...] = ()
    """Answers of the checkpoints that were kept elsewhere."""

    @property
    def intact(self) -> bool:
        """Return whether nothing was found here, nor by a checkpoint from elsewhere."""
        return not self.findings and all(answer.kind == HOLDS for answer in self.outside)


async def verify_journal(
    database: Database,
    checkpoint_path: Path,
    public_keys: Sequence[bytes],
    origin: str,
    now_ns: int,
    outside: Mapping[str, bytes] | None = None,
    watch: Callable[[Sequence[Row]], None] | None = None,
) -> JournalVerdict:
    """Check every entry and checkpoint; `public_keys`: the trusted key and its predecessors, the latest first.

    `outside`: files of checkpoints that were kept elsewhere, by name, read before this call.  `watch` is given all rows.
    Reads all rows once, in pages (memory: 64 bytes per entry).  Raises OurError when it cannot be read.
    """
    # In this order of reading, a journal that is being written meanwhile never seems to have lost an entry.
    beside = await asyncio.to_thread(CheckpointFile(checkpoint_path).notes)
    kept = [note for _, note in await database.read(journal_rows.all_checkpoints)]
    walk = Walk(now_ns)
    after = -1
    while rows := await database.read(partial(journal_rows.select, after=after, limit=PAGE)):
        walk.take(rows)
        if watch is not None:
            watch(rows)
        after = rows[-1].leaf
    return judge(walk, kept, beside, public_keys, origin, outside or {})


class Walk:
    """Reads rows in the order of their numbers and builds the tree over them."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self.tree = Tree()
        self.findings: list[Finding] = []
        self.restored: list[tuple[int, int]] = []
        """Entries that say that a restore lost entries: their number, and how many were lost."""
        self._expected = 0
        self._last_ns = 0

    def take(self, rows: Iterable[Row]) -> None:
        """Take the next rows."""
        for row in rows:
            self._number(row)
            self.findings.extend(_look(row, self._now_ns))
            self._restore(row)
            self._time(row)
            whole = isinstance(row.leaf_hash, bytes) and len(row.leaf_hash) == 32
            self.tree.append(row.leaf_hash if whole else bytes(32))
            del self.findings[MAX_FINDINGS:]

    def _time(self, row: Row) -> None:
        # SQLite stores any type in any column: a forger's text in the place of a number must not stop the check.
        at_ns = row.at_ns if isinstance(row.at_ns, int) else -1
        if at_ns <= self._last_ns:
            self.findings.append(Finding("moved", row.leaf, row.leaf, "its time is not after the entry before it"))
        self._last_ns = max(self._last_ns, at_ns)

    def _restore(self, row: Row) -> None:
        # Read as JSON only where the bytes are there: `_look` has named an entry that is no JSON.
        if isinstance(row.body, bytes) and b'"event":"restored"' in row.body:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                lost = json.loads(row.body)["details"]["lost"]
                self.restored += [(row.leaf, lost)] if lost else []

    def _number(self, row: Row) -> None:
        if row.leaf < 0:
            self.findings.append(Finding("inserted", row.leaf, row.leaf, "a number below zero"))
            return
        if row.leaf != self._expected:
            last = row.leaf - 1
            self.findings.append(Finding("missing", self._expected, last, f"{last - self._expected + 1} entries are missing"))
        self._expected = row.leaf + 1


def _look(row: Row, now_ns: int) -> Iterator[Finding]:
    if row.body is None and row.salt is None:
        # Purged after three years (JRN-03): only the hash is left.
        if journal_purge_ns(row.at_ns) > now_ns:
            yield Finding("edited", row.leaf, row.leaf, "emptied before its three years are over")
        return
    if not isinstance(row.body, bytes) or not isinstance(row.salt, bytes) or len(row.salt) != 32:
        yield Finding("edited", row.leaf, row.leaf, "body or salt is missing or of another type")
        return
    if leaf_hash(commitment(row.salt, row.body)) != row.leaf_hash:
        yield Finding("edited", row.leaf, row.leaf, "the entry does not fit its hash")
    try:
        body = json.loads(row.body)
        said = (body["leaf"], body["at_ns"], body["operation"])
    except (ValueError, TypeError, KeyError):
        yield Finding("edited", row.leaf, row.leaf, "the entry is not readable")
        return
    if said[0] != row.leaf:
        yield Finding("moved", row.leaf, row.leaf, f"it says that it is entry {said[0]}")
    elif said != (row.leaf, row.at_ns, row.operation):
        yield Finding("edited", row.leaf, row.leaf, "its columns contradict its text")


def judge(
    walk: Walk,
    kept: Sequence[str],
    beside: Sequence[str],
    public_keys: Sequence[bytes],
    origin: str,
    outside: Mapping[str, bytes],
) -> JournalVerdict:
    """Compare the tree with the checkpoints of the database (`kept`), of the file (`beside`) and of files from elsewhere."""
    findings = list(walk.findings)
    own = Own(restored=walk.restored)
    in_database = _open_all(kept, public_keys, origin, "database", findings, own)
    in_file = _open_all(beside, public_keys, origin, "file", findings, own)
    findings += _differences(in_database, in_file)
    signed = 0
    for checkpoint in sorted({**in_file, **in_database}.values(), key=lambda item: item.size):
        if checkpoint.size > walk.tree.size:
            lost = checkpoint.size - walk.tree.size
            kind = "truncated" if checkpoint.size in in_database else "rolled_back"
            findings.append(Finding(kind, walk.tree.size, checkpoint.size - 1, f"{lost} signed entries are gone"))
        elif walk.tree.root(checkpoint.size) != checkpoint.root:
            detail = f"not what was signed at {checkpoint.size} entries"
            findings.append(Finding("rewritten", signed, checkpoint.size - 1, detail))
            break
        else:
            signed = checkpoint.size
    if not in_database and not in_file:
        findings.append(Finding("checkpoint", 0, max(0, walk.tree.size - 1), "no signed checkpoint at all"))
    own.signed = signed
    answers = Outside(walk.tree, own, public_keys, origin).compare(outside)
    return JournalVerdict(walk.tree.size, signed, len(in_database), tuple(findings[:MAX_FINDINGS]), tuple(answers))


def _open_all(
    notes: Sequence[str], public_keys: Sequence[bytes], origin: str, place: str, findings: list[Finding], own: Own
) -> dict[int, Checkpoint]:
    opened: dict[int, Checkpoint] = {}
    latest = len(public_keys) - 1
    for number, note in enumerate(notes):
        try:
            checkpoint, key = own.known.get(note) or open_by_any(note, public_keys)
            if key > latest:
                raise TheirError(Kind.INVALID, "signed by a key that another had followed already")
        except TheirError as error:
            findings.append(Finding("checkpoint", number, number, f"{place}, checkpoint {number}: {error.detail}"))
            continue
        latest = key
        if checkpoint.origin != origin:
            findings.append(Finding("checkpoint", number, number, f"{place}, checkpoint {number}: of log {checkpoint.origin}"))
            continue
        own.keep(note, checkpoint, key)
        other = opened.setdefault(checkpoint.size, checkpoint)
        if other.root != checkpoint.root:
            findings.append(
                Finding(
                    "checkpoint", checkpoint.size, checkpoint.size, f"{place}: two roots signed for {checkpoint.size} entries"
                )
            )
    return opened


def _differences(in_database: dict[int, Checkpoint], in_file: dict[int, Checkpoint]) -> Iterator[Finding]:
    for size in sorted(in_database.keys() ^ in_file.keys()):
        # A checkpoint is written to the database first: newer ones may not be in the file yet.
        if size in in_database and size > max(in_file, default=-1):
            continue
        place = "the file beside" if size in in_database else "the database"
        kind = "checkpoint" if size in in_database or size <= max(in_database, default=0) else "rolled_back"
        yield Finding(kind, size, size, f"the checkpoint at {size} entries is missing from {place}")
    for size in in_database.keys() & in_file.keys():
        if in_database[size].root != in_file[size].root:
            yield Finding("checkpoint", size, size, f"database and file disagree at {size} entries")
