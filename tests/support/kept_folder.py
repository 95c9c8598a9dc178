"""Data folders that earlier versions of the relay left behind: packed in `tests/upgrade`, unpacked and opened by a test.

Owns how such a folder is put on disk, on which day it is opened, and what is asked of the relay that opens it.  Must never
import the relay: it is used as a stranger would use it.
"""

import asyncio
import contextlib
import hashlib
import io
import json
import os
import re
import sqlite3
import sys
import tarfile
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import av

from tests.support.another_day import another_day
from tests.support.chromium import until
from tests.support.relay import Person, RelayUnderTest, signed_in

FOLDER = Path(__file__).parents[1] / "upgrade"
AT = "/srv/relay"
"""Where a packed folder says that it stands."""
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
SMALL = ("--size", "160x90", "--fps", "10", "--bitrate", "50000")
WHY = {"motive": "relecture de la patrouille"}
COOKIE = "relay_session"
MANY_SIGN_INS = {"RELAY_HTTP__SIGN_IN_BURST": "100"}
"""Everybody sits at one address here."""


@dataclass(frozen=True)
class Kept:
    """A packed data folder and what is known about it."""

    archive: Path
    facts: dict[str, Any]

    def unpack(self, data: Path) -> None:
        """Put the folder on disk, as an administrator moves it: the settings name the new place."""
        with tarfile.open(self.archive) as packed:
            if hasattr(tarfile, "tar_filter"):  # Debian 12's Python 3.11.2 has no filters yet
                packed.extraction_filter = tarfile.tar_filter
            packed.extractall(data)
        settings = data / "settings.toml"
        settings.write_text(settings.read_text().replace(AT, str(data)))

    @contextlib.asynccontextmanager
    async def opened(self, folder: Path, later_ns: int = MINUTE_NS) -> AsyncIterator["Opened"]:
        """Run a relay on the folder, so much later than the old one died; it must end in order.

        The folder is unpacked when it is opened for the first time.
        """
        data = folder / "data"
        if not data.exists():
            self.unpack(data)
        environment = another_day(folder / "another-day", self.facts["made_ns"] + later_ns)
        relay = RelayUnderTest(data, environment | MANY_SIGN_INS)
        try:
            await relay.start()
            yield Opened(self.facts, relay, environment)
            assert await relay.stop() == 0
        finally:
            await relay.discard()


@dataclass(frozen=True)
class Opened:
    """A relay that runs on a kept folder."""

    facts: dict[str, Any]
    relay: RelayUnderTest
    environment: dict[str, str]

    def person(self, user: str) -> contextlib.AbstractAsyncContextManager[Person]:
        """Sign somebody in with the password of before."""
        return signed_in(self.relay, user, self.facts["password"])

    @contextlib.asynccontextmanager
    async def signed_in_before(self) -> AsyncIterator[Person]:
        """Go on with the sign-in of before."""
        found = self.facts["sign_in"]
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookies={COOKIE: found["cookie"]}, cookie_jar=jar) as http:
            yield Person(self.relay, http, found["csrf"])

    def camera(self, camera: str) -> contextlib.AbstractAsyncContextManager[asyncio.subprocess.Process]:
        """Let a camera press its button and publish with its token of before."""
        return pressing(self.relay, camera, self.facts["cameras"][camera], self.environment)

    def of(self, kind: str) -> dict[str, Any]:
        """Return what is known of a recording."""
        return dict(self.facts["recordings"][kind])


@contextlib.asynccontextmanager
async def pressing(
    relay: RelayUnderTest, camera: str, token: str, environment: dict[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Let a simulated camera press its button and publish, small and slow."""
    tokens = relay.data.with_name(f"token-{camera}")
    tokens.write_text(f"{camera} {token}\n")
    arguments = ("-m", "sim_cameras", "--url", relay.url, "--tokens", str(tokens), *SMALL)
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=os.environ | (environment or {}))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(20):
            await process.wait()


def kept(name: str) -> Kept:
    """Return the packed folder of this name."""
    return Kept(FOLDER / f"{name}.tar.xz", json.loads((FOLDER / f"{name}.json").read_text()))


async def closed(person: Person, recording: str) -> dict[str, Any]:
    """Wait until a recording is closed; return it as the catalogue shows it."""

    async def so() -> bool:
        return bool((await person.call("GET", f"/api/recordings/{recording}"))["state"] == "closed")

    await until(so, 30, "the recording to be closed")
    return dict(await person.call("GET", f"/api/recordings/{recording}"))


def lasting_facts(shown: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a recording in the catalogue that must never change any more."""
    names = ("reason", "recovered", "links", "gaps", "duration_s", "stored_bytes", "started_at", "expires_on", "regime", "held")
    return {**{name: shown[name] for name in names}, "segments": len(shown["segments"])}


def judged(relay: RelayUnderTest, recording: str) -> dict[str, Any]:
    """Verify a recording as an administrator does, with the keys of the installation; return what the verdict comes to."""
    done = relay.run_any("verify", str(relay.data / "vault" / recording), "--data", str(relay.data), "--json")
    assert done.returncode in (0, 1), done.stderr
    verdict = json.loads(done.stdout)
    answers = {name: verdict[name] for name in ("integrity", "completeness", "origin", "time", "fragments")}
    return {"exit": done.returncode, **answers, "findings": [each["code"] for each in verdict["findings"]]}


async def play(person: Person, recording: str) -> dict[str, int]:
    """Play a recording back from its beginning to its end; return how many pictures and sounds were decoded."""
    view = (await person.call("POST", f"/api/recordings/{recording}/views", WHY, expect=201))["view"]
    playlist = await person.text(f"/api/views/{view}/index.m3u8")
    found = {"video": 0, "audio": 0}
    for piece in re.findall(r"^(\d+)\.m4s$", playlist, re.MULTILINE):
        init = await person.read(f"/api/views/{view}/{piece}.init.mp4")
        media = await person.read(f"/api/views/{view}/{piece}.m4s")
        with av.open(io.BytesIO(init + media), "r") as container:
            for frame in container.decode():
                found["video" if isinstance(frame, av.VideoFrame) else "audio"] += 1
    await person.call("DELETE", f"/api/views/{view}")
    return found


async def journal(auditor: Person) -> list[dict[str, Any]]:
    """Return the journal's entries, with their hashes, as an auditor reads them."""
    return list((await auditor.call("GET", "/api/journal?limit=1000"))["leaves"])


def digest(hashes: Iterable[str]) -> str:
    """Return one hash of many hashes (hexadecimal)."""
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def schema(data: Path) -> str:
    """Return which schema the database of a folder has."""
    with contextlib.closing(sqlite3.connect(data / "relay.db")) as database:
        ((version,),) = database.execute("select version_num from alembic_version")
    return str(version)
