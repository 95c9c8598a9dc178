"""A camera as the tap sees it: real H.264 and Opus, encoded with PyAV and cut into RTP packets (RFC 6184, RFC 7587)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import av
import numpy as np

MTU = 1100
VIDEO_SSRC, AUDIO_SSRC = 0x11111111, 0x22222222


@dataclass(frozen=True)
class Timed:
    """A packet and the second, counted from the start, at which it leaves the camera."""

    at: float
    packet: bytes


def annexb_units(data: bytes) -> list[bytes]:
    """Split an Annex B byte stream."""
    return [unit for unit in data.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01").split(b"\x00\x00\x01") if unit]


@lru_cache
def encode_video(frames: int, width: int = 320, height: int = 240, gop: int = 30, fps: int = 30) -> tuple[bytes, ...]:
    """Return access units (Annex B) of a moving picture."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate, encoder.gop_size = Fraction(1, fps), Fraction(fps), gop
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    ramp = np.linspace(0, 255, width * height * 3, dtype=np.uint8).reshape(height, width, 3)
    units = []
    for index in range(frames):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.roll(ramp, 5 * index, axis=1)), format="rgb24")
        frame.pts = index
        units += [bytes(packet) for packet in encoder.encode(frame)]
    return tuple(units)


@lru_cache
def encode_audio(packets: int) -> tuple[bytes, ...]:
    """Return 20 ms Opus packets of a tone."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.format, encoder.layout = 48000, "s16", "stereo"
    out: list[bytes] = []
    for index in range(packets + 2):
        t = (np.arange(960) + 960 * index) / 48000
        tone = (8000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(tone, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 48000, 960 * index
        out += [bytes(packet) for packet in encoder.encode(frame)]
    return tuple(out[:packets])


def h264_payloads(access_unit: bytes) -> list[bytes]:
    """Packetise one access unit: parameter sets in a STAP-A, small units alone, large ones as FU-A."""
    units = annexb_units(access_unit)
    small = [unit for unit in units if unit[0] & 31 in (7, 8)]
    out = []
    if small:
        out.append(b"\x78" + b"".join(struct.pack(">H", len(unit)) + unit for unit in small))
    for unit in units:
        if unit[0] & 31 in (7, 8):
            continue
        if len(unit) <= MTU:
            out.append(unit)
            continue
        pieces = [unit[1 + at : 1 + at + MTU] for at in range(0, len(unit) - 1, MTU)]
        for index, piece in enumerate(pieces):
            flags = (0x80 if index == 0 else 0) | (0x40 if index == len(pieces) - 1 else 0)
            out.append(bytes((unit[0] & 0xE0 | 28, flags | unit[0] & 31)) + piece)
    return out


def rtp(payload_type: int, sequence: int, timestamp: int, ssrc: int, marker: bool, payload: bytes) -> bytes:
    """Return a packet with a plain 12-byte header."""
    second = payload_type | (0x80 if marker else 0)
    return struct.pack(">BBHII", 0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def video(
    access_units: tuple[bytes, ...],
    *,
    ssrc: int = VIDEO_SSRC,
    sequence: int = 65000,
    timestamp: int = 4294000000,
    fps: int = 30,
) -> Iterator[Timed]:
    """Yield the packets of a picture; sequence and timestamp wrap early."""
    for index, unit in enumerate(access_units):
        payloads = h264_payloads(unit)
        for number, payload in enumerate(payloads):
            marker = number == len(payloads) - 1
            yield Timed(index / fps, rtp(102, sequence, timestamp + index * 90000 // fps, ssrc, marker, payload))
            sequence += 1


def audio(packets: tuple[bytes, ...], *, ssrc: int = AUDIO_SSRC, sequence: int = 10, timestamp: int = 77) -> Iterator[Timed]:
    """Yield the packets of a sound."""
    for index, payload in enumerate(packets):
        yield Timed(index * 0.02, rtp(111, sequence + index, timestamp + 960 * index, ssrc, index == 0, payload))


def interleave(*streams: Iterator[Timed]) -> list[Timed]:
    """Return all packets by time."""
    return sorted((timed for stream in streams for timed in stream), key=lambda timed: timed.at)


def scene(seconds: float, **options: int) -> list[Timed]:
    """Return a picture with sound."""
    return interleave(video(encode_video(int(30 * seconds)), **options), audio(encode_audio(int(50 * seconds))))
