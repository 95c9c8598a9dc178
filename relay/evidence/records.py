"""The records of a chain: their dataclasses and, field by field, their layout.

Owns: FORMAT.md §3.2 to §3.7 and §3.9, to the byte.
Must never know: who signs a record, which record may follow which, files.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from relay.evidence.seal import CERTIFICATE, DIGEST, SIGNATURE, SessionCertificate
from relay.evidence.wire import Choice, Codec, Fixed, Flag, Maybe, Pairs, Raw, Repeat, SInt, Struct, Text, UInt


class Original(Enum):
    """Where the original is: in the relay, or in the camera (then the relay keeps the chain alone)."""

    RELAY = "relay"
    CAMERA = "camera"


class TrackKind(Enum):
    """H.264 on a 90 kHz clock (RFC 6184) or Opus on a 48 kHz clock (RFC 7587); no other clock exists for them."""

    VIDEO = "video"
    AUDIO = "audio"

    @property
    def clock_rate(self) -> int:
        """Ticks per second of RTP timestamps and of decode times."""
        return 90_000 if self is TrackKind.VIDEO else 48_000


class Cause(Enum):
    """Why media was not recorded; the last four since format version 3.

    SILENCE explains what is missing of its track up to the track's next gap of another cause, whatever its length.
    RECOVERY_POINT explains nothing: the pictures in it are recorded, and may be incomplete.
    """

    RADIO = "radio"
    RECONNECT = "reconnect"
    TAP_OVERFLOW = "tap_overflow"
    DISK = "disk"
    RECORDER = "recorder"
    CLOCK = "clock"
    PAUSED = "paused"
    UNKNOWN = "unknown"
    NOT_RECORDED = "not_recorded"
    LATE_TRACK = "late_track"
    SILENCE = "silence"
    RECOVERY_POINT = "recovery_point"


CAUSES_OF_OLD = tuple(Cause)[:8]
"""The causes that format versions 1 and 2 know."""


class Reason(Enum):
    """Why a recording ended."""

    STOPPED = "stopped"
    LOST = "lost"
    SHUTDOWN = "shutdown"
    REVOKED = "revoked"
    REFUSED = "refused"


class SyncSource(Enum):
    """How a track's clock was tied to wall time."""

    SENDER_REPORT = "sender_report"
    ARRIVAL = "arrival"


@dataclass(frozen=True, slots=True)
class Start:
    """First record: which camera is recorded, why, and under which session key."""

    recording: str
    camera: str
    label: str
    regime: str
    service: str
    original: Original
    bearer: str | None
    intervention: str
    trigger: str
    threat: str
    expires_on: str
    """ISO day on which the relay erases the recording (Europe/Paris)."""
    previous_recording: str | None
    previous_head: bytes | None
    """Head of `previous_recording`, whose recorder died and which this recording continues."""
    started_ns: int
    certificate: SessionCertificate

    def __post_init__(self) -> None:
        if (self.previous_recording is None) != (self.previous_head is None):
            raise ValueError("previous recording and its head go together")


@dataclass(frozen=True, slots=True)
class TrackPart:
    """The samples of one track in one fragment."""

    track: int
    """The track's id in the MP4."""
    kind: TrackKind
    samples: int
    digest: bytes
    """`seal.sample_digest` of the samples in decode order."""
    first: int
    """Decode time of the first sample, in ticks of the track's clock, on the recording's own timeline."""
    duration: int
    """From the first sample to the end of the last, in ticks."""

    @property
    def end(self) -> int:
        """Decode time at which the last sample ends."""
        return self.first + self.duration


@dataclass(frozen=True, slots=True)
class ClockMap:
    """Ties a track's RTP clock to wall time; written only when the tie is new or has changed."""

    track: int
    source: SyncSource
    wall_ns: int
    """The camera's wall clock at `rtp` (its sender report), or the relay's when `source` is ARRIVAL."""
    rtp: int
    decode_time: int
    """The same instant on the recording's timeline, in ticks."""
    offset_ns: int
    """Camera's wall clock minus the relay's, as measured."""
    uncertainty_ns: int


@dataclass(frozen=True, slots=True)
class Link:
    """One for each fragment and init segment: commits to the plain bytes, the stored bytes and each track's samples (I1)."""

    fragment: int
    """0, 1, 2 … through the recording, init segments included; also the nonce of its encryption."""
    segment: int
    init: bool
    offset: int
    """Offset of the stored bytes in the segment's file."""
    plain_length: int
    stored_length: int
    plain_digest: bytes
    stored_digest: bytes
    tracks: tuple[TrackPart, ...]
    arrival_start_ns: int
    """Relay's UTC when the first packet of the fragment arrived (an init segment: when it was made)."""
    arrival_length_ns: int
    clocks: tuple[ClockMap, ...] = ()
    clock_suspect: bool = False
    """The relay's or the camera's clock stepped or drifted: do not trust the times of this fragment."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Sorted, unique; only the values that changed since the link before (position, battery, bearer …)."""

    @property
    def arrival_end_ns(self) -> int:
        """Relay's UTC when the last packet of the fragment arrived."""
        return self.arrival_start_ns + self.arrival_length_ns


@dataclass(frozen=True, slots=True)
class Gap:
    """Media that was not recorded (I2); written before the link that follows, or before the end."""

    start_ns: int
    length_ns: int
    track: int | None
    """None: every track."""
    cause: Cause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """Last record, with the totals of the chain."""

    reason: Reason
    author: str | None
    end_ns: int
    links: int
    gaps: int
    segments: int
    plain_bytes: int
    stored_bytes: int


SUSPECT_CAUSE = "; clock suspect"
"""End of the cause of a recovery whose time must not be trusted (FORMAT.md §3.6)."""

DAMAGED_CAUSE = "; damaged before: "
"""In the cause of a recovery, before the name of what was altered or missing although it had long been on disk."""

_TAIL = re.compile(r"(\d+) fragments, (\d+\.\d) s", re.ASCII)
TAIL_CAUSE = "; tail missing: "
"""In the cause of a recovery, before what was missing of the end of the chain although it had been durable; up to `;`."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """Last record of a recording whose recorder died; signed by a later session key, whose certificate it carries."""

    cause: str
    recovered_ns: int
    """When this record was written, never before the media it closes; not when the recording was cut short."""
    dropped_chain_bytes: int
    """Bytes of a torn record cut from the end of the chain."""
    dropped_media_bytes: int
    """Bytes after the last link's fragment cut from the segment."""
    links: int
    gaps: int
    certificate: SessionCertificate

    @property
    def clock_suspect(self) -> bool:
        """Whether its time must not be trusted."""
        return self.cause.endswith(SUSPECT_CAUSE)

    @property
    def damaged(self) -> bool:
        """Whether the recovery found damage in the recording it closes."""
        return DAMAGED_CAUSE in self.cause or TAIL_CAUSE in self.cause

    @property
    def missing_tail(self) -> tuple[str, str] | None:
        """Fragments and seconds that the recovery did not find at the end of the chain, None where it says nothing of that.

        `?` where the numbers cannot be read.
        """
        if TAIL_CAUSE not in self.cause:
            return None
        found = _TAIL.search(self.cause.partition(TAIL_CAUSE)[2].partition(";")[0])
        return ("?", "?") if found is None else (found[1], found[2])


@dataclass(frozen=True, slots=True)
class KeyRollover:
    """From the next record on another session key signs; the old key signs this record, the new key `consent`."""

    certificate: SessionCertificate
    consent: bytes


@dataclass(frozen=True, slots=True)
class Point:
    """Where a track is played: what was decoded at `time` is to be shown `moved_ns` later (earlier if negative)."""

    track: int
    source: SyncSource
    """What it was measured against: the camera's sender reports, or the arrival of packets."""
    time: int
    """Decode time in ticks of the track's clock, on the recording's timeline."""
    moved_ns: int
    gradual: bool
    """Between the point before and this one the track moves evenly; otherwise the point before holds up to here."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Corrects the clocks of tracks where they are played; sealed bytes never change (FORMAT.md §3.9).  Since version 3."""

    points: tuple[Point, ...]


Body: TypeAlias = Start | Link | Gap | End | Recovery | KeyRollover | Correction

MAX_TEXT = 200
"""Bytes of UTF-8 in a short text: a label, a trigger, a gap's detail."""
MAX_THREAT = 2000
"""Bytes of UTF-8 in a threat."""
MAX_SEGMENT = 99_999
"""Highest number of a segment."""
MAX_POINTS = 200
"""Points in one correction."""

_NS = Fixed(8)
_TEXT = Text(MAX_TEXT)
_START = Struct(
    Start,
    (
        ("recording", Text(64)),
        ("camera", Text(64)),
        ("label", _TEXT),
        ("regime", Text(64)),
        ("service", _TEXT),
        ("original", Choice(Original)),
        ("bearer", Maybe(_TEXT)),
        ("intervention", Text(64)),
        ("trigger", _TEXT),
        ("threat", Text(MAX_THREAT)),
        ("expires_on", Text(10)),
        ("previous_recording", Maybe(Text(64))),
        ("previous_head", Maybe(Raw(DIGEST))),
        ("started_ns", _NS),
        ("certificate", CERTIFICATE),
    ),
)
_TRACK_PART = Struct(
    TrackPart,
    (
        ("track", UInt(0xFFFF_FFFF)),
        ("kind", Choice(TrackKind)),
        ("samples", UInt(0xFFFF)),
        ("digest", Raw(DIGEST)),
        ("first", UInt()),
        ("duration", UInt()),
    ),
)
_CLOCK_MAP = Struct(
    ClockMap,
    (
        ("track", UInt(0xFFFF_FFFF)),
        ("source", Choice(SyncSource)),
        ("wall_ns", _NS),
        ("rtp", Fixed(4)),
        ("decode_time", UInt()),
        ("offset_ns", SInt()),
        ("uncertainty_ns", UInt()),
    ),
)
_LINK = Struct(
    Link,
    (
        ("fragment", UInt(0xFFFF_FFFF)),
        ("segment", UInt(MAX_SEGMENT)),
        ("init", Flag()),
        ("offset", UInt(0xFFFF_FFFF)),
        ("plain_length", UInt(0xFFFF_FFFF)),
        ("stored_length", UInt(0xFFFF_FFFF)),
        ("plain_digest", Raw(DIGEST)),
        ("stored_digest", Raw(DIGEST)),
        ("tracks", Repeat(_TRACK_PART, 8)),
        ("arrival_start_ns", _NS),
        ("arrival_length_ns", UInt()),
        ("clocks", Repeat(_CLOCK_MAP, 8)),
        ("clock_suspect", Flag()),
        ("metadata", Pairs(32, 64, 500)),
    ),
)


def _gap(causes: Iterable[Cause]) -> Struct[Gap]:
    return Struct(
        Gap,
        (
            ("start_ns", _NS),
            ("length_ns", UInt()),
            ("track", Maybe(UInt(0xFFFF_FFFF))),
            ("cause", Choice(causes)),
            ("detail", _TEXT),
        ),
    )


_END = Struct(
    End,
    (
        ("reason", Choice(Reason)),
        ("author", Maybe(_TEXT)),
        ("end_ns", _NS),
        ("links", UInt()),
        ("gaps", UInt()),
        ("segments", UInt()),
        ("plain_bytes", UInt()),
        ("stored_bytes", UInt()),
    ),
)
_RECOVERY = Struct(
    Recovery,
    (
        ("cause", _TEXT),
        ("recovered_ns", _NS),
        ("dropped_chain_bytes", UInt()),
        ("dropped_media_bytes", UInt()),
        ("links", UInt()),
        ("gaps", UInt()),
        ("certificate", CERTIFICATE),
    ),
)
_ROLLOVER = Struct(KeyRollover, (("certificate", CERTIFICATE), ("consent", Raw(SIGNATURE))))

_CORRECTION = Struct(
    Correction,
    (
        (
            "points",
            Repeat(
                Struct(
                    Point,
                    (
                        ("track", UInt(0xFFFF_FFFF)),
                        ("source", Choice(SyncSource)),
                        ("time", UInt()),
                        ("moved_ns", SInt()),
                        ("gradual", Flag()),
                    ),
                ),
                MAX_POINTS,
            ),
        ),
    ),
)

_OLD: dict[int, Codec[Any]] = {1: _START, 2: _LINK, 3: _gap(CAUSES_OF_OLD), 4: _END, 5: _RECOVERY, 6: _ROLLOVER}
BODIES: dict[int, dict[int, Codec[Any]]] = {1: _OLD, 2: _OLD, 3: {**_OLD, 3: _gap(Cause), 7: _CORRECTION}}
"""By format version of the chain: the layout of a record's body by its type."""
TYPE_OF: dict[type[Body], int] = {Start: 1, Link: 2, Gap: 3, End: 4, Recovery: 5, KeyRollover: 6, Correction: 7}
