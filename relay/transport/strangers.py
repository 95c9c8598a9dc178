"""The queue of strangers: datagrams from addresses that passed no check are read at a bounded pace.

Owns: the second socket, and when it is read.  Must never know: what a datagram says.

The kernel sorts by source address (`reuseport_filter`), so that a flood from strangers fills this queue only.  After a full
batch the socket is left alone for a while: a flood must not buy our time.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Final

from relay.transport.ice_lite import Address
from relay.transport.reuseport_filter import ReuseportFilter
from relay.transport.socket_options import overflow

BUFFER_BYTES: Final = 256 << 10
BATCH: Final = 32
PAUSE_SECONDS: Final = 0.001
"""With the batch: at most 32 000 datagrams a second."""

logger = logging.getLogger(__name__)


class StrangersQueue:
    """Reads the strangers' socket of one port; without the kernel's help there is none, and one queue for all."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, drain: Callable[[socket.socket, int], int]
    ) -> None:
        """`drain(socket, batch)` reads up to a batch and returns how many datagrams there were."""
        self._loop = loop
        self._drain = drain
        self.received = 0
        """Datagrams read from this queue."""
        self.known: frozenset[Address] = frozenset()
        """Addresses that queue with the port's own."""
        self._filter: ReuseportFilter | None = None
        try:
            self._filter = ReuseportFilter(sock, BUFFER_BYTES)
        except OSError:  # an old kernel, or a port that other programs share already
            logger.warning("strangers cannot be queued apart on this system")
        else:
            self._listen()

    @property
    def is_apart(self) -> bool:
        """Whether strangers have a queue of their own."""
        return self._filter is not None

    @property
    def overflow(self) -> int:
        """Datagrams that the kernel dropped because this queue was full."""
        return 0 if self._filter is None else overflow(self._filter.strangers)

    def know(self, addresses: Iterable[Address]) -> None:
        """Queue these addresses with the port's own; all others are strangers."""
        if self._filter is not None:
            self.known = frozenset(addresses)
            self._filter.know(self.known)

    def close(self) -> None:
        """Give the port back to its own socket alone."""
        if self._filter is not None:
            self._loop.remove_reader(self._filter.strangers.fileno())
            self._filter.close()
            self._filter = None

    def _listen(self) -> None:
        if self._filter is not None:
            self._loop.add_reader(self._filter.strangers.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        if self._filter is None:
            return
        descriptor = self._filter.strangers.fileno()
        received = self._drain(self._filter.strangers, BATCH)
        self.received += received
        if received == BATCH:
            self._loop.remove_reader(descriptor)
            self._loop.call_later(PAUSE_SECONDS, self._listen)
