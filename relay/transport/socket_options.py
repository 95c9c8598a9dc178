"""Linux's socket options that Python does not name.

Owns: buffer sizes and the kernel's count of dropped datagrams.  Must never know: who sends.
"""

import socket
import sys
from typing import Final

_SO_MEMINFO: Final = 55
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33


def overflow(sock: socket.socket) -> int:
    """Datagrams that the kernel dropped on a socket (SO_MEMINFO, SK_MEMINFO_DROPS), 0 where it does not say."""
    try:
        words = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64)
    except OSError:
        return 0
    return int.from_bytes(words[32:36], sys.byteorder)


def set_buffers(sock: socket.socket, size: int) -> tuple[int, int]:
    """Ask for buffers (beyond the system's limit where we may) and return what the kernel really gave, in bytes."""
    granted = []
    for normal, forced in ((socket.SO_RCVBUF, _SO_RCVBUFFORCE), (socket.SO_SNDBUF, _SO_SNDBUFFORCE)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, size)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, normal, size)
        # Linux doubles the value for its own book-keeping (socket(7)).
        granted.append(sock.getsockopt(socket.SOL_SOCKET, normal) // 2)
    return granted[0], granted[1]
