"""The coupling of live picture and recording (LIV-02, REC-04).

Owns: the grace period of a recording that is not written, its replacement by a new recording, and the end of
the transmission when neither helped.  Must never know: HTTP, viewers, how a recording is written.

```
            written                    failing · not open · recorder away · recording closed
        ┌────────────┐                ┌───────────────────────────────────────────────────┐
        ▼            │                ▼                                                   │
    [written] ──── trouble ────▶ [grace runs] ── the recorder writes again, or a new ─▶ [written]
                                      │          recording was opened
                                      └── `record_grace` seconds ─▶ alarm, session ends, camera is asked to publish again
```
No grace runs where the camera keeps the original, or where the regime's grace is negative.  Until the first recording of a
session is open (`recording_start`) nothing is shown, and a grace runs everywhere.
"""

import asyncio
import logging
from dataclasses import dataclass

from relay.base.clock import Clock
from relay.base.counters import Counters, declare
from relay.base.errors import RelayError
from relay.base.ids import new_id
from relay.channel import messages as m
from relay.channel.messages import PeerCloseReason
from relay.live.camera_sockets import CameraSockets
from relay.live.capture import Capture, State
from relay.live.processes import ProcessClient, Processes
from relay.live.publish_sessions import PublishSession
from relay.live.rules import LiveRules
from relay.live.session_end import SessionEnd
from relay.live.session_registry import SessionRegistry
from relay.protocol.page import AlarmReason
from relay.runtime.background import Background
from relay.runtime.tasks import run_logged, spawn

logger = logging.getLogger(__name__)

START_SECONDS = 10.0
"""How long a recording may take to begin where no grace would end its transmission."""

UNRECORDED_AGAIN_SECONDS = 30.0
"""After so long without it, the same track that is received and not recorded is another alarm."""

declare(
    recordings_failed="transmissions ended because their recording did not come back in time",
    recordings_unrecorded="alarms that packets of a camera came and nothing of a track was recorded",
)


@dataclass(slots=True)
class RecordingWatch:
    """What is known of the recording of one publish session."""

    grace: asyncio.Task[None] | None = None
    """Ends the transmission when the grace period has run out."""
    alarmed: str | None = None
    """The recording for which the alarm was raised that no recorder holds it."""
    shown: tuple[str, tuple[str, ...]] = "", ()
    """The state of the recording, and the tracks that are not recorded, that pages were sent last."""
    unrecorded: tuple[str, ...] = ()
    """The tracks for which the alarm was raised last that packets come and nothing is recorded."""
    unrecorded_at: float = 0.0
    """When (monotonic seconds) this was so last."""

    def cancel_grace(self) -> None:
        """The recording is written again, or the session is over: nothing ends it any more."""
        if self.grace is not None:
            self.grace.cancel()
            self.grace = None


class RecordingSupervisor:
    """Watches the recording of every publish session."""

    def __init__(
        self,
        processes: Processes,
        registry: SessionRegistry,
        capture: Capture,
        camera_sockets: CameraSockets,
        session_end: SessionEnd,
        rules: LiveRules,
        background: Background,
        clock: Clock,
        counters: Counters,
    ) -> None:
        self._clock = clock
        self._processes = processes
        self._registry = registry
        self._capture = capture
        self._sockets = camera_sockets
        self._session_end = session_end
        self._rules = rules
        self._background = background
        self._counters = counters
        self._watches: dict[PublishSession, RecordingWatch] = {}
        registry.on.removed.append(self._on_removed)
        processes.on_up(self._on_up)
        processes.on_down(self._on_down)
        capture.on_closed.append(self._on_closed)
        capture.on_state.append(self._on_state)

    def replace_soon(self, publish_session: PublishSession) -> None:
        """Begin to replace the recording of a publish session, because no recorder holds it open."""
        self._background.spawn(self._replace(publish_session, publish_session.recording))

    def begun(self, publish_session: PublishSession) -> None:
        """The recording of a publish session is open, or waits for media: no grace runs."""
        self._watch(publish_session).cancel_grace()
        self._registry.on.notify_change(publish_session.camera.camera)

    def in_grace(self, publish_session: PublishSession) -> bool:
        """Return whether the grace period of a publish session's recording runs."""
        return self._watch(publish_session).grace is not None

    # --- events of recorders ------------------------------------------------------------------------------------------

    async def _on_up(self, process: ProcessClient) -> None:
        if process.role != "recorder":
            return
        held = await self._capture.adopt(process)
        for publish_session in self._registry.on_worker(process.index):
            if publish_session.recording is None:
                continue  # its recording has not begun (`recording_start`)
            if publish_session.recording in held:
                self._watch(publish_session).cancel_grace()
            else:
                self.replace_soon(publish_session)

    def _on_down(self, process: ProcessClient) -> None:
        if process.role != "recorder":
            return
        self._capture.lost(process)
        for publish_session in self._registry.on_worker(process.index):
            if publish_session.recording is not None:
                self.start_grace(publish_session)

    def _on_closed(self, index: int, recording: str) -> None:
        """A recording ended under a camera that still streams: the live view may not outlive it (LIV-02)."""
        for publish_session in self._feeding(index, recording):
            self.start_grace(publish_session)
            self.replace_soon(publish_session)

    def _on_state(self, index: int, recording: str, state: State) -> None:
        for publish_session in self._feeding(index, recording):
            self._notify_written(publish_session)
            self._notify_unrecorded(publish_session)
            if state == "written":
                self._watch(publish_session).cancel_grace()
                continue
            self.start_grace(publish_session)
            if state == "not open":
                self._on_not_open(publish_session, recording)

    def _feeding(self, index: int, recording: str) -> list[PublishSession]:
        """Return the publish sessions that feed a recording on recorder `index`: no other recorder ends their grace or them."""
        return [publish_session for publish_session in self._registry.feeding(recording) if publish_session.worker == index]

    def _on_not_open(self, publish_session: PublishSession, recording: str) -> None:
        """No recorder holds the recording that the worker taps: raise one alarm and open a new recording.

        While the camera's lock is taken, a replacement or an end is under way already.
        """
        camera = publish_session.camera.camera
        if self._registry.lock(camera).locked():
            return
        watch = self._watch(publish_session)
        if watch.alarmed != recording:
            self._registry.on.notify_alarm(camera, AlarmReason.RECORDING_MISSING)
        watch.alarmed = recording
        self.replace_soon(publish_session)

    def _notify_written(self, publish_session: PublishSession) -> None:
        """Notify of each change of the recording's state; each second while the worker is away, because it reports nothing."""
        watch, held = self._watch(publish_session), self._capture.held(publish_session.recording)
        written = (held.state, held.unrecorded) if held is not None else ("", ())
        if written != watch.shown or publish_session.reported.state == "lost":
            watch.shown = written
            self._registry.on.notify_change(publish_session.camera.camera)

    def _notify_unrecorded(self, publish_session: PublishSession) -> None:
        """Raise an alarm where packets come and nothing of a track is recorded; again for another track, or after a while.

        The transmission goes on: who watches it may be the only one who sees what happens.
        """
        watch, held = self._watch(publish_session), self._capture.held(publish_session.recording)
        if held is None or not held.unrecorded:
            return
        now, camera = self._clock.monotonic(), publish_session.camera.camera
        is_over = now - watch.unrecorded_at >= UNRECORDED_AGAIN_SECONDS
        known: tuple[str, ...] = () if is_over else watch.unrecorded
        watch.unrecorded, watch.unrecorded_at = tuple({*known, *held.unrecorded}), now
        if not set(held.unrecorded) <= set(known):
            self._counters.count("recordings_unrecorded")
            logger.warning("received, not recorded", extra={"camera": camera, "tracks": ", ".join(held.unrecorded)})
            self._registry.on.notify_alarm(camera, AlarmReason.NOT_RECORDED)

    # --- replacement --------------------------------------------------------------------------------------------------

    async def _replace(self, publish_session: PublishSession, previous: str | None) -> None:
        """Open a new recording, with new keys, that names the one before, and have the worker feed it."""
        camera = publish_session.camera
        async with self._registry.lock(camera.camera):
            if not self._registry.is_current(publish_session) or publish_session.recording != previous:
                return
            try:
                if publish_session.reported.state == "connecting" and previous != publish_session.reserved:
                    await self._await_media(publish_session, previous)
                else:
                    await self._follow(publish_session, previous)
            except RelayError as error:
                logger.warning("recording not replaced", extra={"camera": camera.camera, "detail": error.detail})
                self.start_grace(publish_session)
                return
        self.begun(publish_session)

    async def _follow(self, publish_session: PublishSession, previous: str | None) -> None:
        worker, camera = publish_session.worker, publish_session.camera
        recording = await self._capture.begin(worker, camera, publish_session.circumstances, previous)
        await self._processes.workers[worker].ask(m.RecordingSwitch(publish_session.secret, recording), m.Done)
        publish_session.recording = recording

    async def _await_media(self, publish_session: PublishSession, previous: str | None) -> None:
        """The recording that the session was to continue is over before any media came: the next one begins with media."""
        publish_session.reserved = new_id(self._clock.utc_ns())
        switch = m.RecordingSwitch(publish_session.secret, publish_session.reserved, is_open=False)
        await self._processes.workers[publish_session.worker].ask(switch, m.Done)
        publish_session.recording, publish_session.previous = None, previous

    # --- grace --------------------------------------------------------------------------------------------------------

    def start_grace(self, publish_session: PublishSession) -> None:
        """Start the grace period unless it runs already or does not apply."""
        watch, camera = self._watch(publish_session), publish_session.camera
        seconds = self._rules.grace_of(camera.regime)
        applies = camera.original == "relay" and seconds >= 0
        if publish_session.recording is None and not applies:
            # Nothing is shown before its recording began, so that nothing is gained by going on.
            applies, seconds = True, START_SECONDS
        if watch.grace is None and applies:
            watch.grace = spawn(self._grace(publish_session, watch, seconds), "record grace")
        self._registry.on.notify_change(camera.camera)

    async def _grace(self, publish_session: PublishSession, watch: RecordingWatch, seconds: float) -> None:
        await asyncio.sleep(seconds)
        watch.grace = None
        work = self._end_unrecorded(publish_session)
        await run_logged(work, "the end of a transmission without recording", self._counters)

    async def _end_unrecorded(self, publish_session: PublishSession) -> None:
        self._counters.count("recordings_failed")
        camera, reason = publish_session.camera.camera, PeerCloseReason.RECORDING_FAILED
        self._registry.on.notify_alarm(camera, AlarmReason.RECORDING_FAILED)
        if not self._registry.is_current(publish_session):
            return
        await self._session_end.end(publish_session, reason, "lost", None, on_purpose=False)
        self._registry.pace.forgive(camera)
        # The bearer's press still holds.  The camera tries again until a recorder is back; nothing is transmitted before.
        self._sockets.republish(camera, reason.sentence)

    def _watch(self, publish_session: PublishSession) -> RecordingWatch:
        if not self._registry.is_current(publish_session):
            return RecordingWatch()  # it ended while a recorder was asked: nothing of it is kept
        return self._watches.setdefault(publish_session, RecordingWatch())

    def _on_removed(self, publish_session: PublishSession) -> None:
        watch = self._watches.pop(publish_session, None)
        if watch is not None:
            watch.cancel_grace()
