"""Default deny; each refusal cites its requirement."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.errors import Kind
from relay.policy.access import PICTURES, Facts, decide, sees_pictures
from relay.policy.regimes import Regime
from relay.policy.roles import GRANTS, Action, Person, Role, grants

NOW = 1_800_000_000_000_000_000
WATCHED = Facts(
    regime="bodycam_pm",
    service="PM",
    commune="35000",
    motive="rixe",
    intervention_open=True,
    joined=True,
    camera_live=True,
    threat="agents",
)
STORED = Facts(
    regime="bodycam_pm", service="PM", commune="35000", motive="procédure", intervention_open=False, recording_closed=True
)


def _person(role: Role = Role.COMMANDER, **more: object) -> Person:
    return replace(Person("pat", "Pat", role, "PM"), **more)  # type: ignore[arg-type]


MATRIX = {
    Action.VIEW_LIVE: {Role.OPERATOR, Role.COMMANDER},
    Action.OPEN_INTERVENTION: {Role.OPERATOR, Role.COMMANDER},
    Action.REQUEST_STREAM: {Role.OPERATOR, Role.COMMANDER},
    Action.CONFIRM_STREAM: {Role.OPERATOR, Role.COMMANDER},
    Action.LIST_RECORDINGS: {Role.OPERATOR, Role.COMMANDER, Role.AUDITOR},
    Action.PLAY_RECORDING: {Role.COMMANDER},
    Action.EXPORT_RECORDING: {Role.COMMANDER},
    Action.HOLD_RECORDING: {Role.COMMANDER},
    Action.LIST_HOLDS: {Role.COMMANDER, Role.AUDITOR},
    Action.VERIFY_RECORDING: {Role.COMMANDER, Role.AUDITOR},
    Action.READ_JOURNAL: {Role.AUDITOR},
    Action.MANAGE_PEOPLE: {Role.ADMINISTRATOR},
    Action.MANAGE_CAMERAS: {Role.ADMINISTRATOR},
    Action.MAINTAIN: {Role.ADMINISTRATOR},
}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", MATRIX)
def test_each_role_has_its_actions_and_no_other(role: Role, action: Action) -> None:
    facts = STORED if action in {Action.PLAY_RECORDING, Action.EXPORT_RECORDING} else WATCHED
    assert decide(_person(role), action, facts, NOW).allowed == (role in MATRIX[action])


def test_every_action_is_granted_to_somebody_and_every_role_has_some() -> None:
    assert {action for granted in GRANTS.values() for action in granted} == set(Action)
    assert set(GRANTS) == set(Role)


def test_an_administrator_and_an_auditor_never_see_a_picture() -> None:
    assert {role for role in Role if sees_pictures(role)} == {Role.OPERATOR, Role.COMMANDER}


@pytest.mark.parametrize(
    ("change", "kind", "requirement"),
    [
        ({"motive": None}, Kind.INCOMPLETE, "JRN-02"),
        ({"motive": ""}, Kind.INCOMPLETE, "JRN-02"),
        ({"joined": False}, Kind.INCOMPLETE, "JRN-02"),
        ({"intervention_open": False}, Kind.INCOMPLETE, "JRN-02"),
        ({"intervention_open": None}, Kind.INCOMPLETE, "JRN-02"),
        ({"camera_live": False}, Kind.NOT_FOUND, "LIV-02"),
        ({"threat": None}, Kind.FORBIDDEN, "LIV-01"),
        ({"threat": ""}, Kind.FORBIDDEN, "LIV-01"),
        ({"regime": None}, Kind.FORBIDDEN, "LIV-01"),
        ({"service": "Gendarmerie"}, Kind.FORBIDDEN, "LIV-03"),
    ],
)
def test_a_live_view_is_refused_for_each_missing_fact(change: dict[str, object], kind: Kind, requirement: str) -> None:
    found = decide(_person(Role.OPERATOR), Action.VIEW_LIVE, replace(WATCHED, **change), NOW)  # type: ignore[arg-type]
    assert (found.allowed, found.kind, found.requirement) == (False, kind, requirement)
    assert requirement in found.error().detail
    assert found.error().facts["rule"] == requirement
    assert found.error().code.value not in {kind.value for kind in Kind}, "each refusal of policy has a code of its own"


@pytest.mark.parametrize(
    ("change", "kind", "requirement"),
    [
        ({"motive": None}, Kind.INCOMPLETE, "JRN-02"),
        ({"recording_closed": False}, Kind.CONFLICT, "ACC-03"),
        ({"recording_closed": None}, Kind.CONFLICT, "ACC-03"),
        ({"intervention_open": True}, Kind.CONFLICT, "ACC-03"),
        ({"recording_erased": True}, Kind.GONE, "RET-01"),
        ({"recording_here": False}, Kind.CONFLICT, "LIV-05"),
    ],
)
@pytest.mark.parametrize("action", [Action.PLAY_RECORDING, Action.EXPORT_RECORDING])
def test_a_stored_picture_is_refused_for_each_missing_fact(
    action: Action, change: dict[str, object], kind: Kind, requirement: str
) -> None:
    found = decide(_person(), action, replace(STORED, **change), NOW)  # type: ignore[arg-type]
    assert (found.allowed, found.kind, found.requirement) == (False, kind, requirement)


@pytest.mark.parametrize(
    ("change", "kind", "requirement"),
    [
        ({"joined": False}, Kind.INCOMPLETE, "JRN-02"),
        ({"intervention_open": False}, Kind.CONFLICT, "LIV-07"),
        ({"intervention_open": None}, Kind.NOT_FOUND, "JRN-02"),
        ({"service": "Gendarmerie"}, Kind.FORBIDDEN, "LIV-03"),
    ],
)
@pytest.mark.parametrize("action", [Action.REQUEST_STREAM, Action.CLOSE_INTERVENTION, Action.JOIN_INTERVENTION])
def test_an_act_in_an_intervention_is_refused_for_each_missing_fact(
    action: Action, change: dict[str, object], kind: Kind, requirement: str
) -> None:
    found = decide(_person(Role.OPERATOR), action, replace(WATCHED, **change), NOW)  # type: ignore[arg-type]
    if action is Action.JOIN_INTERVENTION and "joined" in change:
        assert found.allowed, "joining is how one joins"
        return
    assert (found.allowed, found.kind, found.requirement) == (False, kind, requirement)


def test_the_console_keeps_every_service_and_a_person_their_own() -> None:
    console = Person("console", "Console", Role.ADMINISTRATOR, None)
    theirs = Facts(service="Gendarmerie")
    assert decide(console, Action.MANAGE_CAMERAS, theirs, NOW).allowed
    assert not decide(_person(Role.ADMINISTRATOR), Action.MANAGE_CAMERAS, theirs, NOW).allowed


def test_a_fixed_camera_needs_no_threat_but_its_commune() -> None:
    fixed = replace(WATCHED, regime=Regime.VIDEOPROTECTION.value, threat=None)
    assert decide(_person(communes=frozenset({"35000"})), Action.VIEW_LIVE, fixed, NOW).allowed
    found = decide(_person(communes=frozenset({"75000"})), Action.VIEW_LIVE, fixed, NOW)
    assert (found.kind, found.requirement) == (Kind.FORBIDDEN, "VID-03")


@given(
    st.builds(
        Person,
        st.just("pat"),
        st.just("Pat"),
        st.sampled_from(Role),
        st.sampled_from(["PM", "GN"]),
        st.none() | st.frozensets(st.sampled_from(["35000", "75000"])),
        st.integers(0, 2 * NOW),
        st.none() | st.integers(0, 2 * NOW),
        st.booleans(),
        st.booleans(),
    ),
    st.sampled_from(Action),
    st.builds(
        Facts,
        regime=st.none() | st.sampled_from([item.value for item in Regime]),
        service=st.none() | st.sampled_from(["PM", "GN"]),
        commune=st.none() | st.sampled_from(["35000", "75000"]),
        motive=st.none() | st.sampled_from(["", "rixe"]),
        intervention_open=st.none() | st.booleans(),
        joined=st.booleans(),
        camera_live=st.none() | st.booleans(),
        threat=st.none() | st.sampled_from(["", "agents"]),
        recording_closed=st.none() | st.booleans(),
        recording_erased=st.booleans(),
    ),
)
def test_no_combination_shows_a_picture_against_the_rules(person: Person, action: Action, facts: Facts) -> None:
    found = decide(person, action, facts, NOW)
    if not found.allowed:
        assert found.detail
        assert found.requirement
        return
    assert grants(person.role, action)
    assert not person.disabled
    assert person.valid_from_ns <= NOW
    assert not person.must_change or action is Action.CHANGE_PASSWORD
    assert facts.service in (None, person.service)
    if action in PICTURES:
        assert facts.motive
        assert person.role in {Role.OPERATOR, Role.COMMANDER}
