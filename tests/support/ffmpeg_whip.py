"""FFmpeg's own WHIP muxer as a camera, in a process of its own (its header write blocks until it is connected).

`python -m tests.support.ffmpeg_whip URL CERT KEY`, with the token on standard input, films the patrol and publishes until it
is terminated.  FFmpeg offers
`setup:passive`, has no candidates in its offer and answers no PLI: everything that our own simulator does not do.
"""

import asyncio
import contextlib
import datetime
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sim_cameras.picture import Picture
from sim_cameras.scene import Overlay, Patrol
from sim_cameras.sound import FRAME_SAMPLES, SAMPLE_RATE, Sound

_WIDTH, _HEIGHT, _FPS, _BITRATE = 320, 180, 20, 250_000
_SOUNDS_PER_PICTURE = SAMPLE_RATE // FRAME_SAMPLES / _FPS


@contextlib.asynccontextmanager
async def ffmpeg_whip(
    url: str, token: str, folder: Path, *, spoilt_after: float | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Publish to `url` inside the block; `folder` takes the certificate.  Leaving it ends the session with a DELETE.

    `spoilt_after`: from this second on, no unit of its picture is one that a receiver may use (type 30, RFC 6184 §5.2).
    """
    certificate, key = write_certificate(folder)
    spoilt = () if spoilt_after is None else (str(spoilt_after),)
    arguments = ("-m", "tests.support.ffmpeg_whip", url, str(certificate), str(key), *spoilt)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=Path(__file__).parents[2], stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(token.encode() + b"\n")
    process.stdin.close()
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed P-256 certificate: the muxer's own choice of curve is refused by OpenSSL peers."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "camera")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .sign(key, hashes.SHA256())
    )
    paths = folder / "ffmpeg-cert.pem", folder / "ffmpeg-key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.TraditionalOpenSSL
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return paths


def _publish(url: str, token: str, certificate: str, key: str, spoilt_after: str = "inf") -> None:
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    options = {"authorization": token, "cert_file": certificate, "key_file": key}
    with av.open(url, "w", format="whip", options=options) as container:
        video = container.add_stream("libx264", rate=_FPS)
        video.width, video.height, video.pix_fmt, video.bit_rate = _WIDTH, _HEIGHT, "yuv420p", _BITRATE
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "g": str(_FPS * 2)}
        audio = container.add_stream("libopus", rate=SAMPLE_RATE)
        audio.layout, audio.format, audio.bit_rate = "stereo", "s16", 32_000
        _film(container, video, audio, stopping, float(spoilt_after))


def _spoilt(packet: "av.Packet[Any]") -> "av.Packet[Any]":
    """Return a packet whose units all have type 30."""
    data = re.sub(
        rb"(\x00\x00\x01)(.)", lambda unit: unit[1] + bytes((unit[2][0] & 0xE0 | 30,)), bytes(packet), flags=re.DOTALL
    )
    made: av.Packet[Any] = av.Packet(data)
    made.pts, made.dts, made.time_base, made.stream = packet.pts, packet.dts, packet.time_base, packet.stream
    made.is_keyframe = packet.is_keyframe
    return made


def _film(container: OutputContainer, video: VideoStream, audio: AudioStream, stopping: list[int], spoilt_after: float) -> None:
    """Film until `stopping` holds something."""
    picture, scene = Picture(_WIDTH, _HEIGHT), Patrol(_WIDTH, _HEIGHT, 9)
    overlay, sound = Overlay(_WIDTH, _HEIGHT, "ffmpeg", None), Sound(9, None)
    start, pictures, sounds = time.monotonic(), 0, 0
    while not stopping:
        time.sleep(max(0.0, start + pictures / _FPS - time.monotonic()))
        late = int((time.monotonic() - start) * _FPS) - pictures
        if late > _FPS:  # a starved camera skips, it does not send the past
            pictures += late
            sounds = int(pictures * _SOUNDS_PER_PICTURE)
        scene.render(picture, pictures / _FPS)
        overlay.draw(picture, time.time_ns())
        frame = av.VideoFrame.from_ndarray(picture.data, format="yuv420p")
        frame.pts, frame.time_base = pictures, Fraction(1, _FPS)
        packets = video.encode(frame)
        container.mux(packets if pictures < spoilt_after * _FPS else [_spoilt(packet) for packet in packets])
        pictures += 1
        while sounds < pictures * _SOUNDS_PER_PICTURE:
            samples = sound.frame(time.time_ns()).repeat(2).reshape(1, -1)
            heard = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
            heard.sample_rate, heard.pts, heard.time_base = SAMPLE_RATE, sounds * FRAME_SAMPLES, Fraction(1, SAMPLE_RATE)
            container.mux(audio.encode(heard))
            sounds += 1


if __name__ == "__main__":
    _publish(sys.argv[1], sys.stdin.readline().strip(), *sys.argv[2:])
