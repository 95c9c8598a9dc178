"""An impairment driven by the event loop.

Owns: one timer.  Must never know: sockets: it calls a function with each datagram that arrives.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from sim_cameras.impair import Impairment, Network

T = TypeVar("T")


class ImpairedPath(Generic[T]):
    """One direction of a simulated network: `send` at one end, `deliver` is called at the other."""

    def __init__(self, network: Network, seed: int, deliver: Callable[[T], None]) -> None:
        self.impairment: Impairment[T] = Impairment(network, seed)
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def send(self, datagram: T, size: int) -> None:
        """Send a datagram of `size` bytes; a perfect network delivers before this returns."""
        if self.impairment.transparent:
            self.impairment.tally.offered += 1
            self.impairment.tally.delivered += 1
            self._deliver(datagram)
            return
        self.impairment.push(datagram, size, self._loop.time())
        self._flush()

    def cut(self, seconds: float) -> None:
        """Lose everything for `seconds` from now."""
        self.impairment.cut(self._loop.time(), seconds)

    def close(self) -> None:
        """Drop the datagrams that are under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        for datagram in self.impairment.pop(self._loop.time()):
            self._deliver(datagram)
        due = self.impairment.next_at()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if due is None else self._loop.call_at(due, self._flush)
