"""A real port on 127.0.0.1 with a handler that remembers, and pre-encoded H.264 to send through it."""

import asyncio
import contextlib
import fractions
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
from aiortc.codecs.h264 import H264Encoder

from relay.base.clock import SystemClock
from relay.base.counters import Counters
from relay.transport import dtls, sdp
from relay.transport.port import Peer, Port, PortSettings

FPS = 30


@dataclass(eq=False)
class Remembering:
    """A handler that keeps everything that it receives."""

    rtp: list[bytes] = field(default_factory=list)
    rtcp: list[bytes] = field(default_factory=list)
    batches: int = 0
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str | None = None
    on_rtcp_hook: Callable[[bytes], None] | None = None

    def on_connected(self, peer: Peer, now: float) -> None:
        """See `PeerHandler`."""
        self.connected.set()

    def on_rtp(self, peer: Peer, packet: bytes, now: float) -> None:
        """See `PeerHandler`."""
        self.rtp.append(packet)

    def on_rtcp(self, peer: Peer, compound: bytes, now: float) -> None:
        """See `PeerHandler`."""
        self.rtcp.append(compound)

    def on_batch_end(self, now: float) -> None:
        """See `PeerHandler`."""
        self.batches += 1

    def on_closed(self, peer: Peer, reason: str, now: float) -> None:
        """See `PeerHandler`."""
        self.reason = reason
        self.closed.set()

    async def has_rtp(self, count: int) -> None:
        """Wait until so many packets came."""
        await until(lambda: len(self.rtp) >= count)


async def until(condition: Callable[[], object], seconds: float = 90) -> None:
    """Wait until something of the outside world holds; long, because only a failing test waits to the end."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is awaited belongs to other programs and has no event
            await asyncio.sleep(0.01)


def bound_socket() -> socket.socket:
    """A non-blocking UDP socket on a free port of 127.0.0.1."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


IDENTITY = dtls.new_identity()


@contextlib.asynccontextmanager
async def live_port(**settings: Any) -> AsyncIterator[Port]:
    """A port that reads its socket and ticks."""
    clock = SystemClock()
    with bound_socket() as sock:
        port = Port(sock, IDENTITY, clock, Counters(), PortSettings(**settings))
        port.start()
        ticking = asyncio.create_task(_tick(port, clock))
        try:
            yield port
        finally:
            ticking.cancel()
            port.stop()


async def _tick(port: Port, clock: SystemClock) -> None:
    while True:
        await asyncio.sleep(0.02)
        port.tick(clock.monotonic())


def admit_camera(port: Port, offer: str, handler: Remembering) -> tuple[Peer, sdp.PublisherAnswer]:
    """Answer a camera's offer and expect it."""
    local = port.new_local()
    answer = sdp.answer_publisher(offer, local)
    return port.add(local, answer.remote, handler, SystemClock().monotonic()), answer


def admit_viewer(port: Port, offer: str, handler: Remembering) -> tuple[Peer, sdp.ViewerAnswer]:
    """Answer a viewer's offer and expect it."""
    local = port.new_local()
    answer = sdp.answer_viewer(offer, local)
    return port.add(local, answer.remote, handler, SystemClock().monotonic()), answer


def encode(frames: int, width: int = 320, height: int = 240, profile: str = "baseline") -> list[list[bytes]]:
    """Encode moving stripes; returns the RTP payloads of each frame, the first an IDR."""
    options = {"preset": "ultrafast", "tune": "zerolatency", "profile": profile, "g": "30"}
    if profile == "high":
        options |= {"x264-params": "8x8dct=1:cabac=1"}
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.options = options
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base = fractions.Fraction(1, FPS)
    codec.bit_rate = 300_000
    packer = H264Encoder()
    packed = []
    for at in range(frames):
        picture = np.full((height, width, 3), 40, np.uint8)
        picture[:, (at * 4) % width : (at * 4) % width + 32] = 220
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = at
        for packet in codec.encode(frame):
            packet.time_base = codec.time_base
            packed.append(packer.pack(packet)[0])
    return packed


class TestSender:
    """Sends frames in a loop to one slot of a connected viewer, through bursts and segmentation."""

    __test__ = False

    def __init__(self, port: Port, peer: Peer, slot: sdp.MediaOut, frames: list[list[bytes]]) -> None:
        self._port, self._peer, self._slot, self._frames = port, peer, slot, frames
        self._index = 100
        self._sent = 0
        self._out = bytearray(1 << 20)

    def send_frame(self) -> int:
        """Seal and send the next frame; returns how many packets the kernel took."""
        payloads = self._frames[self._sent % len(self._frames)]
        timestamp = self._sent * 90_000 // FPS
        parts = []
        for at, payload in enumerate(payloads):
            marker = 0x80 if at == len(payloads) - 1 else 0
            fields = (0x80, marker | self._slot.codec.payload_type, self._index & 0xFFFF, timestamp, self._slot.ssrc)
            parts.append((struct.pack("!BBHII", *fields), payload, self._index))
            self._index += 1
        self._sent += 1
        lengths = self._peer.srtp.seal_burst(parts, self._out)
        return self._port.send_burst(self._peer, self._out, lengths)

    async def run(self) -> None:
        """Send at the frame rate until cancelled."""
        while True:
            self.send_frame()
            await asyncio.sleep(1 / FPS)
