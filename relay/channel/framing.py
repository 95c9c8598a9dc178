"""Frames on a Unix stream socket: a pass first, then 4-byte big-endian length and msgpack `[kind, id, message]`.

Owns: who may connect, correlation of requests and answers, the bound of the outgoing queue, the loss of the peer.
Must never know: what a message means.  A frame that does not decode is our bug (both ends are ours): the
connection is closed, never half-read.

Every process of the relay runs under one user, so the mode of a socket stops none of them.  Who connects therefore shows
a *pass* of 32 bytes before anything else, and the listener knows by it whose connection it is.  No pass is in a file that a
worker or recorder can read.  Only the supervisor, control and a process at its start can write into the folder of the sockets:
who connects by a path there reaches the right listener.
"""

import asyncio
import contextlib
import hmac
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from enum import IntEnum
from pathlib import Path
from typing import TypeAlias

import msgspec

from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, OurError, RelayError, TheirError
from relay.channel.messages import AnyMessage, Message, Refused

MAX_FRAME = 8 << 20
DEFAULT_BOUND = 16 << 20
MAX_CONNECTIONS = 32
"""To one socket in one role: control, the tap of a worker, a supervisor that asks; and those before them, not closed yet."""
PASS_BYTES = 32
PASS_SECONDS = 2.0
"""How long a connection may take to show its pass; a process of ours sends it as it connects."""
MAX_WAITING = 64
"""Connections that have not shown their pass; one more closes the oldest of them."""

declare(
    channel_dropped="messages dropped because a channel's outgoing queue was full",
    channel_refused="channel connections closed at once because too many were open",
    channel_broken="channel connections closed because a frame could not be read",
    channel_strangers="connections to a process's socket closed because they showed no valid pass",
)


class FrameKind(IntEnum):
    """What a frame is."""

    POST = 0
    ASK = 1
    REPLY = 2


_decode = msgspec.msgpack.Decoder(tuple[FrameKind, int, AnyMessage]).decode
_encode = msgspec.msgpack.Encoder().encode


def pack(kind: FrameKind, request: int, message: Message) -> bytes:
    """Return one frame with its length in front."""
    body = _encode((int(kind), request, message))
    if len(body) > MAX_FRAME:
        raise OurError(f"frame of {len(body)} bytes")
    return len(body).to_bytes(4, "big") + body


def unpack(body: bytes) -> tuple[FrameKind, int, Message]:
    """Return kind, request number and message of a frame's body; raises OurError when it does not decode."""
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:  # the latter for a text that is no UTF-8
        raise OurError(f"channel frame does not decode: {error}") from error


OnPost: TypeAlias = Callable[["Connection", Message], None]
OnAsk: TypeAlias = Callable[["Connection", Message], Awaitable[Message]]


class Connection:
    """One end of a channel.  `post` never waits: beyond `bound` bytes of backlog it drops, counts and returns False."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        on_post: OnPost,
        on_ask: OnAsk,
        counters: Counters,
        bound: int = DEFAULT_BOUND,
        role: str = "",
    ) -> None:
        self.role = role
        """Whose connection it is, by the pass that was shown; empty at the end that connected."""
        self._reader = reader
        self._writer = writer
        self._on_post = on_post
        self._on_ask = on_ask
        self._counters = counters
        self._bound = bound
        self._next = 0
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._answering: set[asyncio.Task[None]] = set()

    @property
    def backlog(self) -> int:
        """Bytes waiting to be written."""
        return self._writer.transport.get_write_buffer_size()

    @property
    def closed(self) -> bool:
        """Whether the connection is closing or gone."""
        return self._writer.transport.is_closing()

    def post(self, message: Message) -> bool:
        """Send without waiting; False when it was dropped."""
        return self._send(FrameKind.POST, 0, message)

    async def ask(self, message: Message, timeout: float = 5.0) -> Message:  # noqa: ASYNC109 - one place for the bound
        """Send a request and return its answer.

        Raises TheirError for `Refused` (with its kind) and OurError when the other side is gone or silent.
        """
        self._next += 1
        request = self._next
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[request] = future
        try:
            if not self._send(FrameKind.ASK, request, message):
                raise OurError("channel closed or full", code=Code.PROCESS_NOT_ANSWERING)
            async with asyncio.timeout(timeout):
                answer = await future
        except TimeoutError as error:
            raise OurError(
                f"no answer to {type(message).__name__} within {timeout} s", code=Code.PROCESS_NOT_ANSWERING
            ) from error
        finally:
            self._waiting.pop(request, None)
        if isinstance(answer, Refused):
            raise TheirError(answer.kind, answer.detail, code=answer.code, facts=answer.facts, retry_after=answer.retry_after)
        return answer

    async def run(self) -> None:
        """Read until the other side goes away; all requests under way then fail with OurError."""
        try:
            while True:
                length = int.from_bytes(await self._reader.readexactly(4), "big")
                if length > MAX_FRAME:
                    raise OurError(f"frame of {length} bytes announced")
                self._dispatch(*unpack(await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except OurError:
            self._counters.count("channel_broken")
            raise
        finally:
            self.close()

    def close(self) -> None:
        """Close this end; idempotent."""
        self._writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(OurError("channel closed", code=Code.PROCESS_NOT_ANSWERING))
        self._waiting.clear()
        for task in self._answering:
            task.cancel()

    async def drain(self) -> None:
        """Wait until the backlog is below the transport's high-water mark."""
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    def _send(self, kind: FrameKind, request: int, message: Message) -> bool:
        if self.closed or self.backlog > self._bound:
            self._counters.count("channel_dropped")
            return False
        self._writer.write(pack(kind, request, message))
        return True

    def _dispatch(self, kind: FrameKind, request: int, message: Message) -> None:
        if kind is FrameKind.POST:
            self._on_post(self, message)
        elif kind is FrameKind.REPLY:
            future = self._waiting.get(request)
            if future is not None and not future.done():
                future.set_result(message)
        else:
            task = asyncio.create_task(self._answer(request, message))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, request: int, message: Message) -> None:
        try:
            answer = await self._on_ask(self, message)
        except RelayError as error:
            answer = Refused(error.kind, error.detail, error.retry_after, error.code, error.facts)
        except Exception as error:
            self._send(FrameKind.REPLY, request, Refused(Kind.UNAVAILABLE, f"{type(error).__name__} in the other process"))
            raise
        self._send(FrameKind.REPLY, request, answer)


async def connect(
    path: Path, shown: bytes, *, on_post: OnPost, on_ask: OnAsk, counters: Counters, bound: int = DEFAULT_BOUND
) -> Connection:
    """Connect to a Unix socket with a pass; raises OSError when nobody listens.  The caller runs `Connection.run` in a task."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(shown)
    return Connection(reader, writer, on_post=on_post, on_ask=on_ask, counters=counters, bound=bound)


def bind(path: Path) -> socket.socket:
    """Return a socket bound to a path, mode 0600, not listening yet; replaces the left-over file of a dead process.

    A process binds before it gives up the right to write into that folder, and listens when it is ready.
    """
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        bound.bind(str(path))
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(previous)
    return bound


async def listen(
    where: Path | socket.socket,
    passes: Mapping[str, bytes],
    on_connection: Callable[[Connection], Awaitable[None]],
    *,
    on_post: OnPost,
    on_ask: OnAsk,
    counters: Counters,
) -> asyncio.Server:
    """Listen at a path (mode 0600) or on a socket from `bind`; `on_connection` is awaited before reading starts.

    `passes`: by role, the pass that a connection of that role shows.  Raises OurError for one that is not of 32 bytes.  Beyond
    `MAX_CONNECTIONS` of its role a connection is closed at once: a worker's tap cannot take the places of control.
    """
    if any(len(each) != PASS_BYTES for each in passes.values()):
        raise OurError("a pass of the channel is not of 32 bytes: the process was started without its hand-over")
    reception, opened = _Reception(passes), dict.fromkeys(passes, 0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        role = await reception.role_of(reader, writer)
        if role is None or opened[role] >= MAX_CONNECTIONS:
            counters.count("channel_strangers" if role is None else "channel_refused")
            writer.close()
            return
        opened[role] += 1
        try:
            connection = Connection(reader, writer, on_post=on_post, on_ask=on_ask, counters=counters, role=role)
            await on_connection(connection)
            await connection.run()
        finally:
            opened[role] -= 1

    return await asyncio.start_unix_server(serve, sock=bind(where) if isinstance(where, Path) else where)


class _Reception:
    """Connections that have not shown their pass yet: few, and not for long."""

    def __init__(self, passes: Mapping[str, bytes]) -> None:
        self._passes = passes
        self._waiting: list[asyncio.StreamWriter] = []

    async def role_of(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str | None:
        """Return the role whose pass this connection shows, None where it shows none in time."""
        self._waiting.append(writer)
        if len(self._waiting) > MAX_WAITING:
            self._waiting[0].close()
        try:
            async with asyncio.timeout(PASS_SECONDS):
                shown = await reader.readexactly(PASS_BYTES)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            shown = b""
        finally:
            self._waiting.remove(writer)
        found = [role for role, expected in self._passes.items() if hmac.compare_digest(expected, shown)]
        return found[0] if found else None
