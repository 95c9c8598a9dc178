"""Holds: a recording kept past its term for a procedure, reviewed every month, lifted when the procedure is over (RET-02).

Owns: when a hold may be opened, its review and its end.  Must never know: HTTP, how anything is erased (`retention`).
R241-4 and R241-13 al. 3 allow a longer term only for recordings that were extracted *and transmitted* for a procedure within
the month: a hold names a procedure under which an extraction of the recording was handed over.  A hold without an end would be
over-retention, so each hold has a day of review, on which somebody must confirm that it is still needed.

API: `await open(person, recording, HoldRequest(...))`, `await review(person, hold, motive)`, `await lift(person, hold, motive)`
return a `HeldRecording`; `await of_recording(person, recording) -> HoldsOfRecording`, `await list_open(person)`.
The order of `open`: entry in the journal, the key under a later day, the row.  So the key's day shows a hold even where a
restored catalogue has no row of it any more (`is_lost`), and a crash in between keeps the recording.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from relay.base.clock import Clock, ConservativeClock, paris_day
from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.base.ids import new_id
from relay.people.authorize import Authorizer
from relay.policy.access import Facts, decide
from relay.policy.motives import check_motive
from relay.policy.retention import add_months, is_due
from relay.policy.roles import Action, Person
from relay.policy.texts import SHORT_BYTES, clean_text
from relay.runtime.deadlines import NO_DEADLINE, Deadline, take_within, wait_within
from relay.runtime.tasks import spawn
from relay.store.catalogue import Catalogue, Hold, Recording
from relay.store.journal import Entry, Journal, Operation
from relay.store.keyring import Keyring

PROCEDURES = ("judiciaire", "administrative", "disciplinaire")
"""The three kinds of procedure in R241-4 and R241-13 al. 3 (RET-02)."""
REVIEW_MONTHS = 1
HELD_DAY_MONTHS = 12
"""A held recording's key is wrapped again under a day this many months away."""
MAX_OPEN = 16
"""Open holds on one recording."""
MAX_LISTED = 500


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """The fields of a new hold (RET-02): the procedure, the authority in charge of it, and who requested the hold."""

    procedure_type: str
    procedure_no: str
    authority: str
    requested_by: str


@dataclass(frozen=True, slots=True)
class HeldRecording:
    """A hold with the recording it keeps; `overdue`: its day of review is over."""

    hold: Hold
    recording: Recording
    overdue: bool


@dataclass(frozen=True, slots=True)
class HoldsOfRecording:
    """The holds of one recording, lifted ones too, and the procedures under which an extraction of it was handed over.

    `lost`: the key shows a hold of which a restored catalogue has no row; it may be opened again at any time, for any number.
    """

    holds: tuple[HeldRecording, ...]
    procedures: tuple[str, ...]
    lost: bool


def is_lost(row: Recording, key_day: str | None, known: AbstractSet[str]) -> bool:
    """Return whether a recording's key is under a later day, for a hold of which the catalogue has no row.

    `known`: the recordings that have or had a hold.  A restored backup that is older than the hold leaves this behind.
    """
    return key_day is not None and key_day > row.expires_on and row.recording not in known


class Holds:
    """All holds; `changing` is the sweep's lock: no hold is opened while recordings are being erased."""

    def __init__(
        self,
        catalogue: Catalogue,
        journal: Journal,
        authorizer: Authorizer,
        keyring: Keyring,
        clock: Clock,
        erasing: ConservativeClock,
        changing: asyncio.Lock,
        *,
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """`erasing`: the clock by which recordings are erased: a wall clock stepped ahead must not refuse a hold.

        `deadline`: how long a request waits for the disk.
        """
        self._deadline = deadline
        self._catalogue = catalogue.within(deadline)
        self._catalogue_of_sweep = catalogue
        self._journal = journal
        self._keyring = keyring
        self._clock = clock
        self._erasing = erasing
        self._changing = changing
        self._authorizer = authorizer
        self.open_now = 0
        """Open holds, for metrics, as of the last `refresh`."""
        self.overdue_now = 0

    async def open(self, person: Person, recording: str, wanted: HoldRequest) -> HeldRecording:
        """Keep a recording past its term for a procedure; the hold is opened before the term (RET-02).

        Raises TheirError INCOMPLETE (a field), CONFLICT (too late, erased, not handed over for this procedure, held for it
        already), FORBIDDEN, NOT_FOUND; each refusal is entered.
        """
        async with self._alone() as carry_out:
            row = await self._catalogue.recordings.get(recording)
            await self._require(person, Action.HOLD_RECORDING, row)
            try:
                clean = _clean(wanted)
                await self._check_may_open(row, clean)
            except TheirError as error:
                raise await self._refused(person, error, recording) from None
            now_ns = self._clock.utc_ns()
            made = Hold(
                new_id(now_ns), recording, clean.procedure_type, clean.procedure_no, clean.authority, clean.requested_by,
                person.user, now_ns, self._review_day(),
            )  # fmt: skip
            await self._enter(person, made, "hold opened", f"{made.procedure_type} {made.procedure_no}")
            await carry_out(self._keep(made, later_day(paris_day(now_ns))))
            return self._held(made, row)

    async def _keep(self, made: Hold, day: str) -> None:
        await asyncio.to_thread(self._keyring.rewrap, made.recording, day)
        await self._catalogue_of_sweep.holds.add(made)
        await self.refresh()

    async def of_recording(self, person: Person, recording: str) -> HoldsOfRecording:
        """Return the holds of a recording, latest first.  Raises TheirError FORBIDDEN, NOT_FOUND."""
        row = await self._catalogue.recordings.get(recording)
        await self._require(person, Action.LIST_HOLDS, row)
        found = await self._catalogue.holds.of_recording(recording)
        procedures = await self._catalogue.exports.handed_over(recording)
        lost = await self._is_lost(row, found)
        return HoldsOfRecording(tuple(self._held(hold, row) for hold in found), tuple(procedures), lost)

    async def list_open(self, person: Person) -> list[HeldRecording]:
        """Return the open holds in the person's scope, the next review first, at most 500.  Raises TheirError(FORBIDDEN)."""
        await self._authorizer.require(person, Action.LIST_HOLDS)
        now_ns = self._clock.utc_ns()
        rows = await self._catalogue.holds.list_open(MAX_LISTED)
        return [
            self._held(hold, row) for hold, row in rows if decide(person, Action.LIST_HOLDS, Facts().of(row), now_ns).allowed
        ]

    async def review(self, person: Person, hold: str, motive: str | None) -> HeldRecording:
        """Confirm that a hold is still needed: its next review is a month from today.  Raises as `lift` does."""
        async with self._alone() as carry_out:
            found, row, reason = await self._open_one(person, hold, motive)
            changed = replace(found, review_on=self._review_day())
            await self._enter(person, changed, "hold reviewed", reason)
            await carry_out(self._keep_on(hold, changed.review_on))
            return self._held(changed, row)

    async def _keep_on(self, hold: str, review_on: str) -> None:
        await self._catalogue_of_sweep.holds.set_review(hold, review_on)
        await self.refresh()

    async def lift(self, person: Person, hold: str, motive: str | None) -> HeldRecording:
        """Lift a hold; the next sweep erases a recording that is past its term (RET-02: within 24 h).

        Raises TheirError INCOMPLETE (no motive), CONFLICT (lifted already), FORBIDDEN, NOT_FOUND; each refusal is entered.
        """
        async with self._alone() as carry_out:
            found, row, reason = await self._open_one(person, hold, motive)
            changed = replace(found, released_by=person.user, released_ns=self._clock.utc_ns())
            await self._enter(person, changed, "hold lifted", reason)
            await carry_out(self._release(hold, person.user, row))
            return self._held(changed, row)

    async def _release(self, hold: str, user: str, row: Recording) -> None:
        await self._catalogue_of_sweep.holds.release(hold, user, self._clock.utc_ns())
        await self._back_to_its_day(row)
        await self.refresh()

    async def refresh(self) -> None:
        """Count open holds and overdue reviews for metrics."""
        days = await self._catalogue_of_sweep.holds.review_days()
        self.open_now, self.overdue_now = len(days), sum(map(self._is_overdue, days))

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Callable[[Coroutine[Any, Any, None]], Awaitable[None]]]:
        """Hold the sweep's lock.  Raises OurError once the deadline has passed without getting it.

        `carry_out(work)` is for what follows a durable entry: it raises OurError at the deadline, the work goes to its end all
        the same, and the lock is free only then.
        """
        await take_within(self._changing, self._deadline)
        under_way: list[asyncio.Task[None]] = []

        async def carry_out(work: Coroutine[Any, Any, None]) -> None:
            under_way.append(spawn(work))
            await wait_within(under_way[0], self._deadline)

        try:
            yield carry_out
        finally:
            if under_way and not under_way[0].done():
                under_way[0].add_done_callback(lambda _: self._changing.release())
            else:
                self._changing.release()

    async def _open_one(self, person: Person, hold: str, motive: str | None) -> tuple[Hold, Recording, str]:
        found = await self._catalogue.holds.get(hold)
        row = await self._catalogue.recordings.get(found.recording)
        await self._require(person, Action.HOLD_RECORDING, row)
        try:
            if found.released_ns is not None:
                raise TheirError(
                    Kind.CONFLICT, "this hold is lifted already (RET-02)", code=Code.HOLD_LIFTED, facts={"rule": "RET-02"}
                )
            return found, row, check_motive(motive)
        except TheirError as error:
            raise await self._refused(person, error, found.recording) from None

    async def _check_may_open(self, row: Recording, wanted: HoldRequest) -> None:
        known = await self._catalogue.holds.of_recording(row.recording)
        still = [hold for hold in known if hold.released_ns is None]
        if row.state == "erased":
            raise TheirError(
                Kind.CONFLICT,
                "this recording was erased at its term (RET-01)",
                code=Code.RECORDING_ERASED,
                facts={"rule": "RET-01"},
            )
        if any(hold.procedure_no == wanted.procedure_no for hold in still) or len(still) >= MAX_OPEN:
            raise TheirError(
                Kind.CONFLICT,
                "this recording is held for this procedure already, or for too many (RET-02)",
                code=Code.HOLD_EXISTS,
                facts={"rule": "RET-02"},
            )
        if await self._is_lost(row, known):
            return  # the key shows a hold opened in time: the restored catalogue lacks its row, and perhaps the extraction's
        if is_due(date.fromisoformat(row.expires_on), self._erasing.utc_ns()):
            raise TheirError(
                Kind.CONFLICT, "a hold is opened before the term (RET-02)", code=Code.HOLD_AFTER_TERM, facts={"rule": "RET-02"}
            )
        if wanted.procedure_no not in await self._catalogue.exports.handed_over(row.recording):
            raise TheirError(
                Kind.CONFLICT,
                "extract it for this procedure and hand it over first (RET-02)",
                code=Code.HANDOVER_REQUIRED,
                facts={"rule": "RET-02"},
            )

    async def _is_lost(self, row: Recording, known: Sequence[Hold]) -> bool:
        key_day = await wait_within(asyncio.to_thread(self._keyring.expires_on, row.recording), self._deadline)
        return is_lost(row, key_day, {hold.recording for hold in known})

    async def _back_to_its_day(self, row: Recording) -> None:
        """Wrap the key under its own day again, if the last hold was lifted before the term."""
        before = not is_due(date.fromisoformat(row.expires_on), self._erasing.utc_ns())
        if before and row.recording not in await self._catalogue_of_sweep.holds.held():
            await asyncio.to_thread(self._keyring.rewrap, row.recording, row.expires_on)

    async def _require(self, person: Person, action: Action, row: Recording) -> None:
        await self._authorizer.require(person, action, Facts().of(row), object_type="recording", object_id=row.recording)

    async def _refused(self, person: Person, error: TheirError, recording: str) -> TheirError:
        return await self._authorizer.refused(
            person, Action.HOLD_RECORDING, error, object_type="recording", object_id=recording
        )

    def _review_day(self) -> str:
        return add_months(paris_day(self._clock.utc_ns()), REVIEW_MONTHS).isoformat()

    def _is_overdue(self, review_on: str) -> bool:
        return date.fromisoformat(review_on) < paris_day(self._clock.utc_ns())

    def _held(self, hold: Hold, row: Recording) -> HeldRecording:
        return HeldRecording(hold, row, hold.released_ns is None and self._is_overdue(hold.review_on))

    async def _enter(self, person: Person, hold: Hold, event: str, motive: str) -> None:
        await self._journal.append(
            Entry(
                Operation.MODIFICATION,
                person.user,
                person.role.value,
                motive=motive,
                object_type="recording",
                object_id=hold.recording,
                recipients=(hold.authority,),
                details={
                    "event": event,
                    "hold": hold.hold,
                    "procedure_type": hold.procedure_type,
                    "procedure_no": hold.procedure_no,
                    "requested_by": hold.requested_by,
                    "review_on": hold.review_on,
                },
            ),
            deadline=self._deadline,
        )


def later_day(today: date) -> str:
    """Return the day (ISO) under which a held recording's key is wrapped."""
    return add_months(today, HELD_DAY_MONTHS).isoformat()


def _clean(wanted: HoldRequest) -> HoldRequest:
    if wanted.procedure_type not in PROCEDURES:
        raise TheirError(
            Kind.INCOMPLETE,
            f"procedure_type must be one of {', '.join(PROCEDURES)} (RET-02)",
            code=Code.PROCEDURE_TYPE_INVALID,
            facts={"rule": "RET-02"},
        )
    return HoldRequest(
        wanted.procedure_type,
        clean_text(wanted.procedure_no, "procedure_no", max_bytes=SHORT_BYTES),
        clean_text(wanted.authority, "authority", max_bytes=SHORT_BYTES),
        clean_text(wanted.requested_by, "requested_by", max_bytes=SHORT_BYTES),
    )
