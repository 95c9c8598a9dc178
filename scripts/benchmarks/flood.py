"""`scripts/bench flood [--seconds N] [--rate N] [--kinds a,b] [--json FILE]`: what a flood does to others' streams.

Three processes on 127.0.0.1: the relay's port with two cameras, each forwarded to a viewer of its own (250 packets/s of 1050
bytes, sealed as a leg seals them); the traffic's ends, which measure loss and delay; and the flooder.  Where a flood aims at a
peer, by its ufrag or by its address, it aims at the first pair; the figures are the second's, the first's loss beside them.
Owns: the floods and the figures.  Must never know: how the port defends itself.  The relay has a core of its own where there
are two.  Every flood is bounded in time and goes to our own port only.
"""

import argparse
import asyncio
import dataclasses
import json
import multiprocessing
import os
import socket
import struct
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import uvloop
from aioice import stun as aioice_stun

from relay.base.clock import SystemClock
from relay.base.counters import Counters
from relay.transport import dtls
from relay.transport.port import Peer, Port, PortSettings
from relay.transport.sdp import Local, Remote

PACKETS_PER_SECOND = 250
PAYLOAD = 1050
SEGMENTS = 48
KINDS = ("none", "junk", "media", "hello", "unknown", "known", "replay", "forged")
MEANINGS = {
    "none": "no flood",
    "junk": "random bytes",
    "media": "SRTP from a stranger",
    "hello": "ClientHello from a stranger",
    "unknown": "STUN, unknown ufrag",
    "known": "forged STUN, known ufrag",
    "replay": "recorded SRTP replayed from the camera's address",
    "forged": "forged SRTP from the camera's address",
}


HEADINGS = (
    "flood",
    "datagrams/s read",
    "relay CPU",
    "sent",
    "lost",
    "p50 ms",
    "p99 ms",
    "max ms",
    "kernel dropped",
    "lost of the attacked",
    "strangers dropped",
)


class Forwarding:
    """The smallest leg there is: seals what a camera sends for its viewer."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.viewer: Peer | None = None
        self._parts: list[tuple[bytes, bytes, int]] = []
        self._index = 0
        self._out = bytearray(1 << 18)

    def on_connected(self, peer: Peer, now: float) -> None:
        """Nothing to do."""

    def on_rtp(self, peer: Peer, packet: bytes, now: float) -> None:
        """Queue for the viewer."""
        header = packet[:2] + (self._index & 0xFFFF).to_bytes(2, "big") + packet[4:12]
        self._parts.append((header, packet[12:], self._index))
        self._index += 1

    def on_rtcp(self, peer: Peer, compound: bytes, now: float) -> None:
        """Nothing to do."""

    def on_batch_end(self, now: float) -> None:
        """Seal and send what came."""
        parts, self._parts = self._parts, []
        if self.viewer is not None and self.viewer.connected and parts:
            lengths = self.viewer.srtp.seal_burst(parts, self._out)
            self.port.send_burst(self.viewer, self._out, lengths)

    def on_closed(self, peer: Peer, reason: str, now: float) -> None:
        """A bench that loses a peer has nothing to say any more."""
        raise SystemExit(f"a peer was lost: {reason}")


def relay(pipe: Connection, socket_buffer: int) -> None:
    """Process 1: the port.  Answers `remote` with `local`, `cpu` with its figures, `end` by ending."""
    _pin(0)
    uvloop.run(_relay(pipe, socket_buffer))


async def _relay(pipe: Connection, socket_buffer: int) -> None:
    sock = _bound()
    counters, clock = Counters(), SystemClock()
    port = Port(sock, dtls.new_identity(), clock, counters, PortSettings(socket_buffer=socket_buffer, silence_after=60.0))
    port.start()
    pairs: dict[str, Forwarding] = {}
    pipe.send((port.port, port.receive_buffer))
    while True:  # the worker's own pace of ticks
        await asyncio.sleep(0.02)
        port.tick(clock.monotonic())
        while pipe.poll():
            asked = pipe.recv()
            if asked == "end":
                return
            if asked == "cpu":
                pipe.send((time.process_time(), dict(counters.values)))
            else:
                local = port.new_local()
                handler = pairs.setdefault(asked.ufrag[-1], Forwarding(port))
                peer = port.add(local, asked, handler, clock.monotonic())
                handler.viewer = peer if asked.ufrag.startswith("view") else handler.viewer
                pipe.send(local)


class End:
    """One end of the traffic, by plain blocking socket."""

    def __init__(self, pipe: Connection, name: str, target: tuple[str, int]) -> None:
        identity = dtls.Context(dtls.new_identity())
        self.sock = _bound(blocking=True)
        self.target = target
        pipe.send(Remote(name, "p" * 22, (identity.fingerprint,), "actpass"))
        self.local: Local = pipe.recv()
        self.name = name
        self.dtls = dtls.Endpoint(identity, "client", (self.local.fingerprint,))
        self._connect()

    def check(self, password: str | None = None, ufrag: str | None = None) -> bytes:
        """A connectivity check."""
        message = aioice_stun.Message(message_method=aioice_stun.Method.BINDING, message_class=aioice_stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{ufrag or self.local.ufrag}:{self.name}"
        message.attributes["PRIORITY"] = 1
        message.attributes["ICE-CONTROLLING"] = 1
        message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity((password or self.local.pwd).encode())
        return bytes(message)

    def _connect(self) -> None:
        self.sock.sendto(self.check(), self.target)
        self.sock.settimeout(5)
        self.sock.recv(2048)
        for datagram in self.dtls.start(0.0):
            self.sock.sendto(datagram, self.target)
        while self.dtls.session is None:
            for datagram in self.dtls.feed(self.sock.recv(2048), 0.0):
                self.sock.sendto(datagram, self.target)
        self.sock.settimeout(0)


def flood(target: tuple[str, int], samples: list[bytes], source: tuple[str, int] | None, rate: int, seconds: float) -> None:
    """Process 3: send `rate` datagrams a second, `SEGMENTS` equal ones per system call."""
    _pin(1)
    sock = _bound(source)
    size = len(samples[0])
    runs = [b"".join(samples[(at * 7 + part) % len(samples)] for part in range(SEGMENTS)) for at in range(16)]
    control = [(17, 103, struct.pack("=H", size))]
    began, sent = time.monotonic(), 0
    while (elapsed := time.monotonic() - began) < seconds:
        if sent >= elapsed * rate:
            time.sleep(0.0005)
            continue
        try:
            sock.sendmsg([runs[sent // SEGMENTS % 16]], control, 0, target)
        except BlockingIOError:
            time.sleep(0.0005)
        sent += SEGMENTS


def samples_of(kind: str, camera: End, recorded: list[bytes]) -> list[bytes]:
    """Datagrams of one size for a kind of flood."""
    if kind == "junk":
        return [os.urandom(60) for _ in range(200)]
    if kind == "media":
        return [b"\x80\x60" + os.urandom(98) for _ in range(200)]
    if kind == "hello":
        return [b"\x16\xfe\xfd" + os.urandom(97) for _ in range(200)]
    if kind == "unknown":
        return [camera.check(ufrag=os.urandom(4).hex()) for _ in range(200)]
    if kind == "known":
        return [camera.check(password="guessed password") for _ in range(200)]
    if kind == "replay":
        return recorded[:200]
    return [b"\x80\x60" + os.urandom(1000) for _ in range(200)]


@dataclasses.dataclass
class Row:
    """What one flood did."""

    kind: str
    datagrams_per_second: int
    relay_cpu: float
    sent: int
    lost: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    overflow: int
    attacked_lost: int
    strangers_dropped: int


class Traffic:
    """A camera and a viewer; packets carry their time of sending."""

    def __init__(self, camera: End, viewer: End) -> None:
        self.camera, self.viewer = camera, viewer
        self.index = self.sent = 0
        self.delays: list[float] = []
        self.recorded: list[bytes] = []

    def advance(self, elapsed: float) -> bool:
        """Send what is due and take what has come; return whether a datagram was due."""
        due = self.sent < elapsed * PACKETS_PER_SECOND
        if due:
            self._send()
            self.sent += 1
        self.delays += self._receive()
        return due

    def restart(self) -> None:
        """Begin a measurement."""
        self.sent, self.delays = 0, []

    def _send(self) -> None:
        header = struct.pack("!BBHII", 0x80, 96, self.index & 0xFFFF, 0, 0x1234)
        payload = struct.pack("!d", time.monotonic()) + bytes(PAYLOAD - 8)
        packet = self.camera.dtls.session.seal(header, payload, self.index)  # type: ignore[union-attr]
        self.index += 1
        if len(self.recorded) < 200:
            self.recorded.append(packet)
        self.camera.sock.sendto(packet, self.camera.target)

    def _receive(self) -> Iterator[float]:
        while True:
            try:
                packet = self.viewer.sock.recv(2048)
            except BlockingIOError:
                return
            if packet[0] >= 128:
                now = time.monotonic()
                plain = self.viewer.dtls.session.open_rtp(packet)  # type: ignore[union-attr]
                yield now - struct.unpack_from("!d", plain, 12)[0]


def run(pairs: list[Traffic], seconds: float) -> None:
    """Send for a while, and wait half a second for the last packets."""
    for pair in pairs:
        pair.restart()
    start = time.monotonic()
    while (elapsed := time.monotonic() - start) < seconds + 0.5:
        if not any([pair.advance(min(elapsed, seconds)) for pair in pairs]):
            time.sleep(0.0003)


def measure(kind: str, pipe: Connection, pairs: list[Traffic], rate: int, seconds: float) -> Row:
    """One kind of flood."""
    attacked, other = pairs
    camera = attacked.camera
    flooder = None
    if kind != "none":
        source = camera.sock.getsockname() if kind in ("replay", "forged") else None
        samples = samples_of(kind, camera, attacked.recorded)
        arguments = (camera.target, samples, source, rate, seconds + 0.6)
        flooder = multiprocessing.get_context("spawn").Process(target=flood, args=arguments)
        flooder.start()
        time.sleep(1.0)
    before, wall = _ask(pipe), time.monotonic()
    run(pairs, seconds)
    after, wall = _ask(pipe), time.monotonic() - wall
    if flooder is not None:
        flooder.join()
    ordered = sorted(other.delays) or [float("nan")]
    received = after[1]["udp_received"] - before[1]["udp_received"] - other.sent - attacked.sent
    return Row(
        kind=kind,
        datagrams_per_second=round(received / wall),
        relay_cpu=round((after[0] - before[0]) / wall, 3),
        sent=other.sent,
        lost=other.sent - len(other.delays),
        p50_ms=round(ordered[len(ordered) // 2] * 1e3, 2),
        p99_ms=round(ordered[len(ordered) * 99 // 100] * 1e3, 2),
        max_ms=round(ordered[-1] * 1e3, 2),
        overflow=after[1]["udp_overflow"] - before[1]["udp_overflow"],
        attacked_lost=attacked.sent - len(attacked.delays),
        strangers_dropped=after[1]["udp_strangers_overflow"] - before[1]["udp_strangers_overflow"],
    )


def _ask(pipe: Connection) -> tuple[float, dict[str, int]]:
    pipe.send("cpu")
    answer: tuple[float, dict[str, int]] = pipe.recv()
    return answer


def _bound(address: tuple[str, int] | None = None, blocking: bool = False) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(address or ("127.0.0.1", 0))
    sock.setblocking(blocking)
    return sock


def _pin(core: int) -> None:
    os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})


def main() -> None:
    """Run the floods and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=int, default=100_000)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--socket-buffer", type=int, default=8 << 20)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    pipe, theirs = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=relay, args=(theirs, arguments.socket_buffer), daemon=True)
    process.start()
    _pin(1)
    port, buffer = pipe.recv()
    target = ("127.0.0.1", port)
    pairs = [Traffic(End(pipe, f"cam{at}", target), End(pipe, f"view{at}", target)) for at in range(2)]
    run(pairs, 1.0)
    print(f"socket buffer granted: {buffer} bytes")
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
    rows = []
    for kind in arguments.kinds.split(","):
        row = measure(kind, pipe, pairs, arguments.rate, arguments.seconds)
        rows.append(dataclasses.asdict(row))
        values = " | ".join(str(value) for value in dataclasses.astuple(row)[1:])
        print(f"| {MEANINGS[kind]} | {values} |", flush=True)
    pipe.send("end")
    process.join()
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
