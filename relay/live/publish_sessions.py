"""What control remembers of one camera's publish session.

Owns: the shape of a publish session, and which part of control writes each piece of it.
Must never know: the channel, policy, what ends a session.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from relay.base.errors import TheirError
from relay.channel.messages import Answer, SourceReport, SourceState
from relay.live.capture import Circumstances, CloseReason
from relay.live.ice_restart import IceGeneration
from relay.protocol.page import AlarmReason
from relay.store.accounts import Camera


class SessionTerms(NamedTuple):
    """What the worker of a publish session must know beside the offer."""

    live_audio: bool
    """Whether the sound may be heard live."""
    confirmed: float
    """Monotonic seconds from which the time limit counts (LIV-07)."""


@dataclass(slots=True)
class WorkerState:
    """What the worker reported last; written by `live/worker_adoption` only."""

    state: SourceState = "connecting"
    """`lost` also while the worker is away."""
    report: SourceReport | None = None


class SessionEnding(NamedTuple):
    """An end on purpose, as the signed end of the recording says it."""

    reason: CloseReason
    author: str | None


@dataclass(slots=True, eq=False)
class PublishSession:
    """One camera's publish session.  `recording` is written by `recording_start` and `recording_supervisor` only."""

    camera: Camera
    """The enrolment as it holds for this session: `original` does not change while a recording is open."""
    secret: str
    """Names the session in the channel and in its `Location`."""
    worker: int
    recording: str | None
    """The recording that it feeds, open; None before its first media (`recording_start`)."""
    circumstances: Circumstances
    since: float
    """Monotonic seconds of its beginning: no step of the wall clock ends a transmission."""
    ice: IceGeneration
    reported: WorkerState = field(default_factory=WorkerState)
    reserved: str = ""
    """The id under which its recording will begin, while `recording` is None."""
    reserved_is_begun: bool = False
    """Whether an earlier control has entered that id in the journal: it is used only where a recorder holds it open."""
    previous: str | None = None
    """The recording that the one to begin will name as the one before."""
    ended: SessionEnding | None = None
    """How it ended on purpose, None while it did not."""
    confirmed: float = field(init=False)
    """Monotonic seconds from which its time limit counts (LIV-07): its beginning, or the last confirmation."""
    acknowledged: SessionTerms = field(init=False)
    """The terms that its worker knows."""

    def __post_init__(self) -> None:
        """A session counts as confirmed by its beginning."""
        self.confirm(self.since)
        self.acknowledged = self.terms

    @property
    def recording_id(self) -> str:
        """The id of the recording that it feeds, or will feed once media comes."""
        return self.recording or self.reserved

    @property
    def terms(self) -> SessionTerms:
        """The terms that hold now."""
        return SessionTerms(self.camera.live_audio, self.confirmed)

    def confirm(self, at: float) -> None:
        """Count the time limit from `at` (monotonic seconds)."""
        self.confirmed = at

    def take_over_terms(self, live_audio: bool, confirmed: float | None) -> None:
        """Note the terms that a worker reports after a reconnection; `confirmed` None where it does not know it."""
        self.acknowledged = SessionTerms(live_audio, self.confirmed if confirmed is None else confirmed)


@dataclass(frozen=True, slots=True)
class Opened:
    """An accepted publication: its secret and the worker's answer."""

    secret: str
    answer: Answer


@dataclass(slots=True)
class Listeners:
    """Who is notified.

    `change(camera)`, `removed(publish session)`, `gone(camera, reason)`, `alarm(camera, reason)`, `refused(camera, error)`.
    """

    change: list[Callable[[str], None]] = field(default_factory=list)
    removed: list[Callable[[PublishSession], None]] = field(default_factory=list)
    gone: list[Callable[[str, str], None]] = field(default_factory=list)
    alarm: list[Callable[[str, AlarmReason], None]] = field(default_factory=list)
    refused: list[Callable[[str, TheirError], None]] = field(default_factory=list)

    def notify_change(self, camera: str) -> None:
        """Something about a camera changed."""
        for listener in self.change:
            listener(camera)

    def notify_removed(self, publish_session: PublishSession) -> None:
        """A publish session is over; parts that keep state of it drop that state."""
        for listener in self.removed:
            listener(publish_session)

    def notify_gone(self, camera: str, reason: str) -> None:
        """A camera has no publish session any more."""
        for listener in self.gone:
            listener(camera, reason)

    def notify_alarm(self, camera: str, reason: AlarmReason) -> None:
        """Something happened that a person must see."""
        for listener in self.alarm:
            listener(camera, reason)

    def notify_refused(self, camera: str, error: TheirError) -> None:
        """A camera's offer was refused."""
        for listener in self.refused:
            listener(camera, error)
