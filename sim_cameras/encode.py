"""From raw pictures and sound to H.264 and Opus, once per camera, with PyAV.

Owns: the encoders' settings.  Must never know: scenes, RTP or networks.
"""

from fractions import Fraction
from typing import Literal, NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.audio.codeccontext import AudioCodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from sim_cameras.picture import Picture
from sim_cameras.sound import SAMPLE_RATE

VIDEO_CLOCK = 90_000
_KEYFRAME_SECONDS = 4


class Unit(NamedTuple):
    """One encoded access unit or sound frame."""

    kind: Literal["video", "audio"]
    pts: int
    """In 1/90000 s for video and 1/48000 s for audio, from the camera's start."""
    utc_ns: int
    """Instant of capture."""
    data: bytes
    """H.264 Annex B, parameter sets before each IDR; or one Opus packet."""
    key: bool


class VideoEncoder:
    """x264 as a cheap camera would run it: constrained baseline, no B-frames, no look-ahead, a keyframe when asked.

    A keyframe also comes every 4 s unasked.  Cost at 640x360: 1-2 ms per frame.
    """

    def __init__(self, width: int, height: int, fps: int, bitrate: int) -> None:
        codec = av.CodecContext.create("libx264", "w")
        assert isinstance(codec, VideoCodecContext)
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.bit_rate = bitrate
        codec.framerate, codec.time_base = Fraction(fps, 1), Fraction(1, VIDEO_CLOCK)
        kbps = bitrate // 1000
        codec.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            # A buffer of one second leaves room for a large keyframe, and for no more.
            "x264-params": f"keyint={fps * _KEYFRAME_SECONDS}:scenecut=0:vbv-maxrate={kbps}:vbv-bufsize={kbps}"
            ":threads=1:sliced-threads=0:repeat-headers=1",
        }
        self._codec = codec

    def encode(self, picture: Picture, pts: int, utc_ns: int, key: bool) -> list[Unit]:
        """Encode one picture taken at `utc_ns`; `key` forces an IDR.  Returns one unit (x264 holds nothing back)."""
        frame = av.VideoFrame.from_ndarray(picture.data, format="yuv420p")
        frame.pts, frame.time_base = pts, Fraction(1, VIDEO_CLOCK)
        frame.pict_type = PictureType.I if key else PictureType.NONE
        return [Unit("video", pts, utc_ns, bytes(packet), packet.is_keyframe) for packet in self._codec.encode(frame)]


class AudioEncoder:
    """Opus, mono, 48 kHz, 20 ms frames, 24 kbit/s."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("libopus", "w")
        assert isinstance(codec, AudioCodecContext)
        codec.bit_rate, codec.format, codec.layout = 24_000, "s16", "mono"
        codec.sample_rate, codec.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
        codec.options = {"application": "voip", "compression_level": "2", "frame_duration": "20"}
        self._codec = codec

    def encode(self, samples: npt.NDArray[np.int16], pts: int, utc_ns: int) -> list[Unit]:
        """Encode 960 samples (shape (960,)) captured from `utc_ns` on."""
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, pts, Fraction(1, SAMPLE_RATE)
        return [Unit("audio", pts, utc_ns, bytes(packet), True) for packet in self._codec.encode(frame)]
