"""One old checkpoint, kept elsewhere, catches what root does to the journal with the relay's own key.

The forger of these tests opens the SQLite file as it lies on disk, drops the triggers, rewrites rows, computes hashes anew, and
signs new checkpoints into the database and into the file beside it.  Without a checkpoint from elsewhere it is intact.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from relay.base.clock import ManualClock, rfc3339
from relay.base.counters import Counters
from relay.evidence.log import Checkpoint, Tree, commitment, leaf_hash, sign_checkpoint
from relay.evidence.log_proof import proofs_text
from relay.evidence.seal import MemorySigner, sha256
from relay.store.checkpoints import CheckpointFile
from relay.store.database import Database
from relay.store.journal import Entry, Journal, Operation
from relay.store.journal_check import JournalVerdict, verify_journal
from relay.store.outside_checkpoints import notes_in
from tests.unit.store.conftest import ORIGIN

KEY, NEXT, STRANGER = (MemorySigner(sha256(name)) for name in (b"key", b"next key", b"stranger"))
Check = Callable[..., Awaitable[JournalVerdict]]


class Installation:
    """A relay that stands still, and its forger."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.folder, self.clock = folder, clock
        self.file = folder / "journal" / "checkpoints"
        self.kept: list[str] = []
        """What somebody copied to elsewhere, in time."""

    async def run(self, entries: int, signer: MemorySigner = KEY, earlier: tuple[bytes, ...] = (), **details: int) -> None:
        """Start the relay, enter something, stop it; each checkpoint is copied."""
        database = await Database.open(f"sqlite:///{self.folder}/relay.db", Counters())
        journal = await Journal.open(database, signer, ORIGIN, self.file, self.clock, Counters(), earlier=earlier)
        for number in range(entries):
            self.clock.advance(60)
            event = {"event": "restored" if details else "sign-in", **details}
            await journal.append(Entry(Operation.CONNEXION, f"agent{number}", "operator", motive="rixe", details=event))
            self.kept.append(await journal.checkpoint())
        await journal.close()
        await database.close()

    async def check(
        self, outside: Mapping[str, bytes] | None = None, keys: tuple[bytes, ...] = (KEY.public_key,)
    ) -> JournalVerdict:
        database = await Database.open(f"sqlite:///{self.folder}/relay.db", Counters())
        try:
            return await verify_journal(database, self.file, keys, ORIGIN, self.clock.utc_ns(), outside)
        finally:
            await database.close()

    def forge(self, change: Callable[[sqlite3.Connection], None], signer: MemorySigner | None = KEY) -> None:
        """Change the SQLite file; with a signer, compute every hash anew and sign every checkpoint anew, here and beside."""
        connection = sqlite3.connect(self.folder / "relay.db")
        for name in ("journal_no_update", "journal_no_delete"):
            connection.execute(f"DROP TRIGGER IF EXISTS {name}")
        change(connection)
        tree = Tree()
        for leaf, salt, body in connection.execute("SELECT leaf, salt, body FROM journal ORDER BY leaf").fetchall():
            digest = leaf_hash(commitment(salt, body))
            connection.execute("UPDATE journal SET leaf_hash = ? WHERE leaf = ?", (digest, leaf))
            tree.append(digest)
        if signer is not None:
            self._sign_anew(connection, tree, signer)
        connection.commit()
        connection.close()

    def _sign_anew(self, connection: sqlite3.Connection, tree: Tree, signer: MemorySigner) -> None:
        notes = []
        for size, at_ns in connection.execute("SELECT size, at_ns FROM checkpoints ORDER BY size").fetchall():
            if size > tree.size:
                connection.execute("DELETE FROM checkpoints WHERE size = ?", (size,))
                continue
            notes.append(sign_checkpoint(Checkpoint(ORIGIN, size, tree.root(size), (rfc3339(at_ns),)), signer))
            connection.execute("UPDATE checkpoints SET note = ? WHERE size = ?", (notes[-1], size))
        self.file.write_text("".join(f"{note}\n" for note in notes))


@pytest.fixture
async def its(tmp_path: Path, clock: ManualClock) -> Installation:
    installation = Installation(tmp_path, clock)
    await installation.run(6)
    return installation


def file_of(*notes: str) -> bytes:
    return "".join(f"{note}\n" for note in notes).encode()


def reword(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE journal SET body = CAST(replace(CAST(body AS TEXT), 'agent3', 'agent9') AS BLOB) WHERE leaf = 4")


def cut(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM journal WHERE leaf >= 5")


def kinds(verdict: JournalVerdict) -> list[tuple[str, str]]:
    return [(answer.source, answer.kind) for answer in verdict.outside]


async def test_old_checkpoints_hold_and_the_answer_says_for_how_many_entries_and_since_when(its: Installation) -> None:
    verdict = await its.check({"usb": file_of(its.kept[2]), "all": file_of(*its.kept), "beside": its.file.read_bytes()})
    assert verdict.intact
    assert kinds(verdict) == [("usb", "holds"), ("all", "holds"), ("beside", "holds")]
    assert verdict.outside[0].detail.startswith("1 checkpoints hold: the first 4 entries are those that were signed on 20")


@pytest.mark.parametrize("change", [reword, cut])
async def test_a_journal_rewritten_and_signed_anew_is_intact_by_itself(its: Installation, change: Callable[..., None]) -> None:
    its.forge(change)
    assert (await its.check()).intact


async def test_a_rewritten_journal_that_the_relay_s_own_key_signed_anew_is_caught_by_one_old_checkpoint(
    its: Installation,
) -> None:
    its.forge(reword)
    verdict = await its.check({"early": file_of(its.kept[1]), "late": file_of(its.kept[3]), "both": file_of(*its.kept[:5])})
    assert not verdict.intact
    assert kinds(verdict) == [("early", "holds"), ("late", "forked"), ("both", "forked"), ("both", "forked"), ("both", "holds")]
    # Entry 4 was rewritten: the checkpoints of 4 and of 5 entries enclose it.
    assert "entries 4 to 4 are not those that were signed, yet this relay's key signed" in verdict.outside[1].detail


async def test_a_rewritten_journal_whose_signatures_were_taken_away_is_caught(its: Installation) -> None:
    def change(connection: sqlite3.Connection) -> None:
        reword(connection)
        connection.execute("DELETE FROM checkpoints WHERE size > 4")

    its.forge(change)
    verdict = await its.check({"late": file_of(its.kept[3])})
    assert kinds(verdict) == [("late", "rewritten")]


async def test_a_shortened_journal_is_caught_with_the_number_of_entries_that_are_gone(its: Installation) -> None:
    its.forge(cut)
    verdict = await its.check({"early": file_of(its.kept[1]), "late": file_of(its.kept[5])})
    assert kinds(verdict) == [("early", "holds"), ("late", "shortened")]
    assert verdict.outside[1].detail.startswith("was signed for 7 entries, and the journal has 5: 2 entries are gone")


async def test_a_journal_that_was_cut_and_went_on_is_another_history(its: Installation) -> None:
    its.forge(cut)
    await its.run(4)
    assert (await its.check()).intact
    verdict = await its.check({"early": file_of(its.kept[2]), "late": file_of(its.kept[5])})
    assert kinds(verdict) == [("early", "holds"), ("late", "forked")]


async def test_a_restore_that_lost_entries_is_a_finding_and_the_journal_s_own_words_stand_beside_it(its: Installation) -> None:
    its.forge(cut)
    await its.run(3, lost=2)
    verdict = await its.check({"late": file_of(its.kept[5])})
    assert kinds(verdict) == [("late", "forked")]
    assert "entry 6 says that a restore lost 2 entries" in verdict.outside[0].detail


async def test_two_histories_are_told_apart_from_either_side(its: Installation) -> None:
    honest = its.kept[3]
    its.forge(reword)
    forged = CheckpointFile(its.file).notes()[4]
    verdict = await its.check({"honest": file_of(honest), "forged": file_of(forged)})
    assert kinds(verdict) == [("honest", "forked"), ("forged", "holds")]


async def test_checkpoints_of_an_earlier_key_hold_for_their_time_and_prove_nothing_after_it(its: Installation) -> None:
    old = its.kept[2]
    await its.run(3, NEXT, (KEY.public_key,))
    keys = (NEXT.public_key, KEY.public_key)
    size = (await its.check(keys=keys)).size
    stolen = sign_checkpoint(Checkpoint(ORIGIN, size + 5, bytes(32), (rfc3339(0),)), KEY)
    verdict = await its.check({"old": file_of(old), "stolen": file_of(stolen), "new": file_of(its.kept[-1])}, keys)
    assert kinds(verdict) == [("old", "holds"), ("stolen", "late_key"), ("new", "holds")]
    assert kinds(await its.check({"new": file_of(its.kept[-1])})) == [("new", "foreign_key")]


async def test_what_is_no_checkpoint_of_this_journal_is_named_for_what_it_is(its: Installation) -> None:
    stranger = sign_checkpoint(Checkpoint(ORIGIN, 3, bytes(32)), STRANGER)
    other = sign_checkpoint(Checkpoint("relay.test/another", 3, bytes(32)), KEY)
    files = {"stranger": file_of(stranger), "other": file_of(other), "rubbish": b"\0\xff not a note", "empty": b""}
    assert kinds(await its.check(files)) == [
        ("stranger", "foreign_key"),
        ("other", "foreign_log"),
        ("rubbish", "unreadable"),
        ("empty", "unreadable"),
    ]


async def test_a_checkpoint_is_read_from_whatever_it_was_kept_in(its: Installation) -> None:
    note = its.kept[3]
    witness = note + "— witness.example/w " + "A" * 100 + "\n"
    database = await Database.open(f"sqlite:///{its.folder}/relay.db", Counters())
    journal = await Journal.open(database, KEY, ORIGIN, its.file, its.clock, Counters())
    proof = proofs_text(await journal.proofs([2]))
    await journal.close()
    await database.close()
    files = {
        "mailed": b"\xef\xbb\xbf" + note.replace("\n", "\r\n").encode(),
        "torn copy": file_of(*its.kept)[:-40],
        "witnessed": witness.encode(),
        "proof": proof,
    }
    verdict = await its.check(files)
    assert kinds(verdict) == [(name, "holds") for name in files]
    assert verdict.outside[2].detail.endswith("1 signatures of others were not checked")


async def test_a_long_file_of_findings_is_cut_short_and_counted(its: Installation) -> None:
    notes = [sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), STRANGER) for size in range(50)]
    verdict = await its.check({"many": file_of(*notes)})
    assert len(verdict.outside) == 21
    assert verdict.outside[-1].detail == "and 30 more of this file"


def test_notes_are_found_between_other_text() -> None:
    note = sign_checkpoint(Checkpoint(ORIGIN, 3, bytes(32)), KEY)
    assert notes_in(f"Subject: checkpoint\n\n{note}\n\nregards\n".encode()) == [note]
