"""What exists: interventions, recordings with their segments and gaps, views, holds, exports.

Owns: the rows of those tables, one class a table.  Must never know: pictures, keys, who may see a row, when it may appear (I1).
Every method is one transaction.  Times are UTC nanoseconds.  `Catalogue.within(deadline)` is the same catalogue for a request:
each of its methods raises OurError once the deadline has passed.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.runtime.deadlines import NO_DEADLINE, Deadline
from relay.store.catalogue_table import CatalogueTable
from relay.store.database import Database
from relay.store.heads import HeadTable
from relay.store.tables import exports, gaps, holds, interventions, participants, recordings, segments, views


@dataclass(frozen=True, slots=True)
class Intervention:
    """An intervention; `closed_ns` None while it is open."""

    intervention: str
    label: str
    opened_by: str
    opened_ns: int
    closed_by: str | None = None
    closed_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Participant:
    """A person's own motive for an intervention."""

    intervention: str
    user: str
    motive: str
    joined_ns: int


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording's row; `state` is open, closed or erased (a tombstone: REC-08 fields stay, media and key are gone)."""

    recording: str
    camera: str
    camera_label: str
    regime: str
    service: str
    commune: str
    original: str
    bearer: str | None
    intervention: str
    trigger: str
    threat: str
    previous: str | None
    started_ns: int
    ended_ns: int | None
    expires_on: str
    state: str
    reason: str | None
    recovered: bool
    links: int
    gaps: int
    duration_ns: int
    stored_bytes: int
    head: bytes | None
    erased_ns: int | None
    late_seconds: int | None
    recorder: int | None = None
    """Number of the recorder that it was begun on; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A sealed segment: in the chain before this row (I1)."""

    recording: str
    segment: int
    first_link: int
    last_link: int
    start_ns: int
    end_ns: int
    stored_bytes: int
    head: bytes


@dataclass(frozen=True, slots=True)
class View:
    """One person watching one camera or recording; `leased_ns` is the last moment at which it was known to be watched."""

    view: str
    kind: str
    user: str
    camera: str
    recording: str | None
    intervention: str | None
    motive: str
    opened_ns: int
    leased_ns: int
    first_ns: int | None = None
    last_ns: int | None = None
    closed_ns: int | None = None
    reason: str | None = None
    session: str | None = None
    """Digest of the sign-in behind it: a restarted control ends the view with that sign-in."""
    expires_ns: int | None = None
    """When that sign-in ends (steady UTC ns)."""
    valid_to_ns: int | None = None
    """When the person's designation ends (ACC-01)."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold: a recording kept past its term for a procedure (RET-02)."""

    hold: str
    recording: str
    procedure_type: str
    procedure_no: str
    authority: str
    requested_by: str
    opened_by: str
    opened_ns: int
    review_on: str
    released_by: str | None = None
    released_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """An extraction (REC-09 7°, EXT-01); `state` is ready, delivering, delivered or failed."""

    export: str
    recording: str
    from_ns: int
    to_ns: int
    motive: str
    legal_basis: str
    requesting_agent: str
    requesting_service: str
    procedure_no: str
    requested_by: str
    requested_ns: int
    state: str
    progress: float = 0.0
    detail: str = ""
    sha256: str | None = None
    delivered_ns: int | None = None


@dataclass(frozen=True, slots=True)
class RecordingFilter:
    """Metadata only: REC-10 forbids anything about persons."""

    camera: str | None = None
    intervention: str | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    state: str | None = None
    before: str | None = None
    """Recordings older than this id: the next page."""
    limit: int = 100


class InterventionTable(CatalogueTable):
    """Interventions, and who joined them with which motive."""

    async def add(self, row: Intervention, joined: Participant | None) -> None:
        """Insert an intervention and, where a person opened it, that person's motive."""

        def work(connection: Connection) -> None:
            connection.execute(interventions.insert().values(**asdict(row)))
            if joined is not None:
                connection.execute(participants.insert().values(**asdict(joined)))

        await self._write(work)

    async def join(self, row: Participant) -> None:
        """Insert or replace a person's motive."""
        values = asdict(row)
        statement = upsert(participants).values(**values)
        key = [participants.c.intervention, participants.c.user]
        statement = statement.on_conflict_do_update(index_elements=key, set_=values)
        await self._execute(statement)

    async def close(self, intervention: str, closed_by: str, closed_ns: int) -> bool:
        """Close an open intervention; False when it was closed already."""
        still = (interventions.c.intervention == intervention, interventions.c.closed_ns.is_(None))
        statement = update(interventions).where(*still).values(closed_by=closed_by, closed_ns=closed_ns)
        return bool(await self._execute(statement))

    async def get(self, intervention: str) -> Intervention:
        """Return an intervention; TheirError(NOT_FOUND)."""
        found = await self._one(select(interventions).where(interventions.c.intervention == intervention))
        if found is None:
            raise TheirError(Kind.NOT_FOUND, "no such intervention", code=Code.INTERVENTION_NOT_FOUND)
        return Intervention(*found)

    async def list_open(self) -> list[Intervention]:
        """Return open interventions, newest first."""
        query = select(interventions).where(interventions.c.closed_ns.is_(None)).order_by(interventions.c.opened_ns.desc())
        return [Intervention(*row) for row in await self._all(query)]

    async def unattended(self, before_ns: int) -> list[str]:
        """Return open interventions that a camera opened before `before_ns` (UTC) and no person has joined."""
        joined = select(participants.c.intervention)
        query = select(interventions.c.intervention).where(
            interventions.c.closed_ns.is_(None),
            interventions.c.opened_by.startswith("camera:"),
            interventions.c.opened_ns < before_ns,
            interventions.c.intervention.not_in(joined),
        )
        return [row.intervention for row in await self._all(query)]

    async def participant(self, intervention: str, user: str) -> Participant | None:
        """Return a person's motive for an intervention."""
        where = (participants.c.intervention == intervention, participants.c.user == user)
        found = await self._one(select(participants).where(*where))
        return None if found is None else Participant(*found)

    async def participations(self, user: str) -> dict[str, str]:
        """Return a person's motives by intervention."""
        query = select(participants.c.intervention, participants.c.motive).where(participants.c.user == user)
        return {row.intervention: row.motive for row in await self._all(query)}


def inserting(row: Recording) -> Callable[[Connection, int], None]:
    """Return the work that inserts a recording about to be opened, for the transaction of its journal entry."""
    statement = recordings.insert().values(**asdict(row))

    def work(connection: Connection, _leaf: int) -> None:
        connection.execute(statement)

    return work


class RecordingTable(CatalogueTable):
    """Recordings, their sealed segments and their signed gaps."""

    async def add(self, row: Recording) -> None:
        """Insert a recording about to be opened."""
        await self._execute(recordings.insert().values(**asdict(row)))

    async def update(self, recording: str, values: dict[str, Any]) -> bool:
        """Change columns; False when there is no such row."""
        statement = update(recordings).where(recordings.c.recording == recording).values(**values)
        return bool(await self._execute(statement))

    async def close(self, recording: str, values: dict[str, Any]) -> bool:
        """Change columns of a row at its end; False when there is no such row, or when it is erased: a tombstone stays one."""
        mine = (recordings.c.recording == recording, recordings.c.state != "erased")
        return bool(await self._execute(update(recordings).where(*mine).values(**values)))

    async def add_segment(self, row: Segment) -> None:
        """Insert a sealed segment and add it to its recording's totals; a segment that has its row changes nothing."""
        totals = {"links": row.last_link + 1, "stored_bytes": recordings.c.stored_bytes + row.stored_bytes, "head": row.head}
        mine = (recordings.c.recording == row.recording, recordings.c.state == "open")

        def work(connection: Connection) -> None:
            statement = upsert(segments).values(**asdict(row)).on_conflict_do_nothing()
            if connection.execute(statement).rowcount:
                connection.execute(update(recordings).where(*mine).values(**totals))

        await self._write(work)

    async def add_gap(self, recording: str, start_ns: int, length_ns: int, cause: str) -> None:
        """Insert a signed gap; a gap that has its row changes nothing."""
        values = {"recording": recording, "start_ns": start_ns, "length_ns": length_ns, "cause": cause}
        statement = upsert(gaps).values(**values).on_conflict_do_nothing()
        await self._execute(statement)

    async def get(self, recording: str) -> Recording:
        """Return a recording; TheirError(NOT_FOUND)."""
        found = await self._one(select(recordings).where(recordings.c.recording == recording))
        if found is None:
            raise TheirError(Kind.NOT_FOUND, "no such recording", code=Code.RECORDING_NOT_FOUND)
        return Recording(*found)

    async def find(self, wanted: RecordingFilter) -> list[Recording]:
        """Return recordings, newest first, at most 500."""
        query = select(recordings).where(*_conditions(wanted)).order_by(recordings.c.recording.desc())
        return [Recording(*row) for row in await self._all(query.limit(min(wanted.limit, 500)))]

    async def segments(self, recording: str) -> list[Segment]:
        """Return the sealed segments in order."""
        query = select(segments).where(segments.c.recording == recording).order_by(segments.c.segment)
        return [Segment(*row) for row in await self._all(query)]

    async def gaps(self, recording: str) -> list[tuple[int, int, str]]:
        """Return (start, length, cause) in order."""
        query = select(gaps.c.start_ns, gaps.c.length_ns, gaps.c.cause).where(gaps.c.recording == recording)
        return [(row.start_ns, row.length_ns, row.cause) for row in await self._all(query.order_by(gaps.c.start_ns))]

    async def expiring(self, day: str) -> list[Recording]:
        """Return recordings not erased whose expiry day is `day` (ISO) or earlier, oldest first."""
        query = select(recordings).where(recordings.c.expires_on <= day, recordings.c.state != "erased")
        return [Recording(*row) for row in await self._all(query.order_by(recordings.c.expires_on))]


class ViewTable(CatalogueTable):
    """Live views and playbacks."""

    async def add(self, row: View) -> None:
        """Insert a view whose journal entry is durable (I3)."""
        await self._execute(views.insert().values(**asdict(row)))

    async def lease(self, wanted: Iterable[str], leased_ns: int) -> None:
        """Set the last moment at which these views were known to be watched."""
        statement = update(views).where(views.c.view.in_(list(wanted)), views.c.closed_ns.is_(None)).values(leased_ns=leased_ns)
        await self._execute(statement)

    async def close(
        self, view: str, closed_ns: int, reason: str, first_ns: int | None = None, last_ns: int | None = None
    ) -> bool:
        """Close an open view with the span really seen; False when it was closed already."""
        values = {"closed_ns": closed_ns, "reason": reason, "first_ns": first_ns, "last_ns": last_ns}
        statement = update(views).where(views.c.view == view, views.c.closed_ns.is_(None)).values(**values)
        return bool(await self._execute(statement))

    async def list_open(self) -> list[View]:
        """Return the views that are not closed.  After a restart, those that no worker reports must be closed."""
        query = select(views).where(views.c.closed_ns.is_(None)).order_by(views.c.opened_ns)
        return [View(*row) for row in await self._all(query)]


class HoldTable(CatalogueTable):
    """Recordings kept past their term for a procedure (RET-02)."""

    async def add(self, row: Hold) -> None:
        """Insert a hold."""
        await self._execute(holds.insert().values(**asdict(row)))

    async def release(self, hold: str, released_by: str, released_ns: int) -> bool:
        """Release a hold; False when there is none open under that id."""
        values = {"released_by": released_by, "released_ns": released_ns}
        statement = update(holds).where(holds.c.hold == hold, holds.c.released_ns.is_(None)).values(**values)
        return bool(await self._execute(statement))

    async def get(self, hold: str) -> Hold:
        """Return a hold; TheirError(NOT_FOUND)."""
        found = await self._one(select(holds).where(holds.c.hold == hold))
        if found is None:
            raise TheirError(Kind.NOT_FOUND, "no such hold", code=Code.HOLD_NOT_FOUND)
        return Hold(*found)

    async def of_recording(self, recording: str) -> list[Hold]:
        """Return every hold of a recording, lifted ones too, latest first."""
        query = select(holds).where(holds.c.recording == recording).order_by(holds.c.hold.desc())
        return [Hold(*row) for row in await self._all(query)]

    async def list_open(self, limit: int) -> list[tuple[Hold, Recording]]:
        """Return open holds with their recordings, the next review first."""
        query = select(holds, recordings).join(recordings, recordings.c.recording == holds.c.recording)
        query = query.where(holds.c.released_ns.is_(None)).order_by(holds.c.review_on, holds.c.hold).limit(limit)
        own = len(holds.c)
        return [(Hold(*row[:own]), Recording(*row[own:])) for row in await self._all(query)]

    async def review_days(self) -> list[str]:
        """Return the day of review (ISO) of each open hold."""
        query = select(holds.c.review_on).where(holds.c.released_ns.is_(None))
        return [row.review_on for row in await self._all(query)]

    async def set_review(self, hold: str, review_on: str) -> None:
        """Set the next review of a hold."""
        statement = update(holds).where(holds.c.hold == hold).values(review_on=review_on)
        await self._execute(statement)

    async def lifted(self) -> dict[str, int]:
        """Return when the last hold was lifted, by recording; of recordings that are neither erased nor held."""
        query = (
            select(holds.c.recording, func.max(holds.c.released_ns).label("at"))
            .join(recordings, recordings.c.recording == holds.c.recording)
            .where(recordings.c.state != "erased")
            .group_by(holds.c.recording)
            .having(func.count() == func.count(holds.c.released_ns))
        )
        return {row.recording: row.at for row in await self._all(query)}

    async def held(self) -> set[str]:
        """Return recordings under at least one open hold."""
        query = select(holds.c.recording).where(holds.c.released_ns.is_(None)).distinct()
        return {row.recording for row in await self._all(query)}


class ExportTable(CatalogueTable):
    """Extractions."""

    async def add(self, row: Export) -> None:
        """Insert an extraction."""
        await self._execute(exports.insert().values(**asdict(row)))

    async def update(self, export: str, values: dict[str, Any]) -> None:
        """Change columns of an extraction."""
        statement = update(exports).where(exports.c.export == export).values(**values)
        await self._execute(statement)

    async def handed_over(self, recording: str) -> list[str]:
        """Return the numbers of the procedures under which an extraction of a recording was handed over whole."""
        # By the digest, not the state: a later delivery that is cut short does not undo an earlier whole one.
        whole = (exports.c.recording == recording, exports.c.sha256.is_not(None))
        query = select(exports.c.procedure_no).where(*whole).distinct()
        return [row.procedure_no for row in await self._all(query.order_by(exports.c.procedure_no))]

    async def get(self, export: str) -> Export:
        """Return an extraction; TheirError(NOT_FOUND)."""
        found = await self._one(select(exports).where(exports.c.export == export))
        if found is None:
            raise TheirError(Kind.NOT_FOUND, "no such export", code=Code.EXPORT_NOT_FOUND)
        return Export(*found)


class Catalogue:
    """The tables of the catalogue; `within` returns the same ones under a request's deadline."""

    def __init__(self, database: Database, deadline: Deadline = NO_DEADLINE) -> None:
        self._database = database
        self.interventions = InterventionTable(database, deadline)
        self.recordings = RecordingTable(database, deadline)
        self.views = ViewTable(database, deadline)
        self.holds = HoldTable(database, deadline)
        self.exports = ExportTable(database, deadline)
        self.heads = HeadTable(database, deadline)

    def within(self, deadline: Deadline) -> "Catalogue":
        """Return this catalogue for a request: its methods raise OurError once the deadline has passed."""
        return Catalogue(self._database, deadline)


def _conditions(wanted: RecordingFilter) -> list[Any]:
    table = recordings.c
    pairs: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
        (wanted.camera, table.camera.__eq__),
        (wanted.intervention, table.intervention.__eq__),
        (wanted.from_ns, table.started_ns.__ge__),
        (wanted.to_ns, table.started_ns.__lt__),
        (wanted.state, table.state.__eq__),
        (wanted.before, table.recording.__lt__),
    )
    return [compare(value) for value, compare in pairs if value is not None]
