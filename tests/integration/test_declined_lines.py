"""Chromium and aiortc with m-lines that the relay declines: what it takes of the offer must flow all the same."""

import asyncio
from collections.abc import Iterator

import aioice.ice
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription, VideoStreamTrack

from relay.transport import sdp
from sim_cameras import webrtc
from tests.support.chromium import page_at
from tests.support.endpoints import Endpoints
from tests.support.ports import Remembering, TestSender, admit_camera, encode, live_port

SCRIPT = """async ([path, policy, before, after]) => {
  const pc = window.pc = new RTCPeerConnection({bundlePolicy: policy});
  const direction = path === '/whip' ? 'sendonly' : 'recvonly';
  const codecs = (kind, names) => RTCRtpReceiver.getCapabilities(kind).codecs.filter((each) => names.includes(each.mimeType));
  const line = {
    data: () => { pc.createDataChannel('x'); },
    pcmu: () => pc.addTransceiver('audio', {direction}).setCodecPreferences(codecs('audio', ['audio/PCMU'])),
    vp8: () => pc.addTransceiver('video', {direction}).setCodecPreferences(codecs('video', ['video/VP8'])),
    other: () => pc.addTransceiver('audio', {direction: direction === 'sendonly' ? 'recvonly' : 'sendonly'}),
  };
  for (const each of before) line[each]();
  const canvas = document.createElement('canvas');
  canvas.width = 320; canvas.height = 240;
  const context = canvas.getContext('2d');
  setInterval(() => {
    context.fillStyle = '#' + Math.random().toString(16).slice(2, 8);
    context.fillRect(0, 0, 320, 240);
  }, 33);
  pc.ontrack = (event) => {
    const video = document.createElement('video');
    video.muted = video.autoplay = true;
    video.srcObject = new MediaStream([event.track]);
    document.body.append(video);
  };
  const source = path === '/whip' ? canvas.captureStream(30).getVideoTracks()[0] : 'video';
  pc.addTransceiver(source, {direction});
  for (const each of after) line[each]();
  await post(path, pc);
  return pc.localDescription.sdp;
}"""


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    before = aioice.ice.get_host_addresses
    webrtc.gather_only("127.0.0.1")
    yield
    aioice.ice.get_host_addresses = before


LINES: list[tuple[list[str], list[str]]] = [(["data"], []), (["pcmu"], []), (["vp8", "other"], ["data"]), (["other"], ["pcmu"])]


@pytest.mark.e2e
async def test_chromium_as_camera_streams_beside_lines_that_are_declined() -> None:
    async with live_port() as port, Endpoints(port).serving() as endpoints, page_at(endpoints.url) as page:
        for policy in ("balanced", "max-compat", "max-bundle"):
            for before, after in LINES:
                offer = await page.evaluate(SCRIPT, ["/whip", policy, before, after])
                camera = endpoints.sessions[-1]
                async with asyncio.timeout(30):
                    await camera.handler.connected.wait()
                    await camera.handler.has_rtp(5)
                assert len(camera.answer.declined) == len(before) + len(after), (camera.answer.declined, offer)
                await page.evaluate("pc.close()")


@pytest.mark.e2e
async def test_chromium_as_viewer_watches_beside_lines_that_are_declined() -> None:
    frames = encode(60)
    async with live_port() as port, Endpoints(port).serving() as endpoints, page_at(endpoints.url) as page:
        for policy in ("balanced", "max-bundle"):
            for before, after in LINES:
                await page.evaluate(SCRIPT, ["/whep", policy, before, after])
                viewer = endpoints.sessions[-1]
                assert isinstance(viewer.answer, sdp.ViewerAnswer)
                async with asyncio.timeout(30):
                    await viewer.handler.connected.wait()
                    sending = asyncio.create_task(TestSender(port, viewer.peer, viewer.answer.videos[0], frames).run())
                    while max(await page.evaluate("decoded()"), default=0) < 5:
                        await page.wait_for_timeout(100)
                sending.cancel()
                await page.evaluate("pc.close()")


@pytest.mark.parametrize("is_first", [True, False])
async def test_aiortc_streams_beside_a_data_channel(is_first: bool) -> None:
    camera: RTCPeerConnection = webrtc.new_peer()
    if is_first:
        camera.createDataChannel("x")
    camera.addTrack(VideoStreamTrack())
    if not is_first:
        camera.createDataChannel("x")
    await camera.setLocalDescription(await camera.createOffer())
    async with live_port() as port:
        handler = Remembering()
        _, answer = admit_camera(port, camera.localDescription.sdp, handler)
        assert len(answer.declined) == 1
        await camera.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        await asyncio.wait_for(handler.connected.wait(), 30)
        await handler.has_rtp(5)
        await camera.close()
