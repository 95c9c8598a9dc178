"""Which worker a camera belongs to.

Owns: for a minute the place of each publish session that is over, the workers reserved for publications under
way, and the publish sessions that a worker which was away must still close.  Must never know: the channel, policy,
what ends a session.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.errors import OurError
from relay.channel.messages import PeerCloseReason
from relay.live.publish_sessions import PublishSession

STICKY_SECONDS = 60.0
MAX_PENDING_CLOSES = 256


@dataclass(frozen=True, slots=True)
class FormerPlace:
    """Where a camera's last publish session was; it holds for `STICKY_SECONDS`."""

    worker: int
    left: float
    """Monotonic seconds of that session's end."""
    previous: str | None
    """The recording that the session fed, or the one before it where none began."""
    intervention: str
    confirmed: float


class SessionPlacement:
    """Chooses workers for cameras."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._former: dict[str, FormerPlace] = {}
        self._left: dict[str, PublishSession] = {}
        """By camera: its last publish session that is over and that no DELETE has ended."""
        self._reserved: dict[str, int] = {}

    def leave(self, publish_session: PublishSession) -> None:
        """Remember the place of a publish session that is over."""
        self._former[publish_session.camera.camera] = FormerPlace(
            publish_session.worker,
            self._clock.monotonic(),
            publish_session.recording or publish_session.previous,
            publish_session.circumstances.intervention,
            publish_session.confirmed,
        )

    def note_left(self, publish_session: PublishSession) -> None:
        """Remember a publish session that is over, for a DELETE that comes after it."""
        self._left[publish_session.camera.camera] = publish_session

    def take_left(self, camera: str, secret: str) -> PublishSession | None:
        """Return once a camera's last publish session that is over, if this is its secret; None otherwise."""
        found = self._left.get(camera)
        return self._left.pop(camera) if found is not None and found.secret == secret else None

    def resume(self, publish_session: PublishSession) -> None:
        """Carry on the time limit of a camera that was lost and is back within the minute (LIV-07)."""
        former = self.recent(publish_session.camera.camera)
        if former is not None:
            publish_session.confirm(former.confirmed)

    def forget(self, camera: str) -> None:
        """Forget a camera's place: its next publish session has nothing to do with the last one."""
        self._former.pop(camera, None)

    def recent(self, camera: str) -> FormerPlace | None:
        """Return where a camera was within the last minute."""
        former = self._former.get(camera)
        return former if former is not None and self._clock.monotonic() - former.left < STICKY_SECONDS else None

    def intervention(self, camera: str) -> str | None:
        """Return the intervention that a camera was in within the last minute."""
        former = self.recent(camera)
        return former.intervention if former is not None else None

    def left_in(self, intervention: str) -> tuple[str, ...]:
        """Return the cameras that were in an intervention within the last minute."""
        return tuple(camera for camera in self._former if self.intervention(camera) == intervention)

    def recent_interventions(self) -> frozenset[str]:
        """Return the interventions that a camera was in within the last minute and may come back to."""
        found = (self.recent(camera) for camera in self._former)
        return frozenset(former.intervention for former in found if former is not None)

    def choose(self, camera: str, usable: Collection[int], occupied: Iterable[int]) -> int:
        """Return the worker for a camera: where it was a minute ago, else the one with the fewest publish sessions.

        `usable` are the workers that can take one, `occupied` names a worker once for each publish session that it has.
        Raises OurError where none is usable.
        """
        if not usable:
            raise OurError("no worker with a recorder is ready", retry_after=1.0, code=Code.WORKER_NOT_READY)
        former = self.recent(camera)
        if former is not None and former.worker in usable:
            return former.worker
        load = [*occupied, *self._reserved.values()]
        return min(usable, key=lambda index: (load.count(index), index))

    @contextmanager
    def reserve(self, camera: str, usable: Collection[int], occupied: Iterable[int]) -> Iterator[int]:
        """Choose a worker and count the camera as its own meanwhile.

        Cameras that press at the same moment therefore do not all choose the same worker.  Raises OurError as `choose`.
        """
        index = self._reserved[camera] = self.choose(camera, usable, occupied)
        try:
            yield index
        finally:
            del self._reserved[camera]

    def reserved(self) -> frozenset[str]:
        """Return the cameras whose publication is under way."""
        return frozenset(self._reserved)


class PendingCloses:
    """Publish sessions that ended while their worker was away, by secret; it closes them when it is back."""

    def __init__(self) -> None:
        self._reasons: dict[str, PeerCloseReason] = {}

    def add(self, secret: str, reason: PeerCloseReason) -> None:
        """Note a session to be closed; the oldest are dropped beyond `MAX_PENDING_CLOSES`."""
        self._reasons[secret] = reason
        while len(self._reasons) > MAX_PENDING_CLOSES:
            self._reasons.pop(next(iter(self._reasons)))

    def reason(self, secret: str) -> PeerCloseReason | None:
        """Return why a session that a worker still holds is over, None where it is not."""
        return self._reasons.get(secret)

    def done(self, secret: str) -> None:
        """The worker closed the session."""
        self._reasons.pop(secret, None)
