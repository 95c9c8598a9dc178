"""The machine-readable time code in a simulated picture, and its reader.

Owns: the layout of the code.  Must never know: where the picture came from or went: it writes into and reads from plain
luma arrays, so that the same code serves a raw scene, a decoded packet, a screenshot and a canvas read-back.

Layout, for a picture W pixels wide: 2 rows of 32 square cells, each W/32 on a side, at the top edge.  In reading order:
4 cells of sync (white, black, white, black), 44 bits of milliseconds since 1970-01-01T00:00:00Z, 16 bits of
CRC-16/CCITT-FALSE over those 44 bits (as 6 bytes, big-endian).  White is one.  Cells scale with the picture, so a viewer's
smaller copy is read in the same way.
"""

import binascii
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Luma: TypeAlias = npt.NDArray[np.uint8]

COLUMNS = 32
ROWS = 2
WHITE = 235
BLACK = 16
_SYNC = (1, 0, 1, 0)
_TIME_BITS = 44
_CRC_BITS = 16
_LEAST_CONTRAST = 48


def crc16(ms: int) -> int:
    """Return the CRC-16/CCITT-FALSE of a 44-bit time."""
    return binascii.crc_hqx(ms.to_bytes(6, "big"), 0xFFFF)


def cells(ms: int) -> npt.NDArray[np.bool_]:
    """Return the code of `ms` (0 <= ms < 2**44) as booleans of shape (2, 32); raises ValueError outside that range."""
    if not 0 <= ms < 1 << _TIME_BITS:
        raise ValueError(f"time code out of range: {ms}")
    word = ms << _CRC_BITS | crc16(ms)
    bits = [word >> shift & 1 for shift in range(_TIME_BITS + _CRC_BITS - 1, -1, -1)]
    return np.array([*_SYNC, *bits], dtype=np.bool_).reshape(ROWS, COLUMNS)


def height(width: int) -> int:
    """Return how many picture rows the code covers in a picture `width` pixels wide."""
    return int(_edges(width, ROWS)[-1])


def draw(luma: Luma, ms: int) -> None:
    """Write the code of `ms` over the top of `luma` (height, width), in place."""
    columns = _edges(luma.shape[1], COLUMNS)
    rows = _edges(luma.shape[1], ROWS)
    shades = np.where(cells(ms), WHITE, BLACK).astype(np.uint8)
    for row in range(ROWS):
        luma[rows[row] : rows[row + 1]] = np.repeat(shades[row], np.diff(columns))


def read(luma: npt.NDArray[Any]) -> int | None:
    """Return the milliseconds written in a luma array (height, width), or None where no valid code is seen.

    Reads the middle of each cell only, and takes black and white from the sync cells: survives compression, scaling and
    either range of luma.
    """
    width = luma.shape[1]
    if width < 2 * COLUMNS or luma.shape[0] < height(width):
        return None
    levels = [_middle(luma, width, index) for index in range(ROWS * COLUMNS)]
    white, black = (levels[0] + levels[2]) / 2, (levels[1] + levels[3]) / 2
    if white - black < _LEAST_CONTRAST:
        return None
    word = 0
    for level in levels[len(_SYNC) :]:
        word = word << 1 | (level > (white + black) / 2)
    ms = word >> _CRC_BITS
    return ms if word & 0xFFFF == crc16(ms) else None


def _edges(width: int, count: int) -> npt.NDArray[np.int64]:
    """Return the `count` + 1 pixel borders of square cells in a picture `width` pixels wide."""
    return np.round(np.arange(count + 1) * width / COLUMNS).astype(np.int64)


def _middle(luma: npt.NDArray[Any], width: int, index: int) -> float:
    """Return the mean level of the inner half of one cell."""
    side = width / COLUMNS
    row, column = divmod(index, COLUMNS)
    top, left = int((row + 0.25) * side), int((column + 0.25) * side)
    inner = max(1, int(side / 2))
    return float(luma[top : top + inner, left : left + inner].mean())
