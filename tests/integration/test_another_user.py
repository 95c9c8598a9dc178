"""A relay of a user that is not root, as it is installed: it starts, records, proves its recording, and stops, in its cage."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chromium import until
from tests.support.relay import RelayUnderTest, as_user

USER = 61_234
"""An id that no account has."""
CHECKOUT = Path(__file__).parents[2]


def _why_not() -> str:
    """Return why this cannot be tried here, empty where it can."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("setpriv") is None:
        return "only root can run a relay as another user, by setpriv"
    what = "import sys; open(sys.executable).close(); import relay.app.cli"
    tried = subprocess.run([*as_user(USER), sys.executable, "-c", what], cwd=CHECKOUT, capture_output=True, check=False)
    return "" if tried.returncode == 0 else f"user {USER} cannot read this interpreter or checkout"


@pytest.fixture
def relay() -> Iterator[RelayUnderTest]:
    reason = _why_not()
    if reason:
        pytest.skip(reason)
    # The folder that pytest makes is closed to other users.
    home = Path(tempfile.mkdtemp(prefix="relay-of-another-"))
    try:
        os.chown(home, USER, USER)
        closed = home / "closed"
        closed.mkdir(mode=0o700)
        # Python searches a folder that this user cannot reach, too.
        searched = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(closed / "modules"))))
        yield RelayUnderTest(home / "data", {"HOME": str(home), "PYTHONPATH": searched}, user=USER)
    finally:
        shutil.rmtree(home)


@pytest.mark.timeout(240)
async def test_a_relay_that_is_not_root_records_and_proves_it_in_its_cage(relay: RelayUnderTest) -> None:
    relay.init()
    token = relay.enrol("cam-1")
    try:
        await relay.start()
        for name in ("supervisor", "control", "worker", "recorder"):
            (pid,) = relay.pids(name)
            status = _status(pid)
            assert status["Uid"].split() == [str(USER)] * 4
            assert (status["Seccomp"], status["NoNewPrivs"], int(status["CapEff"], 16)) == ("2", "1", 0), name
        await _record(relay, token)
        assert await relay.stop() == 0
    finally:
        await relay.discard()
    (recording,) = relay.recordings()
    code, verdict = relay.verify(recording)
    assert code == 0, verdict
    assert relay.run("check").strip() == "vault, catalogue, keys and journal agree"
    made = [path.lstat() for path in relay.data.rglob("*") if path.name != "serve.log"]
    assert {(found.st_uid, found.st_mode & 0o077) for found in made} == {(USER, 0)}


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


async def _record(relay: RelayUnderTest, token: str) -> None:
    """Run a simulated camera, also as that user, until some of it is sealed."""
    tokens = relay.data / "tokens"
    tokens.write_text(f"cam-1 {token}\n")
    tokens.chmod(0o600)
    os.chown(tokens, USER, USER)
    small = ("--size", "320x180", "--fps", "15", "--bitrate", "200000")
    camera = await asyncio.create_subprocess_exec(
        *as_user(USER), sys.executable, "-m", "sim_cameras", "--url", relay.url, "--tokens", str(tokens), *small, cwd=CHECKOUT
    )
    try:

        async def recorded() -> bool:
            return bool(relay.recordings())

        await until(recorded, 60, "a recording")
        await relay.sealed(relay.recordings()[0])
    finally:
        camera.terminate()
        await camera.wait()
