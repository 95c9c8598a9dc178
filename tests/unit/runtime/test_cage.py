"""The cage, tried in processes of their own: what is left of files, sockets, other processes; what a kernel lacks is told."""

import ctypes
import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.errors import OurError
from relay.runtime import cage, landlock, seccomp
from relay.runtime.cage import Cage, Rules

LINUX = sys.platform == "linux"
VERSION = landlock.version(ctypes.CDLL(None, use_errno=True)) if LINUX else 0
needs_landlock = pytest.mark.skipif(VERSION < 1, reason="this kernel has no Landlock: files stay open to every process here")
needs_filter = pytest.mark.skipif(not (LINUX and seccomp.is_supported()), reason="no filter for this machine")

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

CHILD = """
import ctypes, errno, json, os, socket, sys, threading
from pathlib import Path
from relay.runtime import cage
from relay.runtime.cage import Cage, Rules
folder, other = Path(sys.argv[1]), Path(sys.argv[2])
inherited, _ = socket.socketpair()
found = cage.confine({cage})
def tried(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
out = {{"missing": found.missing}}
{body}
print(json.dumps(out), flush=True)
"""


def _caged(folder: Path, made: str, body: str) -> tuple[int, dict[str, Any]]:
    """Run statements in a process that entered a cage; `other` is a folder beside `folder`."""
    other = folder.with_name(f"{folder.name}-other")
    other.mkdir(exist_ok=True)
    (other / "secret").write_text("s")
    code = CHILD.format(cage=made, body=body)
    done = subprocess.run([sys.executable, "-c", code, str(folder), str(other)], capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else {"stderr": done.stderr}


def _run(program: bytes, number: int, arguments: tuple[int, ...] = (), architecture: int = MACHINES["x86_64"]) -> int:
    """Interpret a filter as the kernel does; return its verdict."""
    steps = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    data = struct.pack("=IIQ6Q", number, architecture, 0, *(arguments + (0,) * 6)[:6])
    held, at = 0, 0
    while True:
        operation, if_true, if_false, operand = steps[at]
        at += 1
        if operation == 0x06:
            return int(operand)
        if operation == 0x20:
            held = struct.unpack_from("=I", data, operand)[0]
        else:
            taken = {0x15: held == operand, 0x35: held >= operand, 0x45: bool(held & operand)}[operation]
            at += if_true if taken else if_false


@needs_landlock
def test_a_process_reads_and_writes_in_its_folder_only(tmp_path: Path) -> None:
    body = """
out["write"] = tried((folder / "a").touch)
out["read"] = tried((other / "secret").read_bytes)
out["list"] = tried(lambda: os.listdir(other))
out["make"] = tried((other / "b").touch)
out["unlink"] = tried((other / "secret").unlink)
out["late import"] = tried(lambda: __import__("colorsys"))
"""
    code, found = _caged(tmp_path, "Cage(Rules(read=cage.code_folders(), write=(folder,)))", body)
    assert (code, found["missing"]) == (0, [])
    assert (found["write"], found["late import"]) == ("done", "done")
    assert {found[each] for each in ("read", "list", "make", "unlink")} == {"EACCES"}


@needs_filter
def test_threads_run_and_new_processes_and_sockets_do_not(tmp_path: Path) -> None:
    body = """
ran = []
thread = threading.Thread(target=lambda: ran.append(1))
thread.start()
thread.join()
out["thread"] = ran
out["fork"] = tried(os.fork)
out["unix"] = tried(lambda: socket.socket(socket.AF_UNIX))
out["udp"] = tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
out["parent"] = tried(lambda: os.kill(os.getppid(), 0))
out["itself"] = tried(lambda: os.kill(os.getpid(), 0))
out["mode"] = tried(lambda: os.chmod(folder, 0o700))
"""
    code, found = _caged(tmp_path, "Cage(Rules(read=cage.code_folders()), (socket.AF_UNIX,))", body)
    assert code == 0
    assert found["thread"] == [1]
    assert (found["unix"], found["itself"]) == ("done", "done")
    assert {found[each] for each in ("fork", "udp", "parent", "mode")} <= {"EPERM", "EACCES"}


@needs_filter
def test_queues_that_others_share_by_number_are_out_of_reach(tmp_path: Path) -> None:
    body = """
libc = ctypes.CDLL(None, use_errno=True)
def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
message = struct.pack("=q", 1) + b"lie"
for name, act in {
    "msgsnd": lambda: libc.msgsnd(queue, message, ctypes.c_size_t(3), 0o4000),
    "msgrcv": lambda: libc.msgrcv(queue, ctypes.create_string_buffer(64), ctypes.c_size_t(8), ctypes.c_long(0), 0o4000),
    "msgctl": lambda: libc.msgctl(queue, 0, None),
    "semctl": lambda: libc.semctl(0, 0, 12),
    "semop": lambda: libc.semop(0, bytes(6), ctypes.c_size_t(1)),
    "shmctl": lambda: libc.shmctl(0, 2, ctypes.create_string_buffer(256)),
}.items():
    out[name] = tried(lambda: called(act()))
"""
    libc = ctypes.CDLL(None, use_errno=True)
    queue = libc.msgget(0, 0o600)  # IPC_PRIVATE: it belongs to this user and to no name
    assert queue >= 0
    try:
        code, found = _caged(tmp_path, "Cage(Rules(read=cage.code_folders()))", f"import struct\nqueue = {queue}{body}")
    finally:
        libc.msgctl(queue, 0, None)
    assert code == 0, found
    del found["missing"]
    assert set(found.values()) == {"EPERM"}, found


@needs_filter
def test_no_file_sends_a_signal_to_another_process(tmp_path: Path) -> None:
    body = """
import fcntl, struct
read, write = os.pipe()
one = inherited
parent = struct.pack("i", os.getppid())
for name, command in (("owner", 8), ("signal", 10)):
    out[name] = tried(lambda: fcntl.fcntl(read, command, os.getppid() if name == "owner" else 9))
out["owner_ex"] = tried(lambda: fcntl.fcntl(read, 15, struct.pack("ii", 1, os.getppid())))
for name, command in (("FIOSETOWN", 0x8901), ("SIOCSPGRP", 0x8902)):
    out[name] = tried(lambda: fcntl.ioctl(one, command, parent))
os.set_blocking(read, False)
out["flags"] = fcntl.fcntl(read, fcntl.F_GETFL) & os.O_NONBLOCK != 0
"""
    made = "Cage(Rules(read=cage.code_folders(), signals=True))"  # as where Landlock does not know signals
    code, found = _caged(tmp_path, made, body)
    assert (code, found["flags"]) == (0, True), found
    assert {found[each] for each in ("owner", "signal", "owner_ex", "FIOSETOWN", "SIOCSPGRP")} == {"EPERM"}


@needs_filter
def test_a_process_that_starts_no_programs_is_killed_when_it_does(tmp_path: Path) -> None:
    code, _ = _caged(tmp_path, "Cage(Rules(read=cage.code_folders()))", 'os.execv("/bin/true", ["true"])')
    assert code == -signal.SIGSYS


@needs_landlock
def test_a_process_that_starts_programs_starts_the_interpreter_only(tmp_path: Path) -> None:
    body = """
import subprocess
rules = cage.start_files()
out["python"] = tried(lambda: subprocess.run([sys.executable, "-c", ""], check=True))
out["shell"] = tried(lambda: subprocess.run(["/bin/sh", "-c", ""], check=True))
"""
    made = "Cage(Rules(read=(*cage.code_folders(), *cage.start_files()), run=cage.programs()), starts_programs=True)"
    code, found = _caged(tmp_path, made, body)
    assert (code, found["python"], found["shell"]) == (0, "done", "EACCES")


def test_new_files_are_private_and_no_core_is_written(tmp_path: Path) -> None:
    body = """
import resource, stat
(folder / "new").touch()
out["mode"] = stat.S_IMODE((folder / "new").stat().st_mode)
out["core"] = resource.getrlimit(resource.RLIMIT_CORE)
out["dumpable"] = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
"""
    code, found = _caged(tmp_path, "Cage(Rules(read=cage.code_folders(), write=(folder,)))", body)
    assert code == 0
    assert (found["mode"], found["core"], found["dumpable"]) == (0o600, [0, 0], 0)


def test_a_kernel_without_landlock_and_seccomp_is_told_in_words_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(cage, "harden", lambda: None)  # it would hold for the rest of the tests
    monkeypatch.setattr(landlock, "version", lambda _: 0)
    monkeypatch.setattr(seccomp, "install", refuse)
    monkeypatch.setattr(seccomp, "is_supported", lambda: True)
    monkeypatch.setattr(seccomp, "program", lambda *_, **__: b"")
    found = cage.confine(Cage(Rules()))
    assert (found.landlock, found.seccomp) == (0, False)
    assert [sentence.split(":")[0] for sentence in found.missing] == ["no Landlock", "no seccomp"]


@pytest.mark.parametrize("machine", list(MACHINES))
@pytest.mark.parametrize("alone", [True, False])
def test_the_filter_ends_each_call_as_its_list_says(machine: str, alone: bool) -> None:  # noqa: FBT001
    program = seccomp.program((1,), alone=alone, pid=7, machine=machine)
    column = list(MACHINES).index(machine)

    def verdict(call: str, *arguments: int) -> int | None:
        number = seccomp._CALLS[call][column]
        return None if number is None else _run(program, number, arguments, MACHINES[machine])

    assert {verdict(call) for call in seccomp.KILLED} <= {KILL, None}
    assert {verdict(call) for call in seccomp.REFUSED} <= {ERRNO | 1, None}
    assert {verdict(call) for call in seccomp.ABSENT} == {ERRNO | 38}
    assert {verdict(call) for call in seccomp.ALONE_KILLED} == {KILL if alone else ALLOW}
    assert {verdict(call) for call in seccomp.ALONE_REFUSED} <= {ERRNO | 1 if alone else ALLOW, None}
    assert {verdict(call) for call in seccomp._FIRST} <= {ALLOW, None}
    assert (verdict("socket", 1), verdict("socket", 2)) == (ALLOW, ERRNO | 13)
    assert (verdict("ioctl", 3, 0x5412), verdict("ioctl", 3, 0x5413)) == (ERRNO | 1, ALLOW)
    thread, process, namespace = 0x003D0F00, 17, 0x10000011
    assert verdict("clone", thread) == ALLOW
    assert verdict("clone", process) == (ERRNO | 1 if alone else ALLOW)
    assert verdict("clone", namespace) == ERRNO | 1
    assert verdict("kill", 7) == ALLOW
    assert verdict("kill", 8) == (ERRNO | 1 if alone else ALLOW)


@given(st.integers(0, 0xFFFFFFFF), st.sampled_from([0x40000003, 0xC00000B7, 0]))
def test_a_call_of_another_machine_is_death_whatever_its_number(number: int, architecture: int) -> None:
    program = seccomp.program((), alone=True, pid=1, machine="x86_64")
    assert _run(program, number, architecture=architecture) == KILL


@given(st.integers(0, 600), st.booleans())
def test_a_call_that_no_list_names_is_allowed(number: int, alone: bool) -> None:  # noqa: FBT001
    named = {numbers[0] for numbers in seccomp._CALLS.values()}
    if number not in named:
        assert _run(seccomp.program((), alone=alone, pid=1, machine="x86_64"), number) == ALLOW


def test_the_second_door_to_each_call_is_closed() -> None:
    program = seccomp.program((), alone=False, pid=1, machine="x86_64")
    assert _run(program, 0x40000000 + 59) == KILL


def test_the_environment_of_a_process_that_parses_holds_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_STORE__URL", "postgresql://relay:secret@db/relay")
    monkeypatch.setenv("HSM_PIN", "1234")
    found = cage.program_environment()
    assert not {"RELAY_STORE__URL", "HSM_PIN"} & found.keys()
    assert found["PATH"] == os.environ["PATH"]


@needs_filter
def test_an_event_loop_that_was_made_before_the_cage_goes_on_inside(tmp_path: Path) -> None:
    """libuv makes an io_uring for each loop unless the kernel seems to have none; inside the cage it would abort."""
    code = """
import asyncio, socket, uvloop
from relay.runtime import cage
from relay.runtime.cage import Cage, Rules
async def run():
    cage.confine(Cage(Rules(read=cage.code_folders()), (socket.AF_UNIX,)))
    loop, turns = asyncio.get_running_loop(), []
    for _ in range(300):
        one, other = socket.socketpair()
        one.setblocking(False)
        loop.add_reader(one.fileno(), turns.append, 1)
        other.send(b"x")
        await asyncio.sleep(0)
        loop.remove_reader(one.fileno())
    return turns
cage.harden()
print(len(uvloop.run(run())) > 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_an_interpreter_that_this_user_cannot_read_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    with pytest.raises(OurError, match="where the relay's user can read them"):
        cage.programs()
