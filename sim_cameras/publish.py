"""One publication of a filming camera: encoded units in a WebRTC session opened by WHIP.

Owns: the peer connection of one session, from offer to close.  Must never know: scenes, buttons or retries.
"""

import asyncio
import time
from collections import deque
from concurrent.futures import Executor
from fractions import Fraction
from typing import Any, Literal

from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.packet import Packet

from sim_cameras import webrtc
from sim_cameras.encode import VIDEO_CLOCK, Unit
from sim_cameras.impair import Network
from sim_cameras.session import PublishFailed, gone
from sim_cameras.sound import SAMPLE_RATE
from sim_cameras.source import Film, Source
from sim_cameras.whip import WhipClient, WhipSession

CLOCK_RATES = {"video": VIDEO_CLOCK, "audio": SAMPLE_RATE}
_MAX_WAITING = 64
_CONNECT_SECONDS = 10.0


class UnitTrack(MediaStreamTrack):
    """A track of encoded units.  Holds at most 64; on overflow it drops all of them and waits for a keyframe."""

    def __init__(self, kind: Literal["video", "audio"]) -> None:
        super().__init__()
        self.kind = kind
        self.last = (time.time_ns(), 0)
        self.overflows = 0
        self._units: deque[Unit] = deque()
        self._arrived = asyncio.Event()
        self._needs_key = True

    def put(self, unit: Unit) -> bool:
        """Queue a unit; return False if it is dropped because a keyframe is needed first."""
        if len(self._units) >= _MAX_WAITING:
            self._units.clear()
            self.overflows += 1
            self._needs_key = True
        if self._needs_key and not unit.key:
            return False
        self._needs_key = False
        self._units.append(unit)
        self._arrived.set()
        return True

    async def recv(self) -> "Packet[Any]":
        """Return the next unit as aiortc's sender takes it."""
        while not self._units:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        unit = self._units.popleft()
        self.last = (unit.utc_ns, unit.pts)
        packet: Packet[Any] = Packet(unit.data)
        packet.pts, packet.time_base = unit.pts, Fraction(1, CLOCK_RATES[self.kind])
        return packet

    def stop(self) -> None:
        """End the track and wake its sender."""
        super().stop()
        self._arrived.set()


class Publication:
    """A publication that films while it is open."""

    def __init__(self, whip: WhipClient, film: Film, executor: Executor, network: Network, seed: int) -> None:
        self._whip = whip
        self._source = Source(film, executor, self._put)
        self._network = network
        self._seed = seed
        self._peer: RTCPeerConnection = webrtc.new_peer()
        self._tracks = {"video": UnitTrack("video")} | ({"audio": UnitTrack("audio")} if film.audio else {})
        self._hooks = {kind: self._add(track) for kind, track in self._tracks.items()}
        self._session: WhipSession | None = None
        self._over = asyncio.Event()
        self._hooks["video"].on_keyframe = self._source.ask_keyframe
        self.wire: webrtc.Wire | None = None

    async def open(self) -> None:
        """Publish; raises WhipRefused, aiohttp.ClientError or PublishFailed, and the session is then closed."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._connect()
        except TimeoutError:
            await self.close(goodbye=True)
            raise PublishFailed("no connection within 10 s") from None
        except BaseException:
            await self.close(goodbye=True)
            raise

    async def play(self) -> str:
        """Film and send until the session is lost; return why it ended.  Errors of the encoder or the footage end it too."""
        async with self._source.running():
            return await self._lost()

    async def close(self, *, goodbye: bool) -> None:
        """End the session: with `goodbye` send DELETE; then close the connection."""
        session, self._session = self._session, None
        if session is not None and goodbye:
            await self._whip.close(session)
        await self._peer.close()
        if self.wire is not None:
            self.wire.close()

    def stats(self) -> dict[str, int]:
        """Return counts of the feedback so far."""
        video = self._hooks["video"]
        reports = sum(hooks.reports_heard for hooks in self._hooks.values())
        return {"keyframes_asked": video.keyframes_asked, "nacked": video.nacked, "reports": reports}

    def _add(self, track: UnitTrack) -> webrtc.SenderHooks:
        transceiver = self._peer.addTransceiver(track, direction="sendonly")
        wanted = {"video": ("video/H264", "video/rtx"), "audio": ("audio/opus",)}[track.kind]
        codecs = RTCRtpSender.getCapabilities(track.kind).codecs
        transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType in wanted])
        return webrtc.SenderHooks(transceiver.sender, CLOCK_RATES[track.kind], lambda: track.last)

    async def _connect(self) -> None:
        peer = self._peer
        peer.on("connectionstatechange", self._on_state)
        await peer.setLocalDescription(await peer.createOffer())
        self.wire = webrtc.Wire(webrtc.ice_connection(peer), self._network, self._seed)
        self._session = await self._whip.open(peer.localDescription.sdp)
        connected = asyncio.Event()
        peer.on("connectionstatechange", lambda: connected.set() if peer.connectionState != "connecting" else None)
        await peer.setRemoteDescription(RTCSessionDescription(self._session.answer, "answer"))
        if peer.connectionState != "connected":
            await connected.wait()
        if peer.connectionState != "connected":
            raise PublishFailed(f"connection {peer.connectionState}")

    def _put(self, unit: Unit) -> None:
        """Queue a unit; its track drops and counts it if the sender is behind."""
        track = self._tracks.get(unit.kind)
        if track is not None and not track.put(unit) and unit.kind == "video":
            self._source.ask_keyframe()

    async def _lost(self) -> str:
        while not self._over.is_set():
            try:
                async with asyncio.timeout(0.5):
                    await self._over.wait()
            except TimeoutError:
                if self.wire is not None and gone(self.wire.heard_at, self.stats()["reports"]):
                    return "silence"
        return self._peer.connectionState

    def _on_state(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            self._over.set()
