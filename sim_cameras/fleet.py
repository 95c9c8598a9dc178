"""Several cameras in one process, and the script that moves them.

Owns their tasks.  Must never know the command line.
"""

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp

from sim_cameras import webrtc
from sim_cameras.device import Camera, Habits
from sim_cameras.scenario import Step

_HTTP_SECONDS = 10


class TokensError(Exception):
    """The tokens file cannot be used; the text says why."""


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


async def run(habits: Sequence[Habits], steps: Sequence[Step], *, idle: bool, ca: Path | None, until: asyncio.Event) -> None:
    """Run the cameras until `until` is set; unless `idle`, each presses its own button at the start.

    Every publication is closed (DELETE) before this returns.  `ca` is the certificate that signs the relay's.
    """
    webrtc.gather_only(webrtc.local_address(habits[0].relay))
    context = ssl.create_default_context(cafile=str(ca)) if ca is not None else ssl.create_default_context()
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    timeout = aiohttp.ClientTimeout(total=None, connect=_HTTP_SECONDS, sock_read=_HTTP_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="encode") as executor:
            cameras = [Camera(each, http, executor) for each in habits]
            await _live(cameras, steps, idle, until)


async def _live(cameras: Sequence[Camera], steps: Sequence[Step], idle: bool, until: asyncio.Event) -> None:
    if not idle:
        for camera in cameras:
            camera.press()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(camera.run()) for camera in cameras]
        running.append(tasks.create_task(act(cameras, steps)))
        await until.wait()
        for task in running:
            task.cancel()
