"""Where fragments and segments are cut."""

from hypothesis import given
from hypothesis import strategies as st

from relay.record.cut import MAX_FRAGMENT_BYTES, Cutter, Fragment, Placed, durations
from relay.rtp.parameter_sets import Sets

MS = 1_000_000
SETS = Sets((b"sps",), (b"pps",))
OTHER = Sets((b"other",), (b"pps",))


def cutter(segment_ms: int = 2000, *, video: bool = True, audio: bool = True) -> Cutter:
    return Cutter(400 * MS, segment_ms * MS, has_video=video, has_audio=audio)


def frame(ms: int, *, key: bool = False) -> Placed:
    return Placed(90 * ms, b"v", key, 0, ms * MS)


def sound(ms: int) -> Placed:
    return Placed(48 * ms, b"a", True, 960, ms * MS)


def play(cut: Cutter, until: int, *, keys: set[int], fps_ms: int = 40, sound_ms: int = 20) -> list[Fragment]:
    """Feed `until` ms of both tracks; IDRs at the times in `keys`."""
    out: list[Fragment] = []
    for ms in range(0, until, 10):
        if ms % fps_ms == 0:
            key = ms in keys
            if cut.keeps(key, SETS if key else None):
                out += cut.video(frame(ms, key=key), SETS if key else None, ms * MS)
        if ms % sound_ms == 0:
            out += cut.audio(sound(ms), ms * MS)
        out += cut.advance(ms * MS)
    return out + cut.flush()


def test_fragments_never_last_longer_than_the_bound_and_nothing_is_lost() -> None:
    out = play(cutter(), 6000, keys={0, 1000, 2000, 3000, 4000, 5000})
    for fragment in out:
        assert fragment.video[-1].time - fragment.video[0].time < 90 * 400
        assert fragment.audio[-1].time - fragment.audio[0].time < 48 * 400
    assert [sample.time for fragment in out for sample in fragment.video] == [90 * ms for ms in range(0, 6000, 40)]
    assert [sample.time for fragment in out for sample in fragment.audio] == [48 * ms for ms in range(0, 6000, 20)]


def test_segments_begin_with_an_idr_and_only_the_first_fragment_opens_them() -> None:
    out = play(cutter(), 7000, keys=set(range(0, 7000, 1000)))
    opening = [fragment for fragment in out if fragment.opens]
    assert [fragment.segment for fragment in opening] == [0, 1, 2, 3]
    assert all(fragment.video[0].keyframe for fragment in opening)
    assert [fragment.segment for fragment in out] == sorted(fragment.segment for fragment in out)


def test_keyframe_is_asked_before_the_segment_is_over_then_each_second() -> None:
    cut = cutter(2000)
    cut.video(frame(0, key=True), SETS, 0)
    asked = [ms for ms in range(0, 4000, 100) if cut.keyframe_due(ms * MS)]
    assert asked == [1500, 2500, 3500]


def test_new_parameter_sets_begin_a_new_segment_at_once() -> None:
    cut = cutter()
    cut.video(frame(0, key=True), SETS, 0)
    cut.video(frame(40, key=True), SETS, 40 * MS)
    closed = cut.video(frame(80, key=True), OTHER, 80 * MS)
    assert [(fragment.segment, len(fragment.video)) for fragment in closed] == [(0, 2)]
    (last,) = cut.flush()
    assert (last.segment, last.opens, last.parameters.sets) == (1, True, OTHER)


def test_idr_without_parameter_sets_uses_those_of_its_segment() -> None:
    cut = cutter()
    assert not cut.keeps(True, None)
    cut.video(frame(0, key=True), SETS, 0)
    assert cut.keeps(True, None)
    assert cut.video(frame(40, key=True), None, 40 * MS) == []


def test_sound_waits_for_the_first_idr_so_that_both_begin_the_recording() -> None:
    out = play(cutter(10_000), 3000, keys={1200})
    assert (out[0].segment, out[0].opens, out[0].parameters.sets) == (0, True, SETS)
    assert (out[0].audio[0].time, out[0].video[0].time) == (0, 90 * 1200)
    assert {fragment.segment for fragment in out} == {0}
    assert [sample.time for fragment in out for sample in fragment.audio] == [48 * ms for ms in range(0, 3000, 20)]


def test_sound_does_not_wait_for_ever_for_the_first_idr() -> None:
    out = play(cutter(10_000), 4000, keys={3200})
    assert (out[0].parameters.sets, out[0].audio[0].time) == (None, 0)
    assert [sample.time for fragment in out for sample in fragment.audio] == [48 * ms for ms in range(0, 4000, 20)]
    first = next(fragment for fragment in out if fragment.video)
    assert (first.segment, first.opens, first.video[0].time) == (1, True, 90 * 3200)


def test_camera_that_came_back_begins_a_new_segment_at_its_idr_while_sound_goes_on() -> None:
    cut = cutter()
    cut.video(frame(0, key=True), SETS, 0)
    cut.restart(has_video=True, has_audio=True)
    assert cut.keyframe_due(10 * MS)
    assert not cut.keeps(False, None)
    cut.audio(sound(20), 20 * MS)
    closed = cut.video(frame(40, key=True), SETS, 40 * MS)
    assert [(fragment.segment, len(fragment.audio)) for fragment in closed] == [(0, 1)]


def test_recording_of_sound_alone_has_segments_too() -> None:
    cut = cutter(video=False)
    out = [fragment for ms in range(0, 1000, 20) for fragment in (*cut.audio(sound(ms), ms * MS), *cut.advance(ms * MS))]
    assert sum(len(fragment.audio) for fragment in (*out, *cut.flush())) == 50
    assert not cut.keyframe_due(10**12)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 700), st.booleans()), max_size=150))
def test_any_cadence_keeps_every_sample_once_and_in_order(steps: list[tuple[bool, int, bool]]) -> None:
    cut = cutter()
    cut.video(frame(0, key=True), SETS, 0)
    out: list[Fragment] = []
    ms, pictures, sounds = 0, [0], []
    for is_video, later, key in steps:
        ms += later
        out += cut.advance(ms * MS)
        if is_video:
            out += cut.video(frame(ms, key=key), SETS if key else None, ms * MS)
            pictures.append(90 * ms)
        else:
            out += cut.audio(sound(ms), ms * MS)
            sounds.append(48 * ms)
    out += cut.flush()
    assert [sample.time for fragment in out for sample in fragment.video] == pictures
    assert [sample.time for fragment in out for sample in fragment.audio] == sounds
    assert all(fragment.video or fragment.audio for fragment in out)
    opening = [fragment.segment for fragment in out if fragment.opens]
    assert opening == list(range(len(opening)))
    assert all(fragment.video[0].keyframe for fragment in out if fragment.opens)


def test_durations_reach_to_the_next_sample_and_the_last_repeats() -> None:
    assert durations([frame(0), frame(40), frame(100)], 3000) == [3600, 5400, 5400]
    assert durations([sound(0)], 3000) == [960]
    assert durations([frame(0)], 3000) == [3000]


def test_a_camera_forces_one_segment_a_second_after_the_first_few() -> None:
    cut = cutter()
    begun = 0
    for number in range(1000):
        now, sets = number * 10 * MS, Sets((b"sps" + bytes((number % 2,)),), SETS.pps)
        if cut.forces_too_much(True, sets, now):
            cut.skip()
            assert not cut.keeps(False, None), "a picture that depends on one that was not kept"
            continue
        out = cut.video(Placed(number * 900, b"i", True, 0, now), sets, now)
        begun += sum(fragment.opens for fragment in out)
    assert begun <= 1 + 3 + 10


def test_the_segment_that_is_due_is_never_refused_to_a_camera_that_forced_many() -> None:
    cut = cutter(segment_ms=2000)
    for number in range(4):
        cut.video(Placed(number * 90, b"i", True, 0, number), Sets((bytes((number,)),), SETS.pps), number)
    assert cut.forces_too_much(True, SETS, 5)
    assert not cut.forces_too_much(True, SETS, 2000 * MS)


def test_a_fragment_ends_before_it_gets_too_large() -> None:
    cut = cutter()
    large = bytes(MAX_FRAGMENT_BYTES // 3)
    out = [
        fragment
        for number in range(9)
        for fragment in cut.video(Placed(number * 90, large, number == 0, 0, number), SETS, number)
    ]
    assert [len(fragment.video) for fragment in out] == [3, 3]
    assert all(fragment.size <= MAX_FRAGMENT_BYTES for fragment in out)


def test_sound_that_waits_for_the_first_keyframe_does_not_wait_beyond_a_fragments_size() -> None:
    cut = cutter(audio=True)
    for number in range(5):
        cut.audio(Placed(number, bytes(MAX_FRAGMENT_BYTES // 4), True, 960, number), number)
    assert [len(fragment.audio) for fragment in cut.flush()] == [5]


def test_sets_that_repeat_or_take_turns_begin_no_segment_once_the_init_segment_holds_them() -> None:
    both, turned = Sets((b"sps", b"sps2"), (b"pps", b"pps2")), Sets((b"sps2", b"sps"), (b"pps", b"pps2"))
    cut = cutter(60_000)
    closed = [
        fragment
        for number in range(20)
        for fragment in cut.video(
            frame(number * 500, key=True), (SETS, both, turned)[min(number, 1 + number % 2)], number * 500 * MS
        )
    ]
    assert [fragment.segment for fragment in closed if fragment.opens] == [0, 1]
    assert {fragment.parameters.sets for fragment in closed if fragment.segment == 1} == {both}


def test_another_size_begins_a_segment_even_where_its_sets_are_known() -> None:
    """An init segment says the size of its pictures."""
    small = bytes.fromhex("6742c015da0507e84000000300400000078080")
    large = bytes.fromhex("6742c01fda014016e840000003004000000c83c60ca8")
    cut = cutter(60_000)
    cut.video(frame(0, key=True), Sets((small, large), (b"pps",)), 0)
    cut.video(frame(900, key=True), Sets((large, small), (b"pps",)), 900 * MS)
    (last,) = cut.flush()
    assert (last.segment, last.opens) == (1, True)
