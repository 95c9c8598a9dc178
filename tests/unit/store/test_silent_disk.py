"""A disk that does not answer: requests are refused, no entry is lost, and no refused request counts as carried out."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from relay.base.clock import ManualClock
from relay.base.counters import Counters
from relay.base.errors import Kind, OurError
from relay.runtime.deadlines import Deadline, run_to_completion
from relay.store import database as database_module
from relay.store import journal as journal_module
from relay.store.database import Database
from relay.store.journal import Entry, Journal, Operation
from relay.store.journal_check import verify_journal
from tests.support.faulty_disk import ScriptedDeadline, SilentDisk
from tests.unit.store.conftest import ORIGIN, KeySigner

LONG, NONE_AT_ALL = Deadline(600.0), Deadline(0.0)


@pytest.fixture
def disk(database: Database, monkeypatch: pytest.MonkeyPatch) -> SilentDisk:
    return SilentDisk(database, ScriptedDeadline(), monkeypatch)


def _note(number: int) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(text("INSERT INTO checkpoints VALUES (:n, 2, 'note')"), {"n": number})


def _sizes(connection: Connection) -> list[int]:
    return list(connection.execute(text("SELECT size FROM checkpoints ORDER BY size")).scalars())


async def test_a_request_does_not_wait_for_a_silent_disk_and_what_it_handed_over_is_written_later(
    database: Database, disk: SilentDisk, counters: Counters
) -> None:
    with disk.silent():
        with pytest.raises(OurError, match="does not answer") as refused:
            await database.write(_note(1), deadline=disk.deadline)
        assert (refused.value.kind, refused.value.retry_after) == (Kind.UNAVAILABLE, disk.deadline.seconds)
        with disk.noticed(), pytest.raises(OurError, match="does not answer"):
            await database.write(_note(2), deadline=disk.deadline)
    await database.write(_note(3), deadline=disk.deadline)
    assert await database.read(_sizes) == [1, 3], "the second was refused before it was handed over"
    assert counters.values["database_unanswered"] == 2


async def test_a_writer_that_finishes_nothing_is_noticed_and_so_is_its_return(database: Database, journal: Journal) -> None:
    gate, inside = threading.Event(), threading.Event()

    def hold(_connection: Connection) -> None:
        inside.set()
        gate.wait(60)

    held = asyncio.create_task(database.write(hold))
    entry = asyncio.create_task(journal.append(Entry(Operation.SYSTEME, "relay", "system")))
    await asyncio.to_thread(inside.wait, 60)
    assert (database.stalled(LONG), journal.stalled(LONG)) == (False, False)
    assert (database.stalled(NONE_AT_ALL), journal.stalled(NONE_AT_ALL)) == (True, True)
    gate.set()
    await asyncio.gather(held, entry)
    assert (database.stalled(NONE_AT_ALL), journal.stalled(NONE_AT_ALL)) == (False, False)


async def test_reads_are_refused_at_once_when_no_reader_comes_back_and_not_while_one_is_free(database: Database) -> None:
    gate, inside = threading.Event(), threading.Semaphore(0)
    held: list[asyncio.Task[None]] = []

    def read(_connection: Connection) -> None:
        inside.release()
        gate.wait(60)

    async def hold() -> None:
        held.append(asyncio.create_task(database.read(read)))
        await asyncio.to_thread(inside.acquire)

    await hold()
    assert not database.stalled(NONE_AT_ALL, reading=True)
    await hold()
    with pytest.raises(OurError, match="does not answer"):
        await database.read(_sizes, deadline=NONE_AT_ALL)
    gate.set()
    await asyncio.gather(*held)
    assert await database.read(_sizes) == []


async def test_a_read_that_does_not_come_back_is_given_up_and_leaves_its_place(
    database: Database, disk: SilentDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "MAX_WAITING", 4)
    with disk.silent(reads=True):
        for _ in range(8):
            with pytest.raises(OurError, match="does not answer"):
                await database.read(_sizes, deadline=disk.deadline)
    assert await database.read(_sizes) == []


async def test_work_without_a_deadline_waits_for_the_disk(database: Database, disk: SilentDisk) -> None:
    with disk.silent():
        waiting = asyncio.create_task(database.write(_note(1)))
        with pytest.raises(OurError, match="does not answer"):
            await run_to_completion(database.write(_note(2)), disk.deadline)
        assert not waiting.done()
    await waiting
    await database.write(_note(3))
    assert await database.read(_sizes) == [1, 2, 3], "what a request began is carried out after the request gave up"


async def _entered(journal: Journal) -> list[tuple[object, object, object]]:
    bodies = [leaf.body for leaf in await journal.read(limit=1000) if leaf.body is not None]
    details = [body["details"] for body in bodies]
    return [
        (body["author"], d.get("event"), d.get("undoes"))
        for body, d in zip(bodies, details, strict=True)
        if isinstance(d, dict)
    ]


def _happened(event: str) -> Entry:
    return Entry(Operation.SYSTEME, "relay", "system", details={"event": event})


def _asked(event: str) -> Entry:
    return Entry(
        Operation.CONSULTATION, "alice", "operator", motive="rixe", object_id="cam-1", details={"event": event, "view": "v1"}
    )


async def test_what_waited_for_a_silent_disk_is_written_and_undone_where_its_request_was_refused(
    database: Database, journal: Journal, disk: SilentDisk, signer: KeySigner, clock: ManualClock, counters: Counters,
    tmp_path: Path,
) -> None:  # fmt: skip
    with disk.silent():
        waiting = asyncio.create_task(journal.append(_happened("in flight")))
        await asyncio.sleep(0)
        with pytest.raises(OurError, match="does not answer"):
            await journal.append(_asked("view opened"), deadline=disk.deadline)
        with disk.noticed():
            with pytest.raises(OurError, match="does not answer"):
                await journal.append(_asked("never queued"), deadline=disk.deadline)
            with pytest.raises(OurError, match="does not answer"):
                await journal.append(_happened("view closed"), happened=True, deadline=disk.deadline)
            with pytest.raises(OurError, match="does not answer"):
                await journal.checkpoint(deadline=disk.deadline)
    assert await waiting == 1
    await journal.append(_happened("after"))
    assert await _entered(journal) == [
        ("relay", "start", None),
        ("relay", "in flight", None),
        ("alice", "view opened", None),
        ("relay", "not carried out", 2),
        ("relay", "view closed", None),
        ("relay", "after", None),
    ]
    undoing = (await journal.read())[3].body
    assert undoing is not None
    assert (undoing["object_id"], undoing["result"], undoing["details"]) == (
        "cam-1",
        "error",
        {"event": "not carried out", "what": "view opened", "view": "v1", "reason": "the disk did not answer", "undoes": 2},
    )
    assert counters.values["journal_unanswered"] == 2
    await journal.checkpoint()
    verdict = await verify_journal(database, tmp_path / "journal" / "checkpoints", [signer.public_key], ORIGIN, clock.utc_ns())
    assert verdict.intact, verdict


async def test_an_entry_in_flight_when_its_request_is_refused_is_undone_in_the_next_transaction(
    database: Database, journal: Journal, disk: SilentDisk
) -> None:
    with disk.silent(), pytest.raises(OurError, match="does not answer"):
        await journal.append(_asked("sign-in"), deadline=disk.deadline)
    await journal.append(_happened("after"))
    assert [entry[1:] for entry in await _entered(journal)] == [
        ("start", None),
        ("sign-in", None),
        ("not carried out", 1),
        ("after", None),
    ]


async def test_an_entry_that_the_disk_refuses_in_the_end_is_not_undone(
    database: Database, journal: Journal, disk: SilentDisk
) -> None:
    await database.write(
        lambda c: c.exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON journal BEGIN SELECT RAISE(FAIL, 'x'); END")
    )
    with disk.silent():
        held = asyncio.create_task(database.write(lambda _connection: None))
        await asyncio.sleep(0)
        with pytest.raises(OurError, match="does not answer"):
            await journal.append(_asked("sign-in"), deadline=disk.deadline)
        drop = asyncio.create_task(journal.settled())
    await asyncio.gather(held, drop)
    await database.write(lambda c: c.exec_driver_sql("DROP TRIGGER full"))
    assert await journal.append(_happened("after")) == 1
    assert [entry[1] for entry in await _entered(journal)] == ["start", "after"]


async def test_what_happened_waits_for_a_silent_disk_up_to_the_bound(
    database: Database, journal: Journal, disk: SilentDisk, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MAX_WAITING", 3)
    with disk.silent():
        flying = asyncio.create_task(journal.append(Entry(Operation.SYSTEME, "relay", "system")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for number in range(5):
            with pytest.raises(OurError, match="answer" if number < 3 else "too much waits"):
                await journal.refuse("eve", "operator", "view_live", "forbidden", str(number), deadline=disk.deadline)
    await flying
    await journal.append(Entry(Operation.SYSTEME, "relay", "system"))
    assert len(await journal.read()) == 6
    assert counters.values["journal_refused"] == 2
