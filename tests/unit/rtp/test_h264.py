"""H.264 payloads and parameter sets: those that libx264 writes, and malformed ones."""

from typing import Any

import av
import numpy as np
import pytest
from aiortc.codecs.h264 import H264Encoder
from hypothesis import given
from hypothesis import strategies as st

from relay.base.errors import TheirError
from relay.rtp import h264
from tests.support.ports import encode


def _units(width: int, height: int, **options: str) -> list[bytes]:
    """Encode twelve pictures; returns the NAL units of the stream."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.options = {"preset": "ultrafast"} | options
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.framerate = 25
    stream = b""
    for at in range(12):
        picture = np.full((height, width, 3), 20 * at, np.uint8)
        stream += b"".join(bytes(packet) for packet in codec.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    stream += b"".join(bytes(packet) for packet in codec.encode(None))
    return list(H264Encoder._split_bitstream(stream))


@pytest.mark.parametrize(("width", "height"), [(320, 240), (1280, 720), (1920, 1080), (638, 358), (34, 18)])
@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_the_size_is_the_one_given_to_the_encoder(width: int, height: int, profile: str) -> None:
    sps = next(unit for unit in _units(width, height, profile=profile, tune="zerolatency") if unit[0] & 31 == h264.SPS)
    parsed = h264.parse_sps(sps)
    assert (parsed.width, parsed.height) == (width, height)
    assert parsed.reorder is False


def test_interlaced_pictures_have_their_full_height() -> None:
    sps = next(unit for unit in _units(720, 576, profile="main", flags="+ilme+ildct") if unit[0] & 31 == h264.SPS)
    parsed = h264.parse_sps(sps)
    assert (parsed.width, parsed.height) == (720, 576)


def test_rate_control_models_in_the_set_are_stepped_over() -> None:
    options = {"x264-params": "nal-hrd=cbr:vbv-maxrate=800:vbv-bufsize=800:bitrate=800:bframes=0"}
    sps = next(unit for unit in _units(320, 240, **options) if unit[0] & 31 == h264.SPS)
    assert h264.parse_sps(sps).reorder is False


def test_b_pictures_are_found_and_p_pictures_are_not() -> None:
    with_b = [unit for unit in _units(320, 240, bf="2", profile="main") if unit[0] & 31 == h264.SLICE]
    without = [unit for unit in _units(320, 240, tune="zerolatency") if unit[0] & 31 == h264.SLICE]
    assert any(h264.is_b_slice(unit) for unit in with_b)
    assert without
    assert not any(h264.is_b_slice(unit) for unit in without)
    sps = next(unit for unit in _units(320, 240, bf="2", profile="main") if unit[0] & 31 == h264.SPS)
    assert h264.parse_sps(sps).reorder is True


def test_a_packetizers_keyframe_is_found_in_its_first_packet_and_nowhere_else() -> None:
    frames = encode(31, 640, 480)
    first = [h264.inspect(payload) for payload in frames[0]]
    assert first[0].keyframe
    assert first[0].sps is not None
    assert h264.parse_sps(first[0].sps).width == 640
    assert not any(h264.inspect(payload).keyframe for frame in frames[1:30] for payload in frame)
    assert any(h264.inspect(payload).keyframe for payload in frames[30])


def test_pictures_that_nobody_refers_to_may_be_dropped() -> None:
    assert h264.inspect(b"\x01\x80slice").droppable
    assert not h264.inspect(b"\x61\x80slice").droppable
    assert not h264.inspect(b"\x68pps").droppable
    assert not h264.inspect(b"\x08pps").droppable


def test_the_pieces_of_a_fragmented_unit_are_distinguished() -> None:
    start, middle, end = (h264.units(bytes((0x7C, flags | h264.IDR)) + b"data")[0] for flags in (0x80, 0, 0x40))
    assert (start.start, start.end, start.data) == (True, False, b"\x65data")
    assert (middle.start, middle.end, middle.data) == (False, False, b"data")
    assert (end.start, end.end) == (False, True)
    assert h264.inspect(b"\x7c\x85data").keyframe
    assert not h264.inspect(b"\x7c\x05data").keyframe
    assert h264.inspect(b"\x7c\x05data").idr


def test_an_aggregate_carries_its_units() -> None:
    found = h264.units(b"\x78\0\2\x67s\0\3\x68pp")
    assert [(unit.kind, unit.data) for unit in found] == [(h264.SPS, b"\x67s"), (h264.PPS, b"\x68pp")]


STAP_B, MTAP_16, MTAP_24 = b"\x79\0\0", b"\x7a\0\0", b"\x7b\0\0"
"""With a decoding order number of 0."""


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x78\0\5\x61bc",
        b"\x78\0\5\x67bc",
        b"\x78\0\2\x79a",
        b"\x7c",
        b"\x7c\x98abc",
        STAP_B + b"\0\3\x65ab",
        STAP_B + b"\0\2\x06a\0\2\x65a",
        MTAP_16 + b"\0\2\0\0\0\x41a",
        MTAP_24 + b"\0\2\0\0\0\0\x67a",
        b"\x7d\x85\0\0abc",
    ],
)
def test_a_piece_of_a_picture_in_a_shape_outside_packetization_mode_1_is_their_error(payload: bytes) -> None:
    with pytest.raises(TheirError):
        h264.units(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"\x60abc",
        b"\x7e",
        b"\x7fabc",
        b"\x78",
        b"\x78\0",
        b"\x78\0\0",
        b"\x78\0\1\x60\0\2\x7fa",
        b"\x78\0\5\x06bc",
        b"\x79abc",
        STAP_B + b"\0\2\x06a",
        MTAP_16 + b"\0\2\0\0\0\x09a",
        b"\x7d\x86\0\0abc",
    ],
)
def test_what_is_no_piece_of_a_picture_and_not_to_be_understood_is_left_out(payload: bytes) -> None:
    assert h264.units(payload) == []


def test_members_of_no_bytes_and_those_to_be_ignored_cost_the_others_nothing() -> None:
    found = h264.units(b"\x78\0\2\x67s\0\0\0\1\x7f\0\3\x68pp\0\1\x60\0\2\x65i\0")
    assert [unit.data for unit in found] == [b"\x67s", b"\x68pp", b"\x65i"]


@pytest.mark.parametrize("start", [b"\0\0\1", b"\0\0\0\1"])
def test_start_codes_inside_a_payload_part_its_units(start: bytes) -> None:
    units = [b"\x67ss", b"\x68p", b"\x65iii"]
    assert [unit.data for unit in h264.units(start.join(units))] == units
    assert [unit.data for unit in h264.units(start + start.join(units) + b"\0")] == units
    whole = start.join(units)
    assert [unit.data for unit in h264.units(b"\x78" + len(whole).to_bytes(2, "big") + whole)] == units


def test_a_fragment_may_be_empty() -> None:
    assert [(unit.start, unit.data) for unit in h264.units(b"\x7c\x85")] == [(True, b"\x65")]
    assert [(unit.end, unit.data) for unit in h264.units(b"\x7c\x45")] == [(True, b"")]


@given(st.binary(max_size=80))
def test_any_payload_is_read_or_their_error(payload: bytes) -> None:
    try:
        found = h264.inspect(payload)
    except TheirError:
        return
    assert not (found.keyframe and found.droppable)


@given(st.binary(max_size=120))
def test_any_parameter_set_is_read_or_their_error(data: bytes) -> None:
    _parse_sps(b"\x67" + data)


@given(st.data())
def test_damaged_parameter_sets_are_read_or_their_error(data: st.DataObject) -> None:
    sps = bytearray(SPS)
    for _ in range(data.draw(st.integers(1, 4))):
        sps[data.draw(st.integers(1, len(sps) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    _parse_sps(bytes(sps[: data.draw(st.integers(1, len(sps)))]))


SPS = next(unit for unit in _units(320, 240, profile="high") if unit[0] & 31 == h264.SPS)


def _parse_sps(unit: bytes) -> None:
    try:
        parsed = h264.parse_sps(unit)
    except TheirError:
        return
    assert 0 < parsed.width <= 16384
    assert 0 < parsed.height <= 16384


@given(st.binary(max_size=30))
def test_any_slice_is_b_or_not(data: bytes) -> None:
    assert h264.is_b_slice(b"\x41" + data) in (True, False)


def test_the_first_byte_of_a_first_slice_shows_a_b_picture_as_its_header_does() -> None:
    for byte in (0x88, 0x89, 0x8A, *range(0x90, 0x100)):  # slice_type 7 to 9, 0 to 6: there are no others
        assert (byte in h264.B_SLICE_FIRST_BYTES) == h264.is_b_slice(bytes((0x41, byte, 0x55)))
