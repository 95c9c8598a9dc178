"""One simulated body camera: its button, its battery, its two connections to the relay.

Owns: whether the camera streams, and the retries until it does.  Must never know: other cameras or the source of its commands.
"""

import asyncio
import contextlib
import dataclasses
import logging
import math
import random
import time
from collections.abc import Callable, Coroutine
from typing import TypeAlias
from urllib.parse import urljoin

import aiohttp

from sim_cameras.impair import Network
from sim_cameras.live import LiveSocket, Vitals
from sim_cameras.session import PublishFailed, Session
from sim_cameras.whip import WhipClient, WhipRefused

logger = logging.getLogger("sim_cameras")

_FIRST_PAUSE_SECONDS = 0.25
_MAX_PAUSE_SECONDS = 5.0
_PARIS = (48.8566, 2.3522)
_METRES_PER_DEGREE = 111_320
_WALKING_METRES_PER_SECOND = 1.4
_ANNOUNCE_SECONDS = 2.0
_RELEASED = "released"


@dataclasses.dataclass(frozen=True)
class Habits:
    """How a camera behaves."""

    camera: str
    token: str
    relay: str
    """Base URL."""
    network: Network = dataclasses.field(default_factory=Network)
    seed: int = 1
    live: bool = True
    """Whether the camera holds `/live/camera`; otherwise it only publishes."""
    accepts: bool = True
    """Whether its bearer accepts requests to stream."""
    battery: float = 96.0
    drain_per_hour: float = 14.0


class Backoff:
    """Pauses between tries: they double from 0.25 s to 5 s, each shortened by up to a half at random; success resets them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - spreading retries, not a secret
        self._failures = 0

    def succeeded(self) -> None:
        """Start again from the shortest pause."""
        self._failures = 0

    def pause(self, retry_after: float | None = None) -> float:
        """Return the seconds to wait after one more failure; never less than the server asked for."""
        longest = min(_MAX_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * float(2**self._failures))
        self._failures = min(self._failures + 1, 10)
        longest *= 1 - self._random.random() / 2
        return max(retry_after or 0.0, longest)


Publisher: TypeAlias = Callable[[WhipClient, Network, int], Session]
"""Makes a session from the WHIP client, its simulated network and its own seed."""


class Camera:
    """A camera: `run` it, then `press` and `release` its button."""

    def __init__(self, habits: Habits, http: aiohttp.ClientSession, publish: Publisher) -> None:
        self.habits = habits
        self.network = habits.network
        self.watched_by = 0
        self.session: Session | None = None
        self.publications = 0
        self.gave_up = asyncio.Event()
        """Set when the relay refuses for good (a bad token, say)."""
        self._wanted = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._again = asyncio.Event()
        self._pressed: dict[str, object] | None = None
        self._unwanted.set()
        self._battery = habits.battery
        self._switched_on = time.monotonic()
        self._walk = random.Random(habits.seed)  # noqa: S311 - a walk, not a secret
        self._place = self._walk.uniform(0, 2 * math.pi)
        self._whip = WhipClient(http, urljoin(habits.relay, f"/whip/{habits.camera}"), habits.token)
        live_url = urljoin(habits.relay, "/live/camera").replace("http", "ws", 1)
        self._live = LiveSocket(http, live_url, habits.token, self)
        self._new_session = publish
        self._sending: set[asyncio.Task[bool]] = set()

    @property
    def streaming(self) -> bool:
        """Whether pictures are leaving."""
        return self.session is not None

    @property
    def live(self) -> LiveSocket:
        """The live socket, for its clock."""
        return self._live

    async def run(self) -> None:
        """Run until cancelled; then close the publication under way, if any."""
        async with asyncio.TaskGroup() as tasks:
            if self.habits.live:
                tasks.create_task(self._hold_live())
            tasks.create_task(self._keep_publishing())

    def press(self, threat: str = "agents", reason: str = "button pressed") -> None:
        """Press the button: send `press` to the relay and start the picture.  Threats: agents, biens, personnes."""
        self._pressed = {"t": "press", "threat": threat, "reason": reason}
        self._send(self._pressed)
        self._want(True)

    def release(self) -> None:
        """Release the button: send `release` to the relay and end the picture."""
        self._pressed = None
        self._send({"t": "release"})
        self._want(False)

    def set_network(self, network: Network) -> None:
        """Change the network, now and for later sessions."""
        self.network = network
        if self.session is not None and self.session.wire is not None:
            self.session.wire.set_network(network)

    def cut(self, seconds: float) -> None:
        """Lose every datagram in both directions for `seconds`."""
        if self.session is not None and self.session.wire is not None:
            self.session.wire.cut(seconds)

    def set_battery(self, percent: float) -> None:
        """Change the battery's level."""
        self._battery = percent
        self._switched_on = time.monotonic()

    def vitals(self) -> Vitals:
        """Return battery and position: the battery drains, and the bearer walks round a block."""
        hours = (time.monotonic() - self._switched_on) / 3600
        angle = self._place + hours * 3600 * _WALKING_METRES_PER_SECOND / 200
        lat = _PARIS[0] + 200 * math.sin(angle) / _METRES_PER_DEGREE
        lon = _PARIS[1] + 200 * math.cos(angle) / (_METRES_PER_DEGREE * math.cos(math.radians(lat)))
        battery = max(0.0, self._battery - hours * self.habits.drain_per_hour)
        return Vitals(round(battery, 1), round(lat, 6), round(lon, 6), round(self._walk.uniform(3, 9), 1))

    def on_welcome(self, live: LiveSocket) -> None:
        """Send `press` again if the button is pressed, because the relay may have restarted."""
        logger.info("%s: online", self.habits.camera)
        if self._pressed is not None:
            self._send(self._pressed)

    def on_request(self, request: str, reason: str) -> None:
        """Accept or decline, as the bearer would."""
        logger.info("%s: asked to stream (%s): %s", self.habits.camera, reason, "yes" if self.habits.accepts else "no")
        self._send({"t": "accept" if self.habits.accepts else "decline", "request": request})
        if self.habits.accepts:
            self._want(True)

    def on_watched(self, by: int) -> None:
        """Remember how many people watch, as the camera's own light would show."""
        self.watched_by = by

    def on_stop(self, reason: str) -> None:
        """Stop streaming."""
        logger.info("%s: the relay asks to stop (%s)", self.habits.camera, reason)
        self._pressed = None
        self._want(False)

    def on_republish(self, reason: str) -> None:
        """Close the session that the relay no longer knows, and open the next one at once."""
        logger.info("%s: the relay asks to publish again (%s)", self.habits.camera, reason)
        self._again.set()

    def _want(self, wanted: bool) -> None:
        (self._wanted if wanted else self._unwanted).set()
        (self._unwanted if wanted else self._wanted).clear()

    def _send(self, message: dict[str, object]) -> None:
        task = asyncio.ensure_future(self._live.send(message))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _hold_live(self) -> None:
        backoff = Backoff(self.habits.seed)
        while True:
            try:
                await self._live.run()
                backoff.succeeded()
            except aiohttp.WSServerHandshakeError as error:
                logger.warning("%s: live socket refused: %s", self.habits.camera, error.status)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                logger.warning("%s: live socket lost: %s", self.habits.camera, type(error).__name__)
            await asyncio.sleep(backoff.pause())

    async def _keep_publishing(self) -> None:
        backoff = Backoff(self.habits.seed + 1)
        while True:
            await self._wanted.wait()
            pause = 0.0
            try:
                await self._publish(backoff)
            except WhipRefused as refusal:
                logger.warning("%s: refused: %s", self.habits.camera, refusal)
                pause = backoff.pause(refusal.retry_after)
                if refusal.final:
                    self.gave_up.set()
                    self._want(False)
            except (aiohttp.ClientError, OSError, TimeoutError, PublishFailed) as error:
                logger.warning("%s: cannot publish: %s", self.habits.camera, error or type(error).__name__)
                pause = backoff.pause()
            await self._pause(pause)

    async def _publish(self, backoff: Backoff) -> None:
        """Publish until the button is released or the session is lost."""
        await self._announce()
        session = self._new_session(self._whip, self.network, self.habits.seed + 1000 * self.publications)
        await session.open()
        backoff.succeeded()
        self.publications += 1
        self.session = session
        logger.info("%s: live", self.habits.camera)
        goodbye = True
        try:
            why = await self._until_over(session)
            goodbye = why == _RELEASED
            logger.info("%s: ended (%s)", self.habits.camera, why)
        finally:
            self.session = None
            await _to_the_end(session.close(goodbye=goodbye))

    async def _announce(self) -> None:
        """Wait until the relay has handled `press`: it shall know the reason before the picture; after 2 s go on anyway."""
        if self.habits.live:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ANNOUNCE_SECONDS):
                    await self._live.welcomed.wait()
                    await self._live.round_trip()

    async def _until_over(self, session: Session) -> str:
        """Play until the button is released or the session is lost; return which."""
        playing = asyncio.ensure_future(session.play())
        self._again.clear()
        others = [asyncio.ensure_future(event.wait()) for event in (self._unwanted, self._again)]
        everything = {playing, *others}
        try:
            await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
            return playing.result() if playing.done() else _RELEASED if others[0].done() else "asked to publish again"
        finally:
            for task in everything:
                task.cancel()
            await asyncio.wait(everything)

    async def _pause(self, seconds: float) -> None:
        """Wait for `seconds`, or until the button is released."""
        try:
            async with asyncio.timeout(seconds):
                await self._unwanted.wait()
        except TimeoutError:
            pass


async def _to_the_end(closing: Coroutine[None, None, None]) -> None:
    """Run a clean-up to its end even if this task is cancelled meanwhile, because half-closed sockets would stay open."""
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
