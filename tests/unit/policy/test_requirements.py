"""The table of legal requirements names code and tests that exist, and leaves no requirement out."""

import ast
import importlib
import re
from dataclasses import fields
from pathlib import Path

import pytest

from relay.policy.requirements import ENFORCED, OUTSIDE
from relay.policy.roles import Action
from relay.store.catalogue import RecordingFilter

ROOT = Path(__file__).parents[3]
_ID = re.compile(r"\b(?:REC|LIV|ACC|TRF|INT|SEC|JRN|RET|EXT|RGT|AI|GOV|VID)-\d\d\b")


@pytest.mark.parametrize("place", sorted({place for item in ENFORCED.values() for place in item.places}))
def test_every_place_exists(place: str) -> None:
    module, _, path = place.partition(":")
    found: object = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)


@pytest.mark.parametrize("test", sorted({test for item in ENFORCED.values() for test in item.tests}))
def test_every_test_exists(test: str) -> None:
    file, _, name = test.partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_requirement_has_a_place_and_a_test_or_a_reason() -> None:
    assert not ENFORCED.keys() & OUTSIDE.keys()
    assert all(item.places and item.tests and item.article and item.words for item in ENFORCED.values())
    assert all(OUTSIDE.values())


def test_every_requirement_cited_in_the_code_stands_in_the_table() -> None:
    cited = {found for path in (ROOT / "relay").rglob("*.py") for found in _ID.findall(path.read_text(encoding="utf-8"))}
    assert cited - ENFORCED.keys() - OUTSIDE.keys() == set()


def test_the_law_in_words_lists_the_requirements_of_the_table_and_everything_that_the_code_cites() -> None:
    law = (ROOT / "relay/policy/LAW.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z]{2,3}-\d\d) \|", law, re.MULTILINE)
    assert sorted(rows) == sorted({*ENFORCED, *OUTSIDE})
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "relay").rglob("*.py"))
    traps = set(re.findall(r"LAW\.md (T\d+)", code))
    assert traps <= set(re.findall(r"^\| (T\d+) \|", law, re.MULTILINE))
    assert set(re.findall(r"\bDEC-\d", code)) <= set(re.findall(r"^## Decision (DEC-\d)", law, re.MULTILINE))
    points = set(re.findall(r"open point (\d)", code))
    assert points <= set(re.findall(r"^(\d)\. ", law.partition("## Open points")[2], re.MULTILINE))


def test_every_enforced_requirement_is_cited_where_it_is_applied() -> None:
    silent = {
        name
        for name, item in ENFORCED.items()
        if not any(
            name in Path(importlib.import_module(place.partition(":")[0]).__file__ or "").read_text() for place in item.places
        )
    }
    assert silent == set()


def test_recordings_are_searched_by_metadata_only() -> None:
    assert {field.name for field in fields(RecordingFilter)} == {
        "camera",
        "intervention",
        "from_ns",
        "to_ns",
        "state",
        "before",
        "limit",
    }


def test_no_role_can_delete_a_recording_or_an_entry() -> None:
    assert not [action for action in Action if re.search("delete|erase|purge|edit", action.value)]
