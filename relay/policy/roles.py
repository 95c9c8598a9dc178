"""Who may do what: four roles, a closed list of actions, everything else denied.

Owns: the role table.  Must never know: sessions, passwords, HTTP.  Source: R241-3-1, R241-12, LIL 99 and 101.
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The role for which a person is designated (ACC-01); a person has one."""

    OPERATOR = "operator"
    COMMANDER = "commander"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Action(StrEnum):
    """Every action that a signed-in person can ask for.  No action deletes a recording or a journal entry (RET-03)."""

    CHANGE_PASSWORD = "change_password"  # noqa: S105
    LIST_CAMERAS = "list_cameras"
    LIST_INTERVENTIONS = "list_interventions"
    OPEN_INTERVENTION = "open_intervention"
    JOIN_INTERVENTION = "join_intervention"
    CLOSE_INTERVENTION = "close_intervention"
    REQUEST_STREAM = "request_stream"
    CONFIRM_STREAM = "confirm_stream"
    """Let a transmission go on beyond its time limit (LIV-07)."""
    VIEW_LIVE = "view_live"
    LIST_RECORDINGS = "list_recordings"
    PLAY_RECORDING = "play_recording"
    VERIFY_RECORDING = "verify_recording"
    EXPORT_RECORDING = "export_recording"
    HOLD_RECORDING = "hold_recording"
    """Open, review and lift a hold (RET-02)."""
    LIST_HOLDS = "list_holds"
    READ_JOURNAL = "read_journal"
    MANAGE_PEOPLE = "manage_people"
    MANAGE_CAMERAS = "manage_cameras"
    READ_METRICS = "read_metrics"
    MAINTAIN = "maintain"
    """Back up, and repair the disagreements that `relay check` calls safe."""


_LIVE = {
    Action.LIST_INTERVENTIONS,
    Action.OPEN_INTERVENTION,
    Action.JOIN_INTERVENTION,
    Action.CLOSE_INTERVENTION,
    Action.REQUEST_STREAM,
    Action.CONFIRM_STREAM,
    Action.VIEW_LIVE,
    Action.LIST_RECORDINGS,
}
_EVERYONE = {Action.CHANGE_PASSWORD, Action.LIST_CAMERAS}

GRANTS: dict[Role, frozenset[Action]] = {
    Role.OPERATOR: frozenset(_EVERYONE | _LIVE),
    Role.COMMANDER: frozenset(
        _EVERYONE
        | _LIVE
        # RET-02: a person who may extract may also hold, because a hold follows an extraction that was handed over (ACC-04).
        | {Action.PLAY_RECORDING, Action.VERIFY_RECORDING, Action.EXPORT_RECORDING, Action.HOLD_RECORDING, Action.LIST_HOLDS}
    ),
    # JRN-04: the journal is read only to check lawfulness and integrity, by a role of its own.
    Role.AUDITOR: frozenset(
        _EVERYONE | {Action.READ_JOURNAL, Action.LIST_RECORDINGS, Action.VERIFY_RECORDING, Action.LIST_HOLDS}
    ),
    Role.ADMINISTRATOR: frozenset(
        _EVERYONE | {Action.MANAGE_PEOPLE, Action.MANAGE_CAMERAS, Action.READ_METRICS, Action.MAINTAIN}
    ),
}


@dataclass(frozen=True, slots=True)
class Person:
    """A designated person.  `communes` None: every commune of the service (VID-03)."""

    user: str
    name: str
    role: Role
    service: str | None
    """None for the console of the machine only, which keeps every service of it."""
    communes: frozenset[str] | None = None
    valid_from_ns: int = 0
    valid_to_ns: int | None = None
    disabled: bool = False
    must_change: bool = False


def grants(role: Role, action: Action) -> bool:
    """Return whether the role's table names the action; default deny."""
    return action in GRANTS.get(role, frozenset())
