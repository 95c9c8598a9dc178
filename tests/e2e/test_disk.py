"""A disk that has no more room, with a whole relay, a camera and somebody at the page; and how it all comes back."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Scene
from tests.support.chromium import until
from tests.support.relay import PASSWORD
from tests.support.room import Room, room

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

MIB = 1 << 20
ROOM, FILLER = 2048 * MIB, 3072 * MIB
"""Left to the recordings, and taken away from them: far more than what else writes to this disk meanwhile."""


@pytest.fixture
async def small(installed: Scene, tmp_path: Path) -> AsyncIterator[Scene]:
    """A relay to whose recordings two GiB of the disk are left."""
    keep = (shutil.disk_usage(tmp_path).free - ROOM) // MIB
    assert keep > FILLER // MIB, f"6 GB of room are needed below {tmp_path}"
    environment = {"RELAY_RECORDER__KEEP_FREE_MB": str(keep), "RELAY_RECORDER__RECORD_GRACE": "2"}
    relay = installed.relay.copy(tmp_path / "data", environment)
    try:
        await relay.start()
        yield Scene(relay, installed.tokens, installed.passwords)
    finally:
        await relay.discard()


def fill(path: Path) -> None:
    """Take the room away."""
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, FILLER)


async def rec(page: Room, state: str) -> None:
    """Wait until the tile says so of the recording."""
    await page.page.locator(f'[data-testid="rec"][data-rec="{state}"]').wait_for()


async def test_a_full_disk_ends_what_cannot_be_recorded_and_room_brings_it_back(small: Scene, tmp_path: Path) -> None:
    filler = tmp_path / "filler"
    async with small.person("marie") as marie, small.simulated("cam1"), room(small.relay.url) as page:
        await marie.sees_live("cam1")
        await page.answer("cam1", "marie", PASSWORD)
        await rec(page, "recording")
        (first,) = small.relay.recordings()
        fill(filler)
        await page.page.locator('[data-testid="disk"][data-state="full"]').wait_for()

        async def ended() -> bool:
            return bool((await marie.camera("cam1"))["state"] not in ("live", "frozen"))

        await until(ended, 90, "the transmission to end")
        assert await marie.intervention("written while the disk is full"), "the journal has its own room"
        filler.unlink()
        await marie.sees_live("cam1")
        await page.shows("cam1", "live")
        await rec(page, "recording")
        await page.part("disk").wait_for(state="detached")
        await small.relay.sealed(small.relay.recordings()[-1])
    assert await small.relay.stop() == 0
    assert len(small.relay.recordings()) == 2
    for folder in (first, small.relay.recordings()[-1]):
        code, verdict = small.relay.verify(folder)
        assert code == 0, verdict
    small.relay.run("journal", "verify")
    assert "agree" in small.relay.run("check")
