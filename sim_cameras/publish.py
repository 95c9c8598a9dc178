"""One publication: encoded units into a WebRTC session opened by WHIP.

Owns the peer connection of one session, from offer to close.  Must never know scenes, buttons or when to try again.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal

from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.packet import Packet

from sim_cameras import webrtc
from sim_cameras.encode import VIDEO_CLOCK, Unit
from sim_cameras.impair import Network
from sim_cameras.sound import SAMPLE_RATE
from sim_cameras.whip import WhipClient, WhipSession

CLOCK_RATES = {"video": VIDEO_CLOCK, "audio": SAMPLE_RATE}
_MOST_WAITING = 64
_CONNECT_SECONDS = 10.0
_SILENCE = 4.0
_SILENCE_WITHOUT_REPORTS = 15.0
"""aioice asks for consent every 5 s +- 20 %: two missed answers."""


class PublishFailed(Exception):
    """The session was accepted but no connection came of it."""


class UnitTrack(MediaStreamTrack):
    """A track of encoded units.  Holds at most 64; on overflow it drops them all and waits for a keyframe."""

    def __init__(self, kind: Literal["video", "audio"]) -> None:
        super().__init__()
        self.kind = kind
        self.last = (time.time_ns(), 0)
        self.overflows = 0
        self._units: deque[Unit] = deque()
        self._arrived = asyncio.Event()
        self._needs_key = True

    def put(self, unit: Unit) -> bool:
        """Queue a unit; False where it cannot be used and a keyframe is needed."""
        if len(self._units) >= _MOST_WAITING:
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
    """A live session.  `open` it, `put` units, wait for `ended`, `close` it."""

    def __init__(self, whip: WhipClient, network: Network, seed: int, audio: bool) -> None:
        self._whip = whip
        self._network = network
        self._seed = seed
        self._peer: RTCPeerConnection = webrtc.new_peer()
        self._tracks = {"video": UnitTrack("video")} | ({"audio": UnitTrack("audio")} if audio else {})
        self._hooks = {kind: self._add(track) for kind, track in self._tracks.items()}
        self._session: WhipSession | None = None
        self._over = asyncio.Event()
        self.wire: webrtc.Wire | None = None

    async def open(self) -> None:
        """Publish; raises WhipRefused, aiohttp.ClientError or PublishFailed, and then is closed."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._connect()
        except TimeoutError:
            await self.close()
            raise PublishFailed("no connection within 10 s") from None
        except BaseException:
            await self.close()
            raise

    def listen(self, on_keyframe: Callable[[], None]) -> None:
        """Call `on_keyframe` whenever the other side asks for a keyframe, or ours was lost on the way to the network."""
        self._hooks["video"].on_keyframe = on_keyframe

    def put(self, unit: Unit) -> None:
        """Send a unit (dropped, and counted by its track, where the sender is behind)."""
        track = self._tracks.get(unit.kind)
        if track is not None and not track.put(unit) and unit.kind == "video":
            self._hooks["video"].on_keyframe()

    async def ended(self) -> str:
        """Wait for the end of a session that nobody here closed; return why it ended."""
        while not self._over.is_set():
            try:
                async with asyncio.timeout(0.5):
                    await self._over.wait()
            except TimeoutError:
                if self._silent():
                    return "silence"
        return self._peer.connectionState

    async def close(self) -> None:
        """End the session: DELETE, then close the connection."""
        session, self._session = self._session, None
        if session is not None:
            await self._whip.close(session)
        await self._peer.close()
        if self.wire is not None:
            self.wire.close()

    def stats(self) -> dict[str, int]:
        """Return what the other side asked for so far."""
        hooks = self._hooks["video"]
        return {"keyframes_asked": hooks.keyframes_asked, "nacked": hooks.nacked, "reports": hooks.reports_heard}

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

    def _on_state(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            self._over.set()

    def _silent(self) -> bool:
        """Say whether the other side is gone: no datagram at all, although it reports about once a second."""
        heard = self.wire.heard_at if self.wire is not None else 0.0
        reports = any(hooks.reports_heard for hooks in self._hooks.values())
        return time.monotonic() - heard > (_SILENCE if reports else _SILENCE_WITHOUT_REPORTS)
