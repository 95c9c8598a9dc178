"""A track of which packets come and nothing is kept is a gap with a cause, given out while it lasts, whatever the reason."""

from collections.abc import Callable

import pytest

from relay.record.line import AUDIO, VIDEO
from tests.support.rtp_source import AUDIO_SSRC, VIDEO_SSRC, Timed, encode_audio, encode_video, interleave, rtp, scene, video
from tests.support.rtp_source import audio as sound_packets
from tests.unit.record.test_line import BOTH, SECOND, START, Tape

VIDEO_ONLY = BOTH[:1]


def of(ssrc: int, packets: list[Timed]) -> list[Timed]:
    return [timed for timed in packets if timed.packet[8:12] == ssrc.to_bytes(4, "big")]


def pictures(payload: bytes, seconds: float = 3.0) -> list[Timed]:
    """Thirty packets a second, each of which claims to be a picture."""
    return [
        Timed(number / 30, rtp(102, 100 + number, 3000 * number, VIDEO_SSRC, True, payload))
        for number in range(int(30 * seconds))
    ]


def no_keyframe(seconds: float = 3.0) -> list[Timed]:
    frames = encode_video(int(30 * seconds) + 1, gop=1000)
    return list(video(frames[1:]))


def every_picture_lacks_a_packet(seconds: float = 3.0) -> list[Timed]:
    whole = list(video(encode_video(int(30 * seconds), width=640, height=480)))
    last = {timed.packet[4:8]: timed for timed in whole}
    first = {timed.packet[4:8]: timed for timed in reversed(whole)}
    return [timed for timed in whole if timed is not first[timed.packet[4:8]] or timed is last[timed.packet[4:8]]][1:]


KINDS: dict[str, Callable[[], list[Timed]]] = {
    "a unit that RFC 6184 ignores": lambda: pictures(b"\x7f\x01\x02"),
    "parameter sets and nothing else": lambda: pictures(b"\x67\x42\xc0\x1f\x00"),
    "bytes that break the rules": lambda: pictures(b"\x78\xff\xff\x00"),
    "a fragment without a beginning": lambda: pictures(b"\x7c\x05\x00\x00\x00"),
    "pictures that need a keyframe that never comes": no_keyframe,
    "pictures that all lack a packet": every_picture_lacks_a_packet,
    "numbers that fit nowhere": lambda: [
        Timed(at / 30, rtp(102, (at * 20011) & 0xFFFF, 3000 * at, VIDEO_SSRC, True, b"\x65\x88")) for at in range(90)
    ],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("with_sound", [True, False])
def test_whatever_the_reason_what_comes_and_is_not_kept_is_a_gap_while_it_lasts(kind: str, with_sound: bool) -> None:
    tape = Tape()
    tape.open(BOTH if with_sound else VIDEO_ONLY)
    packets = KINDS[kind]()
    tape.play(interleave(iter(packets), sound_packets(encode_audio(150))) if with_sound else packets)
    gaps = [gap for gap in tape.gaps if gap.track == VIDEO]
    assert {gap.cause for gap in gaps} == {"not_recorded"}, "before the recording ends"
    assert all(gap.detail for gap in gaps)
    assert tape.line.unrecorded == {VIDEO}
    tape.out += tape.line.finish(tape.now)
    whole = [gap for gap in tape.gaps if gap.track == VIDEO]
    assert {gap.cause for gap in whole} == {"not_recorded"}
    assert abs(sum(gap.length for gap in whole) - 3 * SECOND) < SECOND // 5
    assert [gap for gap in tape.gaps if gap.track != VIDEO] == []
    assert tape.sounds() == (150 if with_sound else 0)


def test_sound_that_is_none_is_a_gap_of_the_sound() -> None:
    tape = Tape()
    tape.open(BOTH)
    bad = [Timed(at / 50, rtp(111, at, 960 * at, AUDIO_SSRC, False, b"\x03")) for at in range(150)]
    tape.play(interleave(video(encode_video(90)), iter(bad)))
    assert tape.line.unrecorded == {AUDIO}
    tape.out += tape.line.finish(tape.now)
    assert {(gap.track, gap.cause) for gap in tape.gaps} == {(AUDIO, "not_recorded")}
    assert tape.pictures() == 90


def test_a_stream_that_breaks_for_two_seconds_in_the_middle_is_one_gap_from_its_last_picture_to_its_next() -> None:
    tape = Tape()
    tape.open(BOTH)
    packets = scene(6.0)
    spoiled = [
        Timed(timed.at, timed.packet[:12] + b"\x7f\x00")
        if 1.99 < timed.at < 3.99 and timed.packet[8:12] == VIDEO_SSRC.to_bytes(4, "big")
        else timed
        for timed in packets
    ]
    tape.play(spoiled)
    tape.close()
    assert {(gap.track, gap.cause) for gap in tape.gaps} == {(VIDEO, "not_recorded")}
    assert abs(sum(gap.length for gap in tape.gaps) - 2 * SECOND) < SECOND // 10
    assert tape.line.unrecorded == frozenset()
    assert tape.sounds() == 300


def test_hours_of_it_cost_one_gap_a_minute() -> None:
    tape = Tape()
    tape.open(VIDEO_ONLY)
    tape.play([Timed(at / 5, rtp(102, at, 18000 * at, VIDEO_SSRC, True, b"\x7f\x00")) for at in range(5 * 3600)])
    assert 60 <= len(tape.gaps) <= 70
    assert abs(sum(gap.length for gap in tape.gaps) - 3600 * SECOND) < 61 * SECOND


def test_a_large_picture_on_a_narrow_link_is_no_gap_and_no_alarm() -> None:
    tape = Tape()
    tape.open(VIDEO_ONLY)
    sets = next(iter(video(encode_video(1), timestamp=7, sequence=0)))
    pieces = [bytes((0x7C, {0: 0x85, 59: 0x45}.get(at, 0x05))) + bytes(1000) for at in range(60)]
    idr = [Timed(at / 10, rtp(102, 1 + at, 7, VIDEO_SSRC, at == 59, piece)) for at, piece in enumerate(pieces)]
    tape.play([sets, *idr])
    tape.close()
    assert (tape.pictures(), tape.gaps) == (1, [])
    assert tape.line.unrecorded == frozenset()


def test_a_picture_that_never_becomes_whole_does_not_hide_it_for_ever() -> None:
    tape = Tape()
    tape.open(VIDEO_ONLY)
    piece = [
        Timed(at / 5, rtp(102, at, 7, VIDEO_SSRC, False, bytes((0x7C, 0x85 if at == 0 else 5)) + bytes(9))) for at in range(60)
    ]
    tape.play(piece)
    assert tape.line.unrecorded == {VIDEO}


def test_time_without_packets_before_and_after_it_keeps_its_own_cause() -> None:
    tape = Tape()
    tape.open(VIDEO_ONLY)
    tape.play(list(video(encode_video(30))))
    tape.wait_until(START + 11 * SECOND)
    tape.play([Timed(timed.at, timed.packet) for timed in pictures(b"\x7f\x00")])
    tape.wait_until(START + 24 * SECOND)
    assert tape.line.unrecorded == frozenset(), "nothing comes"
    tape.out += tape.line.finish(tape.now)
    assert [gap.cause for gap in tape.gaps][0] == "paused"
    assert {gap.cause for gap in tape.gaps[1:-1]} == {"not_recorded"}
    assert tape.gaps[-1].cause == "paused"
    lengths = {cause: sum(gap.length for gap in tape.gaps if gap.cause == cause) for cause in ("paused", "not_recorded")}
    assert abs(lengths["not_recorded"] - 3 * SECOND) < SECOND // 10
    assert abs(sum(lengths.values()) - 23 * SECOND) < SECOND // 10


def test_less_than_a_second_of_nothing_but_that_is_not_called_recorded_either() -> None:
    tape = Tape()
    tape.open(VIDEO_ONLY)
    tape.play(pictures(b"\x7f\x00", 0.5))
    tape.out += tape.line.finish(tape.now)
    assert [gap.cause for gap in tape.gaps] == ["not_recorded"]


def test_what_waited_elsewhere_and_comes_at_once_is_judged_once_it_was_looked_at() -> None:
    tape = Tape()
    tape.open(VIDEO_ONLY)
    packets = [(START + int(timed.at * SECOND), timed.packet) for timed in video(encode_video(120))]
    packets = packets[: len(packets) // 2] + packets[len(packets) // 2 + 1 :]
    tape.now += 4 * SECOND
    tape.out += tape.line.packets(packets, tape.now)
    tape.wait_until(tape.now + SECOND)
    assert tape.line.unrecorded == frozenset()
    tape.out += tape.line.finish(tape.now)
    assert "not_recorded" not in {gap.cause for gap in tape.gaps}


def test_what_came_at_once_before_the_end_and_was_not_kept_is_said() -> None:
    tape = Tape()
    tape.open(VIDEO_ONLY)
    tape.play(list(video(encode_video(30))))
    late = [(START + int((timed.at + 1) * SECOND), timed.packet) for timed in pictures(b"\x7f\x00")]
    tape.out += tape.line.packets(late, tape.now)
    tape.out += tape.line.finish(START + 4 * SECOND)
    assert {gap.cause for gap in tape.gaps} == {"not_recorded"}
    assert abs(sum(gap.length for gap in tape.gaps) - 3 * SECOND) < SECOND // 5


def test_probes_without_payload_are_no_media() -> None:
    tape = Tape()
    tape.open(BOTH)
    probes = [Timed(at / 10, rtp(102, 900 + at, 90 * at, VIDEO_SSRC, False, b"")) for at in range(30)]
    tape.play(interleave(iter(probes), sound_packets(encode_audio(150))))
    assert tape.line.unrecorded == frozenset()
    assert not any(gap.cause == "not_recorded" for gap in tape.gaps)
