"""The journal's SQL.  Owns: statements over `journal` and `checkpoints`.  Must never know: hashing, policy."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, func
from sqlalchemy import select as sql_select

from relay.base.errors import OurError
from relay.store.tables import checkpoints, journal


@dataclass(frozen=True, slots=True)
class Row:
    """One row of `journal`."""

    leaf: int
    at_ns: int
    operation: str
    salt: bytes | None
    body: bytes | None
    leaf_hash: bytes


def load(connection: Connection) -> tuple[Sequence[bytes], int]:
    """Return all leaf hashes in order and the last entry's time (0 when there is none).

    Raises OurError where numbers are missing or a hash is malformed: nothing can be added to such a journal.
    """
    last, count, highest = connection.execute(
        sql_select(func.max(journal.c.at_ns), func.count(), func.max(journal.c.leaf))
    ).one()
    found = connection.scalars(sql_select(journal.c.leaf_hash).order_by(journal.c.leaf)).all()
    if count != (-1 if highest is None else highest) + 1 or any(len(digest) != 32 for digest in found):
        raise OurError("the journal is damaged: `relay journal verify` names where; restore it before going on")
    return found, last or 0


def insert(connection: Connection, made: Sequence[Row]) -> None:
    """Insert rows."""
    connection.execute(journal.insert(), [asdict(row) for row in made])


def select(connection: Connection, after: int, limit: int) -> list[Row]:
    """Return rows above a leaf number, in order."""
    query = sql_select(journal).where(journal.c.leaf > after).order_by(journal.c.leaf).limit(limit)
    return [Row(*row) for row in connection.execute(query)]


def one(connection: Connection, leaf: int) -> Row | None:
    """Return a row."""
    row = connection.execute(sql_select(journal).where(journal.c.leaf == leaf)).one_or_none()
    return None if row is None else Row(*row)


def search(connection: Connection, needles: Sequence[bytes], from_ns: int, to_ns: int) -> int | None:
    """Return the first leaf of an interval (UTC ns, bounds included) whose body holds all of these bytes, or None."""
    holds = [func.instr(journal.c.body, needle) > 0 for needle in needles]
    # By time, which only grows: so SQLite reads the interval by its index and stops at the first.
    query = sql_select(journal.c.leaf).where(journal.c.at_ns.between(from_ns, to_ns), *holds)
    leaf: int | None = connection.scalar(query.order_by(journal.c.at_ns).limit(1))
    return leaf


def purge(connection: Connection, before_ns: int) -> int:
    """Delete body and salt of rows older than `before_ns`; return how many."""
    old = journal.update().where(journal.c.at_ns < before_ns, journal.c.body.is_not(None))
    return connection.execute(old.values(body=None, salt=None)).rowcount


def insert_checkpoint(connection: Connection, size: int, note: str, at_ns: int) -> None:
    """Insert a checkpoint; where its size is known already, do nothing."""
    known = connection.scalar(sql_select(checkpoints.c.size).where(checkpoints.c.size == size))
    if known is None:
        connection.execute(checkpoints.insert().values(size=size, at_ns=at_ns, note=note))


def all_checkpoints(connection: Connection) -> list[tuple[int, str]]:
    """Return (size, note), smallest first."""
    query = sql_select(checkpoints.c.size, checkpoints.c.note).order_by(checkpoints.c.size)
    return [(row.size, row.note) for row in connection.execute(query)]
