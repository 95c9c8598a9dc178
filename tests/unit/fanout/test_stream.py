"""How long a stream waits for the rest of a picture."""

import pytest

from relay.fanout.clocks import CameraClock
from relay.fanout.stream import HOLD_SECONDS, Stream
from relay.fanout.tracks import TrackSpec
from relay.rtp import header as rtp
from relay.rtp.burst import MAX_BURST_PACKETS

PAYLOAD = b"\x7c\x05" + bytes(50)


def stream(kind: str = "video") -> Stream:
    spec = TrackSpec(kind="video" if kind == "video" else "audio", mid="0", payload_type=96, clock_rate=90_000, nack=True)
    return Stream(7, "", spec, CameraClock())


def take(into: Stream, sequence: int, now: float, *, marker: bool = False) -> None:
    packet = rtp.build(payload_type=96, sequence=sequence, timestamp=3000, ssrc=7, marker=marker) + PAYLOAD
    assert into.receive(packet, rtp.parse(packet), now)


def test_a_picture_is_waited_for_until_it_is_whole_but_not_longer_than_the_hold() -> None:
    picture = stream()
    assert picture.gathering(1.0) == 0.0
    take(picture, 1, 1.0)
    assert picture.gathering(1.0) == pytest.approx(HOLD_SECONDS)
    take(picture, 2, 1.0 + HOLD_SECONDS / 2)
    assert picture.gathering(1.0 + HOLD_SECONDS / 2) == pytest.approx(HOLD_SECONDS / 2)
    assert picture.gathering(1.0 + HOLD_SECONDS) == pytest.approx(0.0)
    take(picture, 3, 1.0 + HOLD_SECONDS / 2, marker=True)
    assert picture.gathering(1.0 + HOLD_SECONDS / 2) == 0.0


def test_sound_repairs_and_full_bursts_are_not_waited_with() -> None:
    sound = stream("audio")
    take(sound, 1, 1.0)
    assert sound.gathering(1.0) == 0.0
    repaired = stream()
    take(repaired, 1, 1.0)
    take(repaired, 3, 1.0)
    take(repaired, 2, 1.0)
    assert repaired.gathering(1.0) == 0.0
    full = stream()
    for sequence in range(MAX_BURST_PACKETS):
        take(full, sequence, 1.0)
    assert full.gathering(1.0) == 0.0
