"""Cameras that send pre-encoded clips: a hundred of them need less CPU than four that film.

Owns: ICE, DTLS and SRTP of one such session, and the one clock that sends for all of them.  Must never know: buttons, or
HTTP beyond its WHIP client.
"""

import asyncio
import dataclasses
import heapq
import itertools
import random
import time
from collections.abc import Sequence
from typing import Any

import aioice
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport
from aiortc.rtcrtpparameters import RTCRtpSendParameters
from aiortc.rtp import RTCP_PSFB_FIR, RTCP_PSFB_PLI, RTCP_RTPFB_NACK, AnyRtcpPacket, RtcpPsfbPacket, RtcpRtpfbPacket
from aiortc.sdp import SessionDescription

from sim_cameras import offer, webrtc
from sim_cameras.clip import Clip
from sim_cameras.impair import Network
from sim_cameras.outstream import OutStream, StreamId
from sim_cameras.session import PublishFailed, gone
from sim_cameras.whip import WhipClient, WhipSession

_CONNECT_SECONDS = 20.0
_REPORT_SECONDS = 1.0
_TOGETHER_SECONDS = 0.002
"""Frames due within this time are sent together, so that a fleet of a hundred does not wake for each."""
_RIDS = ("h", "m", "l")


@dataclasses.dataclass(frozen=True)
class Reel:
    """The clips of one replaying camera: video layers (best first; more than one means simulcast) and sound, if any."""

    layers: tuple[Clip, ...]
    audio: Clip | None = None

    def streams(self, seed: int) -> list[OutStream]:
        """Return fresh outgoing streams."""
        numbers = random.Random(seed)  # noqa: S311 - SSRCs, not secrets
        rids: Sequence[str | None] = _RIDS if len(self.layers) > 1 else (None,)
        out = []
        for clip, rid in zip(self.layers, rids, strict=False):
            ssrc = numbers.randrange(1, 1 << 32)
            identity = StreamId("0", offer.VIDEO, ssrc, offer.VIDEO_RTX, ssrc ^ 0x5A5A5A5A, rid)
            out.append(OutStream(identity, clip, numbers.randrange(1 << 32)))
        if self.audio is not None:
            identity = StreamId("1", offer.AUDIO, numbers.randrange(1, 1 << 32))
            out.append(OutStream(identity, self.audio, numbers.randrange(1 << 32)))
        return out


class Projector:
    """Sends the frames of every session when they are due; one task for a whole fleet.

    All packets of a frame leave at once, as a browser's do.  A frame late by more than half a second is skipped.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, int, ReplaySession, OutStream]] = []
        self._numbers = itertools.count()
        self._more = asyncio.Event()
        self.frames = 0

    def start(self, session: "ReplaySession") -> None:
        """Send this session's streams until it is over, each at a phase of its own."""
        now = time.monotonic()
        for stream in session.streams:
            offset = random.random() * stream.clip.period  # noqa: S311 - spreading, not a secret
            heapq.heappush(self._due, (now + offset, next(self._numbers), session, stream))
        self._more.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            if not self._due:
                self._more.clear()
                await self._more.wait()
            await asyncio.sleep(max(0.0, self._due[0][0] - time.monotonic()))
            self._send_due(time.monotonic() + _TOGETHER_SECONDS)

    def _send_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            due, number, session, stream = heapq.heappop(self._due)
            if session.over:
                continue
            session.send(stream.frame(time.time_ns()))
            self.frames += 1
            following = due + stream.clip.period
            heapq.heappush(self._due, (following if following > now - 0.5 else now, number, session, stream))


class ReplaySession:
    """One publication of a reel."""

    def __init__(self, whip: WhipClient, reel: Reel, projector: Projector, network: Network, seed: int) -> None:
        self._whip = whip
        self._projector = projector
        self._network = network
        self._seed = seed
        self.streams = reel.streams(seed)
        self._gatherer = RTCIceGatherer(iceServers=[])
        self._ice = RTCIceTransport(self._gatherer)
        self._dtls = RTCDtlsTransport(self._ice, [_certificate()])
        self._over = asyncio.Event()
        self._session: WhipSession | None = None
        self._srtp: Any = None
        self._path: tuple[Any, tuple[str, int]] | None = None
        self._reports_heard = 0
        self.wire: webrtc.Wire | None = None

    @property
    def over(self) -> bool:
        """Whether the session has ended."""
        return self._over.is_set()

    async def open(self) -> None:
        """Publish; raises WhipRefused, aiohttp.ClientError or PublishFailed, and the session is then closed."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._connect()
        except TimeoutError:
            await self.close(goodbye=True)
            raise PublishFailed("no connection within 20 s") from None
        except BaseException:
            await self.close(goodbye=True)
            raise

    async def play(self) -> str:
        """Send until the session is lost; return why it ended."""
        self._projector.start(self)
        next_report = 0.0
        while not self.over:
            if time.monotonic() >= next_report:
                next_report = time.monotonic() + _REPORT_SECONDS
                self._send_rtcp([stream.report(time.time_ns()) for stream in self.streams if stream.started])
            try:
                async with asyncio.timeout(0.5):
                    await self._over.wait()
            except TimeoutError:
                if self.wire is not None and gone(self.wire.heard_at, self._reports_heard):
                    return "silence"
        return str(self._dtls.state)

    async def close(self, *, goodbye: bool) -> None:
        """End the session: with `goodbye` send BYE and DELETE; then close the transports."""
        was_over = self.over
        self._over.set()
        if goodbye and not was_over:
            self._send_rtcp([stream.bye() for stream in self.streams])
        session, self._session = self._session, None
        if session is not None and goodbye:
            await self._whip.close(session)
        await self._dtls.stop()
        await self._ice.stop()
        if self.wire is not None:
            self.wire.close()

    def send(self, packets: Sequence[bytes]) -> None:
        """Seal and send plain RTP packets."""
        if self._path is None:
            return
        transport, address = self._path
        protect = self._srtp.protect
        for packet in packets:
            transport.sendto(protect(packet), address)

    def stats(self) -> dict[str, int]:
        """Return counts of the feedback so far."""
        return {
            "keyframes_asked": sum(stream.keyframes_asked for stream in self.streams),
            "nacked": sum(stream.nacked for stream in self.streams),
            "reports": self._reports_heard,
        }

    def heard(self, stream: OutStream, packet: AnyRtcpPacket) -> None:
        """Act on RTCP about one stream."""
        self._reports_heard += 1
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
            stream.ask_keyframe()
        elif isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
            now = time.time_ns()
            resent = [stream.resend(sequence & 0xFFFF, now) for sequence in packet.lost]
            self.send([packet for packet in resent if packet is not None])

    def _send_rtcp(self, compounds: list[bytes]) -> None:
        if self._path is not None:
            transport, address = self._path
            for compound in compounds:
                transport.sendto(self._srtp.protect_rtcp(compound), address)

    async def _connect(self) -> None:
        await self._gatherer.gather()
        connection = self._gatherer._connection
        # The offerer controls (RFC 8445 §6.1.1) from before its offer leaves, because the server's first checks may arrive
        # before its answer. A camera that began to control later would be in a conflict of roles that nominates no pair.
        connection.ice_controlling = True
        self.wire = webrtc.Wire(connection, self._network, self._seed)
        self._session = await self._whip.open(self._offer(connection))
        (media, *_) = SessionDescription.parse(self._session.answer).media
        if media.ice is None or media.dtls is None:
            raise PublishFailed("the answer has no transport")
        for candidate in media.ice_candidates:
            await self._ice.addRemoteCandidate(candidate)
        await self._ice.addRemoteCandidate(None)
        self._dtls._set_role("server" if media.dtls.role == "client" else "client")
        await self._ice.start(media.ice)
        if self._ice.state != "completed":
            raise PublishFailed(f"ICE {self._ice.state}")
        for stream in self.streams:
            self._dtls._register_rtp_sender(_RtcpRoute(self, stream), RTCRtpSendParameters())
        await self._dtls.start(media.dtls)
        if self._dtls.state != "connected":
            raise PublishFailed(f"DTLS {self._dtls.state}")
        self._dtls.on("statechange", self._on_dtls)
        pair = connection._nominated[1]
        self._srtp, self._path = self._dtls._tx_srtp, (pair.protocol.transport, pair.remote_addr)

    def _offer(self, connection: aioice.Connection) -> str:
        fingerprints = {each.algorithm: each.value for each in self._dtls.getLocalParameters().fingerprints}
        candidates = tuple(candidate.to_sdp() for candidate in connection.local_candidates)
        transport = offer.Transport(connection.local_username, connection.local_password, fingerprints["sha-256"], candidates)
        video = [stream.identity for stream in self.streams if stream.clip.kind == "video"]
        audio = [stream.identity for stream in self.streams if stream.clip.kind == "audio"]
        return offer.build(transport, video, audio[0] if audio else None)

    def _on_dtls(self) -> None:
        if self._dtls.state in ("closed", "failed"):
            self._over.set()


class _RtcpRoute:
    """Passes RTCP about one SSRC to its session; has the interface that aiortc's router needs of a sender."""

    def __init__(self, session: ReplaySession, stream: OutStream) -> None:
        self._session = session
        self._stream = stream
        self._ssrc = stream.identity.ssrc

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        self._session.heard(self._stream, packet)


_certificates: list[RTCCertificate] = []


def _certificate() -> RTCCertificate:
    """Return one certificate for the whole fleet, because making a hundred keys would take most of its start."""
    if not _certificates:
        _certificates.append(RTCCertificate.generateCertificate())
    return _certificates[0]
