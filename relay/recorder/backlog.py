"""The queue between the recorder's loop and the vault thread, bounded in jobs, bytes and seconds.

Owns: the waiting jobs, their bounds, and merging what does not fit into gaps.  Must never know: files,
keys, the state of the disk.

Jobs leave in the order in which they came.  Nothing here waits for a disk, so the loop may call `put` at any time:

* A fragment that comes while the first fragment has waited for longer than `backlog_seconds`, or that would exceed `MAX_BYTES`,
  is dropped: a gap takes its place in the queue.  A run of dropped fragments is one gap.
* In a queue of `MAX_JOBS` jobs, a gap is merged into the last waiting gap of its recording, an end is still taken, and an
  opening is refused.  So the queue exceeds its bound by at most one gap and one end for each recording.

The first job is in the thread's hands and is never changed.
"""

import threading
from collections import deque

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import OurError
from relay.evidence.chain import Cause
from relay.recorder.jobs import EndJob, FragmentJob, GapJob, Job, OpenJob

MAX_BYTES = 256 << 20
MAX_JOBS = 65_536

declare(
    vault_dropped="fragments given up because the disk was stalled, full or gone; each lies in a signed gap",
    vault_jobs_refused="recordings not opened because the vault thread's queue was full",
)


def gap_in_place_of(job: FragmentJob) -> GapJob:
    """Return the gap of one fragment that the disk did not take."""
    detail, init = "the disk did not take it", job if job.init else None
    return GapJob(job.recording, job.start_ns, job.length_ns, None, Cause.DISK, detail, fragments=1, init=init)


class Backlog:
    """Jobs that wait for the vault thread.  `put` is for the loop; the other methods are for the thread."""

    def __init__(self, clock: Clock, counters: Counters, backlog_seconds: float) -> None:
        self._clock = clock
        self._counters = counters
        self._backlog_seconds = backlog_seconds
        self._jobs: deque[Job] = deque()
        self._last: dict[str, Job] = {}
        """The last job that waits, by recording."""
        self._bytes = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._tried_since: float | None = None
        """Since when (monotonic seconds) the first job is being tried; None while none is."""

    def __len__(self) -> int:
        """Return how many jobs wait."""
        return len(self._jobs)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The waiting jobs, first to last."""
        with self._changed:
            return tuple(self._jobs)

    @property
    def plain_bytes(self) -> int:
        """Plain bytes that wait in memory."""
        return self._bytes

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
            if isinstance(job, FragmentJob) and (self._is_behind() or self._bytes + len(job.plain) > MAX_BYTES):
                self._drop(job)
            elif len(self._jobs) < MAX_JOBS:
                self._append(job)
                self._bytes += len(job.plain) if isinstance(job, FragmentJob) else 0
            else:
                self._put_beyond_bound(job)
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
            if not self._jobs and not self._stopping:
                self._tried_since = None
                self._changed.wait(wait_seconds)
            if not self._jobs:
                return None
            if self._tried_since is None:
                self._tried_since = self._clock.monotonic()
            return self._jobs[0]

    def done(self, job: Job, follow_up: Job | None = None) -> None:
        """Take the first job (`job`) away; `follow_up` becomes the first."""
        with self._changed:
            self._jobs.popleft()
            if self._last.get(job.recording) is job:
                del self._last[job.recording]
            if follow_up is not None:
                self._jobs.appendleft(follow_up)
            self._bytes -= len(job.plain) if isinstance(job, FragmentJob) else 0
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
            return self._is_behind() or any(isinstance(job, GapJob | EndJob) for job in self._jobs) or self._stopping

    # --- with the lock held -------------------------------------------------------------------------------------------

    def _is_behind(self) -> bool:
        return bool(self._jobs) and isinstance(self._jobs[0], FragmentJob) and self.is_late(self._jobs[0])

    def _append(self, job: Job) -> None:
        self._jobs.append(job)
        self._last[job.recording] = job

    def _drop(self, job: FragmentJob) -> None:
        """Put a gap in a fragment's place."""
        self._counters.count("vault_dropped")
        gap, last = gap_in_place_of(job), self._last.get(job.recording)
        if isinstance(last, GapJob) and last is not self._jobs[0] and last.extend(gap):
            return
        if len(self._jobs) < MAX_JOBS:
            self._append(gap)
        else:
            self._merge(gap)

    def _put_beyond_bound(self, job: Job) -> None:
        if isinstance(job, FragmentJob):
            self._drop(job)
        elif isinstance(job, GapJob):
            self._merge(job)
        elif isinstance(job, OpenJob):
            self._counters.count("vault_jobs_refused")
            job.done(OurError("the vault's queue is full", retry_after=2.0, code=Code.RECORDER_NOT_READY))
        else:
            self._append(job)

    def _merge(self, gap: GapJob) -> None:
        """Merge a gap into the last waiting gap of its recording, of any cause."""
        last = self._last.get(gap.recording)
        if isinstance(last, GapJob) and last is not self._jobs[0]:
            last.merge(gap)
        else:
            self._append(gap)
