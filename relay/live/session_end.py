"""How a publish session ends at its worker and its recorder.

Owns: the order of an end, and what an end on purpose forgets.  Must never know: why it ends, HTTP.
"""

import logging

from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, RelayError, TheirError
from relay.channel import messages as m
from relay.channel.messages import PeerCloseReason
from relay.live.camera_sockets import CameraSockets
from relay.live.capture import Capture, CloseReason
from relay.live.placement import PendingCloses
from relay.live.processes import Processes
from relay.live.publish_sessions import PublishSession, SessionEnding
from relay.live.session_registry import SessionRegistry
from relay.runtime.background import Background
from relay.runtime.deadlines import NO_DEADLINE, Deadline, run_and_wait

logger = logging.getLogger(__name__)

declare(publications_moved="camera sessions given up because their worker was away, for another worker to take")


class SessionEnd:
    """Ends publish sessions."""

    def __init__(
        self,
        processes: Processes,
        registry: SessionRegistry,
        capture: Capture,
        camera_sockets: CameraSockets,
        background: Background,
        counters: Counters,
    ) -> None:
        self._processes = processes
        self._registry = registry
        self._capture = capture
        self._sockets = camera_sockets
        self._background = background
        self._counters = counters
        self.pending = PendingCloses()

    async def end(
        self,
        publish_session: PublishSession,
        reason: PeerCloseReason,
        close_reason: CloseReason,
        author: str | None,
        *,
        on_purpose: bool = True,
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        """End a publish session: out of the registry, closed at the worker, recording closed at the recorder.

        An end on purpose also forgets the camera's place and its intent: the next publication needs a press or a request of
        its own.  A worker that does not confirm closes the session when it is back.  `deadline`: how long a request waits for
        the recorder; the recording is closed all the same.
        """
        camera, process = publish_session.camera.camera, self._processes.workers[publish_session.worker]
        self._registry.remove(publish_session, reason.sentence)
        publish_session.ended = SessionEnding(close_reason, author)
        if on_purpose:
            self._registry.placement.forget(camera)
            self._sockets.intents.finished(camera)
        try:
            await process.ask(m.PeerClose(publish_session.secret, reason), m.Done)
        except RelayError as error:
            logger.warning("worker did not confirm an end", extra={"camera": camera, "detail": error.detail})
            self.pending.add(publish_session.secret, reason)
        await run_and_wait(self._capture.finish(publish_session.recording, close_reason, author), deadline)

    async def end_left(self, camera: str, secret: str, *, deadline: Deadline = NO_DEADLINE) -> None:
        """End a publish session whose connection is gone: browsers close their peer connection before they send DELETE.

        A recording that waits for the camera to come back ends, *stopped*.  A newer session of the camera goes on.
        Raises TheirError(NOT_FOUND) where this is not the camera's last session.
        """
        async with self._registry.lock(camera):
            publish_session = self._registry.placement.take_left(camera, secret)
            if publish_session is None:
                raise TheirError(Kind.NOT_FOUND, "no such session", code=Code.SESSION_NOT_FOUND)
            if self._registry.live(camera) is None:
                self._registry.placement.forget(camera)
                self._sockets.intents.finished(camera)
                publish_session.ended = publish_session.ended or SessionEnding("stopped", camera)
                await run_and_wait(self._capture.finish(publish_session.recording, "stopped", camera), deadline)

    def stopped(self, publish_session: PublishSession, reason: str) -> None:
        """The camera closed its connection and did not come back: an end on purpose.  Its worker has closed the session."""
        camera = publish_session.camera.camera
        self._registry.remove(publish_session, reason)
        self._registry.placement.forget(camera)
        self._sockets.intents.finished(camera)
        publish_session.ended = SessionEnding("stopped", camera)
        self._capture.refuse_more(publish_session.recording)
        self._background.spawn(self._capture.finish(publish_session.recording, "stopped", camera))

    def abandon(self, publish_session: PublishSession) -> None:
        """End a publish session whose worker is away, so that the camera may go to another worker.

        The worker closes what it still holds of the session when it is back.
        """
        self.pending.add(publish_session.secret, PeerCloseReason.LOST_PLACED_ELSEWHERE)
        self._counters.count("publications_moved")
        self._registry.remove(publish_session, "its worker is away")
        self._registry.pace.forgive(publish_session.camera.camera)
        self._background.spawn(self._capture.finish(publish_session.recording, "lost"))
