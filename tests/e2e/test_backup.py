"""A backup of a running relay, restored into a fresh folder, is a relay again: people, cameras, journal; no recording's key."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Scene
from tests.support.relay import PASSWORD, RelayUnderTest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


async def test_round_trip_of_a_running_relay(scene: Scene, tmp_path: Path) -> None:
    async with scene.simulated("cam1"), scene.person("marie") as marie:
        await marie.sees_live("cam1")
        scene.relay.run("backup", str(tmp_path / "backup.tar"))
        await marie.sees_live("cam1")
    (recording,) = scene.relay.recordings()
    assert await scene.relay.stop() == 0
    archive = (tmp_path / "backup.tar").read_bytes()
    secret = [path.read_bytes() for kind in ("days", "wrapped") for path in (scene.relay.data / "keys" / kind).rglob("*.key")]
    assert secret
    assert not [each for each in secret if each in archive]
    fresh = RelayUnderTest(tmp_path / "fresh")
    rolled_back = ("restore", str(tmp_path / "backup.tar"), "--checkpoints", str(scene.relay.data / "journal" / "checkpoints"))
    assert "signed journal entries are newer" in fresh.run_any(*rolled_back).stderr.replace("\n", " ")
    assert not (fresh.data / "relay.db").exists()
    fresh.run(*rolled_back, "--accept-loss", "the disk of 12 March")
    fresh.run("journal", "verify")
    found = fresh.run("check", "--json", expect=1)
    assert recording.name in found
    assert "key_missing" in found
    again = Scene(fresh, scene.tokens, {**scene.passwords, "marie": PASSWORD})
    try:
        await fresh.start()
        async with again.person("marie") as marie, again.simulated("cam1"):
            await marie.sees_live("cam1")
        assert await fresh.stop() == 0
    finally:
        await fresh.discard()
    (made,) = fresh.recordings()
    code, verdict = scene.relay.verify(made)
    assert code == 0, verdict
