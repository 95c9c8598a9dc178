"""A raw picture in memory: planar YUV 4:2:0 as the encoder takes it.

Owns: the layout.  Must never know: scenes or codecs.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Plane: TypeAlias = npt.NDArray[np.uint8]

GREY = 128


class Picture:
    """One 4:2:0 picture: `data` is what PyAV's yuv420p takes (height * 3/2, width); `y`, `u`, `v` are views of it.

    Width and height must be even; raises ValueError otherwise.
    """

    __slots__ = ("data", "height", "u", "v", "width", "y")

    def __init__(self, width: int, height: int) -> None:
        if width % 2 or height % 2 or width <= 0 or height <= 0:
            raise ValueError(f"picture size must be positive and even, not {width}x{height}")
        self.width = width
        self.height = height
        flat = np.full(width * height * 3 // 2, GREY, dtype=np.uint8)
        self.data: Plane = flat.reshape(height * 3 // 2, width)
        luma, quarter = width * height, width * height // 4
        self.y: Plane = flat[:luma].reshape(height, width)
        self.u: Plane = flat[luma : luma + quarter].reshape(height // 2, width // 2)
        self.v: Plane = flat[luma + quarter :].reshape(height // 2, width // 2)

    def fill(self, top: int, left: int, bottom: int, right: int, colour: tuple[int, int, int]) -> None:
        """Paint a rectangle (clipped to the picture) in one (y, u, v) colour."""
        top, left = max(0, top), max(0, left)
        bottom, right = max(top, bottom), max(left, right)
        self.y[top:bottom, left:right] = colour[0]
        self.u[top // 2 : bottom // 2, left // 2 : right // 2] = colour[1]
        self.v[top // 2 : bottom // 2, left // 2 : right // 2] = colour[2]

    def grey(self, top: int, bottom: int) -> None:
        """Take the colour out of some rows."""
        self.u[top // 2 : (bottom + 1) // 2] = GREY
        self.v[top // 2 : (bottom + 1) // 2] = GREY
