"""How the recording of a publish session begins: with its first authenticated media packet.

Owns: the opening of a session's first recording, and its retries.
Must never know: HTTP, viewers, SDP.

```
offer ─▶ worker answers ─▶ [reserved] ── first media packet ─▶ worker posts RecordingWanted, again each second
                               │                                     ▼
                               │            journal entry and row, key, signed start on disk   (packets wait in the worker)
                               │                     │ refused ──▶ grace ──▶ session ends, camera is asked to publish again
                               │                     ▼
                               └── no media ──▶   RecordingSwitch ──▶ what waited is recorded, viewers may be shown it (LIV-02)
                                   nothing is written
```
If the camera leaves while its recording is opened, `RecordingSwitch` is sent all the same: the worker still holds what waited.

If control dies on the way, the next one is told by the worker which id was reserved and why the camera publishes, and hears
`RecordingWanted` within a second.  It goes on with what a recorder already holds open.
"""

import logging

from relay.base.clock import SECOND_NS, Clock, read_both
from relay.base.errors import RelayError
from relay.base.ids import new_id
from relay.channel import messages as m
from relay.live.capture import Capture
from relay.live.processes import ProcessClient, Processes
from relay.live.publish_sessions import PublishSession
from relay.live.recording_supervisor import RecordingSupervisor
from relay.live.session_registry import SessionRegistry
from relay.runtime.background import Background

logger = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
"""Between two tries to open a recording: each failed one is an entry in the journal."""
MAX_WAIT_NS = 15 * SECOND_NS
"""How long before now a recording may begin: longer than any packet waits.  No worker can shorten a term by an odd time."""


class RecordingStart:
    """Opens the first recording of each publish session."""

    def __init__(
        self,
        processes: Processes,
        registry: SessionRegistry,
        capture: Capture,
        supervisor: RecordingSupervisor,
        background: Background,
        clock: Clock,
    ) -> None:
        self._processes = processes
        self._registry = registry
        self._capture = capture
        self._supervisor = supervisor
        self._background = background
        self._clock = clock
        self._tried: dict[PublishSession, float] = {}
        """The sessions with media and without a recording: monotonic seconds of the last try that failed, or is under way."""
        processes.on(m.RecordingWanted, self._on_wanted)
        registry.on.removed.append(self._on_removed)

    def _on_wanted(self, process: ProcessClient, message: m.RecordingWanted) -> None:
        """Media came.  The worker repeats this each second, so that a failed try is repeated, and a lost order sent again."""
        publish_session, now = self._registry.live(message.camera), self._clock.monotonic()
        if publish_session is None or publish_session.secret != message.session:
            return
        if now - self._tried.get(publish_session, now - RETRY_SECONDS) < RETRY_SECONDS:
            return
        self._tried[publish_session] = now
        self._background.spawn(self._begin(publish_session, message.since_mono))

    def _on_removed(self, publish_session: PublishSession) -> None:
        self._tried.pop(publish_session, None)

    async def _begin(self, publish_session: PublishSession, since_mono: float) -> None:
        camera = publish_session.camera.camera
        async with self._registry.lock(camera):
            if not self._registry.is_current(publish_session):
                return
            try:
                if publish_session.recording is None:
                    publish_session.recording = await self._open(publish_session, since_mono)
                switch = m.RecordingSwitch(publish_session.secret, publish_session.recording)
                await self._processes.workers[publish_session.worker].ask(switch, m.Done)
            except RelayError as error:
                logger.warning("recording not begun", extra={"camera": camera, "detail": error.detail})
                self._supervisor.start_grace(publish_session)
                return
        if self._registry.is_current(publish_session):
            self._supervisor.begun(publish_session)
        elif publish_session.ended is not None:
            # Ended on purpose meanwhile, when there was no recording to close yet.
            await self._capture.finish(publish_session.recording, *publish_session.ended)

    async def _open(self, publish_session: PublishSession, since_mono: float) -> str:
        """Open the session's recording and return its id.  Raises RelayError; the next try is under another id."""
        reserved = publish_session.reserved
        if self._capture.held(reserved) is not None:
            return reserved  # an earlier control opened it and died before the worker knew
        if publish_session.reserved_is_begun:
            reserved, publish_session.reserved_is_begun = new_id(self._clock.utc_ns()), False
        utc_ns, mono_ns = read_both(self._clock)
        waited_ns = min(max(0, mono_ns - int(since_mono * 1e9)), MAX_WAIT_NS)
        since = ((mono_ns - waited_ns) / 1e9, utc_ns - waited_ns)
        camera = publish_session.camera
        try:
            recording = await self._capture.begin(
                publish_session.worker,
                camera,
                publish_session.circumstances,
                publish_session.previous,
                recording=reserved,
                since=since,
            )
        except RelayError:
            publish_session.reserved = new_id(self._clock.utc_ns())
            raise
        self._registry.pace.begun(camera.camera, self._clock.monotonic())
        return recording
