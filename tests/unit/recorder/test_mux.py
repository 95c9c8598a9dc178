"""Muxed fragments and the derived copy, read by FFmpeg and by the relay's own reader."""

import io
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass

import av
import pytest

from relay.base.errors import OurError
from relay.evidence.boxes import walk
from relay.evidence.chain import TrackKind
from relay.evidence.seal import sample_digest
from relay.record.cut import Fragment, InitParameters, Placed
from relay.record.line import Line, LineSettings, TappedStream
from relay.recorder.mux import Muxed, Muxer
from relay.rtp.parameter_sets import Sets
from tests.support.camera_streams import Habits, made
from tests.support.rtp_source import AUDIO_SSRC, VIDEO_SSRC, Timed, encode_audio, encode_video, interleave, scene, video
from tests.support.rtp_source import audio as sound

SECOND = 1_000_000_000
BOTH = [TappedStream(VIDEO_SSRC, 1), TappedStream(AUDIO_SSRC, 2)]


@dataclass
class Segment:
    init: bytes
    fragments: list[tuple[Fragment, Muxed]]

    @property
    def data(self) -> bytes:
        return self.init + b"".join(muxed.data for _, muxed in self.fragments)


def mux(
    packets: list[Timed], streams: list[TappedStream], segment_seconds: int = 60, both_from: float | None = None
) -> list[Segment]:
    """Mux what a line makes of packets; `both_from`: when (s) a camera that came with other streams comes back with both."""
    line = Line(LineSettings(segment_ns=segment_seconds * SECOND), 0)
    out = line.open(streams, 0)
    for timed in packets:
        if both_from is not None and timed.at >= both_from:
            out += line.open(BOTH, int(timed.at * SECOND))
            both_from = None
        now = int(timed.at * SECOND)
        out += line.packets([(now, timed.packet)], now)
    segments: list[Segment] = []
    muxer: Muxer | None = None
    for item in [*out, *line.close()]:
        if isinstance(item, Fragment):
            if item.opens or muxer is None:
                muxer = Muxer(item.parameters)
                segments.append(Segment(muxer.init, []))
            fragments = segments[-1].fragments
            fragments.append((item, muxer.fragment(item, len(fragments) + 1)))
    return segments


def read(data: bytes) -> dict[str, list[tuple[int, int, bool, bytes]]]:
    """Return (decode time, duration, keyframe, bytes) of every sample, as FFmpeg reads them."""
    found: dict[str, list[tuple[int, int, bool, bytes]]] = {}
    with av.open(io.BytesIO(data), "r", format="mp4") as container:
        for packet in container.demux():
            if packet.dts is not None:
                item = (packet.dts, packet.duration or 0, packet.is_keyframe, bytes(packet))
                found.setdefault(packet.stream.type, []).append(item)
    return found


def test_ffmpeg_reads_every_sample_where_and_as_it_was_put() -> None:
    (segment,) = mux(scene(2.0), BOTH)
    found = read(segment.data)
    for kind, samples in (
        ("video", [one for fragment, _ in segment.fragments for one in fragment.video]),
        ("audio", [one for fragment, _ in segment.fragments for one in fragment.audio]),
    ):
        assert [data for *_, data in found[kind]] == [one.data for one in samples]
        assert [key for _, _, key, _ in found[kind]] == [one.keyframe for one in samples]
        padding = found[kind][0][0] - samples[0].time
        assert [time - padding for time, *_ in found[kind]] == [one.time for one in samples]
        assert abs(padding) <= 312, "at most the pre-skip of Opus"


def test_every_frame_and_sound_decodes() -> None:
    (segment,) = mux(scene(1.0), BOTH)
    with av.open(io.BytesIO(segment.data), "r") as container:
        frames = [frame for frame in container.decode()]
    assert sum(isinstance(frame, av.VideoFrame) for frame in frames) == 30
    assert sum(isinstance(frame, av.AudioFrame) for frame in frames) == 50


def test_parts_say_what_the_fragment_holds() -> None:
    (segment,) = mux(scene(1.0), BOTH)
    for fragment, muxed in segment.fragments:
        for part in muxed.tracks:
            samples = fragment.video if part.kind is TrackKind.VIDEO else fragment.audio
            assert (part.samples, part.first) == (len(samples), samples[0].time)
            assert part.digest == sample_digest(one.data for one in samples)
    video_parts = [part for _, muxed in segment.fragments for part in muxed.tracks if part.kind is TrackKind.VIDEO]
    assert all(late.first == early.end for early, late in zip(video_parts, video_parts[1:], strict=False))


def test_bytes_depend_on_nothing_but_the_samples() -> None:
    first, second = mux(scene(1.0), BOTH), mux(scene(1.0), BOTH)
    assert [segment.data for segment in first] == [segment.data for segment in second]


def test_sound_alone_and_picture_alone() -> None:
    (sounds,) = mux(list(sound(encode_audio(50))), [BOTH[1]])
    assert list(read(sounds.data)) == ["audio"]
    (pictures,) = mux(list(video(encode_video(30))), [BOTH[0]])
    assert list(read(pictures.data)) == ["video"]


def test_size_of_the_picture_is_in_the_init_segment() -> None:
    (segment,) = mux(list(video(encode_video(5, 642, 362))), [BOTH[0]])
    with av.open(io.BytesIO(segment.data), "r") as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (642, 362)


@pytest.mark.parametrize("sps", [b"", b"\x67", b"\x67\xff\xff\xff\xff", b"\x67\x42\x00\x1f"])
def test_parameter_sets_that_say_nothing_are_refused(sps: bytes) -> None:
    with pytest.raises(OurError):
        Muxer(InitParameters(Sets((sps,), (b"\x68\xce",)), True))


def test_time_beyond_32_bits_is_written_whole() -> None:
    (segment,) = mux(list(sound(encode_audio(5))), [BOTH[1]])
    parameters = segment.fragments[0][0].parameters
    late = Fragment(
        0, True, parameters, 0, [], [Placed((1 << 40) + 960 * number, b"\xfc\xff\xfe", True, 960, 0) for number in range(3)]
    )
    data = Muxer(parameters).fragment(late, 1).data
    assert [time for time, *_ in read(segment.init + data)["audio"]][1:] == [(1 << 40) + 960, (1 << 40) + 1920]


def derive(data: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "relay.recorder.derive", *options], input=data, capture_output=True, check=False
    )


def test_derived_copy_of_several_segments_is_one_film_that_begins_at_zero() -> None:
    segments = mux(scene(4.0), BOTH, segment_seconds=1)
    assert len(segments) > 2
    made = derive(b"".join(segment.data for segment in segments[1:]))
    assert (made.returncode, made.stderr) == (0, b"")
    found = read(made.stdout)
    expected = [one.data for segment in segments[1:] for fragment, _ in segment.fragments for one in fragment.video]
    assert [data for *_, data in found["video"]] == expected
    assert found["video"][0][0] <= 90_000 // 10
    with av.open(io.BytesIO(made.stdout), "r") as container:
        assert sum(isinstance(frame, av.VideoFrame) for frame in container.decode()) == len(expected)


@pytest.mark.parametrize("offset_ms", [-200, 0, 200])
def test_derived_copy_moves_the_sound_by_the_measured_offset(offset_ms: int) -> None:
    (segment,) = mux(scene(1.0), BOTH)
    made = derive(segment.data, f"--sound-shifts=0:{offset_ms * 1_000_000}")
    found = read(made.stdout)
    apart = found["audio"][0][0] / 48_000 - found["video"][0][0] / 90_000
    assert abs(apart - offset_ms / 1000) < 0.01


def test_derived_copy_moves_each_piece_of_the_sound_by_its_own_offset() -> None:
    (segment,) = mux(scene(2.0), BOTH)
    plain, moved = (read(derive(segment.data, *shifts).stdout) for shifts in ((), ("--sound-shifts=48000:150000000",)))
    apart = [
        (late - early) / 48_000 - (moved["video"][0][0] - plain["video"][0][0]) / 90_000
        for (late, *_), (early, *_) in zip(moved["audio"], plain["audio"], strict=True)
    ]
    assert {round(seconds, 2) for seconds in apart[:50]} == {0.0}
    assert {round(seconds, 2) for seconds in apart[51:]} == {0.15}
    assert [data for *_, data in moved["audio"]] == [data for *_, data in plain["audio"]]


@pytest.mark.parametrize("shifts", ["x", "1", "1:2:3", "1:x"])
def test_shifts_that_are_none_are_refused(shifts: str) -> None:
    assert derive(b"", f"--sound-shifts={shifts}").returncode == 2


def test_derived_copy_begins_with_sound_where_the_picture_came_later() -> None:
    late = [Timed(timed.at + 2.5, timed.packet) for timed in video(encode_video(30))]
    segments = mux(interleave(sound(encode_audio(175)), iter(late)), BOTH)
    assert len(segments) == 2
    found = read(derive(b"".join(segment.data for segment in segments)).stdout)
    assert (len(found["audio"]), len(found["video"])) == (175, 30)


def sound_later(seconds: float = 2.5) -> list[Segment]:
    """Six seconds of picture, with sound for the rest of them."""
    late = [Timed(timed.at + seconds, timed.packet) for timed in sound(encode_audio(175))]
    segments = mux(interleave(video(encode_video(180)), iter(late)), [BOTH[0]], both_from=seconds)
    assert not segments[0].fragments[0][0].parameters.audio
    assert any(fragment.audio for fragment, _ in segments[-1].fragments)
    return segments


def test_derived_copy_holds_sound_that_began_after_the_picture_at_its_time() -> None:
    segments = sound_later()
    made = derive(b"".join(segment.data for segment in segments), "--sound")
    assert (made.returncode, made.stderr) == (0, b"")
    found, sealed = read(made.stdout), [fragment for segment in segments for fragment, _ in segment.fragments]
    pictures, sounds = ([one for each in sealed for one in getattr(each, kind)] for kind in ("video", "audio"))
    assert [data for *_, data in found["video"]] == [one.data for one in pictures]
    assert [data for *_, data in found["audio"]] == [one.data for one in sounds]
    apart = found["audio"][0][0] / 48_000 - found["video"][0][0] / 90_000
    assert apart > 2
    assert abs(apart - (sounds[0].time / 48_000 - pictures[0].time / 90_000)) < 0.01
    with av.open(io.BytesIO(made.stdout), "r") as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) >= (len(sounds) - 1) * 960


@pytest.mark.parametrize("declared", [True, False])
def test_derived_copy_goes_out_piece_by_piece_however_late_the_sound(declared: bool) -> None:
    """A film of hours is not held until its first sound, be it declared from the first segment on or not."""
    late = [Timed(timed.at + 5.0, timed.packet) for timed in sound(encode_audio(50))]
    packets = interleave(video(encode_video(180)), iter(late))
    segments = mux(packets, BOTH) if declared else mux(packets, [BOTH[0]], both_from=5.0)
    made = derive(b"".join(segment.data for segment in segments), "--sound")
    tracks = Counter(box.kind for _, box in walk(made.stdout))
    assert tracks[b"moof"] > 2
    first = next(box for _, box in walk(made.stdout) if box.kind == b"moof")
    inside = Counter(box.kind for _, box in walk(made.stdout, first.start, first.end))
    assert inside[b"traf"] == 1
    assert set(read(made.stdout)) == {"video", "audio"}


def test_derived_copy_keeps_sound_that_came_and_went_before_the_picture() -> None:
    late = [Timed(timed.at + 4.0, timed.packet) for timed in video(encode_video(60))]
    segments = [*mux(list(sound(encode_audio(50))), [BOTH[1]]), *mux(late, [BOTH[0]])]
    found = read(derive(b"".join(segment.data for segment in segments), "--sound").stdout)
    assert (len(found["audio"]), len(found["video"])) == (50, 60)


def test_derived_copy_of_sound_alone() -> None:
    (segment,) = mux(list(sound(encode_audio(50))), [BOTH[1]])
    made = derive(segment.data)
    assert made.returncode == 0
    assert len(read(made.stdout)["audio"]) == 50


@pytest.mark.parametrize(
    "junk", [b"", b"junk that is no film", b"\x00\x00\x00\x08ftyp", b"\xff\xff\xff\xffftyp", b"\0\0\0\x01ftyp"]
)
def test_derive_refuses_what_is_no_film(junk: bytes) -> None:
    made = derive(junk)
    assert made.returncode == 2
    assert made.stderr.startswith(b"derive: ")


def coded_with_b_pictures(count: int) -> list[Timed]:
    """Return a picture track as x264 makes it with two B pictures between others, with the timestamps of showing."""
    habits = Habits(b_frames=2, seconds=count / 30)
    return made(habits).packets


def test_b_pictures_are_recorded_with_the_times_at_which_they_are_shown() -> None:
    (segment,) = mux(coded_with_b_pictures(45), [BOTH[0]])
    placed = [one for fragment, _ in segment.fragments for one in fragment.video]
    shown = [one.time + one.shift for one in placed]
    assert len(placed) == 45
    assert all(one.shift >= 0 for one in placed)
    assert sorted(shown) == [min(shown) + 3000 * number for number in range(45)]
    with av.open(io.BytesIO(segment.data), "r") as container:
        frames = [frame.pts for frame in container.decode(video=0)]
    assert frames == sorted(shown)


def test_derived_copy_shows_b_pictures_in_their_order() -> None:
    segments = mux(coded_with_b_pictures(90), [BOTH[0]], segment_seconds=1)
    made_copy = derive(b"".join(segment.data for segment in segments))
    assert (made_copy.returncode, made_copy.stderr) == (0, b"")
    with av.open(io.BytesIO(made_copy.stdout), "r") as container:
        frames = [frame.pts for frame in container.decode(video=0) if frame.pts is not None]
    assert len(frames) == 90
    assert {late - early for early, late in zip(frames, frames[1:], strict=False)} == {3000}
