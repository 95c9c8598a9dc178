"""One picture of the wall (`scripts/screenshot`): a relay of its own, four simulated cameras, a commander, Chromium.

Owns: the scene and the size of the file.  Must never know: the relay's inside: it uses it as a stranger would.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.chromium import until
from tests.support.relay import PASSWORD, RelayUnderTest, signed_in
from tests.support.room import Room, room

CAMERAS = ("pm-11", "pm-12", "pm-13", "pm-14")
MAX_BYTES = 195_000
PICTURE = ("--size", "960x540", "--fps", "20", "--bitrate", "1500000")
SECONDS = 12
"""How long the wall plays before the picture is taken: encoders need some seconds to become sharp."""


@dataclass(frozen=True)
class Words:
    """What people wrote, in the language of the page."""

    locale: str
    patrol: str
    motive: str


LANGUAGES = {
    "en": Words("en-GB", "Patrol", "assistance to the patrol"),
    "fr": Words("fr-FR", "Patrouille", "assistance à la patrouille"),
}


@contextlib.asynccontextmanager
async def filming(relay: RelayUnderTest, tokens: dict[str, str], footage: Path) -> AsyncIterator[None]:
    """Run the four cameras; the last one plays real footage."""
    path = relay.data / "tokens"
    path.write_text("".join(f"{camera} {token}\n" for camera, token in tokens.items()))
    options = ("--url", relay.url, "--tokens", str(path), "--footage", f"{[*tokens][-1]}={footage}", *PICTURE)
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "sim_cameras", *options)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def show_all(page: Room, motive: str) -> None:
    """Answer every alarm by keyboard, the first with a motive, until each camera plays on the wall."""
    await page.part("alarm").first.wait_for()
    await page.part("interventions").wait_for()
    await page.type("a", motive, "Enter")
    for camera in CAMERAS:

        async def placed(camera: str = camera) -> bool:
            if await page.tile(camera) is None and await page.part("alarm").count():
                await page.type("a")
                await asyncio.sleep(0.5)
            return await page.tile(camera) is not None

        await until(placed, 90, f"{camera} to stand on the wall")
    await page.type("Escape")  # all tiles of one size
    for camera in CAMERAS:
        await page.shows(camera, "live")


async def write(page: Room, out: Path) -> None:
    """Write the picture as JPEG, in the best quality that stays under `MAX_BYTES`; raises ValueError where none does."""
    for quality in range(90, 30, -5):
        taken = await page.page.screenshot(type="jpeg", quality=quality)
        if len(taken) < MAX_BYTES:
            out.write_bytes(taken)
            print(f"{out}: {len(taken)} bytes, quality {quality}")
            return
    raise ValueError(f"no quality brings the picture under {MAX_BYTES} bytes")


async def take(out: Path, footage: Path, words: Words) -> None:
    """Set up a relay, film, and take the picture."""
    with tempfile.TemporaryDirectory(prefix="wall-") as folder:
        relay = RelayUnderTest(Path(folder) / "data")
        relay.init()
        tokens = {camera: relay.enrol(camera, label=f"{words.patrol} {number}") for number, camera in enumerate(CAMERAS, 1)}
        password = relay.add_user("marie", "commander")
        await relay.start()
        try:
            async with filming(relay, tokens, footage), room(relay.url, words.locale) as page:
                async with signed_in(relay, "marie", password) as marie:
                    for camera in CAMERAS:
                        await marie.sees_live(camera)
                await page.sign_in("marie", PASSWORD)
                await show_all(page, words.motive)
                await asyncio.sleep(SECONDS)
                await write(page, out)
        finally:
            await relay.discard()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="scripts/screenshot", description=__doc__)
    parser.add_argument("out", type=Path, help="JPEG file to write")
    parser.add_argument("--footage", type=Path, required=True, help="film of the last camera")
    parser.add_argument("--language", choices=LANGUAGES, default="en", help="of the page")
    options = parser.parse_args()
    asyncio.run(take(options.out, options.footage, LANGUAGES[options.language]))


if __name__ == "__main__":
    main()
