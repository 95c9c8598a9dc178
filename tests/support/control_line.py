"""A control with all its services and HTTP routes in this process, beside a fake worker and a fake recorder.

Owns the control of one test.  Must never know media.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
from aiohttp import web
from argon2 import PasswordHasher

from relay.app import control as process
from relay.app.settings import Settings
from relay.app.wiring import Control, wire
from relay.base.clock import Clock
from relay.http.app import make_app
from relay.http.malformed import Runner
from relay.people.passwords import Passwords
from relay.people.sign_ins import CONSOLE
from tests.support.fake_peers import FakeRecorder, FakeWorker
from tests.support.faulty_disk import ScriptedDeadline

PASSWORD = "une longue phrase de passe 42"
OFFER = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"


@dataclass
class Page:
    """A signed-in person: JSON routes, WHIP and WHEP, and the live socket."""

    url: str
    http: aiohttp.ClientSession
    csrf: str

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Call a JSON route; return status and decoded answer."""
        async with self.http.request(method, self.url + path, json=body, headers={"X-CSRF": self.csrf, **headers}) as response:
            found = await response.json() if response.content_type in ("application/json", "application/problem+json") else None
            return response.status, found

    async def post_offer(self, path: str, offer: str = OFFER) -> aiohttp.ClientResponse:
        """POST an SDP offer with the cookie."""
        headers = {"X-CSRF": self.csrf, "Content-Type": "application/sdp"}
        return await self.http.post(self.url + path, data=offer, headers=headers)


class Socket:
    """A live socket's messages."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.raw = socket

    async def say(self, **message: object) -> None:
        """Send a map."""
        await self.raw.send_bytes(msgpack.packb(message))

    async def hear(self, kind: str, **wanted: object) -> dict[str, Any]:
        """Return the next message of a kind that has the wanted values; others are passed over."""
        async with asyncio.timeout(30):
            while True:
                message = msgpack.unpackb(await self.raw.receive_bytes())
                if message["t"] == kind and all(message.get(key) == value for key, value in wanted.items()):
                    return dict(message)


@dataclass
class Line:
    """Control with its HTTP routes."""

    control: Control
    worker: FakeWorker
    recorder: FakeRecorder
    url: str
    settings: Settings
    deadline: ScriptedDeadline
    """How long a request waits for the disk."""
    tokens: dict[str, str] = field(default_factory=dict)

    async def enrol(self, camera: str, regime: str = "bodycam_pm", **more: Any) -> str:
        """Enrol a camera; return its token."""
        enrolment = self.control.context.enrolment
        self.tokens[camera] = await enrolment.enrol(CONSOLE, camera, camera.upper(), regime, **more)
        await self.control.context.live.refresh()
        return self.tokens[camera]

    async def publish(self, camera: str, offer: str = OFFER) -> aiohttp.ClientResponse:
        """POST a camera's offer; where it is accepted and the camera sends media, wait until its recording is open."""
        response = await self.post_offer(camera, offer)
        if response.status == 201 and self.worker.sends_media:
            await until(lambda: self._is_recorded(camera), "its recording")
        return response

    def _is_recorded(self, camera: str) -> bool:
        live = self.control.context.streams.live(camera)
        return live is None or live.recording is not None

    async def post_offer(self, camera: str, offer: str = OFFER) -> aiohttp.ClientResponse:
        """POST a camera's offer."""
        headers = {"Authorization": f"Bearer {self.tokens[camera]}", "Content-Type": "application/sdp"}
        async with aiohttp.ClientSession() as http:
            response = await http.post(f"{self.url}/whip/{camera}", data=offer, headers=headers)
            await response.read()
            return response

    @contextlib.asynccontextmanager
    async def person(self, user: str, role: str) -> AsyncIterator[Page]:
        """Make a person and sign in."""
        designations = self.control.context.designations
        with contextlib.suppress(Exception):
            await designations.add(CONSOLE, user, user, role, password=PASSWORD, must_change=False)
        body = {"user": user, "password": PASSWORD}
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
            http.post(f"{self.url}/api/session", json=body) as response,
        ):
            assert response.status == 200, await response.text()
            yield Page(self.url, http, (await response.json())["csrf"])

    @contextlib.asynccontextmanager
    async def page(self, person: Page) -> AsyncIterator[Socket]:
        """Open a page's live socket."""
        async with person.http.ws_connect(f"{self.url}/live") as socket:
            yield Socket(socket)

    @contextlib.asynccontextmanager
    async def camera(self, camera: str) -> AsyncIterator[Socket]:
        """Open a camera's live socket."""
        headers = {"Authorization": f"Bearer {self.tokens[camera]}"}
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{self.url}/live/camera", headers=headers) as socket:
            yield Socket(socket)

    async def entries(self) -> list[dict[str, Any]]:
        """Return the journal's bodies."""
        leaves = await self.control.stores.journal.read(limit=1000)
        return [dict(leaf.body) for leaf in leaves if leaf.body is not None]


async def until(condition: Any, what: str) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(90):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)
    assert condition(), what


@contextlib.asynccontextmanager
async def control_line(
    data: Path, *, peers: bool = True, clock: Clock | None = None, **settings: dict[str, Any]
) -> AsyncIterator[Line]:
    """Open a control on `data`, with a fake worker and recorder unless they run already; by the machine's clock or another."""
    made = Settings.model_validate({"data": data, **settings})
    made.run.mkdir(parents=True, exist_ok=True)
    worker, recorder = FakeWorker(made.run), FakeRecorder(made.run)
    if peers:
        await recorder.start()
        await worker.start()
    try:
        async with serving(made, worker, recorder, clock) as line:
            yield line
    finally:
        await worker.stop()
        await recorder.stop()


@contextlib.asynccontextmanager
async def serving(
    settings: Settings, worker: FakeWorker, recorder: FakeRecorder, clock: Clock | None = None
) -> AsyncIterator[Line]:
    """Run control against peers that outlive it."""
    deadline = ScriptedDeadline()
    # Argon2's real cost would be most of the tests' time; its own test uses it.
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    control = await wire(settings, clock=clock, deadline=deadline, passwords=passwords)
    services = control.context
    await services.viewing.start()
    control.capture.start()
    control.processes.start()
    timer = asyncio.create_task(services.live.run())
    runner = Runner(make_app(services), services.counters, access_log=None, shutdown_timeout=3.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        await until(lambda: all(services.ready().values()), "links")
        yield Line(control, worker, recorder, f"http://127.0.0.1:{runner.addresses[0][1]}", settings, deadline)
    finally:
        timer.cancel()
        await asyncio.gather(timer, return_exceptions=True)
        await runner.cleanup()
        await process.shut(control)
