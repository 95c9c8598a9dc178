"""How long a stream waits for the rest of a picture."""

import base64

import pytest

from relay.fanout.clocks import CameraClock
from relay.fanout.replay import FRAGMENT_BYTES, GREY_TICKS
from relay.fanout.stream import HOLD_SECONDS, Stream
from relay.fanout.tracks import TrackSpec
from relay.rtp import header as rtp
from relay.rtp.burst import MAX_BURST_PACKETS
from relay.rtp.grey import grey_idr, grey_pps

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


SPS, PPS, OTHER_PPS = bytes.fromhex("6742c01fda014016e840000003004000000c83c60ca8"), b"\x68\xce\x3c\x80", b"\x68\x58\x80"
IDR, SLICE = b"\x65\xb8\x40", b"\x41\xe0\x40"


def sent(into: Stream, pictures: list[tuple[bytes, ...]], first: int = 1) -> None:
    """Take pictures, one unit a packet."""
    number = first
    for place, payloads in enumerate(pictures):
        for payload in payloads:
            packet = rtp.build(
                payload_type=96, sequence=number, timestamp=3000 * (first + place), ssrc=7, marker=payload is payloads[-1]
            )
            assert into.receive(packet + payload, rtp.parse(packet + payload), 1.0)
            number += 1


def aggregated(*units: bytes) -> bytes:
    return b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def replayed(of: Stream) -> list[bytes]:
    """The payloads that a late viewer is sent; their indices rise without a gap."""
    packets = of.cache.replay()
    assert [media.index for media in packets] == list(range(packets[0].index, packets[0].index + len(packets)))
    return [media.payload for media in packets]


def test_a_late_viewer_gets_the_sets_that_the_camera_sent_once_long_ago() -> None:
    picture = stream()
    sent(picture, [(aggregated(SPS, PPS), IDR), (OTHER_PPS, SLICE), (IDR,), (SLICE,)])
    assert replayed(picture) == [SPS, PPS, OTHER_PPS, IDR, SLICE]
    sent(picture, [(SPS, PPS, IDR)], 100)
    assert replayed(picture) == [OTHER_PPS, SPS, PPS, IDR]


def test_a_late_viewer_gets_the_sets_that_only_the_offer_has() -> None:
    offer = f"packetization-mode=1;sprop-parameter-sets={base64.b64encode(SPS).decode()},{base64.b64encode(PPS).decode()}"
    spec = TrackSpec(kind="video", mid="0", payload_type=96, clock_rate=90_000, fmtp=offer, nack=True)
    picture = Stream(7, "", spec, CameraClock())
    sent(picture, [(IDR,), (SLICE,)])
    assert replayed(picture) == [SPS, PPS, IDR, SLICE]


def test_sets_that_change_after_the_keyframe_do_not_replace_those_that_it_needs() -> None:
    picture, other = stream(), b"\x68\xce\x06\xe2"
    sent(picture, [(SPS, PPS, SLICE), (IDR,), (other, SLICE)])
    assert replayed(picture) == [SPS, PPS, IDR, other, SLICE]


def test_sets_without_an_idr_are_no_beginning() -> None:
    """A camera may repeat its sets every second: a viewer that began there could decode nothing."""
    picture = stream()
    sent(picture, [(SPS, PPS, SLICE)])
    assert picture.cache.replay() == []
    picture.keyframes.want(1.0)
    sent(picture, [(SPS, PPS, SLICE)], 100)
    assert picture.keyframes.poll(1.0).value == "pli", "the wish for a keyframe is not answered by sets"


def test_the_sets_of_a_keyframe_go_to_viewers_that_get_only_keyframes() -> None:
    picture = stream()
    sent(picture, [(SPS, PPS, IDR), (SLICE,)])
    assert [media.idr for media in picture.pending] == [True, True, True, False]


I_PICTURE, RECOVERY = b"\x61\x88\x80", b"\x06\x06\x01\x30\x80"


@pytest.mark.parametrize("begins", [(RECOVERY, SLICE), (I_PICTURE,)])
def test_a_viewer_of_a_camera_without_an_idr_begins_with_a_grey_one_at_a_recovery_point(begins: tuple[bytes, ...]) -> None:
    picture = stream()
    sent(picture, [(SPS, PPS, SLICE), (SLICE,), begins, (SLICE,)])
    packets = picture.cache.replay()
    grey = grey_idr(SPS, 255)
    assert grey is not None
    made, live = packets[: -len(begins) - 1], packets[-len(begins) - 1 :]
    assert [media.payload for media in made[:3]] == [SPS, PPS, grey_pps(255, 0)]
    pieces = [media.payload for media in made[3:]]
    assert bytes((pieces[0][0] & 0xE0 | pieces[0][1] & 31,)) + b"".join(piece[2:] for piece in pieces) == grey
    assert max(map(len, pieces)) <= FRAGMENT_BYTES + 2
    assert [media.payload for media in live] == [*begins, SLICE]
    assert [media.marker for media in made] == [False] * (len(made) - 1) + [True]
    assert {media.timestamp for media in made} == {live[0].timestamp - GREY_TICKS}
    assert all(media.idr for media in packets[:-1]), "a viewer that gets keyframes only gets these"


def test_an_idr_replaces_a_recovery_point_and_is_left_only_for_another_idr() -> None:
    picture = stream()
    sent(picture, [(SPS, PPS, RECOVERY, SLICE), (SLICE,)])
    assert not picture.cache.is_idr
    picture.keyframes.want(1.0)
    sent(picture, [(RECOVERY, SLICE)], 50)
    assert replayed(picture)[-2:] == [RECOVERY, SLICE]
    assert picture.keyframes.poll(1.0).value == "pli", "an IDR is still wanted"
    sent(picture, [(IDR,), (RECOVERY, SLICE), (SLICE,)], 100)
    assert replayed(picture) == [SPS, PPS, IDR, RECOVERY, SLICE, SLICE]
    assert picture.keyframes.poll(9.0).value == "nothing"


def test_a_recovery_point_in_an_idr_picture_is_an_idr() -> None:
    picture = stream()
    sent(picture, [(SPS, PPS, RECOVERY, IDR), (SLICE,)])
    assert picture.cache.is_idr
    assert replayed(picture) == [SPS, PPS, RECOVERY, IDR, SLICE]
