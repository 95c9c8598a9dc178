"""The picture of a simulated camera: a night patrol drawn with numpy, and the overlay burnt into every picture.

Owns: pictures as functions of (seed, time).  Must never know: encoders or networks.
"""

import math
from datetime import UTC, datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sim_cameras import font, timecode
from sim_cameras.picture import Picture

_WORLD_WIDTHS = 3
_BOB = 8
_GRAIN_TILES = 4
_GRAIN = 5
FLASH_NS = 100_000_000


class Scene(Protocol):
    """Something that can be filmed."""

    def render(self, picture: Picture, seconds: float) -> None:
        """Paint the whole picture as it is `seconds` after the camera was switched on."""
        ...


class Patrol:
    """A street at night, walked along: a scrolling, bobbing background, people, and a blue light.

    Equal seeds give equal streets.  Cost: a copy of the picture per frame.
    """

    def __init__(self, width: int, height: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self._speed = float(random.uniform(40, 90)) * width / 640
        self._world = _street(width * _WORLD_WIDTHS, height + 2 * _BOB, random)
        self._wrap = self._world.width - width
        self._people = [_Person(width, height, random) for _ in range(3)]
        shape = (_GRAIN_TILES, height, width)
        self._grain = random.integers(0, _GRAIN, shape, dtype=np.uint8)
        self._frames = 0

    def render(self, picture: Picture, seconds: float) -> None:
        """Paint the street, the people and the light."""
        # Even offsets keep luma and chroma aligned.  The camera goes to the end and back, so that the street never jumps.
        travelled = seconds * self._speed % (2 * self._wrap)
        left = int(travelled if travelled < self._wrap else 2 * self._wrap - travelled) & ~1
        top = int(_BOB + _BOB * 0.9 * math.sin(seconds * 7)) & ~1
        bottom, right = top + picture.height, left + picture.width
        self._frames += 1
        np.add(self._world.y[top:bottom, left:right], self._grain[self._frames % _GRAIN_TILES], out=picture.y)
        picture.u[:] = self._world.u[top // 2 : bottom // 2, left // 2 : right // 2]
        picture.v[:] = self._world.v[top // 2 : bottom // 2, left // 2 : right // 2]
        for person in self._people:
            person.paint(picture, seconds)
        if int(seconds * 4) % 2:
            picture.fill(picture.height // 4, 0, picture.height // 3, picture.width // 10, (90, 200, 100))


class _Person:
    """A figure walking across the picture."""

    def __init__(self, width: int, height: int, random: np.random.Generator) -> None:
        self._width = width
        self._tall = int(height * random.uniform(0.3, 0.5)) & ~1
        self._speed = float(random.uniform(-120, 120)) * width / 640
        self._start = float(random.uniform(0, width))
        self._floor = int(height * random.uniform(0.8, 0.98)) & ~1
        self._coat = (int(random.integers(40, 180)), int(random.integers(90, 160)), int(random.integers(90, 160)))

    def paint(self, picture: Picture, seconds: float) -> None:
        """Paint body and head at this instant."""
        left = int((self._start + seconds * self._speed) % self._width) & ~1
        wide, head = self._tall // 3 & ~1, self._tall // 5 & ~1
        picture.fill(self._floor - self._tall + head, left, self._floor, left + wide, self._coat)
        neck = self._floor - self._tall + head
        picture.fill(neck - head, left + wide // 4, neck, left + 3 * wide // 4, (160, 115, 145))


def _street(width: int, height: int, random: np.random.Generator) -> Picture:
    """Return a long picture of a street: sky, houses with lit windows, a road with its line."""
    world = Picture(width & ~1, height & ~1)
    horizon = int(height * 0.62) & ~1
    world.y[:horizon] = np.linspace(20, 50, horizon, dtype=np.uint8)[:, None]
    world.fill(horizon, 0, height, width, (62, 128, 126))
    left = 0
    while left < width:
        wide, tall = int(random.integers(60, 160)) & ~1, int(random.integers(horizon // 3, horizon)) & ~1
        _house(world, left, wide, horizon - tall, horizon, random)
        left += wide + int(random.integers(0, 20)) & ~1
    for dash in range(0, width, 96):
        world.fill(height - height // 8, dash, height - height // 8 + 6, dash + 48, (190, 128, 128))
    return world


def _house(world: Picture, left: int, wide: int, top: int, floor: int, random: np.random.Generator) -> None:
    """Paint one house; about a third of its windows are lit."""
    shade = (int(random.integers(55, 120)), int(random.integers(118, 136)), int(random.integers(120, 140)))
    world.fill(top, left, floor, left + wide, shade)
    for row in range(top + 8, floor - 16, 24):
        for column in range(left + 6, left + wide - 12, 20):
            lit = random.random() < 0.33
            world.fill(row, column, row + 12, column + 10, (200, 90, 150) if lit else (30, 128, 128))


class Overlay:
    """The overlay of every picture: the time code, the camera's name, a clock and, if asked for, a flash.

    The flash (the whole picture white for 0.1 s at each multiple of `flash_every` seconds of the wall clock) goes
    with the beep of `sound.Sound`: both are functions of the same wall clock, so their distance at a viewer or in a recording
    is the error of its synchronisation.
    """

    def __init__(self, width: int, height: int, name: str, flash_every: float | None) -> None:
        self._scale = max(1, width // 320)
        self._name = font.mask(name, self._scale)
        self._flash_every = flash_every
        self._code = timecode.height(width)
        self._size = (width, height)

    def draw(self, picture: Picture, utc_ns: int) -> None:
        """Burn the overlay for the instant of capture into `picture`."""
        if flashing(utc_ns, self._flash_every):
            picture.y[:] = timecode.WHITE
            picture.grey(0, picture.height)
        timecode.draw(picture.y, utc_ns // 1_000_000)
        picture.grey(0, self._code)
        instant = datetime.fromtimestamp(utc_ns / 1e9, UTC)
        clock = font.mask(f"{instant:%Y-%m-%d %H:%M:%S}.{instant.microsecond // 100_000}Z", self._scale)
        top = self._code + 4
        _write(picture, clock, top, 8)
        _write(picture, self._name, top, picture.width - self._name.shape[1] - 8)


def flash_phase_ns(utc_ns: int, every: float) -> int:
    """Return the nanoseconds since the last flash began, in integers: a float second of today is too coarse for samples."""
    return utc_ns % round(every * 1e9)


def flashing(utc_ns: int, every: float | None) -> bool:
    """Return whether the flash-and-beep of period `every` seconds is on at this instant."""
    return every is not None and flash_phase_ns(utc_ns, every) < FLASH_NS


def _write(picture: Picture, text: npt.NDArray[np.bool_], top: int, left: int) -> None:
    """Write a mask in white on a dark box, clipped to the picture."""
    left = max(0, left)
    box = picture.y[top : top + text.shape[0], left : left + text.shape[1]]
    box[:] = np.where(text[: box.shape[0], : box.shape[1]], timecode.WHITE, box // 3)
