"""Jobs of the recorder's loop for the vault thread, and the events that come back.

Owns: the types of both.  Must never know: how a job is carried out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from relay.channel.messages import Plan
from relay.evidence.chain import Cause, ClockMap, Correction, Reason, TrackPart
from relay.evidence.seal import SessionSigner

MAX_APART_NS = 1_000_000_000
"""Longest time between two dropped fragments of one gap (the same second as in FORMAT.md §7.4)."""


@dataclass(slots=True)
class FragmentJob:
    """One init segment or fragment, not encrypted; times in UTC nanoseconds."""

    recording: str
    segment: int
    init: bool
    plain: bytes
    tracks: tuple[TrackPart, ...]
    start_ns: int
    length_ns: int
    queued: float
    """Monotonic seconds at which it was handed over."""
    clocks: tuple[ClockMap, ...] = ()
    suspect: bool = False
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class GapJob:
    """Something was not recorded; times in UTC nanoseconds.  `track` is None for all tracks."""

    recording: str
    start_ns: int
    length_ns: int
    track: int | None
    cause: Cause
    detail: str
    fragments: int = 0
    """How many fragments were dropped; 0 where the gap has another cause."""
    init: "FragmentJob | None" = None
    """The last init segment among them: later fragments of its segment cannot be played without it."""

    @property
    def end_ns(self) -> int:
        """When the gap ends, in UTC nanoseconds."""
        return self.start_ns + self.length_ns

    def extend(self, more: "GapJob") -> bool:
        """Extend a run of dropped fragments by the next one; return False where `more` is a gap of its own."""
        same = (self.recording, self.track, self.cause, self.detail) == (more.recording, more.track, more.cause, more.detail)
        follows = self.start_ns <= more.start_ns <= self.end_ns + MAX_APART_NS
        if not (self.fragments and more.fragments and same and follows):
            return False
        self.merge(more)
        return True

    def merge(self, more: "GapJob") -> None:
        """Merge another gap, of any track and cause, into this one, because only one fits in the queue.

        What was received and not recorded stays that, because no verdict may be *complete* over it.  A declared silence gives
        way: it explains no other loss.
        """
        if self.track != more.track:
            self.track = None
        if self.cause is Cause.SILENCE or more.cause is Cause.NOT_RECORDED:
            self.cause, self.detail = more.cause, more.detail
        end_ns, self.start_ns = max(self.end_ns, more.end_ns), min(self.start_ns, more.start_ns)
        self.length_ns = end_ns - self.start_ns
        self.fragments += more.fragments
        self.init = more.init or self.init


@dataclass(slots=True)
class CorrectionJob:
    """By how much tracks are to be moved where the recording is played."""

    recording: str
    correction: Correction


@dataclass(slots=True)
class OpenJob:
    """Begin a recording.  `done` is called with None once the signed start is durable, or with the error."""

    plan: Plan
    key: bytes = field(repr=False)
    done: Callable[[Exception | None], None]

    @property
    def recording(self) -> str:
        """The recording's id."""
        return self.plan.recording


@dataclass(slots=True)
class RenewKeyJob:
    """Sign with another session key from now on: in one recording, or in every open one and in those to come."""

    signer: SessionSigner
    recording: str = ""
    """Empty: every open recording but `spared`."""
    spared: frozenset[str] = frozenset()
    """Recordings that have a job of their own for it, behind what waits for them: older media is signed with the older key."""


@dataclass(slots=True)
class EndJob:
    """End a recording."""

    recording: str
    reason: Reason
    author: str | None
    end_ns: int


Job: TypeAlias = FragmentJob | GapJob | CorrectionJob | OpenJob | EndJob | RenewKeyJob


@dataclass(frozen=True, slots=True)
class SegmentEnded:
    """Every link of a segment is durable (I1)."""

    recording: str
    segment: int
    first_link: int
    last_link: int
    start_ns: int
    end_ns: int
    stored_bytes: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a recording is durable; sent after each sync."""

    recording: str
    links: int
    gaps: int
    stored_bytes: int
    sealed_until_ns: int
    head: bytes
    records: int


@dataclass(frozen=True, slots=True)
class GapSealed:
    """A gap was signed."""

    gap: GapJob


@dataclass(frozen=True, slots=True)
class RecordingEnded:
    """The signed end is durable."""

    recording: str
    reason: Reason
    links: int
    gaps: int
    head: bytes
    end_ns: int
    stored_bytes: int
    duration_ns: int


VaultEvent: TypeAlias = SegmentEnded | Progress | GapSealed | RecordingEnded
