"""Backup and restore: signed entries come back, no recording's key does, and a rolled-back journal is noticed."""

import io
import shutil
import sqlite3
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay.base.clock import ManualClock
from relay.base.counters import Counters
from relay.base.errors import Kind, TheirError
from relay.store.backup import Manifest, restore, take
from relay.store.database import Database
from relay.store.journal import Entry, Journal, Operation
from relay.store.journal_check import JournalVerdict, verify_journal
from relay.store.keyring import Keyring

ORIGIN = "relay.test/journal"
ONE, DAY = "1" * 32, "2026-12-22"


@dataclass
class Post:
    """A data folder with a running journal."""

    data: Path
    journal: Journal
    keyring: Keyring
    clock: ManualClock

    async def write(self, entries: int) -> None:
        for number in range(entries):
            self.clock.advance(1)
            await self.journal.append(Entry(Operation.CONNEXION, f"user-{number}", "operator"))
        await self.journal.checkpoint()

    def backup(self, out: Path) -> Manifest:
        return take(self.data, self.data / "relay.db", out, self.clock.utc_ns())


def everything(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def judge(data: Path) -> JournalVerdict:
    database = await Database.open(f"sqlite:///{data}/relay.db", Counters())
    try:
        key = (data / "keys/signing.pub").read_bytes()
        return await verify_journal(database, data / "journal/checkpoints", [key], ORIGIN, ManualClock().utc_ns())
    finally:
        await database.close()


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    data, clock, counters = tmp_path / "data", ManualClock(), Counters()
    data.mkdir()
    (data / "settings.toml").write_text(f'[evidence]\npublic_key = "{data}/keys/signing.pub"\n')
    keyring = Keyring(data / "keys")
    keyring.dtls_pem()
    database = await Database.open(f"sqlite:///{data}/relay.db", counters)
    journal = await Journal.open(database, keyring.signer, ORIGIN, data / "journal/checkpoints", clock, counters)
    yield Post(data, journal, keyring, clock)
    await journal.close()
    await database.close()


async def test_a_backup_taken_while_the_journal_is_written_comes_back_whole(post: Post, tmp_path: Path) -> None:
    await post.write(3)
    manifest = post.backup(tmp_path / "backup.tar")
    await post.write(2)
    fresh = tmp_path / "fresh"
    found = restore(tmp_path / "backup.tar", fresh, None, accept_loss=False)
    assert (found.lost, found.manifest) == (0, manifest)
    verdict = await judge(fresh)
    assert (verdict.intact, verdict.size) == (True, 4)
    assert Keyring(fresh / "keys").public_key == post.keyring.public_key
    assert (fresh / "settings.toml").read_text() == f'[evidence]\npublic_key = "{fresh}/keys/signing.pub"\n'
    assert (tmp_path / "backup.tar").stat().st_mode & 0o777 == 0o600
    assert not [path for path in fresh.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    assert {path.name for path in everything(tmp_path)} == {"data", "backup.tar", "fresh"}


async def test_no_recordings_key_is_in_a_backup_nor_comes_back(post: Post, tmp_path: Path) -> None:
    key = post.keyring.create_recording_key(ONE, DAY)
    secret = [key, *(path.read_bytes() for path in (post.data / "keys").rglob("*.key") if path.parent.name != "keys")]
    assert len(secret) == 3
    post.backup(tmp_path / "backup.tar")
    assert not [each for each in secret if each in (tmp_path / "backup.tar").read_bytes()]
    post.keyring.destroy_recording(ONE)
    (post.data / "relay.db").rename(tmp_path / "lost.db")
    restore(tmp_path / "backup.tar", post.data, None, accept_loss=False)
    assert Keyring(post.data / "keys").recordings() == {}
    (post.data / "relay.db").unlink()
    (tmp_path / "lost.db").rename(post.data / "relay.db")


async def test_a_restore_that_rolls_the_journal_back_is_noticed(post: Post, tmp_path: Path) -> None:
    await post.write(3)
    post.backup(tmp_path / "backup.tar")
    await post.write(5)
    left = tmp_path / "checkpoints-elsewhere"
    shutil.copy(post.data / "journal/checkpoints", left)
    fresh = tmp_path / "fresh"
    with pytest.raises(TheirError, match=r"5 signed journal entries .*4-8") as caught:
        restore(tmp_path / "backup.tar", fresh, left, accept_loss=False)
    assert caught.value.kind is Kind.CONFLICT
    assert not (fresh / "relay.db").exists()
    assert restore(tmp_path / "backup.tar", fresh, left, accept_loss=True).lost == 5


async def test_the_checkpoints_still_in_the_folder_reveal_a_roll_back_too(post: Post, tmp_path: Path) -> None:
    await post.write(3)
    post.backup(tmp_path / "backup.tar")
    await post.write(5)
    fresh = tmp_path / "fresh"
    (fresh / "journal").mkdir(parents=True)
    shutil.copy(post.data / "journal/checkpoints", fresh / "journal/checkpoints")
    with pytest.raises(TheirError, match="5 signed journal entries"):
        restore(tmp_path / "backup.tar", fresh, None, accept_loss=False)
    restore(tmp_path / "backup.tar", fresh, None, accept_loss=True)
    (kept,) = fresh.glob("journal/checkpoints.lost-*")
    assert kept.read_bytes() == (post.data / "journal/checkpoints").read_bytes()
    assert (await judge(fresh)).intact


async def test_sign_ins_do_not_come_back(post: Post, tmp_path: Path) -> None:
    with sqlite3.connect(post.data / "relay.db") as connection:
        connection.execute("INSERT INTO sessions VALUES ('digest', 'marie', 1, 2)")
    post.backup(tmp_path / "backup.tar")
    restore(tmp_path / "backup.tar", tmp_path / "fresh", None, accept_loss=False)
    assert sqlite3.connect(tmp_path / "fresh/relay.db").execute("SELECT count(*) FROM sessions").fetchone() == (0,)


async def test_a_database_or_another_installation_in_the_way_is_refused(post: Post, tmp_path: Path) -> None:
    post.backup(tmp_path / "backup.tar")
    with pytest.raises(TheirError, match="exists"):
        post.backup(tmp_path / "backup.tar")
    with pytest.raises(TheirError, match="exists"):
        restore(tmp_path / "backup.tar", post.data, None, accept_loss=False)
    (tmp_path / "other").mkdir()
    Keyring(tmp_path / "other" / "keys")
    with pytest.raises(TheirError, match="another installation"):
        restore(tmp_path / "backup.tar", tmp_path / "other", None, accept_loss=False)


async def test_a_damaged_or_strange_archive_is_refused_and_writes_nothing(post: Post, tmp_path: Path) -> None:
    post.backup(tmp_path / "backup.tar")
    whole = (tmp_path / "backup.tar").read_bytes()
    at = whole.index(post.keyring.public_key)
    strange = io.BytesIO()
    with tarfile.open(fileobj=strange, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../evil"))
    for number, bad in enumerate((whole[:at] + b"\0" + whole[at + 1 :], whole[:2000], b"", b"x" * 600, strange.getvalue())):
        path, fresh = tmp_path / f"bad-{number}", tmp_path / f"fresh-{number}"
        path.write_bytes(bad)
        with pytest.raises(TheirError) as caught:
            restore(path, fresh, None, accept_loss=False)
        assert caught.value.kind is Kind.INVALID
        assert list(fresh.iterdir()) == []
    assert not (tmp_path / "evil").exists()


async def test_a_backup_holds_the_successions_and_an_older_one_goes_under_the_key_that_followed(
    post: Post, tmp_path: Path
) -> None:
    await post.write(3)
    post.backup(tmp_path / "before.tar")
    await post.journal.checkpoint()
    old = post.keyring.public_key
    post.keyring.rotate_signing(5, "yearly")
    post.backup(tmp_path / "after.tar")
    restore(tmp_path / "after.tar", tmp_path / "fresh", None, accept_loss=False)
    assert Keyring(tmp_path / "fresh/keys").earlier_keys() == [old]
    (post.data / "relay.db").rename(tmp_path / "lost.db")
    restore(tmp_path / "before.tar", post.data, None, accept_loss=False)
    assert Keyring(post.data / "keys").earlier_keys() == [old]
    (tmp_path / "fresh/keys/successions").unlink()
    (tmp_path / "fresh/relay.db").unlink()
    with pytest.raises(TheirError, match="another signing key"):
        restore(tmp_path / "before.tar", tmp_path / "fresh", None, accept_loss=False)
    (post.data / "relay.db").unlink()
    (tmp_path / "lost.db").rename(post.data / "relay.db")
