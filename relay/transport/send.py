"""Datagrams out, as few system calls as the kernel allows.

Owns: segmentation (UDP_SEGMENT, udp(7)), by which of our sockets an address is served, and what to do when the kernel refuses.
Must never know: who the datagrams are for.

A run of packets of one size, the last one maybe shorter, leaves in one `sendmsg`.  Refusals cost the addressee its own
packets only: they are dropped and counted, nothing waits.
"""

import errno
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from relay.base.counters import Counters, declare
from relay.rtp.burst import Layout
from relay.transport.ice_lite import Address
from relay.transport.pktinfo import SendingSocket

declare(
    udp_sent="datagrams that the kernel took (over TCP: that a connection took)",
    send_blocked="datagrams dropped because the socket's buffer was full",
    send_refused="datagrams dropped because the kernel refused their destination",
    send_unsegmented="runs sent one by one because the kernel refused to segment them",
)

MAX_SEGMENTS: Final = 64
MAX_BYTES: Final = 65_507
_SOL_UDP: Final = 17
_UDP_SEGMENT: Final = 103
_BLOCKED: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})
_UNSEGMENTABLE: Final = frozenset({errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.EOPNOTSUPP, errno.ENOPROTOOPT})
_MAX_REFUSALS: Final = 3
"""Refusals in a row after which segmentation is not tried again towards an address."""
_MAX_REFUSING: Final = 1024
"""Addresses of which that is remembered."""

_PACK: Final = struct.Struct("=H").pack

_Run: TypeAlias = tuple[tuple[memoryview], tuple[tuple[int, int, bytes]] | None, Sequence[int]]
"""(what to send, how the kernel cuts it, the packets' sizes)."""


class DatagramStream(Protocol):
    """A connection that carries datagrams (`relay.transport.tcp`)."""

    def send(self, datagram: bytes | memoryview) -> bool:
        """Send one, or drop it and say False."""
        ...


class Sender:
    """The sending half of a port's UDP sockets; addresses in `streams` go over their connections instead."""

    def __init__(self, sock: socket.socket, counters: Counters) -> None:
        """`sock`: the port's first socket; addresses that came by another one are in the map of ways (`take_way`)."""
        self.streams: Mapping[Address, DatagramStream] = {}
        self._sock = sock
        self._ways: dict[Address, SendingSocket] = {}
        """A peer takes an answer only from the address of ours that it asked."""
        self._counters = counters
        self._refusals: dict[Address, int] = {}
        """In a row, by address.  What the kernel refuses depends on the route (its MTU, IPsec, a device without checksums): no
        peer may spoil it for the others."""

    @property
    def refusing(self) -> int:
        """How many addresses are remembered whose route refused segmentation."""
        return len(self._refusals)

    def is_segmenting(self, address: Address) -> bool:
        """Whether UDP_SEGMENT is (still) used towards an address."""
        return not self._refusals or self._refusals.get(address, 0) < _MAX_REFUSALS

    def take_way(self, address: Address, sock: SendingSocket) -> None:
        """Serve an address by the socket that it reached us at."""
        if sock is self._sock:
            self._ways.pop(address, None)
        else:
            self._ways[address] = sock

    def forget_way(self, address: Address) -> None:
        """An address is nobody's any more."""
        self._ways.pop(address, None)

    @property
    def ways(self) -> int:
        """How many addresses are served by another socket than the first."""
        return len(self._ways)

    def answer(self, datagram: bytes, address: Address, sock: SendingSocket) -> int:
        """Send one datagram by the socket at which its question came; returns how many the kernel took."""
        if self.streams and (stream := self.streams.get(address)) is not None:
            return self._counted(int(stream.send(datagram)))
        return self._send_one(datagram, address, sock)

    def _sock_of(self, address: Address) -> SendingSocket:
        return self._ways.get(address, self._sock) if self._ways else self._sock

    def send(self, datagrams: Sequence[bytes], address: Address) -> int:
        """Send datagrams to one address, in order; returns how many the kernel took."""
        if self.streams and (stream := self.streams.get(address)) is not None:
            return self._counted(sum(stream.send(datagram) for datagram in datagrams))
        if len(datagrams) == 1:
            return self._send_one(datagrams[0], address, self._sock_of(address))
        taken = 0
        for first, last in runs([len(datagram) for datagram in datagrams]):
            taken += self._send_run(datagrams[first:last], address)
        return taken

    def send_burst(self, out: bytearray, lengths: Sequence[int], address: Address, at: int = 0) -> int:
        """Send consecutive packets of `out`, the first at offset `at`; returns how many the kernel took."""
        view = memoryview(out)
        if self.streams and (stream := self.streams.get(address)) is not None:
            return self._streamed(stream, view[at:], lengths)
        taken = 0
        for first, last in runs(lengths):
            sizes = lengths[first:last]
            end = at + sum(sizes)
            if last - first > 1 and self.is_segmenting(address):
                taken += self._segmented([view[at:end]], sizes, address)
            else:
                taken += self._one_by_one(view[at:end], sizes, address)
            at = end
        return taken

    def send_layout(self, layout: Layout, address: Address) -> int:
        """Send a sealed burst from where it is laid out; how it is cut into runs is remembered with it."""
        if self.streams and (stream := self.streams.get(address)) is not None:
            return self._streamed(stream, memoryview(layout.buffer), layout.lengths)
        prepared = layout.prepared
        if not isinstance(prepared, list):
            prepared = layout.prepared = _prepare(layout)
        sock = self._sock_of(address)
        sent = taken = 0
        for parts, control, sizes in prepared:
            if self._refusals and not self.is_segmenting(address):
                taken += self._one_by_one(parts[0], sizes, address)
                continue
            try:
                if control is None:
                    sock.sendto(parts[0], address)
                else:
                    sock.sendmsg(parts, control, 0, address)
                    if self._refusals:
                        self._refusals.pop(address, None)
            except OSError as error:
                taken += self._refused_run(error, parts, sizes, address) if control else self._dropped(error, 1)
            else:
                sent += len(sizes)
        self._counters.values["udp_sent"] += sent
        return sent + taken

    def _streamed(self, stream: DatagramStream, view: memoryview, sizes: Sequence[int]) -> int:
        taken = at = 0
        for size in sizes:
            taken += stream.send(view[at : at + size])
            at += size
        return self._counted(taken)

    def _counted(self, taken: int) -> int:
        self._counters.count("udp_sent", taken)
        return taken

    def _send_run(self, datagrams: Sequence[bytes], address: Address) -> int:
        if len(datagrams) == 1 or not self.is_segmenting(address):
            sock = self._sock_of(address)
            return sum(self._send_one(datagram, address, sock) for datagram in datagrams)
        return self._segmented(datagrams, [len(datagram) for datagram in datagrams], address)

    def _segmented(self, parts: Sequence[bytes | memoryview], sizes: Sequence[int], address: Address) -> int:
        control = ((_SOL_UDP, _UDP_SEGMENT, _PACK(sizes[0])),)
        try:
            self._sock_of(address).sendmsg(parts, control, 0, address)
        except OSError as error:
            return self._refused_run(error, parts, sizes, address)
        if self._refusals:
            self._refusals.pop(address, None)
        self._counters.values["udp_sent"] += len(sizes)
        return len(sizes)

    def _refused_run(self, error: OSError, parts: Sequence[bytes | memoryview], sizes: Sequence[int], address: Address) -> int:
        if error.errno not in _UNSEGMENTABLE:
            return self._dropped(error, len(sizes))
        if address not in self._refusals and len(self._refusals) >= _MAX_REFUSING:
            del self._refusals[next(iter(self._refusals))]
        self._refusals[address] = self._refusals.get(address, 0) + 1
        self._counters.count("send_unsegmented")
        return self._one_by_one(memoryview(b"".join(parts)), sizes, address)

    def _one_by_one(self, view: memoryview, sizes: Sequence[int], address: Address) -> int:
        sock = self._sock_of(address)
        taken = at = 0
        for size in sizes:
            taken += self._send_one(view[at : at + size], address, sock)
            at += size
        return taken

    def _send_one(self, datagram: bytes | memoryview, address: Address, sock: SendingSocket) -> int:
        try:
            sock.sendto(datagram, address)
        except OSError as error:
            return self._dropped(error, 1)
        self._counters.values["udp_sent"] += 1
        return 1

    def _dropped(self, error: OSError, count: int) -> int:
        self._counters.count("send_blocked" if error.errno in _BLOCKED else "send_refused", count)
        return 0


def _prepare(layout: Layout) -> list[_Run]:
    view = memoryview(layout.buffer)
    found: list[_Run] = []
    at = 0
    for first, last in runs(layout.lengths):
        sizes = layout.lengths[first:last]
        end = at + sum(sizes)
        control = ((_SOL_UDP, _UDP_SEGMENT, _PACK(sizes[0])),) if len(sizes) > 1 else None
        found.append(((view[at:end],), control, sizes))
        at = end
    return found


def runs(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut a sequence of packet lengths into (first, last+1) runs that one segmented send can carry.

    All but the last packet of a run have the same length, the last is not longer; at most 64 packets and 65 507 bytes.
    """
    first, count = 0, len(lengths)
    while first < count:
        size = lengths[first]
        limit = min(count, first + max(1, min(MAX_SEGMENTS, MAX_BYTES // max(size, 1))))
        last = first + 1
        while last < limit and lengths[last] == size:
            last += 1
        if last < limit and lengths[last] < size:
            last += 1
        yield first, last
        first = last
