"""One fsync for all that a recorder appended within `sync_seconds`.

Owns: when open recordings are synced, and when a growing gap is signed.  Must never know: the queue.
"""

from collections.abc import Callable

from relay.base.clock import Clock
from relay.recorder.job_executor import JobExecutor
from relay.recorder.sealing import SealedRecording

OPEN_GAP_SECONDS = 10.0
"""How long a gap of dropped fragments may grow before what it covers so far is signed.  A crash leaves the rest unsigned."""


class GroupSync:
    """Syncs the open recordings of a `JobExecutor` together; used by the vault thread only."""

    def __init__(self, executor: JobExecutor, clock: Clock, sync_seconds: float, refused: Callable[[OSError], None]) -> None:
        """`refused` is called with each refusal of the disk."""
        self._executor = executor
        self._clock = clock
        self._sync_seconds = sync_seconds
        self._refused = refused
        self._synced_at = clock.monotonic()
        self._growing_since: dict[str, float] = {}
        """Since when (monotonic seconds) a recording has a gap that grows and is not signed."""

    @property
    def is_dirty(self) -> bool:
        """Whether something is appended and not durable, or a gap is not signed yet."""
        return any(recording.dirty or recording.has_open_gap for recording in self._executor.recordings.values())

    def is_due(self, *, stopping: bool) -> bool:
        """Return whether to sync now."""
        waited = self._clock.monotonic() - self._synced_at
        return waited >= self._sync_seconds or (stopping and self.is_dirty)

    def sync(self, *, stopping: bool) -> None:
        """Sync every recording that changed and publish what is durable.  What the disk refused is tried the next time."""
        self._synced_at = self._clock.monotonic()
        for recording in list(self._executor.recordings.values()):
            self._sign_open_gap(recording, stopping=stopping)
            if recording.dirty:
                try:
                    self._executor.publish(recording.sync())
                except OSError as error:
                    self._refused(error)

    def _sign_open_gap(self, recording: SealedRecording, *, stopping: bool) -> None:
        """Sign a gap that does not stop growing, every `OPEN_GAP_SECONDS`."""
        name = recording.recording
        since = self._growing_since.setdefault(name, self._synced_at) if recording.has_open_gap else None
        if since is not None and (stopping or self._synced_at - since >= OPEN_GAP_SECONDS):
            recording.sign_open_gap()
        if not recording.has_open_gap:
            self._growing_since.pop(name, None)
