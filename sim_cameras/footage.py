"""Real footage from any file that FFmpeg reads: decoded, scaled to fit, looped.

Owns: the file.  Must never know: encoders or networks.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from sim_cameras.picture import GREY, Picture

_BLACK = 16


class Footage:
    """A scene played from a file at its own pace; black bars where its shape differs from the camera's.

    Raises OSError where the file cannot be opened and ValueError where it holds no picture.
    """

    def __init__(self, path: Path, width: int, height: int) -> None:
        self._path = path
        self._frames = self._play()
        self._at, first = self._next()
        scale = min(width / first.width, height / first.height)
        self._wide, self._tall = int(first.width * scale) & ~1, int(first.height * scale) & ~1
        self._left, self._top = (width - self._wide) // 2 & ~1, (height - self._tall) // 2 & ~1
        self._canvas = Picture(width, height)
        self._canvas.y[:] = _BLACK
        self._show(first)

    def render(self, picture: Picture, seconds: float) -> None:
        """Paint the frame that is on screen at `seconds`."""
        newest = None
        while self._at < seconds:
            self._at, newest = self._next()
        if newest is not None:
            self._show(newest)
        picture.data[:] = self._canvas.data

    def _next(self) -> tuple[float, VideoFrame]:
        """Return the next frame and the time at which it is due, counting through the loops."""
        for at, frame in self._frames:
            return at, frame
        raise ValueError(f"no picture in {self._path}")

    def _play(self) -> Iterator[tuple[float, VideoFrame]]:
        """Decode the file again and again; time runs on over each loop."""
        base = 0.0
        while True:
            last, period = base, 0.04
            with av.open(str(self._path)) as container:
                if not container.streams.video:
                    return
                for frame in container.decode(container.streams.video[0]):
                    at = base + (frame.time or 0.0)
                    period, last = max(0.01, min(1.0, at - last)) if at > last else period, max(at, last)
                    yield at, frame
            if last == base:
                return
            base = last + period

    def _show(self, frame: VideoFrame) -> None:
        scaled = frame.reformat(width=self._wide, height=self._tall, format="yuv420p").to_ndarray()
        luma = scaled[: self._tall]
        chroma = scaled[self._tall :].reshape(2, self._tall // 2, self._wide // 2)
        box = np.s_[self._top : self._top + self._tall, self._left : self._left + self._wide]
        half = np.s_[self._top // 2 : (self._top + self._tall) // 2, self._left // 2 : (self._left + self._wide) // 2]
        self._canvas.y[box] = luma
        self._canvas.u[:], self._canvas.v[:] = GREY, GREY
        self._canvas.u[half], self._canvas.v[half] = chroma[0], chroma[1]
