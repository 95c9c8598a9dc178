"""A NAT between a peer and a port: it forwards datagrams and can silently change the address that the port sees."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from relay.transport.ice_lite import Address
from tests.support.ports import bound_socket


class Nat:
    """One inner peer, one outer target; `rebind` gives the peer another outside address, without notice to either side."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._inside = bound_socket()
        self._outside = bound_socket()
        self._peer: Address | None = None
        self.port: int = self._inside.getsockname()[1]

    @property
    def outside(self) -> Address:
        """What the port sees."""
        host, port = self._outside.getsockname()
        return host, port

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Nat"]:
        """Forward inside the block."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._inside.fileno(), self._outward)
        loop.add_reader(self._outside.fileno(), self._inward)
        try:
            yield self
        finally:
            for sock in (self._inside, self._outside):
                loop.remove_reader(sock.fileno())
                sock.close()

    def rebind(self) -> None:
        """Lose the mapping: from now on everything comes from a new outside port, and nothing reaches the old one."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._outside.fileno())
        self._outside.close()
        self._outside = bound_socket()
        loop.add_reader(self._outside.fileno(), self._inward)

    def _outward(self) -> None:
        data, self._peer = _receive(self._inside)
        if data:
            self._outside.sendto(data, self._target)

    def _inward(self) -> None:
        data, _ = _receive(self._outside)
        if data and self._peer is not None:
            self._inside.sendto(data, self._peer)


def _receive(sock: socket.socket) -> tuple[bytes, Address | None]:
    with contextlib.suppress(OSError):
        data, address = sock.recvfrom(2048)
        return data, address
    return b"", None
