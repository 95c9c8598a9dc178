from aiortc.codecs.h264 import H264PayloadDescriptor
from hypothesis import given
from hypothesis import strategies as st

from sim_cameras import packetize
from sim_cameras.clip import film_video, record_audio
from sim_cameras.source import Film

# A NAL unit holds no start code and does not end in zero (emulation prevention and the trailing bits see to that).
NALS = st.lists(st.tuples(st.sampled_from([1, 5, 6, 7, 8]), st.integers(1, 5000)), min_size=1, max_size=8)


def stream(shapes: list[tuple[int, int]]) -> tuple[bytes, list[bytes]]:
    nals = [bytes([0x60 | kind]) + bytes([1 + index % 255 for index in range(size)]) for kind, size in shapes]
    return b"".join(b"\0\0\0\1" + nal for nal in nals), nals


@given(NALS)
def test_units_are_found_between_start_codes(shapes: list[tuple[int, int]]) -> None:
    data, nals = stream(shapes)
    assert list(packetize.units(data)) == nals


@given(NALS)
def test_aiortc_puts_the_payloads_together_again(shapes: list[tuple[int, int]]) -> None:
    small = [(kind, min(size, 60) if kind in (7, 8) else size) for kind, size in shapes]
    data, nals = stream(small)
    made = packetize.payloads(data)
    back = b"".join(H264PayloadDescriptor.parse(payload)[1] for payload in made)
    ordered = [nal for nal in nals if nal[0] & 31 in (7, 8)] + [nal for nal in nals if nal[0] & 31 not in (7, 8)]
    assert back == b"".join(b"\0\0\0\1" + nal for nal in ordered)
    assert all(len(payload) <= packetize.MAX_PAYLOAD for payload in made)


def test_a_clip_starts_on_a_keyframe_and_keeps_its_rate() -> None:
    clip = film_video(Film("fleet", 320, 180, 15, 200_000), 2.0)
    assert [index for index, frame in enumerate(clip.frames) if frame.key] == [0]
    assert len(clip.frames) == 30
    assert clip.period == 1 / 15
    assert 80_000 < clip.bitrate < 260_000


def test_a_sound_clip_has_fifty_frames_a_second() -> None:
    clip = record_audio(1, 1.0)
    assert len(clip.frames) == 50
    assert clip.period == 0.02
