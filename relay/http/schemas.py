"""Bodies and answers of the JSON routes; OpenAPI is made from them.

Owns: names and bounds of fields.  Must never know: what a handler does.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from relay.base.codes import Code
from relay.http.fields import Act, FreeText, Secret

SLUG = r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$"
ID = r"^[0-9a-f]{32}$"
MAX_COMMUNE = 40
"""Bytes of a commune: an INSEE code has five."""
Communes: TypeAlias = Annotated[list[Annotated[str, FreeText(MAX_COMMUNE)]], Field(max_length=500)]


class Body(BaseModel):
    """A request's body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Out(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True)


class Problem(Out):
    """A refusal (RFC 9457).  Further members are the facts that PROBLEMS.md lists for the code."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: Code


class SignIn(Body):
    """A sign-in."""

    user: Annotated[str, FreeText(100)]
    password: Annotated[str, Secret(1000)]


class Session(Out):
    """The sign-in of the caller."""

    user: str
    name: str
    role: str
    csrf: str
    expires_at: str
    must_change: bool


class PasswordChange(Body):
    """A change of the caller's own password."""

    old: Annotated[str, Secret(1000)]
    new: Annotated[str, Secret(1000)]


class InterventionOpen(Body):
    """A new intervention."""

    label: Annotated[str, FreeText(200)]
    motive: Annotated[str, Act(4000)] | None = None


class Motive(Body):
    """A motive (JRN-02)."""

    motive: Annotated[str, Act(4000)] | None = None


class InterventionOut(Out):
    """An intervention as one person sees it; `motive` None where that person has not joined."""

    intervention: str
    label: str
    opened_by: str
    opened_at: str
    motive: str | None


class InterventionList(Out):
    """Open interventions, newest first."""

    interventions: list[InterventionOut]


class CameraState(Out):
    """State of a camera; the same fields as in `/live`.  Ages in seconds."""

    camera: str
    label: str
    state: Literal["offline", "idle", "connecting", "live", "frozen", "lost", "ended"]
    worker: int | None
    regime: str
    live_audio: bool
    recording: str | None
    original: str
    bearer: str | None
    intervention: str | None
    ends_ns: int | None
    kbps: float
    fps: float
    loss: float
    width: int
    height: int
    last_frame_age: float | None
    warnings: tuple[Literal["b_frames", "sound_declined"], ...]
    clock_offset_ms: float | None
    clock_uncertainty_ms: float | None
    uplink_ms: float | None
    rec: Literal["none", "waiting", "recording", "unrecorded", "stalled", "full"]
    unrecorded: tuple[Literal["video", "audio"], ...]
    sealed_age: float | None
    battery: float | None
    viewers: int
    online: bool
    pressed: bool
    pressed_age: float | None


class CameraEnrolment(Out):
    """Enrolment of a camera, for administrators: no live state, no picture."""

    camera: str
    label: str
    regime: str
    service: str
    commune: str
    original: str
    live_audio: bool
    enrolled_at: str
    revoked_at: str | None


class CameraList(Out):
    """Cameras: states for those who watch, enrolments for administrators."""

    cameras: list[CameraState | CameraEnrolment]


class CameraEnrol(Body):
    """A camera to enrol."""

    camera: str = Field(pattern=SLUG)
    label: Annotated[str, FreeText(160)]
    regime: Annotated[str, FreeText(40)] = "bodycam_pm"
    original: Literal["relay", "camera"] = "relay"
    live_audio: bool = False
    commune: Annotated[str, FreeText(MAX_COMMUNE, required=False)] = ""


class CameraChange(Body):
    """Changes to an enrolled camera; None: no change."""

    label: Annotated[str, FreeText(160)] | None = None
    live_audio: bool | None = None
    commune: Annotated[str, FreeText(MAX_COMMUNE, required=False)] | None = None
    original: Literal["relay", "camera"] | None = None


class Token(Out):
    """A secret, returned once."""

    token: str


class StreamRequest(Body):
    """A request to a camera to stream."""

    intervention: str = Field(pattern=ID)
    threat: Annotated[str, Act(40)] = "agents"
    reason: Annotated[str, FreeText(200, required=False)] = ""


class Confirm(Body):
    """The motive why a transmission must go on."""

    motive: Annotated[str, Act(4000)] | None = None


class StreamRequested(Out):
    """Id of the request that was sent to the camera."""

    request: str


class ViewTokenAsk(Body):
    """A request for a token for a standard WHEP client."""

    camera: str = Field(pattern=SLUG)
    intervention: str = Field(pattern=ID)


class ViewTokenOut(Out):
    """A short-lived token, returned once."""

    token: str
    expires_at: str


class RecordingOut(Out):
    """A recording: metadata only."""

    recording: str
    camera: str
    camera_label: str
    regime: str
    original: str
    bearer: str | None
    intervention: str
    trigger: str
    threat: str
    previous: str | None
    started_at: str
    ended_at: str | None
    expires_on: str
    state: str
    reason: str | None
    recovered: bool
    links: int
    gaps: int
    duration_s: float
    stored_bytes: int


class RecordingList(Out):
    """Recordings, newest first; `next` is the `before` of the next page."""

    recordings: list[RecordingOut]
    next: str | None


class SegmentOut(Out):
    """A sealed segment."""

    segment: int
    start_at: str
    end_at: str
    stored_bytes: int


class GapOut(Out):
    """A Gap record of the chain."""

    start_at: str
    seconds: float
    cause: str


class RecordingDetail(RecordingOut):
    """A recording with its segments and gaps."""

    segments: list[SegmentOut]
    gap_list: list[GapOut]
    held: bool


class ViewOpen(Body):
    """A playback to open."""

    motive: Annotated[str, Act(4000)] | None = None
    intervention: str | None = Field(default=None, pattern=ID)


class ViewOpened(Out):
    """A journalled playback view and its HLS playlist."""

    view: str
    playlist: str


class ExportAsk(Body):
    """An extraction (R241-2 7°, EXT-01); the interval in UTC nanoseconds, `to` excluded."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    from_ns: int = Field(alias="from", ge=0)
    to_ns: int = Field(alias="to", ge=0)
    motive: Annotated[str, Act(4000)]
    legal_basis: Annotated[str, Act(40)]
    requesting_agent: Annotated[str, Act(1000)]
    requesting_service: Annotated[str, Act(1000)]
    procedure_no: Annotated[str, Act(1000)]


class ExportOut(Out):
    """An extraction."""

    export: str
    recording: str
    state: str
    progress: float
    detail: str
    sha256: str | None
    requested_at: str
    file: str


class HoldOpen(Body):
    """A hold to open (RET-02): the procedure, the authority in charge of it, and who asked for the hold."""

    procedure_type: Annotated[str, Act(40)]
    procedure_no: Annotated[str, Act(1000)]
    authority: Annotated[str, Act(1000)]
    requested_by: Annotated[str, Act(1000)]


class HoldOut(Out):
    """A hold; `expires_on`: the day on which its recording would have been erased; `overdue`: its review is overdue."""

    hold: str
    recording: str
    camera_label: str
    started_at: str
    expires_on: str
    procedure_type: str
    procedure_no: str
    authority: str
    requested_by: str
    opened_by: str
    opened_at: str
    review_on: str
    overdue: bool
    lifted_by: str | None
    lifted_at: str | None


class HoldList(Out):
    """Open holds, the next review first, at most 500."""

    holds: list[HoldOut]


class RecordingHolds(Out):
    """Every hold of a recording, latest first; `procedures`: those for which it was handed over and may be held.

    `lost`: a restored catalogue does not know of a hold that the key shows; it may be opened again for any procedure.
    """

    holds: list[HoldOut]
    procedures: list[str]
    lost: bool


class JournalLeaf(Out):
    """One entry; `body` is None once it is purged after three years."""

    leaf: int
    at: str
    body: dict[str, object] | None
    leaf_hash: str


class JournalPage(Out):
    """Entries in order."""

    size: int
    leaves: list[JournalLeaf]


class CheckpointOut(Out):
    """A signed checkpoint of the journal (C2SP note)."""

    note: str


class ProofOut(Out):
    """Inclusion of a leaf under a signed checkpoint (RFC 6962 §2.1.1); bytes in hexadecimal.

    `salt` and `body` are null where they were deleted after three years.  `file`: the proof as a file for `relay journal
    verify-proof` (FORMAT.md §8.2).
    """

    leaf: int
    leaf_hash: str
    salt: str | None
    body: str | None
    path: list[str]
    checkpoint: str
    file: str


class UserAdd(Body):
    """A person to designate."""

    user: str = Field(pattern=SLUG)
    name: Annotated[str, FreeText(200)]
    role: Literal["operator", "commander", "auditor", "administrator"]
    communes: Communes | None = None
    act_ref: Annotated[str, FreeText(200, required=False)] = ""


class UserChange(Body):
    """Changes to a person's designation; None: no change."""

    name: Annotated[str, FreeText(200)] | None = None
    role: Literal["operator", "commander", "auditor", "administrator"] | None = None
    communes: Communes | None = None
    disabled: bool | None = None
    act_ref: Annotated[str, FreeText(200, required=False)] | None = None
    reset_password: bool = False


class UserOut(Out):
    """A person, for administrators; `password` only in the answer to the request that made it."""

    user: str
    name: str
    role: str
    communes: list[str] | None
    disabled: bool
    must_change: bool
    granted_by: str
    act_ref: str
    created_at: str
    password: str | None = None


class UserList(Out):
    """All people."""

    users: list[UserOut]


class SignedOut(Out):
    """Number of sign-ins that ended."""

    ended: int


class Health(Out):
    """Whether each part answers."""

    ok: bool
    parts: dict[str, bool]


class DisagreementOut(Out):
    """One disagreement between vault, catalogue, keys and journal."""

    kind: str
    object_id: str
    detail: str
    safe: bool


class CheckProgressOut(Out):
    """Progress of the running comparison; `what` is empty where none runs."""

    what: str
    done: int
    total: int


class CheckOut(Out):
    """All disagreements; empty where everything agrees.  `cages`: the processes whose cage is incomplete, by name."""

    disagreements: list[DisagreementOut]
    cages: list[str]


class RepairOut(Out):
    """The disagreements that were repaired, and those that are left.  `cages`: as in `CheckOut`."""

    mended: list[DisagreementOut]
    disagreements: list[DisagreementOut]
    cages: list[str]
