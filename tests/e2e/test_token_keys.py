"""A relay whose long-term keys never leave a token: set up, recorded, verified, played; and nothing without the token."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.conftest import Scene
from tests.support.chromium import until
from tests.support.relay import RelayUnderTest
from tests.support.softhsm import PIN, SoftHsm

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def test_keys_in_a_token_from_init_to_playback(tmp_path: Path) -> None:
    hsm = SoftHsm(tmp_path / "hsm")
    hsm.prepare()
    hsm.add("relay")
    relay = RelayUnderTest(tmp_path / "data", hsm.settings("relay"))
    relay.init()
    for name in ("kek.key", "signing.key"):
        assert (relay.data / "keys" / name).read_bytes().startswith(b"pkcs11:")
    scene = Scene(relay, {"cam1": relay.enrol("cam1")}, {"marie": relay.add_user("marie", "commander")})
    try:
        await relay.start()
        for process in ("worker", "recorder"):
            (pid,) = relay.pids(process)
            assert PIN.encode() not in environment_of(pid)
        async with scene.person("marie") as marie:
            async with scene.simulated("cam1"):
                await marie.sees_live("cam1")
                (folder,) = relay.recordings()
                await until(lambda: _grown(folder), 90, "a recording of some size")
            intervention = await marie.call("GET", "/api/interventions")
            for each in intervention["interventions"]:
                await marie.call("POST", f"/api/interventions/{each['intervention']}/join", {"motive": "clôture"})
                await marie.call("POST", f"/api/interventions/{each['intervention']}/close")

            async def closed() -> bool:
                found = await marie.call("GET", f"/api/recordings/{folder.name}")
                return bool(found["state"] == "closed")

            await until(closed, 90, "the recording to be closed")
            opened = await marie.call("POST", f"/api/recordings/{folder.name}/views", {"motive": "procédure 12"})
            playlist = await marie.read(opened["playlist"])
            assert playlist.startswith(b"#EXTM3U")
            media = next(line for line in playlist.decode().splitlines() if line.endswith(".m4s"))
            assert b"moof" in await marie.read(opened["playlist"].rpartition("/")[0] + "/" + media)
        assert await relay.stop() == 0
    finally:
        await relay.discard()
    code, verdict = relay.verify(folder)
    assert code == 0, verdict
    relay.run("journal", "verify")
    relay.run("check")
    assert not [path for path in relay.data.rglob("*") if path.is_file() and PIN.encode() in path.read_bytes()]
    stolen = RelayUnderTest(relay.data, {"SOFTHSM2_CONF": str(hsm.conf), "TOKEN_PIN": "0" * 8})
    assert stolen.run_any("check").returncode not in (0, 1)


async def _grown(folder: Path) -> bool:
    return await asyncio.to_thread(lambda: sum(path.stat().st_size for path in folder.glob("*.seg"))) > 100_000
