"""Rows of the heads that control entered in the journal once a minute.

Owns: the tables `heads` and `head_entries`.  Must never know: what a chain is, who reports a head, the journal's entries.

`head_entries` keeps the leaf hashes of an entry's heads, so that its root can be computed after some of its recordings were
erased.  It goes with the last of its heads.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select

from relay.evidence.heads import SealedHead, head_leaf
from relay.store.catalogue_table import CatalogueTable
from relay.store.tables import head_entries, heads, recordings, segments

LEAF = 32
"""Bytes of a leaf hash."""
_PER_QUERY = 500
"""Names in one query."""


@dataclass(frozen=True, slots=True)
class EnteredHead:
    """A head and the journal entry whose root it is under."""

    its: SealedHead
    entry: int
    """Leaf number of that entry in the journal."""
    leaf: int
    """Which of the entry's leaves."""


@dataclass(frozen=True, slots=True)
class HeadEntry:
    """What the catalogue keeps of one entry of heads: every leaf hash, and the heads that are not erased."""

    leaves: Sequence[bytes]
    heads: Sequence[EnteredHead]


def entering(its: Sequence[SealedHead], leaves: Sequence[bytes]) -> Callable[[Connection, int], None]:
    """Return the work that inserts the heads of an entry, in the transaction of that entry; `leaves`: their leaf hashes.

    A head of a recording that has no row or is erased is left out: the work must not fail, or it takes other entries with it.
    """

    def work(connection: Connection, entry: int) -> None:
        kept = _kept(connection, [head.recording for head in its])
        rows = [{"entry": entry, "leaf": leaf, **asdict(head)} for leaf, head in enumerate(its) if head.recording in kept]
        connection.execute(head_entries.insert().values(entry=entry, leaves=b"".join(leaves)))
        if rows:
            connection.execute(heads.insert(), rows)

    return work


def _kept(connection: Connection, names: Sequence[str]) -> set[str]:
    """Return which of these recordings have a row and are not erased."""
    kept: set[str] = set()
    for at in range(0, len(names), _PER_QUERY):
        mine = recordings.c.recording.in_(names[at : at + _PER_QUERY])
        kept.update(connection.scalars(select(recordings.c.recording).where(mine, recordings.c.state != "erased")))
    return kept


class HeadTable(CatalogueTable):
    """Heads by recording and by entry."""

    async def of(self, recording: str) -> list[EnteredHead]:
        """Return the heads of a recording, oldest first."""
        query = select(heads).where(heads.c.recording == recording).order_by(heads.c.entry)
        return [_entered(row) for row in await self._all(query)]

    async def entries(self, first: int, last: int) -> dict[int, HeadEntry]:
        """Return the entries with leaf numbers from `first` to `last`, without those whose recordings are all erased."""
        where = head_entries.c.entry.between(first, last)
        kept = await self._all(select(head_entries.c.entry, head_entries.c.leaves).where(where))
        found: dict[int, list[EnteredHead]] = {row.entry: [] for row in kept}
        for row in await self._all(select(heads).where(heads.c.entry.between(first, last)).order_by(heads.c.leaf)):
            found[row.entry].append(_entered(row))
        return {row.entry: HeadEntry(_split(row.leaves), found[row.entry]) for row in kept}

    async def kept(self, names: Sequence[str]) -> set[str]:
        """Return which of these recordings have a row and are not erased."""
        return await self._database.read(lambda connection: _kept(connection, names), deadline=self._deadline)

    async def newest(self, names: Collection[str]) -> dict[str, SealedHead]:
        """Return the newest head that heads and segments know of each of these recordings; none of one that is erased."""

        def work(connection: Connection) -> dict[str, SealedHead]:
            found: dict[str, SealedHead] = {}
            wanted = list(names)
            for at in range(0, len(wanted), _PER_QUERY):
                found |= _newest(connection, wanted[at : at + _PER_QUERY])
            return found

        return await self._database.read(work, deadline=self._deadline)

    async def counted(self, recording: str) -> tuple[int, int]:
        """Return how many heads of a recording there are, and the leaf number of the last entry of one (-1 for none).

        A row that is not the head that was entered there does not count: it may be another recording's under this name.
        """
        leaf = func.substr(head_entries.c.leaves, heads.c.leaf * LEAF + 1, LEAF)
        query = select(heads, leaf.label("entered")).join(head_entries, head_entries.c.entry == heads.c.entry, isouter=True)
        rows = await self._all(query.where(heads.c.recording == recording))
        genuine = sum(row.entered == head_leaf(_entered(row).its) for row in rows)
        return genuine, max((row.entry for row in rows), default=-1)

    async def erase(self, recording: str, last: int) -> None:
        """Delete the heads of a recording up to an entry, and what was kept of entries that have no other head left."""

        def work(connection: Connection) -> None:
            its = (heads.c.recording == recording) & (heads.c.entry <= last)
            mine = select(heads.c.entry).where(its)
            others = select(heads.c.entry).where(heads.c.entry.in_(mine), heads.c.recording != recording)
            entries = set(connection.scalars(mine)) - set(connection.scalars(others))
            connection.execute(delete(heads).where(its))
            ordered = sorted(entries)
            for at in range(0, len(ordered), _PER_QUERY):
                connection.execute(delete(head_entries).where(head_entries.c.entry.in_(ordered[at : at + _PER_QUERY])))

        await self._write(work)


def _entered(row: Any) -> EnteredHead:
    its = SealedHead(row.recording, row.head, row.records, row.links, row.stored_bytes, row.until_ns)
    return EnteredHead(its, row.entry, row.leaf)


def _split(leaves: bytes) -> list[bytes]:
    return [leaves[at : at + LEAF] for at in range(0, len(leaves), LEAF)]


def _newest(connection: Connection, names: Sequence[str]) -> dict[str, SealedHead]:
    """Return the newest head by recording: a row of heads, or of a segment where that is further."""
    kept = select(recordings.c.recording).where(recordings.c.recording.in_(names), recordings.c.state != "erased")
    found: dict[str, SealedHead] = {}
    last = select(heads.c.recording, func.max(heads.c.entry).label("last")).where(heads.c.recording.in_(kept))
    newest = last.group_by(heads.c.recording).subquery()
    mine = (heads.c.recording == newest.c.recording) & (heads.c.entry == newest.c.last)
    for row in connection.execute(select(heads).join(newest, mine)):
        found[row.recording] = _entered(row).its
    last = select(segments.c.recording, func.max(segments.c.segment).label("last")).where(segments.c.recording.in_(kept))
    newest = last.group_by(segments.c.recording).subquery()
    mine = (segments.c.recording == newest.c.recording) & (segments.c.segment == newest.c.last)
    for row in connection.execute(select(segments).join(newest, mine)):
        links, before = row.last_link + 1, found.get(row.recording)
        if before is None or before.links < links:
            found[row.recording] = SealedHead(row.recording, row.head, 0, links, 0, row.end_ns)
    return found
