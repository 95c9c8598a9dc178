"""The journal: durable before it returns, refuses what the law refuses, survives its process."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from relay.base.clock import ManualClock
from relay.base.counters import Counters
from relay.base.errors import Kind, OurError, TheirError
from relay.policy.texts import trimmed_text
from relay.store.database import Database
from relay.store.journal import Entry, Journal, Operation
from tests.unit.policy.test_texts import HOSTILE
from tests.unit.store.conftest import ORIGIN, KeySigner


async def test_entries_get_consecutive_leaves_and_come_back_as_written(journal: Journal) -> None:
    first = await journal.append(Entry(Operation.CONNEXION, "alice", "operator", details={"event": "sign-in"}))
    second = await journal.append(
        Entry(Operation.CONSULTATION, "alice", "operator", motive="rixe rue Haute", object_id="cam-1")
    )
    assert second == first + 1
    leaf = (await journal.read(after=first))[0]
    assert leaf.body is not None
    assert (leaf.leaf, leaf.body["motive"], leaf.body["object_id"]) == (second, "rixe rue Haute", "cam-1")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_the_words_of_the_refused_are_entered_without_what_cannot_be_seen(journal: Journal, text: str) -> None:
    await journal.refuse(text, "camera", "publish", "forbidden", text * 1000, object_type="camera", object_id=text)
    body: Any = (await journal.read(after=journal.size - 2))[0].body
    entered = (body["author"], body["object_id"], body["details"]["detail"])
    assert all(trimmed_text(word) == word and word for word in entered)


async def test_concurrent_entries_share_transactions_and_are_all_kept(database: Database, journal: Journal) -> None:
    leaves = await asyncio.gather(*(journal.append(Entry(Operation.SYSTEME, f"a{n}", "system")) for n in range(100)))
    assert sorted(leaves) == list(range(1, 101))
    assert len(await journal.read(limit=1000)) == 101


@pytest.mark.parametrize("motive", ["", "   "])
async def test_a_consultation_without_motive_is_refused(journal: Journal, motive: str) -> None:
    with pytest.raises(TheirError) as refused:
        await journal.append(Entry(Operation.CONSULTATION, "alice", "operator", motive=motive))
    assert refused.value.kind is Kind.INCOMPLETE
    assert journal.size == 1


async def test_an_entry_whose_caller_was_cancelled_is_still_written(journal: Journal) -> None:
    task = asyncio.create_task(journal.append(Entry(Operation.SYSTEME, "a", "system")))
    await asyncio.sleep(0)
    task.cancel()
    await journal.append(Entry(Operation.SYSTEME, "b", "system"))
    authors = [leaf.body["author"] for leaf in await journal.read() if leaf.body]
    assert authors == ["relay", "a", "b"]


async def test_a_journal_that_cannot_be_written_refuses(database: Database, journal: Journal) -> None:
    await database.write(lambda c: c.exec_driver_sql("ALTER TABLE journal RENAME TO elsewhere"))
    with pytest.raises(OurError):
        await journal.append(Entry(Operation.SYSTEME, "a", "system"))
    await database.write(lambda c: c.exec_driver_sql("ALTER TABLE elsewhere RENAME TO journal"))
    assert await journal.append(Entry(Operation.SYSTEME, "a", "system")) == 1


async def test_a_second_writer_is_refused_until_the_first_one_is_done(
    database: Database, journal: Journal, signer: KeySigner, clock: ManualClock, tmp_path: Path
) -> None:
    path = tmp_path / "journal" / "checkpoints"
    with pytest.raises(OurError, match="another process"):
        await Journal.open(database, signer, ORIGIN, path, clock, Counters())
    await journal.close()
    await (await Journal.open(database, signer, ORIGIN, path, clock, Counters())).close()


async def test_a_reopened_journal_continues_the_same_tree(
    database: Database, journal: Journal, signer: KeySigner, clock: ManualClock, tmp_path: Path
) -> None:
    await journal.close()
    clock.step_utc(-3600)
    again = await Journal.open(database, signer, ORIGIN, tmp_path / "journal" / "checkpoints", clock, Counters())
    leaves = await again.read()
    assert [leaf.leaf for leaf in leaves] == [0, 1, 2]
    assert [leaf.at_ns for leaf in leaves] == sorted(leaf.at_ns for leaf in leaves)
