"""How a view begins.

Owns: the order of I3: decide, journal entry durable, look once more, then the leg.  Must never know: HTTP, packets.

```
person ─ assign ─▶ decide (policy; a refusal is journalled)
                     ▼
                   journal: "view opened" durable
                     ▼
                   catalogue: row, with the sign-in behind it  ── refused ─▶ journal: "view closed", not started
                     ▼
                   intervention, viewer session, camera: once more ── ended meanwhile ─▶ journal: "view closed", not started
                     ▼
                   worker: leg ──▶ media
```
"""

from dataclasses import replace

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, RelayError, TheirError
from relay.base.ids import new_id
from relay.channel import messages as m
from relay.live.processes import Processes
from relay.live.publish_sessions import PublishSession
from relay.live.streams import Streams
from relay.people.authorize import Authorizer
from relay.people.interventions import Interventions
from relay.policy.access import Facts
from relay.policy.roles import Action, Person
from relay.runtime.background import Background
from relay.runtime.deadlines import Deadline
from relay.store.catalogue import Catalogue, View
from relay.store.journal import Entry, Journal, Operation
from relay.viewing.closing import not_started
from relay.viewing.ends import ViewEnds
from relay.viewing.leases import LEASE_SECONDS
from relay.viewing.registry import ViewerRegistry
from relay.viewing.sessions import LiveView, ViewerSession

declare(views_opened="live views journalled and opened", views_refused="live views refused")


class ViewOpening:
    """Decides on views and opens them."""

    def __init__(
        self,
        processes: Processes,
        streams: Streams,
        interventions: Interventions,
        catalogue: Catalogue,
        journal: Journal,
        authorizer: Authorizer,
        registry: ViewerRegistry,
        ends: ViewEnds,
        clock: Clock,
        background: Background,
        counters: Counters,
        deadline: Deadline,
    ) -> None:
        """`deadline`: how long a request waits for journal and catalogue."""
        self._deadline = deadline
        self._processes = processes
        self._streams = streams
        self._interventions = interventions
        self._views = catalogue.within(deadline).views
        self._journal = journal
        self._authorizer = authorizer
        self._registry = registry
        self._ends = ends
        self._clock = clock
        self._background = background
        self._counters = counters

    async def decide(self, person: Person, camera: str, intervention: str | None) -> tuple[PublishSession, str]:
        """Return the camera's publish session and the person's motive; raises TheirError, journalled as a refusal."""
        publish_session = self._streams.live(camera)
        try:
            motive = await self._interventions.motive_of(person, intervention)
        except TheirError:
            motive = ""
        facts = Facts(
            regime=publish_session.camera.regime if publish_session else None,
            service=publish_session.camera.service if publish_session else None,
            commune=publish_session.camera.commune if publish_session else None,
            motive=motive,
            intervention_open=bool(motive),
            joined=bool(motive),
            camera_live=publish_session is not None,
            threat=publish_session.circumstances.threat if publish_session else None,
        )
        try:
            await self._authorizer.require(person, Action.VIEW_LIVE, facts, object_type="camera", object_id=camera[:40])
        except TheirError:
            self._counters.count("views_refused")
            raise
        if publish_session is None:  # policy refuses this already; the type checker does not know it
            raise TheirError(Kind.NOT_FOUND, "this camera is not live", code=Code.CAMERA_NOT_LIVE)
        return publish_session, motive

    async def show(
        self,
        person: Person,
        viewer_session: ViewerSession,
        slot: int,
        camera: str,
        intervention: str | None,
        layer: m.Layer,
    ) -> LiveView:
        """Show a camera in a slot, under the viewer session's lock.  Raises TheirError and OurError: then nothing is shown."""
        publish_session, motive = await self.decide(person, camera, intervention)
        if publish_session.worker != viewer_session.worker:
            raise TheirError(
                Kind.CONFLICT,
                f"this camera is on worker {publish_session.worker}",
                code=Code.WRONG_WORKER,
                facts={"worker": publish_session.worker},
            )
        now_ns = self._clock.utc_ns()
        view = LiveView(new_id(now_ns), person.user, camera, intervention or "", slot, now_ns)
        await self._enter(person, view, publish_session, motive)
        row = View(view.view, "live", person.user, camera, publish_session.recording_id, intervention, motive, now_ns, now_ns)
        row = replace(
            row, session=viewer_session.sign_in, expires_ns=viewer_session.expires_ns, valid_to_ns=viewer_session.valid_to_ns
        )
        try:
            await self._views.add(row)
            await self._ends.empty(viewer_session, slot)
        except RelayError as error:
            self._background.spawn(self._ends.journal.enter(not_started(view, error)))
            raise
        self._registry.add_view(viewer_session, view)
        await self._start_leg(person, viewer_session, view, publish_session, layer)
        self._counters.count("views_opened")
        self._registry.notify_watched(camera)
        return view

    async def _enter(self, person: Person, view: LiveView, publish_session: PublishSession, motive: str) -> None:
        details: dict[str, str | int | bool | None] = {
            "event": "view opened", "view": view.view, "intervention": view.intervention,
            "recording": publish_session.recording_id,
        }  # fmt: skip
        await self._journal.append(
            Entry(
                Operation.CONSULTATION, person.user, person.role.value, motive=motive, object_type="camera",
                object_id=view.camera, details=details,
            ),
            deadline=self._deadline,
        )  # fmt: skip

    async def _start_leg(
        self, person: Person, viewer_session: ViewerSession, view: LiveView, publish_session: PublishSession, layer: m.Layer
    ) -> None:
        try:
            await self._check_again(person, viewer_session, view, publish_session)
            lease = self._clock.monotonic() + LEASE_SECONDS
            message = m.SlotAssign(viewer_session.secret, view.slot, view.camera, view.view, layer, lease)
            await self._processes.workers[viewer_session.worker].ask(message, m.Done)
        except RelayError as error:
            await self._ends.end_not_started(view, error, self._deadline)
            raise

    async def _check_again(
        self, person: Person, viewer_session: ViewerSession, view: LiveView, publish_session: PublishSession
    ) -> None:
        """Refuse a view whose intervention, viewer session or camera ended while the journal was written.

        The view is in the registry by now, so that an end from here on finds it.
        """
        await self._interventions.motive_of(person, view.intervention)
        if not self._registry.is_current(viewer_session) or self._registry.find(view.view) is None:
            raise TheirError(Kind.NOT_FOUND, "no such session", code=Code.SESSION_NOT_FOUND)
        now = self._streams.live(view.camera)
        if now is None or now.worker != publish_session.worker:
            raise TheirError(Kind.NOT_FOUND, "this camera is not live", code=Code.CAMERA_NOT_LIVE)
