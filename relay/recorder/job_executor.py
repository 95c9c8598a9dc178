"""Carries out the jobs of the vault thread: opens, seals, renews keys, ends.

Owns: the open recordings on disk, and what one job does to them.  Must never know: the queue, retrying,
when to sync, packets, MP4.

`carry_out` raises OSError where the disk refused; the caller repeats the same job later, and the job goes on where it failed.
"""

import contextlib
import errno
import logging
from collections.abc import Callable
from pathlib import Path

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import OurError, RelayError
from relay.evidence.chain import Cause, ChainWriter, Reason, newest_head
from relay.evidence.seal import SessionSigner
from relay.recorder.backlog import gap_in_place_of
from relay.recorder.jobs import CorrectionJob, EndJob, FragmentJob, GapJob, Job, OpenJob, RenewKeyJob, VaultEvent
from relay.recorder.marks import mark_closed, mark_open, read_clocks
from relay.recorder.sealing import Exhausted, SealedRecording, start_of
from relay.recorder.vault_disk import VaultDisk
from relay.store.vault import CHAIN, FileOps, Vault

logger = logging.getLogger(__name__)

declare(vault_unsealable="fragments that could not be sealed; each lies in a signed gap")


class JobExecutor:
    """Owns the folders of all open recordings of one recorder; used by the vault thread only."""

    def __init__(
        self,
        ops: FileOps,
        root: Path,
        signer: SessionSigner,
        clock: Clock,
        counters: Counters,
        disk: VaultDisk,
        publish: Callable[[VaultEvent], None],
        index: int = 0,
    ) -> None:
        """`publish` is called with each event once it is durable."""
        self._ops = ops
        self._root = root
        self._index = index
        self._signer = signer
        self._clock = clock
        self._counters = counters
        self._disk = disk
        self._publish = publish
        self.recordings: dict[str, SealedRecording] = {}
        """The open recordings."""

    def carry_out(self, job: Job) -> Job | None:
        """Carry out a job; return the job that must come next, before any other, None where there is none.

        Raises OSError where the disk refused.  The answer of an `OpenJob` goes to its `done`, and is never raised.
        """
        if isinstance(job, OpenJob):
            self._begin(job)
            return None
        if isinstance(job, RenewKeyJob) and not job.recording:
            self._renew(job)
            return None
        recording = self.recordings.get(job.recording)
        if recording is None:
            return None
        if isinstance(job, FragmentJob):
            if not recording.committed:
                self._disk.want_room()
            return self._seal(recording, job)
        if isinstance(job, GapJob):
            recording.gap(job)
        elif isinstance(job, CorrectionJob):
            recording.correct(job.correction)
        elif isinstance(job, RenewKeyJob):
            recording.renew(job.signer)
        else:
            recording.finish(job)
            self._end(recording)
        return None

    def drop(self, job: Job, *, late: bool) -> bool:
        """Turn media that the disk does not take any more into a gap; return whether `job` was such media.

        A fragment whose number is already spent is never dropped (I10).  `late`: it waited for longer than the backlog allows.
        Raises OSError.
        """
        if not isinstance(job, FragmentJob):
            return False
        recording = self.recordings.get(job.recording)
        if recording is None or recording.committed:
            return False
        state = self._disk.state
        if not state.drops_media and not (late and not state.is_ok):
            return False
        recording.gap(gap_in_place_of(job))
        self._counters.count("vault_dropped")
        return True

    def publish(self, events: list[VaultEvent]) -> None:
        """Publish what is durable now."""
        for event in events:
            self._publish(event)

    def close(self) -> None:
        """Close the files of every open recording, without ending the recordings."""
        for recording in self.recordings.values():
            recording.close()

    def _seal(self, recording: SealedRecording, job: FragmentJob) -> Job | None:
        """Seal a fragment, or sign a gap where it cannot be sealed.  Return the recording's end where no later one can be."""
        try:
            recording.media(job)
        except ValueError as error:
            logger.error("a fragment of recording %s cannot be sealed: %s", job.recording, error)
            self._counters.count("vault_unsealable")
            recording.gap(GapJob(job.recording, job.start_ns, job.length_ns, None, Cause.RECORDER, f"not sealed: {error}"))
            if isinstance(error, Exhausted):
                return EndJob(job.recording, Reason.REFUSED, None, job.start_ns + job.length_ns)
        return None

    def _renew(self, job: RenewKeyJob) -> None:
        """Sign with another key from here on; raises OSError until every recording that is not spared has taken it over."""
        self._signer = job.signer
        for name, recording in self.recordings.items():
            if name not in job.spared:
                recording.renew(job.signer)

    def _begin(self, job: OpenJob) -> None:
        """Open a recording.  On failure the caller gets OurError, and every partial file is removed; the caller may retry."""
        root, recording = self._root, None
        if (root / job.recording).exists():
            job.done(OurError("a recording of that name is there already"))
            return
        try:
            self._disk.want_room()
            if self._disk.state.is_full:
                # The room that a given-up reserve left is for gaps and ends.
                raise OSError(errno.ENOSPC, "the disk is full")
            start = start_of(job.plan, self._head_of(job.plan.previous), self._signer)
            ChainWriter(self._signer, start).start()  # what cannot be signed never touches the disk
            mark_open(self._ops, root, self._index, job.recording, read_clocks(self._clock))
            recording = SealedRecording(self._ops, root, start, job.key, self._signer)
            events = recording.sync()
        except Exception as error:
            if recording is not None:
                recording.close()
            self._undo(job.recording)
            job.done(self._refusal(error))
            return
        self.recordings[job.recording] = recording
        self.publish(events)
        job.done(None)

    def _refusal(self, error: Exception) -> OurError:
        if isinstance(error, OSError):
            self._disk.refused(error)
            return OurError(f"the vault cannot be written: {error.strerror}", code=Code.RECORDER_NOT_READY)
        if not isinstance(error, ValueError):
            logger.exception("a recording cannot be opened")
        return OurError(f"not a plan that can be signed: {error}")

    def _undo(self, recording: str) -> None:
        """Remove the folder and the mark of a refused opening: nothing in it is sealed."""
        with contextlib.suppress(OSError, RelayError):
            Vault(self._root, self._ops).erase(recording)
            mark_closed(self._ops, self._root, self._index, recording)

    def _end(self, recording: SealedRecording) -> None:
        events = recording.sync()
        recording.close()
        del self.recordings[recording.recording]
        mark_closed(self._ops, self._root, self._index, recording.recording)
        self.publish(events)

    def _head_of(self, previous: str | None) -> bytes | None:
        if previous is None:
            return None
        try:
            return newest_head((self._root / previous / CHAIN).read_bytes())
        except (OSError, RelayError):
            return None
