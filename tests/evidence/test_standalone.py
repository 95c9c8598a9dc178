"""The single file gives the same verdicts as the relay, and needs no other part of it."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from relay.evidence.standalone import single_file
from relay.evidence.statement import sign_revocations
from tests.evidence.vectors import VECTORS
from tests.support.recordings import DAY, LONGTERM, RECORDING_KEY, T0, build


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("standalone") / "verify.py"
    path.write_text(single_file(), encoding="utf-8")
    return path


DRIVER = """
import contextlib, io, json, runpy, sys
from pathlib import Path
sys.meta_path.insert(0, runpy.run_path(sys.argv[1])["Loader"]())
from relay.evidence.standalone import main
from relay.store.readers import open_reader
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments, open_reader)
    print(json.dumps([code, out.getvalue()]))
foreign = [name for name, module in sys.modules.items() if name.split(".")[0] == "relay" and module.__spec__.origin]
print(json.dumps(foreign))
"""
KNOWN = [vector for vector in VECTORS if not vector.revoked and vector.still_open is None]


@pytest.fixture(scope="module")
def answers(verifier: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str]]:
    """What the single file says of every vector, in one isolated process; the last line names modules that are not its own."""
    calls = []
    for vector in KNOWN:
        folder = write(vector.files(), tmp_path_factory.mktemp("vector"))
        call = [str(folder), "--json", *(["--key", vector.public_key.hex()] if vector.public_key else [])]
        if vector.expected:
            call += ["--expect", vector.expected]
        if vector.recording_key:
            key = tmp_path_factory.mktemp("key") / "recording.key"
            key.write_bytes(vector.recording_key)
            call += ["--recording-key", str(key)]
        calls.append(call)
    done = run("-c", DRIVER, str(verifier), given=json.dumps(calls))
    assert done.stderr == ""
    *lines, foreign = map(json.loads, done.stdout.splitlines())
    assert foreign == []
    return lines


def write(files: dict[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


@pytest.mark.parametrize("number", range(len(KNOWN)), ids=[vector.name for vector in KNOWN])
def test_it_says_the_same_of_every_vector(number: int, answers: list[tuple[int, str]]) -> None:
    vector, (code, text) = KNOWN[number], answers[number]
    assert code == vector.exit_code
    if code < 2:
        verdict = json.loads(text)
        said = [f"{f['code']}" + (f"@{f['fragment']}" if f["fragment"] is not None else "") for f in verdict["findings"]]
        assert (verdict["marks"], " ".join(said)) == (vector.marks, vector.findings)


def plain(text: str) -> str:
    """Return a report as one line: where it is wrapped does not matter."""
    return " ".join(text.split())


def run(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run as a stranger would: isolated, from a folder with nothing of the relay in it."""
    return subprocess.run([sys.executable, "-I", *arguments], capture_output=True, text=True, cwd="/", timeout=600, input=given)


def test_as_a_process_it_verifies_a_zipped_export(verifier: Path, tmp_path: Path) -> None:
    built = build("SIPPPIPE")
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        for name, data in built.export(1, 3).items():
            archive.writestr(f"{built.recording}/{name}", data)
        archive.writestr("manifest.json", "{}")
    done = run(str(verifier), str(tmp_path / "export.zip"), "--key", LONGTERM.public_key.hex(), "--lang", "en")
    assert (done.returncode, done.stderr) == (0, "")
    assert "complete for this interval" in done.stdout


def test_as_a_process_it_opens_a_vault_folder_with_key_files(verifier: Path, tmp_path: Path) -> None:
    folder = build("SIPPE").write(tmp_path / "rec")
    (tmp_path / "relay.pub").write_bytes(LONGTERM.public_key)
    (tmp_path / "rec.key").write_bytes(RECORDING_KEY)
    keys = ("--key", str(tmp_path / "relay.pub"), "--recording-key", str(tmp_path / "rec.key"))
    done = run(str(verifier), str(folder), *keys, "--json")
    assert json.loads(done.stdout)["integrity"] == "intact"
    assert done.returncode == 0


def test_as_a_process_it_is_given_a_list_of_revoked_keys(verifier: Path, tmp_path: Path) -> None:
    built = build("SIPPE")
    folder, key = built.write(tmp_path / "rec"), LONGTERM.public_key.hex()
    said = run(str(verifier), str(folder), "--key", key, "--lang", "en")
    assert (said.returncode, "revocation was not checked" in plain(said.stdout)) == (0, True)
    listing = sign_revocations(LONGTERM, head=built.records()[-1].head, issued_ns=T0 + DAY, revoked={LONGTERM.public_key: ()})
    (tmp_path / "list").write_bytes(listing)
    said = run(str(verifier), str(folder), "--key", key, "--lang", "en", "--revocations", str(tmp_path / "list"))
    assert (said.returncode, "is revoked" in plain(said.stdout)) == (1, True)


def test_as_a_process_it_exits_2_where_there_is_nothing(verifier: Path, tmp_path: Path) -> None:
    done = run(str(verifier), str(tmp_path / "nowhere"), "--lang", "en")
    assert done.returncode == 2
    assert done.stderr.startswith("unreadable")
