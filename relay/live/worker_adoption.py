"""Publish sessions against workers that report, go away and come back.

Owns: what a worker reports of its publish sessions, the comparison of its inventory with ours after a
reconnection, and the move of cameras whose worker stays away.  Must never know: HTTP, viewers, recordings.

```
worker is away ──▶ its sessions are `lost`
     │ back within WORKER_GONE_SECONDS, session in the inventory     ──▶ the session goes on as it is
     │ back, session not in the inventory                            ──▶ session ends, camera is asked to publish again
     │ back, session ended or placed elsewhere meanwhile             ──▶ the worker is asked to close it
     │ away for longer, another worker is usable                     ──▶ session ends, camera is asked to publish again
control restarted, session in a worker's inventory                   ──▶ the session is adopted, secret included
control died before it had answered the camera's offer               ──▶ the worker is asked to close it
```
"""

from relay.base.clock import Clock
from relay.base.ids import new_id
from relay.channel import messages as m
from relay.channel.messages import PeerCloseReason
from relay.live.admission import Admission
from relay.live.camera_sockets import CameraSockets
from relay.live.capture import Capture
from relay.live.claims import Claims, Kept
from relay.live.ice_restart import IceGeneration
from relay.live.processes import ProcessClient, Processes
from relay.live.publish_sessions import PublishSession
from relay.live.recording_supervisor import RecordingSupervisor
from relay.live.session_end import SessionEnd
from relay.live.session_registry import SessionRegistry
from relay.store.accounts import Camera

WORKER_GONE_SECONDS = 5.0
"""Seconds after which cameras of an absent worker are asked to publish again; a worker that died is usually back before."""


class WorkerAdoption:
    """Follows the workers."""

    def __init__(
        self,
        processes: Processes,
        registry: SessionRegistry,
        capture: Capture,
        camera_sockets: CameraSockets,
        admission: Admission,
        session_end: SessionEnd,
        recording_supervisor: RecordingSupervisor,
        clock: Clock,
        kept: Kept,
        claims: Claims,
    ) -> None:
        self._processes = processes
        self._registry = registry
        self._capture = capture
        self._sockets = camera_sockets
        self._admission = admission
        self._session_end = session_end
        self._recordings = recording_supervisor
        self._clock = clock
        self._kept = kept
        self._claims = claims
        self._met: set[int] = set()
        """Workers that this control has met: what it does not know of these has ended, or never was."""
        self._away: dict[int, float] = {}
        """Monotonic seconds since which a worker is away."""
        processes.on(m.PublisherState, self._on_state)
        processes.on(m.WorkerReport, self._on_report)
        processes.on_up(self._on_up)
        processes.on_down(self._on_down)

    def move(self) -> None:
        """End the sessions of workers that stay away and ask their cameras to publish again, where another worker is usable."""
        before = self._clock.monotonic() - WORKER_GONE_SECONDS
        gone = {index for index, since in self._away.items() if since <= before}
        if not gone or not self._processes.usable():
            return
        for publish_session in self._registry.all():
            if publish_session.worker in gone:
                self._session_end.abandon(publish_session)
                self._sockets.republish(publish_session.camera.camera, "its worker is away")

    # --- reports ------------------------------------------------------------------------------------------------------

    def _on_state(self, process: ProcessClient, message: m.PublisherState) -> None:
        publish_session = self._registry.live(message.camera)
        if publish_session is None or publish_session.secret != message.session:
            return
        publish_session.reported.state = message.state
        if message.is_stop:
            self._session_end.stopped(publish_session, message.reason)
        elif message.state in {"ended", "lost"}:
            self._registry.remove(publish_session, message.reason)
        else:
            self._registry.on.notify_change(message.camera)

    def _on_report(self, process: ProcessClient, report: m.WorkerReport) -> None:
        for source in report.sources:
            publish_session = self._registry.live(source.camera)
            if publish_session is not None and publish_session.worker == process.index:
                publish_session.reported.report, publish_session.reported.state = source, source.state
                self._registry.on.notify_change(source.camera)

    # --- away and back ------------------------------------------------------------------------------------------------

    def _on_down(self, process: ProcessClient) -> None:
        """A worker is away: nothing of its cameras is seen or recorded."""
        if process.role != "worker":
            return
        self._away[process.index] = self._clock.monotonic()
        for publish_session in self._registry.on_worker(process.index):
            publish_session.reported.state, publish_session.reported.report = "lost", None
            self._registry.on.notify_change(publish_session.camera.camera)

    async def _on_up(self, process: ProcessClient) -> None:
        if process.role != "worker":
            return
        inventory = await process.ask(m.InventoryAsk(), m.WorkerInventory)
        self._away.pop(process.index, None)
        held = {publisher.session: publisher for publisher in inventory.publishers}
        for publish_session in self._registry.on_worker(process.index):
            if publish_session.secret not in held:
                self._registry.remove(publish_session, "the worker restarted")
                self._registry.pace.forgive(publish_session.camera.camera)
                self._sockets.republish(publish_session.camera.camera, "the relay restarted")
        for publisher in held.values():
            await self._compare(process, publisher)
        self._met.add(process.index)

    async def _compare(self, process: ProcessClient, held: m.PublisherHeld) -> None:
        """Compare a session that a worker holds with ours; one that ended or is placed elsewhere is closed there too."""
        known = self._registry.live(held.camera)
        over = self._session_end.pending.reason(held.session)
        if over is None and known is not None and known.secret != held.session:
            over = PeerCloseReason.LOST_PLACED_ELSEWHERE
        if over is not None:
            await process.ask(m.PeerClose(held.session, over), m.Done)
            self._session_end.pending.done(held.session)
        elif known is None:
            await self._adopt(process, held)
        else:
            known.reported.state = held.state
            known.take_over_terms(held.live_audio, held.confirmed_mono)
            self._registry.on.notify_change(held.camera)

    async def _adopt(self, process: ProcessClient, held: m.PublisherHeld) -> None:
        """Take over a session that began before control restarted."""
        camera = await self._admission.camera(held.camera)
        if camera is None:
            await process.ask(m.PeerClose(held.session, PeerCloseReason.TOKEN_REVOKED), m.Done)
            return
        adopted = await self._adopted(process.index, camera, held)
        if adopted is None:
            await process.ask(m.PeerClose(held.session, PeerCloseReason.ADMISSION_FAILED), m.Done)
            self._sockets.republish(held.camera, "the relay restarted")
            return
        adopted.reported.state = held.state
        adopted.confirm(held.since_mono if held.confirmed_mono is None else held.confirmed_mono)
        adopted.take_over_terms(held.live_audio, held.confirmed_mono)
        self._registry.add(adopted)
        self._registry.on.notify_change(held.camera)
        is_recorder_up = self._processes.recorders[process.index].up
        if adopted.recording is not None and is_recorder_up and self._capture.held(adopted.recording) is None:
            self._recordings.replace_soon(adopted)

    async def _adopted(self, index: int, camera: Camera, held: m.PublisherHeld) -> PublishSession | None:
        """Return a session of an earlier control; None where that control died before it had answered the offer.

        None also for what the worker claims and no control gave it.
        """
        ice = IceGeneration(held.etag)
        circumstances = self._kept.open(index, held.session, held.camera, held.kept)
        recording = held.recording if held.is_recording_open else None
        if circumstances is None or index in self._met or not await self._is_its_own(index, held.camera, recording):
            if held.kept:
                self._claims.refused(f"worker-{index}", f"a session of camera {held.camera}")
            return None
        adopted = PublishSession(camera, held.session, index, recording, circumstances, held.since_mono, ice)
        if recording is None:
            # An id that has a row was begun by that control.  Unless a recorder holds it, another one is opened.
            adopted.reserved = held.recording or new_id(self._clock.utc_ns())
            adopted.reserved_is_begun = await self._admission.is_begun(adopted.reserved)
        return adopted

    async def _is_its_own(self, index: int, camera: str, recording: str | None) -> bool:
        """Return whether a worker may feed a recording: one of its camera, begun on the recorder beside it."""
        if recording is None:
            return True
        held = self._capture.held(recording)
        if held is not None and (held.index, held.camera) != (index, camera):
            return False
        return await self._admission.is_recording_of(recording, camera, index)
