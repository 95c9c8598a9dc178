"""Frames and messages between our processes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.counters import Counters
from relay.base.errors import Kind, OurError, TheirError
from relay.channel import messages
from relay.channel.framing import MAX_CONNECTIONS, MAX_FRAME, MAX_WAITING, Connection, FrameKind, connect, listen, pack, unpack
from relay.channel.messages import AnyMessage, Done, Message, PeerClose, PeerCloseReason, Ping, Refused, TapPackets
from tests.support.passes import CONTROL, TAP


def message_types() -> list[type[Message]]:
    return [
        kind for kind in vars(messages).values() if isinstance(kind, type) and issubclass(kind, Message) and kind is not Message
    ]


def test_every_message_can_be_sent_or_is_part_of_one() -> None:
    union = {kind.__name__ for kind in get_args(AnyMessage)}
    parts = {
        "Track",
        "Plan",
        "PublisherHeld",
        "LegHeld",
        "ViewerHeld",
        "SourceReport",
        "LegReport",
        "RecordingHeld",
        "KnownHead",
        "RecordingReport",
    }
    assert {kind.__name__ for kind in message_types()} == union | parts


@given(arrival=st.integers(0, 1 << 62), packet=st.binary(max_size=1500), request=st.integers(0, 1 << 31))
def test_a_frame_comes_back_as_it_went(arrival: int, packet: bytes, request: int) -> None:
    message = TapPackets("r", [(arrival, packet)])
    assert unpack(pack(FrameKind.ASK, request, message)[4:]) == (FrameKind.ASK, request, message)


@given(body=st.binary(max_size=64))
def test_a_frame_that_does_not_decode_is_our_error_and_nothing_else(body: bytes) -> None:
    try:
        kind, _, message = unpack(body)
    except OurError:
        return
    assert isinstance(message, Message)
    assert kind in FrameKind


def test_a_wrong_type_inside_a_message_is_refused() -> None:
    body = msgspec.msgpack.encode((0, 0, ["PeerClose", 7, "signed_out"]))
    with pytest.raises(OurError):
        unpack(body)


def test_a_frame_over_the_limit_is_not_sent() -> None:
    with pytest.raises(OurError):
        pack(FrameKind.POST, 0, TapPackets("r", [(0, bytes(MAX_FRAME))]))


class Ends:
    """Both ends of a channel over a real Unix socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.posted: list[Message] = []
        self.counters = Counters()
        self.accepted: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

    async def answer(self, _connection: Connection, message: Message) -> Message:
        if isinstance(message, PeerClose):
            raise TheirError(Kind.CONFLICT, "busy", retry_after=2.0)
        if isinstance(message, Ping):
            await asyncio.Event().wait()
        return Done()

    async def register(self, connection: Connection) -> None:
        self.accepted.set_result(connection)

    def on_post(self, _connection: Connection, message: Message) -> None:
        self.posted.append(message)


@pytest.fixture
async def ends(tmp_path: Path) -> AsyncIterator[tuple[Ends, Connection]]:
    ends = Ends(tmp_path / "c.sock")
    server = await listen(
        ends.path,
        {"control": CONTROL, "tap": TAP},
        ends.register,
        on_post=ends.on_post,
        on_ask=ends.answer,
        counters=ends.counters,
    )
    client = await connect(ends.path, CONTROL, on_post=ends.on_post, on_ask=ends.answer, counters=ends.counters, bound=1000)
    running = asyncio.create_task(client.run())
    await ends.accepted
    yield ends, client
    client.close()
    server.close()
    await running


async def test_a_request_gets_its_answer(ends: tuple[Ends, Connection]) -> None:
    assert await ends[1].ask(Done()) == Done()


async def test_a_refusal_arrives_with_its_kind_and_when_to_retry(ends: tuple[Ends, Connection]) -> None:
    with pytest.raises(TheirError) as caught:
        await ends[1].ask(PeerClose("s", PeerCloseReason.SIGNED_OUT))
    assert (caught.value.kind, caught.value.retry_after) == (Kind.CONFLICT, 2.0)


async def test_requests_under_way_fail_when_the_other_side_dies(ends: tuple[Ends, Connection]) -> None:
    asking = asyncio.create_task(ends[1].ask(Ping()))
    (await ends[0].accepted).close()
    with pytest.raises(OurError):
        await asking


async def test_a_silent_other_side_is_not_waited_for_for_ever(ends: tuple[Ends, Connection]) -> None:
    with pytest.raises(OurError, match="no answer"):
        await ends[1].ask(Ping(), timeout=0.01)


async def test_a_full_channel_drops_and_counts_instead_of_waiting(ends: tuple[Ends, Connection]) -> None:
    ends_, client = ends
    big = TapPackets("r", [(0, bytes(1 << 20))])
    results = [client.post(big) for _ in range(4)]
    assert results[0] is True
    assert results[-1] is False
    assert ends_.counters.values["channel_dropped"] == results.count(False)


async def test_the_socket_is_for_its_owner_only(ends: tuple[Ends, Connection]) -> None:
    assert ends[0].path.stat().st_mode & 0o077 == 0


async def test_nothing_is_sent_after_close(ends: tuple[Ends, Connection]) -> None:
    ends[1].close()
    assert ends[1].post(Refused(Kind.GONE, "late")) is False


async def test_connections_to_one_socket_are_bounded_and_a_closed_one_makes_room(tmp_path: Path) -> None:
    counters, path = Counters(), tmp_path / "s.sock"
    accepted: asyncio.Queue[Connection] = asyncio.Queue()
    server = await listen(
        path,
        {"control": CONTROL},
        accepted.put,
        on_post=lambda _connection, _message: None,
        on_ask=_no_answer,
        counters=counters,
    )

    async def come() -> asyncio.StreamReader:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(CONTROL)
        opened.append(writer)
        return reader

    opened: list[asyncio.StreamWriter] = []
    async with asyncio.timeout(10):
        readers = [await come() for _ in range(MAX_CONNECTIONS)]
        ours = [await accepted.get() for _ in readers]
        assert await (await come()).read() == b""
        assert counters.values["channel_refused"] == 1
        ours[0].close()
        assert await readers[0].read() == b""
        readers.append(await come())
        ours.append(await accepted.get())
        for connection in ours:
            connection.close()
        for reader in readers:
            assert await reader.read() == b""
        for writer in opened:
            writer.close()
            await writer.wait_closed()
    server.close()


async def _no_answer(_connection: Connection, message: Message) -> Message:
    raise OurError(f"no answer to {type(message).__name__}")


async def test_a_connection_has_the_role_whose_pass_it_shows(ends: tuple[Ends, Connection]) -> None:
    assert (await ends[0].accepted).role == "control"


async def test_a_wrong_pass_or_none_is_closed_counted_and_heard_by_nobody(ends: tuple[Ends, Connection]) -> None:
    listening, _ = ends
    for count, shown in enumerate((b"X" * 32, CONTROL[:31], b""), 1):
        reader, writer = await asyncio.open_unix_connection(str(listening.path))
        writer.write(shown)
        writer.write_eof()
        assert await reader.read() == b""
        assert listening.counters.values["channel_strangers"] == count
        writer.close()
    assert listening.posted == []


async def test_silent_connections_give_way_to_the_next(ends: tuple[Ends, Connection]) -> None:
    listening, _ = ends
    silent = [await asyncio.open_unix_connection(str(listening.path)) for _ in range(MAX_WAITING + 1)]
    assert await silent[0][0].read() == b""
    for _, writer in silent:
        writer.close()


async def test_a_process_without_its_passes_does_not_listen(tmp_path: Path) -> None:
    made = Ends(tmp_path / "c.sock")
    with pytest.raises(OurError, match="hand-over"):
        await listen(
            made.path, {"control": b""}, made.register, on_post=made.on_post, on_ask=made.answer, counters=made.counters
        )
