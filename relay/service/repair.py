"""`relay check --repair`: mends what `relay.service.check` calls safe, each repair an entry in the journal.

What this file owns: how each kind is mended.  What it must never know: what is safe (that is the check's word), HTTP.

Nothing here writes or cuts media.  Rows are made from signed records; an erasure is only finished where the journal says that
it was begun and the term is over; everything else that is wrong stays, named.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from relay.base.clock import Clock
from relay.base.counters import Counters, declare
from relay.base.errors import OurError, RelayError
from relay.evidence.chain import Record, iterate
from relay.policy.roles import Action, Person
from relay.service.chain_facts import end_in, gaps_in, segments_in
from relay.service.check import Check, Disagreement, Progress
from relay.service.guard import Guard
from relay.service.keeping import Keeping
from relay.service.recordings import Recordings
from relay.store.catalogue import Catalogue
from relay.store.journal import Entry, Journal, Operation
from relay.store.vault import Vault

_log = logging.getLogger(__name__)

declare(
    repairs="disagreements mended by `relay check --repair`", repairs_failed="repairs that the disk or the database refused"
)


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was mended, and what a check found afterwards."""

    mended: tuple[Disagreement, ...]
    left: tuple[Disagreement, ...]


class Repair:
    """Mends, one thing after the other."""

    def __init__(
        self,
        check: Check,
        catalogue: Catalogue,
        journal: Journal,
        vault: Vault,
        recordings: Recordings,
        keeping: Keeping,
        clock: Clock,
        counters: Counters,
    ) -> None:
        self._check = check
        self._catalogue = catalogue
        self._journal = journal
        self._vault = vault
        self._recordings = recordings
        self._keeping = keeping
        self._clock = clock
        self._counters = counters
        self._guard = Guard(journal, clock)
        self._one = asyncio.Lock()
        self._mends: dict[str, Callable[[str], Awaitable[None]]] = {
            "segment_without_row": self._segments,
            "gap_without_row": self._gaps,
            "open_but_closed": self._close,
            "open_without_folder": self._abandon,
            "erased_but_there": self._keeping.finish,
            "erased_but_readable": self._keeping.finish,
            "erasure_unfinished": self._keeping.finish,
            "view_left_open": self._close_view,
        }

    async def run(self, person: Person, progress: Progress | None = None) -> Repaired:
        """Check, mend what is safe, check again.  Raises TheirError(FORBIDDEN), OurError (nothing can be entered or read)."""
        await self._guard.require(person, Action.MAINTAIN, object_type="check")
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
                    _log.exception("a repair failed", extra={"kind": found.kind, "object_id": found.object_id})
                    self._counters.count("repairs_failed")
                    continue
                self._counters.count("repairs")
                mended.append(found)
            return Repaired(tuple(mended), tuple(await self._check.run(progress)))

    async def _enter(self, person: Person, found: Disagreement) -> None:
        """The entry stands before the repair, as everywhere."""
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

    async def _chain(self, recording: str) -> list[Record]:
        return await asyncio.to_thread(lambda: list(iterate(b"".join(self._vault.chain(recording)))))

    async def _segments(self, recording: str) -> None:
        on_disk = set(await asyncio.to_thread(self._vault.segments, recording))
        for number, row in segments_in(recording, await self._chain(recording)).items():
            if number in on_disk:
                await self._catalogue.add_segment(row)

    async def _gaps(self, recording: str) -> None:
        for gap in gaps_in(await self._chain(recording)).values():
            await self._catalogue.add_gap(recording, gap.start_ns, gap.length_ns, gap.cause.value)

    async def _close(self, recording: str) -> None:
        records = await self._chain(recording)
        end = end_in(recording, records)
        if end is None:
            raise OurError("the chain has no end any more")
        await self._segments(recording)
        await self._gaps(recording)
        await self._recordings.closed(end)

    async def _abandon(self, recording: str) -> None:
        await self._recordings.abandoned(recording, "nothing of it is in the vault")

    async def _close_view(self, view: str) -> None:
        for row in await self._catalogue.open_views():
            if row.view == view:
                await self._catalogue.close_view(view, self._clock.utc_ns(), "left open", row.opened_ns, row.leased_ns)
