"""The addresses of this machine, as the kernel lists them (rtnetlink(7)).

Owns: one netlink socket, and how its answers are read.  Must never know: what the addresses are for.

The socket is opened before a process enters its cage, so that addresses that come later (DHCP, a VPN, a mobile network) are
seen too.  It can only be asked; a user without rights over the network can change nothing through it.
"""

import contextlib
import ipaddress
import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from relay.base.errors import OurError

WILDCARDS: Final = {"0.0.0.0": ("0.0.0.0",), "::": ("::", "0.0.0.0")}  # noqa: S104 - names of what may be bound
"""`0.0.0.0` means every IPv4 address, `::` every address: two sockets, because one for both families shows IPv4 as IPv6."""

_REQUEST: Final = struct.pack("=LHHLL", 24, 22, 0x301, 1, 0) + bytes(8)
"""RTM_GETADDR with NLM_F_REQUEST | NLM_F_DUMP, and an empty ifaddrmsg: all families."""
_NEW_ADDRESS, _DONE, _ERROR = 20, 3, 2
_ADDRESS, _LOCAL, _FLAGS = 1, 2, 8
_TEMPORARY, _DEAD, _DEPRECATED, _TENTATIVE = 0x01, 0x08, 0x20, 0x40
_SCOPE_LINK: Final = 253
_MAX_READS: Final = 256
"""Reads of one list: some 50 addresses come in each."""


class HostAddress(NamedTuple):
    """An address that packets can reach the machine at."""

    address: str
    interface: int
    """The interface's index, in the order in which the machine got them."""


class HostAddresses:
    """Asks the kernel; without netlink (another system, a container that forbids it) no address is known."""

    def __init__(self) -> None:
        self._sock: socket.socket | None = None
        with contextlib.suppress(OSError, AttributeError):
            self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
            self._sock.setblocking(False)

    @property
    def is_known(self) -> bool:
        """Whether this machine's addresses can be listed."""
        return self._sock is not None

    def now(self) -> tuple[str, ...]:
        """Return the addresses that the machine has now, loopback among them; empty where the kernel does not say."""
        if self._sock is None:
            return ()
        try:
            self._sock.send(_REQUEST)
            return tuple(dict.fromkeys(found.address for found in self._answers(self._sock)))
        except OSError:
            return ()

    def close(self) -> None:
        """Let go of the socket."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _answers(self, sock: socket.socket) -> Iterator[HostAddress]:
        for _ in range(_MAX_READS):
            try:
                read = sock.recv(1 << 16)
            except BlockingIOError:  # the kernel has its answer ready: nothing is left of it
                return
            found, is_last = parse(read)
            yield from found
            if is_last:
                return


def machine_addresses() -> tuple[str, ...]:
    """Return the addresses that this machine has now, asked once."""
    addresses = HostAddresses()
    try:
        return addresses.now()
    finally:
        addresses.close()


def parse(read: bytes) -> tuple[list[HostAddress], bool]:
    """Return the usable addresses of one netlink read, and whether the list ends with it.

    Left out: IPv6 addresses of one link (they need an interface beside them), temporary ones (they change within a day),
    deprecated ones, and those not yet or never proved unique.  What is malformed ends the list.
    """
    found: list[HostAddress] = []
    at = 0
    while at + 16 <= len(read):
        length, kind = struct.unpack_from("=LH", read, at)
        if length < 16 or at + length > len(read) or kind in (_DONE, _ERROR):
            return found, True
        if kind == _NEW_ADDRESS and length >= 24:
            usable = _usable(read[at + 16 : at + length])
            found += [usable] if usable is not None else []
        at += length + 3 & ~3
    return found, False


def _usable(message: bytes) -> HostAddress | None:
    family, _prefix, flags, scope, interface = struct.unpack_from("=BBBBI", message)
    values = dict(_attributes(message, 8))
    if len(values.get(_FLAGS, b"")) == 4:
        (flags,) = struct.unpack("=I", values[_FLAGS])
    packed = values.get(_LOCAL, values.get(_ADDRESS, b""))
    if (family, len(packed)) == (socket.AF_INET, 4):
        return HostAddress(socket.inet_ntop(socket.AF_INET, packed), interface)
    if (family, len(packed)) != (socket.AF_INET6, 16):
        return None
    if scope == _SCOPE_LINK or flags & (_TEMPORARY | _DEAD | _DEPRECATED | _TENTATIVE):
        return None
    return HostAddress(socket.inet_ntop(socket.AF_INET6, packed), interface)


def _attributes(message: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if length < 4 or at + length > len(message):
            return
        yield kind, message[at + 4 : at + length]
        at += length + 3 & ~3


def resolve(host: str) -> tuple[str, ...]:
    """Return the addresses that a host of the settings stands for: a wildcard, an address, or a name's addresses.

    Raises OurError for a name that has none here.
    """
    if host in WILDCARDS:
        return WILDCARDS[host]
    with contextlib.suppress(ValueError):
        return (str(ipaddress.ip_address(host)),)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise OurError(f"{host}: {error.strerror}. Name an address of this machine") from error
    return tuple(dict.fromkeys(str(address[0]) for _family, _kind, _protocol, _name, address in found))
