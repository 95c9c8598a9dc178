"""Who watches what: sessions of viewers, their slots, and the journalled views in them.

What this file owns: the order of I3 (decide, journal durable, then the leg), leases, and the end of every view with the span
really seen.  What it must never know: HTTP, packets.

A viewer's session is named by its unguessable secret.  The secret carries a digest of secret and person, so that after a
restart of control a wall still belongs to whoever opened it, though nothing about it was stored.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from relay.base.clock import Clock, SteadyClock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, OurError, RelayError, TheirError
from relay.base.ids import new_id
from relay.channel import messages as m
from relay.channel.messages import PeerCloseReason as Reason
from relay.live.ice_restart import check_etag, is_restart, ufrag_of
from relay.live.processes import ProcessClient, Processes
from relay.live.publish_sessions import PublishSession
from relay.live.streams import Streams
from relay.people.authorize import Authorizer
from relay.people.interventions import Interventions
from relay.policy.access import Facts
from relay.policy.roles import Action, Person
from relay.protocol import page
from relay.runtime import deadlines
from relay.runtime.background import Background
from relay.store.catalogue import Catalogue, View
from relay.store.journal import Entry, Journal, Operation
from relay.viewing import sessions
from relay.viewing.closing import Closing, never_began
from relay.viewing.sessions import LiveView, Opened, SendToPage, ViewEnd, Viewer, ViewerSession

logger = logging.getLogger(__name__)

LEASE_SECONDS = 20.0
RENEW_SECONDS = 3.0
LEG_REPORT_SECONDS = 0.5
MAX_WALLS_PER_PERSON = 32

declare(
    viewer_sessions="viewer sessions accepted",
    views_opened="live views journalled and opened",
    views_refused="live views refused",
    views_closed="live views closed in the journal",
    views_orphaned="live views that a restarted control found without a leg and closed with their last lease",
)


class Viewing:
    """All viewer sessions and live views."""

    def __init__(
        self,
        processes: Processes,
        streams: Streams,
        interventions: Interventions,
        catalogue: Catalogue,
        journal: Journal,
        clock: Clock,
        steady: SteadyClock,
        counters: Counters,
    ) -> None:
        self._processes = processes
        self._streams = streams
        self._interventions = interventions
        self._catalogue = catalogue
        self._journal = journal
        self._authorizer = Authorizer(journal, clock)
        self._clock = clock
        self._steady = steady
        self._counters = counters
        self._walls: dict[str, ViewerSession] = {}
        self._by_view: dict[str, tuple[ViewerSession, LiveView]] = {}
        self._orphans: dict[str, View] = {}
        self._closing = Closing(catalogue, journal, clock, counters)
        self._adopted: set[int] = set()
        self._background = Background(counters)
        self.on_watched: list[Callable[[str, int], None]] = []
        processes.on(m.LegStarted, self._on_leg_started)
        processes.on(m.LegEnded, self._on_leg_ended)
        processes.on(m.ViewerState, self._on_viewer_state)
        processes.on(m.WorkerReport, self._on_report)
        processes.on_up(self._adopt)
        streams.on.gone.append(self._on_camera_gone)
        interventions.on_closed.append(lambda closed: self.end_where(Reason.VIEW_INTERVENTION_CLOSED, intervention=closed))

    async def start(self) -> None:
        """Read which views were open when control last ran; workers then say which still are."""
        self._orphans = {view.view: view for view in await self._catalogue.open_views() if view.kind == "live"}

    async def shut(self) -> None:
        """Wait for the journal entries under way; legs go on in their workers."""
        await self._background.settled()

    # --- sessions -----------------------------------------------------------------------------------------------------

    async def open_wall(self, viewer: Viewer, worker: int, offer: str, *, single: bool = False) -> Opened:
        """Accept a viewer's offer; no media flows before a slot is assigned.

        Raises TheirError (no such worker, too many walls, INVALID, NOT_ACCEPTABLE) and OurError (worker away).
        """
        if not 0 <= worker < len(self._processes.workers):
            raise TheirError(Kind.NOT_FOUND, f"no worker {worker}", code=Code.WORKER_NOT_FOUND, facts={"worker": worker})
        if sum(wall.user == viewer.person.user for wall in self._walls.values()) >= MAX_WALLS_PER_PERSON:
            raise TheirError(
                Kind.TOO_MANY, "too many viewer sessions of one person", retry_after=5.0, code=Code.TOO_MANY_VIEWER_SESSIONS
            )
        secret = sessions.make_secret(viewer.person.user)
        answer = await self._processes.workers[worker].ask(m.ViewerOpen(secret, offer), m.Answer)
        wall = ViewerSession(
            secret, viewer.person.user, worker, answer.etag, answer.slots, single, viewer.session, viewer.expires_ns
        )
        wall.valid_to_ns = viewer.person.valid_to_ns
        wall.ufrag = ufrag_of(offer)
        self._walls[secret] = wall
        self._counters.count("viewer_sessions")
        return Opened(secret, answer)

    async def open_single(self, viewer: Viewer, camera: str, intervention: str | None, offer: str) -> Opened:
        """Accept a WHEP viewer: a wall of one slot, assigned at once.

        Raises TheirError: INCOMPLETE without a joined intervention (422), NOT_FOUND for a camera that is not live.
        """
        # Decided before the offer is looked at: who may not watch learns nothing about the camera from its answer.
        live, _ = await self._decide(viewer.person, camera, intervention)
        opened = await self.open_wall(viewer, live.worker, offer, single=True)
        try:
            await self.assign(viewer.person, opened.secret, 0, camera, intervention, "high")
            if opened.answer.has_audio and live.camera.live_audio:
                # A standard client has no other way to say which slot it listens to.
                await self.listen(viewer.person, opened.secret, 0)
        except RelayError:
            await self.close(opened.secret, Reason.VIEW_REFUSED)
            raise
        return opened

    async def patch(self, secret: str, fragment: str, if_match: str | None) -> m.Patched:
        """Trickle or restart ICE.  Raises TheirError NOT_FOUND, PRECONDITION_REQUIRED, STALE or as the worker says."""
        wall = self.require(secret)
        restart = is_restart(fragment, wall.ufrag, if_match)
        if restart:
            check_etag(wall.etag, if_match)
        patched = await self._processes.workers[wall.worker].ask(m.PeerPatch(secret, fragment, restart), m.Patched)
        if patched.etag is not None:
            wall.etag, wall.ufrag = patched.etag, ufrag_of(fragment)
        return patched

    async def close(self, secret: str, reason: Reason = Reason.CLOSED_BY_VIEWER) -> None:
        """Close a session and its views; their ends are journalled once the disk answers.  Raises TheirError(NOT_FOUND)."""
        wall = self.require(secret)
        try:
            await self._processes.workers[wall.worker].ask(m.PeerClose(secret, reason), m.Done)
        except OurError as error:
            logger.warning("worker did not confirm an end", extra={"detail": error.detail})
        await deadlines.ended(self._gone(wall, reason.sentence))

    def require(self, secret: str, user: str | None = None) -> ViewerSession:
        """Return a session, of this person where one is named; raises TheirError(NOT_FOUND)."""
        wall = self._walls.get(secret)
        if wall is None or (user is not None and not sessions.belongs_to(secret, user)):
            raise TheirError(Kind.NOT_FOUND, "no such session", code=Code.SESSION_NOT_FOUND)
        if user is not None:
            wall.user = user
        return wall

    def claim(self, viewer: Viewer, secret: str) -> None:
        """Somebody signed in says whose session this is: it ends with that sign-in.  Raises TheirError(NOT_FOUND)."""
        self.require(secret, viewer.person.user).belong(viewer.session, viewer.expires_ns, viewer.person.valid_to_ns)

    # --- views --------------------------------------------------------------------------------------------------------

    async def assign(
        self, person: Person, secret: str, slot: int, camera: str | None, intervention: str | None, layer: m.Layer,
        send_to_page: SendToPage | None = None,
    ) -> LiveView | None:  # fmt: skip
        """Show a camera in a slot (None: empty it); returns the view.

        I3: policy, then the journal entry durable, then the leg.  Raises TheirError (journalled as a refusal) and OurError.
        """
        wall = self.require(secret, person.user)
        wall.send_to_page = send_to_page or wall.send_to_page
        if not 0 <= slot < wall.slots:
            raise TheirError(Kind.INVALID, f"no slot {slot}", code=Code.SLOT_NOT_FOUND, facts={"slot": slot})
        async with wall.lock:
            if camera is None:
                await self._empty(wall, slot)
                return None
            held = wall.views.get(slot)
            if held is not None and (held.camera, held.intervention) == (camera, intervention or ""):
                # A page whose live socket came back says everything again: the view goes on, nothing blinks.
                self.layer(person, secret, slot, layer)
                return held
            return await self._show(person, wall, slot, camera, intervention, layer)

    def layer(self, person: Person, secret: str, slot: int, layer: m.Layer) -> None:
        """A tile changed size."""
        wall = self.require(secret, person.user)
        self._processes.workers[wall.worker].post(m.SlotLayer(secret, slot, layer))

    async def listen(self, person: Person, secret: str, slot: int | None) -> None:
        """Choose the audible slot (None: silence).  Refused by the worker where the source has no live audio."""
        wall = self.require(secret, person.user)
        await self._processes.workers[wall.worker].ask(m.AudioAssign(secret, slot), m.Done)

    def forget_page(self, send_to_page: SendToPage) -> None:
        """A page's socket closed: its walls have no page any more.  Their views go on as long as packets are fetched."""
        for wall in self._walls.values():
            if wall.send_to_page is send_to_page:
                wall.send_to_page = None

    def known(self) -> frozenset[str]:
        """Return the views that are shown, that a worker may still show, or whose end waits for the disk."""
        return frozenset(self._by_view) | frozenset(self._orphans) | self._closing.known()

    @property
    def open_views(self) -> int:
        """How many live views are open."""
        return len(self._by_view)

    def views_of(self, camera: str) -> int:
        """Return how many views of a camera are open."""
        return sum(watching.camera == camera for _, watching in self._by_view.values())

    def end_where(
        self, reason: Reason, *, user: str | None = None, session: str | None = None, intervention: str | None = None
    ) -> None:
        """End at once the sessions of a person or sign-in, or the views under an intervention."""
        for wall in tuple(self._walls.values()):
            if (user is not None and wall.user == user) or (session is not None and wall.session == session):
                self._background.spawn(self._close_quietly(wall, reason))
            elif intervention is not None:
                slots = [slot for slot, watching in wall.views.items() if watching.intervention == intervention]
                self._background.spawn(self._empty_slots(wall, slots, reason))

    def renew(self) -> None:
        """Renew the leases in the workers, but for who is signed out; call every `RENEW_SECONDS`.  Waits for nothing."""
        lease = self._clock.monotonic() + LEASE_SECONDS
        for process in self._processes.workers:
            walls = [wall for wall in self._walls.values() if wall.worker == process.index and not self._is_over(wall)]
            views = tuple(watching.view for wall in walls for watching in wall.views.values())
            if views:
                process.post(m.LeaseRenew(views, lease))

    async def tick(self) -> None:
        """End what outlived its sign-in, renew leases in the catalogue, enter what could not be; call every `RENEW_SECONDS`."""
        for wall in tuple(self._walls.values()):
            if self._is_over(wall):
                # Beside the others: each waits for the journal.
                self._background.spawn(self._close_quietly(wall, Reason.SIGN_IN_OVER))
        for work in self._closing.again():
            self._background.spawn(work)
        self._bury_orphans()
        if self._by_view:
            # Views go on while the disk does not answer: the next renewal must not wait for this one's row.
            with deadlines.hurried():
                await self._catalogue.lease_views(tuple(self._by_view), self._clock.utc_ns())

    def _is_over(self, wall: ViewerSession) -> bool:
        return wall.over(self._steady.utc_ns(), self._clock.utc_ns())

    async def _decide(self, person: Person, camera: str, intervention: str | None) -> tuple[PublishSession, str]:
        live = self._streams.live(camera)
        try:
            motive = await self._interventions.motive_of(person, intervention)
        except TheirError:
            motive = ""
        facts = Facts(
            regime=live.camera.regime if live else None,
            service=live.camera.service if live else None,
            commune=live.camera.commune if live else None,
            motive=motive,
            intervention_open=bool(motive),
            joined=bool(motive),
            camera_live=live is not None,
            threat=live.circumstances.threat if live else None,
        )
        try:
            await self._authorizer.require(person, Action.VIEW_LIVE, facts, object_type="camera", object_id=camera[:40])
        except TheirError:
            self._counters.count("views_refused")
            raise
        if live is None:  # policy refuses this already; the type needs it said
            raise TheirError(Kind.NOT_FOUND, "this camera is not live", code=Code.CAMERA_NOT_LIVE)
        return live, motive

    async def _show(
        self, person: Person, wall: ViewerSession, slot: int, camera: str, intervention: str | None, layer: m.Layer
    ) -> LiveView:
        live, motive = await self._decide(person, camera, intervention)
        if live.worker != wall.worker:
            raise TheirError(
                Kind.CONFLICT, f"this camera is on worker {live.worker}", code=Code.WRONG_WORKER, facts={"worker": live.worker}
            )
        now_ns = self._clock.utc_ns()
        watching = LiveView(new_id(now_ns), person.user, camera, intervention or "", slot, now_ns)
        await self._enter_join(person, watching, live, motive)
        row = View(watching.view, "live", person.user, camera, live.recording, intervention, motive, now_ns, now_ns)
        row = replace(row, session=wall.session, expires_ns=wall.expires_ns, valid_to_ns=wall.valid_to_ns)
        try:
            await self._catalogue.open_view(row)
            await self._empty(wall, slot)
        except RelayError as error:
            self._background.spawn(self._closing.enter(never_began(watching, error)))
            raise
        wall.views[slot] = watching
        self._by_view[watching.view] = (wall, watching)
        await self._start_leg(person, wall, watching, live, layer)
        self._counters.count("views_opened")
        self._watched(camera)
        return watching

    async def _start_leg(
        self, person: Person, wall: ViewerSession, watching: LiveView, live: PublishSession, layer: m.Layer
    ) -> None:
        try:
            await self._check_again(person, wall, watching, live)
            lease = self._clock.monotonic() + LEASE_SECONDS
            message = m.SlotAssign(wall.secret, watching.slot, watching.camera, watching.view, layer, lease)
            await self._processes.workers[wall.worker].ask(message, m.Done)
        except RelayError as error:
            await self._leave(watching.view, None, None, never_began(watching, error).reason)
            raise

    async def _check_again(self, person: Person, wall: ViewerSession, watching: LiveView, live: PublishSession) -> None:
        """Refuse what ended while the journal was written; the view is known by now, so that a later end finds it."""
        await self._interventions.motive_of(person, watching.intervention)
        if self._walls.get(wall.secret) is not wall or self._by_view.get(watching.view) is None:
            raise TheirError(Kind.NOT_FOUND, "no such session", code=Code.SESSION_NOT_FOUND)
        now = self._streams.live(watching.camera)
        if now is None or now.worker != live.worker:
            raise TheirError(Kind.NOT_FOUND, "this camera is not live", code=Code.CAMERA_NOT_LIVE)

    async def _enter_join(self, person: Person, watching: LiveView, live: PublishSession, motive: str) -> None:
        details: dict[str, str | int | bool | None] = {
            "event": "view opened", "view": watching.view, "intervention": watching.intervention, "recording": live.recording,
        }  # fmt: skip
        await self._journal.append(
            Entry(
                Operation.CONSULTATION, person.user, person.role.value, motive=motive, object_type="camera",
                object_id=watching.camera, details=details,
            )
        )  # fmt: skip

    async def _empty(self, wall: ViewerSession, slot: int) -> None:
        watching = wall.views.get(slot)
        if watching is None:
            return
        emptied = m.SlotAssign(wall.secret, slot, None, watching.view, "high", self._clock.monotonic())
        await self._processes.workers[wall.worker].ask(emptied, m.Done)
        wall.views.pop(slot, None)  # free at once; the worker reports the span seen by `LegEnded`

    async def _empty_slots(self, wall: ViewerSession, slots: Iterable[int], reason: Reason) -> None:
        if wall.single and slots:
            await self._close_quietly(wall, reason)
            return
        for slot in slots:
            watching = wall.views.get(slot)
            async with wall.lock:
                try:
                    await self._empty(wall, slot)
                except RelayError as error:
                    logger.warning("slot not emptied", extra={"detail": error.detail})
            if watching is not None:
                sessions.notify_ended(wall, watching, reason.sentence)

    async def _close_quietly(self, wall: ViewerSession, reason: Reason) -> None:
        for watching in wall.views.values():
            sessions.notify_ended(wall, watching, reason.sentence)
        try:
            await self.close(wall.secret, reason)
        except TheirError:
            return  # gone meanwhile

    async def _gone(self, wall: ViewerSession, reason: str) -> None:
        """A session is over: whatever view the worker did not report as ended ends here."""
        self._walls.pop(wall.secret, None)
        wall.views.clear()
        for view in [view for view, (owner, _) in self._by_view.items() if owner is wall]:
            await self._leave_untold(view, reason)

    async def _gone_soon(self, wall: ViewerSession, reason: str) -> None:
        # The spans of its legs may still be on their way in the same channel.
        await asyncio.sleep(LEG_REPORT_SECONDS)
        await self._gone(wall, reason)

    async def _leave_untold(self, view: str, reason: str) -> None:
        """The end of a view of which no worker tells the span: at most from its beginning until now."""
        if view in self._by_view:  # else it was told meanwhile
            await self._leave(view, self._by_view[view][1].opened_ns, self._clock.utc_ns(), reason, bound=True)

    async def _leave(self, view: str, first_ns: int | None, last_ns: int | None, reason: str, *, bound: bool = False) -> None:
        """Journal the end of a view, once, with the span seen."""
        found = self._by_view.pop(view, None)
        if found is None:
            return
        wall, watching = found
        if wall.views.get(watching.slot) is watching:
            del wall.views[watching.slot]
        self._watched(watching.camera)
        leave = ViewEnd(watching.view, watching.user, watching.camera, first_ns, last_ns, reason, bound)
        await deadlines.ended(self._closing.enter(leave))

    # --- what workers say ---------------------------------------------------------------------------------------------

    def _on_leg_started(self, process: ProcessClient, message: m.LegStarted) -> None:
        found = self._by_view.get(message.view)
        if found is not None and found[0].send_to_page is not None:
            found[0].send_to_page(page.ViewStarted(message.view, message.first_ns))

    def _on_leg_ended(self, process: ProcessClient, message: m.LegEnded) -> None:
        found = self._by_view.get(message.view)
        if found is not None and found[0].views.get(found[1].slot) is found[1]:
            sessions.notify_ended(found[0], found[1], message.reason)
        self._background.spawn(self._leave(message.view, message.first_ns, message.last_ns, message.reason))

    def _on_viewer_state(self, process: ProcessClient, message: m.ViewerState) -> None:
        wall = self._walls.get(message.session)
        if wall is not None and message.state == "closed":
            del self._walls[message.session]
            self._background.spawn(self._gone_soon(wall, message.reason))

    def _on_report(self, process: ProcessClient, report: m.WorkerReport) -> None:
        for leg in report.legs:
            found = self._by_view.get(leg.view)
            if found is not None and found[0].send_to_page is not None:
                found[0].send_to_page(sessions.leg_report(leg))

    def _on_camera_gone(self, camera: str, reason: str) -> None:
        for wall, watching in tuple(self._by_view.values()):
            if watching.camera == camera and wall.views.get(watching.slot) is watching:
                # The worker ends the leg with the source and reports the span; the tile learns it now.
                sessions.notify_ended(wall, watching, reason)

    # --- restarts -----------------------------------------------------------------------------------------------------

    async def _adopt(self, process: ProcessClient) -> None:
        if process.role != "worker":
            return
        inventory = await process.ask(m.InventoryAsk(), m.WorkerInventory)
        reported = {viewer.session for viewer in inventory.viewers}
        for wall in [wall for wall in self._walls.values() if wall.worker == process.index and wall.secret not in reported]:
            await self._gone(wall, "the worker restarted")
        for viewer in inventory.viewers:
            if viewer.session not in self._walls:
                self._walls[viewer.session] = sessions.adopted_session(viewer, process.index)
        for leg in inventory.legs:
            await self._adopt_leg(process, leg)
        held = {leg.view for leg in inventory.legs}
        for view in [v for v, (wall, _) in self._by_view.items() if wall.worker == process.index and v not in held]:
            await self._leave_untold(view, "the leg ended while control was away")
        self._adopted.add(process.index)

    async def _adopt_leg(self, process: ProcessClient, leg: m.LegHeld) -> None:
        view = self._orphans.pop(leg.view, None)
        wall = self._walls.get(leg.session)
        if leg.view in self._by_view or wall is None:
            return
        if view is None:  # a leg without an open view is shown to nobody that the journal knows: end it
            await process.ask(m.SlotAssign(leg.session, leg.slot, None, leg.view, "high", 0.0), m.Done)
            return
        wall.user = view.user
        if wall.session is None:  # else its person was here already
            wall.belong(view.session, view.expires_ns, view.valid_to_ns)
        watching = LiveView(leg.view, view.user, leg.camera, view.intervention or "", leg.slot, view.opened_ns)
        wall.views[leg.slot] = watching
        self._by_view[leg.view] = (wall, watching)
        self._watched(leg.camera)
        if view.intervention and (await self._catalogue.intervention(view.intervention)).closed_ns is not None:
            # Control died between the entry of its end and telling who showed it.
            self._background.spawn(self._empty_slots(wall, [leg.slot], Reason.VIEW_INTERVENTION_CLOSED))

    def _bury_orphans(self) -> None:
        """Once every worker has spoken, close the views that none of them holds, with their last leased second."""
        if not self._orphans or len(self._adopted) < len(self._processes.workers):
            return
        for view in tuple(self._orphans.values()):
            del self._orphans[view.view]
            reason = "the relay was restarted"
            leave = ViewEnd(view.view, view.user, view.camera, view.opened_ns, view.leased_ns, reason, bound=True)
            self._background.spawn(self._closing.enter(leave))
            self._counters.count("views_orphaned")

    # --- small things -------------------------------------------------------------------------------------------------

    def _watched(self, camera: str) -> None:
        for listener in self.on_watched:
            listener(camera, self.views_of(camera))
