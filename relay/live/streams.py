"""Camera sessions: who publishes, on which worker, into which recording, and when that must end.

What this file owns: one `Live` per camera, from the accepted offer to the end, and the rules that couple live picture and
recording (LIV-02, REC-04).  What it must never know: HTTP, viewers, how a recording is written.

A camera's session is named by its unguessable secret, the last part of its `Location`; after a restart of control the
worker's inventory brings every session back, secret included.
"""

import asyncio
import logging
from dataclasses import replace

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters
from relay.base.errors import Kind, RelayError, TheirError
from relay.base.ids import new_token
from relay.channel import messages as m
from relay.channel.messages import PeerCloseReason
from relay.live.admission import Admission
from relay.live.camera_sockets import CameraSockets
from relay.live.capture import Capture, Circumstances, CloseReason, State
from relay.live.ice_restart import check_etag, is_restart, ufrag_of
from relay.live.processes import ProcessClient, Processes
from relay.live.publish_sessions import Listeners, Opened, PublishSession, Whereabouts
from relay.live.rules import Rules
from relay.policy.regimes import rules_of
from relay.runtime import deadlines
from relay.runtime.background import Background
from relay.runtime.tasks import run_logged
from relay.store.accounts import Camera, FindCamera
from relay.store.catalogue import Catalogue

logger = logging.getLogger(__name__)

TAKE_OVER_AFTER = 2.0
"""Seconds of silence after which a session may be taken over by a new one (issue: 409 before)."""
WORKER_AWAY = 1.5
"""Seconds without its worker after which a camera that publishes again is placed elsewhere, where there is another worker."""
STAYS_AWAY = 5.0
"""Seconds after which it is told to publish again; a worker that died is usually back before."""


class Streams:
    """All camera sessions.  `on.change(camera)`, `on.gone(camera, reason)` and `on.alarm(camera, reason)` tell the rest."""

    def __init__(
        self,
        processes: Processes,
        capture: Capture,
        field_: CameraSockets,
        catalogue: Catalogue,
        find_camera: FindCamera,
        rules: Rules,
        clock: Clock,
        counters: Counters,
    ) -> None:
        self._processes = processes
        self._capture = capture
        self._sockets = field_
        self._admission = Admission(catalogue, find_camera)
        self._rules = rules
        self._clock = clock
        self._counters = counters
        self._live: dict[str, PublishSession] = {}
        self._whereabouts = Whereabouts(clock)
        self._locks: dict[str, asyncio.Lock] = {}
        self._placing: dict[str, int] = {}
        self._revocations: dict[str, int] = {}
        """How often each camera's token was revoked or replaced since the start."""
        self._away: dict[int, float] = {}
        """Since when (monotonic seconds) a worker is away."""
        self._background = Background(counters)
        self.on = Listeners()
        processes.on(m.PublisherState, self._on_state)
        processes.on(m.WorkerReport, self._on_report)
        processes.on_up(self._adopt)
        processes.on_down(self._on_down)
        capture.on_closed.append(self._on_recording_closed)
        capture.on_state.append(self._on_recording_state)

    # --- what others ask ----------------------------------------------------------------------------------------------

    def live(self, camera: str) -> PublishSession | None:
        """Return a camera's session, None when it has none."""
        return self._live.get(camera)

    def all(self) -> tuple[PublishSession, ...]:
        """Return every session."""
        return tuple(self._live.values())

    def interventions(self) -> frozenset[str]:
        """Return the interventions that a camera is in, or was a minute ago and may come back to."""
        live = {live.why.intervention for live in self._live.values()}
        return frozenset(live | self._whereabouts.waiting() | self._sockets.intended())

    async def publish(self, camera: Camera, offer: str) -> Opened:
        """Accept a camera's offer.

        Raises TheirError (INVALID, NOT_ACCEPTABLE from the worker; CONFLICT with `retry_after` while the camera is live) and
        OurError (no worker, no recorder, no journal).
        """
        revocations = self._revocations.get(camera.camera, 0)
        async with self._lock(camera.camera):
            await self._take_over(camera.camera)
            # Counted from now on, so that cameras that press at the same moment do not all choose the same worker.
            index = self._placing[camera.camera] = self._place(camera.camera)
            try:
                live, opened = await self._open(camera, index, offer)
                await self._admit(live, revocations)
            finally:
                del self._placing[camera.camera]
            self._live[camera.camera] = live
        self._counters.count("publications")
        self.on.notify_change(camera.camera)
        return opened

    async def patch(self, camera: str, session: str, fragment: str, if_match: str | None) -> m.Patched:
        """Trickle or restart ICE.  Raises TheirError NOT_FOUND, PRECONDITION_REQUIRED, STALE or as the worker says."""
        live = self._require(camera, session)
        restart = is_restart(fragment, live.ufrag, if_match)
        if restart:
            check_etag(live.etag, if_match)
        patched = await self._processes.workers[live.worker].ask(m.PeerPatch(session, fragment, restart), m.Patched)
        if patched.etag is not None:
            live.etag, live.ufrag = patched.etag, ufrag_of(fragment)
        return patched

    async def close(self, camera: str, session: str, reason: PeerCloseReason = PeerCloseReason.STOPPED_BY_CAMERA) -> None:
        """End a session on purpose: the recording closes with it.  Raises TheirError(NOT_FOUND)."""
        live = self._require(camera, session)
        await self._end(live, reason, "stopped", camera)

    async def stop(self, camera: str, reason: PeerCloseReason, why: CloseReason, author: str | None) -> None:
        """End a camera's session, if it has one, whoever wants it, one being opened or cut off too; the camera is told."""
        async with self._lock(camera):
            await self._stop(camera, reason, why, author)

    async def _stop(self, camera: str, reason: PeerCloseReason, why: CloseReason, author: str | None) -> None:
        # Told before its session goes: else it publishes again at once, as it does after a radio cut.
        self._sockets.stop(camera, reason.sentence)
        live = self._live.get(camera)
        if live is not None:
            await self._end(live, reason, why, author)
        # One that the radio cut off may not come back to what was ended: neither to its recording nor to its intervention.
        self._whereabouts.forget(camera)
        for recording in self._capture.held_of(camera):
            await deadlines.ended(self._capture.finish(recording, why, author))

    def confirm(self, live: PublishSession) -> None:
        """Somebody confirmed the threat: the longest time counts from now (LIV-07), also for a control that starts anew."""
        live.confirmed = self._clock.monotonic()
        self.on.notify_change(live.camera.camera)
        self._background.spawn(self._tell(live))

    async def changed(self, camera: Camera) -> None:
        """A camera's enrolment changed: what holds of it live holds from now on; its original stays as its recording began."""
        async with self._lock(camera.camera):
            live = self._live.get(camera.camera)
            if live is not None:
                live.camera = replace(camera, original=live.camera.original)
                # Where the worker does not hear it now, `tick` says it again.
                await run_logged(self._tell(live), "telling a worker of a camera's change", self._counters)

    def revoked(self, camera: str) -> None:
        """A camera's token was revoked: stop its publishing now."""
        self._revocations[camera] = self._revocations.get(camera, 0) + 1
        self._background.spawn(self._revoke(camera))

    async def _revoke(self, camera: str) -> None:
        await self.stop(camera, PeerCloseReason.TOKEN_REVOKED, "revoked", None)
        self._sockets.drop(camera)

    def end_intervention(self, intervention: str) -> None:
        """An intervention was closed: its transmissions end (LIV-07)."""
        for camera in {*self._live, *self._placing, *self._whereabouts.left_in(intervention)}:
            self._background.spawn(self._leave(camera, intervention))

    async def _leave(self, camera: str, intervention: str) -> None:
        async with self._lock(camera):
            live = self._live.get(camera)
            its = live.why.intervention if live is not None else self._whereabouts.intervention(camera)
            if its == intervention:
                await self._stop(camera, PeerCloseReason.INTERVENTION_CLOSED, "stopped", None)

    async def tick(self) -> None:
        """Move cameras whose worker stays away, tell workers what they could not be told; call once a second."""
        self._sockets.tick()
        self._move()
        for live in self.all():
            if live.told != live.holds and self._processes.workers[live.worker].up:
                self._background.spawn(self._tell(live))

    async def shut(self) -> None:
        """Drop timers; sessions go on in their workers."""
        await self._background.drop()

    async def _tell(self, live: PublishSession) -> None:
        holds = live.holds
        await self._processes.workers[live.worker].ask(m.PublisherChange(live.session, *holds), m.Done)
        live.told = holds

    # --- opening ------------------------------------------------------------------------------------------------------

    async def _open(self, camera: Camera, index: int, offer: str) -> tuple[PublishSession, Opened]:
        recording, why, resumed = await self._recording(camera, index)
        session = new_token()
        sound = rules_of(camera.regime).sound_recorded
        live_audio, silence_after = camera.live_audio and sound, self._rules.silence_after
        opening = m.PublishOpen(session, camera.camera, offer, live_audio, recording, silence_after, sound)
        try:
            answer = await self._processes.workers[index].ask(opening, m.Answer)
        except RelayError:
            if not resumed:
                await deadlines.ended(self._capture.finish(recording, "refused"))
            raise
        self._counters.count("publications_resumed", int(resumed))
        live = PublishSession(
            camera, session, index, recording, why, answer.etag, self._clock.monotonic(), ufrag=ufrag_of(offer)
        )
        self._whereabouts.resume(live)
        return live, Opened(session, answer)

    async def _admit(self, live: PublishSession, revocations: int) -> None:
        """What was revoked or closed while the session was being opened, or while the camera was cut off, ends it unseen."""
        camera = live.camera.camera
        try:
            await self._admission.check(live)
            if self._revocations.get(camera, 0) != revocations:
                raise TheirError(Kind.UNAUTHENTICATED, "token revoked", code=Code.TOKEN_REVOKED)
        except TheirError as error:
            revoked = error.code is Code.TOKEN_REVOKED
            reason = PeerCloseReason.TOKEN_REVOKED if revoked else PeerCloseReason.INTERVENTION_CLOSED
            await self._end(live, reason, "revoked" if revoked else "stopped", None)
            self._sockets.stop(camera, error.detail)
            raise
        except RelayError:
            await self._end(live, PeerCloseReason.ADMISSION_FAILED, "lost", None, on_purpose=False)
            raise

    async def _take_over(self, camera: str) -> None:
        live = self._live.get(camera)
        if live is None:
            return
        process = self._processes.workers[live.worker]
        if not await process.wait_up(WORKER_AWAY):
            self._place(camera)  # raises where there is nowhere else: the session is then kept for the worker to come back to
            self._give_up(live)
            return
        held = await self._held(process, live.session)
        if held is not None and held.silent_for < TAKE_OVER_AFTER:
            raise TheirError(Kind.CONFLICT, "this camera is live", retry_after=TAKE_OVER_AFTER, code=Code.CAMERA_LIVE)
        # `lost` and not `stopped`: the same recording goes on, with a gap.
        await process.ask(m.PeerClose(live.session, PeerCloseReason.LOST_TAKEN_OVER), m.Done)
        self._counters.count("publications_taken_over")
        self._forget(live, "taken over by a new session")

    def _give_up(self, live: PublishSession) -> None:
        """The session's worker is away and another one will do: what the old one still holds is closed when it is back."""
        self._whereabouts.untold(live.session, PeerCloseReason.LOST_PLACED_ELSEWHERE)
        self._counters.count("publications_moved")
        self._forget(live, "its worker is away")
        self._background.spawn(self._capture.finish(live.recording, "lost"))

    def _move(self) -> None:
        """Have cameras publish again whose worker stays away; with it alone its recorder may be away or not."""
        before = self._clock.monotonic() - STAYS_AWAY
        gone = {index for index, since in self._away.items() if since <= before}
        if not gone or not self._usable():
            return
        for live in self.all():
            if live.worker in gone:
                self._give_up(live)
                self._sockets.republish(live.camera.camera, "its worker is away")

    async def _held(self, process: ProcessClient, session: str) -> m.PublisherHeld | None:
        inventory = await process.ask(m.InventoryAsk(), m.WorkerInventory)
        return next((held for held in inventory.publishers if held.session == session), None)

    def _place(self, camera: str) -> int:
        taken = [*(live.worker for live in self._live.values()), *self._placing.values()]
        return self._whereabouts.place(camera, self._usable(), taken)

    def _usable(self) -> list[int]:
        return [
            process.index for process in self._processes.workers if process.up and self._processes.recorders[process.index].up
        ]

    async def _recording(self, camera: Camera, index: int) -> tuple[str, Circumstances, bool]:
        """Return the recording to feed, why it exists, and whether it is one that goes on."""
        found = self._capture.resumable(camera.camera, index)
        if found is not None:
            return found, await self._admission.circumstances(found), True
        intent = await self._sockets.take_intent(camera)
        unit = self._sockets.unit(camera.camera)
        why = Circumstances(intent.intervention or "", intent.trigger, intent.threat, unit.bearer if unit else None)
        memory = self._whereabouts.recent(camera.camera)
        return await self._capture.begin(index, camera, why, memory.previous if memory is not None else None), why, False

    # --- ending -------------------------------------------------------------------------------------------------------

    async def _end(
        self, live: PublishSession, reason: PeerCloseReason, why: CloseReason, author: str | None, *, on_purpose: bool = True
    ) -> None:
        """End a session; where nobody wanted it, what the camera was pressed or asked for is remembered."""
        process = self._processes.workers[live.worker]
        self._forget(live, reason.sentence)
        if on_purpose:
            self._whereabouts.forget(live.camera.camera)
            self._sockets.finished(live.camera.camera)
        try:
            await process.ask(m.PeerClose(live.session, reason), m.Done)
        except RelayError as error:
            logger.warning("worker did not confirm an end", extra={"camera": live.camera.camera, "detail": error.detail})
            self._whereabouts.untold(live.session, reason)
        await deadlines.ended(self._capture.finish(live.recording, why, author))

    def _forget(self, live: PublishSession, reason: str) -> None:
        if self._live.get(live.camera.camera) is not live:
            return
        del self._live[live.camera.camera]
        if live.grace is not None:
            live.grace.cancel()
        self._whereabouts.leave(live)
        self._counters.count("publications_ended")
        self.on.notify_gone(live.camera.camera, reason)

    # --- what workers say ---------------------------------------------------------------------------------------------

    def _on_state(self, process: ProcessClient, message: m.PublisherState) -> None:
        live = self._live.get(message.camera)
        if live is None or live.session != message.session:
            return
        live.state = message.state
        if message.state in {"ended", "lost"}:
            self._forget(live, message.reason)
        else:
            self.on.notify_change(message.camera)

    def _on_report(self, process: ProcessClient, report: m.WorkerReport) -> None:
        for source in report.sources:
            live = self._live.get(source.camera)
            if live is not None and live.worker == process.index:
                live.report, live.state = source, source.state
                self.on.notify_change(source.camera)

    # --- restarts of the others ---------------------------------------------------------------------------------------

    async def _adopt(self, process: ProcessClient) -> None:
        if process.role == "recorder":
            await self._adopt_recorder(process)
            return
        inventory = await process.ask(m.InventoryAsk(), m.WorkerInventory)
        self._away.pop(process.index, None)
        held = {publisher.session: publisher for publisher in inventory.publishers}
        for live in self.all():
            if live.worker == process.index and live.session not in held:
                self._forget(live, "the worker restarted")
                self._sockets.republish(live.camera.camera, "the relay restarted")
        for publisher in held.values():
            await self._take_back(process, publisher)

    async def _take_back(self, process: ProcessClient, held: m.PublisherHeld) -> None:
        """A worker holds a session: one that ended, or whose camera is elsewhere meanwhile, is closed there too."""
        live = self._live.get(held.camera)
        ended = self._whereabouts.ended(held.session)
        if ended is None and live is not None and live.session != held.session:
            ended = PeerCloseReason.LOST_PLACED_ELSEWHERE
        if ended is not None:
            await process.ask(m.PeerClose(held.session, ended), m.Done)
            self._whereabouts.told(held.session)
        elif live is None:
            await self._adopt_publisher(process, held)
        else:
            live.state = held.state
            live.told = (held.live_audio, live.confirmed if held.confirmed_mono is None else held.confirmed_mono)
            self.on.notify_change(held.camera)

    async def _adopt_publisher(self, process: ProcessClient, held: m.PublisherHeld) -> None:
        camera = await self._admission.find_camera(held.camera)
        if camera is None or camera.revoked_ns is not None:
            await process.ask(m.PeerClose(held.session, PeerCloseReason.TOKEN_REVOKED), m.Done)
            return
        why = await self._admission.circumstances(held.recording)
        live = PublishSession(camera, held.session, process.index, held.recording, why, held.etag, held.since_mono, held.state)
        live.confirmed = held.since_mono if held.confirmed_mono is None else held.confirmed_mono
        live.told = (held.live_audio, live.confirmed)
        self._live[held.camera] = live
        self.on.notify_change(held.camera)
        if self._processes.recorders[process.index].up and self._capture.held(held.recording) is None:
            self._background.spawn(self._replace_recording(live, held.recording))

    async def _adopt_recorder(self, process: ProcessClient) -> None:
        held = await self._capture.adopt(process)
        for live in self.all():
            if live.worker != process.index:
                continue
            if live.recording in held:
                live.calm()
            else:
                self._background.spawn(self._replace_recording(live, live.recording))

    async def _replace_recording(self, live: PublishSession, previous: str | None) -> None:
        """The recorder died under a live camera: a new recording, with new keys, names the one before (DESIGN §3)."""
        async with self._lock(live.camera.camera):
            if self._live.get(live.camera.camera) is not live or live.recording != previous:
                return
            try:
                with deadlines.hurried():  # the camera's next offer waits for this lock
                    recording = await self._capture.begin(live.worker, live.camera, live.why, previous)
                await self._processes.workers[live.worker].ask(m.RecordingSwitch(live.session, recording), m.Done)
            except RelayError as error:
                logger.warning("recording not replaced", extra={"camera": live.camera.camera, "detail": error.detail})
                self._worry(live)
                return
            live.recording = recording
        live.calm()
        self.on.notify_change(live.camera.camera)

    def _on_down(self, process: ProcessClient) -> None:
        if process.role == "worker":
            self._lose(process)
            return
        self._capture.lost(process)
        for live in self.all():
            if live.worker == process.index:
                self._worry(live)

    def _lose(self, process: ProcessClient) -> None:
        """A worker is away: nothing of its cameras is seen or recorded.  Sessions are compared when it is back."""
        self._away[process.index] = self._clock.monotonic()
        for live in self.all():
            if live.worker == process.index:
                live.state, live.report = "lost", None
                self.on.notify_change(live.camera.camera)

    def _on_recording_closed(self, recording: str) -> None:
        """A recording ended under a camera that still streams: the live view may not outlive it (LIV-02)."""
        for live in self.all():
            if live.recording == recording:
                self._worry(live)
                self._background.spawn(self._replace_recording(live, recording))

    def _on_recording_state(self, recording: str, state: State) -> None:
        """What is not written has its grace to come back; what nobody holds is an alarm, and begins anew."""
        for live in self.all():
            if live.recording != recording:
                continue
            self._show_written(live)
            if state == "written":
                live.calm()
                continue
            self._worry(live)
            if state == "not open" and not self._lock(live.camera.camera).locked():
                if live.unheld != recording:
                    self.on.notify_alarm(live.camera.camera, "the recording is not open")
                live.unheld = recording
                self._background.spawn(self._replace_recording(live, recording))

    def _show_written(self, live: PublishSession) -> None:
        """Tell pages how the recording is written: at each change, and each second where no worker's report makes them look."""
        held = self._capture.held(live.recording)
        written = held.state if held is not None else ""
        if written != live.written or live.state == "lost":
            live.written = written
            self.on.notify_change(live.camera.camera)

    def _worry(self, live: PublishSession) -> None:
        """Start the grace period of a recording that stopped; where the camera keeps the original nothing depends on it."""
        seconds = self._rules.grace_of(live.camera.regime)
        if live.grace is None and live.camera.original == "relay" and seconds >= 0:
            live.grace = deadlines.spawn(self._grace(live, seconds), "record grace")
        self.on.notify_change(live.camera.camera)

    def _lock(self, camera: str) -> asyncio.Lock:
        return self._locks.setdefault(camera, asyncio.Lock())

    async def _grace(self, live: PublishSession, seconds: float) -> None:
        await asyncio.sleep(seconds)
        live.grace = None
        await run_logged(self._give_in(live), "the end of a transmission without recording", self._counters)

    async def _give_in(self, live: PublishSession) -> None:
        self._counters.count("recordings_failed")
        reason = PeerCloseReason.RECORDING_FAILED
        self.on.notify_alarm(live.camera.camera, reason.sentence)
        if self._live.get(live.camera.camera) is not live:
            return
        await self._end(live, reason, "lost", None, on_purpose=False)
        # The bearer's press holds: the camera knocks until there is a recorder again, and nothing leaves before.
        self._sockets.republish(live.camera.camera, reason.sentence)

    # --- small things -------------------------------------------------------------------------------------------------

    def _require(self, camera: str, session: str) -> PublishSession:
        live = self._live.get(camera)
        if live is None or live.session != session:
            raise TheirError(Kind.NOT_FOUND, "no such session", code=Code.SESSION_NOT_FOUND)
        return live
