"""Exit codes of real processes, `relay verify` and the single file alike: no accident ends with the code of a finding."""

import ast
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from relay.base.encodable import encodable
from relay.evidence.exits import Exit, exit_code_of
from relay.evidence.standalone import single_file
from tests.support.recordings import LONGTERM, build

KEY = LONGTERM.public_key.hex()
ROOT = Path(__file__).parents[2]
ENCODINGS = ("cp1252", "cp850", "ascii", "utf-16")


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exits") / "verify.py"
    path.write_text(single_file(), encoding="utf-8")
    return path


@pytest.fixture(params=["single file", "relay verify"])
def command(request: pytest.FixtureRequest, verifier: Path) -> list[str]:
    return [sys.executable, str(verifier)] if request.param == "single file" else [sys.executable, "-m", "relay.app", "verify"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("SIPPGPE").write(tmp_path_factory.mktemp("recordings") / "rec")


@pytest.fixture(scope="module")
def altered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = build("SIPPGPE").write(tmp_path_factory.mktemp("altered") / "rec")
    (path / "00000.seg").write_bytes((path / "00000.seg").read_bytes()[:-1] + b"!")
    return path


def run(command: list[str], *arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}  # type: ignore[dict-item]
    output = {} if "stdout" in options else {"stdout": subprocess.PIPE}
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        [*command, *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        timeout=60,
        cwd="/",
        env=environment,
        **output,
        **options,  # type: ignore[call-overload]
    )
    return done


def test_each_outcome_has_its_code(command: list[str], folder: Path, altered: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("no archive")
    (tmp_path / "key").write_text("no key")
    assert run(command, folder, "--key", KEY).returncode == Exit.NO_FINDING
    assert run(command, altered, "--key", KEY).returncode == Exit.FINDING
    assert run(command, folder).returncode == Exit.FINDING
    for arguments in (
        [tmp_path / "nowhere"],
        [tmp_path / "empty"],
        [tmp_path / "text"],
        [folder, "--key", tmp_path / "key"],
        [folder, "--key", tmp_path / "no such key"],
        [folder, "--key", KEY, "--revocations", tmp_path / "key"],
    ):
        assert run(command, *arguments).returncode == Exit.UNREADABLE, arguments


@pytest.mark.parametrize("arguments", [[], ["--no-such-option"], ["a", "b", "c"], ["a", "--lang", "xx"], ["a", "--key"]])
def test_a_wrong_usage_is_no_unreadable_recording(command: list[str], arguments: list[str]) -> None:
    said = run(command, *arguments)
    assert said.returncode == Exit.OURS
    assert said.stderr


def test_help_is_no_accident(command: list[str]) -> None:
    assert run(command, "--help").returncode == 0


def test_a_reader_that_leaves_gets_no_verdict(command: list[str], folder: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    said = run(command, folder, "--key", KEY, stdout=theirs)
    os.close(theirs)
    assert (said.returncode, said.stderr) == (Exit.OURS, b"")


def test_a_full_disk_and_a_closed_output_are_no_findings(command: list[str], folder: Path) -> None:
    with open("/dev/full", "w") as full:
        said = run(command, folder, "--key", KEY, stdout=full)
    assert said.returncode == Exit.OURS
    assert b"cannot be written" in said.stderr
    shell = ["sh", "-c", '"$@" >&-', "sh", *command]
    assert run(shell, folder, "--key", KEY).returncode == Exit.OURS


def test_ctrl_c_is_no_finding(command: list[str], folder: Path) -> None:
    process = subprocess.Popen(
        [*command, str(folder), "--key", KEY, "--recording-key", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell ignores it for what it runs behind
    )
    until = time.monotonic() + 30
    while "pipe_read" not in waits_in(process.pid) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == Exit.STOPPED


def waits_in(process: int) -> str:
    """Return the kernel's word for what a process waits for; where it is not told, whether it sleeps at all."""
    told = Path(f"/proc/{process}/wchan").read_text()
    state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    modules = Path(f"/proc/{process}/maps").read_text()
    return told if told != "0" else "pipe_read" if state == "S" and "_rust" in modules else ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), Exit.OURS),
        (RecursionError(), Exit.OURS),
        (ValueError("a bug"), Exit.OURS),
        (OSError(28, "No space left on device"), Exit.OURS),
        (BrokenPipeError(), Exit.OURS),
        (KeyboardInterrupt(), Exit.STOPPED),
    ],
)
def test_every_accident_has_the_code_of_an_accident(error: BaseException, code: Exit) -> None:
    def fails() -> int:
        raise error

    assert exit_code_of(fails) == code


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_terminal_gets_the_verdict(command: list[str], encoding: str, altered: Path) -> None:
    environment = {"PYTHONIOENCODING": encoding, "COLUMNS": "300"}
    french = run(command, altered, "--key", KEY, "--lang", "fr", env=environment)
    assert (french.returncode, french.stderr) == (Exit.FINDING, b"")
    assert "2026-01-01" in french.stdout.decode(encoding)
    assert encodable("INTERROMPU ALTÉRÉ →", encoding).split()[1] in french.stdout.decode(encoding)
    said = run(command, altered / "nowhere é → ж", "--key", KEY, "--lang", "fr", env=environment)
    assert said.returncode == Exit.UNREADABLE
    assert b"Traceback" not in said.stderr


@pytest.mark.parametrize(("encoding", "text"), [("ascii", "ALTERE -> -"), ("cp1252", "ALTÉRÉ -> ·"), ("utf-8", "ALTÉRÉ → ·")])
def test_a_letter_that_a_terminal_lacks_has_a_stand_in(encoding: str, text: str) -> None:
    assert encodable("ALTÉRÉ → ·", encoding) == text
    assert encodable("ж", "cp1252") == "\\u0436"


def test_a_name_that_is_no_text_is_still_named(command: list[str], folder: Path, tmp_path: Path) -> None:
    copy = build("SIPPE").write(tmp_path / "rec")
    Path(os.fsdecode(os.fsencode(copy) + b"/odd \xff\n\x1b[31m.txt")).write_bytes(b"x")
    said = run(command, copy, "--key", KEY, env={"PYTHONIOENCODING": "ascii"})
    assert said.returncode == 0, said.stderr
    assert b"odd" in said.stdout
    assert b"\x1b" not in said.stdout


def test_an_older_python_reads_the_file_and_is_told_which_one_is_needed(verifier: Path) -> None:
    source = verifier.read_text(encoding="utf-8")
    for version in ((3, 9), (3, 7)):
        ast.parse(source, feature_version=version)
    old = "import runpy, sys; sys.version_info = (3, 9, 2); runpy.run_path(sys.argv[1], run_name='__main__')"
    said = run([sys.executable, "-c", old, str(verifier)])
    assert said.returncode == Exit.OURS
    assert b"this is Python 3.9, and Python 3.11 or later is needed" in said.stderr
    assert runpy.run_path(str(verifier))["NEEDS_PYTHON"] == (3, 11)


@pytest.mark.parametrize("encoding", ["ascii", "cp850"])
def test_a_missing_cryptography_is_said(verifier: Path, folder: Path, encoding: str) -> None:
    said = run([sys.executable, "-I", "-S", str(verifier)], folder, "--key", KEY, env={"PYTHONIOENCODING": encoding})
    assert said.returncode == Exit.OURS
    assert b"cryptography" in said.stderr
    assert b"Traceback" not in said.stderr


def test_a_broken_cryptography_is_said(verifier: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cryptography").mkdir()
    (tmp_path / "cryptography" / "__init__.py").write_text("class Panic(BaseException): pass\nraise Panic('broken')")
    said = run([sys.executable, str(verifier)], folder, "--key", KEY, env={"PYTHONPATH": str(tmp_path)})
    assert said.returncode == Exit.OURS
    assert b"missing or broken" in said.stderr
