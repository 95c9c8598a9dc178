"""The messages of `/live`, between the relay and a page.

Owns: their names, fields and units.  Must never know: sockets, the parts of the relay that make or take
them.

Names of fields end with their unit: `_ns` is UTC in nanoseconds since 1970, `_ms` milliseconds, `_s` seconds, `_age` seconds
that have passed, `kbps` kilobits a second.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec.structs import asdict

from relay.base.codes import Code
from relay.base.errors import Kind
from relay.protocol import wire
from relay.protocol.wire import Message

Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=128)]
"""A text that the relay made itself: a longer one refuses the message."""
Layer: TypeAlias = Literal["high", "low", "key"]
SourceState: TypeAlias = Literal["offline", "idle", "connecting", "live", "frozen", "lost", "ended"]
MediaKind: TypeAlias = Literal["video", "audio"]
RecordingState: TypeAlias = Literal["none", "waiting", "recording", "unrecorded", "stalled", "full"]
StreamWarning: TypeAlias = Literal["b_frames", "sound_declined"]
DiskState: TypeAlias = Literal["ok", "stalled", "full", "gone"]

# --- relay to page ----------------------------------------------------------------------------------------------------


class Hello(Message, frozen=True, tag="hello"):
    """The first message on each socket."""

    protocol: int
    """Version of this protocol."""
    workers: tuple[int, ...]
    """Numbers of the workers.  A page opens at most one viewer session on each: `POST /wall?worker=<number>`."""
    user: str
    """Name of the person who is signed in."""
    role: str
    """Role of that person: `operator` or `commander`."""
    server_ns: int
    """The relay's clock now."""


class CameraState(msgspec.Struct, frozen=True, kw_only=True):
    """One camera as the relay knows it now; never its position nor the civil identity of who wears it (LIV-04)."""

    camera: str
    """Name of the camera, unique in this relay."""
    label: str
    """Name for people."""
    regime: str
    """Legal regime of its recordings, `bodycam_pm` for example."""
    live_audio: bool
    """Whether its sound may be heard live."""
    original: str
    """Who keeps the original of a recording: `relay` or `camera`."""
    bearer: str | None
    """Who wears it, as a pseudonym; null where nobody is known to."""
    battery: float | None
    """Charge of its battery in percent as last reported; null before the first report."""
    viewers: int
    """Views of it that are open."""
    online: bool
    """Whether its live socket is open."""
    pressed: bool
    """Whether an emergency press stands."""
    pressed_age: float | None
    """Seconds since that press; null where none stands."""
    state: SourceState
    """`offline`: no live socket, no session; `idle`: live socket only; the others: state of its publish session."""
    worker: int | None
    """Worker that its publish session is on; null without a session."""
    recording: str | None
    """Id of the recording under way; null without a session."""
    ends_ns: int | None
    """When the transmission ends unless it is confirmed (LIV-07); null without a session."""
    intervention: str | None
    """Id of the intervention that the transmission belongs to; null without a session."""
    clock_offset_ms: float | None
    """The camera's clock minus the relay's; null while unknown."""
    clock_uncertainty_ms: float | None
    """Largest error of `clock_offset_ms`; null while unknown."""
    uplink_ms: float | None
    """Shortest time from camera to relay that its sender reports took; null while unknown."""
    rec: RecordingState
    """`none`: no session; `waiting`: nothing arrives to be recorded, or nothing of it is sealed yet; `recording`: all that
    arrives is sealed within seconds; `unrecorded`: packets arrive, and a track is not recorded; `stalled`, `full`: the disk
    takes nothing."""
    unrecorded: tuple[MediaKind, ...]
    """Tracks of which packets arrive and nothing is recorded: `video`, `audio`."""
    sealed_age: float | None
    """Seconds since the end of the newest sealed part of the recording; null before the first."""
    kbps: float
    """Bit rate received in the last second."""
    fps: float
    """Pictures received in the last second."""
    loss: float
    """Share of packets lost for good in the last second, 0 to 1."""
    width: int
    """Width of the picture in pixels; 0 while unknown."""
    height: int
    """Height of the picture in pixels; 0 while unknown."""
    last_frame_age: float | None
    """Seconds since the last picture arrived; null before the first report of the session."""
    warnings: tuple[StreamWarning, ...] = ()
    """What is to be set otherwise on the camera; more words may come.  `b_frames`: live pictures may stutter, because
    they come in another order than they are shown; the recording is whole.  Turn B-frames off in the encoder.
    `sound_declined`: the camera offered sound that the relay cannot take, and nothing of it is recorded.  Set its sound to
    Opus."""


class Cameras(Message, frozen=True, tag="cameras"):
    """All cameras that this person may see; follows `hello`."""

    cameras: tuple[CameraState, ...]
    """One state for each camera."""


class CameraChanged(CameraState, Message, frozen=True, kw_only=True, tag="camera"):
    """The state of one camera: at each change, at most ten times a second, and each second while it is on air.

    A page that takes states more slowly gets the latest of each camera, without those before it.
    """


class CamerasChanged(Message, frozen=True, tag="states"):
    """The same for several cameras at once, in place of `camera`; only on a socket opened as `/live?states=batch`."""

    cameras: tuple[CameraState, ...]
    """The cameras that changed, at most 32; the others are as they were.  A press that was released meanwhile is a state of
    its own before the camera's latest."""


class CameraGone(Message, frozen=True, tag="gone"):
    """A camera was revoked."""

    camera: str
    """Its name."""


class Assigned(Message, frozen=True, tag="assigned"):
    """The answer to an `assign` that was carried out."""

    slot: int
    """Slot of the viewer session."""
    worker: int | None
    """`worker` of the `assign`."""
    camera: str | None
    """Camera that the slot shows; null where it was emptied."""
    view: str | None
    """Id of the view in the journal; null where the slot was emptied."""


class Refused(Message, frozen=True, tag="refused"):
    """The answer to an `assign`, `layer` or `listen` that was not carried out; nothing has changed."""

    slot: int | None
    """Slot that the refused message named; null where it named none."""
    worker: int | None
    """Worker that it named; null where it named none."""
    camera: str | None
    """Camera that it named; null where it named none."""
    kind: Kind
    """Kind of error, as in HTTP answers (relay/http/PROBLEMS.md)."""
    code: Code
    """Stable code of the reason (relay/http/PROBLEMS.md): programs react to it, and it is translated."""
    detail: str
    """Sentence for a log, in English."""
    facts: dict[str, str | int]
    """Values that a translated sentence needs, by name (relay/http/PROBLEMS.md)."""


class ViewStarted(Message, frozen=True, tag="started"):
    """The first picture of a view was sent."""

    view: str
    """Id of the view."""
    first_ns: int
    """When."""


class ViewEnded(Message, frozen=True, tag="ended"):
    """A view is over that the page did not end itself; its slot is free."""

    slot: int
    """Slot of the viewer session."""
    worker: int
    """Worker that the viewer session is on."""
    view: str
    """Id of the view."""
    reason: str
    """Why, in English."""


class LegReport(Message, frozen=True, tag="leg"):
    """How a view is being sent; once a second."""

    view: str
    """Id of the view."""
    kbps: float
    """Bit rate sent."""
    loss: float
    """Share of packets that the page reports as lost, 0 to 1."""
    rtt_ms: float | None
    """Round-trip time to the page; null while unknown."""
    layer: Layer
    """Layer sent."""
    limited: bool
    """Whether the network carries less than the layer that was asked for."""
    delay_ms: float
    """Median time in the last second from the arrival of a packet to its departure."""
    stamp_ns: int | None
    """The relay's clock in the last RTCP sender report (RFC 3550 §6.4.1); null before the first."""
    stamp_rtp: int | None
    """RTP time in that report: 90 kHz, 32 bits; null before the first."""


class ServerTime(Message, frozen=True, tag="time"):
    """The answer to a page's `time`."""

    server_ns: int
    """The relay's clock now."""
    echo: int | float | None
    """`echo` of the question."""


class AlarmReason(StrEnum):
    """What a technical alarm is about; the page has words for each."""

    RECORDING_FAILED = "recording_failed"
    """The recording did not come back in time: the transmission was ended."""
    RECORDING_MISSING = "recording_missing"
    """The recorder does not have the recording open: a new one begins."""
    NOT_RECORDED = "not_recorded"
    """Packets of a camera arrive and nothing of a track is recorded: received, not recorded.  The transmission goes on."""
    RECORDING_DAMAGED = "recording_damaged"
    """A recording was found altered or damaged."""
    ENDS_SOON = "ends_soon"
    """The transmission ends soon unless somebody confirms it."""


class AlarmRaised(Message, frozen=True, tag="alarm"):
    """A technical alarm.  One that was raised in the last hour, while no page of this sign-in was open, follows `cameras`."""

    camera: str
    """Camera that it concerns."""
    reason: AlarmReason
    """What happened."""
    at_ns: int
    """When it was raised."""


class DiskReport(Message, frozen=True, tag="disk"):
    """The disk of the recordings; follows `cameras`, then each time a person would read it differently."""

    state: DiskState
    """`stalled`: it is slow or read-only; `full`: it takes nothing more; `gone`: it cannot be looked at."""
    free: int
    """Free bytes."""
    full_in_s: float | None
    """Seconds until it is full at the present rate; null while it does not fill."""


class CageReport(Message, frozen=True, tag="cage"):
    """Processes of the relay that run with less protection, because the kernel lacks a part of their cage.

    Follows `cameras` where there is one, then each time the list changes; empty: all have it again.
    """

    incomplete: tuple[str, ...]
    """Their names: `control`, `worker-0`, `recorder-0`."""


class InterventionsChanged(Message, frozen=True, tag="interventions"):
    """The list of open interventions changed: fetch it (`GET /api/interventions`)."""


class WorkerChanged(Message, frozen=True, tag="worker"):
    """A worker went down, or is back.  Viewer sessions on a worker that went down are lost: open them again once it is up."""

    worker: int
    """Number of the worker."""
    up: bool
    """Whether it is there."""


class Bye(Message, frozen=True, tag="bye"):
    """The relay closes this socket: the sign-in ended, or the relay stops."""

    reason: str
    """Why, in English."""


ToPage: TypeAlias = (
    Hello
    | Cameras
    | CameraChanged
    | CamerasChanged
    | CameraGone
    | Assigned
    | Refused
    | ViewStarted
    | ViewEnded
    | LegReport
    | ServerTime
    | AlarmRaised
    | DiskReport
    | CageReport
    | InterventionsChanged
    | WorkerChanged
    | Bye
)


class CameraUpdate:
    """A camera's new state on its way to pages: encoded once, however many pages get it."""

    __slots__ = ("_alone", "_in_batch", "state")

    def __init__(self, state: CameraState) -> None:
        self.state = state
        self._in_batch: msgspec.Raw | None = None
        self._alone: bytes | None = None

    def alone(self) -> bytes:
        """Return the bytes of `camera`."""
        if self._alone is None:
            self._alone = wire.encode(CameraChanged(**asdict(self.state)))
        return self._alone

    def in_batch(self) -> msgspec.Raw:
        """Return the bytes of the state as it stands in a message of several."""
        if self._in_batch is None:
            self._in_batch = msgspec.Raw(msgspec.msgpack.encode(self.state))
        return self._in_batch


class _EncodedBatch(Message, frozen=True, tag="states"):
    """`CamerasChanged` with states that are encoded already."""

    cameras: tuple[msgspec.Raw, ...]


def batch(updates: Iterable[CameraUpdate]) -> bytes:
    """Return the bytes of `states` with these cameras."""
    return wire.encode(_EncodedBatch(tuple(update.in_batch() for update in updates)))


# --- page to relay ----------------------------------------------------------------------------------------------------


class Assign(Message, frozen=True, tag="assign"):
    """Show a camera in a slot of a viewer session, or empty the slot.  Answered by `assigned` or `refused`."""

    wall: Name
    """Secret of the viewer session: the last part of `Location` in the answer to `POST /wall`."""
    slot: int
    """Slot, from 0: the index of its video m-line in the session's offer."""
    worker: int | None = None
    """Worker that the viewer session is on; comes back in the answer."""
    camera: Name | None = None
    """Camera to show; null empties the slot."""
    intervention: Name | None = None
    """Id of the intervention that the person has joined and watches for."""
    layer: Layer = "high"
    """Layer to send."""


class SetLayer(Message, frozen=True, tag="layer"):
    """Change the layer of a slot, because its tile changed size.  Answered only where it is refused."""

    wall: Name
    """Secret of the viewer session."""
    slot: int
    """Slot."""
    layer: Layer
    """`high`, `low` (every second picture), or `key`: keyframes only."""


class Listen(Message, frozen=True, tag="listen"):
    """Choose the one slot of a viewer session whose sound is sent.  Answered only where it is refused."""

    wall: Name
    """Secret of the viewer session."""
    slot: int | None = None
    """Slot; null for silence."""


class AskTime(Message, frozen=True, tag="time"):
    """Ask the relay's clock; answered by `time`."""

    echo: int | float | None = None
    """Comes back in the answer."""


FromPage: TypeAlias = Assign | SetLayer | Listen | AskTime

_DECODER: msgspec.msgpack.Decoder[FromPage] = msgspec.msgpack.Decoder(FromPage)


def read(data: bytes) -> FromPage:
    """Return the message that a page sent; raises TheirError(INVALID)."""
    return wire.decode(data, _DECODER)
