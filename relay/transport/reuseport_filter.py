"""Two queues on one UDP port: the kernel sorts datagrams by source before we spend a microsecond on them.

Owns: a second socket on the same UDP port, and the program by which the kernel chooses between the two
(SO_REUSEPORT with SO_ATTACH_REUSEPORT_CBPF, socket(7)).  Must never know: peers, STUN, what a datagram says.

Datagrams from addresses that passed a check go to the port's own socket, all others to the strangers' socket, whose buffer is
small.  A flood from strangers thus fills its own queue only; peers that stream lose nothing and do not wait.  The filter sorts
and authorizes nothing: both sockets lead to the same demultiplexing, which trusts neither.
"""

import ctypes
import socket
import struct
from collections.abc import Iterable
from typing import Final

from relay.runtime.host_addresses import WILDCARDS
from relay.transport.ice_lite import Address
from relay.transport.pktinfo import tell

MAX_KNOWN: Final = 2000
"""Addresses that fit into a program of at most 4096 instructions; the rest queue with strangers."""
_SO_ATTACH_REUSEPORT_CBPF: Final = 51
_NETWORK_HEADER: Final = 0xFFF00000  # SKF_NET_OFF, -0x100000
_OURS, _STRANGERS = 0, 1  # order of binding

_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _LOAD_KEPT = 0x20, 0x28, 0x30, 0x61
_STORE, _AND, _SHIFT_LEFT, _XOR_KEPT, _IF_EQUAL, _JUMP, _RETURN = 0x02, 0x54, 0x64, 0xAC, 0x15, 0x05, 0x06


class ReuseportFilter:
    """The second socket of one port, and the filter on both."""

    def __init__(self, sock: socket.socket, buffer: int) -> None:
        """Open the strangers' socket beside a bound one; raises OSError where the kernel refuses.

        The port's first socket must have been bound without SO_REUSEPORT, so that a second process still cannot take the port
        unnoticed.
        """
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.strangers = socket.socket(sock.family, socket.SOCK_DGRAM)
        self._sock = sock
        try:
            self.strangers.setblocking(False)
            self.strangers.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self.strangers.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            if sock.getsockname()[0] in WILDCARDS:
                tell(self.strangers)
            if sock.family == socket.AF_INET6:
                only = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
                self.strangers.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
            self.strangers.bind(sock.getsockname())
            self.know(())
        except OSError:
            self.close()
            raise

    def know(self, addresses: Iterable[Address]) -> None:
        """Sort by these addresses from now on.  Raises OSError."""
        code = program(addresses)
        held = ctypes.create_string_buffer(code, len(code))
        described = struct.pack("HP", len(code) // 8, ctypes.addressof(held))
        self._sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, described)

    def close(self) -> None:
        """Give the port back to its own socket alone."""
        self.strangers.close()


def program(addresses: Iterable[Address]) -> bytes:
    """Assemble the classic BPF that returns 0 for known sources and 1 for strangers.

    A source is known by (low 32 bits of its address) ^ (port << 16): a stranger that has the same number by chance gains
    a place in the better queue, nothing more.
    """
    code = [
        _instruction(_LOAD_BYTE, _NETWORK_HEADER),
        _instruction(_AND, 0xF0),
        _instruction(_IF_EQUAL, 0x60, 4, 0),
        *_load(address=12, port=20),
        _instruction(_JUMP, 3),
        *_load(address=20, port=40),
        _instruction(_SHIFT_LEFT, 16),
        _instruction(_LOAD_KEPT, 0),
        _instruction(_XOR_KEPT, 0),
    ]
    for key in sorted({_key(address) for address in addresses})[:MAX_KNOWN]:
        code += [_instruction(_IF_EQUAL, key, 0, 1), _instruction(_RETURN, _OURS)]
    return b"".join([*code, _instruction(_RETURN, _STRANGERS)])


def _load(address: int, port: int) -> list[bytes]:
    """Keep the low word of the source address, then load the source port; offsets from the IP header (without options)."""
    return [
        _instruction(_LOAD_WORD, _NETWORK_HEADER + address),
        _instruction(_STORE, 0),
        _instruction(_LOAD_HALF, _NETWORK_HEADER + port),
    ]


def _key(address: Address) -> int:
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host.partition("%")[0])
    return int.from_bytes(packed[-4:], "big") ^ port << 16


def _instruction(operation: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", operation, if_true, if_false, operand)
