"""A camera restarts, changes its picture, jumps in time or sends nonsense: its recording goes on, and its times stay true."""

import io
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.base.counters import Counters
from relay.channel.messages import Plan, TapOpen, TapPackets, TapSender, Track
from relay.evidence.continuity import Continuity, Scope
from relay.evidence.findings import FindingCollector
from relay.evidence.records import Gap, Link, TrackKind
from relay.evidence.verdict import Code
from relay.record.line import LineSettings
from relay.record.wall_clock import WallClock
from relay.recorder.jobs import FragmentJob, GapJob, Job
from relay.recorder.recording import Recording
from tests.support.rtp_source import Timed, encode_audio, encode_video, interleave, rtp, video
from tests.support.rtp_source import audio as sound

SECOND = 1_000_000_000
START = 50 * SECOND
UTC = 1_767_225_600 * SECOND
PLAN = Plan("r", "cam", "Cam", "police_municipale", "PM", "relay", None, "1", "bearer", "a crowd", "2027-01-01", None, UTC)


@dataclass
class Camera:
    """A recording in simulated time, and the camera that feeds it: its SSRCs, counters and clocks."""

    chance: random.Random
    now: int = START
    jobs: list[Job] = field(default_factory=list)
    ssrcs: tuple[int, int] = (1, 2)
    sequences: tuple[int, int] = (100, 200)
    stamps: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.recording = Recording(PLAN, LineSettings(), WallClock(UTC, START), START, self.jobs.append, Counters())
        self.connect()

    def connect(self) -> None:
        picture, noise = self.ssrcs
        tracks = (Track(picture, "video", 102, 90000, ""), Track(noise, "audio", 111, 48000, ""))
        self.recording.open(TapOpen("r", "cam", tracks), self.now)

    def film(self, seconds: int = 1, size: tuple[int, int] = (160, 120)) -> list[Timed]:
        """Return the next packets; counters and clocks run on."""
        pictures = list(
            video(encode_video(30 * seconds, *size), ssrc=self.ssrcs[0], sequence=self.sequences[0], timestamp=self.stamps[0])
        )
        sounds = list(
            sound(encode_audio(50 * seconds), ssrc=self.ssrcs[1], sequence=self.sequences[1], timestamp=self.stamps[1])
        )
        self.sequences = self.sequences[0] + len(pictures), self.sequences[1] + len(sounds)
        self.stamps = self.stamps[0] + 90_000 * seconds, self.stamps[1] + 48_000 * seconds
        return interleave(iter(pictures), iter(sounds))

    def send(self, packets: list[Timed], seconds: int = 1) -> None:
        since = self.now
        for timed in packets:
            at = since + int(timed.at * SECOND)
            self.wait(at - self.now)
            self.recording.packets(TapPackets("r", [(at, timed.packet)]), at)
        self.wait(since + seconds * SECOND - self.now)

    def idle(self, length: int) -> None:
        """Send nothing for so many nanoseconds; the clocks run on."""
        self.stamps = self.stamps[0] + length * 90_000 // SECOND, self.stamps[1] + length * 48_000 // SECOND
        self.wait(length)

    def wait(self, length: int) -> None:
        until = self.now + max(length, 0)
        while self.now + SECOND // 20 < until:
            self.now += SECOND // 20
            self.recording.advance(self.now)
        self.now = until

    def media(self, since: int = 0) -> list[FragmentJob]:
        return [job for job in self.jobs[since:] if isinstance(job, FragmentJob) and not job.init]


def samples(media: list[FragmentJob], kind: TrackKind) -> int:
    return sum(part.samples for job in media for part in job.tracks if part.kind is kind)


# --- what cameras do --------------------------------------------------------------------------------------------------


def restarts(camera: Camera) -> None:
    camera.recording.lost(camera.now)
    camera.idle(camera.chance.randrange(4 * SECOND))
    camera.ssrcs = camera.ssrcs[0] + 10, camera.ssrcs[1] + 10
    restarts_unseen(camera)
    camera.connect()


def restarts_unseen(camera: Camera) -> None:
    """Its counters and clocks begin anew, its SSRCs stay."""
    camera.sequences = camera.chance.randrange(1 << 16), camera.chance.randrange(1 << 16)
    camera.stamps = camera.chance.randrange(1 << 32), camera.chance.randrange(1 << 32)


def counts_back(camera: Camera) -> None:
    """Its counters go back by what could be reordering, too."""
    back = camera.chance.randrange(1, 3000)
    camera.sequences = camera.sequences[0] - back, camera.sequences[1] - back


def other_size(camera: Camera) -> None:
    camera.send(camera.film(size=camera.chance.choice([(320, 240), (240, 320), (642, 362)])))


def wild_stamps(camera: Camera) -> None:
    camera.send([_stamped(timed, camera.chance.randrange(1 << 32)) for timed in camera.film()])


def frozen_stamps(camera: Camera) -> None:
    camera.send([_stamped(timed, camera.chance.choice([0, 1 << 31])) for timed in camera.film()])


def stamps_go_back(camera: Camera) -> None:
    seconds = camera.chance.randrange(1, 20)
    camera.stamps = camera.stamps[0] - 90_000 * seconds, camera.stamps[1] - 48_000 * seconds


def nonsense(camera: Camera) -> None:
    camera.send([Timed(timed.at, timed.packet[:12] + camera.chance.randbytes(60)) for timed in camera.film()])


def absurd_parameters(camera: Camera) -> None:
    """Keyframes whose parameter sets no decoder understands."""
    for _ in range(20):
        sets = b"\x67" + camera.chance.randbytes(camera.chance.randrange(12)), b"\x68" + camera.chance.randbytes(3)
        payload = b"\x78" + b"".join(len(one).to_bytes(2, "big") + one for one in sets)
        stamp = camera.stamps[0] & 0xFFFFFFFF
        idr = b"\x65\x88" + camera.chance.randbytes(50)
        for marker, data in ((False, payload), (True, idr)):
            packet = rtp(102, camera.sequences[0], stamp, camera.ssrcs[0], marker, data)
            camera.sequences = camera.sequences[0] + 1, camera.sequences[1]
            camera.send([Timed(0.0, packet)], 0)
        camera.idle(SECOND // 30)


def absurd_reports(camera: Camera) -> None:
    chance = camera.chance
    for _ in range(20):
        wall = chance.choice([0, UTC, (1 << 63) - 1, chance.randrange(1 << 62)])
        report = TapSender("r", chance.choice(camera.ssrcs), wall, chance.randrange(1 << 32), camera.now, None)
        camera.recording.sender(report)
        camera.send(camera.film())


def falls_silent(camera: Camera) -> None:
    camera.idle(camera.chance.randrange(30 * SECOND))


def loses_much(camera: Camera) -> None:
    camera.send([timed for timed in camera.film() if camera.chance.random() < 0.5])


def _stamped(timed: Timed, stamp: int) -> Timed:
    return Timed(timed.at, timed.packet[:4] + stamp.to_bytes(4, "big") + timed.packet[8:])


TROUBLES: list[Callable[[Camera], None]] = [
    restarts,
    restarts_unseen,
    counts_back,
    other_size,
    wild_stamps,
    frozen_stamps,
    stamps_go_back,
    nonsense,
    absurd_parameters,
    absurd_reports,
    falls_silent,
    loses_much,
]


def findings(camera: Camera) -> list[str]:
    """What a verifier would hold against the times of the recording."""
    collector = FindingCollector()
    continuity, links = Continuity(collector, Scope(None)), 0
    for job in camera.jobs:
        if isinstance(job, GapJob):
            continuity.gap(Gap(job.start_ns, job.length_ns, job.track, job.cause, job.detail))
        elif isinstance(job, FragmentJob):
            head = (links, job.segment, job.init, 0, 1, 17, bytes(32), bytes(32), job.tracks)
            continuity.link(Link(*head, job.start_ns, job.length_ns, job.clocks, job.suspect))
            links += 1
    continuity.finish(links)
    own = Code.NOT_RECORDED  # said with a gap and its cause: nothing is unexplained
    return [finding.text("en") for finding in collector.findings if finding.code is not own]


def check_goes_on(camera: Camera) -> None:
    """Two seconds to find back; then three are recorded whole, where they belong in time."""
    camera.send(camera.film(2), 2)
    camera.idle(SECOND)
    since, at = len(camera.jobs), camera.now
    camera.send(camera.film(3), 3)
    camera.idle(SECOND)
    clean = camera.media(since)
    assert samples(clean, TrackKind.VIDEO) == 90
    assert samples(clean, TrackKind.AUDIO) == 150
    assert all(UTC + at - START - SECOND // 10 <= job.start_ns <= UTC + camera.now - START for job in clean)
    assert not any(isinstance(job, GapJob) and job.length_ns > SECOND * 3 // 2 for job in camera.jobs[since:])
    assert findings(camera) == []
    for kind in TrackKind:
        parts = [part for job in camera.media() for part in job.tracks if part.kind is kind]
        assert all(late.first > early.first for early, late in zip(parts, parts[1:], strict=False))


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("seed", [1, 2])
def test_recording_goes_on_after_each_trouble(trouble: Callable[[Camera], None], seed: int) -> None:
    camera = Camera(random.Random(seed))
    camera.send(camera.film())
    trouble(camera)
    check_goes_on(camera)


@given(troubles=st.lists(st.sampled_from(TROUBLES), min_size=2, max_size=5), seed=st.integers(0, 1 << 30))
@settings(max_examples=15, deadline=None)
def test_recording_goes_on_after_any_troubles(troubles: list[Callable[[Camera], None]], seed: int) -> None:
    camera = Camera(random.Random(seed))
    for trouble in troubles:
        camera.send(camera.film())
        trouble(camera)
    check_goes_on(camera)


def test_sound_that_came_ever_later_before_a_restart_leaves_no_unexplained_gap() -> None:
    """The new anchor lies where things arrive: what the delay had hidden is reported with the reconnection."""
    camera = Camera(random.Random(1))
    for _ in range(3):
        camera.send(camera.film())
        camera.wait(SECOND * 2 // 3)
    camera.recording.lost(camera.now)
    camera.wait(3 * SECOND)
    camera.ssrcs = 11, 12
    camera.connect()
    check_goes_on(camera)


def test_pictures_of_another_size_play_from_their_own_init_segment() -> None:
    camera = Camera(random.Random(1))
    camera.send(camera.film())
    camera.send(camera.film(size=(320, 240)))
    camera.idle(SECOND)
    inits = [job for job in camera.jobs if isinstance(job, FragmentJob) and job.init]
    sizes = []
    for init in inits:
        film = init.plain + b"".join(job.plain for job in camera.media() if job.segment == init.segment)
        with av.open(io.BytesIO(film), "r") as container:
            sizes.append({(frame.width, frame.height) for frame in container.decode(video=0)})
    assert sizes == [{(160, 120)}, {(320, 240)}]


@pytest.mark.parametrize("step", [3600, -3600])
def test_what_is_sealed_does_not_age_by_a_step_of_the_wall_clock(step: int) -> None:
    recording = Camera(random.Random(1)).recording
    recording.progress = replace(recording.progress, links=1, sealed_until_ns=UTC + 5 * SECOND)
    recording.observe(UTC + (9 + step) * SECOND, START + 9 * SECOND)
    assert recording.sealed_until_mono == pytest.approx(START / SECOND + 5)
