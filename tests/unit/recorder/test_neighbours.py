"""One recording's backlog is its own: the others are written in time, and what it cannot get written is its own gap."""

from collections.abc import Iterator

import pytest

from relay.base.clock import ManualClock
from relay.base.counters import Counters
from relay.evidence.chain import Cause
from relay.recorder import backlog
from relay.recorder.backlog import Backlog
from relay.recorder.jobs import EndJob, FragmentJob, GapJob, Job, OpenJob, RenewKeyJob
from tests.support.sealing import KEY, finish, gap_job, media, plan, session

OFFENDER = "f" * 32
HONEST = [f"{number:032x}" for number in range(20)]


class Queue:
    """A backlog and a thread that carries out so many jobs a second, in simulated time."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.counters = Counters()
        self.backlog = Backlog(self.clock, self.counters, 10.0)
        self.done: list[Job] = []
        self.waited: dict[str, float] = {}
        """The longest that a fragment waited (seconds), by recording."""

    def put(self, job: Job) -> None:
        if isinstance(job, FragmentJob):
            job.queued = self.clock.monotonic()
        self.backlog.put(job)

    def carry_out(self, jobs: int) -> None:
        for _ in range(jobs):
            job = self.backlog.first(0)
            if job is None:
                return
            if isinstance(job, FragmentJob):
                waited = self.clock.monotonic() - job.queued
                self.waited[job.recording] = max(waited, self.waited.get(job.recording, 0.0))
            self.done.append(job)
            self.backlog.done(job)

    def second(self, number: int, *, storm: int, jobs: int) -> None:
        """One second: each honest recording has a fragment, the offender `storm`; the thread carries out so many jobs."""
        for tenth in range(10):
            for recording in HONEST[2 * tenth : 2 * tenth + 2]:
                self.put(media(number, recording=recording, size=20_000))
            for index in range(storm // 10):
                self.put(media(number * storm + tenth * storm // 10 + index, recording=OFFENDER, size=400))
            self.carry_out(jobs // 10)
            self.clock.advance(0.1)

    def gaps(self, recording: str) -> Iterator[GapJob]:
        waiting = (job for job in (*self.done, *self.backlog.jobs))
        return (job for job in waiting if isinstance(job, GapJob) and job.recording == recording)


def test_a_storm_of_one_recording_delays_the_others_by_no_more_than_a_turn() -> None:
    queue = Queue()
    for number in range(60):
        queue.second(number, storm=1000, jobs=200)
    assert max(queue.waited[recording] for recording in HONEST) <= 0.5
    assert not [gap for recording in HONEST for gap in queue.gaps(recording)]
    assert all(len([job for job in queue.done if job.recording == recording]) >= 59 for recording in HONEST)


def test_what_the_storm_could_not_get_written_is_its_own_gap_and_is_not_called_the_disks() -> None:
    queue = Queue()
    for number in range(60):
        queue.second(number, storm=1000, jobs=200)
    gaps = list(queue.gaps(OFFENDER))
    assert {gap.cause for gap in gaps} == {Cause.RECORDER}
    written = [job for job in (*queue.done, *queue.backlog.jobs) if isinstance(job, FragmentJob) and job.recording == OFFENDER]
    assert len(written) + sum(gap.fragments for gap in gaps) == 60 * 1000, "nothing is lost without a gap"
    assert queue.counters.values["vault_over_share"] == sum(gap.fragments for gap in gaps)
    assert not queue.counters.values["vault_dropped"]
    mine = [job for job in queue.done if job.recording == OFFENDER]
    starts = [job.start_ns for job in mine if isinstance(job, FragmentJob | GapJob)]
    assert starts == sorted(starts), "its jobs stay in order"


def test_where_the_disk_takes_nothing_it_is_the_disk_for_everybody() -> None:
    queue = Queue()
    for number in range(30):
        queue.second(number, storm=10, jobs=0)
    assert {gap.cause for recording in (*HONEST, OFFENDER) for gap in queue.gaps(recording)} == {Cause.DISK}
    assert all(len(list(queue.gaps(recording))) == 1 for recording in HONEST)
    assert not queue.counters.values["vault_over_share"]


def test_large_media_of_one_recording_leaves_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MAX_BYTES", 1 << 20)
    queue = Queue()
    for number in range(100):
        queue.put(media(number, recording=OFFENDER, size=100_000))
    held = queue.backlog.plain_bytes
    assert held <= (1 << 20) * 4 // 5
    for recording in HONEST[:10]:
        queue.put(media(0, recording=recording, size=10_000))
    assert queue.backlog.plain_bytes == held + 10 * 10_000


def test_a_recording_that_names_one_before_it_is_opened_behind_what_waits_of_that_one() -> None:
    queue = Queue()
    before, after, answers = HONEST[0], HONEST[1], list[Exception | None]()
    for number in range(50):
        queue.put(media(number, recording=before))
    queue.put(finish(50, before))
    queue.put(OpenJob(plan(after, previous=before), KEY, answers.append))
    queue.carry_out(1000)
    ends = [type(job) for job in queue.done if isinstance(job, EndJob | OpenJob)]
    assert ends == [EndJob, OpenJob]


def test_another_key_signs_what_comes_after_it_and_nothing_that_came_before() -> None:
    queue = Queue()
    for number in range(3):
        for recording in HONEST[:3]:
            queue.put(media(number, recording=recording))
    queue.put(RenewKeyJob(session()))
    for recording in HONEST[:4]:
        queue.put(media(3, recording=recording))
    queue.carry_out(1000)
    for recording in HONEST[:3]:
        mine = [job for job in queue.done if job.recording == recording]
        assert [isinstance(job, RenewKeyJob) for job in mine] == [False] * 3 + [True, False]
    (rest,) = [job for job in queue.done if isinstance(job, RenewKeyJob) and not job.recording]
    assert rest.spared == frozenset(HONEST[:3])
    new = next(job for job in queue.done if job.recording == HONEST[3])
    assert queue.done.index(rest) < queue.done.index(new)


def test_gaps_and_ends_count_as_urgent_until_they_are_carried_out() -> None:
    queue = Queue()
    queue.put(media(0, recording=OFFENDER))
    assert not queue.backlog.is_urgent()
    queue.put(gap_job(1, OFFENDER))
    queue.put(finish(2, HONEST[0]))
    assert queue.backlog.is_urgent()
    queue.carry_out(3)
    assert not queue.backlog.is_urgent()
