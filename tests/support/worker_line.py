"""A worker in this process between an aiortc camera and aiortc viewers, with the channel's real sockets around it."""

import asyncio
import contextlib
import fractions
import itertools
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

from relay.base.clock import SystemClock
from relay.base.counters import Counters
from relay.channel import messages as m
from relay.channel.framing import Connection, connect, listen
from relay.transport.port import Port, PortSettings
from relay.worker.config import WorkerConfig
from relay.worker.worker import Worker
from sim_cameras import webrtc
from sim_cameras.impair import Network
from tests.support.passes import CONTROL, TAP
from tests.support.ports import IDENTITY, bound_socket, until

FPS = 30
VIDEO_BASE = fractions.Fraction(1, 90_000)


def film(
    seconds: int = 2, *, key_every: int = 30, bframes: int = 0, width: int = 320, height: int = 240
) -> list[tuple[bytes, bool]]:
    """Encode moving stripes; returns (Annex-B access unit, is keyframe) in decoding order."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.options = {"preset": "ultrafast", "bf": str(bframes), "g": str(key_every)} | (
        {} if bframes else {"tune": "zerolatency"}
    )
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base = fractions.Fraction(1, FPS)
    codec.bit_rate = 400_000
    packets = []
    for at in range(seconds * FPS):
        picture = np.full((height, width, 3), 40, np.uint8)
        picture[:, (at * 4) % width : (at * 4) % width + 32] = 220
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = at
        packets += codec.encode(frame)
    packets += codec.encode(None)
    return [(bytes(packet), packet.is_keyframe) for packet in packets]


def tone() -> list[bytes]:
    """Encode one second of Opus in 20 ms packets."""
    codec: Any = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format = 48_000, "stereo", "s16"
    out: list[bytes] = []
    for at in range(50):
        samples = (8000 * np.sin(np.arange(at * 960, (at + 1) * 960) / 12)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(samples, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 48_000, at * 960
        out += [bytes(packet) for packet in codec.encode(frame)]
    return out


class LoopTrack(MediaStreamTrack):
    """Plays encoded units for ever, in time; a keyframe request jumps to the next keyframe."""

    def __init__(self, kind: str, units: list[tuple[bytes, bool]], step: float, rate: int) -> None:
        super().__init__()
        self.kind = kind
        self._units = units
        self._at = itertools.cycle(range(len(units)))
        self._step = step
        self._rate = rate
        self._sent = 0
        self._start = time.monotonic()
        self._jump = False
        self.answers_keyframes = True
        self.peer: RTCPeerConnection
        """The connection that sends it."""
        self.paused = False

    def ask_keyframe(self) -> None:
        """Skip to a keyframe."""
        self._jump = self.answers_keyframes

    async def recv(self) -> Any:
        """Return the next unit when its time has come."""
        wait = self._start + self._sent * self._step - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        while self.paused:  # noqa: ASYNC110 - the test sets a plain flag
            await asyncio.sleep(0.02)
        data, key = self._units[next(self._at)]
        while self._jump and not key:
            data, key = self._units[next(self._at)]
        self._jump = False
        packet = av.Packet(data)
        packet.pts = packet.dts = int(self._sent * self._step * self._rate)
        packet.time_base = fractions.Fraction(1, self._rate)
        self._sent += 1
        return packet


class Recorder:
    """Every message that the recorder beside the worker received."""

    def __init__(self) -> None:
        self.messages: list[m.Message] = []
        self.connections: list[Connection] = []

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the messages of one type."""
        return [message for message in self.messages if isinstance(message, kind)]

    @property
    def packets(self) -> int:
        """How many packets came through the tap."""
        return sum(len(message.packets) for message in self.of(m.TapPackets))


class Line:
    """A worker with control and recorder beside it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.counters = Counters()
        self.config = WorkerConfig(index=0, run_dir=str(folder), certificate="", control_pass=CONTROL, tap_pass=TAP, **settings)
        self.recorder = Recorder()
        self.facts: list[m.Message] = []
        self.worker: Worker
        self.control: Connection

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the facts of one type that control received."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def ask(self, message: m.Message) -> Any:
        """Ask the worker as control does."""
        return await self.control.ask(message)

    async def publish(self, camera: str, offer: str, **changes: Any) -> m.Answer:
        """Open a camera's session of the name `s-<camera>`."""
        wish: dict[str, Any] = {"live_audio": True, "recording": f"r-{camera}", "silence_after": 5.0} | changes
        answer: m.Answer = await self.ask(m.PublishOpen(session=f"s-{camera}", camera=camera, offer=offer, **wish))
        return answer

    async def assign(self, viewer: str, slot: int, camera: str | None, view: str, lease: float = 30.0) -> None:
        """Show a camera in a slot."""
        await self.ask(m.SlotAssign(viewer, slot, camera, view, "high", SystemClock().monotonic() + lease))

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Line"]:
        """Run everything until the block is left."""
        tap = await self.recorder_beside()
        with bound_socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            port = Port(sock, IDENTITY, SystemClock(), self.counters, PortSettings())
            self.worker = Worker(self.config, port, SystemClock(), self.counters)
            running = asyncio.create_task(self.worker.run())
            await until((self.folder / "worker-0.sock").exists)
            await self.connect_control()
            try:
                yield self
            finally:
                self.worker.finish("test over")
                await running
                self.control.close()
                if tap is not None:
                    tap.close()

    async def connect_control(self) -> None:
        """Connect as a (new) control."""
        self.control = await connect(
            self.folder / "worker-0.sock",
            CONTROL,
            on_post=lambda _, fact: self.facts.append(fact),
            on_ask=no_questions,
            counters=self.counters,
        )
        self._reading = asyncio.create_task(self.control.run())

    async def recorder_beside(self) -> asyncio.Server | None:
        """Listen as the recorder does; None where a real one listens already."""

        async def connected(connection: Connection) -> None:
            self.recorder.connections.append(connection)

        return await listen(
            self.folder / "recorder-0.sock",
            {"tap": TAP},
            connected,
            on_post=lambda _, message: self.recorder.messages.append(message),
            on_ask=no_questions,
            counters=self.counters,
        )


async def no_questions(_: Connection, message: m.Message) -> m.Message:
    """Answer nothing: neither control nor recorder is ever asked."""
    raise AssertionError(f"nobody asks {message}")


@contextlib.asynccontextmanager
async def camera(
    line: Line,
    name: str,
    units: list[tuple[bytes, bool]],
    *,
    sound: bool = False,
    records_sound: bool = True,
    network: Network | None = None,
    bundled: bool = True,
    **changes: Any,
) -> AsyncIterator[LoopTrack]:
    """An aiortc camera that publishes encoded units; its hooks answer PLI."""
    webrtc.gather_only("127.0.0.1")
    peer = webrtc.new_peer() if bundled else _unbundled_peer()
    track = LoopTrack("video", units, 1 / FPS, 90_000)
    track.peer = peer
    sender = _add(peer, track, "video", ("video/H264", "video/rtx"))
    hooks = webrtc.SenderHooks(sender, 90_000, lambda: (time.time_ns(), 0))
    hooks.on_keyframe = track.ask_keyframe
    if sound:
        _add(peer, LoopTrack("audio", [(packet, True) for packet in tone()], 0.02, 48_000), "audio", ("audio/opus",))
    await peer.setLocalDescription(await peer.createOffer())
    wire = webrtc.Wire(webrtc.ice_connection(peer), network or Network(), 7)
    offer = peer.localDescription.sdp
    offer = offer if bundled else "".join(each for each in offer.splitlines(keepends=True) if not each.startswith("a=group"))
    answer = await line.publish(name, offer, sound=records_sound, **changes)
    await peer.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
    await until(lambda: peer.connectionState in ("connected", "failed"))
    try:
        yield track
    finally:
        await peer.close()
        wire.close()


def _unbundled_peer() -> RTCPeerConnection:
    """Return a peer with a transport for each of its lines."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_COMPAT))


def _add(peer: RTCPeerConnection, track: LoopTrack, kind: str, wanted: tuple[str, ...]) -> RTCRtpSender:
    transceiver = peer.addTransceiver(track, direction="sendonly")
    codecs = RTCRtpSender.getCapabilities(kind).codecs
    transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType in wanted])
    return transceiver.sender


class Viewer:
    """An aiortc viewer with video slots and sound; counts what it decodes."""

    def __init__(self, peer: RTCPeerConnection, tracks: list[Any], sound: Any) -> None:
        self.peer = peer
        self.tracks = tracks
        self.sound = sound

    async def picture(self, slot: int = 0, seconds: float = 30) -> Any:
        """Return the next decoded picture of a slot."""
        return await asyncio.wait_for(self.tracks[slot].recv(), seconds)


@contextlib.asynccontextmanager
async def viewer(line: Line, session: str, slots: int = 1, network: Network | None = None) -> AsyncIterator[Viewer]:
    """A connected viewer, to whose slots nothing is assigned yet."""
    webrtc.gather_only("127.0.0.1")
    peer = webrtc.new_peer()
    receivers = [peer.addTransceiver("video", direction="recvonly").receiver for _ in range(slots)]
    sound = peer.addTransceiver("audio", direction="recvonly").receiver
    await peer.setLocalDescription(await peer.createOffer())
    wire = webrtc.Wire(webrtc.ice_connection(peer), network or Network(), 11)
    answer = await line.ask(m.ViewerOpen(session, peer.localDescription.sdp))
    await peer.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
    await until(lambda: peer.connectionState in ("connected", "failed"))
    try:
        yield Viewer(peer, [receiver.track for receiver in receivers], sound.track)
    finally:
        await peer.close()
        wire.close()
