"""Whatever is done to the journal behind the relay's back is found and named."""

import errno
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from relay.base.clock import ManualClock
from relay.base.counters import Counters
from relay.base.errors import OurError
from relay.evidence.log import commitment, inclusion_holds, leaf_hash, open_checkpoint
from relay.evidence.seal import MemorySigner
from relay.store.checkpoints import CheckpointFile
from relay.store.database import Database
from relay.store.journal import Entry, Journal, Operation
from relay.store.journal_check import JournalVerdict, verify_journal
from relay.store.vault import FileOps
from tests.unit.store.conftest import ORIGIN, KeySigner

Verify = Callable[[], Awaitable[JournalVerdict]]


@pytest.fixture
async def filled(journal: Journal) -> Journal:
    for number in range(6):
        await journal.append(Entry(Operation.CONSULTATION, f"agent{number}", "operator", motive="rixe"))
        if number in {1, 3}:
            await journal.checkpoint()
    await journal.close()
    return journal


@pytest.fixture
def verify(database: Database, filled: Journal, signer: KeySigner, clock: ManualClock, tmp_path: Path) -> Verify:
    return lambda: verify_journal(database, tmp_path / "journal" / "checkpoints", [signer.public_key], ORIGIN, clock.utc_ns())


def _execute(statement: str, connection: Connection) -> None:
    connection.exec_driver_sql(statement)


async def _sql(database: Database, *statements: str) -> None:
    for statement in statements:
        await database.write(partial(_execute, statement))


async def test_an_untouched_journal_is_intact_up_to_its_last_entry(verify: Verify) -> None:
    verdict = await verify()
    assert verdict.intact
    assert (verdict.size, verdict.signed) == (8, 8)


@pytest.mark.parametrize(
    ("statements", "kind", "first"),
    [
        (["UPDATE journal SET body = CAST(replace(CAST(body AS TEXT), 'rixe', 'rien') AS BLOB) WHERE leaf = 4"], "edited", 4),
        (["UPDATE journal SET body = 'text' WHERE leaf = 4"], "edited", 4),
        (["UPDATE journal SET at_ns = 'soon' WHERE leaf = 4"], "edited", 4),
        (["UPDATE journal SET leaf_hash = 'short' WHERE leaf = 4"], "edited", 4),
        (["UPDATE journal SET at_ns = at_ns + 1 WHERE leaf = 4"], "edited", 4),
        (["DELETE FROM journal WHERE leaf = 3"], "missing", 3),
        (["DELETE FROM journal WHERE leaf = 0"], "missing", 0),
        (["DELETE FROM journal WHERE leaf = 3", "UPDATE journal SET leaf = leaf - 1 WHERE leaf > 3"], "moved", 3),
        (
            [
                "UPDATE journal SET leaf = 99 WHERE leaf = 2",
                "UPDATE journal SET leaf = 2 WHERE leaf = 3",
                "UPDATE journal SET leaf = 3 WHERE leaf = 99",
            ],
            "moved",
            2,
        ),
        (["DELETE FROM journal WHERE leaf >= 6"], "truncated", 6),
        (["DELETE FROM journal WHERE leaf >= 6", "DELETE FROM checkpoints WHERE size > 6"], "rolled_back", 6),
        (["DELETE FROM checkpoints WHERE size = 3"], "checkpoint", 3),
        (["UPDATE checkpoints SET note = replace(note, 'relay.test', 'relay.best') WHERE size = 3"], "checkpoint", 1),
    ],
)
async def test_tampering_is_found_and_named(
    database: Database, verify: Verify, statements: list[str], kind: str, first: int
) -> None:
    await _sql(database, "DROP TRIGGER journal_no_update", "DROP TRIGGER journal_no_delete", *statements)
    verdict = await verify()
    assert (kind, first) in {(finding.kind, finding.first) for finding in verdict.findings}


async def test_a_rewritten_entry_with_its_hash_recomputed_is_bracketed_by_checkpoints(
    database: Database, journal: Journal, verify: Verify
) -> None:
    entry = (await journal.proofs([4]))[0].entry
    assert entry is not None
    leaf = entry.replace(b"rixe", b"rien")
    salt = bytes(32)
    values = (leaf, salt, leaf_hash(commitment(salt, leaf)))
    await _sql(database, "DROP TRIGGER journal_no_update")
    await database.write(
        lambda connection: connection.exec_driver_sql("UPDATE journal SET body=?, salt=?, leaf_hash=? WHERE leaf=4", values)
    )
    verdict = await verify()
    assert [(finding.kind, finding.first, finding.last) for finding in verdict.findings] == [("rewritten", 3, 4)]


async def test_the_database_itself_refuses_to_change_or_drop_an_entry(database: Database, filled: Journal) -> None:
    for statement in ("UPDATE journal SET body = x'00' WHERE leaf = 1", "DELETE FROM journal WHERE leaf = 1"):
        with pytest.raises(Exception, match="append-only"):
            await _sql(database, statement)


async def test_a_rolled_back_journal_says_so_in_its_next_start_and_stays_found(
    database: Database, filled: Journal, signer: KeySigner, clock: ManualClock, tmp_path: Path, verify: Verify
) -> None:
    await _sql(
        database,
        "DROP TRIGGER journal_no_delete",
        "DELETE FROM journal WHERE leaf >= 4",
        "DELETE FROM checkpoints WHERE size > 4",
    )
    again = await Journal.open(database, signer, ORIGIN, tmp_path / "journal" / "checkpoints", clock, Counters())
    start = (await again.read(after=3))[0]
    assert start.body is not None
    assert start.body["details"] == {"event": "start", "disagrees_at": 8}
    assert "rolled_back" in {finding.kind for finding in (await verify()).findings}


async def test_a_journal_with_a_missing_entry_is_not_gone_on_with(
    database: Database, filled: Journal, signer: KeySigner, clock: ManualClock, tmp_path: Path
) -> None:
    await _sql(database, "DROP TRIGGER journal_no_delete", "DELETE FROM journal WHERE leaf = 4")
    with pytest.raises(OurError, match="damaged"):
        await Journal.open(database, signer, ORIGIN, tmp_path / "journal" / "checkpoints", clock, Counters())


async def test_a_checkpoint_of_another_key_is_named(verify: Verify, tmp_path: Path, filled: Journal) -> None:
    path = tmp_path / "journal" / "checkpoints"
    file = CheckpointFile(path)
    notes = file.notes()
    path.write_text("".join(f"{note}\n" for note in [*notes[:-1], notes[-1][:-6] + "AAAA\n"]))
    assert "checkpoint" in {finding.kind for finding in (await verify()).findings}


async def test_a_crash_between_the_two_writes_of_a_checkpoint_is_no_finding_before_nor_after_the_next_start(
    database: Database, filled: Journal, signer: KeySigner, clock: ManualClock, tmp_path: Path, verify: Verify
) -> None:
    path = tmp_path / "journal" / "checkpoints"
    path.write_text("".join(f"{note}\n" for note in CheckpointFile(path).notes()[:-1]))
    assert (await verify()).intact
    await (await Journal.open(database, signer, ORIGIN, path, clock, Counters())).close()
    verdict = await verify()
    assert verdict.findings == ()
    assert verdict.signed == verdict.size == 10


@pytest.mark.parametrize("cut", [1, 2, 30, 90, 130, 200, 250])
async def test_a_checkpoint_torn_by_a_crash_is_mended_by_the_next_start(
    database: Database, filled: Journal, signer: KeySigner, clock: ManualClock, tmp_path: Path, verify: Verify, cut: int
) -> None:
    path = tmp_path / "journal" / "checkpoints"
    path.write_bytes(path.read_bytes()[:-cut])
    await (await Journal.open(database, signer, ORIGIN, path, clock, Counters())).close()
    assert (await verify()).findings == ()


async def test_a_torn_last_checkpoint_in_the_file_does_not_stop_the_check(verify: Verify, tmp_path: Path) -> None:
    path = tmp_path / "journal" / "checkpoints"
    path.write_bytes(path.read_bytes()[:-30])
    verdict = await verify()
    assert {finding.kind for finding in verdict.findings} == {"checkpoint"}


async def test_entries_purged_after_three_years_lose_their_words_and_still_verify(
    journal: Journal, clock: ManualClock, verify: Verify
) -> None:
    clock.advance(4 * 366 * 86_400)
    assert await journal.purge(clock.utc_ns()) == 8
    assert all(leaf.body is None for leaf in await journal.read())
    assert (await verify()).intact


async def test_entries_emptied_before_three_years_are_named(journal: Journal, clock: ManualClock, verify: Verify) -> None:
    await journal.purge(clock.utc_ns() + 10_000)
    assert {finding.kind for finding in (await verify()).findings} == {"edited"}


async def test_a_proof_convinces_a_stranger(filled: Journal, signer: KeySigner) -> None:
    [proof] = await filled.proofs([2])
    checkpoint = open_checkpoint(proof.note, signer.public_key)
    assert proof.entry is not None
    digest = leaf_hash(commitment(proof.salt, proof.entry))
    assert inclusion_holds(digest, 2, checkpoint.size, proof.path, checkpoint.root)
    assert not inclusion_holds(digest, 3, checkpoint.size, proof.path, checkpoint.root)


async def test_checkpoints_are_signed_by_the_key_of_their_time(
    database: Database, filled: Journal, signer: KeySigner, clock: ManualClock, tmp_path: Path
) -> None:
    path, new = tmp_path / "journal" / "checkpoints", MemorySigner(bytes(range(32)))
    again = await Journal.open(database, new, ORIGIN, path, clock, Counters(), earlier=[signer.public_key])
    started = (await again.read(after=7))[0].body
    assert started is not None
    assert started["details"] == {"event": "start", "disagrees_at": None}
    await again.close()
    check = partial(verify_journal, database, path, origin=ORIGIN, now_ns=clock.utc_ns())
    verdict = await check(public_keys=[new.public_key, signer.public_key])
    assert (verdict.intact, verdict.size, verdict.signed) == (True, 10, 10)
    assert "checkpoint" in {finding.kind for finding in (await check(public_keys=[new.public_key])).findings}
    late = await Journal.open(database, signer, ORIGIN, path, clock, Counters(), earlier=[new.public_key])
    await late.close()
    details = [finding.detail for finding in (await check(public_keys=[new.public_key, signer.public_key])).findings]
    assert [detail for detail in details if "a key that another had followed already" in detail]


async def test_a_roll_back_from_before_the_rotation_is_noticed_after_it(
    database: Database, filled: Journal, signer: KeySigner, clock: ManualClock, tmp_path: Path
) -> None:
    await _sql(
        database,
        "DROP TRIGGER journal_no_delete",
        "DELETE FROM journal WHERE leaf >= 5",
        "DELETE FROM checkpoints WHERE size > 5",
    )
    path, new = tmp_path / "journal" / "checkpoints", MemorySigner(bytes(range(32)))
    again = await Journal.open(database, new, ORIGIN, path, clock, Counters(), earlier=[signer.public_key])
    started = (await again.read(after=4))[0].body
    assert started is not None
    assert started["details"] == {"event": "start", "disagrees_at": 8}
    await again.close()


class Grudging(FileOps):
    """A disk that takes `takes` bytes of a write and then refuses, while it is switched to."""

    def __init__(self) -> None:
        self.takes: int | None = None

    def write(self, descriptor: int, data: bytes) -> int:
        if self.takes is None:
            return super().write(descriptor, data)
        if not self.takes:
            raise OSError(errno.ENOSPC, "full")
        written, self.takes = super().write(descriptor, data[: self.takes]), 0
        return written


@pytest.mark.parametrize("takes", [0, 1, 40, 150])
async def test_a_disk_that_takes_half_a_checkpoint_costs_the_file_nothing_once_it_has_room(
    database: Database, signer: KeySigner, clock: ManualClock, tmp_path: Path, takes: int
) -> None:
    path, ops, counters = tmp_path / "journal" / "checkpoints", Grudging(), Counters()
    journal = await Journal.open(database, signer, ORIGIN, path, clock, counters, ops=ops)
    ops.takes = takes
    for _ in range(3):
        await journal.append(Entry(Operation.SYSTEME, "a", "b"))
        await journal.checkpoint()
    assert counters.values["journal_checkpoints_owed"] == 3
    ops.takes = None
    await journal.close()
    assert len(CheckpointFile(path).notes()) == 5, "those of the full disk, too"
    verdict = await verify_journal(database, path, [signer.public_key], ORIGIN, clock.utc_ns())
    assert verdict.findings == ()
    assert verdict.signed == verdict.size


async def test_a_relay_that_died_with_half_a_checkpoint_written_starts_with_a_whole_file(
    database: Database, signer: KeySigner, clock: ManualClock, tmp_path: Path
) -> None:
    path, ops = tmp_path / "journal" / "checkpoints", Grudging()
    journal = await Journal.open(database, signer, ORIGIN, path, clock, Counters(), ops=ops)
    ops.takes = 40
    await journal.append(Entry(Operation.SYSTEME, "a", "b"))
    await journal.close()
    await (await Journal.open(database, signer, ORIGIN, path, clock, Counters())).close()
    assert (await verify_journal(database, path, [signer.public_key], ORIGIN, clock.utc_ns())).findings == ()
