"""What workers report of legs and viewer sessions, on its way to the page and into the journal.

Owns: which report reaches which page.  Must never know: policy, HTTP, packets.
"""

from relay.channel import messages as m
from relay.live.processes import ProcessClient, Processes
from relay.live.streams import Streams
from relay.protocol import page
from relay.runtime.background import Background
from relay.viewing.ends import ViewEnds
from relay.viewing.registry import ViewerRegistry
from relay.viewing.sessions import leg_report, notify_ended


class LegReports:
    """Passes on what workers report."""

    def __init__(
        self, processes: Processes, streams: Streams, registry: ViewerRegistry, ends: ViewEnds, background: Background
    ) -> None:
        self._registry = registry
        self._ends = ends
        self._background = background
        processes.on(m.LegStarted, self._on_leg_started)
        processes.on(m.LegEnded, self._on_leg_ended)
        processes.on(m.ViewerState, self._on_viewer_state)
        processes.on(m.WorkerReport, self._on_report)
        streams.on.gone.append(self._on_camera_gone)

    def _on_leg_started(self, process: ProcessClient, message: m.LegStarted) -> None:
        found = self._registry.find(message.view)
        if found is not None and found.viewer_session.send_to_page is not None:
            found.viewer_session.send_to_page(page.ViewStarted(message.view, message.first_ns))

    def _on_leg_ended(self, process: ProcessClient, message: m.LegEnded) -> None:
        found = self._registry.find(message.view)
        if found is not None and found.in_slot:
            notify_ended(found.viewer_session, found.view, message.reason)
        self._background.spawn(self._ends.end(message.view, message.first_ns, message.last_ns, message.reason))

    def _on_viewer_state(self, process: ProcessClient, message: m.ViewerState) -> None:
        viewer_session = self._registry.get(message.session)
        if viewer_session is not None and message.state == "closed":
            self._registry.remove(viewer_session)
            self._background.spawn(self._ends.gone_soon(viewer_session, message.reason))

    def _on_report(self, process: ProcessClient, report: m.WorkerReport) -> None:
        for leg in report.legs:
            found = self._registry.find(leg.view)
            if found is not None and found.viewer_session.send_to_page is not None:
                found.viewer_session.send_to_page(leg_report(leg))

    def _on_camera_gone(self, camera: str, reason: str) -> None:
        """The worker ends each leg of the camera and reports its span; the page is notified at once."""
        for found in self._registry.shown():
            if found.view.camera == camera and found.in_slot:
                notify_ended(found.viewer_session, found.view, reason)
