"""A 5 x 7 bitmap font for what a body camera burns into its picture: names, clocks, positions.

Owns: the glyphs.  Must never know: the picture's content: it returns masks.
"""

import functools
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Mask: TypeAlias = npt.NDArray[np.bool_]

_COLUMNS_PER_GLYPH = 6
_ROWS = 7

# Each glyph: 7 rows of 5 bits as two hex digits, top first.
_GLYPHS = {
    " ": "00000000000000", "0": "0E11131519110E", "1": "040C040404040E", "2": "0E11010204081F", "3": "1F02040201110E",
    "4": "02060A121F0202", "5": "1F101E0101110E", "6": "0608101E11110E", "7": "1F010204080808", "8": "0E11110E11110E",
    "9": "0E11110F01020C", "A": "0E11111F111111", "B": "1E11111E11111E", "C": "0E11101010110E", "D": "1C12111111121C",
    "E": "1F10101E10101F", "F": "1F10101E101010", "G": "0E11101711110F", "H": "1111111F111111", "I": "0E04040404040E",
    "J": "0702020202120C", "K": "11121418141211", "L": "1010101010101F", "M": "111B1515111111", "N": "11111915131111",
    "O": "0E11111111110E", "P": "1E11111E101010", "Q": "0E11111115120D", "R": "1E11111E141211", "S": "0F10100E01011E",
    "T": "1F040404040404", "U": "1111111111110E", "V": "11111111110A04", "W": "1111111515150A", "X": "11110A040A1111",
    "Y": "1111110A040404", "Z": "1F01020408101F", ":": "000C0C000C0C00", "-": "0000001F000000", ".": "00000000000C0C",
    "/": "00010204081000", "_": "0000000000001F", "+": "0004041F040400", "%": "18190204081303", ",": "000000000C0408",
}  # fmt: skip
_UNKNOWN = "1F11151511111F"


@functools.lru_cache(maxsize=64)
def _glyph(character: str) -> Mask:
    """Return one glyph as booleans of shape (7, 6), the last column empty."""
    rows = bytes.fromhex(_GLYPHS.get(character, _UNKNOWN))
    return np.array([[row >> bit & 1 for bit in (4, 3, 2, 1, 0)] + [0] for row in rows], dtype=np.bool_)


def mask(text: str, scale: int) -> Mask:
    """Return `text` in capitals as booleans of shape (7 * scale, 6 * scale * len(text)); unknown characters are boxes."""
    if not text:
        return np.zeros((_ROWS * scale, 0), dtype=np.bool_)
    line = np.concatenate([_glyph(character) for character in text.upper()], axis=1)
    return line.repeat(scale, axis=0).repeat(scale, axis=1)
