"""Markers of one stream: which packets end pictures, and that honest streams wait for nothing."""

from typing import Any

import pytest

from relay.base.counters import Counters
from relay.fanout.markers import END_SECONDS
from relay.fanout.source import Source
from relay.fanout.stream import HOLD_SECONDS, Stream
from relay.fanout.tracks import TrackSpec
from relay.rtp import header as rtp
from relay.rtp.burst import MediaPacket
from tests.support.steps import steps

SPS, PPS = bytes.fromhex("6742c00dda0507e840000003004000000f23c50aa8"), bytes.fromhex("68ce09c8")
IDR_FIRST, IDR_NEXT = bytes.fromhex("6588843a08601601b428"), bytes.fromhex("6501422210e831805401")
FIRST, NEXT = bytes.fromhex("419a208bc640690cc036"), bytes.fromhex("41014268822c331301c8")
"""Beginnings of the two slices of a picture, as x264 makes them."""
AUD, SEI, FILLER = b"\x09\xf0", b"\x06\x05\x01\x00\x80", b"\x0c\xff\x80"


class Camera:
    """A source, and what it hands to legs after each packet: those that can go now."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.source = Source((TrackSpec("video", "0", 96, 90_000, nack=True),), 7, self.counters, 8_000_000, lambda *_: None)
        self.now = 1.0
        self.stream: Stream | None = None
        self.sequence = 0

    def sends(self, *packets: tuple[bytes, int, bool], lost: bool = False) -> list[MediaPacket]:
        """Let (payload, timestamp, marker) arrive one by one; returns what goes on to the legs."""
        gone: list[MediaPacket] = []
        for payload, timestamp, marker in packets:
            self.sequence += 1
            if lost:
                continue
            self.arrives(self.sequence, payload, timestamp, marker)
            gone += self.goes()
        return gone

    def arrives(self, sequence: int, payload: bytes, timestamp: int, marker: bool) -> None:
        """Let one packet arrive."""
        head = rtp.build(payload_type=96, sequence=sequence, timestamp=timestamp, ssrc=1, marker=marker)
        self.stream = self.source.receive(head + payload, self.now) or self.stream

    def goes(self, after: float = HOLD_SECONDS) -> list[MediaPacket]:
        """Return what goes to the legs within so many seconds."""
        assert self.stream is not None
        self.now += after
        return [] if self.stream.gathering(self.now) else self.stream.take()


def marked(packets: list[MediaPacket]) -> str:
    """Return one letter for each packet: M where it has a marker."""
    return "".join("M" if media.marker else "." for media in packets)


def picture(timestamp: int, *payloads: bytes, markers: str) -> list[tuple[bytes, int, bool]]:
    """Return the packets of a picture."""
    return [(payload, timestamp, mark == "M") for payload, mark in zip(payloads, markers, strict=True)]


@pytest.fixture
def camera() -> Camera:
    """A camera that has sent its sets."""
    camera = Camera()
    camera.sends(*picture(100, SPS, PPS, IDR_FIRST, IDR_NEXT, markers="...M"))
    return camera


def test_an_honest_stream_waits_for_nothing_and_no_header_is_read(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.fanout.markers.Markers.doubt", None)
    for number in range(1, 20):
        packets = picture(100 + 3000 * number, AUD, SEI, FIRST, NEXT, FILLER, markers="....M")
        assert marked(camera.sends(*packets)) == "....M"
    assert camera.stream is not None
    assert not camera.stream.markers.are_wrong


@pytest.mark.parametrize(
    ("payloads", "markers", "right"),
    [
        ((FIRST, NEXT, NEXT, NEXT), "MMMM", "...M"),
        ((AUD, SEI, FIRST, NEXT), "MMMM", "...M"),
        ((FIRST, NEXT), "..", ".M"),
        ((AUD, FIRST, NEXT, FILLER), "....", "...M"),
        ((FIRST, NEXT, FILLER), "M..", "..M"),
        ((b"\x5c\x81" + FIRST[1:], b"\x5c\x01more", b"\x5c\x41end"), "MMM", "..M"),
    ],
)
def test_wrong_markers_are_put_right_and_counted(camera: Camera, payloads: tuple[bytes, ...], markers: str, right: str) -> None:
    for number in range(1, 4):
        camera.sends(*picture(100 + 3000 * number, *payloads, markers=markers))
    before = camera.stream.markers.corrected if camera.stream else 0
    gone = [
        media for number in range(4, 8) for media in camera.sends(*picture(100 + 3000 * number, *payloads, markers=markers))
    ]
    gone += camera.goes(END_SECONDS)
    pictures: dict[int, list[MediaPacket]] = {}
    for media in gone:
        pictures.setdefault(media.timestamp, []).append(media)
    assert [marked(packets) for _, packets in sorted(pictures.items())][1:] == [right] * 4
    assert camera.stream is not None
    assert camera.stream.markers.corrected - before >= 4
    camera.source.poll(camera.now + 2)
    assert camera.counters.values["markers_corrected"] == camera.stream.markers.corrected


def test_the_last_packet_of_a_picture_waits_for_the_next_one_and_not_longer_than_its_time(camera: Camera) -> None:
    for number in range(1, 4):
        camera.sends(*picture(100 + 3000 * number, FIRST, NEXT, markers="MM"))
    camera.goes(END_SECONDS)
    assert camera.sends(*picture(30_000, FIRST, NEXT, markers="MM")) == []
    assert camera.goes(END_SECONDS / 2) == []
    assert marked(camera.goes(END_SECONDS / 2)) == ".M"


def test_slices_with_timestamps_of_their_own_become_one_picture(camera: Camera) -> None:
    for number in range(1, 6):
        camera.sends((FIRST, 3000 * number, True), (NEXT, 3000 * number + 1, True), (NEXT, 3000 * number + 2, True))
    gone = camera.sends(*picture(40_000, FIRST, markers="M"))
    gone += camera.goes(END_SECONDS)
    assert [(media.timestamp, media.marker) for media in gone[-4:]] == [
        (15_000, False), (15_000, False), (15_000, True), (40_000, True)
    ]  # fmt: skip


def test_a_picture_whose_last_packet_was_lost_is_no_reason_to_mistrust(camera: Camera) -> None:
    for number in range(1, 9):
        camera.sends(*picture(3000 * number, FIRST, markers="."))
        camera.sends(*picture(3000 * number, NEXT, markers="M"), lost=True)
    assert camera.stream is not None
    assert not camera.stream.markers.are_wrong


def test_a_unit_of_the_next_picture_under_the_old_timestamp_is_no_reason_to_mistrust(camera: Camera) -> None:
    for number in range(1, 9):
        camera.sends(*picture(3000 * number, FIRST, NEXT, AUD, markers=".M."))
    assert camera.stream is not None
    assert not camera.stream.markers.are_wrong


def test_a_picture_without_a_marker_is_forgiven_once(camera: Camera) -> None:
    for number in range(1, 40):
        camera.sends(*picture(3000 * number, FIRST, NEXT, markers=".." if number == 5 else ".M"))
        camera.now += 1 / 30
    assert camera.stream is not None
    assert not camera.stream.markers.are_wrong
    assert camera.stream.markers.corrected == 1


def test_a_marker_on_parameter_sets_costs_the_stream_no_trust(camera: Camera) -> None:
    for number in range(1, 9):
        camera.sends(*picture(3000 * number, SPS, PPS, IDR_FIRST, IDR_NEXT, markers="MM.M"))
    assert camera.stream is not None
    assert not camera.stream.markers.are_wrong
    replayed = camera.stream.replay()
    assert marked(replayed) == "...M"


def test_a_packet_that_comes_late_gets_the_marker_of_its_place(camera: Camera) -> None:
    for number in range(1, 4):
        camera.sends(*picture(3000 * number, FIRST, NEXT, NEXT, markers="MMM"))
    for late in (1, 2):
        packets = picture(60_000 * late, FIRST, NEXT, NEXT, markers="MMM")
        start = camera.sequence + 1
        camera.sequence += 3
        for at in (at for at in range(3) if at != late):
            camera.arrives(start + at, *packets[at])
        gone = camera.sends(*picture(60_000 * late + 3000, FIRST, NEXT, NEXT, markers="MMM"))
        camera.arrives(start + late, *packets[late])
        gone += camera.goes()
        found = next(media for media in gone if media.payload == NEXT and media.index % 65536 == (start + late) % 65536)
        assert found.marker is (late == 2)


def test_a_viewer_that_begins_is_not_given_the_packet_that_waits(camera: Camera) -> None:
    for number in range(1, 4):
        camera.sends(*picture(3000 * number, FIRST, NEXT, markers="MM"))
    stream: Any = camera.stream
    held = stream.markers.held
    assert held is not None
    assert held not in stream.replay()
    assert held in camera.goes(END_SECONDS)
    assert held in stream.replay()


def test_pictures_are_counted_as_they_are(camera: Camera) -> None:
    stream: Any = camera.stream
    for number in range(1, 4):
        camera.sends(*picture(3000 * number, FIRST, NEXT, NEXT, markers="MMM"))
    before = stream.frames
    for number in range(4, 24):
        camera.sends(*picture(3000 * number, FIRST, NEXT, NEXT, markers="MMM"))
    assert stream.frames - before == 20


@pytest.mark.parametrize(
    "hostile",
    [
        [(FIRST, 3000, True), (NEXT, 3000, True)] * 50,
        [(FIRST, 3000 * at, False) for at in range(100)],
        [(FIRST, 3000, True), (AUD, 3000, False)] * 50,
        [(FIRST if at % 2 else b"\x5c\x81\x9a" + b"\0\0\1\x41\x9a" * 250, 3000 * (at // 2), True) for at in range(100)],
    ],
    ids=["markers on slices", "no markers", "delimiters behind markers", "units of start codes"],
)
def test_a_camera_that_sets_markers_wrong_makes_a_bounded_number_of_steps(hostile: list[tuple[bytes, int, bool]]) -> None:
    honest, camera = Camera(), Camera()
    for each in (honest, camera):
        each.sends(*picture(100, SPS, PPS, IDR_FIRST, IDR_NEXT, markers="...M"))
    usual = steps(
        lambda: honest.sends(*(packet for at in range(50) for packet in picture(3000 * at, FIRST, NEXT, markers=".M")))
    )
    assert steps(lambda: camera.sends(*hostile)) < 8 * usual
