"""What it costs to answer from the address that was asked: a socket for each address, and IP_PKTINFO, beside one socket.

    scripts/bench addresses [--rounds 15] [--packets 2000]

Datagrams of 1100 bytes on 127.0.0.0/8.  *read*: from the kernel through the port's demultiplexing to a peer that does nothing.
*send*: runs of 20 segments, to a socket that is emptied between the measurements.  µs of CPU per datagram, the lowest of the
rounds, in which the ways take turns.  Fails where a socket for each address costs more than `MOST` times what one socket does.

Owns: the ways, the figures and the bound.  Must never know: media, who a peer is.
"""

import argparse
import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

from relay.base.clock import SystemClock
from relay.base.counters import Counters
from relay.transport import dtls
from relay.transport.binding import bind_all
from relay.transport.ice_lite import Address
from relay.transport.peer import Peer
from relay.transport.pktinfo import SendingSocket, answering
from relay.transport.port import Port, PortSettings

MOST: Final = 1.08
RUN: Final = 20
PACKET: Final = b"\x80" + bytes(1099)
ASKED, LATE = "127.0.0.1", "127.0.0.3"
PLAIN, EACH, TOLD = "one socket", "a socket for each address", "IP_PKTINFO"
FIGURES = ("read", "send")


class Idle:
    """In the place of a peer: a packet costs nothing."""

    def on_srtp(self, packet: bytes, source: Address, now: float) -> bool:
        """Take a packet; nobody has to be served for it."""
        return False


@dataclass
class Way:
    """One way to be measured: a port, which of its sockets is read, and what sends."""

    port: Port
    sock: socket.socket
    sending: SendingSocket
    host: str

    def read(self, friend: socket.socket, count: int) -> float:
        """Return µs per datagram that a known address sent."""
        for _ in range(count):
            friend.sendto(PACKET, (self.host, self.port.port))
        left, begun = count, time.process_time()
        while left > 0:
            received = self.port._drain(self.sock, self.sock, 64)
            assert received, "the kernel dropped datagrams: raise net.core.rmem_max, or measure fewer --packets"
            left -= received
        return (time.process_time() - begun) / count * 1e6

    def send(self, friend: socket.socket, count: int) -> float:
        """Return µs per datagram sent to a known address."""
        source, runs = friend.getsockname(), max(1, count // RUN // 10)
        self.port._sender.take_way(source, self.sending)
        spent = 0.0
        for _ in range(10):
            begun = time.process_time()
            for _ in range(runs):
                assert self.port.transmit((PACKET,) * RUN, source) == RUN
            spent += time.process_time() - begun
            with contextlib.suppress(BlockingIOError):
                while True:
                    friend.recv(2048)
        return spent / (10 * runs * RUN) * 1e6


@contextlib.contextmanager
def ways(friend: socket.socket) -> Iterator[dict[str, Way]]:
    """Make the ports; `friend` is an address that each of them knows."""
    identity = dtls.new_identity()
    with contextlib.ExitStack() as opened:

        def port(bound: tuple[str, ...], machine: tuple[str, ...]) -> tuple[Port, list[socket.socket]]:
            socks = [opened.enter_context(sock) for sock in bind_all(bound, machine, 0)]
            made = Port(socks[0], identity, SystemClock(), Counters(), PortSettings(), socks[1:])
            made.table.by_address[friend.getsockname()] = cast(Peer, Idle())
            return made, socks

        alone, (only,) = port((ASKED,), ())
        shared, (every, own, *_) = port(("0.0.0.0",), (ASKED, "127.0.0.2"))  # noqa: S104 - what is measured
        told = answering(every, ((socket.IPPROTO_IP, 8, struct.pack("=I4s4s", 0, socket.inet_aton(LATE), bytes(4))),))
        yield {
            PLAIN: Way(alone, only, only, ASKED),
            EACH: Way(shared, own, own, ASKED),
            TOLD: Way(shared, every, told, LATE),
        }


def measure(rounds: int, packets: int) -> dict[str, dict[str, float]]:
    """Return the lowest figures of each way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as friend:
        friend.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        friend.bind((ASKED, 0))
        friend.setblocking(False)
        with ways(friend) as made:
            found: dict[str, dict[str, float]] = {name: {} for name in made}
            for _ in range(rounds):
                for name, way in made.items():
                    steps: dict[str, Callable[[socket.socket, int], float]] = {"read": way.read, "send": way.send}
                    for figure, step in steps.items():
                        found[name][figure] = min(found[name].get(figure, 1e9), step(friend, packets))
    return found


def main() -> None:
    """Measure, print, and fail beyond the bound."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench addresses", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--packets", type=int, default=2000)
    options: Any = parser.parse_args()
    found = measure(options.rounds, options.packets)
    print("| way | read, µs | send, µs |\n|---|---|---|")
    for name, figures in found.items():
        print(f"| {name} | {figures['read']:.2f} | {figures['send']:.2f} |")
    ratios = {figure: found[EACH][figure] / found[PLAIN][figure] for figure in FIGURES}
    print("ratio of the second to the first: " + ", ".join(f"{figure} {ratio:.3f}" for figure, ratio in ratios.items()))
    if max(ratios.values()) > MOST:
        raise SystemExit(f"a socket for each address costs more than {MOST} times one socket")


if __name__ == "__main__":
    main()
