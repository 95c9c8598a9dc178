"""The vault thread: the only place of a recorder that waits for a disk.

What this file owns: the bounded backlog, the grouped fsync, retrying, what happens when the disk is slow, full or gone.
What it must never know: packets, sockets, MP4.

Jobs are carried out in order.  Where the disk refuses, the job waits in memory and is tried again; media that waited longer
than the backlog allows becomes a signed gap: one for a run of fragments, or for ten seconds of it.  When the disk is full a
preallocated reserve is given up, so that gaps and ends (and the one fragment whose number is already spent) still find room;
media is taken again once there is room for a new reserve.
"""

import contextlib
import errno
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from relay.base.clock import Clock
from relay.base.counters import Counters, declare
from relay.base.errors import OurError, RelayError
from relay.evidence.chain import Cause, ChainWriter, Reason, newest_head
from relay.evidence.seal import SessionSigner
from relay.recorder.jobs import EndJob, FragmentJob, GapJob, Job, OpenJob, RenewKeyJob, VaultEvent
from relay.recorder.marks import mark_closed, mark_open, read_clocks
from relay.recorder.sealing import Exhausted, SealedRecording, start_of
from relay.store.vault import CHAIN, RESERVE, FileOps, Vault

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.25
MAX_BYTES = 256 << 20
MAX_JOBS = 65_536
OPEN_GAP_SECONDS = 10.0
"""How long fragments may be lost before the gap so far is signed: what a crash could leave untold."""
ROOM = 64 << 20
"""Free bytes beyond the reserve at which a disk that was full takes media again."""

declare(
    vault_errors="operations of the vault that the disk refused (they are repeated)",
    vault_dropped="fragments given up because the disk was stalled, full or gone; each lies in a signed gap",
    vault_jobs_refused="recordings not opened because the vault thread's queue was full",
    vault_unsealable="fragments that could not be sealed; each lies in a signed gap",
)

DiskState: TypeAlias = Literal["ok", "stalled", "full"]


@dataclass(frozen=True)
class WriterSettings:
    """Seconds and bytes."""

    root: Path
    index: int
    sync_seconds: float
    backlog_seconds: float
    reserve_bytes: int
    keep_free: int = 0
    """Media is not taken while less than this is free: the journal and what else lives on the disk need room, too."""


class VaultThread:
    """Owns the folders of all open recordings of one recorder."""

    def __init__(
        self,
        settings: WriterSettings,
        signer: SessionSigner,
        clock: Clock,
        counters: Counters,
        tell: Callable[[VaultEvent], None],
        ops: FileOps | None = None,
    ) -> None:
        """`tell` is called on this thread with each fact once it is durable."""
        self._settings = settings
        self._signer = signer
        self._clock = clock
        self._counters = counters
        self._tell = tell
        self._ops = ops or FileOps()
        self._jobs: deque[Job] = deque()
        self._last: dict[str, Job] = {}
        """The last job that waits, by recording."""
        self._losing: dict[str, float] = {}
        """Since when (monotonic seconds) fragments of a recording are lost without a signed gap."""
        self._bytes = 0
        self._wake = threading.Condition()
        self._stopping = False
        self._open: dict[str, SealedRecording] = {}
        self._synced = clock.monotonic()
        self._busy_since: float | None = None
        self._reserve_held = False
        self.state: DiskState = "ok"
        self.free_bytes = 0
        """Room on the disk when it was last looked at, about a second ago; 0 while it is gone."""
        self._thread = threading.Thread(target=self._run, name="vault", daemon=True)

    # --- called by the loop -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, job: Job) -> None:
        """Hand over a job; never waits.  Media beyond the backlog becomes a gap."""
        with self._wake:
            if isinstance(job, FragmentJob) and (self._behind() or self._bytes + len(job.plain) > MAX_BYTES):
                self._lose(job)
            elif len(self._jobs) < MAX_JOBS:
                self._append(job)
                self._bytes += len(job.plain) if isinstance(job, FragmentJob) else 0
            else:
                self._squeeze(job)
            self._wake.notify()

    @property
    def backlog_bytes(self) -> int:
        """Plain bytes that wait in memory."""
        return self._bytes

    @property
    def troubled(self) -> bool:
        """Whether the disk refuses, or has let the oldest job wait for more than a second."""
        since = self._busy_since
        return self.state != "ok" or (since is not None and self._clock.monotonic() - since > 1.0)

    @property
    def alive(self) -> bool:
        """Whether the thread runs: a bug that ended it must end the process, so that recovery takes over."""
        return self._thread.is_alive()

    def stop(self, seconds: float) -> bool:
        """Carry out what waits, sync and end; return False where the disk did not let it finish in time."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._hold_reserve()
        self.free_bytes = self._free()
        while True:
            job = self._next()
            if job is None and self._stopping and not self._dirty():
                break
            if job is not None and not self._try(job):
                self._pause()
            if self._due():
                self._sync()
        for recording in self._open.values():
            recording.close()

    def _next(self) -> Job | None:
        """Return the first job without taking it away; wait at most until the next sync is due."""
        with self._wake:
            if not self._jobs and not self._stopping:
                self._busy_since = None
                self._wake.wait(self._settings.sync_seconds / 2)
            return self._jobs[0] if self._jobs else None

    def _try(self, job: Job) -> bool:
        """Carry out the first job and take it away; return False where the disk refused."""
        if self._busy_since is None:
            self._busy_since = self._clock.monotonic()
        try:
            if not self._give_up(job):
                self._carry_out(job)
                self._recovered()
        except OSError as error:
            self._refused(error)
            return False
        except (RelayError, ValueError):
            logger.exception("a job of the vault thread failed")
        with self._wake:
            self._jobs.popleft()
            if self._last.get(job.recording) is job:
                del self._last[job.recording]
            self._bytes -= len(job.plain) if isinstance(job, FragmentJob) else 0
        self._busy_since = None
        return True

    def _carry_out(self, job: Job) -> None:
        if isinstance(job, OpenJob):
            self._begin(job)
            return
        if isinstance(job, RenewKeyJob):
            self._renew(job)
            return
        recording = self._open.get(job.recording)
        if recording is None:
            return
        if isinstance(job, FragmentJob):
            if not recording.committed:
                self._want_room()
            self._seal(recording, job)
        elif isinstance(job, GapJob):
            recording.gap(job)
        else:
            recording.finish(job)
            self._end(recording)

    def _seal(self, recording: SealedRecording, job: FragmentJob) -> None:
        """Seal a fragment; one that cannot be sealed is a signed gap, and where none can be any more the recording ends."""
        try:
            recording.media(job)
        except ValueError as error:
            logger.error("a fragment of recording %s cannot be sealed: %s", job.recording, error)
            self._counters.count("vault_unsealable")
            recording.gap(GapJob(job.recording, job.start_ns, job.length_ns, None, Cause.RECORDER, f"not sealed: {error}"))
            if isinstance(error, Exhausted):
                with self._wake:  # carried out next, and again where the disk refuses
                    self._jobs.insert(1, EndJob(job.recording, Reason.REFUSED, None, job.start_ns + job.length_ns))

    def _renew(self, job: RenewKeyJob) -> None:
        """Sign with another key from here on; raises OSError where a recording is not taken over yet, as often as asked."""
        self._signer = job.signer
        for recording in self._open.values():
            recording.renew(job.signer)

    def _begin(self, job: OpenJob) -> None:
        """Open a recording; whatever refuses is told to the caller, who asks again when he likes, and nothing of it is left."""
        root, recording = self._settings.root, None
        if (root / job.recording).exists():
            job.done(OurError("a recording of that name is there already"))
            return
        try:
            self._want_room()
            if self.state == "full":
                # The room that a spent reserve left is for gaps and ends.
                raise OSError(errno.ENOSPC, "the disk is full")
            start = start_of(job.plan, self._head_of(job.plan.previous), self._signer)
            ChainWriter(self._signer, start).start()  # what cannot be signed never touches the disk
            mark_open(self._ops, root, self._settings.index, job.recording, read_clocks(self._clock))
            recording = SealedRecording(self._ops, root, start, job.key, self._signer)
            facts = recording.sync()
        except Exception as error:
            if recording is not None:
                recording.close()
            self._undo(job.recording)
            job.done(self._refusal(error))
            return
        self._open[job.recording] = recording
        self._tell_all(facts)
        job.done(None)

    def _refusal(self, error: Exception) -> OurError:
        if isinstance(error, OSError):
            self._refused(error)
            return OurError(f"the vault cannot be written: {error.strerror}")
        if not isinstance(error, ValueError):
            logger.exception("a recording cannot be opened")
        return OurError(f"not a plan that can be signed: {error}")

    def _undo(self, recording: str) -> None:
        """Remove what a refused opening left: nothing of it is sealed."""
        with contextlib.suppress(OSError, RelayError):
            Vault(self._settings.root, self._ops).erase(recording)
            mark_closed(self._ops, self._settings.root, self._settings.index, recording)

    def _end(self, recording: SealedRecording) -> None:
        facts = recording.sync()
        recording.close()
        del self._open[recording.recording]
        mark_closed(self._ops, self._settings.root, self._settings.index, recording.recording)
        self._tell_all(facts)

    def _head_of(self, previous: str | None) -> bytes | None:
        if previous is None:
            return None
        try:
            return newest_head((self._settings.root / previous / CHAIN).read_bytes())
        except (OSError, RelayError):
            return None

    # --- syncing ------------------------------------------------------------------------------------------------------

    def _dirty(self) -> bool:
        return any(recording.dirty or recording.has_open_gap for recording in self._open.values())

    def _due(self) -> bool:
        waited = self._clock.monotonic() - self._synced
        return waited >= self._settings.sync_seconds or (self._stopping and self._dirty())

    def _sync(self) -> None:
        """Sync every recording that changed; a refusal leaves it for the next time."""
        self._synced = self._clock.monotonic()
        self.free_bytes = self._free()
        for recording in list(self._open.values()):
            self._sign_lost(recording)
            if recording.dirty:
                try:
                    self._tell_all(recording.sync())
                except OSError as error:
                    self._refused(error)
        if self.state == "full" or (self.state == "stalled" and not self._jobs):
            self._hold_reserve()  # where nothing else would try whether the disk is back

    def _sign_lost(self, recording: SealedRecording) -> None:
        """Sign the gap of a run of lost fragments that does not end, every `OPEN_GAP_SECONDS`."""
        name = recording.recording
        since = self._losing.setdefault(name, self._synced) if recording.has_open_gap else None
        if since is not None and (self._stopping or self._synced - since >= OPEN_GAP_SECONDS):
            recording.sign_open_gap()
        if not recording.has_open_gap:
            self._losing.pop(name, None)

    def _want_room(self) -> None:
        """Raise ENOSPC where what is left belongs to others.  A disk that cannot be looked at (0) speaks for itself."""
        if 0 < self.free_bytes < self._settings.keep_free:
            raise OSError(errno.ENOSPC, "no room beyond what is kept free")

    def _free(self) -> int:
        try:
            return self._ops.free(self._settings.root)
        except OSError:
            return 0

    def _tell_all(self, facts: list[VaultEvent]) -> None:
        for fact in facts:
            self._tell(fact)

    # --- a disk in trouble --------------------------------------------------------------------------------------------

    def _refused(self, error: OSError) -> None:
        self._counters.count("vault_errors")
        if self.state == "ok":
            logger.error("the vault cannot be written: %s", error.strerror)
            self.state = "stalled"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            self.state = "full"

    def _pause(self) -> None:
        if self.state == "full" and self._reserve_held and self._should_spend():
            self._spend_reserve()
            return
        with self._wake:
            self._wake.wait(RETRY_SECONDS)

    def _should_spend(self) -> bool:
        """Give the reserve up once media is being lost or an end waits: before, the disk may still recover."""
        with self._wake:
            return self._behind() or any(isinstance(job, GapJob | EndJob) for job in self._jobs) or self._stopping

    def _give_up(self, job: Job) -> bool:
        """Turn media that cannot be stored any more into a gap, unless its number is already spent."""
        if not isinstance(job, FragmentJob):
            return False
        recording = self._open.get(job.recording)
        if recording is None or recording.committed:
            return False
        spent = self.state == "full" and not self._reserve_held
        if not spent and not (self.state != "ok" and self._too_old(job)):
            return False
        recording.gap(_gap_job_of(job))
        self._counters.count("vault_dropped")
        return True

    def _recovered(self) -> None:
        if self.state == "stalled":
            self.state = "ok"

    def _behind(self) -> bool:
        return bool(self._jobs) and isinstance(self._jobs[0], FragmentJob) and self._too_old(self._jobs[0])

    def _too_old(self, job: FragmentJob) -> bool:
        return self._clock.monotonic() - job.queued > self._settings.backlog_seconds

    def _lose(self, job: FragmentJob) -> None:
        """Turn media into a gap at its place in the queue; the lock is held."""
        self._counters.count("vault_dropped")
        gap, last = _gap_job_of(job), self._last.get(job.recording)
        # The first of the queue is in the thread's hands: what is added to it now might not be read any more.
        if isinstance(last, GapJob) and last is not self._jobs[0] and last.extend(gap):
            return
        if len(self._jobs) < MAX_JOBS:
            self._append(gap)
        else:
            self._merge_gap(gap)

    def _squeeze(self, job: Job) -> None:
        """The queue is full: gaps and ends still find their place (at most a gap and an end a recording); the lock is held."""
        if isinstance(job, FragmentJob):
            self._lose(job)
        elif isinstance(job, GapJob):
            self._merge_gap(job)
        elif isinstance(job, OpenJob):
            self._counters.count("vault_jobs_refused")
            job.done(OurError("the vault's queue is full", retry_after=2.0))
        else:
            self._append(job)

    def _merge_gap(self, gap: GapJob) -> None:
        """Take a gap into the one that waits last of its recording, whatever its cause; the lock is held."""
        last = self._last.get(gap.recording)
        if isinstance(last, GapJob) and last is not self._jobs[0]:
            last.merge(gap)
        else:
            self._append(gap)

    def _append(self, job: Job) -> None:
        self._jobs.append(job)
        self._last[job.recording] = job

    def _reserve_path(self) -> Path:
        return self._settings.root / f"{RESERVE}-{self._settings.index}"

    def _hold_reserve(self) -> None:
        """Take the reserve where there is room for it and more; then media is stored again."""
        settings, path = self._settings, self._reserve_path()
        try:
            held = path.exists() and path.stat().st_size >= settings.reserve_bytes
            roomy = self._free() >= settings.keep_free + (0 if held else settings.reserve_bytes) + ROOM
            if held or roomy:
                self._allocate(path)
        except OSError as error:
            self._refused(error)
            return
        self._reserve_held = held or roomy
        if roomy or (held and self.state == "stalled"):
            self.state = "ok"

    def _allocate(self, path: Path) -> None:
        descriptor = self._ops.open_append(path)
        try:
            self._ops.allocate(descriptor, self._settings.reserve_bytes)
        finally:
            self._ops.close(descriptor)

    def _spend_reserve(self) -> None:
        self._reserve_held = False
        with contextlib.suppress(OSError):
            self._ops.unlink(self._reserve_path())
            logger.error("the disk is full: the reserve is given up, gaps and ends are still signed, media is not kept")


def _gap_job_of(job: FragmentJob) -> GapJob:
    detail, init = "the disk did not take it", job if job.init else None
    return GapJob(job.recording, job.start_ns, job.length_ns, None, Cause.DISK, detail, fragments=1, init=init)
