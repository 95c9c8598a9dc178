"""How views and viewer sessions end.

Owns: the end of every view, once, with the span really seen, and the end of a viewer session at its worker.
Must never know: HTTP, packets, why something is decided.

A view ends in one of two ways.  The worker reports it (`LegEnded`) with the span that was sent.  Or no worker reports the span
any more (the worker died, its session is gone): then the end names the longest possible span, and marks it `upper_bound`.
"""

import asyncio
import logging
from collections.abc import Iterable

from relay.base.clock import Clock
from relay.base.errors import OurError, RelayError, TheirError
from relay.channel import messages as m
from relay.channel.messages import PeerCloseReason
from relay.live.processes import Processes
from relay.runtime.background import Background
from relay.runtime.deadlines import NO_DEADLINE, Deadline, run_and_wait
from relay.viewing.closing import ViewEndJournal, not_started
from relay.viewing.registry import ViewerRegistry
from relay.viewing.sessions import LiveView, ViewEnd, ViewerSession, notify_ended

logger = logging.getLogger(__name__)

LEG_REPORT_SECONDS = 0.5
"""Time for the spans of a session's legs to arrive after the session's own end: they come over the same channel."""


class ViewEnds:
    """Ends views and viewer sessions."""

    def __init__(
        self, processes: Processes, registry: ViewerRegistry, journal: ViewEndJournal, clock: Clock, background: Background
    ) -> None:
        self._processes = processes
        self._registry = registry
        self._clock = clock
        self._background = background
        self.journal = journal

    # --- viewer sessions ----------------------------------------------------------------------------------------------

    async def close(self, viewer_session: ViewerSession, reason: PeerCloseReason, deadline: Deadline = NO_DEADLINE) -> None:
        """Close a viewer session at its worker and end its views; their ends are journalled once the disk answers.

        `deadline`: how long a request waits for that.
        """
        try:
            worker = self._processes.workers[viewer_session.worker]
            await worker.ask(m.PeerClose(viewer_session.secret, reason), m.Done)
        except OurError as error:
            logger.warning("worker did not confirm an end", extra={"detail": error.detail})
        await run_and_wait(self.gone(viewer_session, reason.sentence), deadline)

    async def close_notified(self, viewer_session: ViewerSession, reason: PeerCloseReason) -> None:
        """The same on the relay's own account: the page is notified of each view that ends."""
        for view in viewer_session.views.values():
            notify_ended(viewer_session, view, reason.sentence)
        if not self._registry.is_current(viewer_session):
            return
        try:
            await self.close(viewer_session, reason)
        except TheirError:
            return  # the worker has closed it meanwhile

    async def gone(self, viewer_session: ViewerSession, reason: str) -> None:
        """A viewer session is over: end each of its views that the worker did not report as ended."""
        self._registry.remove(viewer_session)
        viewer_session.views.clear()
        for view in self._registry.views_in(viewer_session):
            await self.end_unreported(view, reason)

    async def gone_soon(self, viewer_session: ViewerSession, reason: str) -> None:
        """The same, once the spans of its views have had `LEG_REPORT_SECONDS` to arrive."""
        await asyncio.sleep(LEG_REPORT_SECONDS)
        await self.gone(viewer_session, reason)

    # --- slots --------------------------------------------------------------------------------------------------------

    async def empty(self, viewer_session: ViewerSession, slot: int) -> None:
        """End the leg in a slot.  The slot is free at once; the worker reports the span seen by `LegEnded`."""
        view = viewer_session.views.get(slot)
        if view is None:
            return
        emptied = m.SlotAssign(viewer_session.secret, slot, None, view.view, "high", self._clock.monotonic())
        await self._processes.workers[viewer_session.worker].ask(emptied, m.Done)
        viewer_session.views.pop(slot, None)

    async def empty_notified(self, viewer_session: ViewerSession, slots: Iterable[int], reason: PeerCloseReason) -> None:
        """End the legs in some slots on the relay's own account; a session of a single slot is closed."""
        if viewer_session.single and slots:
            await self.close_notified(viewer_session, reason)
            return
        for slot in slots:
            view = viewer_session.views.get(slot)
            async with viewer_session.lock:
                try:
                    await self.empty(viewer_session, slot)
                except RelayError as error:
                    logger.warning("slot not emptied", extra={"detail": error.detail})
            if view is not None:
                notify_ended(viewer_session, view, reason.sentence)

    def end_where(
        self, reason: PeerCloseReason, *, user: str | None = None, sign_in: str | None = None, intervention: str | None = None
    ) -> None:
        """End at once the viewer sessions of a person or sign-in, or the views under an intervention."""
        for viewer_session in self._registry.all():
            of_user = user is not None and viewer_session.user == user
            if of_user or (sign_in is not None and viewer_session.sign_in == sign_in):
                self._background.spawn(self.close_notified(viewer_session, reason))
            elif intervention is not None:
                slots = [slot for slot, view in viewer_session.views.items() if view.intervention == intervention]
                self._background.spawn(self.empty_notified(viewer_session, slots, reason))

    # --- views --------------------------------------------------------------------------------------------------------

    async def end(
        self, view: str, first_ns: int | None, last_ns: int | None, reason: str, *, upper_bound: bool = False
    ) -> None:
        """Journal the end of a view with the span seen; does nothing where it ended already."""
        found = self._registry.remove_view(view)
        if found is not None:
            end = ViewEnd(found.view, found.user, found.camera, first_ns, last_ns, reason, upper_bound)
            await self.journal.enter(end)

    async def end_not_started(self, view: LiveView, error: RelayError, deadline: Deadline) -> None:
        """Journal the end of a view whose leg could not be started; a request waits for that until its deadline."""
        await run_and_wait(self.end(view.view, None, None, not_started(view, error).reason), deadline)

    async def end_unreported(self, view: str, reason: str) -> None:
        """Journal the end of a view of which no worker reports the span: at most from its beginning until now."""
        found = self._registry.find(view)
        if found is not None:  # else its worker reported it meanwhile
            await self.end(view, found.view.opened_ns, self._clock.utc_ns(), reason, upper_bound=True)
