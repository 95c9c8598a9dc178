"""Leases: how long a view goes on without control.

Owns: the lease of each view at its worker, and its row in the catalogue.  Must never know: policy, the
journal, HTTP.

A worker ends a leg whose lease has run out, so that no view outlives a control that is gone.  A lease lasts longer than a
restart of control takes.  The catalogue's row holds the last leased second, for the end of a view that no worker reports.
"""

from relay.base.clock import Clock, SteadyClock
from relay.channel.messages import LeaseRenew
from relay.live.processes import Processes
from relay.runtime.deadlines import Deadline
from relay.store.catalogue import Catalogue
from relay.viewing.registry import ViewerRegistry
from relay.viewing.sessions import ViewerSession

LEASE_SECONDS = 20.0
RENEW_SECONDS = 3.0


class Leases:
    """Renews leases; `renew` and `save` are called every `RENEW_SECONDS`, by timers of their own."""

    def __init__(
        self,
        processes: Processes,
        registry: ViewerRegistry,
        catalogue: Catalogue,
        clock: Clock,
        steady: SteadyClock,
        deadline: Deadline,
    ) -> None:
        """`deadline`: how long `save` waits for the disk, so that it does not delay what follows it."""
        self._processes = processes
        self._registry = registry
        self._views = catalogue.within(deadline).views
        self._clock = clock
        self._steady = steady

    def is_over(self, viewer_session: ViewerSession) -> bool:
        """Return whether the sign-in or the designation behind a viewer session has ended."""
        return viewer_session.is_over(self._steady.utc_ns(), self._clock.utc_ns())

    def renew(self) -> None:
        """Renew the leases at the workers, except of viewer sessions that are over.  Waits for nothing."""
        lease = self._clock.monotonic() + LEASE_SECONDS
        for process in self._processes.workers:
            current = [found for found in self._registry.on_worker(process.index) if not self.is_over(found)]
            views = tuple(view.view for viewer_session in current for view in viewer_session.views.values())
            if views:
                process.post(LeaseRenew(views, lease))

    async def save(self) -> None:
        """Write the leased second of each view into the catalogue; raises OurError where the disk refuses or is late."""
        views = self._registry.views()
        if views:
            await self._views.lease(views, self._clock.utc_ns())
