"""`relay journal` and `relay check --export` as they are typed, and a proof in the hands of somebody who has no relay."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.app.offline import enter
from relay.app.settings import settings_of
from relay.evidence.keys import public_key_from
from relay.evidence.log import Checkpoint, Tree, commitment, leaf_hash, sign_checkpoint
from relay.evidence.readings import content_digest
from relay.evidence.seal import MemorySigner, sha256
from relay.evidence.standalone import single_file
from relay.store.keyring import Keyring
from tests.support.recordings import build
from tests.support.relay import PASSWORD, RelayUnderTest, signed_in

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[RelayUnderTest]:
    """A relay that ran for a moment and stands still; `aude` is an auditor."""
    relay = RelayUnderTest(tmp_path / "data")
    relay.init()
    first = relay.add_user("aude", "auditor")
    await relay.start()
    async with signed_in(relay, "aude", first):
        pass
    assert await relay.stop() == 0
    yield relay
    await relay.discard()


def _journal(relay: RelayUnderTest, *arguments: str, expect: int) -> str:
    done = relay.run_any("journal", *arguments)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def _forge(data: Path) -> None:
    """Rewrite an entry as root could: rows, hashes, and every checkpoint signed anew with the relay's own key."""
    signer = Keyring(data / "keys").signer
    connection = sqlite3.connect(data / "relay.db")
    for name in ("journal_no_update", "journal_no_delete"):
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("UPDATE journal SET body = CAST(replace(CAST(body AS TEXT), '\"aude\"', '\"zoe\"') AS BLOB)")
    tree, notes = Tree(), []
    for leaf, salt, body in connection.execute("SELECT leaf, salt, body FROM journal ORDER BY leaf").fetchall():
        digest = leaf_hash(commitment(salt, body))
        connection.execute("UPDATE journal SET leaf_hash = ? WHERE leaf = ?", (digest, leaf))
        tree.append(digest)
    for size, note in connection.execute("SELECT size, note FROM checkpoints ORDER BY size").fetchall():
        origin, _, _, time = note.split("\n")[:4]
        notes.append(sign_checkpoint(Checkpoint(origin, size, tree.root(size), (time,)), signer))
        connection.execute("UPDATE checkpoints SET note = ? WHERE size = ?", (notes[-1], size))
    connection.commit()
    connection.close()
    (data / "journal" / "checkpoints").write_text("".join(f"{note}\n" for note in notes))


async def test_one_checkpoint_kept_elsewhere_catches_a_forger_who_has_the_relay_s_key(
    relay: RelayUnderTest, tmp_path: Path
) -> None:
    kept, rubbish = tmp_path / "kept", tmp_path / "rubbish"
    kept.write_bytes((relay.data / "journal" / "checkpoints").read_bytes())
    rubbish.write_bytes(b"\0\1\2")
    assert "HOLDS" in _journal(relay, "verify", "--checkpoint", str(kept), expect=0)
    assert "UNREADABLE" in _journal(relay, "verify", "--checkpoint", str(kept), "--checkpoint", str(rubbish), expect=2)
    _journal(relay, "verify", "--checkpoint", str(tmp_path / "nowhere"), expect=2)
    _journal(relay, "verify", "--nonsense", expect=3)
    _forge(relay.data)
    assert "intact" in _journal(relay, "verify", expect=0)
    said = _journal(relay, "verify", "--checkpoint", str(kept), expect=1)
    assert "FORKED" in said
    # The finding counts, whatever else cannot be read.
    _journal(relay, "verify", "--checkpoint", str(rubbish), "--checkpoint", str(kept), expect=1)
    answers = json.loads(relay.run_any("journal", "verify", "--checkpoint", str(kept), "--json").stdout)["outside"]
    assert {answer["answer"] for answer in answers} >= {"forked"}


async def test_a_copy_without_private_keys_is_verified_under_a_key_from_elsewhere(
    relay: RelayUnderTest, tmp_path: Path
) -> None:
    public = public_key_from((relay.data / "keys" / "signing.pub").read_bytes()).hex()
    copy = relay.copy(tmp_path / "copy")
    for path in (copy.data / "keys").iterdir():
        if path.is_file() and path.name != "signing.pub":
            path.unlink()
    done = copy.run_any("journal", "verify", "--data", str(copy.data), "--key", public)
    assert done.returncode == 0, done.stdout + done.stderr
    stranger = MemorySigner(bytes(32)).public_key.hex()
    assert copy.run_any("journal", "verify", "--data", str(copy.data), "--key", stranger).returncode == 1
    assert not (copy.data / "keys" / "signing.key").exists()


async def test_an_entry_is_proved_to_somebody_who_has_no_relay(relay: RelayUnderTest, tmp_path: Path) -> None:
    proof, public = tmp_path / "proof.tlog-proof", relay.data / "keys" / "signing.pub"
    command = ("journal", "prove", "1", str(proof), "--user", "aude")
    done = relay.run_any(*command, stdin=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert relay.run_any(*command, stdin=f"{PASSWORD}\n").returncode == 2, "never written over"
    refused = relay.run_any("journal", "prove", "1", str(tmp_path / "no"), "--user", "aude", stdin="wrong password\n")
    assert refused.returncode not in (0, 1)
    assert not (tmp_path / "no").exists()
    wal = relay.data / "relay.db-wal"
    assert b"proof of leaf 1" in (relay.data / "relay.db").read_bytes() + (wal.read_bytes() if wal.exists() else b"")
    assert "PROVED: entry 1" in _journal(relay, "verify-proof", str(proof), "--key", str(public), "--lang", "en", expect=0)
    assert "NOT PROVED" in _journal(relay, "verify-proof", str(proof), "--lang", "en", expect=1)
    _journal(relay, "verify-proof", str(proof), "--key", MemorySigner(bytes(32)).public_key.hex(), expect=1)
    _journal(relay, "verify-proof", str(public), "--key", str(public), expect=2)
    _journal(relay, "verify-proof", str(tmp_path / "nowhere"), "--key", str(public), expect=2)
    assert "HOLDS" in _journal(relay, "verify", "--checkpoint", str(proof), expect=0)
    verifier = tmp_path / "verify.py"
    verifier.write_text(single_file(), encoding="utf-8")
    for flags, code, words in (
        (("--key", str(public)), 0, "PROUVÉE : inscription 1"),
        ((), 1, "NON PROUVÉE"),
        (("--key", str(proof)), 2, "illisible"),
    ):
        call = [sys.executable, "-I", str(verifier), str(proof), *flags, "--lang", "fr"]
        said = await asyncio.to_thread(subprocess.run, call, capture_output=True, text=True, cwd="/", timeout=60, check=False)
        assert (said.returncode, words in said.stdout + said.stderr) == (code, True), said.stdout + said.stderr


async def test_what_was_delivered_is_recognised_and_anything_else_is_not(relay: RelayUnderTest, tmp_path: Path) -> None:
    built, archive = build("SIPPPIPE"), tmp_path / "export.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, data in built.export().items():
            file.writestr(f"{built.recording}/{name}", data)
    content = content_digest({name: sha256(data) for name, data in built.export().items()})
    digest = sha256(archive.read_bytes()).hex()
    settings = settings_of(None, relay.data)
    await enter(settings, "extraction delivered", "test", export="e1", sha256=digest, content=content)

    def asked(path: Path) -> tuple[int, str]:
        done = relay.run_any("check", "--export", str(path))
        return done.returncode, done.stdout + done.stderr

    code, said = asked(archive)
    assert (code, "every byte of the archive" in said) == (0, True), said
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in sorted(built.export().items(), reverse=True):
            file.writestr(name, data)
    code, said = asked(packed)
    assert (code, "every file is as it was delivered" in said) == (0, True), said
    with zipfile.ZipFile(packed, "a") as file:
        file.writestr("more.pdf", b"x")
    code, said = asked(packed)
    assert (code, "NOT what was delivered" in said) == (1, True), said
    (tmp_path / "rubbish.zip").write_bytes(b"PK no zip")
    assert asked(tmp_path / "rubbish.zip")[0] == 2
    assert asked(tmp_path / "nowhere.zip")[0] == 2
    connection = sqlite3.connect(relay.data / "relay.db")
    connection.execute("DROP TRIGGER journal_no_update")
    connection.execute("UPDATE journal SET body = CAST(replace(CAST(body AS TEXT), 'aude', 'zoe') AS BLOB)")
    connection.commit()
    connection.close()
    code, said = asked(archive)
    assert (code, "the journal itself is not what was signed" in said) == (1, True), said
