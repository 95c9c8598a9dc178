"""Frames on a Unix stream socket: 4-byte big-endian length, then msgpack `[kind, id, message]`.

Owns: correlation of requests and answers, the bound of the outgoing queue, the loss of the peer.
Must never know: what a message means.  A frame that does not decode is our bug (both ends are ours): the
connection is closed, never half-read.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
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
"""To one socket: control, the tap of a worker, a supervisor that asks; and those before them that are not closed yet."""

declare(
    channel_dropped="messages dropped because a channel's outgoing queue was full",
    channel_refused="channel connections closed at once because too many were open",
    channel_broken="channel connections closed because a frame could not be read",
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
    ) -> None:
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


async def connect(path: Path, *, on_post: OnPost, on_ask: OnAsk, counters: Counters, bound: int = DEFAULT_BOUND) -> Connection:
    """Connect to a Unix socket; raises OSError when nobody listens.  The caller runs `Connection.run` in a task."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    return Connection(reader, writer, on_post=on_post, on_ask=on_ask, counters=counters, bound=bound)


async def listen(
    path: Path,
    on_connection: Callable[[Connection], Awaitable[None]],
    *,
    on_post: OnPost,
    on_ask: OnAsk,
    counters: Counters,
) -> asyncio.Server:
    """Listen on a Unix socket of mode 0600; `on_connection` is awaited before reading starts (register it there).

    A left-over socket file of a dead process is replaced.  Beyond `MAX_CONNECTIONS` a connection is closed at once.
    """
    opened = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        if opened >= MAX_CONNECTIONS:
            counters.count("channel_refused")
            writer.close()
            return
        opened += 1
        try:
            connection = Connection(reader, writer, on_post=on_post, on_ask=on_ask, counters=counters)
            await on_connection(connection)
            await connection.run()
        finally:
            opened -= 1

    path.unlink(missing_ok=True)  # noqa: ASYNC240 - one unlink at start
    previous = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(serve, str(path))
    finally:
        os.umask(previous)
