"""The database: migrated, durable, never on the loop, errors of two kinds."""

import asyncio
import threading
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from relay.base.counters import Counters
from relay.base.errors import Kind, OurError, TheirError
from relay.store import database as module
from relay.store.database import Database
from relay.store.tables import metadata


async def test_the_migrated_schema_is_the_one_the_code_expects(database: Database) -> None:
    def compare(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))

    assert await database.read(compare) == []


async def test_opening_again_changes_nothing(database: Database, tmp_path: Path) -> None:
    await database.write(lambda c: c.execute(text("INSERT INTO checkpoints VALUES (1, 2, 'note')")))
    again = await Database.open(f"sqlite:///{tmp_path}/relay.db", Counters())
    assert await again.read(lambda c: c.execute(text("SELECT note FROM checkpoints")).scalar()) == "note"
    await again.close()


async def test_writes_wait_for_the_disk_and_readers_see_a_snapshot(database: Database) -> None:
    pragma = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}
    for name, value in pragma.items():
        assert await database.write(partial(_pragma, name)) == value


def _pragma(name: str, connection: Connection) -> object:
    return connection.execute(text(f"PRAGMA {name}")).scalar()


async def test_work_runs_in_other_threads_writes_always_in_the_same(database: Database) -> None:
    writers = {await database.write(lambda c: threading.get_ident()) for _ in range(5)}
    reader = await database.read(lambda c: threading.get_ident())
    assert len(writers) == 1
    assert threading.get_ident() not in writers | {reader}


async def test_a_failing_transaction_leaves_nothing(database: Database) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text("INSERT INTO checkpoints VALUES (1, 2, 'note')"))
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    with pytest.raises(OurError, match="nowhere"):
        await database.write(work)
    assert await database.read(lambda c: c.execute(text("SELECT count(*) FROM checkpoints")).scalar()) == 0


async def test_a_broken_constraint_is_theirs(database: Database) -> None:
    statement = text("INSERT INTO sessions VALUES ('d', 'nobody', 1, 2)")
    with pytest.raises(TheirError) as refused:
        await database.write(lambda c: c.execute(statement))
    assert refused.value.kind is Kind.CONFLICT


async def test_the_queue_is_bounded_and_the_refusal_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    counters = Counters()
    database = await Database.open(f"sqlite:///{tmp_path}/relay.db", counters)
    gate = threading.Event()
    slow = [asyncio.create_task(database.write(lambda c: gate.wait())) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(OurError, match="waits"):
        await database.read(lambda c: None)
    gate.set()
    await asyncio.gather(*slow)
    assert counters.values["database_refused"] == 1
    await database.close()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "relay.db").write_bytes(b"not a database" * 100)
    with pytest.raises(OurError):
        await Database.open(f"sqlite:///{tmp_path}/relay.db", Counters())


async def test_other_databases_are_refused_clearly() -> None:
    with pytest.raises(TheirError, match="sqlite"):
        await Database.open("postgresql://x", Counters())


async def test_a_full_disk_costs_the_reserve_and_not_the_entry(database: Database, tmp_path: Path) -> None:
    reserve, tries = tmp_path / "relay.db-reserve", []

    def work(connection: Connection) -> None:
        tries.append(reserve.exists())
        most = "PRAGMA max_page_count = " + ("1" if len(tries) == 1 else "1073741823")  # 1: no more than there are already
        connection.execute(text(most))
        connection.execute(text("INSERT INTO checkpoints VALUES (1, 2, :note)"), {"note": "x" * 100_000})

    assert reserve.stat().st_size == 16 << 20
    await database.write(work)
    assert tries == [True, False]
    assert await database.read(lambda c: c.execute(text("SELECT count(*) FROM checkpoints")).scalar()) == 1


async def test_without_a_reserve_a_full_disk_is_reported(database: Database, tmp_path: Path) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text("PRAGMA max_page_count = 1"))
        connection.execute(text("INSERT INTO checkpoints VALUES (1, 2, :note)"), {"note": "x" * 100_000})

    with pytest.raises(OurError, match="full"):
        await database.write(work)
    assert not (tmp_path / "relay.db-reserve").exists(), "it was tried with the reserve given up"
