"""How a publish session ends at its worker and its recorder.

Owns: the order of an end, and what an end on purpose forgets.  Must never know: why it ends, HTTP.
"""

import logging

from relay.base.counters import Counters, declare
from relay.base.errors import RelayError
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

    def abandon(self, publish_session: PublishSession) -> None:
        """End a publish session whose worker is away, so that the camera may go to another worker.

        The worker closes what it still holds of the session when it is back.
        """
        self.pending.add(publish_session.secret, PeerCloseReason.LOST_PLACED_ELSEWHERE)
        self._counters.count("publications_moved")
        self._registry.remove(publish_session, "its worker is away")
        self._registry.pace.forgive(publish_session.camera.camera)
        self._background.spawn(self._capture.finish(publish_session.recording, "lost"))
