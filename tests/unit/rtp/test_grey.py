"""A grey IDR is decoded by FFmpeg as a grey picture of the camera's size, and what the camera sends goes on from it."""

from typing import Any

import av
import numpy as np
import pytest

from relay.rtp.grey import grey_idr, grey_pps
from relay.rtp.h264 import PPS, SPS
from tests.support.rtp_source import annexb_units

START = b"\x00\x00\x00\x01"
KINDS: list[tuple[int, int, dict[str, str]]] = [
    (320, 240, {}),
    (1280, 720, {"profile": "high"}),
    (638, 358, {"profile": "main"}),
    (34, 18, {"profile": "baseline"}),
    (720, 576, {"profile": "main", "flags": "+ilme+ildct"}),
    (320, 240, {"profile": "high422"}),
    (320, 240, {"profile": "high444"}),
    (320, 240, {"profile": "high10"}),
]
FORMATS = {"high422": "yuv422p", "high444": "yuv444p", "high10": "yuv420p10le"}


def sets_of(width: int, height: int, options: dict[str, str]) -> tuple[bytes, bytes]:
    """Return SPS and PPS that x264 writes for a format."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.options = {"preset": "medium", "tune": "zerolatency"} | options
    codec.width, codec.height, codec.framerate = width, height, 25
    codec.pix_fmt = FORMATS.get(options.get("profile", ""), "yuv420p")
    codec.flags |= av.codec.context.Flags.global_header
    codec.open()
    units = annexb_units(bytes(codec.extradata))
    return next(unit for unit in units if unit[0] & 31 == SPS), next(unit for unit in units if unit[0] & 31 == PPS)


@pytest.mark.parametrize(("width", "height", "options"), KINDS)
def test_it_is_a_grey_picture_of_the_camera_s_format(width: int, height: int, options: dict[str, str]) -> None:
    sps, pps = sets_of(width, height, options)
    idr = grey_idr(sps, 7)
    assert idr is not None
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.options = {"err_detect": "explode"}
    data = START + START.join((sps, pps, grey_pps(7, 0), idr))
    frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    assert [(frame.width, frame.height, frame.is_corrupt) for frame in frames] == [(width, height, False)]
    for plane in frames[0].to_ndarray() if frames[0].format.name == "yuv444p" else [frames[0].to_ndarray()]:
        assert len(np.unique(plane)) == 1


@pytest.mark.parametrize("sps", [b"", b"\x67", b"\x67\xff\xff\xff", b"\x67" + bytes(60)])
def test_an_unreadable_format_has_none(sps: bytes) -> None:
    assert grey_idr(sps, 7) is None
