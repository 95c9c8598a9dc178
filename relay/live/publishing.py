"""How a camera's offer becomes a publish session.

Owns: the order of a publication: take over the camera's earlier session, look at its pace, choose a worker, ask it, find out
why the camera publishes, look at camera and intervention once more.  Must never know: HTTP, viewers, how a recording begins.
"""

import math

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, RelayError, TheirError
from relay.base.ids import new_id, new_token
from relay.channel import messages as m
from relay.channel.messages import PeerCloseReason
from relay.live.admission import Admission
from relay.live.camera_sockets import CameraSockets
from relay.live.capture import Capture, Circumstances, CloseReason
from relay.live.claims import Kept
from relay.live.ice_restart import IceGeneration, ufrags_of
from relay.live.processes import ProcessClient, Processes
from relay.live.publish_sessions import Opened, PublishSession
from relay.live.rules import LiveRules
from relay.live.session_end import SessionEnd
from relay.live.session_registry import SessionRegistry
from relay.policy.regimes import rules_of
from relay.runtime.deadlines import Deadline
from relay.store.accounts import Camera

TAKE_OVER_SECONDS = 2.0
"""Seconds of silence after which a new publish session may replace a camera's earlier one; before, the answer is 409."""
WORKER_WAIT_SECONDS = 1.5
"""Seconds to wait for a worker that is away before its camera is placed on another worker, where there is one."""

declare(
    publications="camera sessions accepted",
    publications_taken_over="camera sessions replaced because the old one was silent",
    publications_resumed="camera sessions that continued a recording",
    publications_paced="offers refused because their camera began new recordings too fast; each is told for how long",
)


class Publishing:
    """Opens publish sessions."""

    def __init__(
        self,
        processes: Processes,
        registry: SessionRegistry,
        capture: Capture,
        camera_sockets: CameraSockets,
        admission: Admission,
        session_end: SessionEnd,
        rules: LiveRules,
        clock: Clock,
        counters: Counters,
        deadline: Deadline,
        kept: Kept,
    ) -> None:
        """`deadline`: how long a camera's request waits for the disk; `kept` makes what a worker keeps of a session."""
        self._kept = kept
        self._processes = processes
        self._registry = registry
        self._capture = capture
        self._sockets = camera_sockets
        self._admission = admission
        self._session_end = session_end
        self._rules = rules
        self._clock = clock
        self._counters = counters
        self._deadline = deadline

    async def publish(self, camera: Camera, offer: str, hosts: tuple[str, ...] = ()) -> Opened:
        """Accept a camera's offer; raises as `Streams.publish` says."""
        try:
            return await self._publish(camera, offer, hosts)
        except TheirError as error:
            self._registry.on.notify_refused(camera.camera, error)
            raise

    async def _publish(self, camera: Camera, offer: str, hosts: tuple[str, ...]) -> Opened:
        revocations = self._admission.revocations(camera.camera)
        async with self._registry.lock(camera.camera):
            await self._take_over(camera.camera)
            placement = self._registry.placement
            with placement.reserve(camera.camera, self._processes.usable(), self._occupied()) as index:
                publish_session, opened = await self._open(camera, index, offer, hosts)
                await self._admit(publish_session, revocations)
            self._registry.add(publish_session)
        secret, worker = publish_session.secret, publish_session.worker
        kept = self._kept.seal(worker, secret, camera.camera, publish_session.circumstances)
        self._processes.workers[worker].post(m.PublisherKeep(secret, kept))
        self._counters.count("publications")
        self._registry.on.notify_change(camera.camera)
        return opened

    def _occupied(self) -> list[int]:
        return [publish_session.worker for publish_session in self._registry.all()]

    async def _take_over(self, camera: str) -> None:
        """End the camera's earlier publish session if it is silent; raises TheirError CONFLICT while it is not."""
        earlier = self._registry.live(camera)
        if earlier is None:
            return
        process = self._processes.workers[earlier.worker]
        if not await process.wait_up(WORKER_WAIT_SECONDS):
            # Raises where no other worker is usable: the session is then kept until its own worker is back.
            self._registry.placement.choose(camera, self._processes.usable(), self._occupied())
            self._session_end.abandon(earlier)
            return
        held = await self._held(process, earlier.secret)
        if held is not None and held.silent_for < TAKE_OVER_SECONDS:
            raise TheirError(Kind.CONFLICT, "this camera is live", retry_after=TAKE_OVER_SECONDS, code=Code.CAMERA_LIVE)
        # `lost` and not `stopped`: the same recording goes on, with a gap.
        await process.ask(m.PeerClose(earlier.secret, PeerCloseReason.LOST_TAKEN_OVER), m.Done)
        self._counters.count("publications_taken_over")
        self._registry.remove(earlier, "taken over by a new session")

    async def _held(self, process: ProcessClient, secret: str) -> m.PublisherHeld | None:
        inventory = await process.ask(m.InventoryAsk(), m.WorkerInventory)
        return next((held for held in inventory.publishers if held.session == secret), None)

    async def _open(self, camera: Camera, index: int, offer: str, hosts: tuple[str, ...]) -> tuple[PublishSession, Opened]:
        """Open the publish session at the worker, which judges the offer; nothing is written for an offer that it refuses."""
        resumed = self._capture.resumable(camera.camera, index)
        if resumed is None:
            self._check_pace(camera.camera)
            self._capture.require_disk(index)
        secret, reserved = new_token(), new_id(self._clock.utc_ns())
        sound = rules_of(camera.regime).sound_recorded
        worker = self._processes.workers[index]
        opening = m.PublishOpen(
            secret, camera.camera, offer, camera.live_audio and sound, resumed or reserved, self._rules.silence_after, sound,
            resumed is not None, hosts,
        )  # fmt: skip
        answer = await worker.ask(opening, m.Answer)
        try:
            circumstances = await self._circumstances(camera, index, resumed)
        except RelayError:
            await worker.ask(m.PeerClose(secret, PeerCloseReason.ADMISSION_FAILED), m.Done)
            raise
        self._counters.count("publications_resumed", int(resumed is not None))
        ice = IceGeneration(answer.etag, ufrags_of(offer))
        publish_session = PublishSession(camera, secret, index, resumed, circumstances, self._clock.monotonic(), ice)
        former = self._registry.placement.recent(camera.camera)
        publish_session.reserved = reserved
        publish_session.previous = former.previous if former is not None else None
        self._registry.placement.resume(publish_session)
        return publish_session, Opened(secret, answer)

    def _check_pace(self, camera: str) -> None:
        """Raise TheirError TOO_MANY while the camera has to wait for its next new recording."""
        pause = self._registry.pace.pause(camera, self._clock.monotonic())
        if pause > 0:
            self._counters.count("publications_paced")
            raise TheirError(
                Kind.TOO_MANY,
                f"this camera began many recordings: its next one may begin in {math.ceil(pause)} s",
                retry_after=pause,
                code=Code.RECORDINGS_TOO_FAST,
            )

    async def _circumstances(self, camera: Camera, index: int, resumed: str | None) -> Circumstances:
        """Return why the camera publishes: as the recording that it continues says, or by its press or request."""
        if resumed is not None:
            return await self._admission.circumstances(resumed, self._deadline)
        intent = await self._sockets.take_intent(camera, self._deadline)
        unit = self._sockets.unit(camera.camera)
        bearer = unit.bearer if unit else None
        found = Circumstances(intent.intervention or "", intent.trigger, intent.threat, bearer)
        self._capture.check(index, camera, found)
        return found

    async def _admit(self, publish_session: PublishSession, revocations: int) -> None:
        """End a publish session, before anybody can watch it, if its token was revoked or its intervention closed meanwhile."""
        try:
            await self._admission.check(publish_session, revocations, self._deadline)
        except TheirError as error:
            revoked = error.code is Code.TOKEN_REVOKED
            reason = PeerCloseReason.TOKEN_REVOKED if revoked else PeerCloseReason.INTERVENTION_CLOSED
            close_reason: CloseReason = "revoked" if revoked else "stopped"
            await self._session_end.end(publish_session, reason, close_reason, None, deadline=self._deadline)
            self._sockets.stop(publish_session.camera.camera, error.detail)
            raise
        except RelayError:
            reason = PeerCloseReason.ADMISSION_FAILED
            await self._session_end.end(publish_session, reason, "lost", None, on_purpose=False, deadline=self._deadline)
            raise
