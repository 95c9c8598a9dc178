"""`relay check --repair`: mends the disagreements that `relay.archive.check` calls safe, each after a journal entry.

Owns: how each kind is mended.  Must never know: which kinds are safe (the check decides), HTTP.

Media is never written or cut.  Rows are made from signed records.  An erasure is finished only where its entry is in the
journal and the term is over.  All other disagreements are left as they are, named.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from relay.archive.chain_facts import ChainFacts
from relay.archive.check import Check, Disagreement, Progress
from relay.archive.orphans import read_orphan
from relay.archive.recordings import Recordings
from relay.archive.retention import Retention
from relay.base.clock import Clock
from relay.base.counters import Counters, declare
from relay.base.errors import OurError, RelayError, TheirError
from relay.channel.messages import RecordingClosed
from relay.evidence.chain import Gap, Start, stream
from relay.people.authorize import Authorizer
from relay.policy.roles import Action, Person
from relay.runtime.deadlines import NO_DEADLINE
from relay.store.accounts import FindCamera
from relay.store.catalogue import Catalogue, Intervention, Segment
from relay.store.journal import Entry, Journal, Operation
from relay.store.keyring import Keyring
from relay.store.vault import Vault

logger = logging.getLogger(__name__)

declare(
    repairs="disagreements mended by `relay check --repair`", repairs_failed="repairs that the disk or the database refused"
)


@dataclass(frozen=True, slots=True)
class RepairResult:
    """The disagreements that were mended, and those that the check found afterwards."""

    mended: tuple[Disagreement, ...]
    left: tuple[Disagreement, ...]


class Repair:
    """Mends disagreements one after the other, without a deadline."""

    def __init__(
        self,
        check: Check,
        catalogue: Catalogue,
        journal: Journal,
        authorizer: Authorizer,
        vault: Vault,
        keyring: Keyring,
        find_camera: FindCamera,
        recordings: Recordings,
        retention: Retention,
        clock: Clock,
        counters: Counters,
    ) -> None:
        self._check = check
        self._catalogue = catalogue
        self._journal = journal
        self._vault = vault
        self._keyring = keyring
        self._find_camera = find_camera
        self._recordings = recordings
        self._retention = retention
        self._clock = clock
        self._counters = counters
        self._authorizer = authorizer.within(NO_DEADLINE)  # a repair compares everything: its caller waits
        self._one = asyncio.Lock()
        self._mends: dict[str, Callable[[str], Awaitable[None]]] = {
            "segment_without_row": self._mend_rows,
            "gap_without_row": self._mend_rows,
            "folder_without_row": self._mend_orphan,
            "open_but_closed": self._mend_open,
            "open_without_folder": self._mend_abandoned,
            "erased_but_there": self._retention.finish_erasure,
            "erased_but_readable": self._retention.finish_erasure,
            "erasure_unfinished": self._retention.finish_erasure,
            "view_left_open": self._mend_view,
        }

    async def run(self, person: Person, progress: Progress | None = None) -> RepairResult:
        """Check, mend the safe disagreements, check again.

        Raises TheirError(FORBIDDEN), OurError (nothing can be entered or read).
        """
        await self._authorizer.require(person, Action.MAINTAIN, object_type="check")
        async with self._one:
            mended: list[Disagreement] = []
            for found in await self._check.run(progress):
                mend = self._mends.get(found.kind)
                if not found.safe or mend is None:
                    continue
                await self._enter(person, found)
                try:
                    await mend(found.object_id)
                except (RelayError, OSError):
                    logger.exception("a repair failed", extra={"kind": found.kind, "object_id": found.object_id})
                    self._counters.count("repairs_failed")
                    continue
                self._counters.count("repairs")
                mended.append(found)
            return RepairResult(tuple(mended), tuple(await self._check.run(progress)))

    async def _enter(self, person: Person, found: Disagreement) -> None:
        """Enter a repair before it is done."""
        kind = "view" if found.kind.startswith("view") else "recording"
        details: dict[str, str | int | bool | None] = {"event": "repaired", "kind": found.kind, "detail": found.detail}
        await self._journal.append(
            Entry(
                Operation.MODIFICATION,
                person.user,
                person.role.value,
                motive="relay check --repair",
                object_type=kind,
                object_id=found.object_id,
                details=details,
            )
        )

    async def _restore_rows(self, recording: str) -> RecordingClosed | None:
        """Add the rows of the segments and gaps in the chain; return how the recording ended."""
        segments: list[Segment] = []
        gaps: list[Gap] = []
        facts = ChainFacts(recording, segments.append, gaps.append)
        end = await asyncio.to_thread(lambda: facts.read(stream(self._vault.chain(recording))))
        await self._add_rows(recording, segments, gaps)
        return end

    async def _add_rows(self, recording: str, segments: Iterable[Segment], gaps: Iterable[Gap]) -> None:
        on_disk = set(await asyncio.to_thread(self._vault.segments, recording))
        for row in segments:
            if row.segment in on_disk:
                await self._catalogue.recordings.add_segment(row)
        seen: set[int] = set()
        for gap in gaps:
            if gap.start_ns not in seen:  # several tracks with a gap at one time have one row
                seen.add(gap.start_ns)
                await self._catalogue.recordings.add_gap(recording, gap.start_ns, gap.length_ns, gap.cause.value)

    async def _mend_rows(self, recording: str) -> None:
        await self._restore_rows(recording)

    async def _mend_open(self, recording: str) -> None:
        end = await self._restore_rows(recording)
        if end is None:
            raise OurError("the chain has no end any more")
        await self._recordings.closed(end)

    async def _mend_orphan(self, recording: str) -> None:
        """Make the rows of an orphan again; if its intervention is missing too, add a closed one named by its id."""
        found = await asyncio.to_thread(read_orphan, self._vault, self._keyring, recording)
        await self._restore_intervention(found.start)
        camera = await self._find_camera(found.start.camera)
        # The commune is not sealed: take that of the camera today.  Without one, only people competent everywhere see it.
        await self._catalogue.recordings.add(found.row(camera.commune if camera is not None else ""))
        await self._add_rows(recording, found.segments, found.gaps)
        await self._recordings.closed(found.end)

    async def _restore_intervention(self, start: Start) -> None:
        try:
            await self._catalogue.interventions.get(start.intervention)
        except TheirError:
            now_ns, its = self._clock.utc_ns(), start.intervention
            row = Intervention(its, its, "relay", start.started_ns, "relay", now_ns)
            await self._catalogue.interventions.add(row, None)

    async def _mend_abandoned(self, recording: str) -> None:
        await self._recordings.abandoned(recording, "nothing of it is in the vault")

    async def _mend_view(self, view: str) -> None:
        for row in await self._catalogue.views.list_open():
            if row.view == view:
                await self._catalogue.views.close(view, self._clock.utc_ns(), "left open", row.opened_ns, row.leased_ns)
