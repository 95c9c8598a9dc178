"""A worker or recorder that an attacker has taken over: it enters the real cage, then tries what an attacker would.

`python -m tests.support.taken_over worker|recorder|derive ATTEMPT…` reads the facts of an installation from standard input
(JSON) and writes what became of each attempt to standard output: `done`, or the error.  Without attempts it tries all but those
of which it would die.

Owns: the attempts.  Must never know: which of them should succeed.
"""

import asyncio
import ctypes
import errno
import http.client
import json
import os
import resource
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from relay.base.counters import Counters
from relay.base.errors import RelayError
from relay.channel import framing
from relay.channel import messages as m
from relay.recorder import __main__ as recorder
from relay.recorder.config import RecorderConfig
from relay.runtime.cage import Cage, Rules, code_folders, confine, harden
from relay.worker import __main__ as worker

_LIBC = ctypes.CDLL(None, use_errno=True)
_PTRACE_ATTACH = 16


@dataclass
class Facts:
    """What the attacker knows of the installation."""

    data: Path
    recording: str
    """A closed recording of another camera."""
    pids: dict[str, int]
    control_pass: bytes
    tap_pass: bytes

    @property
    def run(self) -> Path:
        """The folder of the sockets."""
        return self.data / "run"


def attempts(facts: Facts) -> dict[str, Callable[[], object]]:
    """Return every attempt by its name."""
    data = facts.data
    files = (
        "keys/kek.key", "keys/signing.key", "keys/processes.key", "keys/dtls.pem", "relay.db", "settings.toml",
        "journal/checkpoints", "run/recorder-0.json", "run/worker-0.json", "run/control.json", f"vault/{facts.recording}/chain",
    )  # fmt: skip
    found: dict[str, Callable[[], object]] = {f"read {name}": (data / name).read_bytes for name in files}
    found |= {f"read {path}": Path(path).read_bytes for path in ("/etc/passwd", "/proc/self/environ")}
    found |= {f"list {name}": partial(os.listdir, data / name) for name in (".", "run", "keys", "vault")}
    found |= {f"write in {name}": (data / name / "planted").touch for name in (".", "run", "keys", "vault")}
    for name, pid in facts.pids.items():
        found[f"memory of {name}"] = Path(f"/proc/{pid}/mem").open
        found[f"environment of {name}"] = Path(f"/proc/{pid}/environ").read_bytes
        found[f"signal {name}"] = partial(os.kill, pid, 0)
        found[f"limit {name}"] = partial(resource.prlimit, pid, resource.RLIMIT_NOFILE, (64, 64))
        found[f"slow down {name}"] = partial(os.setpriority, os.PRIO_PROCESS, pid, 19)
    return found | _changes(facts) | _sockets(facts) | _doors(facts) | _killed(facts)


def _changes(facts: Facts) -> dict[str, Callable[[], object]]:
    data = facts.data
    return {
        "open keys to all": lambda: (data / "keys" / "kek.key").chmod(0o644),
        "cut the database": lambda: os.truncate(data / "relay.db", 0),
        "replace a socket": (facts.run / "recorder-0.sock").unlink,
        "remove a closed recording": (data / "vault" / facts.recording / "chain").unlink,
        "fork": _fork,
        "watch names as they change": lambda: _call("inotify_add_watch", _LIBC.inotify_init(), str(data).encode(), 2),
    }


def _sockets(_facts: Facts) -> dict[str, Callable[[], object]]:
    return {
        "a new UDP port": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "connect by TCP": lambda: socket.create_connection(("127.0.0.1", 9), 1),
        "a new IPv6 socket": lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM),
        "a raw socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        "a socket to the kernel": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "a Unix socket": lambda: socket.socket(socket.AF_UNIX),
    }


def _doors(facts: Facts) -> dict[str, Callable[[], object]]:
    recorder, plan = facts.run / "recorder-0.sock", _plan()
    return {
        "people by the console": lambda: _console(facts, {}),
        "people by the console with a pass of its own": lambda: _console(facts, {"X-Relay-Console": facts.control_pass.hex()}),
        "ask the recorder by the tap for its recordings": lambda: _ask(recorder, facts.tap_pass, m.InventoryAsk()),
        "give the recorder a key by the tap": lambda: _ask(recorder, facts.tap_pass, m.SessionRenew(bytes(32), b"")),
        "open a recording by the tap": lambda: _ask(recorder, facts.tap_pass, m.RecordOpen(plan, bytes(32))),
        "end the recorder by the tap": lambda: _post(recorder, facts.tap_pass, m.Shutdown("taken over")),
        "be control to the recorder": lambda: _ask(recorder, facts.control_pass, m.InventoryAsk()),
        "be nobody to the recorder": lambda: _ask(recorder, bytes(32), m.Ping()),
        "be the tap to the worker": lambda: _ask(facts.run / "worker-0.sock", facts.tap_pass, m.InventoryAsk()),
        "feed the recorder by the tap": lambda: _post(recorder, facts.tap_pass, m.TapLost("nothing", 0)),
    }


def _killed(facts: Facts) -> dict[str, Callable[[], object]]:
    """Attempts of which a caged process dies."""
    return {
        "run a shell": lambda: os.execv("/bin/sh", ["sh", "-c", "exit 0"]),
        "trace control": lambda: _call("ptrace", _PTRACE_ATTACH, facts.pids["control"], 0, 0),
        "make a namespace": lambda: _call("unshare", 0x10000000),
        "mount": lambda: _call("mount", b"none", b"/mnt", b"tmpfs", 0, 0),
    }


def _call(name: str, *arguments: object) -> None:
    if getattr(_LIBC, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _console(facts: Facts, headers: dict[str, str]) -> None:
    connection = http.client.HTTPConnection("relay", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(facts.run / "control.sock"))
    connection.request("GET", "/api/users", headers=headers)
    status = connection.getresponse().status
    if status != 200:
        raise PermissionError(errno.EACCES, f"status {status}")


def _ask(path: Path, shown: bytes, message: m.Message) -> None:
    async def asked() -> None:
        connection = await framing.connect(path, shown, on_post=lambda *_: None, on_ask=_nothing, counters=Counters())
        reading = asyncio.create_task(connection.run())
        try:
            await connection.ask(message)
        finally:
            connection.close()
            await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(asked())


def _post(path: Path, shown: bytes, message: m.Message) -> None:
    async def posted() -> None:
        connection = await framing.connect(path, shown, on_post=lambda *_: None, on_ask=_nothing, counters=Counters())
        connection.post(message)
        await connection.drain()
        connection.close()

    asyncio.run(posted())


async def _nothing(_connection: framing.Connection, _message: m.Message) -> m.Message:
    return m.Done()


def _plan() -> m.Plan:
    names = ("r", "cam", "Cam", "police_municipale", "PM", "relay", None, "1", "bearer", "t", "2099-01-01", None, 1)
    return m.Plan(*names)  # type: ignore[arg-type]


def cage_of(kind: str, data: Path) -> Cage:
    """Return the cage that the real process enters."""
    if kind == "worker":
        return worker.cage()
    if kind == "recorder":
        return recorder.cage(RecorderConfig(0, str(data / "run"), str(data / "vault"), b"", b"", b"", b""))
    return Cage(Rules(read=code_folders()))


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    except RelayError as error:
        return f"refused: {error.detail}"
    return "done"


def main() -> None:
    """Enter the cage, try, report."""
    kind, wanted = sys.argv[1], sys.argv[2:]
    said: dict[str, Any] = json.load(sys.stdin)
    passes = (bytes.fromhex(said["control_pass"]), bytes.fromhex(said["tap_pass"]))
    facts = Facts(Path(said["data"]), said["recording"], said["pids"], *passes)
    harden()
    missing = confine(cage_of(kind, facts.data)).missing
    assert not missing, missing
    every = attempts(facts)
    chosen = wanted or [name for name in every if name not in _killed(facts)]
    print(json.dumps({name: _outcome(every[name]) for name in chosen}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
