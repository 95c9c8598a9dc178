"""The one function that says yes or no: `decide(person, action, facts, now)`.

Owns: the order of the rules, and the requirement id of each refusal.  Must never know: HTTP, the database, why a person asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError
from relay.policy.regimes import rules_of
from relay.policy.roles import Action, Person, Role, grants

_IN_AN_INTERVENTION = frozenset({Action.REQUEST_STREAM, Action.JOIN_INTERVENTION, Action.CLOSE_INTERVENTION})
"""Acts inside a named intervention.  To confirm a transmission is none of them: it brings a motive of its own (LIV-07)."""
PICTURES = frozenset({Action.VIEW_LIVE, Action.PLAY_RECORDING, Action.EXPORT_RECORDING})


class Scoped(Protocol):
    """A camera or a recording, as far as its scope goes."""

    @property
    def regime(self) -> str:
        """Its legal regime."""
        ...

    @property
    def service(self) -> str:
        """The service that it belongs to."""
        ...

    @property
    def commune(self) -> str:
        """Its commune."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts about the object.  None means unknown: a rule that needs the fact then refuses."""

    regime: str | None = None
    service: str | None = None
    commune: str | None = None
    motive: str | None = None
    intervention_open: bool | None = None
    """Whether the intervention named by the request is open; for playback: whether the recording's own still is."""
    joined: bool = False
    """Whether the person has joined that intervention, with a motive of their own."""
    camera_live: bool | None = None
    threat: str | None = None
    recording_closed: bool | None = None
    recording_erased: bool = False
    recording_here: bool = True
    """False where the original is the camera's own and only its chain is kept (DEC-1)."""

    def of(self, scoped: Scoped) -> "Facts":
        """Return these facts, and the scope of a camera or recording."""
        return replace(self, regime=scoped.regime, service=scoped.service, commune=scoped.commune)


@dataclass(frozen=True, slots=True)
class Decision:
    """`allowed`, or the kind and code of the refusal, a sentence for people and the requirement of LAW.md that was applied."""

    allowed: bool
    kind: Kind = Kind.FORBIDDEN
    code: Code = Code.FORBIDDEN
    detail: str = ""
    requirement: str = ""
    facts: Mapping[str, str | int] = field(default_factory=dict)

    def error(self) -> TheirError:
        """Return the refusal as an error, which HTTP and the live sockets answer by its kind and code."""
        facts = {**self.facts, "rule": self.requirement}
        return TheirError(self.kind, f"{self.detail} ({self.requirement})", code=self.code, facts=facts)


ALLOWED = Decision(True)


def _refused(kind: Kind, code: Code, detail: str, requirement: str, facts: Mapping[str, str | int] | None = None) -> Decision:
    return Decision(False, kind, code, detail, requirement, facts or {})


def decide(person: Person, action: Action, facts: Facts, now_ns: int) -> Decision:
    """Apply in this order: designation, role, scope, then the rules of the action.  The first refusal counts; default deny."""
    for rule in (_designation, _role, _scope):
        refusal = rule(person, action, facts, now_ns)
        if refusal is not None:
            return refusal
    if action is Action.VIEW_LIVE:
        return _live(facts)
    if action in _IN_AN_INTERVENTION:
        return _taking_part(action, facts)
    if action in {Action.PLAY_RECORDING, Action.EXPORT_RECORDING}:
        return _stored(facts)
    return ALLOWED


def _designation(person: Person, action: Action, facts: Facts, now_ns: int) -> Decision | None:
    """ACC-01: only a person whose designation is valid now; with a one-time password only the password may be changed."""
    if person.disabled or now_ns < person.valid_from_ns or (person.valid_to_ns is not None and now_ns >= person.valid_to_ns):
        return _refused(Kind.FORBIDDEN, Code.DESIGNATION_NOT_VALID, "this designation is not valid now", "ACC-01")
    if person.must_change and action is not Action.CHANGE_PASSWORD:
        return _refused(Kind.FORBIDDEN, Code.PASSWORD_CHANGE_REQUIRED, "change the one-time password first", "SEC-01")
    return None


def _role(person: Person, action: Action, facts: Facts, now_ns: int) -> Decision | None:
    """ACC-01, LIV-03, ACC-04, JRN-04: the role's table; an administrator never sees a picture."""
    if grants(person.role, action):
        return None
    requirement = {
        Action.VIEW_LIVE: "LIV-03",
        Action.EXPORT_RECORDING: "ACC-04",
        Action.HOLD_RECORDING: "ACC-04",
        Action.READ_JOURNAL: "JRN-04",
    }
    detail = f"the role {person.role.value} may not {action.value.replace('_', ' ')}"
    values = {"role": person.role.value, "action": action.value}
    return _refused(Kind.FORBIDDEN, Code.ROLE_NOT_ALLOWED, detail, requirement.get(action, "ACC-01"), values)


def _scope(person: Person, action: Action, facts: Facts, now_ns: int) -> Decision | None:
    """LIV-03: no view across services; VID-03: only one's own communes."""
    if facts.service is not None and not _same_service(person, facts.service):
        return _refused(Kind.FORBIDDEN, Code.OTHER_SERVICE, "this belongs to another service", "LIV-03")
    if facts.regime is not None and not _competent(person, facts.regime, facts.commune):
        return _refused(Kind.FORBIDDEN, Code.OUTSIDE_COMMUNES, "this commune is outside the person's competence", "VID-03")
    return None


def in_scope(person: Person, scoped: Scoped) -> bool:
    """LIV-03, VID-03: return whether a camera or recording is of the person's service and communes: for lists."""
    return _same_service(person, scoped.service) and _competent(person, scoped.regime, scoped.commune)


def _same_service(person: Person, service: str) -> bool:
    return person.service is None or service == person.service


def _competent(person: Person, regime: str, commune: str | None) -> bool:
    return person.communes is None or not rules_of(regime).commune_scoped or commune in person.communes


def _taking_part(action: Action, facts: Facts) -> Decision:
    """JRN-02: only a person who has joined an open intervention acts in it."""
    if facts.intervention_open is None:
        return _refused(Kind.NOT_FOUND, Code.INTERVENTION_NOT_FOUND, "no such intervention", "JRN-02")
    if not facts.intervention_open:
        return _refused(Kind.CONFLICT, Code.INTERVENTION_CLOSED, "this intervention is closed", "LIV-07")
    if not facts.joined and action is not Action.JOIN_INTERVENTION:
        return _refused(Kind.INCOMPLETE, Code.INTERVENTION_NOT_JOINED, "join the intervention with a motive first", "JRN-02")
    return ALLOWED


def _live(facts: Facts) -> Decision:
    if not facts.motive:
        return _refused(
            Kind.INCOMPLETE, Code.INTERVENTION_REQUIRED, "open or join an intervention with a motive first", "JRN-02"
        )
    if not facts.intervention_open or not facts.joined:
        return _refused(Kind.INCOMPLETE, Code.INTERVENTION_NOT_JOINED, "the intervention is not open or not joined", "JRN-02")
    if facts.camera_live is False:
        return _refused(Kind.NOT_FOUND, Code.CAMERA_NOT_LIVE, "this camera is not live", "LIV-02")
    if facts.regime is None:
        return _refused(Kind.FORBIDDEN, Code.REGIME_UNKNOWN, "the regime of this source is unknown", "LIV-01")
    if rules_of(facts.regime).threat_required and not facts.threat:
        return _refused(Kind.FORBIDDEN, Code.THREAT_NOT_DECLARED, "no threat was declared for this transmission", "LIV-01")
    return ALLOWED


def _stored(facts: Facts) -> Decision:
    if not facts.motive:
        return _refused(Kind.INCOMPLETE, Code.MOTIVE_REQUIRED, "a motive is required", "JRN-02")
    if facts.recording_erased:
        return _refused(Kind.GONE, Code.RECORDING_ERASED, "this recording was erased at its term", "RET-01")
    if not facts.recording_here:
        return _refused(
            Kind.CONFLICT, Code.ORIGINAL_ON_CAMERA, "the original is the camera's; only its chain is kept here", "LIV-05"
        )
    # ACC-03: where the original is the relay's, "transferred" means that the recording is closed.
    if facts.recording_closed is not True:
        return _refused(Kind.CONFLICT, Code.RECORDING_OPEN, "this recording is still open", "ACC-03")
    if facts.intervention_open:
        return _refused(Kind.CONFLICT, Code.INTERVENTION_OPEN, "its intervention is still open", "ACC-03")
    return ALLOWED


def sees_pictures(role: Role) -> bool:
    """Return whether the role can ever be shown a picture."""
    return any(grants(role, action) for action in PICTURES)
