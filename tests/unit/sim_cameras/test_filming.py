"""Scene to encoder to decoder: what a viewer can read off a simulated camera's picture."""

from pathlib import Path

import av
import numpy as np
import pytest

from sim_cameras import timecode
from sim_cameras.encode import AudioEncoder, Unit, VideoEncoder
from sim_cameras.footage import Footage
from sim_cameras.picture import Picture
from sim_cameras.scene import Overlay, Patrol
from sim_cameras.sound import FRAME_SAMPLES, Sound

EPOCH_NS = 1_795_000_000_000_000_000


def film(frames: int, *, fps: int = 20, bitrate: int = 300_000, keys: tuple[int, ...] = ()) -> list[Unit]:
    picture, scene = Picture(640, 360), Patrol(640, 360, 7)
    overlay, encoder = Overlay(640, 360, "cam7", None), VideoEncoder(640, 360, fps, bitrate)
    units = []
    for index in range(frames):
        utc_ns = EPOCH_NS + index * 1_000_000_000 // fps
        scene.render(picture, index / fps)
        overlay.draw(picture, utc_ns)
        units += encoder.encode(picture, index * 90_000 // fps, utc_ns, index in keys)
    return units


def test_the_time_code_survives_compression_at_300_kbit_per_second() -> None:
    units = film(60)
    decoder = av.CodecContext.create("h264", "r")
    read = []
    for unit in units:
        for frame in decoder.decode(av.Packet(unit.data)):
            read.append(timecode.read(frame.to_ndarray(format="gray")))
    assert read == [unit.utc_ns // 1_000_000 for unit in units[: len(read)]]
    assert len(read) >= 59


def test_each_picture_gives_one_unit_and_keyframes_come_when_asked() -> None:
    units = film(50, keys=(10, 30))
    assert len(units) == 50
    assert [index for index, unit in enumerate(units) if unit.key] == [0, 10, 30]


def test_keyframes_carry_their_parameter_sets() -> None:
    (unit,) = [unit for unit in film(20, keys=(10,))[1:] if unit.key]
    types = [unit.data[at + 3] & 31 for at in range(len(unit.data) - 3) if unit.data[at : at + 3] == b"\0\0\1"]
    assert {7, 8, 5} <= set(types)


def test_the_bitrate_is_kept() -> None:
    bits = sum(len(unit.data) for unit in film(100, bitrate=500_000)) * 8
    assert 300_000 < bits / 5 < 600_000


def test_equal_seeds_give_equal_streets_and_others_do_not() -> None:
    camera_states = [Picture(320, 180) for _ in range(3)]
    for picture, seed in zip(camera_states, (1, 1, 2), strict=True):
        Patrol(320, 180, seed).render(picture, 3.25)
    assert np.array_equal(camera_states[0].data, camera_states[1].data)
    assert not np.array_equal(camera_states[0].data, camera_states[2].data)


def test_the_picture_moves() -> None:
    scene, first, second = Patrol(320, 180, 1), Picture(320, 180), Picture(320, 180)
    scene.render(first, 1.0)
    scene.render(second, 1.5)
    assert np.abs(first.y.astype(int) - second.y).mean() > 3


def test_flash_and_beep_start_together_and_last_a_tenth_of_a_second() -> None:
    sound, overlay, picture = Sound(1, 2.0), Overlay(320, 180, "c", 2.0), Picture(320, 180)
    loud, white = [], []
    for index in range(300):
        utc_ns = EPOCH_NS + index * 20_000_000
        loud.append(np.abs(sound.frame(utc_ns)).max() > 8000)
        picture.y[:] = 50
        overlay.draw(picture, utc_ns)
        white.append(picture.y[100:].mean() > 200)
    assert loud == white
    assert sum(loud) == 15


def test_sound_is_one_opus_packet_per_frame_and_decodes_to_the_beep() -> None:
    sound, encoder = Sound(1, 0.5), AudioEncoder()
    decoder = av.CodecContext.create("libopus", "r")
    levels = []
    for index in range(50):
        utc_ns = EPOCH_NS + index * 20_000_000
        (unit,) = encoder.encode(sound.frame(utc_ns), index * FRAME_SAMPLES, utc_ns)
        for frame in decoder.decode(av.Packet(unit.data)):
            levels.append(float(np.abs(frame.to_ndarray()).max()))
    assert sum(level > max(levels) / 2 for level in levels) in range(10, 14)


def test_a_picture_must_be_even() -> None:
    with pytest.raises(ValueError, match="even"):
        Picture(641, 360)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A one-second film of 160x120 at 10 fps whose grey grows with time."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((180, 160), 40 + 20 * index, np.uint8), format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_footage_is_scaled_boxed_and_looped_at_its_own_pace(clip: Path) -> None:
    footage, picture = Footage(clip, 640, 360), Picture(640, 360)
    levels = []
    for tenth in range(30):
        footage.render(picture, tenth / 10 + 0.05)
        levels.append(int(picture.y[180, 320]))
        assert picture.y[180, 10] == 16
    assert levels[1:9] == sorted(levels[1:9])
    assert levels[8] - levels[1] > 100
    assert np.abs(np.array(levels[:9]) - np.array(levels[10:19])).max() < 30


def test_footage_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not a film")
    with pytest.raises(av.error.InvalidDataError):
        Footage(tmp_path / "a.mp4", 640, 360)
    with pytest.raises(FileNotFoundError):
        Footage(tmp_path / "b.mp4", 640, 360)
