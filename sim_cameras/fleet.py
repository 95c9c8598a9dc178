"""Several cameras in one process, and the script that drives them.

Owns: their tasks.  Must never know: the command line.
"""

import asyncio
import dataclasses
import ssl
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp

from sim_cameras import webrtc
from sim_cameras.device import Camera, Habits, Publisher
from sim_cameras.publish import Publication
from sim_cameras.replay import Projector, Reel, ReplaySession
from sim_cameras.scenario import Step
from sim_cameras.source import Film

_HTTP_SECONDS = 10


class TokensError(Exception):
    """The tokens file cannot be used; the text gives the reason."""


def read_tokens(path: Path) -> dict[str, str]:
    """Return token by camera from lines `camera token` (`#` comments, blank lines); raises TokensError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise TokensError(f"{path}: {error.strerror}") from error
    tokens: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or words[0] in tokens:
            raise TokensError(f"{path}: line {number} is not a new `camera token`")
        tokens[words[0]] = words[1]
    return tokens


async def act(cameras: Iterable[Camera], steps: Sequence[Step]) -> None:
    """Play a script from now on."""
    start = asyncio.get_running_loop().time()
    cameras = tuple(cameras)
    for step in steps:
        await asyncio.sleep(max(0.0, start + step.at - asyncio.get_running_loop().time()))
        for camera in cameras:
            if step.concerns(camera.habits.camera):
                apply(camera, step)


def apply(camera: Camera, step: Step) -> None:
    """Make one camera do one step."""
    match step.do:
        case "press":
            camera.press(step.threat, step.reason)
        case "release":
            camera.release()
        case "network":
            camera.set_network(step.network())
        case "cut":
            camera.cut(step.seconds or 0.0)
        case "battery":
            camera.set_battery(step.level or 0.0)


@dataclasses.dataclass(frozen=True)
class Fleet:
    """Cameras, the steps of their script, and the certificate by which they trust the relay."""

    habits: Sequence[Habits]
    steps: Sequence[Step] = ()
    idle: bool = False
    """Wait for requests or the script; otherwise each camera presses its own button at the start."""
    ca: Path | None = None
    """Certificate that signs the relay's."""


async def film(fleet: Fleet, films: Sequence[Film], until: asyncio.Event) -> None:
    """Run cameras that film, one film each, until `until` is set; every publication is closed before this returns."""
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="encode") as executor:

        def publisher(film: Film) -> Publisher:
            return lambda whip, network, seed: Publication(whip, film, executor, network, seed)

        await _run(fleet, [publisher(each) for each in films], until)


async def replay(fleet: Fleet, reels: Sequence[Reel], until: asyncio.Event) -> None:
    """Run cameras that send clips, taking the reels in turn, until `until` is set."""
    projector = Projector()

    def publisher(reel: Reel) -> Publisher:
        return lambda whip, network, seed: ReplaySession(whip, reel, projector, network, seed)

    projecting = asyncio.create_task(projector.run())
    try:
        await _run(fleet, [publisher(reels[index % len(reels)]) for index in range(len(fleet.habits))], until)
    finally:
        projecting.cancel()


async def _run(fleet: Fleet, publishers: Sequence[Publisher], until: asyncio.Event) -> None:
    webrtc.gather_only(webrtc.local_address(fleet.habits[0].relay))
    context = ssl.create_default_context(cafile=str(fleet.ca) if fleet.ca is not None else None)
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    timeout = aiohttp.ClientTimeout(total=None, connect=_HTTP_SECONDS, sock_read=_HTTP_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        pairs = zip(fleet.habits, publishers, strict=True)
        await _live([Camera(habits, http, publisher) for habits, publisher in pairs], fleet, until)


async def _live(cameras: Sequence[Camera], fleet: Fleet, until: asyncio.Event) -> None:
    if not fleet.idle:
        for camera in cameras:
            camera.press()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(camera.run()) for camera in cameras]
        running.append(tasks.create_task(act(cameras, fleet.steps)))
        await until.wait()
        for task in running:
            task.cancel()
