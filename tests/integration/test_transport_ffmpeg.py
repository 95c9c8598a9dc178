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
def _ffmpeg(url: str, folder: Path, *files: Path, muxer: str = MUXER) -> Iterator[subprocess.Popen[bytes]]:
    """Run the muxer in a process of its own: its header write blocks.  `files`: certificate and key, where not of P-256."""
    identity = dtls.new_identity()
    (folder / "cert.pem").write_bytes(identity.certificate)
    (folder / "key.pem").write_bytes(identity.private_key)
    command = [sys.executable, "-c", muxer, url, *map(str, files or (folder / "cert.pem", folder / "key.pem"))]
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


def _rsa_files(folder: Path) -> tuple[Path, Path]:
    """Write a certificate and a key as OpenSSL's command makes them."""
    files = folder / "rsa-cert.pem", folder / "rsa-key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=camera", "-days", "30"]
    subprocess.run([*command, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


async def test_ffmpeg_with_an_rsa_certificate_waits_for_our_handshake_and_publishes(tmp_path: Path) -> None:
    async with live_port() as port, Endpoints(port).serving() as endpoints:
        with _ffmpeg(f"{endpoints.url}/whip", tmp_path, *_rsa_files(tmp_path)):
            await until(lambda: endpoints.sessions, 60)
            camera = endpoints.sessions[0]
            assert camera.peer.remote.setup == "passive"
            await asyncio.wait_for(camera.handler.connected.wait(), 30)
            await camera.handler.has_rtp(20)


async def test_a_certificate_that_ffmpeg_makes_itself_is_refused_with_what_to_set(tmp_path: Path) -> None:
    """It is of P-224, which TLS has given up (RFC 8422 §5.1.1)."""
    async with live_port() as port, Endpoints(port).serving() as endpoints:
        muxer = MUXER.replace(', options={"cert_file": cert, "key_file": key}', "")
        with _ffmpeg(f"{endpoints.url}/whip", tmp_path, muxer=muxer):
            await until(lambda: endpoints.sessions and endpoints.sessions[0].handler.closed.is_set(), 60)
        assert "set its -cert_file" in str(endpoints.sessions[0].handler.reason)
