"""FFmpeg's own WHIP muxer as a camera: it offers setup:passive, no candidates and no PLI feedback."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from relay.transport import dtls, sdp
from tests.support.endpoints import Endpoints
from tests.support.ports import live_port, until

MUXER = """
import sys, time, fractions, av, numpy as np
url, cert, key = sys.argv[1:]
out = av.open(url, "w", format="whip", options={"cert_file": cert, "key_file": key})
options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "bf": "0"}
video = out.add_stream("libx264", rate=15, options=options)
video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
for at in range(90):
    frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), at * 2, np.uint8), format="rgb24")
    frame.pts, frame.time_base = at, fractions.Fraction(1, 15)
    for packet in video.encode(frame):
        out.mux(packet)
    time.sleep(1 / 15)
out.close()
"""


@contextlib.contextmanager
def _ffmpeg(url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the muxer in a process of its own: its header write blocks."""
    identity = dtls.new_identity()
    (folder / "cert.pem").write_bytes(identity.certificate)
    (folder / "key.pem").write_bytes(identity.private_key)
    command = [sys.executable, "-c", MUXER, url, str(folder / "cert.pem"), str(folder / "key.pem")]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_ffmpegs_whip_muxer_publishes_through_an_active_handshake_of_ours(tmp_path: Path) -> None:
    async with live_port() as port, Endpoints(port).serving() as endpoints:
        with _ffmpeg(f"{endpoints.url}/whip", tmp_path):
            await until(lambda: endpoints.sessions, 60)
            camera = endpoints.sessions[0]
            await asyncio.wait_for(camera.handler.connected.wait(), 30)
            await camera.handler.has_rtp(20)
            assert camera.peer.remote.setup == "passive"
            assert "a=setup:active" in camera.answer.text
            kinds = {packet[1] & 0x7F for packet in camera.handler.rtp}
            assert isinstance(camera.answer, sdp.PublisherAnswer)
            assert camera.answer.video.codec.payload_type in kinds
            assert {int.from_bytes(packet[8:12], "big") for packet in camera.handler.rtp} == set(camera.answer.video.ssrcs)
