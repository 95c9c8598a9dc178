"""The database behind an async façade: one writer thread, a few reader threads, never the event loop.

Owns: the engine, its SQLite settings (WAL, synchronous=FULL), the bounded queue of waiting work, and the reserve: a file
that is deleted when the disk is full, so that the journal can still be written.  Must never know: tables.

API: `await Database.open(url, counters)` (migrates), `await db.write(work)`, `await db.read(work)`, `await db.close()`;
`work` is a plain function of a SQLAlchemy Connection, run in one transaction.  Raises OurError(UNAVAILABLE) when the disk
refuses or too much is waiting; IntegrityError becomes TheirError(CONFLICT).

If the disk does not answer within the caller's `deadline`, raise OurError; while the disk is `stalled`, raise it at once and
queue nothing.  A write that was queued is carried out when the disk is back; a queued read is dropped.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError

from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, OurError, TheirError
from relay.runtime.deadlines import NO_DEADLINE, Deadline, wait_within
from relay.store.disk_executor import DiskExecutor
from relay.store.migrations import upgrade
from relay.store.reserve import Reserve

T = TypeVar("T")
MAX_WAITING = 1024
READERS = 2
RESERVE = "-reserve"

declare(
    database_writes="transactions committed by the writer thread",
    database_refused="database work refused because the queue was full or the disk failed",
    database_unanswered="database work that a request no longer waited for, or that was refused: the disk did not answer",
)


class Database:
    """One database; `open` is the only way to get one."""

    def __init__(self, engine: Engine, counters: Counters, reserve: Reserve | None = None) -> None:
        self._engine = engine
        self._reserve = reserve
        self._counters = counters
        self._writer = DiskExecutor(1, "db-write")
        self._readers = DiskExecutor(READERS, "db-read")
        self._waiting = 0

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, for its events."""
        return self._engine

    @classmethod
    async def open(cls, url: str, counters: Counters) -> "Database":
        """Open (creating if needed) and migrate to the newest schema; `url` is an SQLAlchemy URL (`sqlite:////path`)."""
        path = Path(url.removeprefix("sqlite:///"))
        database = cls(_engine(url), counters, Reserve(path.with_name(path.name + RESERVE)))
        try:
            await database._run(database._writer, lambda: _migrate(database._engine), NO_DEADLINE)
            await database._run(database._writer, database._hold, NO_DEADLINE)
        except BaseException:
            await database.close()
            raise
        return database

    async def write(self, work: Callable[[Connection], T], *, deadline: Deadline = NO_DEADLINE) -> T:
        """Run `work` in the writer thread in one transaction, and return once it is on disk (synchronous=FULL).

        If the disk is full, delete the reserve and run `work` once more: it depends on the connection alone.
        """
        result = await self._run(self._writer, lambda: self._write(work), deadline)
        self._counters.count("database_writes")
        return result

    async def read(self, work: Callable[[Connection], T], *, deadline: Deadline = NO_DEADLINE) -> T:
        """Run `work` in a reader thread on a consistent snapshot."""
        return await self._run(self._readers, lambda: self._transact(work, writes=False), deadline, forget=True)

    def stalled(self, deadline: Deadline, *, reading: bool = False) -> bool:
        """Return whether the writer thread, or no reader thread, has returned from the disk within the deadline."""
        return (self._readers if reading else self._writer).stalled(deadline)

    async def close(self) -> None:
        """Finish the waiting work and close every connection."""
        await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._writer.shut()
        self._readers.shut()
        self._engine.dispose()

    def _hold(self) -> None:
        if self._reserve is not None:
            self._reserve.hold()

    def _write(self, work: Callable[[Connection], T]) -> T:
        try:
            result = self._transact(work, writes=True)
        except OurError as error:
            if not _is_full(error) or self._reserve is None or not self._reserve.spend():
                raise
            return self._transact(work, writes=True)
        self._hold()
        return result

    def _transact(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        try:
            with self._engine.connect().execution_options(relay_writes=writes) as connection, connection.begin():
                return work(connection)
        except IntegrityError as error:
            raise TheirError(
                Kind.CONFLICT, f"already there, or refers to nothing: {error.orig}", code=Code.ALREADY_EXISTS
            ) from error
        except DBAPIError as error:
            self._counters.count("database_refused")
            raise OurError(f"database: {error.orig}", code=Code.STORE_FAILED) from error

    async def _run(self, executor: DiskExecutor, work: Callable[[], T], deadline: Deadline, *, forget: bool = False) -> T:
        """Queue work and wait for it until the deadline; `forget`: work that nobody waits for any more leaves the queue."""
        if executor.stalled(deadline):
            self._counters.count("database_unanswered")
            raise deadline.error()
        future = self._submit(executor, work)
        try:
            return await wait_within(future, deadline)
        except OurError:
            if not future.done():
                self._counters.count("database_unanswered")
            raise
        finally:
            if forget:
                future.cancel()

    def _submit(self, executor: DiskExecutor, work: Callable[[], T]) -> "asyncio.Future[T]":
        if self._waiting >= MAX_WAITING:
            self._counters.count("database_refused")
            raise OurError("too much waits for the database", retry_after=1.0, code=Code.STORE_BUSY)
        future = executor.submit(work)
        self._waiting += 1
        future.add_done_callback(self._finished)
        return future

    def _finished(self, _future: "asyncio.Future[Any]") -> None:
        self._waiting -= 1


def _is_full(error: OurError) -> bool:
    cause = error.__cause__
    return isinstance(cause, DBAPIError) and getattr(cause.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite:///"):
        raise TheirError(Kind.INVALID, "store.url: only sqlite:///PATH is supported")
    engine = create_engine(url, pool_size=READERS + 1, max_overflow=0)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # `_on_begin` says BEGIN: sqlite3's own transactions start too late for a snapshot
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("relay_writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(engine: Engine) -> None:
    try:
        with engine.connect() as connection, connection.begin():
            upgrade(connection)
    except DBAPIError as error:
        raise OurError(f"database: {error.orig}", code=Code.STORE_FAILED) from error
