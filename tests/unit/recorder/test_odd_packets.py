"""A camera that sends odd packets: what is not kept lies in gaps with a cause, the verifier finds nothing, and it costs little.

The camera plays its tricks through the real line, cutter and muxer; the verifier's own rules judge what comes out.
"""

import random
from collections.abc import Callable
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.evidence.chain import Cause, Reason
from relay.recorder import recording as module
from relay.recorder.jobs import EndJob, FragmentJob, GapJob
from tests.fuzz.recording import PPS, SECOND, SOUND, SPS, START, UTC, Camera, _cached, check
from tests.support.rtp_source import rtp

IDR, SLICE = b"\x65\x88" + bytes(40), b"\x41\x80" + bytes(20)
SECONDS = 6


def _sets(which: int) -> bytes:
    return b"\x78" + b"".join(len(one).to_bytes(2, "big") + one for one in (SPS[which], PPS[0]))


def keyframe(camera: Camera, which: int = 0) -> None:
    camera.send(camera.next(0, False, _sets(which)))
    camera.send(camera.next(0, True, IDR))


def slice_(camera: Camera) -> None:
    camera.send(camera.next(0, True, SLICE))


Trick = Callable[[Camera, random.Random, int], None]
"""Sends the packets of one hundredth of a second; the number of that hundredth."""


def honest(camera: Camera, chance: random.Random, number: int) -> None:
    if number % 100 == 0:
        keyframe(camera)
    elif number % 3 == 0:
        slice_(camera)


def storm_of_parameter_sets(camera: Camera, chance: random.Random, number: int) -> None:
    for turn in range(4):
        keyframe(camera, turn % 2)
        camera.stamps[0] += 225


def times_at_random(camera: Camera, chance: random.Random, number: int) -> None:
    for _ in range(4):
        camera.stamps[0] = chance.getrandbits(32)
        keyframe(camera) if chance.random() < 0.1 else slice_(camera)


def times_that_run(camera: Camera, chance: random.Random, number: int) -> None:
    camera.stamps[0] += 80_000
    keyframe(camera) if number % 50 == 0 else slice_(camera)


def times_that_leap(camera: Camera, chance: random.Random, number: int) -> None:
    camera.stamps[0] += chance.choice((-1, 1)) * chance.randrange(200_000)
    keyframe(camera) if number % 50 == 0 else slice_(camera)


def sound_that_runs(camera: Camera, chance: random.Random, number: int) -> None:
    honest(camera, chance, number)
    for _ in range(5):
        camera.stamps[1] += 40_000
        camera.send(camera.next(1, False, SOUND[0]))


def numbers_at_random(camera: Camera, chance: random.Random, number: int) -> None:
    for _ in range(4):
        camera.sequences[0] = chance.getrandbits(16)
        keyframe(camera) if chance.random() < 0.1 else slice_(camera)


def every_second_number(camera: Camera, chance: random.Random, number: int) -> None:
    for _ in range(4):
        camera.sequences[0] += 1
        camera.stamps[0] += 200
        keyframe(camera) if chance.random() < 0.1 else slice_(camera)


def garbage(camera: Camera, chance: random.Random, number: int) -> None:
    for _ in range(4):
        camera.send(camera.next(0, chance.random() < 0.5, chance.randbytes(chance.randrange(60))))


def nonsense(camera: Camera, chance: random.Random, number: int) -> None:
    camera.send(camera.next(0, True, bytes(20)))


def no_keyframe(camera: Camera, chance: random.Random, number: int) -> None:
    slice_(camera)


def pictures_without_end(camera: Camera, chance: random.Random, number: int) -> None:
    camera.stamps[0] -= 900
    for _ in range(20):
        camera.send(camera.next(0, False, bytes((0x7C, 5)) + bytes(1200)))


def tiny_sound(camera: Camera, chance: random.Random, number: int) -> None:
    honest(camera, chance, number)
    for _ in range(100):
        camera.send(camera.next(1, False, SOUND[0]))


def of_no_stream(camera: Camera, chance: random.Random, number: int) -> None:
    camera.send(rtp(102, number, number * 900, 99, True, SLICE))


TRICKS: list[Trick] = [
    storm_of_parameter_sets,
    times_at_random,
    times_that_run,
    times_that_leap,
    sound_that_runs,
    numbers_at_random,
    every_second_number,
    garbage,
    nonsense,
    no_keyframe,
    pictures_without_end,
    tiny_sound,
    of_no_stream,
]


def play(trick: Trick, seed: int = 1, seconds: int = SECONDS, camera: Camera | None = None) -> Camera:
    """Play a trick for so long."""
    camera, chance = camera or Camera(), random.Random(seed)
    for number in range(100 * seconds):
        trick(camera, chance, number)
        camera.now += SECOND // 100
        camera.stamps = [camera.stamps[0] + 900, camera.stamps[1] + 480]
        if number % 5 == 0:
            camera.recording.advance(camera.now)
    return camera


def end(camera: Camera) -> None:
    camera.recording.finish(Reason.STOPPED, None, camera.now)


def uncovered(camera: Camera) -> float:
    """Return the longest time, in seconds from the first packet to the end, in no fragment with video and in no gap."""
    reached, longest = UTC, 0
    spans = []
    for job in camera.jobs:
        if isinstance(job, FragmentJob) and any(part.track == 1 for part in job.tracks):
            spans.append((job.start_ns, job.start_ns + job.length_ns))
        elif isinstance(job, GapJob) and job.track in (None, 1):
            spans.append((job.start_ns, job.end_ns))
    for since, until in sorted([*spans, (UTC + camera.now - START,) * 2]):
        longest = max(longest, since - reached)
        reached = max(reached, until)
    return longest / SECOND


@pytest.fixture(autouse=True)
def quick_muxer() -> object:
    with patch.object(module, "Muxer", _cached):
        yield


@pytest.mark.parametrize("trick", [honest, *TRICKS], ids=lambda trick: trick.__name__)
def test_what_is_not_kept_lies_in_a_gap_with_a_cause_and_costs_a_few_jobs_a_second_and_one_file(trick: Trick) -> None:
    camera = play(trick)
    files = sum(isinstance(job, FragmentJob) and job.init for job in camera.jobs)
    assert files <= 3 + SECONDS + 1
    assert len(camera.jobs) <= 12 * SECONDS + 80, "the first burst, and then a dozen a second"
    end(camera)
    check(camera.jobs)
    assert uncovered(camera) <= 1.0
    assert all(gap.cause is not Cause.UNKNOWN for gap in camera.jobs if isinstance(gap, GapJob))


@given(st.lists(st.sampled_from([honest, *TRICKS]), min_size=2, max_size=6), st.integers(0, 1 << 32))
@settings(max_examples=10, deadline=None)
@example([of_no_stream, times_at_random], 0)
@example([of_no_stream, honest], 0)
def test_tricks_one_after_the_other_leave_nothing_unexplained_and_an_honest_minute_is_whole(
    tricks: list[Trick], seed: int
) -> None:
    camera = Camera()
    for trick in tricks:
        play(trick, seed, 2, camera)
    play(honest, seed, 13, camera)
    recorded = [
        job for job in camera.jobs if isinstance(job, FragmentJob) and job.start_ns > UTC + camera.now - START - 8 * SECOND
    ]
    assert sum(part.samples for job in recorded for part in job.tracks if part.track == 1) >= 7 * 33
    end(camera)
    check(camera.jobs)
    assert uncovered(camera) <= 1.0
    assert isinstance(camera.jobs[-1], EndJob)


def test_a_storm_of_parameter_sets_reads_as_what_it_is() -> None:
    camera = play(storm_of_parameter_sets)
    end(camera)
    gaps = [job for job in camera.jobs if isinstance(job, GapJob)]
    assert {gap.cause for gap in gaps} == {Cause.RECORDER, Cause.LATE_TRACK}, "the sound that was announced never came"
    assert all("format changed" in gap.detail for gap in gaps if gap.cause is Cause.RECORDER)


def test_a_camera_of_which_nothing_can_be_kept_has_a_gap_from_beginning_to_end() -> None:
    camera = play(nonsense)
    end(camera)
    gaps = [job for job in camera.jobs if isinstance(job, GapJob)]
    assert {(gap.track, gap.cause) for gap in gaps} == {(1, Cause.NOT_RECORDED), (2, Cause.LATE_TRACK)}
    assert sum(gap.length_ns for gap in gaps if gap.track == 1) >= (SECONDS - 1) * SECOND
