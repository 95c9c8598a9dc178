"""Keeps the relay's processes alive: starts, adopts, restarts with back-off, stops in order.

Owns: processes, their pid files and the order in which they stop.  Must never know: what they do, or
what stands in their configuration.  Each worker and recorder leads a POSIX session of its own, so that neither Ctrl-C nor the
death of the supervisor ends it.  A new supervisor finds it by its pid file and its socket.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import OurError
from relay.channel import framing
from relay.channel.messages import Message, Ping, Pong
from relay.runtime.cage import program_environment
from relay.runtime.tasks import run_logged

logger = logging.getLogger(__name__)

Duty: TypeAlias = Literal["control", "worker", "recorder"]
STOP_ORDER: tuple[Duty, ...] = ("worker", "recorder", "control")
"""Workers stop first, then the recorders that they fed, then control, which enters both ends in the journal."""

FIRST_DELAY_SECONDS = 0.2
MAX_DELAY_SECONDS = 10.0
STEADY_SECONDS = 30.0
STOP_SECONDS: dict[Duty, float] = {"worker": 10.0, "recorder": 30.0, "control": 15.0}

declare(
    children_started="processes started by the supervisor",
    children_adopted="processes that a supervisor found running and adopted",
    children_died="processes that ended although the supervisor had not asked them to",
    children_not_started="starts of a process that failed; each is repeated after a longer delay",
    children_killed="processes killed because they did not end in time",
)


@dataclass(frozen=True, eq=False)
class Child:
    """One process to run: its command, its configuration, and the paths of its configuration, pid file and socket.

    A running process is adopted only if its configuration equals today's.
    """

    duty: Duty
    index: int
    command: tuple[str, ...]
    run_dir: Path
    config: Mapping[str, object]
    secrets: Callable[[], Mapping[str, str]] = dict
    """Returns what it is handed on standard input at each start, and no file holds: passes, a recorder's new session key."""
    control_pass: bytes = b""
    """What its socket expects of control; the supervisor asks with it who is there."""
    bare: bool = False
    """Started with the environment that the interpreter needs only: settings and a token's PIN stay with control."""

    @property
    def name(self) -> str:
        """`control`, `worker-0` ..."""
        return "control" if self.duty == "control" else f"{self.duty}-{self.index}"

    @property
    def pid_file(self) -> Path:
        """Path of the file in which the process writes its process id."""
        return self.run_dir / f"{self.name}.pid"

    @property
    def config_file(self) -> Path:
        """Path of its configuration, mode 0600."""
        return self.run_dir / f"{self.name}.json"

    def write_config(self) -> None:
        """Write the configuration for the next start, mode 0600."""
        self.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self.config_file, json.dumps(dict(self.config)).encode())

    def handover(self) -> bytes:
        """Return what to write to its standard input; may block (a token certifies a session key)."""
        return json.dumps(dict(self.secrets())).encode()

    def clear(self) -> None:
        """Remove what an ended worker or recorder left; caged, it cannot do so itself.  Control removes its own files."""
        if self.duty != "control":
            for path in (self.pid_file, self.socket):
                path.unlink(missing_ok=True)

    def has_same_config(self) -> bool:
        """Return whether the configuration on disk equals today's."""
        try:
            found = json.loads(self.config_file.read_bytes())
        except (OSError, ValueError):
            return False
        return bool(found == json.loads(json.dumps(dict(self.config))))

    @property
    def socket(self) -> Path:
        """Path of the Unix socket on which it listens."""
        return self.run_dir / f"{self.name}.sock"


def back_off(previous: float, lived: float) -> float:
    """Return the delay before the next start, seconds: doubled each time, the first again after `STEADY_SECONDS` of life."""
    if lived >= STEADY_SECONDS or previous == 0:
        return FIRST_DELAY_SECONDS
    return min(MAX_DELAY_SECONDS, previous * 2)


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600.  A reader sees the old content or the new, never a part."""
    temporary = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)


class Process:
    """One running process, started here or adopted.  `died` completes when the process has ended."""

    def __init__(self, pid: int, spawned: asyncio.subprocess.Process | None) -> None:
        self.pid = pid
        self._spawned = spawned
        self._descriptor = os.pidfd_open(pid)
        self.died: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(self._descriptor, self._on_death)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; does nothing if the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)

    async def reap(self) -> None:
        """Wait until the process has ended, and reap it if it was started here."""
        await asyncio.shield(self.died)
        if self._spawned is not None:
            await self._spawned.wait()

    def forget(self) -> None:
        """Stop watching the process; it goes on."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _on_death(self) -> None:
        self.forget()
        if not self.died.done():
            self.died.set_result(None)


async def find(child: Child, counters: Counters) -> Process | None:
    """Return the running process of this child, None if there is none.

    A pid file alone proves nothing, because the system reuses process ids.  The socket of a worker or recorder must answer
    with the same id; control holds a lock on its pid file as long as it lives.
    """
    try:
        pid = int(child.pid_file.read_text(encoding="ascii"))
        process = Process(pid, None)
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError, OurError, TimeoutError):
        async with asyncio.timeout(3):
            if is_locked(child.pid_file) if child.duty == "control" else await _pid_behind(child, counters) == pid:
                return process
    process.forget()
    return None


class PidLock:
    """A pid file locked by this process for as long as it lives."""

    def __init__(self, path: Path) -> None:
        """Lock `path` and write our process id into it; raises OurError if another process holds it, or the disk refuses."""
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OurError(f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise OurError(f"{path.name}: another process is running", code=Code.ALREADY_RUNNING) from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())

    def release(self) -> None:
        """Release the lock, so that another process can take it."""
        os.close(self._descriptor)


def is_locked(path: Path) -> bool:
    """Return whether a living process holds a `PidLock` on this file."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


async def _pid_behind(child: Child, counters: Counters) -> int:
    connection = await framing.connect(child.socket, child.control_pass, on_post=_ignore, on_ask=_refuse, counters=counters)
    reading = asyncio.create_task(connection.run())
    try:
        answer = await connection.ask(Ping(), 2.0)
    finally:
        connection.close()
        await asyncio.gather(reading, return_exceptions=True)
    return answer.pid if isinstance(answer, Pong) else 0


def _ignore(_connection: framing.Connection, _message: Message) -> None:
    """`_pid_behind` needs the answer to its one question only."""


async def _refuse(_connection: framing.Connection, message: Message) -> Message:
    raise OurError(f"a supervisor does not answer {type(message).__name__}")


class Supervisor:
    """Runs a fixed set of children until `stop`."""

    def __init__(self, children: Sequence[Child], counters: Counters, on_event: Callable[[str, Child], None]) -> None:
        self._children = children
        self._counters = counters
        self._on_event = on_event
        self._running: dict[str, Process] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def start(self) -> None:
        """Adopt each running child that has the same configuration, start the others, and restart each one that dies."""
        for child in self._children:
            adopted = await self._adopt(child)
            self._running[child.name] = adopted or await self._spawn(child)
        self._tasks = [asyncio.create_task(self._keep_alive(child), name=f"keep {child.name}") for child in self._children]

    async def stop(self) -> None:
        """Stop all children in `STOP_ORDER`; kill each one that does not end within `STOP_SECONDS` of its duty."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for duty in STOP_ORDER:
            await asyncio.gather(*(self._end(child) for child in self._children if child.duty == duty))

    def pid(self, name: str) -> int | None:
        """Return the process id of a running child, None if it does not run."""
        process = self._running.get(name)
        return process.pid if process is not None and not process.died.done() else None

    async def _adopt(self, child: Child) -> Process | None:
        process = await find(child, self._counters)
        if process is None:
            return None
        if child.duty != "control" and child.has_same_config():
            self._counters.count("children_adopted")
            self._on_event("adopted", child)
            return process
        self._running[child.name] = process
        await self._end(child)
        return None

    async def _spawn(self, child: Child) -> Process:
        # In a thread, because the long-term key that certifies a recorder's session key may be in a slow PKCS#11 token.
        await asyncio.to_thread(child.write_config)
        handed = await asyncio.to_thread(child.handover)
        arguments = (*child.command, "--config", str(child.config_file), "--index", str(child.index))
        environment = program_environment() if child.bare else dict(os.environ)
        spawned = await asyncio.create_subprocess_exec(*arguments, env=environment, start_new_session=True, stdin=PIPE)
        assert spawned.stdin is not None
        with contextlib.suppress(ConnectionError, RuntimeError):  # it ended at once, which `_keep_alive` sees
            spawned.stdin.write(handed)
        spawned.stdin.close()
        self._counters.count("children_started")
        self._on_event("started", child)
        return Process(spawned.pid, spawned)

    async def _keep_alive(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        delay, born = 0.0, loop.time()
        while not self._stopping:
            await self._running[child.name].reap()
            self._counters.count("children_died")
            self._on_event("died", child)
            await asyncio.to_thread(child.clear)
            while True:
                delay = back_off(delay, loop.time() - born)
                await asyncio.sleep(delay)
                born = loop.time()
                if await run_logged(self._respawn(child), f"starting {child.name}", self._counters, "children_not_started"):
                    break

    async def _respawn(self, child: Child) -> None:
        self._running[child.name] = await self._spawn(child)

    async def _end(self, child: Child) -> None:
        process = self._running.get(child.name)
        if process is None or process.died.done():
            return
        process.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS[child.duty]):
                await process.reap()
        except TimeoutError:
            self._counters.count("children_killed")
            self._on_event("killed", child)
            process.signal(signal.SIGKILL)
            await process.reap()
        await asyncio.to_thread(child.clear)


Runner: TypeAlias = Callable[[Child], Awaitable[None]]


async def in_process(children: Sequence[Child], runners: dict[Duty, Runner], stop: asyncio.Event) -> None:
    """Run every child as a task of this process, over the same sockets, until `stop`; then end them in `STOP_ORDER`.

    A runner runs until it is cancelled, and then ends its child as the supervisor would.  Raises what a runner raises.
    """
    for child in children:
        child.write_config()
    tasks: dict[Child, asyncio.Task[Any]] = {
        child: asyncio.create_task(_run(runners[child.duty], child), name=child.name) for child in children
    }
    waiting = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({waiting, *tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        for duty in STOP_ORDER:
            ending = [task for child, task in tasks.items() if child.duty == duty]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
    for task in done - {waiting}:
        task.result()


async def _run(runner: Runner, child: Child) -> None:
    await runner(child)
