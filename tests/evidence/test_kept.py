"""Recordings of every format version stay verifiable, with the verdict they had; FORMAT.md's vectors are those of the file."""

import json
from pathlib import Path

import pytest

from relay.evidence.chain import PREAMBLES
from relay.evidence.verify import verify
from relay.store.readers import open_reader
from scripts.make_kept_recording import SCRIPT, SCRIPTS, vectors
from tests.evidence.second_checker import check
from tests.support.recordings import build

KEPT = Path(__file__).parent / "kept"
VERSIONS = sorted(path.name for path in KEPT.iterdir())
FORMAT = Path(__file__).parents[2] / "relay" / "evidence" / "FORMAT.md"


def key(version: str, name: str) -> bytes:
    return bytes.fromhex((KEPT / version / f"{name}_key.hex").read_text())


def test_the_first_version_is_kept() -> None:
    assert VERSIONS[0] == "v1"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_kept_recording_has_the_verdict_it_had(version: str) -> None:
    with open_reader(KEPT / version / "vault") as reader:
        verdict = verify(reader, key(version, "public"), key(version, "recording"), revoked={})
    said, kept = verdict.as_json(), json.loads((KEPT / version / "verdict.json").read_text())
    same = kept.keys() - {"notes", "words"}  # texts may become clearer
    assert {name: said[name] for name in same} == {name: kept[name] for name in same}
    assert [note["code"] for note in said["notes"]] == [note["code"] for note in kept["notes"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_kept_export_is_complete_for_its_interval(version: str) -> None:
    with open_reader(KEPT / version / "export") as reader:
        verdict = verify(reader, key(version, "public"))
    assert (verdict.exit_code, verdict.completeness) == (0, "complete for this interval")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_second_checker_reads_it_too(version: str) -> None:
    files = {path.name: path.read_bytes() for path in (KEPT / version / "vault").iterdir()}
    assert check(files, key(version, "public"), key(version, "recording"))[0] == 0


def test_the_vectors_of_the_format_are_those_of_the_file() -> None:
    assert vectors(build(SCRIPT)) in FORMAT.read_text()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_kept_recording_can_be_made_again_to_the_byte(version: str) -> None:
    number = int(version.removeprefix("v"))
    built = build(SCRIPTS[number], version=number)
    assert {path.name: path.read_bytes() for path in (KEPT / version / "vault").iterdir()} == built.files


def test_the_newest_version_is_kept() -> None:
    assert [f"v{version}" for version in PREAMBLES] == VERSIONS
