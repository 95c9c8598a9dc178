"""The load generator's own reading of packets: a wrong one would measure something else."""

from scripts.benchmarks.load import HEADER, NUMBER_BITS, Looking, payload_of
from scripts.benchmarks.video import MARK_BYTES, mark, marked, packetize

VIDEO = 96
CAMERA = 3


def stream(*units: bytes, first: int = 65_534) -> list[bytes]:
    """Return the packets of access units (Annex B), marked by the camera, from a sequence number that soon wraps."""
    packets: list[bytes] = []
    for unit in units:
        payloads = packetize(unit)
        for place, payload in enumerate(payloads):
            marker = 0x80 if place == len(payloads) - 1 else 0
            body = payload[:-MARK_BYTES] + mark(CAMERA << NUMBER_BITS | len(packets)) if len(payload) > 100 else payload
            packets.append(HEADER.pack(0x80, VIDEO | marker, first + len(packets) & 0xFFFF, 0, 1) + body)
    return packets


def nal(kind: int, size: int) -> bytes:
    return b"\0\0\0\1" + bytes([0x60 | kind]) + b"\x55" * size


KEY = nal(7, 10) + nal(8, 4) + nal(5, 5000)
DELTA = nal(1, 3000)


def whole_at(packets: list[bytes], camera: int = CAMERA) -> int | None:
    looking = Looking(camera)
    return next((place for place, packet in enumerate(packets) if looking.take(packet)), None)


def test_a_keyframe_is_whole_with_its_last_packet() -> None:
    packets = stream(DELTA, KEY, DELTA)
    assert whole_at(packets) == len(stream(DELTA, KEY)) - 1


def test_a_keyframe_with_a_gap_does_not_count() -> None:
    packets = stream(KEY, DELTA, KEY)
    del packets[3]
    assert whole_at(packets) == len(packets) - 1


def test_a_picture_that_began_before_does_not_count() -> None:
    assert whole_at(stream(KEY)[4:]) is None
    assert whole_at(stream(DELTA, DELTA)) is None


def test_a_keyframe_of_another_camera_does_not_count() -> None:
    assert whole_at(stream(KEY), CAMERA + 1) is None


def test_a_payload_is_what_extensions_and_padding_leave() -> None:
    extended = bytes([0xB0, VIDEO]) + bytes(10) + b"\xbe\xde\0\1" + b"\x10\xaa\0\0" + b"media" + b"\0\0\3"
    assert payload_of(extended) == b"media"
    assert payload_of(HEADER.pack(0x80, VIDEO, 1, 2, 3) + b"media") == b"media"


def test_a_mark_is_read_again_and_makes_no_start_code() -> None:
    for number in (0, 1, 127, 128, 1 << 28, (1 << 56) - 1, 3 << NUMBER_BITS | 65_537):
        assert marked(mark(number)) == number
        assert 0 not in mark(number)
