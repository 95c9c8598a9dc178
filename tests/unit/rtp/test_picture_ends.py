"""Whose picture a slice belongs to: libx264's slices, and headers that contradict markers and timestamps."""

from functools import lru_cache
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.errors import TheirError
from relay.rtp.h264 import IDR, PPS, SLICE, SPS
from relay.rtp.picture_ends import HEADED, PictureEnds, Relation, is_beginning, parse_pps
from tests.support.rtp_source import annexb_units


@lru_cache
def pictures(**options: str) -> list[list[bytes]]:
    """Return the units of twelve pictures of libx264."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.options = {"preset": "ultrafast", "g": "6"} | {name.replace("_", "-"): value for name, value in options.items()}
    codec.width, codec.height, codec.pix_fmt, codec.framerate = 320, 240, "yuv420p", 25
    frames = [np.random.default_rng(at).integers(0, 255, (240, 320, 3), np.uint8) for at in range(12)]
    packets = [packet for each in frames for packet in codec.encode(av.VideoFrame.from_ndarray(each, format="rgb24"))]
    packets += codec.encode(None)
    return [annexb_units(bytes(packet)) for packet in packets]


def taught(found: list[list[bytes]]) -> PictureEnds:
    ends = PictureEnds()
    for unit in (unit for picture in found for unit in picture):
        ends.learn(unit)
    return ends


KINDS: dict[str, dict[str, str]] = {
    "plain": {"slices": "4", "tune": "zerolatency"},
    "with B pictures": {"slices": "4", "bf": "2", "profile": "main"},
    "one slice a picture": {"slices": "1", "tune": "zerolatency"},
    "interlaced": {"slices": "3", "x264_params": "interlaced=1"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_slices_are_of_one_picture_where_the_encoder_put_them_into_one(kind: str) -> None:
    found = pictures(**KINDS[kind])
    ends = taught(found)
    slices = [(number, unit) for number, units in enumerate(found) for unit in units if unit[0] & 31 in HEADED]
    for number, one in slices:
        for other_number, other in slices:
            if abs(number - other_number) < 2:
                expected = Relation.SAME if number == other_number else Relation.OTHER
                assert ends.relation(one, other[:40]) is expected


def test_all_payloads_that_begin_a_picture_say_so_and_later_slices_do_not() -> None:
    for units in pictures(**KINDS["plain"]):
        slices = [unit for unit in units if unit[0] & 31 in (SLICE, IDR)]
        only_the_first = [True] + [False] * (len(slices) - 1)
        assert len(slices) > 1
        assert [is_beginning(unit) for unit in slices] == only_the_first
        starts = [bytes((0x7C, 0x80 | unit[0] & 31)) + unit[1:] for unit in slices]
        assert [is_beginning(unit) for unit in starts] == only_the_first
    assert all(is_beginning(payload) for payload in (b"\x67s", b"\x06s", b"\x09\x10", b"\x78\0\1\x67"))
    assert not any(is_beginning(payload) for payload in (b"\x7c\x05s", b"\x7c\x45", b"\x7c", b"\x41", b"\x7c\x81"))


def test_a_packet_after_a_marker_goes_on_with_its_picture_or_begins_the_next() -> None:
    found = pictures(**KINDS["plain"])
    ends = taught(found)
    (first, second, *_), (other, *_) = ([unit for unit in units if unit[0] & 31 in (SLICE, IDR)] for units in found[1:3])
    going_on = [second, b"\x7c\x05piece", b"\x0c\xff", b"\x03data", b"\x78" + len(second).to_bytes(2, "big") + second]
    assert all(ends.continues(first, payload) for payload in going_on)
    assert not any(ends.continues(first, payload) for payload in (other, b"\x67s", b"\x06sei", b"\x09\x10", b"\x7fx"))
    assert ends.trusted
    ends.contradicted()
    assert (ends.trusted, ends.wrong) == (False, 1)


def test_without_parameter_sets_macroblock_0_begins_a_picture() -> None:
    ends = PictureEnds()
    assert ends.relation(b"\x41\x9a\x00", b"\x41\x9a\x00") is Relation.UNKNOWN
    assert not ends.joins(b"\x41\x9a\x00", b"\x41\x9a\x00")
    assert ends.joins(b"\x41\x9a\x00", b"\x41\x40\x00")


@given(st.lists(st.binary(max_size=60), max_size=8), st.binary(max_size=60), st.binary(min_size=1, max_size=60))
def test_any_bytes_are_read_or_their_error(sets: list[bytes], first: bytes, payload: bytes) -> None:
    ends = PictureEnds()
    for each in sets:
        for kind in (SPS, PPS):
            ends.learn(bytes((0x60 | kind,)) + each)
    is_beginning(payload)
    assert ends.relation(first, payload) in Relation
    try:
        ends.continues(first, payload)
        parse_pps(payload)
    except TheirError:
        return
