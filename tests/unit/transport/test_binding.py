"""One socket for each address: what was asked at one is answered from there.  Real sockets on 127.0.0.0/8 and ::1."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from relay.base.clock import SystemClock
from relay.base.counters import Counters
from relay.transport import pktinfo
from relay.transport.binding import bind_all, reachable, tcp_addresses
from relay.transport.port import Port, PortSettings
from relay.transport.sdp import Remote
from tests.support.clients import binding_request
from tests.support.ports import IDENTITY, Remembering, bound_socket

MACHINE = ("127.0.0.1", "127.0.0.2", "::1")
LATE = "127.0.0.3"
"""Ours, and without a socket of its own."""
EVERY = ("::", "0.0.0.0")
REMOTE = Remote("abcd", "p" * 24, (), "actpass")


@pytest.fixture
def socks() -> Iterator[list[socket.socket]]:
    made = bind_all(EVERY, MACHINE, 0)
    yield made
    for sock in made:
        sock.close()


@contextlib.asynccontextmanager
async def running(socks: list[socket.socket]) -> AsyncIterator[Port]:
    port = Port(socks[0], IDENTITY, SystemClock(), Counters(), PortSettings(), socks[1:])
    port.start()
    try:
        yield port
    finally:
        port.stop()


async def asked(port: Port, client: socket.socket, host: str, ufrag: str, pwd: str, *, nominates: bool = True) -> str:
    """Send a check to one address of the relay; return the address that answers."""
    request = binding_request(f"{ufrag}:{REMOTE.ufrag}", pwd, use_candidate=nominates)
    client.sendto(request, (host, port.port))
    async with asyncio.timeout(10):
        _data, source = await asyncio.get_running_loop().sock_recvfrom(client, 1500)
    return str(source[0])


def test_all_addresses_share_one_port_and_the_wildcards_come_first(socks: list[socket.socket]) -> None:
    names = [sock.getsockname()[:2] for sock in socks]
    assert [host for host, _port in names] == [*EVERY, *MACHINE]
    assert len({port for _host, port in names}) == 1


def test_no_other_process_can_take_the_port(socks: list[socket.socket]) -> None:
    port = socks[0].getsockname()[1]
    with pytest.raises(OSError, match="Address already in use"):
        bind_all(("127.0.0.1",), (), port)
    with pytest.raises(OSError, match="Address already in use"):
        bind_all(EVERY, MACHINE, port)


def test_an_address_that_went_is_left_to_the_wildcard() -> None:
    made = bind_all(("0.0.0.0",), ("192.0.2.77", "127.0.0.1"), 0)
    assert [sock.getsockname()[0] for sock in made] == ["0.0.0.0", "127.0.0.1"]
    for sock in made:
        sock.close()


def test_an_address_of_the_settings_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(OSError, match=r"192\.0\.2\.77"):
        bind_all(("192.0.2.77",), (), 0)


def test_what_is_served_and_where_tcp_listens() -> None:
    assert reachable(("0.0.0.0",), MACHINE) == ("127.0.0.1", "127.0.0.2")
    assert reachable(EVERY, MACHINE) == MACHINE
    assert reachable(("127.0.0.2",), MACHINE) == ("127.0.0.2",)
    udp = [(host, 8500) for host in (*EVERY, *MACHINE)]
    assert tcp_addresses(udp) == [("::", 8500), ("0.0.0.0", 8500)]
    assert tcp_addresses(udp[2:]) == udp[2:]


async def test_the_answer_leaves_from_the_address_that_was_asked(socks: list[socket.socket]) -> None:
    async with running(socks) as port:
        local = port.new_local(MACHINE)
        port.add(local, REMOTE, Remembering(), SystemClock().monotonic())
        with bound_socket() as client, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as by_ipv6:
            by_ipv6.bind(("::1", 0))
            by_ipv6.setblocking(False)
            for host in ("127.0.0.1", "127.0.0.2", LATE, "127.0.0.1", LATE):
                assert await asked(port, client, host, local.ufrag, local.pwd, nominates=False) == host
            assert await asked(port, by_ipv6, "::1", local.ufrag, local.pwd) == "::1"


async def test_media_leave_from_the_address_that_the_peer_nominated(socks: list[socket.socket]) -> None:
    async with running(socks) as port:
        local = port.new_local(MACHINE)
        peer = port.add(local, REMOTE, Remembering(), SystemClock().monotonic())
        with bound_socket() as client:
            loop = asyncio.get_running_loop()
            for host, nominates, expected in (
                ("127.0.0.2", False, "127.0.0.2"),
                ("127.0.0.1", False, "127.0.0.2"),
                ("127.0.0.1", True, "127.0.0.1"),
                ("127.0.0.2", True, "127.0.0.2"),
                (LATE, True, LATE),
            ):
                await asked(port, client, host, local.ufrag, local.pwd, nominates=nominates)
                assert port.transmit((bytes(100), bytes(100), bytes(100)), client.getsockname()) == 3
                assert port.transmit((bytes(100),), client.getsockname()) == 1
                for _ in range(4):
                    assert (await loop.sock_recvfrom(client, 1500))[1][0] == expected
            peer.close("over")
            assert port._sender.ways == 0, "nothing of a peer that is gone"


async def test_by_ipv6_too_addresses_without_a_socket_answer_for_themselves() -> None:
    socks = bind_all(EVERY, (), 0)
    try:
        async with running(socks) as port:
            local = port.new_local(("::1",))
            port.add(local, REMOTE, Remembering(), SystemClock().monotonic())
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
                client.bind(("::1", 0))
                client.setblocking(False)
                assert await asked(port, client, "::1", local.ufrag, local.pwd) == "::1"
                assert port.transmit((bytes(100), bytes(100)), client.getsockname()[:2]) == 2
                assert (await asyncio.get_running_loop().sock_recvfrom(client, 1500))[1][0] == "::1"
    finally:
        for sock in socks:
            sock.close()


@pytest.mark.parametrize(
    "told", [[], [(0, 8, b"short")], [(1, 8, bytes(12))], [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, b"")]]
)
def test_where_the_kernel_tells_nothing_of_use_it_chooses_the_address(
    told: list[tuple[int, int, bytes]], socks: list[socket.socket]
) -> None:
    assert pktinfo.answering(socks[0], told) is socks[0]


async def test_tcp_listens_on_every_address(socks: list[socket.socket]) -> None:
    async with running(socks) as port:
        await port.start_tcp()
        for host in MACHINE:
            _reader, writer = await asyncio.open_connection(host, port.port)
            assert writer.get_extra_info("peername")[0] == host
            writer.close()
            await writer.wait_closed()
