"""The documents say what the code does: every setting, route, metric and error kind stands in REFERENCE.md, and no other."""

import subprocess
import sys
from pathlib import Path

from relay.base.errors import Kind
from relay.http.middleware import STATUS

REFERENCE = Path(__file__).resolve().parents[3] / "relay" / "app" / "REFERENCE.md"


def test_the_reference_is_what_the_code_says() -> None:
    # In a process of its own: other tests may have declared counters here.
    made = subprocess.run([sys.executable, "-m", "relay.app.reference"], capture_output=True, text=True, check=True).stdout
    assert REFERENCE.read_text(encoding="utf-8") == made, "run: python -m relay.app.reference > relay/app/REFERENCE.md"


def test_every_kind_of_error_has_its_own_status() -> None:
    assert STATUS.keys() == set(Kind)
    assert len(set(STATUS.values())) == len(STATUS)
