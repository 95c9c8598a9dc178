"""What a recorder reports to control: once a second, and its inventory when control asks.

Owns: filling these messages.  Must never know: who gets them, how a recording is made.
"""

import time
from typing import Literal, TypeAlias

from relay.base.counters import Counters
from relay.channel import messages
from relay.recorder.disk_state import DiskReport
from relay.recorder.live_recordings import LiveRecordings
from relay.recorder.recording import Recording
from relay.recorder.tap_receiver import TapReceiver
from relay.recorder.writer import VaultThread

RecordingState: TypeAlias = Literal["waiting", "recording", "unrecorded", "stalled", "full"]


def report(
    index: int,
    recordings: LiveRecordings,
    tap: TapReceiver,
    vault: VaultThread,
    counters: Counters,
    *,
    keep_free_bytes: int,
    session_until_ns: int,
) -> messages.RecorderReport:
    """Return the report of one second.

    `keep_free_bytes`: bytes of the disk that are not for media.  `session_until_ns`: UTC at which the session certificate ends.
    """
    disk = vault.disk
    return messages.RecorderReport(
        unheld=tap.take_unheld(),
        index=index,
        recordings=tuple(_report_of(recording, disk, recordings.now()) for recording in recordings),
        counters=dict(counters.snapshot()),
        cpu_seconds=time.process_time(),
        disk_free=max(0, vault.free_bytes - keep_free_bytes),
        backlog_bytes=vault.backlog_bytes,
        disk=disk,
        session_until_ns=session_until_ns,
    )


def inventory(recordings: LiveRecordings, tap: TapReceiver, left: tuple[str, ...]) -> messages.RecorderInventory:
    """Return which recordings are open, which of them a camera feeds, and which wait for their recovery."""
    return messages.RecorderInventory(
        left=left,
        recordings=tuple(
            messages.RecordingHeld(
                recording=recording.plan.recording,
                camera=recording.plan.camera,
                links=recording.progress.links,
                head=recording.progress.head,
                tapped=recording.lost_since is None and tap.is_tapped(recording.plan.recording),
            )
            for recording in recordings
        ),
    )


def _report_of(recording: Recording, disk: DiskReport, now: int) -> messages.RecordingReport:
    progress, unrecorded = recording.progress, recording.take_unrecorded(now)
    return messages.RecordingReport(
        recording=recording.plan.recording,
        camera=recording.plan.camera,
        sealed_until_mono=recording.sealed_until_mono,
        links=progress.links,
        gaps=progress.gaps,
        stored_bytes=progress.stored_bytes,
        state=_state_of(recording, disk, now, unrecorded=bool(unrecorded)),
        head=progress.head,
        records=progress.records,
        sealed_until_ns=progress.sealed_until_ns,
        unrecorded=unrecorded,
    )


def _state_of(recording: Recording, disk: DiskReport, now: int, *, unrecorded: bool) -> RecordingState:
    """Return the state: `recording` only where everything that comes is sealed within seconds."""
    if disk == "full":
        return "full"
    if disk != "ok":
        return "stalled"
    if unrecorded:
        return "unrecorded"
    return "recording" if recording.lost_since is None and recording.is_sealed(now) else "waiting"
