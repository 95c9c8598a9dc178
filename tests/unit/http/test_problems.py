"""The list of problems that integrators read names every code of refusals, once."""

import re
from pathlib import Path

import relay.http
from relay.base.codes import Code
from relay.base.errors import Kind

PROBLEMS = Path(relay.http.__file__).with_name("PROBLEMS.md")


def test_every_code_is_listed_once_with_its_status_meaning_and_remedy() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in PROBLEMS.read_text().splitlines()
        if line.startswith("| `")
    ]
    assert sorted(row[0].strip("|` ") for row in rows) == sorted(Code)
    for row in rows:
        assert len(row) == 4, row
        assert re.fullmatch(r"\d{3}(, \d{3})*", row[1]), row
        assert row[2], row
        assert row[3].endswith("."), row


def test_every_kind_of_error_has_a_general_code() -> None:
    assert {kind.value for kind in Kind} <= {code.value for code in Code}
