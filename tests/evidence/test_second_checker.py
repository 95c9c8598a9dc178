"""The checker written from FORMAT.md and the relay's own give the same verdicts."""

from typing import Any

import pytest

from relay.base.errors import TheirError
from relay.evidence.verify import verify
from tests.evidence.second_checker import Bad, check
from tests.evidence.vectors import VECTORS, Vector
from tests.support.recordings import MemoryReader


@pytest.mark.parametrize("vector", VECTORS, ids=[vector.name for vector in VECTORS])
def test_both_checkers_agree(vector: Vector) -> None:
    files = vector.files()
    known: dict[str, Any] = {"expected": vector.expected, "still_open": vector.still_open}
    try:
        verdict = verify(MemoryReader(files), vector.public_key, vector.recording_key, revoked=vector.revoked, **known)
    except TheirError:
        with pytest.raises(Bad):
            check(files, vector.public_key, vector.recording_key, dict(vector.revoked), **known)
        return
    ours = (verdict.exit_code, verdict.integrity, verdict.completeness, verdict.origin, verdict.time, verdict.marks)
    assert check(files, vector.public_key, vector.recording_key, dict(vector.revoked), **known) == ours
