"""A flash-and-beep scene as a camera films it, cut into RTP with faults, and the ruler that reads it back from a recording.

The flash and the beep begin at the same instants of the camera's true time (each two seconds); every picture carries its own
time of capture.  What arrives is late by a different time for picture and sound, which only sender reports reveal.
"""

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer

from sim_cameras import timecode
from sim_cameras.encode import AudioEncoder, Unit, VideoEncoder
from sim_cameras.picture import Picture
from sim_cameras.scene import FLASH_NS, Overlay, Patrol
from sim_cameras.sound import FRAME_SAMPLES, Sound
from tests.support.rtp_source import h264_payloads, rtp

NS = 1_000_000_000
MS = 1_000_000
EVERY = 2.0
FPS = 25
WIDTH, HEIGHT = 320, 240
EPOCH = 1_767_225_600 * NS
"""True time at which the scene begins: a whole multiple of `EVERY`."""
_WHITE = 200
_RATE = 48_000
_WINDOW = 240
"""Samples of 5 ms: the beep of 1 kHz has five whole periods in it."""


@lru_cache
def film(seconds: int) -> tuple[Unit, ...]:
    """Return the encoded scene, pictures and sound by time of capture; a keyframe each second, as the recorder would ask."""
    patrol, overlay = Patrol(WIDTH, HEIGHT, 1), Overlay(WIDTH, HEIGHT, "flash", EVERY)
    eye, ear, sound, picture = (
        VideoEncoder(WIDTH, HEIGHT, FPS, 800_000),
        AudioEncoder(),
        Sound(1, EVERY),
        Picture(WIDTH, HEIGHT),
    )
    units: list[Unit] = []
    for index in range(FPS * seconds):
        utc_ns = EPOCH + index * NS // FPS
        patrol.render(picture, index / FPS)
        overlay.draw(picture, utc_ns)
        units += eye.encode(picture, index * 90_000 // FPS, utc_ns, index % FPS == 0)
    for index in range(50 * seconds):
        utc_ns = EPOCH + index * 20 * MS
        units += ear.encode(sound.frame(utc_ns), index * FRAME_SAMPLES, utc_ns)
    return tuple(sorted(units, key=lambda unit: unit.utc_ns))


@dataclass(frozen=True)
class Life:
    """One stretch of a camera's transmission; times in nanoseconds."""

    start: int
    """Seconds of the scene, first and last."""
    end: int
    ssrcs: tuple[int, int]
    first_rtp: tuple[int, int]
    late: tuple[int, int]
    """By how much picture and sound arrive after their capture."""
    reports: bool = True
    camera_clock: int = 0
    """The camera's wall clock minus true time."""
    loss: float = 0.0
    pace: tuple[float, float] = (1.0, 1.0)
    """How fast the RTP clocks of picture and sound run: 1.01 is 1 % too fast."""
    dtx: bool = False
    """Silence is not sent: 0.7 s and 1.3 s by turns."""


class Arrival(NamedTuple):
    """Something that reaches the relay `at` nanoseconds after the scene began: a packet, or a report (ssrc, ntp_ns, rtp)."""

    at: int
    packet: bytes | None
    report: tuple[int, int, int] | None


def arrivals(life: Life, seed: int, numbers: list[int]) -> list[Arrival]:
    """Return what of a life reaches the relay, in order of arrival: up to 15 ms of jitter, packets lost at random.

    `numbers`: the next sequence numbers of picture and sound; they are counted on.
    """
    chance = random.Random(seed)
    out: list[Arrival] = []
    for unit in film(life.end):
        track = 0 if unit.kind == "video" else 1
        since = unit.utc_ns - EPOCH
        if since < life.start * NS or (track and life.dtx and _silent(since)):
            continue
        payloads = h264_payloads(unit.data) if track == 0 else [unit.data]
        delay = life.late[track] + chance.randrange(15 * MS)
        for place, payload in enumerate(payloads):
            marker = track == 0 and place == len(payloads) - 1
            timestamp = (life.first_rtp[track] + round(unit.pts * life.pace[track])) & 0xFFFFFFFF
            packet = rtp((102, 111)[track], numbers[track], timestamp, life.ssrcs[track], marker, payload)
            numbers[track] += 1
            if chance.random() >= life.loss:
                out.append(Arrival(since + delay, packet, None))
    out += [item for item in _reports(life) if life.reports]
    return sorted(out, key=lambda item: item.at)


def _silent(since: int) -> bool:
    cycle, phase = divmod(since, round(EVERY * NS))
    return 300 * MS < phase < (1_000 * MS if cycle % 2 else 1_600 * MS)


def _reports(life: Life) -> Iterator[Arrival]:
    """A report of both tracks each second, the first after 1.5 s (RFC 3550 §6.4.1)."""
    for second in range(life.start, life.end - 1):
        at = second * NS + 1_500 * MS
        for track, rate in enumerate((90_000, _RATE)):
            stamp = (life.first_rtp[track] + round(at * life.pace[track]) * rate // NS) & 0xFFFFFFFF
            yield Arrival(at + 30 * MS, None, (life.ssrcs[track], EPOCH + at + life.camera_clock, stamp))


class Apart(NamedTuple):
    """One flash with its beep: the true time of both, and by how many seconds the beep comes after the flash."""

    utc_ns: int
    seconds: float


def measure(open_media: Callable[[], InputContainer]) -> list[Apart]:
    """Decode a file or playlist and return how far each beep that came whole is from its flash."""
    with open_media() as container:
        flashes = _flashes(container)
    with open_media() as container:
        beeps = list(_beeps(container))
    found = []
    for utc_ns, at in sorted(flashes.items()):
        near = min(beeps, key=lambda beep: abs(beep - at), default=None)
        if near is not None and abs(near - at) < EVERY / 2:
            found.append(Apart(utc_ns, near - at))
    return found


def _flashes(container: InputContainer) -> dict[int, float]:
    """Return where each flash begins: by its white pictures, each of which says how long after the beginning it was taken."""
    found: dict[int, float] = {}
    for frame in container.decode(video=0):
        luma = frame.to_ndarray(format="gray")
        code = timecode.read(luma)
        if code is None or frame.time is None or luma[HEIGHT // 2 :].mean() < _WHITE:
            continue
        phase = code * MS % round(EVERY * NS)
        if phase < FLASH_NS:
            found.setdefault(code * MS - phase, frame.time - phase / NS)
    return found


def _beeps(container: InputContainer) -> Iterator[float]:
    """Yield where each beep begins whose whole length was heard."""
    tone = np.exp(-2j * np.pi * 1000 * np.arange(_WINDOW) / _RATE)
    since, end = None, 0.0
    for frame in container.decode(audio=0):
        pcm = frame.to_ndarray().astype(np.float64)
        mono = pcm.reshape(-1, frame.layout.nb_channels)[:, 0] if not frame.format.is_planar else pcm[0]
        scale = 1.0 if frame.format.name.startswith("flt") else 1 / 32768
        assert frame.time is not None
        for place in range(0, len(mono) - _WINDOW + 1, _WINDOW):
            at = frame.time + place / _RATE
            loud = abs(np.dot(mono[place : place + _WINDOW] * scale, tone)) / _WINDOW > 0.05
            if since is not None and (not loud or at - end > 0.015):
                if 0.085 < end - since < 0.125:
                    yield since
                since = None
            if loud:
                since, end = at if since is None else since, at + _WINDOW / _RATE


def open_bytes(data: bytes) -> Callable[[], InputContainer]:
    """Return what `measure` opens for a file in memory."""
    return lambda: av.open(io.BytesIO(data), "r")
