"""The UDP proxy between two real sockets of the loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from sim_cameras.impair import Network
from sim_cameras.impair_proxy import ImpairProxy


class Echo(asyncio.DatagramProtocol):
    """Answers each datagram with itself."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


class Client(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.arrived = asyncio.Event()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.got.append(data)
        self.arrived.set()


@contextlib.asynccontextmanager
async def endpoint(protocol: Callable[[], Any], **where: Any) -> AsyncIterator[tuple[Any, Any]]:
    """A datagram endpoint that is closed whatever happens."""
    transport, made = await asyncio.get_running_loop().create_datagram_endpoint(protocol, **where)
    try:
        yield transport, made
    finally:
        transport.close()
        await asyncio.sleep(0)


async def until_met(proxy: ImpairProxy, count: int) -> None:
    """Wait until the proxy has given its network `count` datagrams for the target: none waits in a kernel buffer."""
    while not proxy.tallies() or proxy.tallies()[0][0].offered < count:  # noqa: ASYNC110 - the proxy tells nobody
        await asyncio.sleep(0)


async def exchange(up: Network, down: Network, count: int) -> tuple[list[int], ImpairProxy]:
    """Send `count` numbered datagrams to an echo behind the proxy, then a last one without losses; return what came back."""
    async with (
        endpoint(Echo, local_addr=("127.0.0.1", 0)) as (echo, _),
        ImpairProxy(echo.get_extra_info("sockname"), up, down, 7).running() as proxy,
        endpoint(Client, remote_addr=("127.0.0.1", proxy.port)) as (transport, client),
    ):
        for number in range(count):
            transport.sendto(number.to_bytes(4, "big"))
            await until_met(proxy, number + 1)
        proxy.set_network(Network(), Network())
        transport.sendto(b"last")
        await until_met(proxy, count + 1)
        while not client.got or client.got[-1] != b"last":
            client.arrived.clear()
            await client.arrived.wait()
    return [int.from_bytes(data, "big") for data in client.got if data != b"last"], proxy


async def test_without_impairment_everything_passes_both_ways() -> None:
    got, _ = await exchange(Network(), Network(), 300)
    assert got == list(range(300))


async def test_the_same_seed_loses_the_same_datagrams() -> None:
    first, proxy = await exchange(Network(loss=0.1), Network(), 300)
    second, _ = await exchange(Network(loss=0.1), Network(), 300)
    assert first == second
    assert 200 < len(first) < 300
    up, down = proxy.tallies()[0]
    assert up.lost == 300 - len(first)
    assert down.lost == 0
