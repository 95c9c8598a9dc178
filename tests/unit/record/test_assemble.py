"""Packets to samples: on any network a sample is exactly as it was sent, or it lies in a gap."""

import random
from operator import itemgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.record.access_units import IDLE_NS, H264Track
from relay.record.assemble import OpusTrack, Sample, TrackGap
from relay.rtp.parameter_sets import ParameterSets, Sets
from tests.support.rtp_source import encode_audio, encode_video, h264_payloads, rtp

WINDOW = 400
SPS, PPS, IDR, SLICE = b"\x67\x42\x00\x1f\xaa", b"\x68\xce\x3c\x80", 0x65, 0x41


def unit(kind: int, size: int, seed: int) -> bytes:
    """A slice that begins its picture: first_mb_in_slice is 0."""
    return bytes((kind, 0x80, 1 + seed // 100, 1 + seed % 100)) + b"\x01" * size


def picture(index: int, sizes: list[int]) -> bytes:
    """One access unit in Annex B: an IDR with parameter sets first, then plain pictures of one or more slices."""
    kind = IDR if index == 0 else SLICE
    slices = [unit(kind, size, 100 * index + number) for number, size in enumerate(sizes)]
    slices[1:] = [bytes((one[0], 0x40)) + one[2:] for one in slices[1:]]
    return b"".join(b"\x00\x00\x00\x01" + one for one in ([SPS, PPS] if index == 0 else []) + slices)


def avc(access_unit: bytes) -> bytes:
    """The same with lengths."""
    units = [one for one in access_unit.split(b"\x00\x00\x00\x01") if one]
    return b"".join(len(one).to_bytes(4, "big") + one for one in units)


def packets_of(pictures: list[bytes], sequence: int, timestamp: int) -> list[bytes]:
    out: list[bytes] = []
    for index, one in enumerate(pictures):
        payloads = h264_payloads(one)
        for number, payload in enumerate(payloads):
            out.append(rtp(96, sequence + len(out), timestamp + 3000 * index, 5, number == len(payloads) - 1, payload))
    return out


SIZES = st.lists(st.lists(st.sampled_from((2, 900, 1101, 3500)), min_size=1, max_size=2), min_size=1, max_size=8)


@given(sizes=SIZES, sequence=st.integers(0, 65535), timestamp=st.integers(0, (1 << 32) - 1))
@settings(max_examples=30, deadline=None)
def test_everything_that_arrives_comes_out_as_it_was_sent_across_both_wraps(
    sizes: list[list[int]], sequence: int, timestamp: int
) -> None:
    pictures = [picture(index, each) for index, each in enumerate(sizes)]
    track = H264Track(WINDOW)
    out = [event for packet in packets_of(pictures, sequence, timestamp) for event in track.push(packet, 7, 7)]
    samples = [event for event in [*out, *track.flush()] if isinstance(event, Sample)]
    assert [sample.data for sample in samples] == [avc(one) for one in pictures]
    assert [sample.keyframe for sample in samples] == [index == 0 for index in range(len(pictures))]
    assert samples[0].sets == Sets((SPS,), (PPS,))
    assert [sample.timestamp - samples[0].timestamp for sample in samples] == [3000 * i for i in range(len(samples))]


@given(
    sizes=SIZES,
    network=st.randoms(use_true_random=False),
    share=st.sampled_from((0.0, 0.02, 0.2)),
    sequence=st.integers(0, 65535),
)
@settings(max_examples=60, deadline=None)
def test_loss_doubling_and_reordering_never_make_a_sample_that_was_not_sent(
    sizes: list[list[int]], network: random.Random, share: float, sequence: int
) -> None:
    pictures = [picture(index, each) for index, each in enumerate(sizes)]
    sent = packets_of(pictures, sequence, 4294960000)
    lost = {number for number in range(1, len(sent)) if network.random() < share}
    wire = [
        (number + network.randrange(8), packet)
        for number, packet in enumerate(sent)
        if number not in lost
        for _ in range(1 + (network.random() < share))
    ]
    wire[1:] = sorted(wire[1:], key=itemgetter(0))
    track = H264Track(WINDOW)
    out = [event for now, (_, packet) in enumerate(wire) for event in track.push(packet, now, now)] + track.flush()
    truth = {avc(one): index for index, one in enumerate(pictures)}
    seen: list[int] = []
    gaps = 0
    for event in out:
        if isinstance(event, TrackGap):
            gaps += 1
            continue
        index = truth.get(event.data)
        if index is None:  # the sets of a picture that was lost come before the next one, which may need them
            index = truth[event.data.removeprefix(avc(b"\x00\x00\x00\x01" + SPS + b"\x00\x00\x00\x01" + PPS))]
        before = seen[-1] if seen else -1
        assert index > before
        assert index == before + 1 or gaps, "pictures are missing and nothing says so"
        seen.append(index)
        gaps = 0
    if not lost:
        assert seen == list(range(len(pictures)))


def test_lost_middle_of_a_picture_loses_that_picture_only() -> None:
    pictures = [picture(index, [3000]) for index in range(3)]
    sent = packets_of(pictures, 0, 0)
    of_second = [index for index, packet in enumerate(sent) if packet[4:8] == (3000).to_bytes(4, "big")]
    del sent[of_second[1]]
    track = H264Track(WINDOW)
    out = [event for now, packet in enumerate(sent) for event in track.push(packet, now, now)] + track.flush()
    assert [type(event) for event in out] == [Sample, TrackGap, Sample]
    gap = out[1]
    assert isinstance(gap, TrackGap)
    assert gap.before is out[0]
    assert gap.after is out[2]
    assert gap.packets == 1


def test_picture_waits_no_longer_than_the_window() -> None:
    sent = packets_of([picture(index, [10]) for index in range(3)], 0, 0)
    track = H264Track(WINDOW)
    out = [event for packet in (*sent[:2], sent[3]) for event in track.push(packet, 0, 0)]
    assert len(out) == 1
    assert track.advance(WINDOW - 1) == []
    assert [type(event) for event in track.advance(WINDOW)] == [TrackGap, Sample]


def unmarked(pictures: list[bytes]) -> list[bytes]:
    """The packets of a camera that sets no marker bit."""
    return [bytes((packet[0], packet[1] & 0x7F)) + packet[2:] for packet in packets_of(pictures, 0, 0)]


def test_camera_that_sets_no_marker_is_understood_by_its_timestamps() -> None:
    sent = unmarked([picture(i, [10]) for i in range(3)])
    track = H264Track(WINDOW)
    out = [event for packet in sent for event in track.push(packet, 0, 0)]
    assert len(out) == 2
    assert len(track.flush()) == 1


def test_last_picture_before_a_pause_does_not_wait_for_the_next_where_the_camera_sets_no_marker() -> None:
    """Otherwise it is recorded after sound that came later, as if the clock had gone back."""
    first, second, third = ([packet] for packet in unmarked([picture(i, [10]) for i in range(3)])[1:])
    track = H264Track(WINDOW)
    assert track.push(first[0], 0, 0) == []
    assert len(track.push(second[0], 1, 1)) == 1
    assert track.deadline() == 1 + IDLE_NS
    assert track.advance(IDLE_NS) == []
    (sample,) = track.advance(1 + IDLE_NS)
    assert isinstance(sample, Sample)
    assert sample.arrival == 1
    assert track.deadline() is None
    assert track.push(third[0], 2 * IDLE_NS, 2 * IDLE_NS) == []
    assert len(track.flush()) == 1


def test_rest_of_a_picture_that_was_given_out_is_no_picture_of_its_own() -> None:
    whole, split, after = unmarked([picture(i, [10]) for i in range(3)])[1:]
    track = H264Track(WINDOW)
    track.push(whole, 0, 0)
    track.push(split, 1, 1)
    assert len(track.advance(1 + IDLE_NS)) == 1
    rest = split[:2] + (int.from_bytes(split[2:4], "big") + 1).to_bytes(2, "big") + split[4:]
    assert track.push(rest, 2 * IDLE_NS, 2 * IDLE_NS) == []
    after = after[:2] + (int.from_bytes(after[2:4], "big") + 1).to_bytes(2, "big") + after[4:]
    track.push(after, 2 * IDLE_NS, 2 * IDLE_NS)
    assert [type(event) for event in track.flush()] == [TrackGap, Sample]


def test_picture_whose_packets_came_far_apart_arrived_with_the_later_ones() -> None:
    sent = packets_of([picture(0, [10]), picture(1, [3000])], 0, 0)
    track = H264Track(WINDOW)
    out = [event for packet in sent[:-1] for event in track.push(packet, 0, 0)]
    out += track.push(sent[-1], 5 * IDLE_NS, 5 * IDLE_NS)
    assert [event.arrival for event in out if isinstance(event, Sample)] == [0, 5 * IDLE_NS]


@given(st.lists(st.binary(max_size=60), max_size=40))
def test_any_bytes_raise_nothing(packets: list[bytes]) -> None:
    track, sound = H264Track(WINDOW), OpusTrack(WINDOW)
    for now, packet in enumerate(packets):
        track.push(packet, now, now)
        sound.push(packet, now, now)
    track.flush()
    sound.flush()


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=40)), max_size=60))
def test_any_payloads_raise_nothing_and_count_as_lost(payloads: list[tuple[int, bytes]]) -> None:
    track = H264Track(WINDOW)
    for number, (ticks, payload) in enumerate(payloads):
        track.push(rtp(96, number, ticks, 5, bool(ticks & 1), payload), number, number)
    track.flush()


def test_unit_without_end_is_given_up_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.record.access_units.MAX_UNIT_BYTES", 10_000)
    track = H264Track(WINDOW)
    for number in range(100):
        track.push(rtp(96, number, 0, 5, False, bytes((0x7C, 0x85 if number == 0 else 0x05)) + bytes(1000)), 0, 0)
    assert sum(map(len, track._pieces or [])) <= 10_000
    assert track.flush() == []


def test_sound_with_silence_that_is_not_sent_has_no_gap() -> None:
    track = OpusTrack(WINDOW)
    sound = encode_audio(3)
    out = [
        event
        for number, (ticks, payload) in enumerate(zip((0, 960, 20160), sound, strict=True))
        for event in track.push(rtp(111, number, ticks, 6, False, payload), number, number)
    ]
    assert [type(event) for event in out] == [Sample] * 3
    assert [event.duration for event in out if isinstance(event, Sample)] == [960] * 3


def test_header_extensions_and_padding_are_stripped() -> None:
    payload = encode_audio(1)[0]
    plain = rtp(111, 1, 5, 6, False, payload)
    extended = bytes((plain[0] | 0x10,)) + plain[1:12] + b"\xbe\xde\x00\x01\x10\xff\x00\x00" + payload
    padded = bytes((extended[0] | 0x20,)) + extended[1:] + b"\x00\x00\x03"
    for packet in (plain, extended, padded):
        (sample,) = OpusTrack(WINDOW).push(packet, 0, 0)
        assert isinstance(sample, Sample)
        assert sample.data == payload


def test_real_encoder_output_survives() -> None:
    frames = encode_video(30)
    track = H264Track(WINDOW)
    out = [event for packet in packets_of(list(frames), 65530, 0) for event in track.push(packet, 0, 0)]
    assert len(out) == 30


def alone(number: int, timestamp: int, payload: bytes, *, marker: bool = True) -> bytes:
    return rtp(96, number, timestamp, 5, marker, payload)


def test_sets_that_came_alone_are_put_before_the_picture_that_may_use_them_first() -> None:
    pps = b"\x68\x58\x80"
    track = H264Track(WINDOW)
    sent = [alone(0, 0, SPS), alone(1, 0, PPS), alone(2, 3000, pps), alone(3, 6000, bytes((9, 0x10)), marker=False)]
    sent.append(alone(4, 6000, unit(IDR, 3, 1)))
    sample, *_ = [event for packet in sent for event in track.push(packet, 0, 0)]
    assert isinstance(sample, Sample)
    assert sample.data == b"".join(avc(b"\x00\x00\x00\x01" + one) for one in (bytes((9, 0x10)), SPS, PPS, pps, unit(IDR, 3, 1)))
    assert sample.sets == Sets((SPS,), (PPS, pps))
    (sample,) = track.push(alone(5, 9000, unit(SLICE, 3, 1)), 0, 0)
    assert isinstance(sample, Sample)
    assert sample.data == avc(b"\x00\x00\x00\x01" + unit(SLICE, 3, 1))


def test_a_keyframe_has_the_sets_of_the_offer_and_those_of_an_earlier_connection() -> None:
    sets = ParameterSets((SPS, PPS))
    for _ in range(2):
        (sample,) = H264Track(WINDOW, sets).push(alone(0, 0, unit(IDR, 3, 1)), 0, 0)
        assert isinstance(sample, Sample)
        assert sample.sets == Sets((SPS,), (PPS,))
