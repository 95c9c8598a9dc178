"""What pages and players ask of live views.

Owns: the requests (open and close a viewer session, assign a slot, choose layer and sound) and the parts that
carry them out.  Must never know: HTTP, packets.

A viewer session is named by its unguessable secret.  The secret carries a digest of token and person, so that after a restart
of control it still belongs to the person who opened it, though nothing about it was stored.
"""

from collections.abc import Callable

from relay.base.clock import Clock, SteadyClock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, RelayError, TheirError
from relay.channel import messages as m
from relay.channel.messages import PeerCloseReason as Reason
from relay.live.ice_restart import IceGeneration, ufrags_of
from relay.live.processes import Processes
from relay.live.streams import Streams
from relay.people.authorize import Authorizer
from relay.people.interventions import Interventions
from relay.policy.roles import Person
from relay.runtime.background import Background
from relay.runtime.deadlines import NO_DEADLINE, Deadline
from relay.store.catalogue import Catalogue
from relay.store.journal import Journal
from relay.viewing import sessions
from relay.viewing.adoption import ViewAdoption
from relay.viewing.closing import ViewEndJournal
from relay.viewing.ends import ViewEnds
from relay.viewing.leases import Leases
from relay.viewing.leg_reports import LegReports
from relay.viewing.opening import ViewOpening
from relay.viewing.registry import ViewerRegistry
from relay.viewing.sessions import LiveView, Opened, SendToPage, Viewer, ViewerSession

MAX_SESSIONS_PER_PERSON = 32

declare(viewer_sessions="viewer sessions accepted")


class Viewing:
    """All viewer sessions and live views."""

    def __init__(
        self,
        processes: Processes,
        streams: Streams,
        interventions: Interventions,
        catalogue: Catalogue,
        journal: Journal,
        authorizer: Authorizer,
        clock: Clock,
        steady: SteadyClock,
        counters: Counters,
        *,
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """`deadline`: how long a request waits for the disk."""
        self._deadline = deadline
        self._processes = processes
        self._counters = counters
        self._background = Background(counters)
        self.registry = ViewerRegistry()
        self._ends = ViewEnds(
            processes, self.registry, ViewEndJournal(catalogue, journal, clock, counters), clock, self._background
        )
        self._opening = ViewOpening(
            processes, streams, interventions, catalogue, journal, authorizer, self.registry, self._ends, clock,
            self._background, counters, deadline,
        )  # fmt: skip
        self._leases = Leases(processes, self.registry, catalogue, clock, steady, deadline)
        self._adoption = ViewAdoption(processes, self.registry, catalogue, self._ends, self._background, counters)
        LegReports(processes, streams, self.registry, self._ends, self._background)
        interventions.on_closed.append(lambda closed: self.end_where(Reason.VIEW_INTERVENTION_CLOSED, intervention=closed))

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read which views were open when control last ran; call before the workers are connected."""
        await self._adoption.start()

    async def settled(self) -> None:
        """Wait for the work under way that no caller awaits, and for the work that it begins."""
        while self._background.tasks:
            await self._background.settled()

    async def shut(self) -> None:
        """Wait for the journal entries under way; legs go on in their workers."""
        await self._background.settled()

    def renew(self) -> None:
        """Renew the leases at the workers; call every `leases.RENEW_SECONDS`.  Waits for nothing."""
        self._leases.renew()

    async def tick(self) -> None:
        """Close the viewer sessions whose sign-in is over, retry what the disk refused, write the leases into the catalogue.

        Call every `leases.RENEW_SECONDS`.  Raises OurError where the disk refuses the leases.
        """
        for viewer_session in self.registry.all():
            if self._leases.is_over(viewer_session):
                # Each in a task of its own: each waits for the journal.
                self._background.spawn(self._ends.close_notified(viewer_session, Reason.SIGN_IN_OVER))
        for work in self._ends.journal.retries():
            self._background.spawn(work)
        self._adoption.close_orphans()
        await self._leases.save()

    # --- viewer sessions ----------------------------------------------------------------------------------------------

    async def open_session(
        self, viewer: Viewer, worker: int, offer: str, *, single: bool = False, hosts: tuple[str, ...] = ()
    ) -> Opened:
        """Accept a viewer's offer; no media flows before a slot is assigned.  `hosts`: as in `Streams.publish`.

        Raises TheirError (no such worker, too many viewer sessions, INVALID, NOT_ACCEPTABLE) and OurError (worker away).
        """
        if not 0 <= worker < len(self._processes.workers):
            raise TheirError(Kind.NOT_FOUND, f"no worker {worker}", code=Code.WORKER_NOT_FOUND, facts={"worker": worker})
        if self.registry.of_user(viewer.person.user) >= MAX_SESSIONS_PER_PERSON:
            raise TheirError(
                Kind.TOO_MANY, "too many viewer sessions of one person", retry_after=5.0, code=Code.TOO_MANY_VIEWER_SESSIONS
            )
        secret = sessions.make_secret(viewer.person.user)
        answer = await self._processes.workers[worker].ask(m.ViewerOpen(secret, offer, hosts), m.Answer)
        ice = IceGeneration(answer.etag, ufrags_of(offer))
        viewer_session = ViewerSession(secret, viewer.person.user, worker, ice, answer.slots, single)
        viewer_session.belong(viewer.sign_in, viewer.expires_ns, viewer.person.valid_to_ns)
        self.registry.add(viewer_session)
        self._counters.count("viewer_sessions")
        return Opened(secret, answer)

    async def open_single(
        self, viewer: Viewer, camera: str, intervention: str | None, offer: str, hosts: tuple[str, ...] = ()
    ) -> Opened:
        """Accept a WHEP viewer: a viewer session of one slot, assigned at once.

        Raises TheirError: INCOMPLETE without a joined intervention (422), NOT_FOUND for a camera that is not live.
        """
        # Decided before the offer is looked at: who may not watch learns nothing about the camera from its answer.
        publish_session, _ = await self._opening.decide(viewer.person, camera, intervention)
        opened = await self.open_session(viewer, publish_session.worker, offer, single=True, hosts=hosts)
        try:
            await self.assign(viewer.person, opened.secret, 0, camera, intervention, "high")
            if opened.answer.has_audio and publish_session.camera.live_audio:
                # A standard client cannot choose the slot that it listens to.
                await self.listen(viewer.person, opened.secret, 0)
        except RelayError:
            await self.close(opened.secret, Reason.VIEW_REFUSED)
            raise
        return opened

    async def patch(self, secret: str, fragment: str, if_match: str | None, hosts: tuple[str, ...] = ()) -> m.Patched:
        """Trickle or restart ICE.  Raises TheirError NOT_FOUND, PRECONDITION_REQUIRED, STALE or the worker's refusal."""
        viewer_session = self.require(secret)
        restart = viewer_session.ice.begins(fragment, if_match)
        worker = self._processes.workers[viewer_session.worker]
        patched = await worker.ask(m.PeerPatch(secret, fragment, restart, hosts), m.Patched)
        viewer_session.ice.replace(patched.etag, fragment)
        return patched

    async def close(self, secret: str, reason: Reason = Reason.CLOSED_BY_VIEWER, *, user: str | None = None) -> None:
        """Close a viewer session, of this person where one is named.

        The ends of its views are journalled once the disk answers.  A session that is over already may be closed by this once,
        because browsers close their peer connection before they send DELETE.  Raises TheirError(NOT_FOUND) for any other.
        """
        if not self.registry.take_left(secret, user):
            await self._ends.close(self.require(secret, user), reason, self._deadline)
            self.registry.take_left(secret)

    def require(self, secret: str, user: str | None = None) -> ViewerSession:
        """Return a viewer session, of this person where one is named; raises TheirError(NOT_FOUND)."""
        return self.registry.require(secret, user)

    def claim(self, viewer: Viewer, secret: str) -> None:
        """Tie a viewer session to the sign-in that its person has now: it ends with it.  Raises TheirError(NOT_FOUND)."""
        self.require(secret, viewer.person.user).belong(viewer.sign_in, viewer.expires_ns, viewer.person.valid_to_ns)

    def end_where(
        self, reason: Reason, *, user: str | None = None, sign_in: str | None = None, intervention: str | None = None
    ) -> None:
        """End at once the viewer sessions of a person or sign-in, or the views under an intervention."""
        self._ends.end_where(reason, user=user, sign_in=sign_in, intervention=intervention)

    # --- slots --------------------------------------------------------------------------------------------------------

    async def assign(
        self, person: Person, secret: str, slot: int, camera: str | None, intervention: str | None, layer: m.Layer,
        send_to_page: SendToPage | None = None,
    ) -> LiveView | None:  # fmt: skip
        """Show a camera in a slot (None: empty it); returns the view.

        I3: policy, then the journal entry durable, then the leg.  Raises TheirError (journalled as a refusal) and OurError.
        """
        viewer_session = self.require(secret, person.user)
        viewer_session.send_to_page = send_to_page or viewer_session.send_to_page
        if not 0 <= slot < viewer_session.slots:
            raise TheirError(Kind.INVALID, f"no slot {slot}", code=Code.SLOT_NOT_FOUND, facts={"slot": slot})
        async with viewer_session.lock:
            if camera is None:
                await self._ends.empty(viewer_session, slot)
                return None
            shown = viewer_session.views.get(slot)
            if shown is not None and (shown.camera, shown.intervention) == (camera, intervention or ""):
                # A page whose live socket came back sends its assignments again: the view goes on without a break.
                self.layer(person, secret, slot, layer)
                return shown
            return await self._opening.show(person, viewer_session, slot, camera, intervention, layer)

    def layer(self, person: Person, secret: str, slot: int, layer: m.Layer) -> None:
        """Change the layer of a slot: its tile changed size."""
        viewer_session = self.require(secret, person.user)
        self._processes.workers[viewer_session.worker].post(m.SlotLayer(secret, slot, layer))

    async def listen(self, person: Person, secret: str, slot: int | None) -> None:
        """Choose the audible slot (None: silence).  Refused by the worker where the source has no live audio."""
        viewer_session = self.require(secret, person.user)
        await self._processes.workers[viewer_session.worker].ask(m.AudioAssign(secret, slot), m.Done)

    def forget_page(self, send_to_page: SendToPage) -> None:
        """A page's socket closed: its viewer sessions have no page any more; their views go on while packets are fetched."""
        for viewer_session in self.registry.all():
            if viewer_session.send_to_page is send_to_page:
                viewer_session.send_to_page = None

    # --- questions ----------------------------------------------------------------------------------------------------

    def known(self) -> frozenset[str]:
        """Return the views that are shown, that a worker may still show, or whose end is not in the journal yet."""
        return frozenset(self.registry.views()) | self._adoption.orphans() | self.unentered()

    def unentered(self) -> frozenset[str]:
        """Return the views that are over and whose end is not in the journal yet."""
        return self._ends.journal.pending()

    @property
    def open_views(self) -> int:
        """How many live views are open."""
        return len(self.registry.views())

    def views_of(self, camera: str) -> int:
        """Return how many live views a camera has."""
        return self.registry.views_of(camera)

    @property
    def on_watched(self) -> list[Callable[[str, int], None]]:
        """Who is notified of the number of a camera's live views."""
        return self.registry.on_watched
