"""A UDP proxy with a bad network inside, for clients that cannot be changed: `python -m sim_cameras.impair_proxy`.

Owns: one listening socket and one socket towards the target per client.  Must never know: what the datagrams say.  The client
must be given the proxy's address instead of the target's (its SDP answer rewritten, or the relay's advertised address).
"""

import asyncio
import contextlib
import dataclasses
import logging
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from sim_cameras import scenario
from sim_cameras.impair import Network, Tally
from sim_cameras.impaired_path import ImpairedPath

Address: TypeAlias = tuple[str, int]

_MAX_CLIENTS = 256
_RECEIVE_BUFFER = 4 << 20

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class ImpairProxy:
    """Forwards datagrams both ways through one simulated network per client and direction.

    Client number n (in order of appearance) is given the seeds `seed + 2n` (towards the target) and `seed + 2n + 1` (back).
    At most 256 clients; more are ignored and counted in `refused`.
    """

    def __init__(self, target: Address, up: Network, down: Network, seed: int) -> None:
        self._target = target
        self._up = up
        self._down = down
        self._seed = seed
        self._clients: dict[Address, _Client] = {}
        self._front: asyncio.DatagramTransport | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self.refused = 0
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator["ImpairProxy"]:
        """Proxy inside the block; `port` says where."""
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(lambda: _Receiver(self._from_client), local_addr=(host, port))
        _widen(self._front)
        self.port = self._front.get_extra_info("sockname")[1]
        try:
            yield self
        finally:
            for task in self._opening:
                task.cancel()
            await asyncio.gather(*self._opening, return_exceptions=True)
            self._front.close()
            for client in self._clients.values():
                client.close()

    def set_network(self, up: Network, down: Network) -> None:
        """Change both directions for every client, present and to come."""
        self._up, self._down = up, down
        for client in self._clients.values():
            client.up.impairment.network, client.down.impairment.network = up, down

    def cut(self, seconds: float) -> None:
        """Lose everything in both directions for `seconds`."""
        for client in self._clients.values():
            client.up.cut(seconds)
            client.down.cut(seconds)

    def tallies(self) -> list[tuple[Tally, Tally]]:
        """Return, per client in order of appearance, what was done towards the target and back."""
        return [(client.up.impairment.tally, client.down.impairment.tally) for client in self._clients.values()]

    def _from_client(self, data: bytes, address: Address) -> None:
        client = self._clients.get(address)
        if client is None:
            if len(self._clients) >= _MAX_CLIENTS:
                self.refused += 1
                return
            client = self._clients[address] = self._admit(address)
        client.up.send(data, len(data))

    def _admit(self, address: Address) -> "_Client":
        """Make the two directions of a new client; its socket is opened meanwhile."""
        seed = self._seed + 2 * len(self._clients)
        front = self._front
        assert front is not None
        down: ImpairedPath[bytes] = ImpairedPath(self._down, seed + 1, lambda data: front.sendto(data, address))
        client = _Client(ImpairedPath(self._up, seed, lambda data: client.to_target(data)), down)
        opening = asyncio.ensure_future(client.open(self._target))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        return client


@dataclasses.dataclass
class _Client:
    """One client: two links and its socket towards the target."""

    up: ImpairedPath[bytes]
    down: ImpairedPath[bytes]
    transport: asyncio.DatagramTransport | None = None
    waiting: list[bytes] = dataclasses.field(default_factory=list)

    def to_target(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.sendto(data)
        elif len(self.waiting) < 64:
            self.waiting.append(data)

    async def open(self, target: Address) -> None:
        loop = asyncio.get_running_loop()
        receiver = _Receiver(lambda data, _: self.down.send(data, len(data)))
        self.transport, _ = await loop.create_datagram_endpoint(lambda: receiver, remote_addr=target)
        _widen(self.transport)
        for data in self.waiting:
            self.transport.sendto(data)
        self.waiting.clear()

    def close(self) -> None:
        self.up.close()
        self.down.close()
        if self.transport is not None:
            self.transport.close()


class _Receiver(asyncio.DatagramProtocol):
    """Hands datagrams to a function."""

    def __init__(self, receive: Any) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Hand one over."""
        self._receive(data, addr)


def _widen(transport: asyncio.DatagramTransport) -> None:
    """Enlarge the kernel's buffers: the proxy must lose the datagrams of its network and no others."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)


@app.command()
def proxy(
    to: Annotated[str, typer.Option(help="HOST:PORT of the target.")],
    listen: Annotated[str, typer.Option(help="HOST:PORT to listen on; port 0 takes a free one.")] = "127.0.0.1:0",
    loss: Annotated[float, typer.Option(help="Share of datagrams lost each way, 0 to 1.")] = 0.0,
    burst: Annotated[float, typer.Option(help="Mean length of a run of losses.")] = 1.0,
    delay: Annotated[float, typer.Option(help="Seconds of delay each way.")] = 0.0,
    jitter: Annotated[float, typer.Option(help="Seconds of jitter each way.")] = 0.0,
    duplicate: Annotated[float, typer.Option(help="Share of datagrams duplicated.")] = 0.0,
    reorder: Annotated[float, typer.Option(help="Share of datagrams overtaken.")] = 0.0,
    bandwidth: Annotated[float | None, typer.Option(help="Bits per second each way.")] = None,
    script: Annotated[Path | None, typer.Option(help="Scenario in TOML; its network and cut steps are played.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same losses.")] = 1,
) -> None:
    """Forward UDP through a simulated network until Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        network = Network(loss, burst, delay, jitter, duplicate, reorder, bandwidth=bandwidth)
        steps = scenario.load(script) if script is not None else ()
        ends = _address(listen), _address(to)
    except (ValueError, OSError, scenario.ScenarioError) as error:
        raise typer.BadParameter(str(error)) from error
    asyncio.run(_serve(*ends, network, steps, seed))


async def _serve(listen: Address, target: Address, network: Network, steps: tuple[scenario.Step, ...], seed: int) -> None:
    until = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, until.set)
    async with ImpairProxy(target, network, network, seed).running(*listen) as running, asyncio.TaskGroup() as tasks:
        logging.info("listening on port %d", running.port)
        playing = tasks.create_task(_play(running, steps))
        await until.wait()
        playing.cancel()
    for up, down in running.tallies():
        logging.info("up %s down %s", up, down)


async def _play(proxy: ImpairProxy, steps: tuple[scenario.Step, ...]) -> None:
    start = asyncio.get_running_loop().time()
    for step in steps:
        await asyncio.sleep(max(0.0, start + step.at - asyncio.get_running_loop().time()))
        if step.do == "network":
            proxy.set_network(step.network(), step.network())
        elif step.do == "cut":
            proxy.cut(step.seconds or 0.0)


def _address(text: str) -> Address:
    """Return host and port; raises ValueError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"want HOST:PORT, not {text}")
    return host, int(port)


if __name__ == "__main__":
    app()
