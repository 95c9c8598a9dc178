"""The transport against stock aiortc, as camera and as viewer, over loopback."""

import asyncio
from collections.abc import Iterator

import aioice.ice
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.rtp import RtpPacket
from aiortc.sdp import SessionDescription

from relay.transport.port import Port
from sim_cameras import webrtc
from tests.support.nat import Nat
from tests.support.ports import Remembering, TestSender, admit_camera, admit_viewer, bound_socket, encode, live_port, until


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    before = aioice.ice.get_host_addresses
    webrtc.gather_only("127.0.0.1")
    yield
    aioice.ice.get_host_addresses = before


async def _connect_camera(port: Port, handler: Remembering) -> RTCPeerConnection:
    peer = webrtc.new_peer()
    peer.addTrack(VideoStreamTrack())
    await peer.setLocalDescription(await peer.createOffer())
    _, answer = admit_camera(port, peer.localDescription.sdp, handler)
    await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
    await asyncio.wait_for(handler.connected.wait(), 30)
    await until(lambda: peer.connectionState == "connected")
    return peer


async def test_a_camera_of_aiortc_connects_and_its_packets_arrive_plain() -> None:
    async with live_port() as port:
        handler = Remembering()
        camera = await _connect_camera(port, handler)
        await handler.has_rtp(5)
        packets = [RtpPacket.parse(packet) for packet in handler.rtp]
        assert {packet.version for packet in packets} == {2}
        assert handler.batches > 0
        assert port.counters.values["srtp_forged"] == 0
        await camera.close()


async def test_a_camera_that_says_goodbye_is_reported_at_once() -> None:
    async with live_port() as port:
        handler = Remembering()
        camera = await _connect_camera(port, handler)
        await camera.close()
        await asyncio.wait_for(handler.closed.wait(), 30)
        assert handler.reason == "the peer said goodbye"


async def test_a_viewer_of_aiortc_decodes_what_is_sealed_in_bursts() -> None:
    frames = encode(30)
    async with live_port() as port:
        handler = Remembering()
        viewer = webrtc.new_peer()
        transceiver = viewer.addTransceiver("video", direction="recvonly")
        await viewer.setLocalDescription(await viewer.createOffer())
        peer, answer = admit_viewer(port, viewer.localDescription.sdp, handler)
        await viewer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        await asyncio.wait_for(handler.connected.wait(), 30)
        sending = asyncio.create_task(TestSender(port, peer, answer.videos[0], frames).run())
        picture = await asyncio.wait_for(transceiver.receiver.track.recv(), 30)
        assert (picture.width, picture.height) == (320, 240)  # type: ignore[union-attr]
        assert peer.srtp.profile == "SRTP_AEAD_AES_128_GCM"
        sending.cancel()
        await viewer.close()


async def test_our_answers_are_understood_by_the_parser_of_aiortc() -> None:
    viewer = webrtc.new_peer()
    viewer.addTransceiver("video", direction="recvonly")
    viewer.addTransceiver("audio", direction="recvonly")
    await viewer.setLocalDescription(await viewer.createOffer())
    async with live_port() as port:
        _, answer = admit_viewer(port, viewer.localDescription.sdp, Remembering())
        parsed = SessionDescription.parse(answer.text)
    assert [media.kind for media in parsed.media] == ["video", "audio"]
    assert parsed.media[0].rtp.codecs[0].mimeType == "video/H264"
    assert parsed.media[0].ice is not None
    assert parsed.media[0].ice.iceLite
    assert answer.audio is not None
    await viewer.close()


async def test_a_camera_behind_a_nat_that_changes_its_mapping_is_followed() -> None:
    """aioice nominates once; later it is followed by its checks, of which it makes one in 4 to 6 s."""
    async with live_port(silence_after=15.0) as port, Nat(("127.0.0.1", port.port)).running() as nat:
        handler = Remembering()
        camera = webrtc.new_peer()
        camera.addTrack(VideoStreamTrack())
        await camera.setLocalDescription(await camera.createOffer())
        peer, answer = admit_camera(port, camera.localDescription.sdp, handler)
        behind = answer.text.replace(f" {port.port} ", f" {nat.port} ")
        await camera.setRemoteDescription(RTCSessionDescription(behind, "answer"))
        await handler.has_rtp(5)
        assert peer.ice.selected == nat.outside
        nat.rebind()
        before = len(handler.rtp)
        await until(lambda: peer.ice.selected == nat.outside)
        await handler.has_rtp(before + 10)
        await camera.close()


async def test_strangers_queue_apart_from_those_who_stream() -> None:
    async with live_port() as port:
        handler = Remembering()
        camera = await _connect_camera(port, handler)
        queue = port.strangers[0]
        assert queue is not None
        await until(lambda: any(peer.ice.selected in queue.known for peer in port.table.peers))
        await handler.has_rtp(len(handler.rtp) + 5)
        with bound_socket() as stranger:
            apart = queue.received
            for _ in range(300):
                stranger.sendto(b"\x80" + bytes(100), ("127.0.0.1", port.port))
            await handler.has_rtp(len(handler.rtp) + 5)
            await until(lambda: port.counters.values["udp_stranger"] == 300)
            assert queue.received - apart == 300, "strangers' datagrams, and none of the camera's, come through their own queue"
        await camera.close()
