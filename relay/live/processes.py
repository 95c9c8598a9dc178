"""Control's connections to the workers and recorders.

Owns: one connection per process, its reconnection, and what is known of the process behind it.
Must never know: what the messages mean; the subscribers know.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, OurError, RelayError
from relay.channel import framing
from relay.channel.messages import Message, Ping, Pong

logger = logging.getLogger(__name__)

Role: TypeAlias = Literal["worker", "recorder"]
M = TypeVar("M", bound=Message)
RETRY_SECONDS = 0.2

declare(
    link_lost="connections of control to a worker or recorder that were lost",
    link_strangers="requests that a worker or recorder sent to control, which takes none",
)


@dataclass(eq=False)
class ProcessClient:
    """The connection to one worker or recorder; `up`: it can be asked."""

    role: Role
    index: int
    path: Path
    shown: bytes
    """The pass that control shows there."""
    counters: Counters
    on_message: Callable[["ProcessClient", Message], None]
    on_up: Callable[["ProcessClient"], Awaitable[None]]
    on_down: Callable[["ProcessClient"], None]
    peer: Pong | None = None
    _connection: framing.Connection | None = field(default=None, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @property
    def name(self) -> str:
        """For example `worker-0`."""
        return f"{self.role}-{self.index}"

    @property
    def up(self) -> bool:
        """Whether the process answered and its inventory was taken over."""
        return self._changed.is_set()

    async def wait_up(self, seconds: float) -> bool:
        """Wait until the process can be asked; False when it could not within the time."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def post(self, message: Message) -> bool:
        """Send without waiting; False when the process is away or its queue is full."""
        return self._connection is not None and self._connection.post(message)

    async def ask(self, message: Message, answer: type[M], seconds: float = 5.0) -> M:
        """Ask and return an answer of the expected type.

        Raises TheirError where the process refuses, OurError (UNAVAILABLE) when it is away or answers something else.
        """
        if self._connection is None:
            raise OurError(f"{self.name} is not there", kind=Kind.UNAVAILABLE, retry_after=1.0, code=Code.PROCESS_NOT_ANSWERING)
        reply = await self._connection.ask(message, seconds)
        if not isinstance(reply, answer):
            raise OurError(f"{self.name} answered {type(reply).__name__} to {type(message).__name__}")
        return reply

    async def run(self) -> None:
        """Connect, adopt, read until the connection is lost, and again; until cancelled."""
        while True:
            await self._connect_once()
            await asyncio.sleep(RETRY_SECONDS)

    async def _connect_once(self) -> None:
        try:
            connection = await framing.connect(
                self.path, self.shown, on_post=self._on_post, on_ask=self._on_ask, counters=self.counters
            )
        except OSError:
            return
        self._connection = connection
        reading = asyncio.create_task(connection.run(), name=f"{self.name} reader")
        try:
            self.peer = await self.ask(Ping(), Pong)
            await self.on_up(self)
            self._changed.set()
            await reading
        except RelayError as error:
            logger.warning("connection broken", extra={"peer": self.name, "detail": error.detail})
        except Exception:
            # A bug of ours in an adopter: logged with its trace, and the connection is tried again.
            logger.exception("connection broken", extra={"peer": self.name})
        finally:
            self._lost(connection)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _lost(self, connection: framing.Connection) -> None:
        connection.close()
        self._connection = None
        self.peer = None
        was_up = self._changed.is_set()
        self._changed.clear()
        if was_up:
            self.counters.count("link_lost")
            self.on_down(self)

    def _on_post(self, _connection: framing.Connection, message: Message) -> None:
        self.on_message(self, message)

    async def _on_ask(self, _connection: framing.Connection, message: Message) -> Message:
        self.counters.count("link_strangers")
        raise OurError(f"control does not answer {type(message).__name__}")


class Processes:
    """All workers and recorders; subscribe to messages by type before `start`.

    `pass_of` returns control's pass to a process by its name; `client` makes each connection.
    """

    def __init__(
        self,
        run_dir: Path,
        count: int,
        counters: Counters,
        pass_of: Callable[[str], bytes],
        client: Callable[..., ProcessClient] = ProcessClient,
    ) -> None:
        self._make_client = client
        self._pass_of = pass_of
        self._listeners: dict[type[Message], list[Callable[[ProcessClient, Message], None]]] = {}
        self._adopters: list[Callable[[ProcessClient], Awaitable[None]]] = []
        self._down_listeners: list[Callable[[ProcessClient], None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.workers = [self._client("worker", i, run_dir, counters) for i in range(count)]
        self.recorders = [self._client("recorder", i, run_dir, counters) for i in range(count)]

    def usable(self) -> list[int]:
        """Return the indices of the workers that are up and whose recorder is up too."""
        return [worker.index for worker in self.workers if worker.up and self.recorders[worker.index].up]

    def on(self, kind: type[M], listener: Callable[[ProcessClient, M], None]) -> None:
        """Call `listener` for every message of this type, in order of arrival."""
        self._listeners.setdefault(kind, []).append(listener)  # type: ignore[arg-type]

    def on_up(self, adopter: Callable[[ProcessClient], Awaitable[None]]) -> None:
        """Await `adopter` each time a process was connected, before it counts as up."""
        self._adopters.append(adopter)

    def on_down(self, listener: Callable[[ProcessClient], None]) -> None:
        """Call `listener` each time the connection to a process that was up is lost."""
        self._down_listeners.append(listener)

    def start(self) -> None:
        """Begin connecting; returns at once."""
        self._tasks = [asyncio.create_task(process.run(), name=process.name) for process in (*self.recorders, *self.workers)]

    async def stop(self) -> None:
        """Drop every connection; workers and recorders go on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _client(self, role: Role, index: int, run_dir: Path, counters: Counters) -> ProcessClient:
        path = run_dir / f"{role}-{index}.sock"
        shown = self._pass_of(f"{role}-{index}")
        return self._make_client(role, index, path, shown, counters, self._dispatch, self._adopt, self._notify_down)

    def _dispatch(self, process: ProcessClient, message: Message) -> None:
        for listener in self._listeners.get(type(message), ()):
            try:
                listener(process, message)
            except Exception:
                # A bug in one listener must not cost the connection that all of them need.
                logger.exception(
                    "a listener failed to take a message", extra={"peer": process.name, "kind": type(message).__name__}
                )

    async def _adopt(self, process: ProcessClient) -> None:
        for adopter in self._adopters:
            await adopter(process)

    def _notify_down(self, process: ProcessClient) -> None:
        for listener in self._down_listeners:
            try:
                listener(process)
            except Exception:
                # The connection must be made again all the same.
                logger.exception("a listener failed after a disconnection", extra={"peer": process.name})
