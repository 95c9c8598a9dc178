"""Every vector gets exactly its verdict."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from relay.base.errors import TheirError
from relay.evidence.verdict import Verdict
from relay.evidence.verify import verify
from tests.evidence.vectors import ANSWERS, VECTORS, Vector
from tests.support.recordings import MemoryReader


def judge(vector: Vector) -> Verdict:
    return verify(
        MemoryReader(vector.files()),
        vector.public_key,
        vector.recording_key,
        revoked=vector.revoked,
        expected=vector.expected,
        still_open=vector.still_open,
    )


def findings_of(verdict: Verdict) -> str:
    return " ".join(
        finding.code.name.lower() + ("" if finding.fragment is None else f"@{finding.fragment}") for finding in verdict.findings
    )


def letters(verdict: Verdict) -> str:
    return "".join(
        next(letter for letter, word in words.items() if word == getattr(verdict, axis)) for axis, words in ANSWERS.items()
    )


@pytest.mark.parametrize("vector", VECTORS, ids=[vector.name for vector in VECTORS])
def test_the_verdict_is_exactly_the_vectors(vector: Vector) -> None:
    if vector.exit_code == 2:
        with pytest.raises(TheirError):
            judge(vector)
        return
    verdict = judge(vector)
    assert (verdict.marks, letters(verdict), findings_of(verdict)) == (vector.marks, vector.answers, vector.findings)
    assert verdict.exit_code == vector.exit_code


def test_on_many_cores_the_verdicts_are_the_same() -> None:
    with ThreadPoolExecutor(4) as pool:
        for vector in VECTORS:
            if vector.exit_code < 2:
                reader = MemoryReader(vector.files())
                there = verify(
                    reader,
                    vector.public_key,
                    vector.recording_key,
                    revoked=vector.revoked,
                    expected=vector.expected,
                    still_open=vector.still_open,
                    submit=pool.submit,
                )
                assert there == judge(vector)


def test_there_are_at_least_fifty_and_each_has_a_name_of_its_own() -> None:
    assert len({vector.name for vector in VECTORS}) == len(VECTORS) >= 50
