"""The end of a recording's life: erasure at its term, also of what a killed process left half-erased.

Owns: the order of I5: journal entry → key destroyed → unlink → tombstone; the sweep at start and at least daily (RET-01).
Must never know: HTTP, packets.

API: `await sweep() -> SweepResult` (at start and then every hour by `await run()`), `holds` (what the sweep keeps),
`status() -> RetentionStatus` for metrics (LAW.md T23: late erasures, oldest age).
Every step is idempotent: the sweep after a `kill -9` at any instant finishes an erasure that was begun.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date

from relay.archive.holds import Holds, is_lost, later_day
from relay.base.clock import SECOND_NS, Clock, ConservativeClock, paris_day
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, RelayError, TheirError
from relay.people.authorize import Authorizer
from relay.policy.retention import JOURNAL_YEARS, add_months, due_ns, is_due, lateness_seconds
from relay.runtime.deadlines import NO_DEADLINE, Deadline
from relay.store.catalogue import Catalogue, Recording
from relay.store.journal import Entry, Journal, Operation
from relay.store.keyring import Keyring
from relay.store.vault import Vault

SWEEP_SECONDS = 3600.0

logger = logging.getLogger(__name__)

declare(
    erasures="recordings erased at their term",
    erasures_late="recordings erased after the end of their expiry day (RET-01)",
    erasures_failed="erasures that failed and will be tried again",
    sweeps_failed="retention sweeps that failed as a whole; the next one, an hour later, tries again",
    erasures_clock_doubted="sweeps that doubted the wall clock, because it had been stepped ahead within a day",
    journal_purged="journal entries whose body was deleted after three years (JRN-03)",
)


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The result of one sweep: the recordings erased, and how many were late, held or failed."""

    erased: tuple[str, ...]
    late: int
    held: int
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RetentionStatus:
    """For metrics and the page: when the last sweep ended, and how many erasures it could not do."""

    swept_ns: int | None
    failed: int
    late_total: int
    holds_lost: int = 0
    """Recordings past their term that are kept because their key shows a hold without a row."""


class Retention:
    """Erases recordings, keys and journal bodies at their terms."""

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
        end_views: Callable[[str, str], Awaitable[None]],
        close_open: Callable[[str], Awaitable[None]] | None = None,
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """`end_views(recording, reason)` ends playbacks; `close_open(recording)` has a recorder close one still open.

        `authorizer` and `deadline` are for the requests about holds; the sweep itself waits as long as it takes.
        """
        self._catalogue = catalogue
        self._journal = journal
        self._vault = vault
        self._keyring = keyring
        self._clock = clock
        self._conservative = ConservativeClock(clock)
        self._counters = counters
        self._end_views = end_views
        self._close_open = close_open
        self._sweeping = asyncio.Lock()
        self.holds = Holds(
            catalogue, journal, authorizer, keyring, clock, self._conservative, self._sweeping, deadline=deadline
        )
        self._status = RetentionStatus(None, 0, 0)
        self._complete_at = clock.monotonic()

    def believed_ns(self) -> int:
        """Return the UTC (ns) by which terms are judged: never ahead of the wall clock, nor carried ahead by a step of it."""
        return self._conservative.utc_ns()

    def status(self) -> RetentionStatus:
        """Return the state after the last sweep."""
        return self._status

    async def run(self) -> None:
        """Sweep now and every hour until cancelled; a failing sweep is logged and tried again."""
        while True:
            try:
                await self.sweep()
            except Exception:  # any failure: the next sweep must still run, or recordings are kept longer than the law allows
                self._counters.count("sweeps_failed")
                logger.exception("retention sweep failed")
            await asyncio.sleep(SWEEP_SECONDS)

    def seconds_since_complete(self) -> float:
        """Return the seconds since the last sweep in which nothing failed, or since the start."""
        return self._clock.monotonic() - self._complete_at

    async def sweep(self) -> SweepResult:
        """Erase every recording whose Paris expiry day has begun and that is not held; destroy due day keys (RET-01).

        Also purge journal entries older than three years (JRN-03).  Raises OurError when the journal cannot be written.
        """
        async with self._sweeping:
            now_ns = self._term_ns()
            today = paris_day(now_ns)
            held, lifted = await self._catalogue.holds.held(), await self._catalogue.holds.lifted()
            due = await self._catalogue.recordings.expiring(today.isoformat())
            lost = await self._lost(due, held | lifted.keys())
            erased: list[str] = []
            failed: list[str] = []
            late = 0
            for row in due:
                if row.recording in held | lost:
                    continue
                try:
                    if is_due(date.fromisoformat(row.expires_on), now_ns):
                        late += await self._erase(row, now_ns, lifted.get(row.recording))
                        erased.append(row.recording)
                except (RelayError, OSError, ValueError):  # the other recordings are erased all the same
                    logger.exception("erasure failed")
                    self._counters.count("erasures_failed")
                    failed.append(row.recording)
            await self._close_days(today, held | lost, failed)
            await self._purge_journal(now_ns)
            await self.holds.refresh()
            if not failed:
                self._complete_at = self._clock.monotonic()
            self._status = RetentionStatus(now_ns, len(failed), self._status.late_total + late, len(lost))
            return SweepResult(tuple(erased), late, len(held), tuple(failed))

    async def _lost(self, rows: Sequence[Recording], known: AbstractSet[str]) -> set[str]:
        """Return the due recordings whose hold a restored catalogue lacks: they are kept, because erasure cannot be undone."""
        keys = await asyncio.to_thread(self._keyring.recordings)
        lost = {row.recording for row in rows if is_lost(row, keys.get(row.recording), known)}
        if lost:
            logger.error("%d recordings past their term are kept for holds that the catalogue does not know", len(lost))
        return lost

    def _term_ns(self) -> int:
        """Return the UTC (ns) of this sweep: a wall clock that jumps ahead must erase nothing early."""
        now_ns = self._conservative.utc_ns()
        if self._conservative.ahead_ns:
            self._counters.count("erasures_clock_doubted")
            seconds = self._conservative.ahead_ns // SECOND_NS
            logger.error("the wall clock was stepped %d s ahead; it is doubted for a day, and nothing is erased by it", seconds)
        return now_ns

    async def _erase(self, row: Recording, now_ns: int, lifted_ns: int | None) -> int:
        """Erase a recording in the order of I5; return 1 when it was late, else 0.

        Raises OSError, OurError; every step may be repeated.
        """
        if row.state == "open" and self._close_open is not None:
            await self._close_open(row.recording)
        await self._end_views(row.recording, "erased")
        expires_on = date.fromisoformat(row.expires_on)
        held_past = lifted_ns is not None and is_due(expires_on, lifted_ns)
        late_seconds = lateness_seconds(expires_on, now_ns, lifted_ns)
        heads, last_entry = await self._catalogue.heads.counted(row.recording)
        await self._journal.append(
            Entry(
                Operation.EFFACEMENT,
                "relay",
                "system",
                motive="terme",
                object_type="recording",
                object_id=row.recording,
                details={
                    "cause": "hold lifted" if held_past else "term",
                    "automatic": True,
                    "expires_on": row.expires_on,
                    "late_seconds": late_seconds,
                    "head": row.head.hex() if row.head else None,
                    "heads": heads,
                },
            )
        )
        await asyncio.to_thread(self._keyring.destroy_recording, row.recording)
        await asyncio.to_thread(self._vault.erase, row.recording)
        await self._catalogue.heads.erase(row.recording, last_entry)
        # The tombstone names no person: the bearer is data of the recording (R241-2 3°) and is erased with it.
        gone = {"bearer": None, "trigger": ""}
        values = {"state": "erased", "erased_ns": self._clock.utc_ns(), "late_seconds": late_seconds, **gone}
        await self._catalogue.recordings.update(row.recording, values)
        self._counters.count("erasures")
        if late_seconds:
            self._counters.count("erasures_late")
        return int(late_seconds > 0)

    async def finish_erasure(self, recording: str) -> None:
        """Finish an erasure that was entered in the journal and stopped half-way (I5); a tombstone is not changed.

        Raises TheirError(CONFLICT) under a hold or before the term, OSError, OurError; every step may be repeated.
        """
        async with self._sweeping:
            row = await self._catalogue.recordings.get(recording)
            now_ns = self.believed_ns()
            if recording in await self._catalogue.holds.held() or not is_due(date.fromisoformat(row.expires_on), now_ns):
                raise TheirError(Kind.CONFLICT, "held, or not due", code=Code.NOT_ERASABLE)
            if row.state != "erased":
                await self._erase(row, now_ns, (await self._catalogue.holds.lifted()).get(recording))
                return
            await self._end_views(recording, "erased")
            await asyncio.to_thread(self._keyring.destroy_recording, recording)
            await asyncio.to_thread(self._vault.erase, recording)

    async def _close_days(self, today: date, held: set[str], failed: list[str]) -> None:
        """Destroy the keys of days that have begun; first wrap the keys of held recordings under a later day (I5)."""
        wrapped = await asyncio.to_thread(self._keyring.recordings)
        for day in await asyncio.to_thread(self._keyring.days):
            if date.fromisoformat(day) <= today:
                mine = [recording for recording, its in wrapped.items() if its == day]
                try:
                    await self._close_day(day, mine, held, later_day(today))
                except (RelayError, OSError):
                    logger.exception("a day's keys could not be closed")
                    failed.append(day)

    async def _close_day(self, day: str, mine: list[str], held: set[str], later: str) -> None:
        for recording in mine:
            if recording in held:
                await asyncio.to_thread(self._keyring.rewrap, recording, later)
        gone = [recording in held or await self._erased(recording) for recording in mine]
        if all(gone):
            await asyncio.to_thread(self._keyring.destroy_day, day)

    async def _erased(self, recording: str) -> bool:
        """Return whether a due key may be destroyed: its recording is erased, or never got a row (its begin never finished)."""
        try:
            return (await self._catalogue.recordings.get(recording)).state == "erased"
        except TheirError:
            return True

    async def _purge_journal(self, now_ns: int) -> None:
        # Whole Paris days, three calendar years back: the same arithmetic as `retention.journal_purge_ns`, inverted.
        before_ns = due_ns(add_months(paris_day(now_ns), -12 * JOURNAL_YEARS))
        purged = await self._journal.purge(before_ns)
        if purged:
            self._counters.count("journal_purged", purged)
