"""Odd units between, inside and behind pictures: FFmpeg finds every picture of the source in what is recorded.

The pictures are those of x264 in several slices; a packer puts the oddities in.  The judge is FFmpeg on both sides: it decodes
the source before anything was packed, and the muxed segments.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.record.cut import Fragment
from relay.record.gaps import MediaGap
from relay.record.line import Line, LineSettings, TappedStream
from relay.recorder.mux import Muxer
from tests.support.camera_streams import START, Habits, Stream, made, shown_in
from tests.support.rtp_source import VIDEO_SSRC, rtp

SECOND = 1_000_000_000
FRAME = 3000
SLICES, BEFORE = {1, 5}, {6, 7, 8, 9}

Packets = list[tuple[int, bool, bytes]]
"""(timestamp, marker, payload)."""
Picture = list[bytes]
Packer = Callable[[list[Picture]], Packets]


def source(**habits: object) -> tuple[Stream, list[Picture]]:
    """Return a made stream, and the units of its pictures with the sets before each keyframe."""
    stream = made(Habits(seconds=0.8, gop=8, **{"slices": 4, **habits}))  # type: ignore[arg-type]
    pictures = [[*(stream.parameter_sets if each.key else ()), *each.units] for each in stream.pictures]
    return stream, pictures


@dataclass
class Found:
    shown: tuple[str, ...]
    gaps: list[MediaGap]
    line: Line


def record(packets: Iterable[tuple[int, bool, bytes] | None], *, step: float = 1 / 30) -> Found:
    """Record packets, a timestamp per `step` seconds; None is a packet that was lost."""
    line = Line(LineSettings(), 0)
    out = line.open([TappedStream(VIDEO_SSRC, 1)], 0)
    now = 0
    for number, each in enumerate(packets):
        if each is None:
            continue
        ticks, marker, payload = each
        now = max(now, int(max(ticks, 0) / FRAME * step * SECOND))
        out += line.packets([(now, rtp(102, number, ticks, VIDEO_SSRC, marker, payload))], now)
    out += line.finish(now)
    media, muxer = b"", None
    shown: tuple[str, ...] = ()
    for item in out:
        if isinstance(item, Fragment):
            if item.opens or muxer is None:
                shown += shown_in(media, "mp4") if media else ()
                muxer = Muxer(item.parameters)
                media = muxer.init
            media += muxer.fragment(item, 1).data
    return Found(shown + shown_in(media, "mp4"), [item for item in out if isinstance(item, MediaGap)], line)


def plain(pictures: list[Picture], *, marker: Callable[[bytes, bool], bool] = lambda unit, last: last) -> Packets:
    """Each unit in a packet (or fragments)."""
    out: Packets = []
    for number, units in enumerate(pictures):
        for at, unit in enumerate(units):
            payloads = fragments(unit)
            marked = marker(unit, at == len(units) - 1)
            out += [(number * FRAME, marked and payload is payloads[-1], payload) for payload in payloads]
    return out


def fragments(unit: bytes, size: int = 1100) -> list[bytes]:
    if len(unit) <= size:
        return [unit]
    pieces = [unit[1 + at : 1 + at + size] for at in range(0, len(unit) - 1, size)]
    ends = {0: 0x80, len(pieces) - 1: 0x40}
    return [bytes((unit[0] & 0xE0 | 28, ends.get(at, 0) | unit[0] & 31)) + piece for at, piece in enumerate(pieces)]


def everywhere(*odd: bytes) -> Packer:
    """These units before, between and behind the slices of every picture."""
    return lambda pictures: plain([[each for unit in units for each in (*odd, unit)] + list(odd) for units in pictures])


def behind(*odd: bytes) -> Packer:
    return lambda pictures: plain([[*units, *odd] for units in pictures])


def aggregated(*odd: bytes) -> Packer:
    """Sets and small slices in aggregation packets, with these members (length and bytes) between them."""

    def pack(pictures: list[Picture]) -> Packets:
        out: Packets = []
        for number, units in enumerate(pictures):
            for at, unit in enumerate(units):
                last = at == len(units) - 1
                whole = b"\x78" + b"".join([*odd, len(unit).to_bytes(2, "big") + unit, *odd]) + b"\0" * (at % 3)
                payloads = [whole] if len(unit) < 1300 else fragments(unit)
                out += [(number * FRAME, last and payload is payloads[-1], payload) for payload in payloads]
        return out

    return pack


def own_times(pictures: list[Picture]) -> Packets:
    """Each slice has a timestamp of its own and a marker."""
    out: Packets = []
    for number, units in enumerate(pictures):
        for at, unit in enumerate(units):
            out += [(number * FRAME + 90 * at, False, payload) for payload in fragments(unit)[:-1]]
            out.append((number * FRAME + 90 * at, unit[0] & 31 in SLICES, fragments(unit)[-1]))
    return out


def one_time(pictures: list[Picture]) -> Packets:
    """All pictures have one timestamp."""
    return [(0, marker, payload) for _, marker, payload in plain(pictures)]


def one_time_without_markers(pictures: list[Picture]) -> Packets:
    return [(0, False, payload) for _, _, payload in plain(pictures)]


def stream_in_one_unit(pictures: list[Picture]) -> Packets:
    """All units of a picture in one fragmented unit, with start codes between."""
    return plain([[START.join(units)] for units in pictures])


def stream_in_packets(pictures: list[Picture]) -> Packets:
    """Each unit behind a start code, in packets of single units where it is short."""
    return plain([[unit if len(unit) > 1000 else START + unit for unit in units] for units in pictures])


def without_end_bits(pictures: list[Picture]) -> Packets:
    cut = [
        (ticks, marker, bytes((p[0], p[1] & 0xBF)) + p[2:] if p[0] & 31 == 28 else p) for ticks, marker, p in plain(pictures)
    ]
    return [each for each in cut]


def empty_fragments(pictures: list[Picture]) -> Packets:
    out: Packets = []
    for ticks, marker, payload in plain(pictures):
        if payload[0] & 31 == 28 and payload[1] & 0x40:
            out += [(ticks, False, payload[:1] + bytes((payload[1] & 0xBF,)) + payload[2:]), (ticks, marker, payload[:2])]
        else:
            out.append((ticks, marker, payload))
    return out


def forbidden_bit_beside(pictures: list[Picture]) -> Packets:
    """A unit with the forbidden bit, which is no part of the picture."""
    return everywhere(b"\x86\x05\x01a\x80")(pictures)


PACKERS: dict[str, Packer] = {
    "as browsers do": plain,
    "type 0": everywhere(b"\x00x", b"\x60"),
    "types 30 and 31": everywhere(b"\x7ex", b"\x1f"),
    "unknown types 22 and 23": everywhere(b"\x16x\x80", b"\x17y\x80"),
    "reserved types 16 to 18": everywhere(b"\x10x\x80", b"\x12y\x80"),
    "SEI between slices": everywhere(b"\x06\x05\x01a\x80"),
    "SEI behind": behind(b"\x06\x05\x01a\x80"),
    "delimiters before each slice": everywhere(b"\x09\xf0"),
    "filler": everywhere(b"\x0c\xff\xff\x80"),
    "end of stream behind": behind(b"\x0b"),
    "packets of packetization-mode 2 with SEI": everywhere(b"\x79\0\0\0\3\x06\1\x80", b"\x7d\x86\0\0\x05"),
    "members to be ignored": aggregated(b"\0\2\x7fx", b"\0\1\x00"),
    "members of no bytes": aggregated(b"\0\0"),
    "members that are SEI": aggregated(b"\0\5\x06\x05\x01a\x80"),
    "marker on each slice": lambda pictures: plain(pictures, marker=lambda unit, last: last or unit[0] & 31 in SLICES),
    "marker on each packet": lambda pictures: [(ticks, True, payload) for ticks, _, payload in plain(pictures)],
    "marker on each unit": lambda pictures: plain(pictures, marker=lambda unit, last: True),
    "marker on each set only": lambda pictures: plain(pictures, marker=lambda unit, last: unit[0] & 31 in BEFORE),
    "no marker": lambda pictures: plain(pictures, marker=lambda unit, last: False),
    "marker on the first slice": lambda pictures: plain(
        pictures, marker=lambda unit, last: unit[0] & 31 in SLICES and unit[1] > 127
    ),
    "a timestamp for each slice": own_times,
    "one timestamp for all": one_time,
    "one timestamp for all, and no marker": one_time_without_markers,
    "a byte stream in one unit": stream_in_one_unit,
    "start codes in packets": stream_in_packets,
    "no end bits": without_end_bits,
    "empty fragments": empty_fragments,
    "the forbidden bit": forbidden_bit_beside,
}


@pytest.mark.parametrize("name", PACKERS)
def test_every_picture_of_the_source_is_in_the_recording(name: str) -> None:
    stream, pictures = source()
    found = record(PACKERS[name](pictures))
    assert found.shown == stream.shown
    assert not [gap for gap in found.gaps if gap.cause != "clock"]


@pytest.mark.parametrize("markers", ["each packet", "right", "none"])
def test_fields_make_the_frames_of_the_source(markers: str) -> None:
    stream, pictures = source(interlaced=True, height=256, slices=2)
    packets = [
        (ticks, {"right": marker, "none": False}.get(markers, True), payload) for ticks, marker, payload in plain(pictures)
    ]
    assert record(packets).shown == stream.shown


@given(st.lists(st.sampled_from([name for name in PACKERS if "one timestamp" not in name]), min_size=2, max_size=6))
@settings(max_examples=6, deadline=None)
def test_a_camera_that_changes_its_habits_loses_no_picture(habits: list[str]) -> None:
    stream, pictures = source()
    packets: Packets = []
    for number, group in enumerate(pictures[at : at + 8] for at in range(0, len(pictures), 8)):
        name = habits[number % len(habits)]
        packets += [(ticks + number * 8 * FRAME, marker, payload) for ticks, marker, payload in PACKERS[name](group)]
    assert record(packets).shown == stream.shown


def test_a_lost_packet_costs_its_picture_and_is_a_gap() -> None:
    stream, pictures = source(slices=4)
    packets = plain(pictures, marker=lambda unit, last: True)
    middle = next(at for at, (ticks, _, _) in enumerate(packets) if ticks == 12 * FRAME) + 1
    found = record(None if at == middle else each for at, each in enumerate(packets))
    assert set(found.shown[:12]) == set(stream.shown[:12])
    assert [gap.cause for gap in found.gaps] == ["radio"]
