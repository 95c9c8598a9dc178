"""A fragment of pictures alone gets silence for a player: its pictures stay as they are, and every moment has sound."""

import io
from dataclasses import replace

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.archive.quiet import heard_span, names_sound, silent_ticks, with_silence
from relay.base.errors import TheirError
from relay.record.line import AUDIO, VIDEO, TappedStream
from tests.support.recordings import build
from tests.support.rtp_source import VIDEO_SSRC, Timed, encode_audio, encode_video, interleave, video
from tests.support.rtp_source import audio as sound
from tests.unit.recorder.test_mux import BOTH, mux, read

ANNOUNCED = [TappedStream(VIDEO_SSRC, VIDEO), TappedStream(None, AUDIO)]


def played(init: bytes, fragments: list[tuple[bytes, bool, int]]) -> bytes:
    """Return what a player gets: init segment and fragments (bytes, whether they have sound, their ticks)."""
    return init + b"".join(data if heard else with_silence(data, ticks) for data, heard, ticks in fragments)


def test_pictures_whose_announced_sound_never_came_have_silence_beside_them_all_the_time() -> None:
    (segment,) = mux(list(video(encode_video(60))), ANNOUNCED)
    assert names_sound(segment.init)
    parts = [(muxed.data, False, muxed.tracks[0].duration) for _, muxed in segment.fragments]
    whole = played(segment.init, parts)
    found, sealed = read(whole), read(segment.data)
    assert found["video"] == sealed["video"], "no picture is touched"
    covered = sum(duration for _, duration, _, _ in found["audio"]) / 48_000
    assert 1.9 < covered <= 2.0
    with av.open(io.BytesIO(whole), "r") as container:
        loudest = max(float(np.abs(frame.to_ndarray()).max()) for frame in container.decode(container.streams.audio[0]))
    assert loudest < 1e-3


def test_sound_that_begins_later_follows_the_silence_without_a_hole() -> None:
    late = [Timed(timed.at + 3.0, timed.packet) for timed in sound(encode_audio(100))]
    (segment,) = mux(interleave(video(encode_video(150)), iter(late)), BOTH)
    parts = [(muxed.data, len(muxed.tracks) > 1, muxed.tracks[0].duration) for _, muxed in segment.fragments]
    times = [(time, time + duration) for time, duration, _, _ in read(played(segment.init, parts))["audio"]]
    holes = [later - end for (_, end), (later, _) in zip(times, times[1:], strict=False)]
    assert max(holes) < 0.45 * 48_000, "less than a fragment"


def test_an_init_segment_of_pictures_alone_names_no_sound() -> None:
    (segment,) = mux(list(video(encode_video(30))), BOTH[:1])
    assert not names_sound(segment.init)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_such_fragment_stay_as_they_are(data: bytes) -> None:
    try:
        assert with_silence(data, 3000) == data
    except TheirError:
        return


def test_a_fragment_that_has_sound_stays_as_it_is() -> None:
    (segment,) = mux(interleave(video(encode_video(30)), sound(encode_audio(50))), BOTH)
    data = segment.fragments[0][1].data
    assert with_silence(data, 3000) is data


@pytest.mark.parametrize("ticks", [0, 1, 90_000])
def test_the_silence_is_as_long_as_the_pictures(ticks: int) -> None:
    (segment,) = mux(list(video(encode_video(10))), ANNOUNCED)
    found = read(segment.init + with_silence(segment.fragments[0][1].data, ticks))
    assert len(found["audio"]) == max(ticks * 48_000 // 90_000 // 960, 1)


def test_silence_stands_before_the_first_sound_and_behind_the_last_and_never_between_them() -> None:
    """A camera that sends its pictures in bursts puts pictures and their sound into different fragments."""
    built = build("SIPPPPE")
    alone, first, second, last = (link for link in built.links if not link.init)
    only = [replace(link, tracks=link.tracks[:1]) for link in (alone, second)]
    links = [only[0], first, only[1], last]
    heard = heard_span(links)
    assert heard is not None
    assert [silent_ticks(link, heard) for link in links[1:]] == [0, 0, 0]
    assert silent_ticks(only[0], heard) == (heard[0] - only[0].tracks[0].first) // 1800 * 1800 > 0
    assert silent_ticks(only[0], (only[0].tracks[0].first + 345, heard[1])) == 0, "a packet would lie over the sound"
    assert silent_ticks(only[1], (0, only[1].tracks[0].first)) == only[1].tracks[0].duration
    assert silent_ticks(only[0], None) == only[0].tracks[0].duration
