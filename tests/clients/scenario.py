"""One afternoon of a relay: cameras of many makes publish at once, viewers of many makes watch each of them; what came of it.

Owns: the order of events, and an outcome for each client that a test can judge alone.  Must never know: the relay's inside.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clients import film as films
from tests.clients.film import Film
from tests.clients.programs import PROGRAMS, Client, Seen, running
from tests.support.chromium import Viewer, chromium, until
from tests.support.relay import Person, RelayUnderTest, signed_in

_LIVE_SECONDS = 60
WATCHED_SECONDS = 12
"""Longer than the 10 s after which a client that hears nothing gives up, and than two of RFC 3550's report intervals."""


@dataclass
class Outcome:
    """What became of a client."""

    said: list[dict[str, Any]] = field(default_factory=list)
    fault: str = ""
    """Why it failed."""

    def word(self, key: str) -> Any:
        """Return what the client said last under a name; None where it said nothing."""
        return next((line[key] for line in reversed(self.said) if key in line), None)


@dataclass
class Filmed(Outcome):
    """What became of a camera."""

    recording: dict[str, Any] = field(default_factory=dict)
    """As the catalogue shows it at the end."""
    verdict: dict[str, Any] = field(default_factory=dict)
    pictures: list[str] = field(default_factory=list)
    """Digests of what FFmpeg decodes of the recording as it is played back, in order; `sounds`: of its packets."""
    sounds: list[str] = field(default_factory=list)

    @property
    def gap_seconds(self) -> float:
        """Return how much of picture the signed gaps cover."""
        gaps = [note["values"] for note in self.verdict["notes"] if note["code"] == "gap"]
        return sum(float(gap["seconds"]) for gap in gaps if gap["track"] != "audio")


@dataclass
class Watched(Outcome):
    """What became of a viewer."""

    left: int = 0
    """The status of its DELETE."""
    seen: Seen | None = None
    decoded: int = 0
    """How many pictures a browser decoded; others keep their pictures in `seen`."""


@dataclass
class Afternoon:
    """All outcomes: of cameras by make, of viewers by (camera, viewer)."""

    cameras: dict[str, Filmed]
    viewers: dict[tuple[str, str], Watched]
    log: str = ""


async def spend(
    relay: RelayUnderTest,
    passwords: dict[str, str],
    cameras: Mapping[str, Film],
    viewers: Iterable[tuple[str, str]],
    folder: Path,
) -> Afternoon:
    """Run the afternoon on a relay that is not started.

    `passwords`: of `alice` (administrator) and `marie` (commander); `cameras`: what each publishes; `viewers`: cameras with the
    client that watches each.
    """
    afternoon = Afternoon({camera: Filmed() for camera in cameras}, {pair: Watched() for pair in viewers})
    await relay.start()
    try:
        async with contextlib.AsyncExitStack() as stack:
            alice, marie = [
                await stack.enter_async_context(signed_in(relay, who, passwords[who])) for who in ("alice", "marie")
            ]
            stage = Stage(relay, marie, cameras, folder, afternoon)
            tokens = {camera: await _enrol(alice, camera) for camera in cameras}
            await stage.film_and_watch(tokens)
            for camera in cameras:
                await stage.find_recording(camera)
    finally:
        afternoon.log = relay.log()
        stopped = await relay.stop()
    assert stopped == 0
    for filmed in afternoon.cameras.values():
        if filmed.recording:
            code, filmed.verdict = relay.verify(relay.data / "vault" / filmed.recording["recording"])
            filmed.verdict["code"] = code
    return afternoon


async def _enrol(alice: Person, camera: str) -> str:
    made = await alice.call("POST", "/api/cameras", {"camera": camera, "label": camera, "live_audio": True})
    return str(made["token"])


class Stage:
    """The running part of the afternoon."""

    def __init__(
        self, relay: RelayUnderTest, marie: Person, films: Mapping[str, Film], folder: Path, afternoon: Afternoon
    ) -> None:
        self._relay = relay
        self._marie = marie
        self._films = films
        self._folder = folder
        self._afternoon = afternoon
        self._watched_enough = asyncio.Event()
        self._filmed_enough = asyncio.Event()

    async def film_and_watch(self, tokens: dict[str, str]) -> None:
        """Start all cameras, then all viewers; stop the viewers, then the cameras."""
        async with chromium() as browser, asyncio.TaskGroup() as tasks:
            page = await browser.viewer(self._relay.url, self._marie.cookies())
            intervention = await self._marie.intervention()
            for camera, token in tokens.items():
                tasks.create_task(self._film_with(camera, token, page))
            await asyncio.gather(*(self._marie.sees_live(camera, _LIVE_SECONDS) for camera in tokens), return_exceptions=True)
            async with asyncio.TaskGroup() as watching:
                started = [
                    self._watch_with(camera, make, f"/whep/{camera}?intervention={intervention}", page)
                    for camera, make in self._afternoon.viewers
                ]
                for one in started:
                    watching.create_task(one)
                await until(self._all_watch, 120, "all viewers to be connected")
                await asyncio.sleep(WATCHED_SECONDS)
                self._watched_enough.set()
            self._filmed_enough.set()
        await self._marie.call("POST", f"/api/interventions/{intervention}/close")

    async def find_recording(self, camera: str) -> None:
        """Find a camera's recording, play it back, and have FFmpeg judge what is played."""
        filmed = self._afternoon.cameras[camera]
        listed = (await self._marie.call("GET", "/api/recordings"))["recordings"]
        found = [each for each in listed if each["camera"] == camera]
        if len(found) != 1:
            filmed.fault = filmed.fault or f"{len(found)} recordings"
            return
        (filmed.recording,) = found
        with _noting(filmed):
            await self._play_back(filmed)

    async def _play_back(self, filmed: Filmed) -> None:
        recording = filmed.recording["recording"]
        body = {"motive": "relecture de la patrouille"}
        view = (await self._marie.call("POST", f"/api/recordings/{recording}/views", body))["view"]
        playlist = await self._marie.text(f"/api/views/{view}/index.m3u8")
        for init, pieces in re.findall(r'#EXT-X-MAP:URI="([^"]+)"((?:(?!#EXT-X-MAP).)*)', playlist, re.DOTALL):
            path = self._folder / f"{recording}.{init}"
            names = [init, *re.findall(r"^\S+\.m4s$", pieces, re.MULTILINE)]
            path.write_bytes(b"".join([await self._marie.read(f"/api/views/{view}/{name}") for name in names]))
            filmed.pictures += films.pictures_of(path)
            filmed.sounds += films.sounds_of(path)

    async def _all_watch(self) -> bool:
        return all(
            one.fault or one.left or one.said[-1:] == [{"state": "connected"}] for one in self._afternoon.viewers.values()
        )

    async def _film_with(self, camera: str, token: str, page: Viewer) -> None:
        filmed, url = self._afternoon.cameras[camera], f"{self._relay.url}/whip/{camera}"
        with _noting(filmed):
            if camera == "chromium":
                posted = await page.publish(camera, url, token, fps=15, width=320, height=240)
                filmed.said.append({"status": posted.status})
                await self._filmed_enough.wait()
                filmed.said.append({"deleted": await page.close(camera, token=token)})
                return
            folder = self._folder / camera
            folder.mkdir()
            async with running(PROGRAMS[camera].publish(url, self._films[camera], folder), filmed.said) as client:
                client.tell(token)
                await self._filmed_enough.wait()

    async def _watch_with(self, camera: str, make: str, path: str, page: Viewer) -> None:
        watched = self._afternoon.viewers[camera, make]
        with _noting(watched):
            if make == "chromium":
                await self._watch_in_browser(watched, f"{camera} watched", path, page)
                return
            files = [self._folder / f"{camera}.{make}.{kind}" for kind in ("pictures", "sounds")]
            async with self._watching(watched, path, PROGRAMS[make].watch(*files)):
                await self._watched_enough.wait()
            watched.seen = await asyncio.to_thread(PROGRAMS[make].saw, *files)

    @contextlib.asynccontextmanager
    async def _watching(self, watched: Watched, path: str, command: tuple[str, ...]) -> AsyncIterator[Client]:
        """Watch with a client that prints its offer and reads the answer."""
        async with running(command, watched.said) as client:
            answer, location = await self._marie.offer(path, await client.says("offer"))
            client.tell(json.dumps({"answer": answer}))
            yield client
            watched.left = await self._marie.leave(location)

    async def _watch_in_browser(self, watched: Watched, name: str, path: str, page: Viewer) -> None:
        headers = self._marie.headers()
        posted = await page.watch(name, self._relay.url + path, headers=headers, codes=False)
        assert posted.status == 201, posted.body
        await page.connected(name)
        await page.frames(name)
        watched.said.append({"state": "connected"})
        await self._watched_enough.wait()
        watched.decoded = (await page.report(name, "inbound-rtp", "video"))["framesDecoded"]
        watched.left = await page.close(name, headers=headers) or 0


@contextlib.contextmanager
def _noting(outcome: Outcome) -> Any:
    """Note a failure with its client instead of ending the others."""
    try:
        yield
    except Exception as error:
        outcome.fault = f"{type(error).__name__}: {error}"[:3000]
