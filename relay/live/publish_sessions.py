"""What control remembers of cameras' sessions, and where a camera belongs.

What this file owns: the shape of a session, and for a minute the place of each that is over.  What it must never know: the
channel, policy, what ends a session.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import declare
from relay.base.errors import OurError
from relay.channel.messages import Answer, PeerCloseReason, SourceReport, SourceState
from relay.live.capture import Circumstances
from relay.store.accounts import Camera

STICKY_SECONDS = 60.0
MAX_ENDED = 256

declare(
    publications="camera sessions accepted",
    publications_taken_over="camera sessions replaced because the old one was silent",
    publications_moved="camera sessions given up because their worker was away, for another worker to take",
    publications_resumed="camera sessions that continued a recording",
    publications_ended="camera sessions that ended",
    recordings_failed="transmissions ended because their recording did not come back in time",
)


@dataclass(slots=True)
class PublishSession:
    """One camera's session."""

    camera: Camera
    session: str
    worker: int
    recording: str | None
    why: Circumstances
    etag: str
    since: float
    """Monotonic seconds: no step of the wall clock ends a transmission."""
    confirmed: float = field(init=False)
    """Monotonic seconds from which its longest time counts (LIV-07): its beginning, or when somebody confirmed it."""
    told: tuple[bool, float] = field(init=False)
    """What its worker was told of `holds`."""
    state: SourceState = "connecting"
    """As its worker says; `lost` while the worker is away."""
    ufrag: str | None = None
    report: SourceReport | None = None
    noted: float = 0.0
    warned: bool = False
    """Whether the near end of its longest time was announced."""
    grace: asyncio.Task[None] | None = None
    unheld: str | None = None
    """The recording of which an alarm said that no recorder holds it."""
    written: str = ""
    """What pages were told last of how its recording is written."""

    def __post_init__(self) -> None:
        """A session is confirmed by its beginning."""
        self.confirmed = self.since
        self.told = self.holds

    @property
    def holds(self) -> tuple[bool, float]:
        """Whether its sound may be heard live, and when it was confirmed last: what a worker must know."""
        return self.camera.live_audio, self.confirmed

    def calm(self) -> None:
        """Its recording is written again: nothing ends it."""
        if self.grace is not None:
            self.grace.cancel()
            self.grace = None


@dataclass(frozen=True, slots=True)
class Opened:
    """An accepted publication: its secret and the worker's answer."""

    session: str
    answer: Answer


@dataclass(slots=True)
class Listeners:
    """Who is told of sessions: `change(camera)`, `gone(camera, reason)`, `alarm(camera, reason)`."""

    change: list[Callable[[str], None]] = field(default_factory=list)
    gone: list[Callable[[str, str], None]] = field(default_factory=list)
    alarm: list[Callable[[str, str], None]] = field(default_factory=list)

    def notify_change(self, camera: str) -> None:
        """Something about a camera changed."""
        for listener in self.change:
            listener(camera)

    def notify_gone(self, camera: str, reason: str) -> None:
        """A camera's session is over."""
        for listener in self.gone:
            listener(camera, reason)

    def notify_alarm(self, camera: str, reason: str) -> None:
        """Something that somebody must see."""
        for listener in self.alarm:
            listener(camera, reason)


@dataclass(frozen=True, slots=True)
class Memory:
    """Where a camera was last, for the sixty seconds in which it belongs there."""

    worker: int
    left: float
    previous: str | None
    intervention: str
    confirmed: float


class Whereabouts:
    """Where cameras were, and which sessions are over although their worker could not be told."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._memory: dict[str, Memory] = {}
        self._ended: dict[str, PeerCloseReason] = {}

    def leave(self, live: PublishSession) -> None:
        """Remember where a session was that is over."""
        memory = Memory(live.worker, self._clock.monotonic(), live.recording, live.why.intervention, live.confirmed)
        self._memory[live.camera.camera] = memory

    def resume(self, live: PublishSession) -> None:
        """A camera that was lost and is back within the minute goes on in its longest time (LIV-07)."""
        memory = self.recent(live.camera.camera)
        if memory is not None:
            live.confirmed = memory.confirmed

    def forget(self, camera: str) -> None:
        """Whatever comes next has nothing to do with what was."""
        self._memory.pop(camera, None)

    def recent(self, camera: str) -> Memory | None:
        """Return where a camera was within the last minute."""
        memory = self._memory.get(camera)
        return memory if memory is not None and self._clock.monotonic() - memory.left < STICKY_SECONDS else None

    def intervention(self, camera: str) -> str | None:
        """Return the intervention that a camera was in within the last minute."""
        memory = self.recent(camera)
        return memory.intervention if memory is not None else None

    def left_in(self, intervention: str) -> tuple[str, ...]:
        """Return the cameras that were in an intervention within the last minute."""
        return tuple(camera for camera in self._memory if self.intervention(camera) == intervention)

    def waiting(self) -> frozenset[str]:
        """Return the interventions that a camera was in a minute ago and may come back to."""
        found = (self.recent(camera) for camera in self._memory)
        return frozenset(memory.intervention for memory in found if memory is not None)

    def place(self, camera: str, usable: Collection[int], taken: Iterable[int]) -> int:
        """Return the worker for a camera: where it was a minute ago, else the one with the fewest.  Raises OurError."""
        if not usable:
            raise OurError("no worker with a recorder is ready", retry_after=1.0, code=Code.WORKER_NOT_READY)
        memory = self.recent(camera)
        if memory is not None and memory.worker in usable:
            return memory.worker
        load = list(taken)
        return min(usable, key=lambda index: (load.count(index), index))

    def untold(self, session: str, reason: PeerCloseReason) -> None:
        """A session is over and its worker does not know yet; the oldest are dropped beyond `MOST_ENDED`."""
        self._ended[session] = reason
        while len(self._ended) > MAX_ENDED:
            self._ended.pop(next(iter(self._ended)))

    def ended(self, session: str) -> PeerCloseReason | None:
        """Return why a session that a worker still holds is over, None where it is not."""
        return self._ended.get(session)

    def told(self, session: str) -> None:
        """The worker knows."""
        self._ended.pop(session, None)
