"""Pre-encoded, pre-packetized media that a fleet of cameras sends in a loop.

Owns: the payloads.  Must never know: RTP sessions: the same clip is shared by any number of them.
"""

import dataclasses
from typing import Literal, NamedTuple

from sim_cameras.encode import VIDEO_CLOCK, AudioEncoder, VideoEncoder
from sim_cameras.packetize import payloads
from sim_cameras.picture import Picture
from sim_cameras.scene import Overlay
from sim_cameras.sound import FRAME_SAMPLES, FRAME_SECONDS, SAMPLE_RATE, Sound
from sim_cameras.source import Film


class Frame(NamedTuple):
    """One access unit or sound frame as RTP payloads."""

    payloads: tuple[bytes, ...]
    key: bool


@dataclasses.dataclass(frozen=True)
class Clip:
    """Frames at a constant rate, the first of them a keyframe; played in a loop, and from the start when one is asked for."""

    kind: Literal["video", "audio"]
    frames: tuple[Frame, ...]
    clock_rate: int
    step: int
    """RTP units between frames."""

    @property
    def period(self) -> float:
        """Seconds between frames."""
        return self.step / self.clock_rate

    @property
    def bitrate(self) -> float:
        """Mean bits per second of payload."""
        octets = sum(len(payload) for frame in self.frames for payload in frame.payloads)
        return octets * 8 / (len(self.frames) * self.period)


def film_video(film: Film, seconds: float) -> Clip:
    """Encode a clip of pictures.  Its time codes are those of a film, not of now."""
    picture, scene = Picture(film.width, film.height), film.scene()
    overlay = Overlay(film.width, film.height, film.name, film.flash_every)
    encoder = VideoEncoder(film.width, film.height, film.fps, film.bitrate)
    frames = []
    for index in range(round(seconds * film.fps)):
        scene.render(picture, index / film.fps)
        overlay.draw(picture, index * 1_000_000_000 // film.fps)
        for unit in encoder.encode(picture, index * VIDEO_CLOCK // film.fps, 0, index == 0):
            frames.append(Frame(payloads(unit.data), unit.key))
    return Clip("video", tuple(frames), VIDEO_CLOCK, VIDEO_CLOCK // film.fps)


def record_audio(seed: int, seconds: float) -> Clip:
    """Encode a clip of sound."""
    sound, encoder = Sound(seed, None), AudioEncoder()
    frames = []
    for index in range(round(seconds / FRAME_SECONDS)):
        units = encoder.encode(sound.frame(index * 20_000_000), index * FRAME_SAMPLES, 0)
        frames += [Frame((unit.data,), True) for unit in units]
    return Clip("audio", tuple(frames), SAMPLE_RATE, FRAME_SAMPLES)
