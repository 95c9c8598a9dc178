"""The UDP sockets of one port number: one for each address of the machine.

Owns: which sockets are bound, and in which order.  Must never know: peers, datagrams.

A socket that is bound to one address answers from that address.  A socket that is bound to all answers from the one that the
kernel chooses, and a peer that asked another one drops the answer.  IP_PKTINFO says and sets the address for each datagram, but
makes each read a third dearer; a socket for each address costs nothing per datagram.  So the addresses that are known at the
start have sockets of their own, and `pktinfo` serves the rest.
"""

import contextlib
import errno
import socket
from typing import Final

from relay.runtime.host_addresses import WILDCARDS
from relay.transport.pktinfo import tell

MAX_ADDRESSES: Final = 32
"""Addresses of the machine with a socket of their own; the rest is served by the socket of all addresses."""


def bind_all(bound: tuple[str, ...], machine: tuple[str, ...], port: int) -> list[socket.socket]:
    """Bind one non-blocking UDP socket for each address; behind a wildcard also one for each address of `machine`.

    Each answers from its own address, whatever address the kernel would choose.  The wildcard's own sockets, first in the list,
    take what comes to all other addresses.  Raises OSError, and then leaves no socket open.
    """
    with contextlib.ExitStack() as opened:
        made = []
        for host in bound:
            made.append(opened.enter_context(_udp(host, port, shares=False)))
            port = made[-1].getsockname()[1]
            if host in WILDCARDS:
                # Only after it was bound, so that no other process can hold this port before us.
                made[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                tell(made[-1])
        for host in behind(bound, machine)[:MAX_ADDRESSES]:
            try:
                made.append(opened.enter_context(_udp(host, port, shares=True)))
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:  # it went meanwhile
                    raise
        opened.pop_all()
    return made


def behind(bound: tuple[str, ...], machine: tuple[str, ...]) -> tuple[str, ...]:
    """Return the addresses of the machine that the wildcards among `bound` cover."""
    families = {":" in host for host in bound if host in WILDCARDS}
    return tuple(address for address in machine if (":" in address) in families and address not in bound)


def reachable(bound: tuple[str, ...], machine: tuple[str, ...]) -> tuple[str, ...]:
    """Return the addresses that are served: those that are bound, and those behind the wildcards among them."""
    return (*(host for host in bound if host not in WILDCARDS), *behind(bound, machine))


def tcp_addresses(udp: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return where to listen by TCP beside these UDP sockets: a connection knows its address, so a wildcard needs no others."""
    families = {":" in host for host, _port in udp if host in WILDCARDS}
    return [(host, port) for host, port in udp if host in WILDCARDS or (":" in host) not in families]


def _udp(host: str, port: int, *, shares: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shares:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno or errno.EIO, f"{error.strerror or error} ({host})") from error
    return sock
