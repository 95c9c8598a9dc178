"""The vault thread: the only place of a recorder that waits for a disk.

Owns: the thread, and trying again what the disk refused.  Must never know: packets, sockets, MP4.

Its parts, by duty:

    backlog        jobs that wait, bounded; merges what does not fit into gaps      (called by the loop and by the thread)
    turns          whose job is next: the recordings take turns                     (pure)
    job_executor   carries out one job: open, seal, gap, renew, end                 (thread)
    group_sync     one fsync for all that was appended within `sync_seconds`        (thread)
    disk_state     the transition table of the disk's states                        (pure)
    vault_disk     the state, the free room, and the reserve file                   (thread; read by the loop)

One round of the thread: take the first job; drop it where its time is over, else carry it out; where the disk refused, keep it
and wait; sync where a sync is due; probe the disk where its state asks for it.  See README.md for the order of writes.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from relay.base.clock import Clock
from relay.base.counters import Counters
from relay.base.errors import RelayError
from relay.evidence.seal import SessionSigner
from relay.recorder.backlog import Backlog
from relay.recorder.disk_state import DiskReport, State
from relay.recorder.group_sync import GroupSync
from relay.recorder.job_executor import JobExecutor
from relay.recorder.jobs import FragmentJob, Job, VaultEvent
from relay.recorder.vault_disk import VaultDisk
from relay.store.vault import FileOps

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.25
SLOW_SECONDS = 1.0
"""A disk that keeps one job waiting for longer is reported as stalled."""


@dataclass(frozen=True)
class WriterSettings:
    """Seconds and bytes."""

    root: Path
    index: int
    sync_seconds: float
    backlog_seconds: float
    reserve_bytes: int
    keep_free_bytes: int = 0
    """Media is not taken while less than this is free: the journal and what else lives on the disk need room, too."""


class VaultThread:
    """Carries out the jobs of one recorder, each recording's in order, on a thread of its own."""

    def __init__(
        self,
        settings: WriterSettings,
        signer: SessionSigner,
        clock: Clock,
        counters: Counters,
        publish: Callable[[VaultEvent], None],
        ops: FileOps | None = None,
    ) -> None:
        """`publish` is called on this thread with each event once it is durable."""
        ops = ops or FileOps()
        self._settings = settings
        self._backlog = Backlog(clock, counters, settings.backlog_seconds)
        self._disk = VaultDisk(
            ops,
            settings.root,
            counters,
            index=settings.index,
            reserve_bytes=settings.reserve_bytes,
            keep_free_bytes=settings.keep_free_bytes,
        )
        self._executor = JobExecutor(ops, settings.root, signer, clock, counters, self._disk, publish, settings.index)
        self._sync = GroupSync(self._executor, clock, settings.sync_seconds, self._disk.refused)
        self._thread = threading.Thread(target=self._run, name="vault", daemon=True)

    # --- called by the loop -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, job: Job) -> None:
        """Hand over a job; never waits.  Media beyond the backlog becomes a gap."""
        self._backlog.put(job)

    @property
    def waiting_jobs(self) -> int:
        """How many jobs wait."""
        return len(self._backlog)

    @property
    def backlog_bytes(self) -> int:
        """Plain bytes that wait in memory."""
        return self._backlog.plain_bytes

    @property
    def free_bytes(self) -> int:
        """Room on the disk, read about a second ago; 0 while it cannot be read."""
        return self._disk.free_bytes

    @property
    def disk(self) -> DiskReport:
        """How the disk is reported: a slow disk counts as stalled."""
        return self._disk.report(slow=self._backlog.tried_seconds > SLOW_SECONDS)

    @property
    def state(self) -> State:
        """The state of the disk, without what the waiting job says."""
        return self._disk.state

    @property
    def alive(self) -> bool:
        """Whether the thread runs: a bug that ended it must end the process, so that recovery takes over."""
        return self._thread.is_alive()

    def stop(self, seconds: float) -> bool:
        """Carry out what waits, sync and end; return False where the disk did not let it finish in time."""
        self._backlog.stop()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._disk.probe()
        self._disk.look()
        while True:
            job = self._backlog.first(self._settings.sync_seconds / 2)
            if job is None and self._backlog.stopping and not self._sync.is_dirty:
                break
            if job is not None and not self._try(job):
                self._before_next_try()
            if self._sync.is_due(stopping=self._backlog.stopping):
                self._sync_all()
        self._executor.close()

    def _try(self, job: Job) -> bool:
        """Carry out the first job and take it away; return False where the disk refused."""
        follow_up = None
        try:
            if not self._executor.drop(job, late=isinstance(job, FragmentJob) and self._backlog.is_late(job)):
                follow_up = self._executor.carry_out(job)
                self._disk.carried_out()
        except OSError as error:
            self._disk.refused(error)
            return False
        except (RelayError, ValueError):
            logger.exception("a job of the vault thread failed")
        self._backlog.done(job, follow_up)
        return True

    def _before_next_try(self) -> None:
        """Make room where something must be written now, else wait."""
        if self._disk.state.may_give_up_reserve and self._backlog.is_urgent():
            self._disk.make_room()
        else:
            self._backlog.wait(RETRY_SECONDS)

    def _sync_all(self) -> None:
        self._disk.look()
        self._sync.sync(stopping=self._backlog.stopping)
        if self._disk.state.needs_probe(idle=not len(self._backlog)):
            self._disk.probe()
