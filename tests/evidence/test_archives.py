"""All three checkers give every archive exactly its verdict."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from relay.base.errors import TheirError
from relay.evidence.standalone import single_file
from relay.evidence.verify import verify
from relay.store.readers import open_reader
from tests.evidence.archives import ARCHIVES, FILES, Archive
from tests.evidence.second_checker import Bad, check
from tests.evidence.second_container import open_archive
from tests.evidence.test_standalone import DRIVER
from tests.evidence.test_vectors import findings_of, letters
from tests.support.recordings import LONGTERM

IDS = [archive.name for archive in ARCHIVES]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("archives")
    for number, archive in enumerate(ARCHIVES):
        (folder / f"{number}.zip").write_bytes(archive.make())
    return [folder / f"{number}.zip" for number in range(len(ARCHIVES))]


@pytest.mark.parametrize("number", range(len(ARCHIVES)), ids=IDS)
def test_the_verdict_is_exactly_the_archives(number: int, paths: list[Path]) -> None:
    archive = ARCHIVES[number]
    if archive.exit_code == 2:
        with pytest.raises(TheirError), open_reader(paths[number]) as reader:
            verify(reader, archive.public_key)
        return
    with open_reader(paths[number]) as reader:
        verdict = verify(reader, archive.public_key, revoked={})
    notes = " ".join(note.code.name.lower() for note in verdict.notes)
    assert (verdict.marks, letters(verdict), findings_of(verdict)) == (archive.marks, archive.answers, archive.findings)
    assert notes == archive.notes


@pytest.mark.parametrize("archive", ARCHIVES, ids=IDS)
def test_the_second_checker_agrees(archive: Archive) -> None:
    if archive.exit_code == 2:
        with pytest.raises(Bad):
            second(archive)
        return
    assert second(archive) == (archive.exit_code, archive.answers[0], archive.marks)


def second(archive: Archive) -> tuple[int, str, str]:
    """What the second checker says: exit code, integrity as a letter, marks."""
    files, findings, unreadable = open_archive(archive.make())
    if any(
        re.fullmatch(r"chain|statement|revocations|extraction|succession-.*|.*\.(seg|mp4|m4v|mov)", name) for name in unreadable
    ):
        raise Bad("a file that must be read cannot be read")
    code, integrity, *_, marks = check(files, archive.public_key)
    return (1 if findings else code), ("A" if findings or integrity == "altered" else "I"), marks


@pytest.mark.parametrize(
    "command",
    [
        ["zip", "-q", "-r", "{zip}", "rec"],
        ["zip", "-q", "-0", "-r", "{zip}", "rec"],
        ["sh", "-c", "zip -q -r - rec | cat > {zip}"],
        ["sh", "-c", "cd rec && zip -q -r -fz {zip} . -z < /dev/null"],
        ["jar", "cfM", "{zip}", "rec"],
        ["jar", "cfM0", "{zip}", "-C", "rec", "."],
        [sys.executable, "-m", "zipfile", "-c", "{zip}", "rec"],
    ],
    ids=["zip", "zip -0", "zip to a pipe", "zip64", "jar", "jar -0", "Python"],
)
def test_the_programs_that_people_have_write_nothing_that_looks_like_a_trick(command: list[str], tmp_path: Path) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here")
    (tmp_path / "rec").mkdir()
    for name, data in {**FILES, "relevé n° 1.txt": b"x"}.items():
        (tmp_path / "rec" / name).write_bytes(data)
    subprocess.run([word.format(zip=tmp_path / "x.zip") for word in command], cwd=tmp_path, check=True, timeout=60)
    with open_reader(tmp_path / "x.zip") as reader:
        verdict = verify(reader, LONGTERM.public_key, revoked={})
    assert (verdict.exit_code, [note.code.name for note in verdict.notes]) == (0, ["NOT_COVERED"])


def test_the_single_file_agrees(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "verify.py").write_text(single_file(), encoding="utf-8")
    calls = [[str(path), "--json", "--key", archive.public_key.hex()] for path, archive in zip(paths, ARCHIVES, strict=True)]
    command = [sys.executable, "-I", "-c", DRIVER, str(tmp_path / "verify.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=120, input=json.dumps(calls))
    assert done.stderr == ""
    *answers, foreign = map(json.loads, done.stdout.splitlines())
    assert foreign == []
    for archive, (code, text) in zip(ARCHIVES, answers, strict=True):
        assert code == archive.exit_code, archive.name
        if code < 2:
            assert [finding["code"] for finding in json.loads(text)["findings"]] == [
                finding.split("@")[0] for finding in archive.findings.split()
            ]
