"""Two hosts on one machine, the servers under test in one and the load in the other.

Owns: the namespaces, the load's process, and our worker (alone, driven over its own channel).  Where namespaces are not allowed
everything runs on 127.0.0.1, without the references, and the bench says so.  Must never know: what is measured.
"""

import asyncio
import base64
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relay.base.counters import Counters
from relay.channel import messages as m
from relay.channel.framing import Connection, connect
from relay.transport.dtls import new_identity
from scripts.benchmarks.tables import Row
from scripts.benchmarks.thin import cpu_seconds, parse_answer

ROOT = Path(__file__).parents[2]
SERVER, LOAD = "10.231.7.1", "10.231.7.2"
MAX_RUN_SECONDS = 120.0
"""Seconds after which one run of one server counts as failed."""


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Hosts:
    """Two network namespaces joined by a veth pair; or loopback, where they are not allowed or not wanted."""

    def __init__(self, *, loopback: bool = False) -> None:
        tag = secrets.token_hex(2)
        self.server_ns, self.load_ns = f"bench-s-{tag}", f"bench-l-{tag}"
        self.namespaces = not loopback and shutil.which("ip") is not None and os.geteuid() == 0 and self._make(tag)
        self.server, self.load = (SERVER, LOAD) if self.namespaces else ("127.0.0.1", "127.0.0.1")

    def _make(self, tag: str) -> bool:
        try:
            _ip("netns", "add", self.server_ns)
            _ip("netns", "add", self.load_ns)
            _ip(
                "link",
                "add",
                f"bs{tag}",
                "netns",
                self.server_ns,
                "type",
                "veth",
                "peer",
                "name",
                f"bl{tag}",
                "netns",
                self.load_ns,
            )
            for space, name, address in ((self.server_ns, f"bs{tag}", SERVER), (self.load_ns, f"bl{tag}", LOAD)):
                _ip("-n", space, "addr", "add", f"{address}/24", "dev", name)
                _ip("-n", space, "link", "set", name, "up")
                _ip("-n", space, "link", "set", "lo", "up")
        except (subprocess.CalledProcessError, OSError):
            self.close()
            return False
        return True

    def inside(self, namespace: str, *command: str) -> list[str]:
        """Prefix a command so that it runs on that host."""
        return ["ip", "netns", "exec", namespace, *command] if self.namespaces else list(command)

    def close(self) -> None:
        """Remove the namespaces."""
        for namespace in (self.server_ns, self.load_ns):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)


def give_way(pid: int) -> None:
    """Let a process that leads a session of its own run only when nobody else wants the processor.

    The class alone does not do it: where the kernel groups sessions (sched(7), "The autogroup feature"), nice values and
    classes count within a session only, and every session has the same share.
    """
    os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    group = Path(f"/proc/{pid}/autogroup")
    if group.exists():
        group.write_text("19")


class LoadProcess:
    """The load generator, asked over its standard streams."""

    def __init__(self, hosts: Hosts, *, is_background: bool = False) -> None:
        command = hosts.inside(hosts.load_ns, sys.executable, "-m", "scripts.benchmarks.load", hosts.load)
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True, start_new_session=is_background
        )
        if is_background:
            give_way(self.process.pid)
        self._one = asyncio.Lock()

    async def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Carry out one operation; raises RuntimeError with the load's own words."""
        async with self._one:
            answer = await asyncio.to_thread(self._ask, json.dumps({"op": op, **arguments}))
        if "error" in answer:
            raise RuntimeError(f"{op}: {answer['error']}")
        return answer

    def _ask(self, line: str) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline() or '{"error": "load died"}')
        return answer

    async def connect(self, what: str, index: int, sdp: str) -> None:
        """Connect a peer by the server's SDP."""
        answer = parse_answer(sdp)
        await self.ask(
            "connect", what=what, index=index, host=answer.host, port=answer.port, ufrag=answer.ufrag, pwd=answer.pwd
        )

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what it did not take
                    pipe.close()


PASS = bytes(32)
"""What the bench shows to the worker that it started."""


@dataclass
class RelayServer:
    """One worker of ours, as its supervisor would start it, driven over the channel."""

    hosts: Hosts
    load: LoadProcess
    name: str = "relay"
    module: str = "relay.worker"
    views: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    reports: list[m.WorkerReport] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """The worker's process."""
        return self.process.pid

    async def start(self) -> None:
        """Start the worker and connect to its channel."""
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        certificate = self.folder / "dtls.pem"
        identity = new_identity()
        certificate.write_bytes(identity.certificate + identity.private_key)
        config = self.folder / "worker-0.json"
        config.write_text(
            json.dumps(
                {
                    "index": 0,
                    "run_dir": str(self.folder),
                    "certificate": str(certificate),
                    "control_pass": base64.b64encode(PASS).decode(),
                    "tap_pass": base64.b64encode(PASS).decode(),
                    "host": self.hosts.server,
                    "log_level": "warning",
                }
            )
        )
        command = self.hosts.inside(
            self.hosts.server_ns, sys.executable, "-m", self.module, "--config", str(config), "--index", "0"
        )
        self.process = subprocess.Popen(command, cwd=ROOT)
        await self._connect(self.folder / "worker-0.sock")
        self.tasks = [asyncio.create_task(self.channel.run()), asyncio.create_task(self._renew())]

    async def _connect(self, path: Path) -> None:
        for _ in range(200):
            with contextlib.suppress(OSError):
                self.channel: Connection = await connect(
                    path, PASS, on_post=self._posted, on_ask=self._asked, counters=Counters()
                )
                return
            await asyncio.sleep(0.05)
        raise RuntimeError("the worker does not listen")

    def _posted(self, _: Connection, message: m.Message) -> None:
        if isinstance(message, m.WorkerReport):
            self.reports.append(message)

    async def _asked(self, _: Connection, message: m.Message) -> m.Message:
        raise RuntimeError(f"unexpected {message}")

    async def _renew(self) -> None:
        while True:
            self.channel.post(m.LeaseRenew(tuple(self.views), time.monotonic() + 10))
            await asyncio.sleep(2)

    async def publish(self, camera: str, recording: str | None = None, **source: Any) -> None:
        """Connect one camera."""
        made = await self.load.ask("add_source", **source)
        request = m.PublishOpen(secrets.token_hex(8), camera, made["offer"], False, recording, 5.0)
        answer = await self.channel.ask(request)
        assert isinstance(answer, m.Answer)
        await self.load.connect("source", made["index"], answer.sdp)

    async def view(self, cameras: list[str]) -> int:
        """Connect one viewer with a slot for each camera."""
        made = await self.load.ask("add_sink", videos=len(cameras))
        session = secrets.token_hex(8)
        answer = await self.channel.ask(m.ViewerOpen(session, made["offer"]))
        assert isinstance(answer, m.Answer)
        await self.load.connect("sink", made["index"], answer.sdp)
        self.sessions.append(session)
        for slot, camera in enumerate(cameras):
            await self.assign(session, slot, camera)
        return int(made["index"])

    async def assign(self, session: str, slot: int, camera: str) -> None:
        """Give a slot a camera."""
        view = uuid.uuid4().hex
        self.views.append(view)
        await self.channel.ask(m.SlotAssign(session, slot, camera, view, "high", time.monotonic() + 10))

    async def stop(self) -> None:
        """End the worker."""
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            self.channel.close()
        self.process.terminate()
        try:
            await asyncio.to_thread(self.process.wait, 10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def running(kind: Callable[[Hosts, "LoadProcess"], Any], hosts: Hosts) -> AsyncIterator[tuple[Any, LoadProcess]]:
    """A server and its load, both ended afterwards."""
    load = LoadProcess(hosts)
    server = kind(hosts, load)
    try:
        await server.start()
        yield server, load
    finally:
        try:
            await server.stop()
        finally:
            load.close()


class Meter:
    """Whole-process CPU of a server between two instants."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.before = cpu_seconds(pid)

    def used(self) -> float:
        """CPU seconds since it was made."""
        return cpu_seconds(self.pid) - self.before


async def attempt(work: Awaitable[Row], what: Row, longest: float = MAX_RUN_SECONDS) -> Row:
    """Return the row of a run; where the run failed, `what` it was and why: one server's failure must not end the bench."""
    try:
        async with asyncio.timeout(longest):
            return await work
    except Exception as error:  # whatever it was belongs into the row
        return {**what, "error": f"{type(error).__name__}: {error}"[:300]}
