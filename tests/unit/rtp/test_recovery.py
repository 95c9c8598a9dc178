"""Recovery points and I pictures, as x264 writes them; malformed SEI says nothing."""

from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rtp.recovery import I_SLICE_FIRST_BYTES, beginning, is_i_slice, recovery_pictures
from tests.support.rtp_source import annexb_units


def pictures(**options: str) -> list[list[bytes]]:
    """Encode forty pictures; return the units of each."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.options = {"preset": "ultrafast", "tune": "zerolatency"} | options
    codec.width, codec.height, codec.pix_fmt, codec.framerate = 160, 96, "yuv420p", 25
    noise, out = np.random.default_rng(3), []
    for _ in range(40):
        frame = av.VideoFrame.from_ndarray(noise.integers(0, 255, (96, 160, 3), np.uint8), format="rgb24")
        out += [annexb_units(bytes(packet)) for packet in codec.encode(frame)]
    return out + [annexb_units(bytes(packet)) for packet in codec.encode(None)]


def test_intra_refresh_is_a_beginning_after_which_some_pictures_are_not_right_yet() -> None:
    found = [beginning(units) for units in pictures(**{"x264-params": "intra-refresh=1:keyint=15:scenecut=0"})]
    assert found[0] is None, "an IDR"
    begins = [place for place, each in enumerate(found) if each is not None]
    assert begins
    assert all((each.is_promised, each.pictures > 0) == (True, True) for each in found if each is not None)


def test_an_open_gop_begins_with_a_picture_that_is_right_at_once() -> None:
    found = [
        beginning(units) for units in pictures(**{"x264-params": "open-gop=1:keyint=10:bframes=2:scenecut=0", "tune": "film"})
    ]
    begins = [each for each in found if each is not None]
    assert len(begins) >= 2
    assert all(each.is_promised and each.pictures == 0 and each.first_slice[0] & 31 == 1 for each in begins)


def test_an_i_picture_without_a_promise_is_a_beginning_only_where_all_its_slices_are_i() -> None:
    i, p = b"\x61\x88\x80", b"\x61\x9a\x80"
    assert beginning([i, i]) == (0, False, i)
    assert beginning([i, p]) is None
    assert beginning([b"\x06\x05\x01\x00\x80", i]) == (0, False, i)
    assert beginning([b"\x09\x10"]) is None
    assert beginning([]) is None


@pytest.mark.parametrize("byte", range(0x80, 0x100))
def test_the_first_byte_of_a_slice_tells_an_i_picture(byte: int) -> None:
    assert (byte in I_SLICE_FIRST_BYTES) == is_i_slice(bytes((0x41, byte, 0xAA, 0x80)))


def test_a_recovery_point_is_found_behind_other_messages() -> None:
    message = b"\x06\x01\xc0"  # recovery_frame_cnt 0
    long = b"\x05\xff\x02" + bytes(range(1, 255)) + b"\x01\x02\x03"
    assert recovery_pictures(b"\x06" + message + b"\x80") == 0
    assert recovery_pictures(b"\x06" + long + b"\x06\x02\x09\x40\x80") == 17
    assert recovery_pictures(b"\x06" + long + b"\x80") is None


@given(st.binary(max_size=200))
def test_malformed_messages_break_nothing(data: bytes) -> None:
    found = recovery_pictures(b"\x06" + data)
    assert found is None or found >= 0
