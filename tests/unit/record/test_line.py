"""From packets to fragments for one recording: every gap is given out, and no input of a camera stops the line for good."""

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.record.line import AUDIO, VIDEO, Fragment, KeyframeRequest, Line, LineSettings, MediaGap, Output, TappedStream
from tests.support.rtp_source import AUDIO_SSRC, VIDEO_SSRC, Timed, encode_audio, encode_video, interleave, rtp, scene, video
from tests.support.rtp_source import audio as sound_packets

SECOND = 1_000_000_000
BOTH = [TappedStream(VIDEO_SSRC, VIDEO), TappedStream(AUDIO_SSRC, AUDIO)]
START = 100 * SECOND


@dataclass
class Tape:
    """Drives a line in simulated time and keeps what comes out."""

    line: Line = field(default_factory=lambda: Line(LineSettings(), START))
    out: list[Output] = field(default_factory=list)
    now: int = START

    def open(self, streams: list[TappedStream]) -> None:
        self.out += self.line.open(streams, self.now)

    def play(self, packets: list[Timed], since: int | None = None) -> None:
        """Feed packets at their times, advancing every 20 ms."""
        base = self.now if since is None else since
        for timed in packets:
            at = base + int(timed.at * SECOND)
            self.wait_until(at)
            self.out += self.line.packets([(at, timed.packet)], at)

    def wait_until(self, at: int) -> None:
        while self.now + SECOND // 50 < at:
            self.now += SECOND // 50
            self.out += self.line.advance(self.now)
        self.now = max(self.now, at)

    def close(self) -> None:
        self.out += self.line.close()

    @property
    def gaps(self) -> list[MediaGap]:
        return [item for item in self.out if isinstance(item, MediaGap)]

    @property
    def fragments(self) -> list[Fragment]:
        return [item for item in self.out if isinstance(item, Fragment)]

    def pictures(self) -> int:
        return sum(len(fragment.video) for fragment in self.fragments)

    def sounds(self) -> int:
        return sum(len(fragment.audio) for fragment in self.fragments)


def test_whole_scene_comes_out_whole_with_nothing_missing() -> None:
    tape = Tape()
    tape.open(BOTH)
    tape.play(scene(3.0))
    tape.close()
    assert (tape.pictures(), tape.sounds(), tape.gaps) == (90, 150, [])
    assert [fragment.opens for fragment in tape.fragments].count(True) == 1


def test_silence_of_the_radio_is_one_gap_of_all_tracks() -> None:
    tape = Tape()
    tape.open(BOTH)
    tape.play([timed for timed in scene(6.0) if not 2.0 < timed.at < 4.5])
    tape.close()
    (gap,) = tape.gaps
    assert (gap.track, gap.cause) == (None, "radio")
    assert 2.4 * SECOND < gap.length < 2.7 * SECOND


def test_picture_that_pauses_while_sound_goes_on_is_a_gap_of_the_picture() -> None:
    tape = Tape()
    tape.open(BOTH)
    frames = encode_video(60)
    late = [Timed(timed.at + 3.0, shifted(timed.packet, 3 * 90_000)) for timed in video(frames[30:], sequence=65000 + 400)]
    first = list(video(frames[:30]))
    gone = len(first)
    late = [Timed(timed.at + 1.0, renumbered(timed.packet, 65000 + gone + index)) for index, timed in enumerate(late)]
    late = [Timed(timed.at, shifted(timed.packet, 90_000)) for timed in late]
    tape.play(interleave(iter(first), iter(late), sound_packets(encode_audio(250))))
    tape.close()
    (gap,) = tape.gaps
    assert (gap.track, gap.cause) == (VIDEO, "paused")
    assert 2.9 * SECOND < gap.length < 3.2 * SECOND
    assert tape.sounds() == 250


def test_pause_that_delays_made_shorter_is_reported_in_the_time_of_the_camera() -> None:
    """What was sent before the pause came 0.8 s late: by arrival there is hardly a pause, in the track there is a gap."""
    tape = Tape()
    tape.open(BOTH)
    frames = encode_video(60)
    before = list(video(frames[:30]))
    after = video(frames[30:], sequence=65000 + len(before))
    late = [Timed(timed.at + 2.5, shifted(timed.packet, 5 * 45_000)) for timed in after]
    held = [Timed(timed.at + (0.8 if timed.at > 0.9 else 0.0), timed.packet) for timed in before]
    tape.play(interleave(iter(held), iter(late), sound_packets(encode_audio(200))))
    tape.close()
    (gap,) = tape.gaps
    assert (gap.track, gap.cause) == (VIDEO, "paused")
    assert 1.4 * SECOND < gap.length < 1.6 * SECOND
    place = tape.out.index(gap)
    fragments = [index for index, item in enumerate(tape.out) if isinstance(item, Fragment) and item.video]
    pictures = [tape.out[index].video for index in fragments]  # type: ignore[union-attr]
    assert sum(len(some) for index, some in zip(fragments, pictures, strict=True) if index < place) == 30


def shifted(packet: bytes, ticks: int) -> bytes:
    timestamp = int.from_bytes(packet[4:8], "big") + ticks & 0xFFFFFFFF
    return packet[:4] + timestamp.to_bytes(4, "big") + packet[8:]


def renumbered(packet: bytes, sequence: int) -> bytes:
    return packet[:2] + (sequence & 0xFFFF).to_bytes(2, "big") + packet[4:]


def test_lost_packets_are_a_gap_of_their_track_before_the_fragment_that_follows() -> None:
    tape = Tape()
    tape.open(BOTH)
    packets = [
        timed for timed in scene(3.0) if not (timed.packet[8:12] == VIDEO_SSRC.to_bytes(4, "big") and 1.0 < timed.at < 1.3)
    ]
    tape.play(packets)
    tape.close()
    (gap,) = tape.gaps
    assert (gap.track, gap.cause) == (VIDEO, "radio")
    assert tape.sounds() == 150
    after = tape.out[tape.out.index(gap) :]
    resumed = START + int(1.3 * SECOND)
    assert any(isinstance(item, Fragment) and any(one.arrival >= resumed for one in item.video) for item in after)
    assert KeyframeRequest("loss") in tape.out


def test_tap_that_overflowed_is_blamed_for_the_gap_that_follows() -> None:
    tape = Tape()
    tape.open(BOTH[:1])
    packets = list(video(encode_video(60)))
    middle = len(packets) // 2
    tape.play(packets[:middle])
    tape.line.tap_overflow.note(20)
    tape.play(packets[middle + 20 :], START)
    tape.close()
    assert [gap.cause for gap in tape.gaps] == ["tap_overflow"]


def test_tap_that_overflowed_long_ago_is_not_blamed_for_a_loss_by_radio() -> None:
    tape = Tape()
    tape.open(BOTH)
    tape.line.tap_overflow.note(20)
    tape.play([timed for timed in scene(4.0) if not 3.0 < timed.at < 3.3])
    tape.close()
    assert {gap.cause for gap in tape.gaps} == {"radio"}


def test_tap_that_overflowed_is_blamed_for_what_is_missing_of_picture_and_sound() -> None:
    tape = Tape()
    tape.open(BOTH)
    packets = [timed for timed in scene(4.0) if not 1.0 < timed.at < 1.3]
    tape.play([timed for timed in packets if timed.at <= 1.0])
    tape.line.tap_overflow.note(20)
    tape.play([timed for timed in packets if timed.at >= 1.3], START)
    tape.close()
    assert {(gap.track, gap.cause) for gap in tape.gaps} == {(VIDEO, "tap_overflow"), (AUDIO, "tap_overflow")}


def test_what_the_relay_dropped_before_the_tap_is_not_blamed_on_the_radio() -> None:
    tape = Tape()
    tape.open(BOTH)
    tape.play([timed for timed in scene(4.0) if not (1.0 < timed.at < 1.3 or 3.0 < timed.at < 3.3)])
    tape.close()
    assert {gap.cause for gap in tape.gaps} == {"radio"}
    tape = Tape()
    tape.open(BOTH)
    packets = [timed for timed in scene(4.0) if not (1.0 < timed.at < 1.3 or 3.0 < timed.at < 3.3)]
    tape.play([timed for timed in packets if timed.at < 1.35])
    tape.line.relay_drops.note(90, START + int(1.02 * SECOND), START + int(1.28 * SECOND))
    tape.play([timed for timed in packets if timed.at >= 1.35], START)
    tape.close()
    causes = {(gap.track, gap.cause) for gap in tape.gaps}
    assert causes == {(VIDEO, "recorder"), (AUDIO, "recorder"), (VIDEO, "radio"), (AUDIO, "radio")}, "only where it dropped"
    first = next(gap for gap in tape.gaps if gap.cause == "recorder")
    assert first.detail == "the relay dropped 90 packets: the camera sent more than a camera may"


def test_a_pause_is_of_the_relays_making_only_where_it_dropped_packets_for_most_of_it() -> None:
    for dropped_until, cause in ((1.1, "paused"), (2.9, "recorder")):
        tape = Tape()
        tape.open(BOTH)
        whole = scene(2.0)
        scenes = [timed if timed.at < 1.0 else Timed(timed.at + 2.0, timed.packet) for timed in whole]
        tape.play([timed for timed in scenes if timed.at < 1.0])
        tape.line.relay_drops.note(500, START + SECOND, START + int(dropped_until * SECOND))
        tape.play([timed for timed in scenes if timed.at >= 1.0], START)
        tape.close()
        assert {gap.cause for gap in tape.gaps if gap.track is None} == {cause}


def test_a_camera_of_which_everything_was_dropped_until_its_end_did_not_pause() -> None:
    tape = Tape()
    tape.open(BOTH)
    tape.play(scene(1.0))
    tape.wait_until(START + 4 * SECOND)
    tape.line.relay_drops.note(9000, START + SECOND, START + 4 * SECOND)
    tape.out += tape.line.finish(tape.now)
    assert {gap.cause for gap in tape.gaps} == {"recorder"}


def test_camera_that_comes_back_leaves_one_gap_and_begins_a_new_segment() -> None:
    tape = Tape()
    tape.open(BOTH)
    tape.play(scene(1.0))
    tape.close()
    tape.wait_until(START + 11 * SECOND)
    tape.open([TappedStream(7, VIDEO), TappedStream(8, AUDIO)])
    tape.play(interleave(video(encode_video(30), ssrc=7), sound_packets(encode_audio(50), ssrc=8)))
    tape.close()
    (gap,) = tape.gaps
    assert (gap.track, gap.cause) == (None, "reconnect")
    assert 9.9 * SECOND < gap.length < 10.2 * SECOND
    assert {fragment.segment for fragment in tape.fragments} == {0, 1}
    times = [sample.time for fragment in tape.fragments for sample in fragment.video]
    assert times == sorted(set(times))
    assert abs(times[30] / 90_000 - 11) < 0.1


def test_pictures_that_cannot_be_decoded_yet_are_reported() -> None:
    tape = Tape()
    tape.open(BOTH[:1])
    frames = encode_video(60)
    tape.play(list(video(frames[10:])))
    tape.close()
    (gap,) = tape.gaps
    assert (gap.track, gap.cause, gap.detail) == (VIDEO, "reconnect", "before a keyframe")
    assert tape.pictures() == 30
    assert tape.out.count(KeyframeRequest("segment")) >= 1


def test_nothing_is_missing_from_a_recording_whose_first_picture_comes_a_moment_late() -> None:
    tape = Tape()
    tape.open(BOTH)
    tape.play(interleave(iter(video(encode_video(62)[28:])), sound_packets(encode_audio(68))))
    tape.close()
    assert tape.gaps == []
    assert (tape.pictures(), tape.sounds()) == (32, 68)
    assert {fragment.segment for fragment in tape.fragments} == {0}


def test_silence_until_the_end_is_reported() -> None:
    tape = Tape()
    tape.open(BOTH)
    tape.play(scene(1.0))
    tape.wait_until(START + 5 * SECOND)
    tape.out += tape.line.finish(tape.now)
    (gap,) = tape.gaps
    assert (gap.track, gap.cause) == (None, "paused")
    assert abs(gap.start + gap.length - tape.now) < SECOND // 100
    assert gap.length > 3.9 * SECOND


def test_silence_until_the_end_of_a_camera_that_was_lost_is_the_radios() -> None:
    tape = Tape()
    tape.open(BOTH)
    tape.play(scene(1.0))
    tape.close()
    tape.out += tape.line.finish(tape.now + 60 * SECOND)
    assert [(gap.track, gap.cause) for gap in tape.gaps] == [(None, "radio")]


def test_picture_that_stops_before_the_end_is_reported_for_its_track() -> None:
    tape = Tape()
    tape.open(BOTH)
    tape.play(interleave(video(encode_video(30)), sound_packets(encode_audio(150))))
    tape.out += tape.line.finish(tape.now)
    (gap,) = tape.gaps
    assert gap.track == VIDEO
    assert 1.8 * SECOND < gap.length < 2.1 * SECOND


def test_jump_of_the_cameras_clock_is_reported_and_recording_goes_on() -> None:
    tape = Tape()
    tape.open(BOTH[:1])
    packets = list(video(encode_video(60)))
    middle = next(index for index, timed in enumerate(packets) if timed.at >= 1.0)
    wild = [Timed(timed.at, shifted(timed.packet, 1 << 30)) for timed in packets[middle:]]
    tape.play(packets[:middle] + wild)
    tape.close()
    assert [(gap.cause, gap.track) for gap in tape.gaps] == [("clock", VIDEO)]
    assert tape.pictures() == 60
    times = [sample.time for fragment in tape.fragments for sample in fragment.video]
    assert times[-1] - times[0] < 90_000 * 2.2


def test_packets_of_unknown_streams_are_counted_and_dropped() -> None:
    tape = Tape()
    tape.open(BOTH[:1])
    tape.play([Timed(0.0, rtp(96, 1, 1, 99, True, b"\x65\x88")), Timed(0.0, b"")])
    assert tape.line.unknown_packets == 2


def test_sender_reports_become_fixes() -> None:
    tape = Tape()
    tape.open(BOTH)
    tape.play(scene(1.0))
    tape.line.sender(VIDEO_SSRC, 10**18, 4294000000, 10**18 - SECOND, 0)
    anchors = dict(tape.line.fixes(tape.now, 0))
    assert not anchors[VIDEO].by_report, "an anchor is reported before what is known of it"
    assert not anchors[AUDIO].by_report
    fixes = dict(tape.line.fixes(tape.now, 0))
    assert fixes[VIDEO].by_report
    assert fixes[VIDEO].offset_ns == SECOND
    assert AUDIO not in fixes


@given(seed=st.integers(0, 1 << 40), rounds=st.integers(1, 4))
@settings(max_examples=12, deadline=None)
def test_whatever_happens_the_next_clean_second_is_recorded(seed: int, rounds: int) -> None:
    """Loss, garbage, wild clocks, restarts: afterwards a camera that behaves is recorded within its first keyframe."""
    chaos, tape = random.Random(seed), Tape()
    for number in range(rounds):
        tape.open([TappedStream(number, VIDEO), TappedStream(100 + number, AUDIO)])
        packets = interleave(video(encode_video(30), ssrc=number), sound_packets(encode_audio(50), ssrc=100 + number))
        tape.play([mangled(chaos, timed) for timed in packets if chaos.random() > 0.1])
        if chaos.random() < 0.5:
            tape.close()
            tape.wait_until(tape.now + chaos.randrange(5 * SECOND))
    before = tape.pictures(), tape.sounds()
    tape.close()
    tape.open([TappedStream(50, VIDEO), TappedStream(150, AUDIO)])
    at = len(tape.out)
    tape.play(interleave(video(encode_video(30), ssrc=50), sound_packets(encode_audio(50), ssrc=150)))
    tape.close()
    clean = [item for item in tape.out[at:] if isinstance(item, Fragment)]
    assert sum(len(fragment.video) for fragment in clean) >= 30
    assert sum(len(fragment.audio) for fragment in clean) >= 50
    assert before <= (tape.pictures(), tape.sounds())
    for track in (VIDEO, AUDIO):
        times = [
            sample.time for fragment in tape.fragments for sample in (fragment.video if track == VIDEO else fragment.audio)
        ]
        assert times == sorted(set(times))


def mangled(chaos: random.Random, timed: Timed) -> Timed:
    packet = bytearray(timed.packet)
    if chaos.random() < 0.05:
        packet[chaos.randrange(2, 8)] ^= 1 << chaos.randrange(8)
    if chaos.random() < 0.02:
        packet[12:] = chaos.randbytes(chaos.randrange(40))
    return Timed(timed.at, bytes(packet))


def test_sound_that_comes_only_with_a_reconnection_is_reported_until_its_segment_begins() -> None:
    tape = Tape()
    tape.open([TappedStream(5, VIDEO)])
    tape.play(list(video(encode_video(30), ssrc=5)))
    tape.open([TappedStream(6, VIDEO), TappedStream(7, AUDIO)])
    late = [Timed(timed.at + 0.5, timed.packet) for timed in video(encode_video(30), ssrc=6)]
    tape.play(interleave(iter(late), sound_packets(encode_audio(75), ssrc=7)))
    tape.close()
    assert tape.sounds() == 50
    reported = {gap.track: gap for gap in tape.gaps}
    assert 0.4 * SECOND < reported[AUDIO].length < 0.6 * SECOND


def test_what_is_late_or_malformed_is_counted_across_reconnections() -> None:
    tape = Tape()
    for _ in range(2):
        tape.open(BOTH)
        packets = scene(1.0)
        tape.play([*packets, Timed(1.0, packets[0].packet), Timed(1.0, rtp(96, 1, 1, VIDEO_SSRC, True, b"")[:12] + b"")])
        tape.play([Timed(0.0, b"\x00" * 8 + VIDEO_SSRC.to_bytes(4, "big"))])
    assert tape.line.oddities.late >= 2
    assert tape.line.oddities.malformed == 2


def test_sound_that_begins_a_moment_after_the_picture_costs_no_picture() -> None:
    """One keyframe in ten seconds, and nobody answers requests for another one."""
    tape = Tape()
    tape.open([TappedStream(VIDEO_SSRC, VIDEO), TappedStream(None, AUDIO)])
    frames = list(video(encode_video(300, gop=300)))
    sounds = [Timed(timed.at + 0.03, timed.packet) for timed in sound_packets(encode_audio(490))]
    packets = interleave(iter(frames), iter(sounds))
    first = next(index for index, timed in enumerate(packets) if timed.packet[8:12] == AUDIO_SSRC.to_bytes(4, "big"))
    tape.play(packets[:first])
    tape.open(BOTH)
    tape.play(packets[first:], START)
    tape.close()
    assert (tape.pictures(), tape.sounds(), tape.gaps) == (300, 490, [])
    assert {fragment.segment for fragment in tape.fragments} == {0}


def test_picture_that_begins_after_the_sound_costs_neither() -> None:
    tape = Tape()
    tape.open([TappedStream(None, VIDEO), TappedStream(AUDIO_SSRC, AUDIO)])
    frames = [Timed(timed.at + 0.5, timed.packet) for timed in video(encode_video(90, gop=90))]
    packets = interleave(iter(frames), sound_packets(encode_audio(175)))
    first = next(index for index, timed in enumerate(packets) if timed.packet[8:12] == VIDEO_SSRC.to_bytes(4, "big"))
    tape.play(packets[:first])
    tape.open(BOTH)
    tape.play(packets[first:], START)
    tape.close()
    assert (tape.pictures(), tape.sounds(), tape.gaps) == (90, 175, [])
    assert {fragment.segment for fragment in tape.fragments} == {0}


def test_sound_that_begins_hours_late_joins_the_open_segment() -> None:
    tape = Tape()
    tape.open([TappedStream(VIDEO_SSRC, VIDEO), TappedStream(None, AUDIO)])
    frames = list(video(encode_video(240, gop=240)))
    late = [Timed(timed.at + 5.0, timed.packet) for timed in sound_packets(encode_audio(140))]
    tape.play([timed for timed in frames if timed.at < 5.0])
    tape.open(BOTH)
    tape.play(interleave(iter([timed for timed in frames if timed.at >= 5.0]), iter(late)), START)
    tape.close()
    assert (tape.pictures(), tape.sounds()) == (240, 140)
    (gap,) = tape.gaps
    assert (gap.track, gap.cause, gap.start) == (AUDIO, "late_track", START)
    assert abs(gap.length - 5 * SECOND) < SECOND // 10


def test_picture_that_comes_from_another_stream_costs_no_sound() -> None:
    """A camera changes to another layer: only its picture begins again, at a keyframe."""
    tape = Tape()
    tape.open(BOTH)
    sounds = list(sound_packets(encode_audio(150)))
    first = list(video(encode_video(45)))
    second = [Timed(timed.at + 1.5, timed.packet) for timed in video(encode_video(45), ssrc=9, timestamp=5)]
    tape.play(interleave(iter(first), iter([timed for timed in sounds if timed.at < 1.5])))
    tape.open([TappedStream(9, VIDEO), TappedStream(AUDIO_SSRC, AUDIO)])
    tape.play(interleave(iter(second), iter([timed for timed in sounds if timed.at >= 1.5])), START)
    tape.close()
    assert (tape.pictures(), tape.sounds()) == (90, 150)
    assert [gap for gap in tape.gaps if gap.track != VIDEO] == []
    times = [sample.time for fragment in tape.fragments for sample in fragment.audio]
    assert all(later - earlier == 960 for earlier, later in zip(times, times[1:], strict=False))


def test_sound_that_nobody_announced_begins_at_the_next_keyframe_and_costs_no_picture() -> None:
    tape = Tape()
    tape.open(BOTH[:1])
    packets = [Timed(timed.at + 0.5, timed.packet) for timed in sound_packets(encode_audio(75))]
    frames = list(video(encode_video(60)))
    tape.play([timed for timed in frames if timed.at < 0.5])
    tape.open(BOTH)
    tape.play(interleave(iter([timed for timed in frames if timed.at >= 0.5]), iter(packets)), START)
    tape.close()
    assert (tape.pictures(), tape.sounds()) == (60, 50)
    assert KeyframeRequest("segment") in tape.out, "the camera is asked for the keyframe"
    (gap,) = tape.gaps
    assert gap.track == AUDIO
    assert 0.4 * SECOND < gap.length < 0.6 * SECOND


def test_announcing_the_same_streams_again_changes_nothing() -> None:
    tape = Tape()
    tape.open(BOTH)
    packets = scene(2.0)
    tape.play([timed for timed in packets if timed.at < 0.9])
    tape.open(BOTH)
    tape.play([timed for timed in packets if timed.at >= 0.9], START)
    tape.close()
    assert (tape.pictures(), tape.sounds(), tape.gaps) == (60, 100, [])


def test_sound_that_was_announced_and_never_came_is_said_at_the_end() -> None:
    tape = Tape()
    tape.open([TappedStream(VIDEO_SSRC, VIDEO), TappedStream(None, AUDIO)])
    tape.play(list(video(encode_video(60))))
    tape.out += tape.line.finish(tape.now)
    (gap,) = tape.gaps
    assert (gap.track, gap.cause) == (AUDIO, "late_track")
    assert abs(gap.length - 2 * SECOND) < SECOND // 10


def muted(seconds: int, period: float = 1.0, since: float = 0.0, first: int = 10) -> list[Timed]:
    """Comfort noise: one packet a period, numbers that run on, timestamps that follow the clock."""
    payload = encode_audio(1)[0]
    return [
        Timed(since + at * period, rtp(111, first + at, 77 + int((since + at * period) * 48_000), AUDIO_SSRC, True, payload))
        for at in range(int(seconds / period))
    ]


def test_declared_silence_is_one_entry_however_many_packets_come_in_it() -> None:
    for period in (1.0, 2.5, 0.4):
        tape = Tape()
        tape.open(BOTH)
        tape.play(interleave(video(encode_video(510)), iter(muted(17, period))))
        tape.close()
        assert [(gap.track, gap.cause, gap.length) for gap in tape.gaps] == [(AUDIO, "silence", 0)] * (period > 0.5)
        assert tape.sounds() == int(17 / period)


def test_declared_silence_of_sound_alone_is_one_entry() -> None:
    tape = Tape()
    tape.open(BOTH[1:])
    tape.play(muted(17))
    tape.out += tape.line.finish(tape.now)
    assert [(gap.track, gap.cause) for gap in tape.gaps] == [(AUDIO, "silence")]


def test_a_packet_that_is_lost_in_silence_is_a_loss_and_the_silence_is_declared_again() -> None:
    tape = Tape()
    tape.open(BOTH)
    sounds = muted(17)
    tape.play(interleave(video(encode_video(510)), iter(sounds[:6] + sounds[7:])))
    tape.close()
    assert [gap.cause for gap in tape.gaps] == ["silence", "radio", "silence"]


def test_each_mute_has_an_entry() -> None:
    tape = Tape()
    tape.open(BOTH)
    speech = [
        Timed(timed.at + 6, timed.packet) for timed in sound_packets(encode_audio(600), sequence=16, timestamp=77 + 288_000)
    ]
    sounds = [*muted(6), *speech, *muted(5, since=18.0, first=616)]
    tape.play(interleave(video(encode_video(690)), iter(sounds)))
    tape.close()
    assert [gap.cause for gap in tape.gaps] == ["silence", "silence"]
