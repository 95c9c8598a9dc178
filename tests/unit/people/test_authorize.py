"""Every act on something asks policy with the facts about it."""

import ast
from pathlib import Path

RELAY = Path(__file__).parents[3] / "relay"
WITHOUT_OBJECT = {
    "CHANGE_PASSWORD",
    "LIST_CAMERAS",
    "LIST_HOLDS",
    "LIST_INTERVENTIONS",
    "LIST_RECORDINGS",
    "MAINTAIN",
    "MANAGE_PEOPLE",
    "OPEN_INTERVENTION",
    "READ_JOURNAL",
    "READ_METRICS",
}
"""Acts that may name no object: lists are filtered by scope afterwards, a new intervention has no scope yet."""


def _questions() -> list[tuple[str, str, bool]]:
    """Return place, action and whether facts are given, of every question to policy."""
    found = []
    for path in RELAY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "require":
                continue
            if "authorizer" in ast.unparse(node.func.value):
                action = ast.unparse(node.args[1]).removeprefix("Action.")
                found.append((f"{path.relative_to(RELAY)}:{node.lineno}", action, len(node.args) > 2))
    return found


def test_every_act_on_something_asks_policy_with_its_facts() -> None:
    questions = _questions()
    assert len(questions) > 20
    assert [place for place, action, facts in questions if not facts and action not in WITHOUT_OBJECT] == []
