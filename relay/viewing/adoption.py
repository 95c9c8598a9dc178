"""Views that outlive control: what a control that restarts makes of them.

Owns: the comparison of the workers' inventories with the catalogue's open views.  Must never know: HTTP, policy, packets.

```
catalogue has the view open, a worker has its leg      ──▶ the view goes on; it ends with the sign-in named in its row
catalogue has it open, every worker was asked, no leg  ──▶ journal: "view closed", until its last leased second
a worker has a leg, catalogue has no open view of it   ──▶ the leg is ended: the journal knows nobody who watches it
control has a view, its worker came back without it    ──▶ journal: "view closed", `upper_bound`
```
"""

from relay.base.counters import Counters, declare
from relay.channel import messages as m
from relay.channel.messages import PeerCloseReason
from relay.live.processes import ProcessClient, Processes
from relay.runtime.background import Background
from relay.store.catalogue import Catalogue, View
from relay.viewing.ends import ViewEnds
from relay.viewing.registry import ViewerRegistry
from relay.viewing.sessions import LiveView, ViewEnd, adopted_session

declare(views_orphaned="live views that a restarted control found without a leg and closed with their last lease")


class ViewAdoption:
    """Adopts viewer sessions and views of workers."""

    def __init__(
        self,
        processes: Processes,
        registry: ViewerRegistry,
        catalogue: Catalogue,
        ends: ViewEnds,
        background: Background,
        counters: Counters,
    ) -> None:
        self._processes = processes
        self._registry = registry
        self._catalogue = catalogue
        self._ends = ends
        self._background = background
        self._counters = counters
        self._orphans: dict[str, View] = {}
        """The catalogue's open views of which no worker reported a leg yet."""
        self._asked: set[int] = set()
        """The workers whose inventory was taken over since the start."""
        processes.on_up(self._on_up)

    async def start(self) -> None:
        """Read which views were open when control last ran."""
        self._orphans = {view.view: view for view in await self._catalogue.views.list_open() if view.kind == "live"}

    def orphans(self) -> frozenset[str]:
        """Return the views that a worker may still show."""
        return frozenset(self._orphans)

    def close_orphans(self) -> None:
        """Once every worker was asked, close the views of which none has a leg."""
        if not self._orphans or len(self._asked) < len(self._processes.workers):
            return
        for view in tuple(self._orphans.values()):
            del self._orphans[view.view]
            reason = "the relay was restarted"
            end = ViewEnd(view.view, view.user, view.camera, view.opened_ns, view.leased_ns, reason, upper_bound=True)
            self._background.spawn(self._ends.journal.enter(end))
            self._counters.count("views_orphaned")

    async def _on_up(self, process: ProcessClient) -> None:
        if process.role != "worker":
            return
        inventory = await process.ask(m.InventoryAsk(), m.WorkerInventory)
        reported = {viewer.session for viewer in inventory.viewers}
        for viewer_session in self._registry.on_worker(process.index):
            if viewer_session.secret not in reported:
                await self._ends.gone(viewer_session, "the worker restarted")
        for viewer in inventory.viewers:
            if self._registry.get(viewer.session) is None:
                self._registry.add(adopted_session(viewer, process.index))
        for leg in inventory.legs:
            await self._adopt_leg(process, leg)
        held = {leg.view for leg in inventory.legs}
        for found in self._registry.shown():
            if found.viewer_session.worker == process.index and found.view.view not in held:
                await self._ends.end_unreported(found.view.view, "the leg ended while control was away")
        self._asked.add(process.index)

    async def _adopt_leg(self, process: ProcessClient, leg: m.LegHeld) -> None:
        row = self._orphans.pop(leg.view, None)
        viewer_session = self._registry.get(leg.session)
        if self._registry.find(leg.view) is not None or viewer_session is None:
            return
        if row is None:
            await process.ask(m.SlotAssign(leg.session, leg.slot, None, leg.view, "high", 0.0), m.Done)
            return
        viewer_session.user = row.user
        if viewer_session.sign_in is None:  # else its person has claimed it already
            viewer_session.belong(row.session, row.expires_ns, row.valid_to_ns)
        view = LiveView(leg.view, row.user, leg.camera, row.intervention or "", leg.slot, row.opened_ns)
        self._registry.add_view(viewer_session, view)
        self._registry.notify_watched(leg.camera)
        if row.intervention and (await self._catalogue.interventions.get(row.intervention)).closed_ns is not None:
            # Control died after the end of the intervention was entered, and before its views were ended.
            self._background.spawn(
                self._ends.empty_notified(viewer_session, [leg.slot], PeerCloseReason.VIEW_INTERVENTION_CLOSED)
            )
