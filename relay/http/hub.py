"""The pages' live sockets: which pages are connected, and which messages each gets.

Owns: who is connected, and the messages that go to several pages.  Must never know: how a message waits (`outbox`), how one
is read.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from relay.base.allowance import Allowance
from relay.base.clock import Clock
from relay.base.counters import Counters, declare
from relay.http.alarms import Alarm, Alarms
from relay.http.outbox import Outbox
from relay.http.page_pace import PagePace, PagePaces
from relay.http.waiting import Item
from relay.live.disk import Outlook
from relay.people.enrolment import Enrolment
from relay.people.sign_ins import SignedIn
from relay.policy.access import in_scope
from relay.protocol.page import AlarmReason, Bye, CameraGone, Cameras, CameraUpdate, DiskReport, ToPage
from relay.runtime.error_barrier import ErrorBarrier
from relay.runtime.tasks import run_logged
from relay.store.accounts import Camera
from relay.viewing.camera_state import CameraStates

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
FLOOD_LINES_PER_SECOND, FLOOD_LINES_AT_ONCE = 0.1, 5.0
"""Log lines about sockets that were closed because too many messages came; the counter has them all."""
STATES_PER_TURN = 16
"""Cameras whose states are made before everything else in this process has a turn."""

declare(
    live_sockets="live sockets opened by pages",
    live_refresh_failures="readings of the enrolled cameras for pages that failed; they are repeated every second",
    live_untold="changes of a camera that were not sent to pages because of an error of ours",
)


def disk_message(outlook: Outlook) -> DiskReport:
    """Return the message about the disk of the recordings."""
    return DiskReport(outlook.state, outlook.free, outlook.full_in)


class Page:
    """One page's socket."""

    def __init__(self, found: SignedIn, outbox: Outbox) -> None:
        self.person = found.person
        self.sign_in = found.sign_in
        self.expires_ns = found.expires_ns
        self.outbox = outbox

    def send(self, message: Item) -> None:
        """Queue a message for this page."""
        self.outbox.send(message)


class LiveHub:
    """All pages."""

    def __init__(self, enrolment: Enrolment, camera_states: CameraStates, clock: Clock, counters: Counters) -> None:
        self._enrolment = enrolment
        self._camera_states = camera_states
        self._counters = counters
        self._clock = clock
        self._alarms = Alarms(clock)
        self._paces = PagePaces()
        self._flood_lines = Allowance(FLOOD_LINES_PER_SECOND, FLOOD_LINES_AT_ONCE)
        self.errors = ErrorBarrier(clock.monotonic, counters, "live_failures")
        """Catches the errors of ours that a message of a page or camera brings to light."""
        self._pages: set[Page] = set()
        self._cameras: dict[str, Camera] = {}
        self._stale = asyncio.Event()
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self.greetings: list[Callable[[], ToPage | None]] = []
        """Make the messages that a page gets when it connects, after the list of cameras; None: there is nothing to say."""

    async def run(self) -> None:
        """Send changes to pages until cancelled.  Neither a database nor an error of ours keeps a camera's change from them."""
        await asyncio.gather(self._send_changes(), self._keep_known())

    async def _send_changes(self) -> None:
        """Coalesce changes: each camera's state goes out at most ten times a second."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            changed, self._changed = self._changed, set()
            for number, name in enumerate(changed):
                self._send_logged(name)
                if number % STATES_PER_TURN == STATES_PER_TURN - 1:
                    await asyncio.sleep(0)
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
        """Read the enrolled cameras again; send pages the names of those that were revoked."""
        known = {camera.camera: camera for camera in await self._enrolment.enrolled() if camera.revoked_ns is None}
        for gone in self._cameras.keys() - known.keys():
            self._alarms.forget(gone)
            for page in self._pages_for(gone):
                page.send(CameraGone(gone))
        self._changed |= known.keys()
        self._cameras = known
        self._wake.set()

    def enrolment_changed(self) -> None:
        """A camera was enrolled, changed or revoked."""
        self._stale.set()

    def camera_changed(self, camera: str) -> None:
        """The state of a camera changed: pages get it within a tenth of a second."""
        self._changed.add(camera)
        self._wake.set()

    def camera_pressed(self, camera: str) -> None:
        """A button was pressed: pages get that state now, even if the press is over within a tenth of a second."""
        self._send_logged(camera)

    def add(self, page: Page) -> None:
        """A page connected: send it all cameras, the greetings, and the alarms that this sign-in missed."""
        self._pages.add(page)
        self._counters.count("live_sockets")
        page.send(Cameras(tuple(self._camera_states.of(camera) for camera in self._visible(page))))
        for greeting in self.greetings:
            message = greeting()
            if message is not None:
                page.send(message)
        for alarm in self._alarms.missed(page.sign_in):
            if page in self._pages_for(alarm.camera):
                self._send_alarm(page, alarm)

    def remove(self, page: Page) -> None:
        """A page disconnected."""
        self._pages.discard(page)
        self._alarms.left(page.sign_in)

    def alarm(self, camera: str, reason: AlarmReason) -> None:
        """Send an alarm to every page that may see the camera; `Alarms` keeps it for pages that connect later."""
        alarm = self._alarms.keep(camera, reason)
        for page in self._pages_for(camera):
            self._send_alarm(page, alarm)

    def _send_alarm(self, page: Page, alarm: Alarm) -> None:
        page.send(alarm.message())
        self._alarms.reach(alarm, page.sign_in)

    def _pages_for(self, name: str) -> list[Page]:
        """Return the pages of people competent for a camera (VID-03); for an unknown camera, of people competent for all."""
        camera = self._cameras.get(name)
        if camera is None:
            return [page for page in self._pages if page.person.communes is None]
        return [page for page in self._pages if in_scope(page.person, camera)]

    def send_all(self, message: ToPage) -> None:
        """Send a message to every page."""
        for page in self._pages:
            page.send(message)

    def sign_out(self, reason: str, *, user: str | None = None, sign_in: str | None = None) -> None:
        """Send `bye` to the pages of a person or of one sign-in, then close them."""
        self._dismiss([page for page in self._pages if page.person.user == user or page.sign_in == sign_in], reason)

    def expire(self, steady_ns: int) -> None:
        """Close the pages whose sign-in has ended at `steady_ns` (steady UTC); call about once a second."""
        self._dismiss([page for page in self._pages if page.expires_ns <= steady_ns], "the sign-in is over")

    def close(self, reason: str) -> None:
        """Send `bye` to every page and close it: the relay stops."""
        self._dismiss(list(self._pages), reason)

    def _dismiss(self, pages: Iterable[Page], reason: str) -> None:
        for page in pages:
            page.outbox.farewell(Bye(reason))
            self._pages.discard(page)

    def pace_of(self, user: str) -> PagePace:
        """Return how fast a person's pages may send messages."""
        return self._paces.of(user)

    def flooded(self) -> None:
        """A live socket is closed because too many messages came over it."""
        self._counters.count("live_floods")
        if self._flood_lines.take(self._clock.monotonic()):
            logger.warning("a live socket is closed: too many messages", extra={"floods": self._counters.values["live_floods"]})

    def is_connected(self, page: Page) -> bool:
        """Whether the sign-in behind the page still holds."""
        return page in self._pages

    def _visible(self, page: Page) -> Iterable[Camera]:
        return (camera for camera in self._cameras.values() if in_scope(page.person, camera))

    def _send_logged(self, name: str) -> None:
        try:
            self._send_camera(name)
        except Exception:
            self._counters.count("live_untold")
            logger.exception("a camera's state was not sent to pages", extra={"camera": name})

    def _send_camera(self, name: str) -> None:
        camera = self._cameras.get(name)
        if camera is None:
            return
        pages = self._pages_for(name)
        if pages:
            update = CameraUpdate(self._camera_states.of(camera))
            for page in pages:
                page.send(update)
