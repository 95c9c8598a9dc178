"""What the rest of control asks and orders of publish sessions.

Owns: the orders (publish, patch, close, stop, confirm, a changed enrolment, a revoked token, a closed
intervention) and the parts that carry them out.  Must never know: HTTP, viewers, how a recording is written.

A publish session is named by its unguessable secret, the last part of its `Location`.  After a restart of control the
workers' inventories bring every session back, secret included.
"""

from dataclasses import replace

from relay.base.clock import Clock
from relay.base.counters import Counters
from relay.channel import messages as m
from relay.channel.messages import PeerCloseReason
from relay.live.admission import Admission
from relay.live.camera_sockets import CameraSockets
from relay.live.capture import Capture, CloseReason
from relay.live.claims import Claims, Kept
from relay.live.processes import Processes
from relay.live.publish_sessions import Listeners, Opened, PublishSession
from relay.live.publishing import Publishing
from relay.live.recording_start import RecordingStart
from relay.live.recording_supervisor import RecordingSupervisor
from relay.live.rules import LiveRules
from relay.live.session_end import SessionEnd
from relay.live.session_registry import SessionRegistry
from relay.live.worker_adoption import WorkerAdoption
from relay.runtime.background import Background
from relay.runtime.deadlines import NO_DEADLINE, Deadline
from relay.runtime.tasks import run_logged
from relay.store.accounts import Accounts, Camera
from relay.store.catalogue import Catalogue


class Streams:
    """All publish sessions; `on` notifies of their changes, ends and alarms."""

    def __init__(
        self,
        processes: Processes,
        capture: Capture,
        camera_sockets: CameraSockets,
        catalogue: Catalogue,
        accounts: Accounts,
        rules: LiveRules,
        clock: Clock,
        counters: Counters,
        *,
        kept_key: bytes,
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """`kept_key`: see `claims.Kept`; `deadline`: how long a camera's request waits for the disk."""
        kept = Kept(kept_key)
        self._deadline = deadline
        self._processes = processes
        self._capture = capture
        self._sockets = camera_sockets
        self._clock = clock
        self._counters = counters
        self._admission = Admission(catalogue, accounts)
        self._background = Background(counters)
        self.registry = SessionRegistry(clock, counters)
        self._session_end = SessionEnd(processes, self.registry, capture, camera_sockets, self._background, counters)
        self._publishing = Publishing(
            processes, self.registry, capture, camera_sockets, self._admission, self._session_end, rules, clock, counters,
            deadline, kept,
        )  # fmt: skip
        self.recording_supervisor = RecordingSupervisor(
            processes, self.registry, capture, camera_sockets, self._session_end, rules, self._background, clock, counters
        )
        RecordingStart(processes, self.registry, capture, self.recording_supervisor, self._background, clock)
        self._workers = WorkerAdoption(
            processes, self.registry, capture, camera_sockets, self._admission, self._session_end, self.recording_supervisor,
            clock, kept, Claims(counters),
        )  # fmt: skip

    # --- questions ----------------------------------------------------------------------------------------------------

    @property
    def on(self) -> Listeners:
        """Who is notified of changes, ends and alarms."""
        return self.registry.on

    def live(self, camera: str) -> PublishSession | None:
        """Return a camera's publish session, None when it has none."""
        return self.registry.live(camera)

    def all(self) -> tuple[PublishSession, ...]:
        """Return every publish session."""
        return self.registry.all()

    def interventions(self) -> frozenset[str]:
        """Return the interventions that a camera is in, was in within the last minute, or is about to publish into."""
        now = {publish_session.circumstances.intervention for publish_session in self.all()}
        return frozenset(now | self.registry.placement.recent_interventions() | self._sockets.intents.intended())

    # --- orders of cameras --------------------------------------------------------------------------------------------

    async def publish(self, camera: Camera, offer: str, hosts: tuple[str, ...] = ()) -> Opened:
        """Accept a camera's offer; `hosts`: the addresses of ours that become candidates, () for the worker's.

        Raises TheirError (INVALID, NOT_ACCEPTABLE from the worker; with `retry_after` CONFLICT while the camera is live, and
        TOO_MANY where it began new recordings too fast) and OurError (no worker, no recorder, no journal).
        """
        return await self._publishing.publish(camera, offer, hosts)

    async def patch(
        self, camera: str, secret: str, fragment: str, if_match: str | None, hosts: tuple[str, ...] = ()
    ) -> m.Patched:
        """Trickle or restart ICE.  Raises TheirError NOT_FOUND, PRECONDITION_REQUIRED, STALE or the worker's refusal."""
        publish_session = self.registry.require(camera, secret)
        restart = publish_session.ice.begins(fragment, if_match)
        worker = self._processes.workers[publish_session.worker]
        patched = await worker.ask(m.PeerPatch(secret, fragment, restart, hosts), m.Patched)
        publish_session.ice.replace(patched.etag, fragment)
        return patched

    async def close(self, camera: str, secret: str, reason: PeerCloseReason = PeerCloseReason.STOPPED_BY_CAMERA) -> None:
        """End a publish session on purpose: its recording closes with it, also after the connection ended.

        Raises TheirError(NOT_FOUND) for a session that never was, or that a DELETE has ended.
        """
        publish_session = self.live(camera)
        if publish_session is None or publish_session.secret != secret:
            await self._session_end.end_left(camera, secret, deadline=self._deadline)
            return
        await self._session_end.end(publish_session, reason, "stopped", camera, deadline=self._deadline)
        self.registry.placement.take_left(camera, secret)

    # --- orders of people and of the law ------------------------------------------------------------------------------

    async def stop(self, camera: str, reason: PeerCloseReason, close_reason: CloseReason, author: str | None) -> None:
        """End a camera's publish session, also one that is being opened, and its recording, also after a radio cut."""
        async with self.registry.lock(camera):
            await self._stop(camera, reason, close_reason, author)

    async def _stop(self, camera: str, reason: PeerCloseReason, close_reason: CloseReason, author: str | None) -> None:
        # The camera is sent `stop` first: else it publishes again at once, as it does after a radio cut.
        self._sockets.stop(camera, reason.sentence)
        publish_session = self.live(camera)
        if publish_session is not None:
            await self._session_end.end(publish_session, reason, close_reason, author)
        # A camera that the radio cut off may not come back to what was ended: neither to its recording nor to its intervention.
        self.registry.placement.forget(camera)
        for recording in self._capture.held_of(camera):
            await self._capture.finish(recording, close_reason, author)

    def confirm(self, publish_session: PublishSession) -> None:
        """Count the time limit from now: a person confirmed the threat (LIV-07).  The worker keeps it for a later control."""
        publish_session.confirm(self._clock.monotonic())
        self.on.notify_change(publish_session.camera.camera)
        self._background.spawn(self._send_terms(publish_session))

    async def changed(self, camera: Camera) -> None:
        """Apply a changed enrolment to the camera's publish session.

        Live settings change at once.  `original` does not change while a recording is open.
        """
        async with self.registry.lock(camera.camera):
            publish_session = self.live(camera.camera)
            if publish_session is not None:
                publish_session.camera = replace(camera, original=publish_session.camera.original)
                # If the worker does not answer, `tick` sends the terms again.
                await run_logged(
                    self._send_terms(publish_session), "sending a worker the changed terms of a camera", self._counters
                )

    def revoked(self, camera: str) -> None:
        """Stop a camera's publishing now: its token was revoked or replaced."""
        self._admission.revoke(camera)
        self._background.spawn(self._revoke(camera))

    async def _revoke(self, camera: str) -> None:
        await self.stop(camera, PeerCloseReason.TOKEN_REVOKED, "revoked", None)
        self._sockets.drop(camera)

    def end_intervention(self, intervention: str) -> None:
        """End the transmissions of an intervention that was closed (LIV-07)."""
        now = {publish_session.camera.camera for publish_session in self.all()}
        placement = self.registry.placement
        for camera in {*now, *placement.reserved(), *placement.left_in(intervention)}:
            self._background.spawn(self._stop_in(camera, intervention))

    async def _stop_in(self, camera: str, intervention: str) -> None:
        async with self.registry.lock(camera):
            publish_session = self.live(camera)
            if publish_session is not None:
                current: str | None = publish_session.circumstances.intervention
            else:
                current = self.registry.placement.intervention(camera)
            if current == intervention:
                await self._stop(camera, PeerCloseReason.INTERVENTION_CLOSED, "stopped", None)

    # --- timers and the end -------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Move cameras whose worker stays away; send workers the terms that they do not know.  Call once a second."""
        self._sockets.tick()
        self._workers.move()
        for publish_session in self.all():
            if publish_session.acknowledged != publish_session.terms and self._processes.workers[publish_session.worker].up:
                self._background.spawn(self._send_terms(publish_session))

    async def settled(self) -> None:
        """Wait for the work under way that no caller awaits."""
        await self._background.settled()

    async def shut(self) -> None:
        """Drop the work under way; publish sessions go on in their workers."""
        await self._background.drop()

    async def _send_terms(self, publish_session: PublishSession) -> None:
        terms = publish_session.terms
        change = m.PublisherChange(publish_session.secret, terms.live_audio, terms.confirmed)
        await self._processes.workers[publish_session.worker].ask(change, m.Done)
        publish_session.acknowledged = terms
