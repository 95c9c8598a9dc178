"""What a camera sends, made once: 720p30 H.264 at a bit rate, cut into RTP payloads as libwebrtc cuts them.

Owns: the payloads.  Must never know: RTP sessions.  Every payload of a slice ends with eight bytes that the load generator
overwrites with the packet's number, so that a sink knows which packet it received.  A relay that forwards bytes never looks
there.
"""

import functools
from fractions import Fraction

import av
import numpy as np

MTU = 1060
MARK_BYTES = 8
"""Length of the number that the last bytes of a payload carry."""
GOP = 60
"""Pictures from keyframe to keyframe."""


def mark(number: int) -> bytes:
    """Return a number of 56 bits in eight bytes, seven bits in each: a byte of zero may begin a start code inside a unit."""
    number = number & 0xFFFFFFF | (number >> 28) << 32
    number = number & 0x00003FFF00003FFF | (number & 0x0FFFC0000FFFC000) << 2
    number = number & 0x007F007F007F007F | (number & 0x3F803F803F803F80) << 1
    return (number | 0x8080808080808080).to_bytes(MARK_BYTES, "big")


def marked(data: bytes) -> int:
    """Return the number in eight bytes of `mark`."""
    number = int.from_bytes(data, "big")
    number = number & 0x007F007F007F007F | (number & 0x7F007F007F007F00) >> 1
    number = number & 0x00003FFF00003FFF | (number & 0x3FFF00003FFF0000) >> 2
    return number & 0xFFFFFFF | (number >> 32) << 28


@functools.cache
def frames(
    kbps: int = 2000, fps: int = 30, seconds: int = 4, width: int = 1280, height: int = 720, gop: int = GOP
) -> list[list[bytes]]:
    """Return access units as lists of RTP payloads (single NAL or FU-A); the first is an IDR with SPS and PPS.

    One slice a picture and no SEI, as a browser's OpenH264 and the encoders of cameras make them.
    """
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = width, height, "yuv420p", Fraction(fps)
    encoder.time_base = Fraction(1, fps)
    encoder.bit_rate = kbps * 1000
    encoder.thread_count = 1  # otherwise zerolatency makes a slice per core
    encoder.options = {
        "preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "g": str(gop), "keyint_min": str(gop),
        "x264-params": f"vbv-maxrate={kbps}:vbv-bufsize={kbps // 4}:nal-hrd=cbr:force-cfr=1:slices=1",
    }  # fmt: skip
    noise = np.random.default_rng(7).integers(0, 255, (height * 2, width * 2), dtype=np.uint8)
    units = []
    for number in range(fps * seconds):
        luma = noise[number * 4 % height :, number * 6 % width :][:height, :width] // 3 + 60
        picture = np.concatenate([luma, np.full((height // 2, width), 128, np.uint8)])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "yuv420p")
        frame.pts = number
        units += [packetize(bytes(packet)) for packet in encoder.encode(frame)]
    return units


def packetize(annexb: bytes) -> list[bytes]:
    """Cut an Annex B access unit into RTP payloads (RFC 6184 §5.6, §5.8), fragments of one NAL as equal as they can be."""
    payloads: list[bytes] = []
    for piece in annexb.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1"):
        nal = piece.rstrip(b"\0")
        if not nal or nal[0] & 31 in (6, 9, 12):
            continue
        payloads += [nal] if len(nal) <= MTU else _fragments(nal)
    return payloads


def _fragments(nal: bytes) -> list[bytes]:
    count = -(-(len(nal) - 1) // (MTU - 2))
    size, larger = divmod(len(nal) - 1, count)
    indicator, kind, at, out = nal[0] & 0xE0 | 28, nal[0] & 31, 1, []
    for number in range(count):
        length = size + (number >= count - larger)
        header = kind | (0x80 if number == 0 else 0) | (0x40 if number == count - 1 else 0)
        out.append(bytes((indicator, header)) + nal[at : at + length])
        at += length
    return out
