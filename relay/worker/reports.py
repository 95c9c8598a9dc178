"""What a worker reports: to viewers their sender reports, to control how every camera and leg fares.

Owns: the contents of reports and of the inventory.  Must never know: packets, why somebody watches.
"""

import asyncio
import resource
from collections.abc import Callable

from relay.base.clock import Clock
from relay.base.counters import Counters
from relay.channel import messages as m
from relay.runtime.error_barrier import ErrorBarrier
from relay.worker.legs import Legs
from relay.worker.publishers import Publishers
from relay.worker.tap import Tap
from relay.worker.viewer_peer import ViewerPeer
from relay.worker.viewers import Viewers

VIEWERS_AT_ONCE = 8
"""Viewers that get their reports before the loop has a turn: packets go first."""


class Reports:
    """The reports of worker `index`; `post` sends a fact to control."""

    def __init__(
        self,
        index: int,
        publishers: Publishers,
        viewers: Viewers,
        legs: Legs,
        tap: Tap,
        clock: Clock,
        counters: Counters,
        barrier: ErrorBarrier,
        post: Callable[[m.Message], None],
    ) -> None:
        self._index = index
        self._publishers = publishers
        self._viewers = viewers
        self._legs = legs
        self._tap = tap
        self._clock = clock
        self._counters = counters
        self._barrier = barrier
        self._post = post

    async def send(self) -> None:
        """Send a round of reports to every viewer, and then one to control."""
        for at, viewer in enumerate(list(self._viewers.by_session.values())):
            self._barrier.call("a viewer's reports", self._serve_viewer, viewer, self._clock.monotonic())
            if at % VIEWERS_AT_ONCE == VIEWERS_AT_ONCE - 1:
                await asyncio.sleep(0)
        self._barrier.call("the wish for recordings", self._publishers.want_recordings)
        self._post(self._worker_report(self._clock.monotonic()))

    def inventory(self) -> m.WorkerInventory:
        """Return all sessions and legs, for a control that has just started."""
        now = self._clock.monotonic()
        viewers = self._viewers.by_session.values()
        return m.WorkerInventory(
            tuple(camera.held(now) for camera in self._publishers.by_camera.values()),
            tuple(m.ViewerHeld(v.session, v.etag, len(v.slots), v.connected) for v in viewers),
            tuple(held for viewer in viewers for held in self._legs.held(viewer)),
        )

    def _serve_viewer(self, viewer: ViewerPeer, now: float) -> None:
        viewer.send_reports(now)
        viewer.adapt(now)

    def _worker_report(self, now: float) -> m.WorkerReport:
        call = self._barrier.call
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cameras = self._publishers.by_camera.items()
        sources = [call("a report", camera.report, now, self._legs.count(name)) for name, camera in cameras]
        shown = [slot for viewer in self._viewers.by_session.values() for slot in viewer.slots if slot.camera is not None]
        legs = [call("a report", slot.report) for slot in shown]
        return m.WorkerReport(
            index=self._index,
            sources=tuple(source for source in sources if source is not None),
            legs=tuple(leg for leg in legs if leg is not None),
            counters=dict(self._counters.snapshot()),
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            tap_backlog=self._tap.backlog,
        )
