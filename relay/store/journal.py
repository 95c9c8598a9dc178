"""The journal of legal operations (R241-5, R241-14, LIL 101): append-only, Merkle-hashed, signed.

Owns: the leaves, their order, the checkpoints.  Must never know: HTTP, who may read it (policy), what a picture is.

API for callers:
* `Entry(operation, author, role, motive=..., object_type=..., object_id=..., recipients=..., result=..., details={...})`
* `await journal.append(entry) -> int` returns the leaf number once the entry is on disk (group commit: entries that arrive
  together share one transaction).  Raises OurError when the entry cannot be written: then nothing may be shown (I3, LIV-06).
* `await journal.refuse(person_or_camera, role, action, decision...)` for refusals to an identified person or camera;
  `journal.refuse_anonymous(source, route)` for all others: counted, one entry per source and minute, bounded in total.
* `await journal.read(after, limit)`, `await journal.checkpoint()`, `await journal.proofs([leaf])`, `await journal.close()`.
The timers of control call `flush_refusals` every 5 s and `checkpoint` every 60 s.  `relay.store.journal_check` verifies.

A leaf is the RFC 6962 hash of `commitment(salt, body)` (`relay.evidence.log`).  After three years body and salt are deleted
(JRN-03); the leaf hash stays, and the body cannot be guessed from it.  `body` is canonical JSON: UTF-8, sorted keys, no spaces.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Connection

from relay.base.clock import Clock, rfc3339
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, OurError, TheirError
from relay.evidence.log import Checkpoint, Tree, checkpoint_size, open_by_any, sign_checkpoint
from relay.evidence.log_proof import Proof
from relay.evidence.seal import Signer
from relay.runtime.deadlines import NO_DEADLINE, Deadline, run_to_completion, wait_within
from relay.runtime.tasks import spawn
from relay.store import journal_rows as rows
from relay.store.anonymous import AnonymousRefusals
from relay.store.checkpoints import CheckpointFile
from relay.store.database import Database
from relay.store.journal_bodies import refusal_entry, row_of, row_proof, undoing
from relay.store.journal_entry import NEED_MOTIVE
from relay.store.journal_entry import Entry as Entry
from relay.store.journal_entry import Operation as Operation
from relay.store.refusals import Refusal, RepeatedRefusals
from relay.store.vault import FileOps

logger = logging.getLogger(__name__)

Beside: TypeAlias = Callable[[Connection, int], None]
"""Work in the transaction of an entry, whose leaf number it is given."""
MAX_WAITING = 4096
MAX_PER_COMMIT = 256
CHECKPOINT_ENTRIES = 256
MAX_OWED = 100_000
"""Checkpoints that may wait for the checkpoint file (two months of them); the next start writes those that were dropped."""

declare(
    journal_entries="entries written to the journal",
    journal_commits="transactions that carried journal entries",
    journal_refused="entries refused because the queue was full or the disk failed",
    journal_unanswered="entries of requests answered with 503 because the disk did not answer: not queued, or undone",
    journal_checkpoints_owed="failed attempts to write a checkpoint to the checkpoint file; each is repeated",
    journal_repeated="refusals to identified people and cameras that were counted: the like was entered a moment before",
    journal_anonymous="refusals to callers who are not identified, with or without an entry of their own",
)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One entry as read from the journal; `body` is None after three years (JRN-03)."""

    leaf: int
    at_ns: int
    body: Mapping[str, object] | None
    leaf_hash: bytes


@dataclass(slots=True)
class _Waiting:
    at_ns: int
    entry: Entry
    at: str
    done: "asyncio.Future[int]"
    since: float
    """Monotonic seconds."""
    leaf: int | None = None
    beside: Beside | None = None
    """What is written in the same transaction."""
    undoes: "_Waiting | None" = None
    """The queued entry whose request was refused meanwhile; this entry says that it was not carried out."""


class Journal:
    """The one writer of the journal; `open` is the only way to get one."""

    def __init__(
        self,
        database: Database,
        signer: Signer,
        origin: str,
        file: CheckpointFile,
        clock: Clock,
        counters: Counters,
        earlier: Sequence[bytes] = (),
    ) -> None:
        self._database = database
        self._signer = signer
        self._keys = (signer.public_key, *earlier)
        self._origin = origin
        self._file = file
        self._clock = clock
        self._counters = counters
        self._owed: deque[str] = deque(maxlen=MAX_OWED)
        """Checkpoints that are in the database and not yet in the checkpoint file."""
        self._tree = Tree()
        self._signed_size = -1
        self._note = ""
        self._last_ns = 0
        self._queue: list[_Waiting] = []
        self._in_flight: list[_Waiting] = []
        """The entries of the transaction under way."""
        self._writer: asyncio.Task[None] | None = None
        self._signing = asyncio.Lock()
        self._anonymous = AnonymousRefusals()
        self._repeated = RepeatedRefusals()

    @classmethod
    async def open(
        cls,
        database: Database,
        signer: Signer,
        origin: str,
        checkpoint_path: Path,
        clock: Clock,
        counters: Counters,
        *,
        earlier: Sequence[bytes] = (),
        ops: FileOps | None = None,
    ) -> "Journal":
        """Load the tree, enter the start, and sign a checkpoint.

        `origin` names the log in its checkpoints (C2SP); `checkpoint_path`: the checkpoint file.
        `earlier`: public keys that signed before `signer`'s.
        """
        journal = cls(database, signer, origin, CheckpointFile(checkpoint_path, ops), clock, counters, earlier)
        await asyncio.to_thread(journal._file.lock)
        try:
            await journal._begin()
        except BaseException:
            journal.release()
            raise
        return journal

    async def _begin(self) -> None:
        hashes, self._last_ns = await self._database.read(rows.load)
        for digest in hashes:
            self._tree.append(digest)
        disagrees = await asyncio.to_thread(self._disagrees)
        await self._mend_file()
        details: dict[str, str | int | bool | None] = {"event": "start", "disagrees_at": disagrees}
        await self.append(Entry(Operation.SYSTEME, "relay", "system", object_type="journal", details=details))
        await self.checkpoint()

    async def _mend_file(self) -> None:
        """Write the checkpoints that a crash left in the database only to the checkpoint file."""
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self._file.cut_torn)
        kept = await self._database.read(rows.all_checkpoints)
        known = set(await asyncio.to_thread(self._file.notes))
        self._owed.extend(note for _, note in kept if note not in known)
        await self._file_owed()

    def _disagrees(self) -> int | None:
        """Return the size of the last checkpoint in the file if the tree differs from the one it was signed for, else None.

        The start entry carries this size for ever: a database that was rolled back must not pass unnoticed.
        """
        for note in reversed(self._file.notes()):
            with contextlib.suppress(TheirError):
                signed, _ = open_by_any(note, self._keys)
                agrees = signed.size <= self._tree.size and self._tree.root(signed.size) == signed.root
                if not agrees:
                    logger.error("the journal is not the one that was signed", extra={"signed_size": signed.size})
                return None if agrees else signed.size
        return None

    @property
    def size(self) -> int:
        """Number of leaves on disk."""
        return self._tree.size

    def stalled(self, deadline: Deadline) -> bool:
        """Return whether the oldest waiting entry has waited as long as the deadline: the disk does not answer."""
        waiting = self._in_flight or self._queue
        late = bool(waiting) and deadline.is_over(time.monotonic() - waiting[0].since)
        return late or self._database.stalled(deadline)

    async def append(
        self, entry: Entry, *, happened: bool = False, beside: Beside | None = None, deadline: Deadline = NO_DEADLINE
    ) -> int:
        """Write an entry; return its leaf number once durable.

        `beside` runs in the same transaction: a crash leaves both or neither.  It must not fail: others would too.

        Raises TheirError(INCOMPLETE) for a consultation or communication without motive (JRN-02), OurError if the disk refuses.
        If the disk does not answer within the deadline, raise OurError: the request is then not carried out, and either
        nothing was queued, or the queued entry is followed by one that says *not carried out*.  An entry of something that
        `happened` is queued in any case; then OurError says only that it is not on disk yet.
        """
        if entry.operation in NEED_MOTIVE and not entry.motive.strip():
            raise TheirError(
                Kind.INCOMPLETE, "a motive is required (JRN-02)", code=Code.MOTIVE_REQUIRED, facts={"rule": "JRN-02"}
            )
        stalled = self.stalled(deadline)
        if stalled and not happened:
            self._counters.count("journal_unanswered")
            raise deadline.error()
        if len(self._queue) >= MAX_WAITING:
            self._counters.count("journal_refused")
            raise OurError("too much waits for the journal", retry_after=1.0, code=Code.STORE_BUSY)
        waiting = self._enqueue(entry, beside=beside)
        if stalled:
            raise deadline.error()
        try:
            # `wait_within` never cancels: where the caller is cancelled (a page closed), the entry is written all the same.
            return await wait_within(waiting.done, deadline)
        except OurError:
            if not waiting.done.done() and not happened:
                self._counters.count("journal_unanswered")
                self._enqueue(undoing(entry), waiting)
            raise

    def _enqueue(self, entry: Entry, undoes: _Waiting | None = None, beside: Beside | None = None) -> _Waiting:
        """Queue an entry.  One that undoes another has no bound of its own: the bound was applied to the other."""
        # `at_ns` only grows, even when the wall clock is put back; `at` keeps what the wall clock said.
        now_ns = self._clock.utc_ns()
        self._last_ns = max(self._last_ns + 1, now_ns)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(self._last_ns, entry, rfc3339(now_ns), done, time.monotonic(), beside=beside, undoes=undoes)
        self._queue.append(waiting)
        if self._writer is None or self._writer.done():
            self._writer = spawn(self._drain(), "journal")
        return waiting

    async def refuse(
        self,
        author: str,
        role: str,
        action: str,
        kind: str,
        detail: str,
        *,
        requirement: str = "",
        object_type: str = "",
        object_id: str = "",
        motive: str = "",
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """Enter a refusal to an identified person or camera (I3, LAW.md T8); those like it within a minute are counted.

        `flush_refusals` enters the counts.
        """
        refusal = Refusal(author, role, action, kind, detail, requirement, object_type, object_id, motive)
        if not self._repeated.is_first(refusal, self._clock.monotonic(), self._clock.utc_ns()):
            self._counters.count("journal_repeated")
            return
        try:
            await self.append(refusal_entry(refusal, refusal.details()), happened=True, deadline=deadline)
        except OurError:
            self._repeated.not_entered(refusal)
            raise

    def refuse_anonymous(self, source: str, route: str) -> None:
        """Count a refusal to an unidentified caller; `flush_refusals` enters the counts.  Never waits, never raises."""
        self._counters.count("journal_anonymous")
        self._anonymous.count(source, route, self._clock.utc_ns())

    async def flush_refusals(self, *, everything: bool = False) -> None:
        """Enter the counts of refusals whose minute is over; of `everything`: also those of the running minute.

        Raises OurError where the disk refuses; counts that it refused are kept.
        """
        refused: OurError | None = None
        for repeated in self._repeated.take_due(self._clock.monotonic(), everything=everything):
            try:
                await self.append(refusal_entry(repeated.refusal, repeated.details()))
            except OurError as error:
                self._repeated.give_back(repeated)
                refused = error
        if refused is not None:
            raise refused
        for details in self._anonymous.take_due(self._clock.utc_ns()):
            await self.append(Entry(Operation.REFUS, "anonymous", "none", result="denied", details=details))

    async def read(self, after: int = -1, limit: int = 200, *, deadline: Deadline = NO_DEADLINE) -> list[Leaf]:
        """Return up to `limit` (at most 1000) leaves numbered above `after`."""
        found = await self._database.read(partial(rows.select, after=after, limit=min(limit, 1000)), deadline=deadline)
        return [Leaf(row.leaf, row.at_ns, json.loads(row.body) if row.body else None, row.leaf_hash) for row in found]

    async def checkpoint(self, *, deadline: Deadline = NO_DEADLINE) -> str:
        """Sign the tree as it stands (C2SP note with one extra line, the time); keep it in the database and in the file.

        Return the last note again when no entry was added.  Raises OurError when the disk refuses.
        """
        if self.stalled(deadline):
            raise deadline.error()
        return await run_to_completion(self._sign(), deadline)

    async def _sign(self) -> str:
        async with self._signing:
            size = self._tree.size
            if size != self._signed_size:
                at_ns = self._clock.utc_ns()
                checkpoint = Checkpoint(self._origin, size, self._tree.root(), (rfc3339(at_ns),))
                # In a thread: a key in a token signs slowly.
                note = await asyncio.to_thread(sign_checkpoint, checkpoint, self._signer)
                await self._database.write(lambda connection: rows.insert_checkpoint(connection, size, note, at_ns))
                self._signed_size, self._note = size, note
                self._owed.append(note)
            await self._file_owed()
            return self._note

    async def _file_owed(self) -> None:
        """Write the owed checkpoints to the file; if it cannot be written, the next checkpoint tries again."""
        while self._owed:
            try:
                await asyncio.to_thread(self._file.append, self._owed[0])
            except OSError as error:
                self._counters.count("journal_checkpoints_owed")
                logger.error("a checkpoint is in the database only: its file cannot be written", extra={"why": error.strerror})
                return
            self._owed.popleft()

    async def proofs(self, leaves: Sequence[int], *, deadline: Deadline = NO_DEADLINE) -> list[Proof]:
        """Return the proofs of these leaves, all under one fresh checkpoint; of a purged entry, that of its hash.

        Raises TheirError NOT_FOUND, OurError where an entry was changed on disk.
        """
        note = await self.checkpoint(deadline=deadline)
        size = checkpoint_size(note)
        found = [await self._database.read(partial(rows.one, leaf=leaf), deadline=deadline) for leaf in leaves]
        for leaf, row in zip(leaves, found, strict=True):
            if row is None or leaf >= size:
                raise TheirError(Kind.NOT_FOUND, f"no leaf {leaf}", code=Code.LEAF_NOT_FOUND, facts={"leaf": leaf})
        return [row_proof(row, self._tree.inclusion(row.leaf, size), note) for row in found if row is not None]

    async def find(
        self, event: str, details: Mapping[str, str], from_ns: int, to_ns: int, *, deadline: Deadline = NO_DEADLINE
    ) -> int | None:
        """Return the first entry of this event, written in this interval (UTC ns), with these texts as fields or details.

        Reads every entry of the interval up to the one found; None where there is none, or where it was purged.
        """
        texts = [json.dumps({name: text}, ensure_ascii=False, separators=(",", ":"))[1:-1] for name, text in details.items()]
        needles = [f'"event":{json.dumps(event)}', *texts]
        return await self._database.read(
            partial(rows.search, needles=[text.encode() for text in needles], from_ns=from_ns, to_ns=to_ns), deadline=deadline
        )

    async def purge(self, before_ns: int) -> int:
        """Delete body and salt of entries older than `before_ns` (JRN-03); return how many.  Their leaf hashes stay."""
        return await self._database.write(lambda connection: rows.purge(connection, before_ns))

    async def settled(self) -> None:
        """Wait until no entry waits for the disk any more."""
        while self._writer is not None and not self._writer.done():
            await asyncio.wait({self._writer})

    def release(self) -> None:
        """Let another process write, without entering the stop."""
        self._file.unlock()

    async def close(self) -> None:
        """Enter the stop, sign the last checkpoint, let another process write."""
        try:
            await self.flush_refusals(everything=True)
            await self.append(Entry(Operation.SYSTEME, "relay", "system", object_type="journal", details={"event": "stop"}))
            await self.checkpoint()
        finally:
            self.release()

    async def _drain(self) -> None:
        while self._queue:
            batch, self._queue = self._queue[:MAX_PER_COMMIT], self._queue[MAX_PER_COMMIT:]
            self._in_flight = batch
            try:
                await self._commit(batch)
            except Exception as error:
                self._counters.count("journal_refused", len(batch))
                for waiting in batch:
                    waiting.leaf = None
                    _fail(waiting.done, error)
            self._in_flight = []
            if self._tree.size - max(self._signed_size, 0) >= CHECKPOINT_ENTRIES:
                # If this checkpoint fails, the next entries sign one; the entries themselves are durable.
                with contextlib.suppress(OurError, OSError):
                    await self.checkpoint()

    async def _commit(self, batch: list[_Waiting]) -> None:
        made = self._rows(batch)
        if not made:
            return
        beside = [(waiting.beside, waiting.leaf) for waiting in batch if waiting.beside is not None]

        def write(connection: Connection) -> None:
            rows.insert(connection, made)
            for work, leaf in beside:
                assert leaf is not None
                work(connection, leaf)

        await self._database.write(write)
        self._counters.count("journal_commits")
        self._counters.count("journal_entries", len(made))
        for row in made:
            self._tree.append(row.leaf_hash)
        for waiting in batch:
            if waiting.leaf is not None and not waiting.done.done():
                waiting.done.set_result(waiting.leaf)

    def _rows(self, batch: list[_Waiting]) -> list[rows.Row]:
        made: list[rows.Row] = []
        for waiting in batch:
            if waiting.undoes is not None and waiting.undoes.leaf is None:
                waiting.done.cancel()  # the disk refused the entry that this one would undo: there is nothing to undo
                continue
            waiting.leaf = self._tree.size + len(made)
            undoes = None if waiting.undoes is None else waiting.undoes.leaf
            made.append(row_of(waiting.leaf, waiting.at_ns, waiting.at, waiting.entry, undoes))
        return made


def _fail(future: "asyncio.Future[int]", error: Exception) -> None:
    if future.done():
        return
    future.set_exception(error if isinstance(error, OurError) else OurError(f"journal: {error}", code=Code.STORE_FAILED))
    future.exception()  # mark it as retrieved: the caller may have been cancelled
