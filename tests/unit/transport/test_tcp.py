"""ICE over TCP on real loopback connections: framing, bounds, and peers that arrive that way."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.base.clock import ManualClock, SystemClock
from relay.base.counters import Counters
from relay.base.errors import OurError
from relay.transport import tcp
from relay.transport.ice_lite import MAX_TCP_ADDRESSES, Address
from relay.transport.port import Port
from relay.transport.sdp import answer_viewer
from relay.transport.tcp import MAX_FRAME, MAX_UNSENT_BYTES, PROVE_SECONDS, Connection, TcpListener
from relay.transport.tcp_places import MAX_CONNECTIONS, MAX_STRANGERS, MAX_UNPROVED_PER_HOST
from tests.support.clients import Client, binding_request
from tests.support.ports import live_port, until
from tests.unit.transport.test_sdp import VIEWER


def frame(datagram: bytes) -> bytes:
    return len(datagram).to_bytes(2, "big") + datagram


class FakeReceiver:
    """A receiver that remembers."""

    def __init__(self) -> None:
        self.datagrams: list[bytes] = []
        self.lost: list[Address] = []
        self.batches: list[int] = []
        self.proved = True
        self.known: set[str] = set()

    def receive(self, data: bytes, source: Address, now: float) -> None:
        self.datagrams.append(data)

    def is_proved(self, address: Address) -> bool:
        return self.proved

    def is_known_host(self, host: str) -> bool:
        return host in self.known

    def end_batch(self, now: float) -> None:
        self.batches.append(len(self.datagrams) - sum(self.batches))

    def on_lost(self, address: Address) -> None:
        self.lost.append(address)


class Wire(asyncio.Transport):
    """The transport half of a connection, by hand."""

    def __init__(self, peer: Address | None = ("192.0.2.1", 5000)) -> None:
        super().__init__({"peername": peer})
        self.aborted = False
        self.paused = False
        self.waiting = 0
        self.written: list[bytes] = []

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))


def connected(listener: TcpListener, peer: Address = ("192.0.2.1", 5000)) -> tuple[Connection, Wire]:
    connection, wire = Connection(listener), Wire(peer)
    connection.connection_made(wire)
    return connection, wire


def listener() -> tuple[TcpListener, FakeReceiver, ManualClock]:
    receiver, clock = FakeReceiver(), ManualClock()
    return TcpListener(receiver, clock.monotonic, Counters()), receiver, clock


@given(st.lists(st.binary(min_size=1, max_size=MAX_FRAME), max_size=8), st.integers(1, 700))
def test_frames_are_cut_out_of_the_stream_however_it_is_chopped(datagrams: list[bytes], step: int) -> None:
    opened, receiver, _ = listener()
    connection, _ = connected(opened)
    stream = b"".join(map(frame, datagrams))
    for at in range(0, len(stream), step):
        connection.data_received(stream[at : at + step])
    assert receiver.datagrams == datagrams


@pytest.mark.parametrize("size", [0, MAX_FRAME + 1, 0xFFFF])
def test_a_frame_of_an_impossible_length_ends_the_connection(size: int) -> None:
    opened, receiver, _ = listener()
    connection, wire = connected(opened)
    connection.data_received(frame(b"good") + size.to_bytes(2, "big") + bytes(100))
    assert receiver.datagrams == [b"good"]
    assert wire.aborted
    assert receiver.lost == [connection.address]
    assert not opened.connections


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=200), max_size=10))
def test_arbitrary_bytes_never_raise_nor_pile_up(chunks: list[bytes]) -> None:
    opened, _, _ = listener()
    connection, _ = connected(opened)
    for chunk in chunks:
        connection.data_received(chunk)
        assert connection.unread < MAX_FRAME + 2


@pytest.mark.parametrize("junk", [b"\x04", b"\x16DTLS", b"\x80" + bytes(20), b"\xff"])
def test_a_stranger_who_sends_anything_but_checks_is_closed_at_once(junk: bytes) -> None:
    opened, receiver, _ = listener()
    receiver.proved = False
    connection, wire = connected(opened)
    connection.data_received(frame(b"\0check") + frame(junk) * 1000)
    assert receiver.datagrams == [b"\0check"]
    assert wire.aborted
    assert opened.counters.values["tcp_unproved"] == 1


def test_a_stranger_is_closed_before_the_rest_of_its_frame_is_there() -> None:
    opened, receiver, _ = listener()
    receiver.proved = False
    connection, wire = connected(opened)
    connection.data_received(b"\x05\0\x80")
    assert wire.aborted


def test_a_stranger_has_few_checks_and_who_proved_itself_has_no_such_bound() -> None:
    opened, receiver, _ = listener()
    receiver.proved = False
    connection, wire = connected(opened)
    connection.data_received(frame(b"\0check") * (tcp.FRAMES_UNPROVED + 1))
    assert len(receiver.datagrams) == tcp.FRAMES_UNPROVED
    assert wire.aborted
    receiver.proved = True
    other, wire = connected(opened, ("192.0.2.2", 1))
    for _ in range(10):
        other.data_received(frame(b"\x80media") * 10)
    assert not wire.aborted


async def test_a_fast_connection_is_worked_off_in_turns_and_not_read_meanwhile() -> None:
    opened, receiver, _ = listener()
    connection, wire = connected(opened)
    connection.data_received(frame(b"\x80") * (2 * tcp.FRAMES_PER_TURN + 5) + b"\0")
    assert len(receiver.datagrams) == tcp.FRAMES_PER_TURN
    states = [wire.paused]
    for _ in range(4):
        await asyncio.sleep(0)
    states.append(wire.paused)
    assert states == [True, False]
    assert receiver.batches == [tcp.FRAMES_PER_TURN, tcp.FRAMES_PER_TURN, 5]
    connection.data_received(b"\1\x80")
    assert len(receiver.datagrams) == 2 * tcp.FRAMES_PER_TURN + 6


def test_connections_of_strangers_are_bounded_and_the_oldest_silent_ones_give_way() -> None:
    opened, receiver, _ = listener()
    receiver.proved = False
    wires = [connected(opened, ("192.0.2.1", port))[1] for port in range(MAX_UNPROVED_PER_HOST + 3)]
    assert [wire.aborted for wire in wires] == [True] * 3 + [False] * MAX_UNPROVED_PER_HOST
    for host in range(1000):
        connected(opened, (f"10.0.{host >> 8}.{host & 255}", 1))
    assert len(opened.connections) == MAX_STRANGERS
    assert opened.counters.values["tcp_replaced"] == 3 + MAX_UNPROVED_PER_HOST + 1000 - MAX_STRANGERS
    assert receiver.lost[0] == ("tcp!192.0.2.1", 0)


def test_a_connection_whose_check_was_authentic_keeps_its_place() -> None:
    opened, receiver, _ = listener()
    connection, wire = connected(opened)
    connection.data_received(frame(b"\0check"))
    receiver.proved = False
    for host in range(1000):
        connected(opened, (f"10.0.{host >> 8}.{host & 255}", 1))
    assert not wire.aborted
    assert connection.address in opened.connections


def test_a_connection_that_finds_no_place_is_refused() -> None:
    opened, _, _ = listener()
    for number in range(MAX_CONNECTIONS):
        connected(opened, ("192.0.2.1", number))[0].data_received(frame(b"\0check"))
    _, wire = connected(opened, ("192.0.2.2", 1))
    assert wire.aborted
    assert opened.counters.values["tcp_refused"] == 1
    assert len(opened.connections) == MAX_CONNECTIONS


def test_who_proves_nothing_in_time_is_closed() -> None:
    opened, receiver, clock = listener()
    proved, _ = connected(opened, ("192.0.2.1", 1))
    idle, wire = connected(opened, ("192.0.2.1", 2))
    aborted = []
    for _ in range(2):
        clock.advance(PROVE_SECONDS * 0.6)
        opened.expire(lambda address: address == proved.address, clock.monotonic())
        aborted.append(wire.aborted)
    assert aborted == [False, True]
    assert receiver.lost == [idle.address]


def test_a_slow_connection_loses_packets_instead_of_queueing_them() -> None:
    opened, _, _ = listener()
    connection, wire = connected(opened)
    assert connection.send(b"one")
    wire.waiting = MAX_UNSENT_BYTES + 1
    assert not connection.send(b"two")
    wire.waiting = 0
    assert connection.send(memoryview(b"three"))
    assert wire.written == [frame(b"one"), frame(b"three")]
    connection.connection_lost(None)
    assert not connection.send(b"four")


@contextlib.asynccontextmanager
async def _over_tcp(port: Port, client: Client) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Lead a client's datagrams over a TCP connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _shake(client: Client, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(frame(binding_request(f"{client.local.ufrag}:{client.ufrag}", client.local.pwd)))
    for datagram in client.dtls.start(client.now):
        writer.write(frame(datagram))
    async with asyncio.timeout(10):
        while client.dtls.session is None:
            size = int.from_bytes(await reader.readexactly(2), "big")
            datagram = await reader.readexactly(size)
            if datagram[0] >= 20:
                for out in client.dtls.feed(datagram, client.now):
                    writer.write(frame(out))


async def test_a_peer_that_comes_over_tcp_connects_and_media_goes_both_ways() -> None:
    async with live_port() as port:
        await port.start_tcp()
        with Client(port, SystemClock()) as client:
            async with _over_tcp(port, client) as (reader, writer):
                await _shake(client, reader, writer)
                writer.write(frame(client.rtp(1)))
                await until(lambda: client.handler.rtp)
                out = bytearray(100)
                parts = [(b"\x80\x60\0" + bytes([seq]) + bytes(8), b"down", seq) for seq in range(2)]
                port.send_burst(client.peer, out, client.peer.srtp.seal_burst(parts, out))
                for _ in range(2):
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    assert client.srtp.open_rtp(await reader.readexactly(size))[12:] == b"down"
                assert client.peer.ice.selected is not None
                assert client.peer.ice.selected[0] == "tcp!127.0.0.1"
            await until(lambda: client.peer.ice.selected is None)
            assert not client.peer.closed, "it may come back by another way"
            assert port.send(client.peer, [b"x"]) == 0


async def test_a_peer_over_tcp_is_sent_a_goodbye_when_the_port_stops() -> None:
    async with live_port() as port:
        await port.start_tcp()
        with Client(port, SystemClock()) as client:
            async with _over_tcp(port, client) as (reader, writer):
                await _shake(client, reader, writer)
                await until(lambda: client.peer.connected)
                port.stop()
                data = await asyncio.wait_for(reader.read(), 10)
            while data:
                end = 2 + int.from_bytes(data[:2], "big")
                if data[2] >= 20:
                    client.dtls.feed(data[2:end], client.now)
                data = data[end:]
            assert client.dtls.closed


async def test_one_peer_has_few_places_however_many_connections_it_proves() -> None:
    async with live_port() as port, contextlib.AsyncExitStack() as stack:
        await port.start_tcp()
        client = stack.enter_context(Client(port, SystemClock()))
        reader, writer = await stack.enter_async_context(_over_tcp(port, client))
        await _shake(client, reader, writer)
        for _ in range(4 * MAX_TCP_ADDRESSES):
            reader, writer = await stack.enter_async_context(_over_tcp(port, client))
            writer.write(frame(binding_request(f"{client.local.ufrag}:{client.ufrag}", client.local.pwd)))
            await reader.readexactly(2)  # the check was answered
        assert len(client.peer.ice.validated) == MAX_TCP_ADDRESSES
        assert port.counters.values["tcp_retired"] == 3 * MAX_TCP_ADDRESSES + 1
        writer.write(frame(client.rtp(1)))
        await until(lambda: client.handler.rtp)


async def test_candidates_over_tcp_stand_below_those_over_udp_once_the_port_listens() -> None:
    async with live_port() as port:
        assert " tcp " not in answer_viewer(VIEWER, port.new_local()).text
        await port.start_tcp()
        text = answer_viewer(VIEWER, port.new_local()).text
        lines = dict.fromkeys(line for line in text.splitlines() if line.startswith("a=candidate"))
        candidates = [line.split() for line in lines]
        assert [words[2] for words in candidates] == ["udp", "tcp"]
        assert int(candidates[0][3]) > int(candidates[1][3])
        assert candidates[1][5] == str(port.port)
        assert candidates[1][-2:] == ["tcptype", "passive"]


async def test_a_taken_tcp_port_is_our_error() -> None:
    async with live_port() as port:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
            taken.bind(("127.0.0.1", port.port))
            taken.listen()
            with pytest.raises(OurError):
                await port.start_tcp()


@contextlib.asynccontextmanager
async def _silent_strangers(port: Port, count: int) -> AsyncIterator[None]:
    """Connections from many addresses of 127.0.0.0/8 that say nothing."""
    silent = []
    try:
        for number in range(count):
            await asyncio.sleep(0)
            sock = socket.socket()
            silent.append(sock)
            sock.bind((f"127.1.{number // 200}.{1 + number % 200}", 0))
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(("127.0.0.1", port.port))
        yield
    finally:
        for sock in silent:
            sock.close()


async def test_silent_strangers_from_many_addresses_keep_no_peer_out() -> None:
    async with live_port() as port, contextlib.AsyncExitStack() as stack:
        await port.start_tcp()
        await stack.enter_async_context(_silent_strangers(port, 2 * MAX_STRANGERS))
        await until(lambda: port.counters.values["tcp_replaced"] >= MAX_STRANGERS)
        client = stack.enter_context(Client(port, SystemClock()))
        reader, writer = await stack.enter_async_context(_over_tcp(port, client))
        await _shake(client, reader, writer)
        await stack.enter_async_context(_silent_strangers(port, 2 * MAX_STRANGERS))
        await until(lambda: port.counters.values["tcp_replaced"] >= 3 * MAX_STRANGERS)
        writer.write(frame(client.rtp(1)))
        await until(lambda: client.handler.rtp)
        assert port.counters.values["tcp_refused"] == 0


async def test_a_host_with_a_live_peer_has_a_place_that_strangers_cannot_take() -> None:
    async with live_port() as port, contextlib.AsyncExitStack() as stack:
        await port.start_tcp()
        client = stack.enter_context(Client(port, SystemClock()))
        username = f"{client.local.ufrag}:{client.ufrag}"
        port.on_datagram(binding_request(username, client.local.pwd), client.address, client.now)
        reader, writer = await stack.enter_async_context(_over_tcp(port, client))
        await until(lambda: _connections(port))
        await stack.enter_async_context(_silent_strangers(port, 3 * MAX_STRANGERS))
        await until(lambda: port.counters.values["tcp_replaced"] >= 2 * MAX_STRANGERS)
        await _shake(client, reader, writer)


def _connections(port: Port) -> int:
    assert port._tcp is not None
    return len(port._tcp.connections)


def test_a_connection_that_comes_again_from_the_same_port_before_its_end_was_read_is_counted_once() -> None:
    opened, receiver, _ = listener()
    receiver.proved = False
    for _ in range(2 * MAX_UNPROVED_PER_HOST):
        earlier, first = connected(opened)
        later, _ = connected(opened)
        assert first.aborted
        earlier.connection_lost(None)
        assert list(opened.connections.values()) == [later]
        later.connection_lost(None)
        assert not opened.connections
    assert [connected(opened, ("192.0.2.1", port))[0].address for port in range(1, 3)] == list(opened.connections)


def test_a_connection_that_was_reset_before_it_was_accepted_is_dropped_and_counted() -> None:
    opened, receiver, _ = listener()
    connection, wire = Connection(opened), Wire(None)
    connection.connection_made(wire)
    assert wire.aborted
    connection.data_received(frame(b"late"))
    connection.connection_lost(None)
    assert opened.counters.values["tcp_gone"] == 1
    assert [*opened.connections, *receiver.lost, *receiver.datagrams] == []


async def test_connections_that_are_reset_at_once_and_come_again_from_the_same_port_leave_nothing_behind() -> None:
    receiver, clock = FakeReceiver(), SystemClock()
    receiver.proved = False
    opened, listening = TcpListener(receiver, clock.monotonic, Counters()), socket.create_server(("127.0.0.1", 0))
    await opened.listen(listening)
    address = listening.getsockname()

    def connect(port: int) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # `close` sends a reset
        sock.bind(("127.0.0.1", port))
        sock.connect(address)
        return sock

    first = connect(0)
    port = first.getsockname()[1]
    for _ in range(2 * MAX_UNPROVED_PER_HOST):
        first.close()
        first = connect(port)
        await asyncio.sleep(0)
    await until(lambda: len(opened.connections) == 1)
    first.close()
    await until(lambda: not opened.connections)
    opened.close()
