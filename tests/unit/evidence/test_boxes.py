"""The box walker finds every sample, and no false size or offset makes it leave its bytes."""

import contextlib
import io
import struct
from itertools import islice
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.base.errors import TheirError
from relay.evidence.boxes import MAX_DEPTH, Box, movie_tracks, walk
from relay.evidence.records import TrackKind
from relay.evidence.samples import TABLES, Sample, fragment_samples, tabled_samples, track_parts
from relay.evidence.seal import sample_digest
from tests.support.recordings import AUDIO, VIDEO, Samples, box, fragment, full, init_segment

INIT = init_segment()
HEADERS = movie_tracks(INIT)
PLAIN = fragment(1, [Samples(VIDEO, 90_000, 9_000, (b"first", b"second!")), Samples(AUDIO, 48_000, 960, (b"a", b"bb", b"ccc"))])


def samples_of_tables(data: bytes) -> dict[int, list[Sample]]:
    """Read the tables of every track, in order of appearance (so its number, in FFmpeg's files)."""
    tables: list[dict[bytes, Box]] = []
    for _, one in walk(data):
        if one.kind == b"stbl":
            tables.append({})
        elif tables and one.kind in TABLES:
            tables[-1][one.kind] = one
    return {
        number: list(islice(tabled_samples(data, table), 1 << 16)) for number, table in enumerate(tables, 1) if len(table) > 3
    }


def test_tracks_of_an_init_segment_are_read() -> None:
    assert {track: (header.handler, header.timescale) for track, header in HEADERS.items()} == {
        VIDEO: (b"vide", 90_000),
        AUDIO: (b"soun", 48_000),
    }


def test_samples_of_a_fragment_are_found_with_their_times() -> None:
    found = fragment_samples(PLAIN, HEADERS)
    assert [PLAIN[one.offset : one.offset + one.size] for one in found[VIDEO]] == [b"first", b"second!"]
    assert [(one.time, one.duration) for one in found[AUDIO]] == [(48_000, 960), (48_960, 960), (49_920, 960)]


def test_a_link_gets_its_parts_from_a_fragment() -> None:
    video, audio = track_parts(INIT, PLAIN)
    assert (video.kind, video.samples, video.first, video.duration) == (TrackKind.VIDEO, 2, 90_000, 18_000)
    assert (audio.kind, audio.samples, audio.first, audio.duration) == (TrackKind.AUDIO, 3, 48_000, 2_880)
    assert audio.digest == sample_digest([b"a", b"bb", b"ccc"])


def test_another_timescale_is_brought_to_the_codecs_clock() -> None:
    init = INIT.replace(struct.pack(">IIIII", 0, 0, 90_000, 0, 0x55C40000), struct.pack(">IIIII", 0, 0, 45_000, 0, 0x55C40000))
    assert (track_parts(init, PLAIN)[0].first, track_parts(init, PLAIN)[0].duration) == (180_000, 36_000)


def nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = box(b"moov", data)
    return data


def with_size(size: int, data: bytes = PLAIN) -> bytes:
    return struct.pack(">I", size) + data[4:]


@pytest.mark.parametrize(
    "data",
    [
        nested(1000),
        nested(MAX_DEPTH + 2),
        with_size(7),
        with_size(len(PLAIN) + 1),
        with_size((1 << 31) + 5),
        struct.pack(">I4sQ", 1, b"moof", 1 << 62) + PLAIN,
        struct.pack(">I4sQ", 1, b"moof", 3) + PLAIN,
        PLAIN[:50],
        b"\0\0\0",
        box(b"moof", box(b"traf", full(b"tfhd", 0, 0))),
        box(b"moof", box(b"traf", full(b"tfhd", 0, 0, bytes(4)), full(b"trun", 0, 0x201, struct.pack(">Ii", 1 << 30, 0)))),
        box(b"moof", box(b"traf", full(b"tfhd", 0, 0, bytes(4)), full(b"trun", 0, 0, struct.pack(">I", 1 << 31)))),
        box(b"moof", box(b"traf", full(b"tfhd", 0, 0, bytes(4)), full(b"trun", 0, 0x201, struct.pack(">IiI", 1, -500, 4)))),
        box(b"moof", box(b"traf", full(b"tfhd", 0, 0, bytes(4)), full(b"trun", 0, 0x201, struct.pack(">IiI", 1, 0, 1 << 31)))),
    ],
)
def test_a_lie_is_refused_with_its_position(data: bytes) -> None:
    with pytest.raises(TheirError, match="mp4 byte"):
        fragment_samples(data, HEADERS)


def test_a_swarm_of_tiny_boxes_is_refused() -> None:
    with pytest.raises(TheirError, match="more than"):
        list(walk(box(b"free") * 20_001))


@pytest.mark.parametrize("kind", [b"stts", b"stsz", b"stsc", b"stco"])
def test_tables_that_do_not_fit_are_refused(kind: bytes) -> None:
    tables = [
        full(name, 0, 0, struct.pack(">III", 0xFFFFFFFF if name == kind else 0, 0xFFFFFFFF, 0))
        for name in (b"stts", b"stsz", b"stsc", b"stco")
    ]
    trak = box(b"trak", full(b"tkhd", 0, 0, bytes(80)), box(b"mdia", box(b"minf", box(b"stbl", *tables))))
    with pytest.raises(TheirError, match="mp4 byte"):
        samples_of_tables(box(b"moov", trak))


def test_a_track_that_is_neither_picture_nor_sound_is_refused() -> None:
    with pytest.raises(TheirError, match="neither video nor sound"):
        track_parts(INIT.replace(b"vide", b"text"), PLAIN)


def test_a_fragment_of_a_track_that_the_init_segment_lacks_is_refused() -> None:
    with pytest.raises(TheirError, match="not in the init segment"):
        track_parts(INIT, fragment(1, [Samples(7, 0, 1, (b"x",))]))


@settings(max_examples=300)
@given(st.data())
def test_changed_boxes_are_read_or_refused_but_never_lead_outside(data: st.DataObject) -> None:
    changed = bytearray(INIT + PLAIN)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=8))
    bad = bytes(changed)
    try:
        for samples in fragment_samples(bad, movie_tracks(bad)).values():
            assert all(0 <= one.offset <= one.offset + one.size <= len(bad) for one in samples)
        samples_of_tables(bad)
    except TheirError:
        pass


@given(st.binary(max_size=300))
def test_random_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (movie_tracks, samples_of_tables, lambda bad: fragment_samples(bad, HEADERS)):
        with contextlib.suppress(TheirError):
            read(data)


# --- against FFmpeg's muxer and demuxer -------------------------------------------------------------------------------


def encoded(options: dict[str, str]) -> bytes:
    """Return an MP4 as FFmpeg's muxer writes it: half a second of noise and of Opus."""
    sink = io.BytesIO()
    container: Any = av.open(sink, "w", format="mp4", options=options)
    video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "tune": "zerolatency"})
    video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
    audio = container.add_stream("libopus", rate=48_000, layout="mono")
    noise = np.random.default_rng(1)
    for n in range(13):
        frame = av.VideoFrame.from_ndarray(noise.integers(0, 255, (48, 64, 3), dtype=np.uint8), format="rgb24")
        frame.pts = n
        container.mux(video.encode(frame))
        sound: Any = av.AudioFrame.from_ndarray(noise.integers(-99, 99, (1, 1920), dtype=np.int16), format="s16", layout="mono")
        sound.rate, sound.pts = 48_000, n * 1920
        container.mux(audio.encode(sound))
    container.mux(video.encode())
    container.mux(audio.encode())
    container.close()
    return sink.getvalue()


@pytest.mark.parametrize("flags", ["empty_moov+default_base_moof+frag_keyframe", "frag_every_frame+empty_moov", ""])
def test_the_same_samples_are_found_as_by_ffmpeg(flags: str) -> None:
    data = encoded({"movflags": flags} if flags else {})
    headers = movie_tracks(data)
    ours = {
        track: [data[one.offset : one.offset + one.size] for one in found] for track, found in samples_of_tables(data).items()
    }
    for track, found in fragment_samples(data, headers).items():
        ours.setdefault(track, []).extend(data[one.offset : one.offset + one.size] for one in found)
    theirs: dict[int, list[bytes]] = {}
    source: Any = av.open(io.BytesIO(data))
    with source as container:
        for packet in container.demux():
            if packet.size:
                theirs.setdefault(packet.stream.index + 1, []).append(bytes(packet))
    assert {track: found for track, found in ours.items() if found} == theirs
