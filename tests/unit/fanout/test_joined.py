"""Units that a camera sent as one become units that viewers know, without another number than is needed."""

import pytest

from relay.fanout.joined import MAX_PARTS
from relay.rtp import h264
from tests.unit.fanout.test_markers import FIRST, IDR_FIRST, IDR_NEXT, NEXT, PPS, SPS, Camera

CODE = b"\0\0\0\1"


def fragments(unit: bytes, size: int) -> list[bytes]:
    """Return a unit as FU-A payloads."""
    pieces = [unit[at : at + size] for at in range(1, len(unit), size)]
    marks = [0x80 * (at == 0) | 0x40 * (at == len(pieces) - 1) for at in range(len(pieces))]
    return [bytes((unit[0] & 0xE0 | 28, mark | unit[0] & 31)) + piece for mark, piece in zip(marks, pieces, strict=True)]


def units(payloads: list[bytes]) -> list[bytes]:
    """Return the units that a viewer puts together, without zeroes that end them (H.264 Annex B)."""
    out: list[bytes] = []
    for payload in payloads:
        for unit in h264.units(payload):
            if unit.start:
                out.append(unit.data)
            else:
                out[-1] += unit.data
    return [unit.rstrip(b"\0") for unit in out]


def sent(camera: Camera, timestamp: int, payloads: list[bytes]) -> list[bytes]:
    """Let a picture arrive; return the payloads that go to viewers, whose numbers rise by one."""
    gone = camera.sends(*[(payload, timestamp, at == len(payloads) - 1) for at, payload in enumerate(payloads)])
    indices = [media.index for media in gone]
    assert indices == list(range(indices[0], indices[0] + len(gone)))
    return [media.payload for media in gone]


IDR = IDR_FIRST + b"i" * 90
SECOND = IDR_NEXT + b"j" * 90


@pytest.mark.parametrize("size", [60, 100, 1000])
def test_sets_and_slices_in_one_fragmented_unit_are_parted(size: int) -> None:
    camera = Camera()
    for number in range(1, 4):
        gone = sent(camera, 90_000 * number, fragments(CODE.join([SPS, PPS, IDR, SECOND]), size))
        assert units(gone) == ([SPS, PPS, IDR, SECOND] if number == 1 else [IDR, SECOND])
        gone = sent(camera, 90_000 * number + 3000, fragments(CODE.join([FIRST + b"p" * 90, NEXT + b"q" * 90]), size))
        assert units(gone) == [FIRST + b"p" * 90, NEXT + b"q" * 90]
    assert camera.stream is not None
    assert units([media.payload for media in camera.stream.replay()])[:3] == [SPS, PPS, IDR]
    assert camera.stream.pictures.width == 320


def test_units_in_one_packet_keep_its_number() -> None:
    camera = Camera()
    for number in range(1, 4):
        gone = sent(camera, 90_000 * number, [CODE.join([SPS, PPS, IDR])])
        assert len(gone) == 1
        assert units(gone) == [SPS, PPS, IDR]


def test_new_sets_reach_viewers_that_are_there_already() -> None:
    camera = Camera()
    sent(camera, 90_000, fragments(CODE.join([SPS, PPS, IDR]), 60))
    changed = PPS[:-1] + bytes((PPS[-1] ^ 8,))
    assert units(sent(camera, 180_000, fragments(CODE.join([SPS, changed, IDR]), 60))) == [changed, IDR]


def test_a_fragment_that_comes_late_gets_the_type_of_its_unit() -> None:
    camera = Camera()
    payloads = fragments(CODE.join([SPS, PPS, IDR]), 40)
    for number in range(1, 3):
        start, camera.sequence = camera.sequence + 1, camera.sequence + len(payloads)
        order = [0, 1, *range(3, len(payloads)), 2]
        for at in order:
            camera.arrives(start + at, payloads[at], 90_000 * number, at == len(payloads) - 1)
        gone = sorted(camera.goes(), key=lambda media: media.index)
    assert units([media.payload for media in gone]) == [IDR]


def test_a_hostile_unit_of_start_codes_makes_few_packets() -> None:
    camera = Camera()
    gone = camera.sends((fragments(SPS + b"\0\0\1\x65" * 300, 1300)[0], 90_000, False))
    gone += camera.goes()
    assert 0 < len(gone) <= MAX_PARTS + 1
