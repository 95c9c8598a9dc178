"""`relay keys` as an administrator types it: split, lose the key, combine, rotate; each of them an entry in the journal."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Scene
from tests.support.relay import PASSWORD, RelayUnderTest, signed_in

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def typed(relay: RelayUnderTest, text: str, *arguments: str) -> int:
    return relay.run_any(*arguments, stdin=text).returncode


async def test_split_lose_combine_rotate(scene: Scene) -> None:
    relay = scene.relay
    async with scene.simulated("cam1"), scene.person("marie") as marie:
        await marie.sees_live("cam1")
        assert "another process is running" in relay.run_any("keys", "rotate-kek", "--reason", "x").stderr
    assert await relay.stop() == 0
    before = (relay.data / "keys" / "kek.key").read_bytes()
    shares = relay.run("keys", "split", "--needed", "2", "--shares", "3").splitlines()
    assert [len(share.split()) for share in shares] == [33, 33, 33]
    assert not [path for path in relay.data.rglob("*") if path.is_file() and shares[0].encode() in path.read_bytes()]
    (relay.data / "keys" / "kek.key").unlink()
    assert "OPERATING.md" in relay.run_any("check").stderr
    assert typed(relay, shares[0], "keys", "combine") == 64
    assert typed(relay, f"{shares[2]}\n{shares[0]}\n", "keys", "combine") == 0
    assert (relay.data / "keys" / "kek.key").read_bytes() == before
    relay.run("check")
    relay.run("keys", "rotate-kek", "--reason", "a share was lost")
    assert (relay.data / "keys" / "kek.key").read_bytes() != before
    assert typed(relay, "\n".join(shares), "keys", "combine") != 0
    relay.run("check")
    relay.run("journal", "verify")
    database = (relay.data / "relay.db").read_bytes()
    for event in (
        b"key-encryption key split",
        b"key-encryption key combined",
        b"key-encryption key rotated",
        b"a share was lost",
    ):
        assert event in database
    (folder,) = relay.recordings()
    assert relay.verify(Path(folder))[0] == 0


async def test_a_new_signing_key_takes_over_and_everything_before_it_still_verifies(scene: Scene, tmp_path: Path) -> None:
    relay = scene.relay
    old = (relay.data / "keys" / "signing.pub").read_bytes()
    async with scene.simulated("cam1"), scene.person("marie") as marie:
        await marie.sees_live("cam1")
        await relay.sealed(relay.recordings()[0])
        assert "another process is running" in relay.run_any("keys", "rotate-signing", "--reason", "x").stderr
    assert await relay.stop() == 0
    assert old.hex() not in relay.run("keys", "rotate-signing", "--reason", "yearly")
    relay.run("journal", "verify")
    relay.run("check")
    await relay.start()
    async with scene.simulated("cam2"), signed_in(relay, "marie", PASSWORD) as marie:
        await marie.sees_live("cam2")
        await relay.sealed(relay.recordings()[1])
        before, after = relay.recordings()
        verdict = await marie.call("POST", f"/api/recordings/{before.name}/verify", expect=200)
        assert verdict["origin"] == "proved"
    assert await relay.stop() == 0
    relay.run("journal", "verify")
    relay.run("check")
    config = ("--config", str(relay.data / "settings.toml"))
    for folder in (before, after):
        relay.run("verify", str(folder), *config)
    papers = relay.data / "keys" / "successions"
    assert relay.verify(before)[1]["origin"] == "not proved"
    code, verdict = relay.verify(before, "--successions", str(papers))
    assert (code, verdict["origin"]) == (0, "proved")
    assert relay.verify(after)[0] == 0
    relay.run("verify", str(after), "--key", old.hex(), "--successions", str(papers), expect=1)
    alone = tmp_path / "verify.py"
    relay.run("verify", "--emit-standalone", str(alone))
    key = (relay.data / "keys" / "signing.pub").read_bytes().hex()
    for arguments, expected in ((["--successions", str(papers)], 0), ([], 1)):
        command = ["-I", str(alone), str(before), "--key", key, *arguments]
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.DEVNULL)
        assert await process.wait() == expected
    for event in (b"signing key to be followed", b"signing key rotated", b"yearly"):
        assert event in (relay.data / "relay.db").read_bytes()


async def test_what_a_thief_seals_with_a_revoked_key_is_of_no_proved_origin(scene: Scene, tmp_path: Path) -> None:
    relay = scene.relay
    async with scene.simulated("cam1"), scene.person("marie") as marie:
        await marie.sees_live("cam1")
        await relay.sealed(relay.recordings()[0])
    assert await relay.stop() == 0
    (genuine,) = relay.recordings()
    old = (relay.data / "keys" / "signing.pub").read_bytes().hex()
    thief = Scene(relay.copy(tmp_path / "thief"), scene.tokens, scene.passwords)
    await thief.relay.start()
    try:
        async with thief.simulated("cam2"), signed_in(thief.relay, "marie", PASSWORD) as marie:
            await marie.sees_live("cam2")
            await thief.relay.sealed(thief.relay.recordings()[1])
        assert await thief.relay.stop() == 0
    finally:
        await thief.relay.discard()
    forged = str(thief.relay.recordings()[1])
    config = ("--config", str(relay.data / "settings.toml"))
    assert relay.run_any("keys", "revoke", "--key", old, "--why", "stolen").returncode != 0
    relay.run("keys", "rotate-signing", "--reason", "stolen")
    relay.run("verify", forged, *config)
    relay.run("keys", "revoke", "--key", old, "--why", "stolen")
    assert "already" in relay.run_any("keys", "revoke", "--key", old, "--why", "again").stderr
    relay.run("verify", str(genuine), *config)
    verdict = json.loads(relay.run("verify", forged, *config, "--json", expect=1))
    assert (verdict["origin"], verdict["integrity"]) == ("not proved", "intact as stored")
    assert [finding["code"] for finding in verdict["findings"]] == ["key_revoked"]
    # An expert who has the new key only: he is warned, and learns of it by the list that he asks for.
    papers, listing = ("--successions", str(relay.data / "keys" / "successions")), tmp_path / "revocations"
    code, verdict = relay.verify(Path(forged), *papers)
    assert (code, "revocation_unchecked" in [note["code"] for note in verdict["notes"]]) == (0, True)
    for path, expected in ((Path(forged), ["key_revoked"]), (genuine, [])):
        relay.run("keys", "revocations", relay.verify(path, *papers)[1]["head"], str(listing))
        verdict = relay.verify(path, *papers, "--revocations", str(listing))[1]
        assert [finding["code"] for finding in verdict["findings"]] == expected
    relay.run("journal", "verify")
    await relay.start()
    async with signed_in(relay, "marie", PASSWORD) as marie:
        assert (await marie.call("POST", f"/api/recordings/{genuine.name}/verify", expect=200))["origin"] == "proved"
