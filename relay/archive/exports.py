"""Extraction: entered with its requester and legal basis, then streamed as a zip to the commander (ACC-04, EXT-01, REC-09 7°).

Owns: the life of an extraction and its entries in the journal.  Must never know: HTTP, the archive's layout.
No plain media is ever stored: a thread makes the archive while the loop sends it, with a bounded queue between the two.

API: `await request(person, recording, ExportRequest(...)) -> Export`, `await get(person, export) -> Export`,
`await deliver(person, export) -> Delivery` (chunks of a zip, which the caller closes; journalled before the first byte).
"""

import asyncio
import hashlib
import io
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import IO, Any, cast

from relay.archive.export_zip import ExportZip, Parts, select_interval
from relay.archive.journal_extract import journal_extract
from relay.archive.stored_facts import stored_facts
from relay.base.clock import Clock, rfc3339
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, OurError, TheirError
from relay.base.ids import new_id
from relay.evidence.extraction import ListedFile, sign_extraction
from relay.evidence.journal_proofs import JOURNAL
from relay.evidence.records import Link
from relay.evidence.statement import sign_revocations, sign_statement
from relay.people.authorize import Authorizer
from relay.policy.motives import check_legal_basis, check_motive
from relay.policy.roles import Action, Person
from relay.policy.texts import SHORT_BYTES, clean_text
from relay.runtime.deadlines import NO_DEADLINE, Deadline, run_and_wait, run_in_background
from relay.store.catalogue import Catalogue, Export, Recording
from relay.store.journal import Entry, Journal, Operation
from relay.store.keyring import Keyring
from relay.store.vault import Vault

MAX_AT_ONCE = 2
QUEUE_CHUNKS = 16
CHUNK = 1 << 18

declare(
    exports_requested="extractions entered in the journal",
    exports_delivered="extractions whose last byte was handed over",
    exports_failed="extractions cut short, by us or by the receiver",
)


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The facts that an extraction requires (R241-2 7°, EXT-01); times in UTC nanoseconds."""

    from_ns: int
    to_ns: int
    motive: str
    legal_basis: str
    requesting_agent: str
    requesting_service: str
    procedure_no: str


@dataclass(frozen=True, slots=True)
class _Digests:
    """SHA-256 (hex) of a delivered archive, and of its files apart from the archive (FORMAT.md §7.8)."""

    archive: str
    content: str


class Delivery:
    """The chunks of an archive; its owner must close it, also when no chunk was read."""

    def __init__(self, chunks: AsyncGenerator[bytes, None], on_never_begun: Callable[[], Awaitable[None]]) -> None:
        self._chunks = chunks
        self._on_never_begun = on_never_begun
        self._begun = False

    def __aiter__(self) -> "Delivery":
        return self

    async def __anext__(self) -> bytes:
        self._begun = True
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """End the delivery and enter its outcome, once."""
        begun, self._begun = self._begun, True
        await self._chunks.aclose()
        if not begun:  # an async generator that never began runs no `finally`
            await self._on_never_begun()


class Exports:
    """All extractions."""

    def __init__(
        self,
        catalogue: Catalogue,
        journal: Journal,
        authorizer: Authorizer,
        vault: Vault,
        keyring: Keyring,
        clock: Clock,
        counters: Counters,
        *,
        verifier: bytes,
        derive: Sequence[str] | None,
        revoked: Mapping[bytes, Collection[bytes]],
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """`verifier`: source of the standalone verifier; `derive`: command that makes the playable copy (stdin → stdout).

        `revoked`: as `evidence.verify` takes it; keys are revoked only while nothing runs.  `deadline`: how long a request
        waits for the disk.
        """
        self._deadline = deadline
        self._catalogue = catalogue
        self._catalogue_in_time = catalogue.within(deadline)
        self._journal = journal
        self._vault = vault
        self._keyring = keyring
        self._clock = clock
        self._counters = counters
        self._verifier = verifier
        self._derive = derive
        self._revoked = revoked
        self._authorizer = authorizer
        self._running = 0
        """How many deliveries are reserved or under way."""
        self._progress: dict[str, float] = {}

    async def request(self, person: Person, recording: str, wanted: ExportRequest) -> Export:
        """Enter an extraction; no media is read yet.

        Raises TheirError INCOMPLETE (a legal field), INVALID (interval), FORBIDDEN (ACC-04), CONFLICT (open), GONE, NOT_FOUND.
        """
        row = await self._catalogue_in_time.recordings.get(recording)
        try:
            clean = _clean(wanted, row.regime)
        except TheirError as error:
            raise await self._authorizer.refused(
                person, Action.EXPORT_RECORDING, error, object_type="recording", object_id=recording
            ) from None
        await self._require(person, row, clean.motive)
        selection = await asyncio.to_thread(select_interval, self._vault.chain(recording), clean.from_ns, clean.to_ns)
        now_ns = self._clock.utc_ns()
        made = Export(
            export=new_id(now_ns),
            recording=recording,
            requested_by=person.user,
            requested_ns=now_ns,
            state="ready",
            **asdict(clean),
        )
        await self._enter(person, made, "extraction requested", first=selection.first, last=selection.last)
        await self._catalogue_in_time.exports.add(made)
        self._counters.count("exports_requested")
        return made

    async def get(self, person: Person, export: str) -> Export:
        """Return an extraction to the person who requested it, with its progress (0..1) while it is being delivered."""
        found = await self._catalogue_in_time.exports.get(export)
        if found.requested_by != person.user:
            raise TheirError(Kind.NOT_FOUND, "no such export", code=Code.EXPORT_NOT_FOUND)
        return replace(found, progress=self._progress.get(export, found.progress))

    async def deliver(self, person: Person, export: str) -> Delivery:
        """Return the archive's chunks; the entry *handing over begun* is durable before this returns.  The caller closes them.

        Raises TheirError as `request` does, and TOO_MANY while two others are under way.
        """
        found = await self.get(person, export)
        row = await self._catalogue_in_time.recordings.get(found.recording)
        await self._require(person, row, found.motive)
        if self._running >= MAX_AT_ONCE:
            raise TheirError(Kind.TOO_MANY, "two extractions are being made", retry_after=10.0, code=Code.TOO_MANY_EXPORTS)
        self._running += 1  # reserved before the first wait
        try:
            parts = await asyncio.to_thread(self._parts, found, row)
            await asyncio.to_thread(self._keyring.recording_key, found.recording)
            begun = await self._enter(person, found, "handing over begun")
        except BaseException:
            self._running -= 1
            raise
        delivery = Delivery(self._stream(found, parts), lambda: self._end(found, None))
        try:
            proofs = await journal_extract(self._journal, row, found, begun, self._deadline)
            parts.beside = {**parts.beside, JOURNAL: proofs}
            await self._catalogue_in_time.exports.update(export, {"state": "delivering"})
        except BaseException:
            run_in_background(delivery.aclose())
            raise
        return delivery

    async def _stream(self, export: Export, parts: Parts) -> AsyncGenerator[bytes, None]:
        digest = hashlib.sha256()
        sink = _Sink(asyncio.get_running_loop())
        archive = ExportZip(
            cast(IO[bytes], sink), parts, lambda link: self._plain(export.recording, link), self._progress_of(export.export)
        )
        work = asyncio.create_task(asyncio.to_thread(_run, archive, sink), name=f"export {export.export}")
        done: _Digests | None = None
        try:
            while (chunk := await sink.queue.get()) is not None:
                digest.update(chunk)
                yield chunk
            await work
            done = _Digests(digest.hexdigest(), archive.content)
        finally:
            sink.abandoned = True
            sink.drain()
            await asyncio.gather(work, return_exceptions=True)
            await self._end(export, done)

    async def _end(self, export: Export, done: "_Digests | None") -> None:
        self._running -= 1
        self._progress.pop(export.export, None)
        await run_and_wait(self._enter_end(export, done), self._deadline)

    async def _enter_end(self, export: Export, done: "_Digests | None") -> None:
        state = "delivered" if done else "failed"
        self._counters.count(f"exports_{state}")
        details: dict[str, str | int | bool | None] = {
            "event": f"extraction {state}",
            "export": export.export,
            "sha256": done.archive if done else None,
            "content": done.content if done else None,
        }
        await self._journal.append(
            Entry(
                Operation.TRANSFERT,
                export.requested_by,
                "commander",
                motive=export.motive,
                object_type="recording",
                object_id=export.recording,
                recipients=(export.requesting_service, export.requesting_agent),
                result="ok" if done else "error",
                details=details,
            )
        )
        # A later delivery that fails keeps the digest of an earlier whole one: that one was handed over (RET-02).
        values = {
            "state": state,
            "sha256": done.archive if done else export.sha256,
            "progress": 1.0 if done else 0.0,
            "delivered_ns": self._clock.utc_ns(),
        }
        await self._catalogue.exports.update(export.export, values)

    def _parts(self, export: Export, row: Recording) -> Parts:
        plain = partial(self._plain, export.recording)
        selection = select_interval(self._vault.chain(export.recording), export.from_ns, export.to_ns, plain)
        # The clock may have been put back since: then the documents are of the moment of the recording's end.
        now_ns = max(self._clock.utc_ns(), selection.latest_ns)
        statement = sign_statement(
            self._keyring.signer,
            recording=export.recording,
            head=selection.head,
            from_ns=export.from_ns,
            to_ns=export.to_ns,
            first=selection.first,
            last=selection.last,
            issued_ns=now_ns,
        )
        keys = self._keyring
        signer = keys.signer

        def sign_list(files: Sequence[ListedFile]) -> bytes:
            issued_ns = max(self._clock.utc_ns(), selection.latest_ns)
            return sign_extraction(signer, recording=export.recording, head=selection.head, files=files, issued_ns=issued_ns)

        return Parts(
            export.recording,
            selection,
            statement,
            keys.public_key,
            keys.successions(),
            sign_revocations(keys.signer, head=selection.head, issued_ns=now_ns, revoked=self._revoked),
            self._verifier,
            self._derive,
            sign_list,
            facts=_facts(export, row, now_ns),
        )

    def _plain(self, recording: str, link: Link) -> bytes:
        key = self._keyring.recording_key(recording)
        return self._vault.read_plain(recording, key, link.fragment, link.segment, link.offset, link.stored_length)

    def _progress_of(self, export: str) -> Any:
        def note(share: float) -> None:
            self._progress[export] = share

        return note

    async def _require(self, person: Person, row: Recording, motive: str) -> None:
        its = await self._catalogue_in_time.interventions.get(row.intervention)
        facts = stored_facts(row, its, motive)
        await self._authorizer.require(person, Action.EXPORT_RECORDING, facts, object_type="recording", object_id=row.recording)

    async def _enter(self, person: Person, export: Export, event: str, **more: int) -> int:
        return await self._journal.append(
            Entry(
                Operation.COMMUNICATION,
                person.user,
                person.role.value,
                motive=export.motive,
                object_type="recording",
                object_id=export.recording,
                recipients=(export.requesting_service, export.requesting_agent),
                details={
                    "event": event,
                    "export": export.export,
                    "from": rfc3339(export.from_ns),
                    "to": rfc3339(export.to_ns),
                    "legal_basis": export.legal_basis,
                    "procedure_no": export.procedure_no,
                    **more,
                },
            ),
            deadline=self._deadline,
        )


class _Sink(io.RawIOBase):
    """The file into which the zip's thread writes: it puts chunks into a bounded queue until the receiver is gone."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._held = bytearray()
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_CHUNKS)
        self.abandoned = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        while len(self._held) >= CHUNK:
            self._push(bytes(self._held[:CHUNK]))
            del self._held[:CHUNK]
        return len(data)

    def finish(self) -> None:
        """Put the rest into the queue, then the end mark."""
        if self._held:
            self._push(bytes(self._held))
        self._push(None)

    def _push(self, chunk: bytes | None) -> None:
        if self.abandoned:
            raise OurError("the receiver is gone")
        asyncio.run_coroutine_threadsafe(self.queue.put(chunk), self._loop).result()

    def drain(self) -> None:
        """Empty the queue, so that a thread waiting in `_push` continues and sees that the receiver is gone."""
        while not self.queue.empty():
            self.queue.get_nowait()


def _run(archive: ExportZip, sink: _Sink) -> None:
    try:
        archive.write()
    except BaseException:
        if not sink.abandoned:
            asyncio.run_coroutine_threadsafe(sink.queue.put(None), sink._loop).result()
        raise
    sink.finish()


def _clean(wanted: ExportRequest, regime: str) -> ExportRequest:
    if wanted.from_ns >= wanted.to_ns:
        raise TheirError(Kind.INVALID, "the interval ends before it begins", code=Code.INTERVAL_INVALID)
    return ExportRequest(
        wanted.from_ns,
        wanted.to_ns,
        check_motive(wanted.motive),
        check_legal_basis(wanted.legal_basis, regime).value,
        clean_text(wanted.requesting_agent, "requesting_agent", max_bytes=SHORT_BYTES),
        clean_text(wanted.requesting_service, "requesting_service", max_bytes=SHORT_BYTES),
        clean_text(wanted.procedure_no, "procedure_no", max_bytes=SHORT_BYTES),
    )


def _facts(export: Export, row: Recording, now_ns: int) -> dict[str, Any]:
    """Return the facts of the extraction for its manifest (R241-2)."""
    return {
        "export": export.export,
        "recording": row.recording,
        "camera": row.camera,
        "camera_label": row.camera_label,
        "bearer": row.bearer,
        "regime": row.regime,
        "service": row.service,
        "commune": row.commune,
        "intervention": row.intervention,
        "trigger": row.trigger,
        "threat": row.threat,
        "started": rfc3339(row.started_ns),
        "from": rfc3339(export.from_ns),
        "to": rfc3339(export.to_ns),
        "motive": export.motive,
        "legal_basis": export.legal_basis,
        "requesting_agent": export.requesting_agent,
        "requesting_service": export.requesting_service,
        "procedure_no": export.procedure_no,
        "exported_by": export.requested_by,
        "exported_at": rfc3339(now_ns),
    }
