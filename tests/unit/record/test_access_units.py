"""Units and pictures as cameras send them: nothing is lost for a unit that is no part of a picture, and pictures end where they
end."""

from relay.record.access_units import IDLE_NS, H264Track
from relay.record.assemble import Event, Rest, Sample, TrackGap
from tests.support.rtp_source import rtp

WINDOW = 400
SPS, PPS = b"\x67\x42\x00\x1f\xda\x02\x80\xf6\x84", b"\x68\xce\x3c\x80"
"""640×480, frame_num of 4 bits, order type 2."""
IDR = b"\x65\x88\x84\x01"


def play(*packets: tuple[int, bool, bytes] | None, track: H264Track | None = None, flush: bool = True) -> list[Event]:
    """Push packets of (timestamp, marker, payload); None is one that was lost."""
    track = track or H264Track(WINDOW)
    out: list[Event] = []
    for number, packet in enumerate(packets):
        if packet is not None:
            ticks, marker, payload = packet
            out += track.push(rtp(96, number, ticks, 5, marker, payload), number * 1000, number * 1000)
    return [*out, *(track.flush() if flush else [])]


def units(event: Event) -> list[bytes]:
    """Return the units of a sample or rest."""
    assert isinstance(event, Sample | Rest)
    found, at = [], 0
    while at < len(event.data):
        size = int.from_bytes(event.data[at : at + 4], "big")
        found.append(event.data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def slice_of(picture: int, first: int = 0) -> bytes:
    """Return a slice: first_mb_in_slice 0 or 1, slice_type 0, PPS 0, frame_num."""
    bits = ("1" if first == 0 else "010") + "1" + "1" + f"{picture % 16:04b}" + "1"
    return b"\x41" + int(bits.ljust(24, "0"), 2).to_bytes(3, "big") + bytes((0x80 | picture, 0x40 | first))


SETS = (0, False, b"\x78\0\x09" + SPS + b"\0\4" + PPS)
KEY = (0, True, IDR)


def test_every_kind_of_unit_that_is_to_be_ignored_costs_no_picture() -> None:
    for kind in (b"\x00", b"\x7e", b"\x7f"):
        out = play(SETS, (0, False, kind + b"x"), KEY, (9, False, kind + b"x"), (9, True, slice_of(1)))
        assert [units(event) for event in out] == [[SPS, PPS, IDR], [slice_of(1)]]


def test_a_marker_on_a_unit_that_is_ignored_ends_the_picture() -> None:
    out = play(SETS, (0, False, IDR), (0, True, b"\x7fx"), flush=False)
    assert [units(event) for event in out] == [[SPS, PPS, IDR]]


def test_markers_on_each_slice_are_found_out_at_the_first_picture_and_every_picture_is_whole() -> None:
    track = H264Track(WINDOW)
    out = play(SETS, KEY, (9, True, slice_of(1)), (9, True, slice_of(1, 1)), (18, True, slice_of(2)), track=track, flush=False)
    assert [type(event) for event in out] == [Sample, Sample, Rest]
    assert isinstance(out[2], Rest)
    assert out[2].of is out[1]
    assert units(out[2]) == [slice_of(1, 1)]
    assert track.wrong_markers == 1
    rest = [(ticks * 9, True, slice_of(ticks, part)) for ticks in (3, 4) for part in (0, 1)]
    packets = [rtp(96, 5 + number, ticks, 5, marker, data) for number, (ticks, marker, data) in enumerate(rest)]
    later = [event for packet in packets for event in track.push(packet, 9000, 9000)]
    assert [units(event) for event in [*later, *track.flush()]] == [
        [slice_of(2)],
        [slice_of(3), slice_of(3, 1)],
        [slice_of(4), slice_of(4, 1)],
    ]


def test_a_picture_whose_marker_was_not_believed_waits_for_the_next_or_a_while() -> None:
    track = H264Track(WINDOW)
    play(SETS, KEY, (9, True, slice_of(1)), (9, True, slice_of(1, 1)), track=track, flush=False)
    assert track.deadline() == 3000 + IDLE_NS
    (rest,) = track.advance(3000 + IDLE_NS)
    assert units(rest) == [slice_of(1, 1)]


def test_a_marker_on_parameter_sets_ends_nothing() -> None:
    out = play((0, True, SPS), (0, True, PPS), (0, True, b"\x06sei"), KEY, (9, True, slice_of(1)), flush=False)
    assert [units(event) for event in out] == [[SPS, PPS, b"\x06sei", IDR], [slice_of(1)]]


def test_sets_under_the_timestamp_of_the_picture_before_go_with_the_picture_after() -> None:
    out = play(SETS, KEY, (0, False, SPS), (0, False, PPS), (9, True, IDR))
    assert [units(event) for event in out] == [[SPS, PPS, IDR], [SPS, PPS, IDR]]
    assert isinstance(out[1], Sample)
    assert out[1].timestamp - 9 == (out[0].timestamp if isinstance(out[0], Sample) else None)


def test_two_pictures_under_one_timestamp_are_two_samples() -> None:
    for marker in (True, False):
        out = play(SETS, (0, marker, IDR), (0, marker, slice_of(1)), (0, marker, slice_of(2)), (9, True, slice_of(3)))
        assert [units(event)[-1] for event in out] == [IDR, slice_of(1), slice_of(2), slice_of(3)]


def test_slices_with_timestamps_of_their_own_are_one_picture() -> None:
    for marker in (True, False):
        parts = [(ticks * 9 + part, marker, slice_of(ticks, part)) for ticks in (1, 2) for part in (0, 1)]
        out = play(SETS, (0, marker, IDR), *parts)
        pictures: list[list[bytes]] = []
        for event in out:
            if isinstance(event, Rest):
                pictures[-1] += units(event)
            else:
                pictures.append(units(event))
        assert pictures[1:] == [[slice_of(1), slice_of(1, 1)], [slice_of(2), slice_of(2, 1)]]


def test_slices_in_any_order_are_one_picture() -> None:
    out = play(SETS, KEY, (9, False, slice_of(1, 1)), (9, True, slice_of(1)), (18, True, slice_of(2)))
    assert [units(event) for event in out[1:]] == [[slice_of(1, 1), slice_of(1)], [slice_of(2)]]


def test_a_byte_stream_in_one_fragmented_unit_is_split() -> None:
    stream = b"\0\0\0\1".join([SPS, PPS, b"\x06sei", IDR])
    pieces = [stream[1:8], stream[8:20], stream[20:]]
    out = play(
        *((0, flags == 0x47, bytes((0x7C, flags)) + piece) for flags, piece in zip((0x87, 7, 0x47), pieces, strict=True))
    )
    assert [units(event) for event in out] == [[SPS, PPS, b"\x06sei", IDR]]
    assert isinstance(out[0], Sample)
    assert out[0].keyframe
    assert out[0].sets is not None
    assert out[0].sets.units == (SPS, PPS)


def test_start_codes_before_units_are_no_part_of_them() -> None:
    out = play((0, False, b"\0\0\0\1" + SPS), (0, False, b"\0\0\1" + PPS), (0, True, b"\0\0\0\1" + IDR))
    assert [units(event) for event in out] == [[SPS, PPS, IDR]]


def test_what_follows_a_picture_stays_with_it() -> None:
    trailing = [b"\x0c\xff\x80", b"\x0a", b"\x0b", b"\x13aux", b"\x16x", b"\x17x"]
    out = play(SETS, (0, False, IDR), *((0, False, unit) for unit in trailing[:-1]), (0, True, trailing[-1]))
    assert [units(event) for event in out] == [[SPS, PPS, IDR, *trailing]]


def test_data_partitions_are_one_slice() -> None:
    parts = [b"\x42" + slice_of(1)[1:], b"\x43\x80b", b"\x44\x80c"]
    out = play(SETS, KEY, (9, True, parts[0]), (9, True, parts[1]), (9, True, parts[2]), (18, True, slice_of(2)))
    assert [units(event) for event in out if isinstance(event, Rest)] == [parts[1:]]


def test_a_fragmented_unit_without_an_end_bit_is_whole_where_no_packet_was_lost() -> None:
    start, piece = b"\x5c\x81" + slice_of(1)[1:], b"\x5c\x01more"
    out = play(SETS, KEY, (9, False, start), (9, True, piece), (18, True, slice_of(2)))
    assert [units(event) for event in out[1:]] == [[slice_of(1) + b"more"], [slice_of(2)]]
    out = play(SETS, KEY, (9, False, start), None, (18, True, slice_of(2)))
    assert [type(event) for event in out] == [Sample, TrackGap, Sample]


def test_the_last_picture_needs_no_marker_where_the_camera_leaves_markers_out() -> None:
    out = play(SETS, KEY, (9, False, slice_of(1)), (18, True, slice_of(2)), (27, False, slice_of(3)))
    assert [units(event)[-1] for event in out] == [IDR, slice_of(1), slice_of(2), slice_of(3)]
    honest = play(SETS, KEY, (9, True, slice_of(1)), (18, False, slice_of(2)))
    assert [units(event)[-1] for event in honest] == [IDR, slice_of(1)], "its second slice may be missing"


def test_a_marker_that_was_lost_costs_its_picture_only() -> None:
    out = play(SETS, KEY, (9, False, slice_of(1)), None, (18, False, slice_of(2)), (18, True, slice_of(2, 1)))
    assert [type(event) for event in out] == [Sample, TrackGap, Sample]
    assert units(out[2]) == [slice_of(2), slice_of(2, 1)]


def test_a_rest_of_which_a_packet_was_lost_is_a_gap() -> None:
    out = play(SETS, KEY, (9, True, slice_of(1)), None, (9, True, slice_of(1, 1)), (18, True, slice_of(2)))
    assert [type(event) for event in out] == [Sample, Sample, TrackGap, Sample]
    assert isinstance(out[2], TrackGap)
    assert out[2].before is out[1]


def test_units_that_wait_for_their_picture_are_bounded() -> None:
    track = H264Track(WINDOW)
    play(*((number, True, b"\x06" + bytes([number % 200 + 1]) * 1000) for number in range(1000)), track=track)
    assert track.unusable > 0
    out = play(SETS, KEY, track=track, flush=False)
    assert out == []
