"""The socket of all addresses: for each datagram, to which of our addresses it came, and from which one the answer leaves.

Owns: IP_PKTINFO (ip(7)) and IPV6_PKTINFO (RFC 3542 §6).  Must never know: peers, STUN, what a datagram says.

Only addresses without a socket of their own (`binding`) come here: those that the machine got after the start, and ranges that
are routed to it.  A read that is told its address costs a third more than one that is not.
"""

import socket
import struct
from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

from relay.transport.ice_lite import Address

Control: TypeAlias = Sequence[tuple[int, int, bytes]]

_IP_PKTINFO: Final = 8
_V4: Final = struct.Struct("=I4s4s")
_V6: Final = struct.Struct("=16sI")
_LINK: Final = b"\xfe\x80"
_NOT_A_CHECK: Final = b"\x04"
"""RFC 7983: the first byte of a check is less."""
SPACE: Final = socket.CMSG_SPACE(_V6.size)
"""Bytes of control data that a read needs."""


class SendingSocket(Protocol):
    """A socket, or one that always sends from one address."""

    def sendto(self, data: bytes | memoryview, address: Address, /) -> int:
        """Send one datagram; raises OSError."""
        ...

    def sendmsg(
        self, parts: Sequence[bytes | memoryview], control: Control = (), flags: int = 0, address: Address | None = None, /
    ) -> int:
        """Send what `parts` hold; raises OSError."""
        ...


class FromAddress:
    """The sending half of a socket of all addresses, bound to one of them."""

    __slots__ = ("_control", "_sock")

    def __init__(self, sock: socket.socket, control: tuple[int, int, bytes]) -> None:
        self._sock = sock
        self._control = (control,)

    def sendto(self, data: bytes | memoryview, address: Address, /) -> int:
        """See `SendingSocket`."""
        return self._sock.sendmsg((data,), self._control, 0, address)

    def sendmsg(
        self, parts: Sequence[bytes | memoryview], control: Control = (), flags: int = 0, address: Address | None = None, /
    ) -> int:
        """See `SendingSocket`."""
        return self._sock.sendmsg(parts, (*self._control, *control), flags, address)


class Asked(Protocol):
    """Whoever answers checks."""

    came_by: SendingSocket


class ToldSocket:
    """The reading half: before it returns a check, `asked` knows from where to answer it."""

    __slots__ = ("_answering", "_asked", "_sock")

    def __init__(self, sock: socket.socket, answering: socket.socket, asked: Asked) -> None:
        """`answering`: the port's socket of this address, which may be another one than is read."""
        self._sock = sock
        self._answering = answering
        self._asked = asked

    def recvfrom(self, size: int, /) -> tuple[bytes, tuple[str, int]]:
        """As that of a socket; raises OSError."""
        data, told, _flags, source = self._sock.recvmsg(size, SPACE)
        if data[:1] < _NOT_A_CHECK:
            self._asked.came_by = answering(self._answering, told)
        return data, source


def tell(sock: socket.socket) -> None:
    """Have the kernel say of each datagram to which address it came."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def answering(sock: socket.socket, told: Control) -> SendingSocket:
    """Return what answers from the address that a datagram came to, by what the kernel told of it; the socket where nothing."""
    for level, kind, value in told:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO) and len(value) == _V4.size:
            _interface, ours, _destination = _V4.unpack(value)
            return FromAddress(sock, (level, kind, _V4.pack(0, ours, bytes(4))))
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO) and len(value) == _V6.size:
            ours, interface = _V6.unpack(value)
            # The interface matters where the address is valid on one link only; else the route decides.
            return FromAddress(sock, (level, kind, _V6.pack(ours, interface if ours.startswith(_LINK) else 0)))
    return sock
