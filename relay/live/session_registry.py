"""Which cameras have a publish session now.

Owns: one publish session per camera, one lock per camera, and who is notified of both.
Must never know: why a session begins or ends, the channel.
"""

import asyncio

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, TheirError
from relay.live.pacing import RecordingPace
from relay.live.placement import SessionPlacement
from relay.live.publish_sessions import Listeners, PublishSession

declare(publications_ended="camera sessions that ended")


class SessionRegistry:
    """Publish sessions by camera."""

    def __init__(self, clock: Clock, counters: Counters) -> None:
        self._counters = counters
        self._sessions: dict[str, PublishSession] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self.placement = SessionPlacement(clock)
        self.pace = RecordingPace()
        self.on = Listeners()

    def live(self, camera: str) -> PublishSession | None:
        """Return a camera's publish session, None when it has none."""
        return self._sessions.get(camera)

    def all(self) -> tuple[PublishSession, ...]:
        """Return every publish session."""
        return tuple(self._sessions.values())

    def on_worker(self, index: int) -> tuple[PublishSession, ...]:
        """Return the publish sessions of one worker."""
        return tuple(found for found in self._sessions.values() if found.worker == index)

    def feeding(self, recording: str) -> tuple[PublishSession, ...]:
        """Return the publish sessions that feed a recording."""
        return tuple(found for found in self._sessions.values() if found.recording == recording)

    def is_current(self, publish_session: PublishSession) -> bool:
        """Return whether this is still its camera's publish session."""
        return self._sessions.get(publish_session.camera.camera) is publish_session

    def require(self, camera: str, secret: str) -> PublishSession:
        """Return a camera's publish session by its secret; raises TheirError(NOT_FOUND)."""
        found = self._sessions.get(camera)
        if found is None or found.secret != secret:
            raise TheirError(Kind.NOT_FOUND, "no such session", code=Code.SESSION_NOT_FOUND)
        return found

    def lock(self, camera: str) -> asyncio.Lock:
        """Return the lock under which a camera's publish session begins, ends or changes its recording."""
        return self._locks.setdefault(camera, asyncio.Lock())

    def add(self, publish_session: PublishSession) -> None:
        """Make this its camera's publish session."""
        self._sessions[publish_session.camera.camera] = publish_session

    def remove(self, publish_session: PublishSession, reason: str) -> None:
        """Remove a publish session, remember its place and notify; does nothing where it is not current."""
        if not self.is_current(publish_session):
            return
        camera = publish_session.camera.camera
        del self._sessions[camera]
        self.on.notify_removed(publish_session)
        self.placement.leave(publish_session)
        self.placement.note_left(publish_session)
        self._counters.count("publications_ended")
        self.on.notify_gone(camera, reason)
