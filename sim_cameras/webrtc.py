"""The hooks into private members of aiortc and aioice that a filming camera needs (`replay` has its own).

Owns: the hooks: local addresses, keyframe requests, capture times in sender reports, the datagrams on the wire.  Must never
know: cameras, scenes or the relay.  Written for aiortc 1.16 and aioice 0.13; a test checks that every private name is there.
"""

import ipaddress
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aioice.ice
import aiortc.rtcrtpsender
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpSender
from aiortc.rtp import (
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpPsfbPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
)

from sim_cameras.impair import Network
from sim_cameras.impaired_path import ImpairedPath
from sim_cameras.ntp import ntp64

_HISTORY = 1024

# A second of history at 8 Mbit/s; aiortc's own 128 packets are a tenth of that.
setattr(aiortc.rtcrtpsender, "RTP_HISTORY_SIZE", _HISTORY)  # noqa: B010 - a name that the module does not export


def local_address(url: str) -> str:
    """Return our address on the route to the host of `url`; raises OSError if there is no route."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    family, kind, _, _, address = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0])


def gather_only(address: str) -> None:
    """Make ICE gather this one address, for the whole process: aioice skips 127.0.0.1 and takes every other adapter."""
    version = ipaddress.ip_address(address).version

    def addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return [address] if (use_ipv4 if version == 4 else use_ipv6) else []

    aioice.ice.get_host_addresses = addresses


def new_peer() -> RTCPeerConnection:
    """Return a peer connection with one transport and no STUN server (aiortc's default would wait 5 s for one)."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))


class SenderHooks:
    """RTCP of one sender: keyframe requests in, sender reports with true capture times out.

    aiortc drops PLI for encoded packets, does not wrap the lost sequence numbers of a NACK, and stamps its reports with the
    time of sending.  `captured` returns (UTC ns, RTP units since start) of the newest unit sent.
    """

    def __init__(self, sender: RTCRtpSender, clock_rate: int, captured: Callable[[], tuple[int, int]]) -> None:
        self._sender = sender
        self._clock_rate = clock_rate
        self._captured = captured
        self.on_keyframe: Callable[[], None] = _ignore
        self.keyframes_asked = 0
        self.nacked = 0
        self.last_heard = time.monotonic()
        self.reports_heard = 0
        self._handle = sender._handle_rtcp_packet
        self._send = sender._send_rtcp
        private: Any = sender
        private._handle_rtcp_packet = self._on_rtcp
        private._send_rtcp = self._on_report

    async def _on_rtcp(self, packet: AnyRtcpPacket) -> None:
        self.last_heard = time.monotonic()
        self.reports_heard += 1
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
            self.keyframes_asked += 1
            self.on_keyframe()
            return
        if isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
            packet.lost = [sequence & 0xFFFF for sequence in packet.lost]
            self.nacked += len(packet.lost)
        await self._handle(packet)

    async def _on_report(self, packets: list[AnyRtcpPacket]) -> None:
        for packet in packets:
            if isinstance(packet, RtcpSrPacket):
                if not packet.sender_info.ntp_timestamp:
                    return  # no packet was sent yet, so there is no time to report
                self._stamp(packet)
        await self._send(packets)

    def _stamp(self, packet: RtcpSrPacket) -> None:
        """Say which RTP time *now* is on the capture clock; our start's offset is in aiortc's own pair."""
        info, now = packet.sender_info, time.time_ns()
        utc_ns, _ = self._captured()
        elapsed = (now - utc_ns) * self._clock_rate // 1_000_000_000
        info.rtp_timestamp = (info.rtp_timestamp + elapsed) & 0xFFFFFFFF
        info.ntp_timestamp = ntp64(now)
        # aiortc finds the round trip by comparing the receiver's LSR with these.
        private: Any = self._sender
        private._RTCRtpSender__lsr = info.ntp_timestamp >> 16 & 0xFFFFFFFF
        private._RTCRtpSender__lsr_time = now / 1e9


def _ignore() -> None:
    """Default of `on_keyframe`, until the owner sets it."""


class Wire:
    """Both directions of one ICE connection led through a simulated network; STUN and DTLS suffer like media."""

    def __init__(self, connection: aioice.Connection, network: Network, seed: int) -> None:
        self.heard_at = time.monotonic()
        self.links: list[ImpairedPath[tuple[bytes, Any]]] = []
        for index, protocol in enumerate(connection._protocols):
            self._lead(protocol, network, seed * 1000 + 2 * index)

    def set_network(self, network: Network) -> None:
        """Change the network in both directions."""
        for link in self.links:
            link.impairment.network = network

    def cut(self, seconds: float) -> None:
        """Lose everything in both directions for `seconds`."""
        for link in self.links:
            link.cut(seconds)

    def close(self) -> None:
        """Stop delivering."""
        for link in self.links:
            link.close()

    def _lead(self, protocol: Any, network: Network, seed: int) -> None:
        transport, received = protocol.transport, protocol.datagram_received
        up: ImpairedPath[tuple[bytes, Any]] = ImpairedPath(network, seed, lambda item: transport.sendto(*item))
        down: ImpairedPath[tuple[bytes, Any]] = ImpairedPath(network, seed + 1, lambda item: received(*item))
        self.links += [up, down]

        def on_datagram(data: bytes, address: Any) -> None:
            self.heard_at = time.monotonic()
            down.send((data, address), len(data))

        protocol.transport = _Transport(transport, up)
        protocol.datagram_received = on_datagram


class _Transport:
    """A datagram transport whose sending goes through a link."""

    def __init__(self, transport: Any, link: ImpairedPath[tuple[bytes, Any]]) -> None:
        self._transport = transport
        self._link = link

    def sendto(self, data: bytes, address: Any = None) -> None:
        """Send through the simulated network."""
        self._link.send((data, address), len(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def ice_connection(peer: RTCPeerConnection) -> aioice.Connection:
    """Return the ICE connection of a peer with one transport."""
    return peer.getTransceivers()[0].sender.transport.transport._connection
