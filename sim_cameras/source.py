"""Picture and sound of one filming camera: films, encodes once, and delivers encoded units in real time.

Owns: the pace and the capture clock.  Must never know: RTP, HTTP or who listens.
"""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from pathlib import Path

from sim_cameras.encode import VIDEO_CLOCK, AudioEncoder, Unit, VideoEncoder
from sim_cameras.footage import Footage
from sim_cameras.picture import Picture
from sim_cameras.scene import Overlay, Patrol, Scene
from sim_cameras.sound import FRAME_SAMPLES, FRAME_SECONDS, Sound

_KEYFRAME_PAUSE_SECONDS = 0.3
_LATE_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Film:
    """The scene of a camera, and the parameters of its encoder."""

    name: str
    width: int = 640
    height: int = 360
    fps: int = 20
    bitrate: int = 500_000
    seed: int = 1
    footage: Path | None = None
    """None: the patrol."""
    flash_every: float | None = None
    audio: bool = True

    def scene(self) -> Scene:
        """Return the scene; raises OSError or ValueError where the footage cannot be read."""
        if self.footage is not None:
            return Footage(self.footage, self.width, self.height)
        return Patrol(self.width, self.height, self.seed)


class Source:
    """Films while `running`; every unit goes to `deliver` on the event loop.

    A frame that is late by more than half a second is not made up for: the camera skips, as a real one does.
    """

    def __init__(self, film: Film, executor: Executor, deliver: Callable[[Unit], None]) -> None:
        self._film = film
        self._executor = executor
        self._deliver = deliver
        self._key_wanted = True
        self._key_at = float("-inf")
        self.frames = 0
        self.skipped = 0

    def ask_keyframe(self) -> None:
        """Make the next picture a keyframe (at most one per 0.3 s)."""
        self._key_wanted = True

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Film inside the block; an error of the encoder or the footage ends the block with it."""
        start = _Start(time.monotonic(), time.time_ns())
        self._key_wanted = True
        async with asyncio.TaskGroup() as tasks:
            jobs = [tasks.create_task(self._pictures(start))]
            if self._film.audio:
                jobs.append(tasks.create_task(self._sounds(start)))
            try:
                yield
            finally:
                for job in jobs:
                    job.cancel()

    async def _pictures(self, start: "_Start") -> None:
        loop, film = asyncio.get_running_loop(), self._film
        studio = await loop.run_in_executor(self._executor, _Studio, film)
        index = start.due_index(film.fps)
        while True:
            index = await self._wait(start, index, 1 / film.fps)
            now = time.monotonic()
            key = self._key_wanted and now - self._key_at >= _KEYFRAME_PAUSE_SECONDS
            if key:
                self._key_wanted, self._key_at = False, now
            for unit in await loop.run_in_executor(self._executor, studio.take, now - start.monotonic, start.utc(now), key):
                self._deliver(unit)
            self.frames += 1

    async def _sounds(self, start: "_Start") -> None:
        sound, encoder = Sound(self._film.seed, self._film.flash_every), AudioEncoder()
        index = 0
        while True:
            # A sound frame is complete, and can be sent, only at its end.
            index = await self._wait(start, index, FRAME_SECONDS)
            utc_ns = start.utc(start.monotonic + (index - 1) * FRAME_SECONDS)
            for unit in encoder.encode(sound.frame(utc_ns), (index - 1) * FRAME_SAMPLES, utc_ns):
                self._deliver(unit)

    async def _wait(self, start: "_Start", index: int, period: float) -> int:
        """Sleep until the next tick of `period`; return its number, skipping ticks when far behind."""
        due = start.monotonic + (index + 1) * period
        late = time.monotonic() - due
        if late > _LATE_SECONDS:
            skipped = int(late / period)
            self.skipped += skipped
            return index + 1 + skipped
        await asyncio.sleep(max(0.0, -late))
        return index + 1


@dataclasses.dataclass(frozen=True)
class _Start:
    """The instant at which filming began, on both clocks; capture times follow the monotonic clock, which never steps."""

    monotonic: float
    utc_ns: int

    def utc(self, monotonic: float) -> int:
        return self.utc_ns + int((monotonic - self.monotonic) * 1e9)

    def due_index(self, fps: int) -> int:
        return int((time.monotonic() - self.monotonic) * fps)


class _Studio:
    """Scene, overlay and encoder of one camera; lives on the executor's thread."""

    def __init__(self, film: Film) -> None:
        self._scene = film.scene()
        self._overlay = Overlay(film.width, film.height, film.name, film.flash_every)
        self._encoder = VideoEncoder(film.width, film.height, film.fps, film.bitrate)
        self._picture = Picture(film.width, film.height)

    def take(self, seconds: float, utc_ns: int, key: bool) -> list[Unit]:
        """Film one picture `seconds` after the start."""
        self._scene.render(self._picture, seconds)
        self._overlay.draw(self._picture, utc_ns)
        return self._encoder.encode(self._picture, round(seconds * VIDEO_CLOCK), utc_ns, key)
