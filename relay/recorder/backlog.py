"""The queue between the recorder's loop and the vault thread, bounded in jobs, bytes and seconds; recordings take turns in it.

Owns: the waiting jobs, their bounds, merging what does not fit into gaps, and the cause of those gaps.  Must never know: files,
keys, the state of the disk.

The jobs of one recording leave in the order in which they came; the recordings take turns (`turns`).  Nothing here waits for a
disk, so the loop may call `put` at any time:

* A fragment that comes while its recording's first fragment has waited for longer than `backlog_seconds`, or that would
  exceed its recording's share of `MAX_BYTES` or `MAX_JOBS`, is dropped: a gap takes its place in the queue.  A run of dropped
  fragments is one gap.
* Beyond its recording's share of `MAX_JOBS`, a gap is merged into the last waiting gap of its recording; an end is still
  taken.  An opening is refused beyond `MAX_JOBS`.  So the queue exceeds its bound by at most one gap and one end for each
  recording.

The cause of a dropped fragment's gap is `recorder` where the thread keeps up with others: within the last `PROMPT_SECONDS` it
wrote a fragment that had waited for no longer than that.  Then this recording made more work than its share.  Else the cause
is `disk`.

A new recording that names one before it, of which jobs still wait, waits behind them: the head that it names is the last one.
The first job is in the thread's hands and is never changed.
"""

import threading

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import OurError
from relay.evidence.chain import Cause
from relay.recorder.jobs import EndJob, FragmentJob, GapJob, Job, OpenJob, RenewKeyJob
from relay.recorder.turns import Lane, Turns, share

MAX_BYTES = 256 << 20
MAX_JOBS = 65_536
PROMPT_SECONDS = 2.0
"""A fragment that is written within this time is in time."""
JOB_COST = 32 << 10
"""What a record costs beside its bytes, in bytes: a signature, two appends, its part of an fsync."""
NAME_COST = 256 << 10
"""What a new file costs, in bytes: it is created, and has an fsync of its own."""

declare(
    vault_dropped="fragments given up because the disk was stalled, full or gone; each lies in a signed gap",
    vault_over_share="fragments given up because their recording made more work than its share; each lies in a signed gap",
    vault_jobs_refused="recordings not opened because the vault thread's queue was full",
)


def gap_in_place_of(job: FragmentJob, cause: Cause = Cause.DISK, detail: str = "the disk did not take it") -> GapJob:
    """Return the gap of one fragment that was not written."""
    init = job if job.init else None
    return GapJob(job.recording, job.start_ns, job.length_ns, None, cause, detail, fragments=1, init=init)


def cost_of(job: Job) -> int:
    """Return what a job costs the vault thread, in bytes that it could write instead."""
    if isinstance(job, FragmentJob):
        return len(job.plain) + JOB_COST + (NAME_COST if job.init else 0)
    return NAME_COST if isinstance(job, OpenJob | EndJob) else JOB_COST


def size_of(job: Job) -> int:
    """Return the bytes of media that a job holds in memory."""
    return len(job.plain) if isinstance(job, FragmentJob) else 0


class Backlog:
    """Jobs that wait for the vault thread.  `put` is for the loop; the other methods are for the thread."""

    def __init__(self, clock: Clock, counters: Counters, backlog_seconds: float) -> None:
        self._clock = clock
        self._counters = counters
        self._backlog_seconds = backlog_seconds
        self._turns: Turns[Job] = Turns(cost_of, size_of)
        self._pressing = 0
        """How many gaps and ends wait."""
        self._changed = threading.Condition()
        self._stopping = False
        self._tried_since: float | None = None
        """Since when (monotonic seconds) the first job is being tried; None while none is."""
        self._prompt_until = float("-inf")
        """Until when (monotonic seconds) the thread counts as keeping up with those that take no more than their share."""

    def __len__(self) -> int:
        """Return how many jobs wait."""
        return len(self._turns)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The waiting jobs, recording after recording, each first to last."""
        with self._changed:
            return tuple(self._turns)

    @property
    def plain_bytes(self) -> int:
        """Plain bytes that wait in memory."""
        return self._turns.size

    @property
    def stopping(self) -> bool:
        """Whether the thread ends once no job waits."""
        return self._stopping

    @property
    def tried_seconds(self) -> float:
        """For how long the first job is being tried; 0 while none is."""
        since = self._tried_since
        return 0.0 if since is None else self._clock.monotonic() - since

    # --- the loop -----------------------------------------------------------------------------------------------------

    def put(self, job: Job) -> None:
        """Add a job; never waits.  Media beyond a bound becomes a gap, an opening beyond it gets OurError."""
        with self._changed:
            if isinstance(job, FragmentJob):
                self._put_fragment(job)
            elif isinstance(job, GapJob):
                self._put_gap(job)
            elif isinstance(job, OpenJob):
                self._put_opening(job)
            elif isinstance(job, RenewKeyJob):
                self._put_renewal(job)
            else:
                self._append(job)
            self._changed.notify()

    def stop(self) -> None:
        """Have the thread end once no job waits."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    # --- the thread ---------------------------------------------------------------------------------------------------

    def first(self, wait_seconds: float) -> Job | None:
        """Return the first job without taking it away; None where none came within `wait_seconds`."""
        with self._changed:
            if not len(self._turns) and not self._stopping:
                self._tried_since = None
                self._changed.wait(wait_seconds)
            job = self._turns.first()
            if job is not None and self._tried_since is None:
                self._tried_since = self._clock.monotonic()
            return job

    def done(self, job: Job, follow_up: Job | None = None) -> None:
        """Take the first job (`job`) away; `follow_up` becomes the first."""
        with self._changed:
            self._turns.done(follow_up)
            if isinstance(job, FragmentJob) and self._clock.monotonic() - job.queued <= PROMPT_SECONDS:
                self._prompt_until = self._clock.monotonic() + PROMPT_SECONDS
            self._pressing += isinstance(follow_up, GapJob | EndJob) - isinstance(job, GapJob | EndJob)
        self._tried_since = None

    def wait(self, seconds: float) -> None:
        """Wait before the first job is tried again; a job that comes ends the wait."""
        with self._changed:
            self._changed.wait(seconds)

    def is_late(self, job: FragmentJob) -> bool:
        """Return whether a fragment has waited for longer than `backlog_seconds`."""
        return self._clock.monotonic() - job.queued > self._backlog_seconds

    def is_urgent(self) -> bool:
        """Return whether media is being dropped, a gap or an end waits, or the thread is stopping."""
        with self._changed:
            return self._stopping or self._pressing > 0 or any(self._is_behind(lane) for lane in self._turns.lanes)

    # --- with the lock held -------------------------------------------------------------------------------------------

    def _is_behind(self, lane: Lane[Job] | None) -> bool:
        return lane is not None and isinstance(lane.jobs[0], FragmentJob) and self.is_late(lane.jobs[0])

    def _has_room(self, lane: Lane[Job] | None) -> bool:
        """Return whether a recording may have one job more."""
        return (len(lane.jobs) if lane is not None else 0) < share(MAX_JOBS, len(self._turns))

    def _put_fragment(self, job: FragmentJob) -> None:
        lane, size = self._turns.lane(job.recording), size_of(job)
        held = lane.size if lane is not None else 0
        fits = held + size <= share(MAX_BYTES, self._turns.size + size)
        if fits and self._has_room(lane) and not self._is_behind(lane):
            self._append(job)
        else:
            self._drop(job)

    def _put_gap(self, gap: GapJob) -> None:
        """Add a gap, or merge it into the last waiting gap of its recording, of any cause, where there is no room."""
        last = self._last_gap(gap.recording)
        if last is not None and not self._has_room(self._turns.lane(gap.recording)):
            last.merge(gap)
        else:
            self._append(gap)

    def _put_opening(self, job: OpenJob) -> None:
        if len(self._turns) >= MAX_JOBS:
            self._counters.count("vault_jobs_refused")
            job.done(OurError("the vault's queue is full", retry_after=2.0, code=Code.RECORDER_NOT_READY))
            return
        if job.plan.previous is not None:
            self._turns.join(job.recording, job.plan.previous)
        self._append(job)

    def _put_renewal(self, job: RenewKeyJob) -> None:
        """Add a renewal behind the jobs of each recording that has some, and one for all the others."""
        names = frozenset(name for lane in self._turns.lanes for name in lane.names if name)
        for name in names:
            self._append(RenewKeyJob(job.signer, name))
        self._append(RenewKeyJob(job.signer, spared=names))

    def _append(self, job: Job) -> None:
        self._turns.put(job.recording, job)
        self._pressing += isinstance(job, GapJob | EndJob)

    def _drop(self, job: FragmentJob) -> None:
        """Put a gap in a fragment's place."""
        gap, last = self._gap_of(job), self._last_gap(job.recording)
        if last is None or not last.extend(gap):
            self._put_gap(gap)

    def _gap_of(self, job: FragmentJob) -> GapJob:
        """Return the gap of a dropped fragment: its recording's own making where the thread keeps up with others."""
        if self._clock.monotonic() > self._prompt_until:
            self._counters.count("vault_dropped")
            return gap_in_place_of(job)
        self._counters.count("vault_over_share")
        return gap_in_place_of(job, Cause.RECORDER, "more came than could be written in this recording's turns")

    def _last_gap(self, recording: str) -> GapJob | None:
        """Return the last waiting job of a recording where that is a gap which the thread does not have in its hands."""
        lane = self._turns.lane(recording)
        last = lane.jobs[-1] if lane is not None and len(lane.jobs) > 1 else None
        return last if isinstance(last, GapJob) and last.recording == recording else None
