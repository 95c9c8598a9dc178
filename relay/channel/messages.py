"""Every message between control, workers and recorders, typed once.

Owns: the vocabulary.  Must never know: sockets, HTTP, files, the database.

Two sockets per worker/recorder pair, both Unix streams carrying frames of `relay.channel.framing`:

* `control -> worker` and `control -> recorder`: requests (answered by `Done`, an answer of their own, or `Refused`) and posts;
  workers and recorders post facts back.  Control may die and come back: it asks for `Inventory` and goes on.
* `worker -> recorder`: the tap.  Posts only; bounded.  The worker drops what does not fit, and reports it as `TapLost`.

Times: `*_mono` are float seconds of CLOCK_MONOTONIC (common to all processes of the machine); `*_ns` are UTC nanoseconds.
"""

from typing import Literal, TypeAlias

from relay.channel.close_reasons import PeerCloseReason as PeerCloseReason
from relay.channel.message import Done as Done
from relay.channel.message import Message as Message
from relay.channel.message import Ping as Ping
from relay.channel.message import Pong as Pong
from relay.channel.message import Refused as Refused
from relay.channel.message import Shutdown as Shutdown
from relay.channel.opening import PeerPatch as PeerPatch
from relay.channel.opening import PublishOpen as PublishOpen
from relay.channel.opening import ViewerOpen as ViewerOpen
from relay.channel.recovery import KnownHead as KnownHead
from relay.channel.recovery import RecorderInventory as RecorderInventory
from relay.channel.recovery import RecordingHeld as RecordingHeld
from relay.channel.recovery import RecoverLeft as RecoverLeft
from relay.channel.tap import MediaKind as MediaKind
from relay.channel.tap import TapClose as TapClose
from relay.channel.tap import TapDropped as TapDropped
from relay.channel.tap import TapLost as TapLost
from relay.channel.tap import TapMessage as TapMessage
from relay.channel.tap import TapOpen as TapOpen
from relay.channel.tap import TapPackets as TapPackets
from relay.channel.tap import TapSender as TapSender
from relay.channel.tap import Track as Track

Layer: TypeAlias = Literal["high", "low", "key"]
"""`key`: keyframes only, for a viewer that cannot keep up."""
SourceState: TypeAlias = Literal["connecting", "live", "frozen", "lost", "ended"]

StreamWarning: TypeAlias = Literal["b_frames", "sound_declined"]
"""What an operator must know of a camera's stream.  `b_frames`: live pictures may stutter, the recording is whole.
`sound_declined`: the camera offered sound that the relay cannot take, and there is none, neither live nor recorded."""


# --- control -> worker ------------------------------------------------------------------------------------------------


class PeerClose(Message, frozen=True):
    """Close a camera's or viewer's session.  Answered by `Done`, also when it is already gone."""

    session: str
    reason: PeerCloseReason


class SlotAssign(Message, frozen=True):
    """Give a slot of a viewer a camera (or None to empty it), under a journalled view.  Answered by `Done`.

    The caller has made the journal entry durable (I3).  The leg lives until `lease_mono` unless renewed.
    """

    session: str
    slot: int
    camera: str | None
    view: str
    layer: Layer
    lease_mono: float


class SlotLayer(Message, frozen=True):
    """A tile changed size: wanted layer of a slot.  Post."""

    session: str
    slot: int
    layer: Layer


class AudioAssign(Message, frozen=True):
    """Which slot of this viewer is heard (None: silence).  Answered by `Done`; refused where the source has no live audio."""

    session: str
    slot: int | None


class LeaseRenew(Message, frozen=True):
    """Prolong the legs of these views.  Post."""

    views: tuple[str, ...]
    lease_mono: float


class KeyframeAsk(Message, frozen=True):
    """Ask the camera for a keyframe (coalesced with all others).  Post; also from the recorder on the tap's way back."""

    camera: str
    cause: Literal["segment", "join", "loss", "layer"]


class PublisherChange(Message, frozen=True):
    """What holds of a camera's session from now on.  Answered by `Done`: where sound is off, none leaves after that."""

    session: str
    live_audio: bool
    confirmed_mono: float
    """When its transmission was confirmed last (LIV-07); kept for a control that restarts."""


class PublisherKeep(Message, frozen=True):
    """Keep this for a control that restarts: why the camera publishes.  Opaque to the worker.  Post."""

    session: str
    kept: bytes


class RecordingSwitch(Message, frozen=True):
    """From now on a camera's session feeds this recording, whose signed start is durable.

    It is the session's first one, or follows one that died with its recorder.  Answered by `Done`; the worker posts `TapOpen`
    for it, and what waited.  Refused NOT_FOUND where the session is gone.  `is_open` False: it is not open, and packets wait
    for it as after `PublishOpen`; the recording that the session was to continue ended before any media came.
    """

    session: str
    recording: str
    is_open: bool = True


class InventoryAsk(Message, frozen=True):
    """What do you hold?  A worker answers `WorkerInventory`, a recorder `RecorderInventory`."""


# --- worker -> control ------------------------------------------------------------------------------------------------


class Answer(Message, frozen=True):
    """SDP answer; `etag` names this ICE generation (ufrag), `slots` the number of video slots of a viewer."""

    sdp: str
    etag: str
    slots: int
    has_audio: bool


class Patched(Message, frozen=True):
    """Answer to `PeerPatch`: an SDP fragment and a new ETag after a restart, both None after a trickle."""

    fragment: str | None
    etag: str | None


class PublisherHeld(Message, frozen=True):
    """A camera session as a worker holds it."""

    session: str
    camera: str
    recording: str | None
    state: SourceState
    live_audio: bool
    etag: str
    since_mono: float
    silent_for: float
    """Seconds since its last authenticated packet; infinite once it closed its connection."""
    confirmed_mono: float | None = None
    """As `PublisherChange` said last."""
    is_recording_open: bool = True
    """Whether the recording's signed start is known to be durable; else its packets wait."""
    kept: bytes = b""
    """As `PublisherKeep` said last."""


class LegHeld(Message, frozen=True):
    """A leg as a worker holds it."""

    session: str
    slot: int
    camera: str
    view: str
    first_ns: int | None
    last_ns: int | None


class ViewerHeld(Message, frozen=True):
    """A viewer session as a worker holds it."""

    session: str
    etag: str
    slots: int
    connected: bool


class WorkerInventory(Message, frozen=True):
    """Everything that a control which just started must know."""

    publishers: tuple[PublisherHeld, ...]
    viewers: tuple[ViewerHeld, ...]
    legs: tuple[LegHeld, ...]


class PublisherState(Message, frozen=True):
    """A camera's session changed state; `reason` is for people.  `ended`/`lost` mean that the session is gone."""

    session: str
    camera: str
    state: SourceState
    reason: str
    at_ns: int
    is_stop: bool = False
    """`ended` because the camera closed the connection itself, and nothing followed: as if it had sent DELETE."""


class RecordingWanted(Message, frozen=True):
    """Media came on a session whose recording is not open yet; repeated each second until `RecordingSwitch`."""

    session: str
    camera: str
    since_mono: float
    """When the first authenticated media packet came."""


class ViewerState(Message, frozen=True):
    """A viewer's session connected or went away."""

    session: str
    state: Literal["connected", "closed"]
    reason: str


class LegStarted(Message, frozen=True):
    """The first packet of a view left."""

    view: str
    first_ns: int


class LegEnded(Message, frozen=True):
    """A view ended: the span that was really sent (None where nothing ever left)."""

    view: str
    first_ns: int | None
    last_ns: int | None
    packets: int
    reason: str


class SourceReport(Message, frozen=True):
    """Once a second per camera."""

    camera: str
    state: SourceState
    kbps: float
    fps: float
    loss: float
    """Share of packets lost for good in the last second, 0..1."""
    rtt_ms: float | None
    width: int
    height: int
    clock_offset_ms: float | None
    """Camera's wall clock minus ours, where its sender reports allow it."""
    clock_uncertainty_ms: float | None
    viewers: int
    last_frame_age: float
    layers: int
    warnings: tuple[StreamWarning, ...] = ()


class LegReport(Message, frozen=True):
    """Once a second per leg."""

    view: str
    kbps: float
    loss: float
    rtt_ms: float | None
    layer: Layer
    limited: bool
    delay_ms: float
    """Relay's own share: arrival of a packet to its departure, median of the second."""
    stamp: tuple[int, int] | None = None
    """The leg's last sender report: our UTC ns and the leg's RTP time then; a page dates the frames it shows by it."""


class WorkerReport(Message, frozen=True):
    """Once a second."""

    index: int
    sources: tuple[SourceReport, ...]
    legs: tuple[LegReport, ...]
    counters: dict[str, int]
    cpu_seconds: float
    tap_backlog: int


# --- control -> recorder ----------------------------------------------------------------------------------------------


class Plan(Message, frozen=True):
    """What a recording is, as its signed start will say."""

    recording: str
    camera: str
    camera_label: str
    regime: str
    service: str
    original: Literal["relay", "camera"]
    bearer: str | None
    intervention: str
    trigger: str
    threat: str
    expires_on: str
    """ISO day on which it erases itself (Europe/Paris)."""
    previous: str | None
    """The recording that a dead recorder left and that this one follows."""
    started_ns: int


class RecordOpen(Message, frozen=True):
    """Open a recording.  Answered by `Done` once its signed start is on disk.  `key`: 32 bytes, AES-256."""

    plan: Plan
    key: bytes
    since_mono: float | None = None
    """When the first packet came that waits for it; None: none waits."""


class RecordClose(Message, frozen=True):
    """Close a recording, with the packets that its worker tapped before.  Answered by `Done` once its signed end is on disk."""

    recording: str
    reason: Literal["stopped", "lost", "shutdown", "revoked", "refused"]
    author: str | None


class RecordMeta(Message, frozen=True):
    """Metadata to go into the next link (position, battery, bearer change ...).  Post."""

    recording: str
    at_ns: int
    values: dict[str, str]


# --- recorder -> control ----------------------------------------------------------------------------------------------


class SegmentSealed(Message, frozen=True):
    """Every link of this segment is on disk: the catalogue may get its row (I1)."""

    recording: str
    segment: int
    first_link: int
    last_link: int
    start_ns: int
    end_ns: int
    stored_bytes: int
    head: bytes


class GapSeen(Message, frozen=True):
    """A gap was signed."""

    recording: str
    start_ns: int
    length_ns: int
    cause: str


class RecordingClosed(Message, frozen=True):
    """The signed end (or the recovery of one cut short) is on disk; of a damaged one (`damage`: where) perhaps neither."""

    recording: str
    reason: str
    links: int
    head: bytes
    end_ns: int
    recovered: bool
    gaps: int
    duration_ns: int
    stored_bytes: int
    damage: str = ""


class RecordingReport(Message, frozen=True):
    """Once a second per open recording.  `sealed_until_mono`: arrival of the last durable packet; None before the first."""

    recording: str
    camera: str
    sealed_until_mono: float | None
    links: int
    gaps: int
    stored_bytes: int
    state: Literal["waiting", "recording", "unrecorded", "stalled", "full"]
    """`recording`: what comes is sealed; `unrecorded`: packets come and a track is not recorded; `waiting`: none come."""
    head: bytes = b""
    """Of the last durable record; empty where none is known yet."""
    records: int = 0
    """How many records are durable."""
    sealed_until_ns: int = 0
    """Arrival (UTC) of the last packet in them."""
    unrecorded: tuple[MediaKind, ...] = ()
    """Tracks of which packets came and nothing was recorded, now or since the last report."""


class SessionRenew(Message, frozen=True):
    """Asked of a recorder: another session key (Ed25519 seed, 32 bytes) and its certificate sign from now on.

    What is open is taken over by it (FORMAT.md §3.7).  Answered by `Done`.
    """

    seed: bytes
    certificate: bytes


class RecorderReport(Message, frozen=True):
    """Once a second."""

    index: int
    recordings: tuple[RecordingReport, ...]
    counters: dict[str, int]
    cpu_seconds: float
    disk_free: int
    backlog_bytes: int
    unheld: tuple[str, ...] = ()
    """Recordings that a worker tapped into since the last report although they are not open here: nothing of them is kept."""
    disk: Literal["ok", "stalled", "full", "gone"] = "ok"
    """Whether the disk takes what comes; stalled: it is slow or read-only; gone: it cannot even be looked at."""
    session_until_ns: int | None = None
    """When the certificate of its session key ends (UTC)."""


AnyMessage: TypeAlias = (
    Done
    | Refused
    | Ping
    | Pong
    | Shutdown
    | PublishOpen
    | ViewerOpen
    | PeerPatch
    | PeerClose
    | SlotAssign
    | SlotLayer
    | AudioAssign
    | LeaseRenew
    | KeyframeAsk
    | PublisherChange
    | PublisherKeep
    | RecordingSwitch
    | InventoryAsk
    | Answer
    | Patched
    | WorkerInventory
    | PublisherState
    | RecordingWanted
    | ViewerState
    | LegStarted
    | LegEnded
    | WorkerReport
    | RecordOpen
    | RecordClose
    | RecoverLeft
    | RecordMeta
    | RecorderInventory
    | SegmentSealed
    | GapSeen
    | RecordingClosed
    | SessionRenew
    | RecorderReport
    | TapMessage
)
