"""RTP clocks against ours: with sender reports, without them, and over restarts."""

from hypothesis import given
from hypothesis import strategies as st

from relay.fanout.clocks import CameraClock, TrackClock


def near(found: int | None, wanted: float, slack: float) -> bool:
    """Whether two RTP times (32 bits) are within `slack` ticks."""
    assert found is not None
    return abs((found - wanted + 2**31) % 2**32 - 2**31) <= slack


@given(
    st.floats(0, 2**32 / 1e9),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.lists(st.floats(0, 0.3), min_size=1, max_size=20),
)
def test_sound_and_picture_of_one_moment_meet_over_any_network(
    origin: float, video_start: int, audio_start: int, ways: list[float]
) -> None:
    """The camera's clock reads `origin` at our 1000 s; each report takes another way."""
    camera = CameraClock()
    video, audio = TrackClock(90_000, camera), TrackClock(48_000, camera)
    for second, way in enumerate(ways):
        for track, start in ((video, video_start), (audio, audio_start)):
            track.report(origin + second, (start + track.clock_rate * second) & 0xFFFFFFFF)
            camera.add(origin + second, 1000 + second + way)
    moment = len(ways) + 1000.5 + min(ways)
    transit = camera.transit
    assert transit is not None
    elapsed = moment - transit - origin
    assert near(video.rtp_at(moment), video_start + 90_000 * elapsed, 5)
    assert near(audio.rtp_at(moment), audio_start + 48_000 * elapsed, 5)


def test_without_reports_the_least_delayed_packet_gives_the_time() -> None:
    track = TrackClock(90_000, CameraClock())
    for at, way in enumerate([0.05, 0.01, 0.09, 0.04]):
        track.packet(7000 + 3000 * at, 50 + at / 30 + way)
    assert near(track.rtp_at(60.01), 7000 + 90_000 * 10, 90)


def test_nothing_is_known_before_anything_came() -> None:
    assert TrackClock(90_000, CameraClock()).rtp_at(1.0) is None


def test_a_camera_whose_clock_is_set_is_believed_again_at_once() -> None:
    camera = CameraClock()
    camera.add(100.0, 1000.0)
    camera.add(4000.0, 1001.0)
    assert camera.transit == 1001.0 - 4000.0


def test_a_restarted_track_forgets_its_mapping() -> None:
    track = TrackClock(90_000, CameraClock())
    track.packet(7000, 50)
    track.restart()
    assert track.rtp_at(51) is None
    track.packet(5, 52)
    assert near(track.rtp_at(53), 90_005, 1)


def test_after_a_restart_arrivals_count_until_the_next_report() -> None:
    camera = CameraClock()
    track = TrackClock(90_000, camera)
    camera.add(1000, 50)
    track.report(1000, 7000)
    reported = [track.is_reported]
    track.restart()
    reported.append(track.is_reported)
    assert reported == [True, False]
    track.packet(5, 52)
    assert near(track.rtp_at(53), 90_005, 1)


def test_a_jump_of_timestamps_without_reports_is_followed() -> None:
    track = TrackClock(90_000, CameraClock())
    track.packet(0, 50.0)
    track.packet(90_000 * 5000, 50.1)
    track.packet(90_000 * 5000 + 3000, 50.133)
    assert near(track.rtp_at(50.133), 90_000 * 5000 + 3000, 90)
