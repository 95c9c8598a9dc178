"""The pages' live sockets: who is connected, what each must be told, and what happens to the slow.

What this file owns: one bounded queue per socket and what every page is told.  What it must never know: how a message came.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgpack
from aiohttp import WSCloseCode, web

from relay.base.clock import Clock
from relay.base.counters import Counters, declare
from relay.http.alarms import Alarm, Alarms
from relay.live.disk import Outlook
from relay.people.enrolment import Enrolment, in_scope
from relay.people.identity import SignedIn
from relay.runtime.tasks import run_logged
from relay.store.accounts import Camera
from relay.viewing.camera_state import CameraStates

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0

declare(
    live_sockets="live sockets opened by pages",
    live_messages="messages sent over live sockets",
    live_refresh_failures="readings of the enrolled cameras for pages that failed; they are repeated every second",
    live_untold="changes of a camera that could not be told to pages because of an error of ours",
    live_dropped="live sockets closed because they did not take their messages in time",
)


def disk_message(outlook: Outlook) -> dict[str, Any]:
    """Return what pages are told of the disk."""
    return {"t": "disk", "state": outlook.state, "free": outlook.free, "full_in_s": outlook.full_in}


class Outbox:
    """What waits to be sent over one socket: bounded; whoever does not take it in time is disconnected and comes back."""

    def __init__(self, socket: web.WebSocketResponse, bound: int, counters: Counters) -> None:
        self._socket = socket
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(bound)
        self._counters = counters
        self._overflowed = False

    def send(self, message: Mapping[str, Any]) -> None:
        """Queue a message; never waits."""
        try:
            self._queue.put_nowait(msgpack.packb(message))
        except asyncio.QueueFull:
            if not self._overflowed:
                self._overflowed = True
                self._counters.count("live_dropped")

    def close(self) -> None:
        """Close the socket once what waits is sent."""
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait(b"")

    async def run(self) -> None:
        """Send until the socket goes away, is to be closed, or the queue has overflowed; then close it, whatever happened."""
        try:
            await self._send_all()
        except ConnectionError:
            pass
        except Exception:
            logger.exception("a live socket is closed")
        code = WSCloseCode.TRY_AGAIN_LATER if self._overflowed else WSCloseCode.GOING_AWAY
        await self._socket.close(code=code)

    async def _send_all(self) -> None:
        while not self._overflowed:
            message = await self._queue.get()
            if not message:
                break
            await self._socket.send_bytes(message)
            self._counters.count("live_messages")


class Page:
    """One page's socket."""

    def __init__(self, found: SignedIn, outbox: Outbox) -> None:
        self.person = found.person
        self.session = found.session
        self.expires_ns = found.expires_ns
        self.outbox = outbox

    def tell(self, message: Mapping[str, Any]) -> None:
        """Queue a message for this page."""
        self.outbox.send(message)


class LiveHub:
    """All pages."""

    def __init__(self, enrolment: Enrolment, camera_states: CameraStates, clock: Clock, counters: Counters) -> None:
        self._enrolment = enrolment
        self._camera_states = camera_states
        self._counters = counters
        self._alarms = Alarms(clock)
        self._pages: set[Page] = set()
        self._cameras: dict[str, Camera] = {}
        self._stale = asyncio.Event()
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self.greetings: list[Callable[[], Mapping[str, Any]]] = []
        """What a page is told when it connects, beside the cameras."""

    async def run(self) -> None:
        """Tell pages what changes until cancelled; no database, and no error of ours, keeps a change of a camera from them."""
        await asyncio.gather(self._keep_telling(), self._keep_known())

    async def _keep_telling(self) -> None:
        """Coalesce changes: each camera's map goes out at most ten times a second."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            changed, self._changed = self._changed, set()
            for name in changed:
                try:
                    self._send_camera(name)
                except Exception:
                    self._counters.count("live_untold")
                    logger.exception("a camera's state was not told", extra={"camera": name})
            await asyncio.sleep(0.1)

    async def _keep_known(self) -> None:
        """Read the enrolled cameras again whenever they changed, and until it succeeds."""
        while True:
            await self._stale.wait()
            self._stale.clear()
            if not await run_logged(self.refresh(), "reading the enrolled cameras", self._counters, "live_refresh_failures"):
                self._stale.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def refresh(self) -> None:
        """Read the enrolled cameras again and tell pages which went away."""
        known = {camera.camera: camera for camera in await self._enrolment.enrolled() if camera.revoked_ns is None}
        for gone in self._cameras.keys() - known.keys():
            self._alarms.forget(gone)
            for page in self._seers(gone):
                page.tell({"t": "gone", "camera": gone})
        self._changed |= known.keys()
        self._cameras = known
        self._wake.set()

    def enrolment_changed(self) -> None:
        """A camera was enrolled, changed or revoked."""
        self._stale.set()

    def camera_changed(self, camera: str) -> None:
        """Something about a camera changed: pages are told soon."""
        self._changed.add(camera)
        self._wake.set()

    def add(self, page: Page) -> None:
        """A page connected: it gets the whole list."""
        self._pages.add(page)
        self._counters.count("live_sockets")
        cameras = [self._camera_states.of(camera) for camera in self._visible(page)]
        page.tell({"t": "cameras", "cameras": cameras})
        for greeting in self.greetings:
            page.tell(greeting())
        for alarm in self._alarms.missed(page.session):
            if page in self._seers(alarm.camera):
                self._tell_alarm(page, alarm)

    def remove(self, page: Page) -> None:
        """A page went away."""
        self._pages.discard(page)
        self._alarms.left(page.session)

    def alarm(self, camera: str, reason: str) -> None:
        """Tell an alarm to every page that may see the camera, and to those that come later (bounded, see `Alarms`)."""
        alarm = self._alarms.keep(camera, reason)
        for page in self._seers(camera):
            self._tell_alarm(page, alarm)

    def _tell_alarm(self, page: Page, alarm: Alarm) -> None:
        page.tell(alarm.message())
        self._alarms.reach(alarm, page.session)

    def _seers(self, name: str) -> list[Page]:
        """Return the pages of who is competent for a camera (VID-03); of one that is unknown, who is for all."""
        camera = self._cameras.get(name)
        if camera is None:
            return [page for page in self._pages if page.person.communes is None]
        return [page for page in self._pages if in_scope(page.person, camera)]

    def tell_all(self, message: Mapping[str, Any]) -> None:
        """Tell every page."""
        for page in self._pages:
            page.tell(message)

    def sign_out(self, reason: str, *, user: str | None = None, session: str | None = None) -> None:
        """Tell the pages of a person or of one sign-in that they are signed out, and let go of them."""
        self._dismiss([page for page in self._pages if page.person.user == user or page.session == session], reason)

    def expire(self, steady_ns: int) -> None:
        """Let go of pages whose sign-in is over (steady UTC); call about once a second."""
        self._dismiss([page for page in self._pages if page.expires_ns <= steady_ns], "the sign-in is over")

    def close(self, reason: str) -> None:
        """Say good-bye to every page: the relay stops."""
        self._dismiss(list(self._pages), reason)

    def _dismiss(self, pages: Iterable[Page], reason: str) -> None:
        for page in pages:
            page.tell({"t": "bye", "reason": reason})
            page.outbox.close()
            self._pages.discard(page)

    def is_connected(self, page: Page) -> bool:
        """Whether the page still belongs to someone signed in."""
        return page in self._pages

    def _visible(self, page: Page) -> Iterable[Camera]:
        return (camera for camera in self._cameras.values() if in_scope(page.person, camera))

    def _send_camera(self, name: str) -> None:
        camera = self._cameras.get(name)
        if camera is None:
            return
        message = {"t": "camera", **self._camera_states.of(camera)}
        for page in self._seers(name):
            page.tell(message)
