"""`relay keys` as an administrator types it: split, lose the key, combine, rotate; each of them an entry in the journal."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Scene
from tests.support.relay import RelayUnderTest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


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
