import binascii

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_cameras import timecode

TIMES = st.integers(0, 2**44 - 1)


@given(TIMES, st.sampled_from([64, 320, 640, 642, 1280]))
def test_what_is_drawn_is_read(ms: int, width: int) -> None:
    luma = np.full((timecode.height(width) + 4, width), 90, np.uint8)
    timecode.draw(luma, ms)
    assert timecode.read(luma) == ms


@given(TIMES)
def test_it_survives_scaling_and_the_other_range(ms: int) -> None:
    luma = np.full((360, 640), 90, np.uint8)
    timecode.draw(luma, ms)
    smaller = luma.reshape(180, 2, 320, 2).mean(axis=(1, 3))
    full_range = (smaller - 16) * 255 / 219
    assert timecode.read(full_range) == ms


@given(TIMES, st.integers(4, 63))
def test_one_wrong_cell_is_noticed(ms: int, cell: int) -> None:
    luma = np.full((40, 640), 90, np.uint8)
    timecode.draw(luma, ms)
    row, column = divmod(cell, 32)
    box = luma[row * 20 : row * 20 + 20, column * 20 : column * 20 + 20]
    box[:] = timecode.WHITE if box[0, 0] == timecode.BLACK else timecode.BLACK
    assert timecode.read(luma) is None


def test_a_picture_without_code_reads_as_none() -> None:
    random = np.random.default_rng(1)
    assert timecode.read(np.full((360, 640), 128, np.uint8)) is None
    assert timecode.read(random.integers(0, 255, (360, 640), np.uint8)) is None
    assert timecode.read(np.zeros((2, 640), np.uint8)) is None
    assert timecode.read(np.zeros((360, 16), np.uint8)) is None


@pytest.mark.parametrize("ms", [-1, 2**44])
def test_times_that_do_not_fit_are_refused(ms: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        timecode.cells(ms)


def test_the_layout_is_fixed() -> None:
    bits = timecode.cells(0x9AB_CDEF_0123).ravel().astype(int)
    assert list(bits[:4]) == [1, 0, 1, 0]
    assert int("".join(map(str, bits[4:48])), 2) == 0x9AB_CDEF_0123
    assert int("".join(map(str, bits[48:])), 2) == timecode.crc16(0x9AB_CDEF_0123)


def test_the_checksum_is_ccitt_false() -> None:
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == 0x29B1
