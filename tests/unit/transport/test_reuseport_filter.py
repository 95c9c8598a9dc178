"""The kernel sorts datagrams by source; real sockets on loopback."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from relay.transport.reuseport_filter import MAX_KNOWN, ReuseportFilter, program

HOSTS = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}


def bound(host: str) -> socket.socket:
    sock = socket.socket(HOSTS[host], socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


def drain(sock: socket.socket) -> list[bytes]:
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(sock.recv(100))
    return found


@pytest.fixture(params=sorted(HOSTS))
def scene(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, ReuseportFilter, socket.socket, socket.socket]]:
    with bound(request.param) as port, bound(request.param) as friend, bound(request.param) as stranger:
        kernel_filter = ReuseportFilter(port, 1 << 16)
        yield port, kernel_filter, friend, stranger
        kernel_filter.close()


def test_known_sources_and_strangers_queue_apart(
    scene: tuple[socket.socket, ReuseportFilter, socket.socket, socket.socket],
) -> None:
    port, kernel_filter, friend, stranger = scene
    others = [(f"10.0.{number >> 8}.{number & 255}", number) for number in range(1, 1500)]
    kernel_filter.know([*others, friend.getsockname()[:2]])
    for _ in range(3):
        stranger.sendto(b"stranger", port.getsockname())
        friend.sendto(b"friend", port.getsockname())
    assert drain(port) == [b"friend"] * 3
    assert drain(kernel_filter.strangers) == [b"stranger"] * 3
    kernel_filter.know([])
    friend.sendto(b"friend", port.getsockname())
    assert drain(kernel_filter.strangers) == [b"friend"]


def test_a_flood_of_strangers_fills_only_its_own_queue(
    scene: tuple[socket.socket, ReuseportFilter, socket.socket, socket.socket],
) -> None:
    port, kernel_filter, friend, stranger = scene
    kernel_filter.know([friend.getsockname()[:2]])
    for _ in range(2000):
        stranger.sendto(bytes(1000), port.getsockname())
    friend.sendto(b"friend", port.getsockname())
    assert drain(port) == [b"friend"]
    assert len(drain(kernel_filter.strangers)) < 1000


def test_when_the_filter_is_gone_everything_comes_to_the_port(
    scene: tuple[socket.socket, ReuseportFilter, socket.socket, socket.socket],
) -> None:
    port, kernel_filter, _, stranger = scene
    kernel_filter.close()
    stranger.sendto(b"stranger", port.getsockname())
    assert drain(port) == [b"stranger"]


def test_a_second_process_still_cannot_take_the_port_unnoticed(
    scene: tuple[socket.socket, ReuseportFilter, socket.socket, socket.socket],
) -> None:
    port, _, _, _ = scene
    with socket.socket(port.family, socket.SOCK_DGRAM) as other, pytest.raises(OSError, match="in use"):
        other.bind(port.getsockname())


def test_more_addresses_than_a_program_holds_queue_with_strangers() -> None:
    code = program([(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1) for number in range(MAX_KNOWN + 500)])
    assert len(code) // 8 <= 4096


def test_a_socket_that_cannot_be_shared_is_refused_and_nothing_is_left_open() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.connect(("127.0.0.1", 9))
        port.setblocking(False)
        with pytest.raises(OSError, match="Cannot assign"):
            ReuseportFilter(_Unbindable(port), 1 << 16)  # type: ignore[arg-type]


class _Unbindable:
    """A socket whose address cannot be bound again."""

    def __init__(self, sock: socket.socket) -> None:
        self.family = sock.family
        self.setsockopt = sock.setsockopt

    def getsockname(self) -> tuple[str, int]:
        """An address that is not this machine's."""
        return "192.0.2.1", 9
