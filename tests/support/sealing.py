"""For tests of the vault thread: a session, plans, jobs, and a verdict on a folder."""

import time
from pathlib import Path

from relay.channel.messages import Plan
from relay.evidence.chain import Cause, Reason, TrackKind, TrackPart
from relay.evidence.seal import DAY_NS, MemorySigner, SessionSigner, new_session, sample_digest
from relay.evidence.verdict import Verdict
from relay.evidence.verify import verify
from relay.recorder.jobs import EndJob, FragmentJob, GapJob
from relay.store.readers import FolderReader

KEY = bytes(range(32))
RECORDING = "0" * 31 + "1"
T0 = 1_767_225_600 * 10**9
LONG_TERM = MemorySigner(bytes(range(32, 64)))


def session() -> SessionSigner:
    """Return a new recorder session under `LONG_TERM`, for the day around `T0`."""
    since = T0 - DAY_NS // 2
    return new_session(LONG_TERM, role="recorder", index=0, not_before_ns=since, not_after_ns=since + DAY_NS)


def plan(recording: str = RECORDING, *, original: str = "relay", previous: str | None = None) -> Plan:
    """Return a plan that can be signed."""
    return Plan(
        recording=recording,
        camera="cam-1",
        camera_label="Camera 1",
        regime="police_municipale",
        service="PM Ville",
        original="relay" if original == "relay" else "camera",
        bearer=None,
        intervention="1",
        trigger="bearer",
        threat="a crowd",
        expires_on="2026-02-01",
        previous=previous,
        started_ns=T0,
    )


def media(
    number: int, *, recording: str = RECORDING, segment: int = 0, queued: float | None = None, size: int = 200
) -> FragmentJob:
    """Return the `number`-th fragment of 400 ms."""
    plain = number.to_bytes(4, "big") * (size // 4)
    part = TrackPart(1, TrackKind.VIDEO, 12, sample_digest([plain]), 36_000 * number, 36_000)
    at = T0 + number * 400_000_000
    waited = time.monotonic() if queued is None else queued
    return FragmentJob(recording, segment, False, plain, (part,), at, 399_000_000, waited)


def gap_job(number: int, recording: str = RECORDING) -> GapJob:
    """Return a gap where the `number`-th fragment would be."""
    return GapJob(recording, T0 + number * 400_000_000, 400_000_000, None, Cause.RADIO, "test")


def finish(number: int, recording: str = RECORDING) -> EndJob:
    """Return the end after `number` fragments."""
    return EndJob(recording, Reason.STOPPED, None, T0 + number * 400_000_000)


def judge(root: Path, recording: str = RECORDING) -> Verdict:
    """Verify a recording's folder with its key."""
    reader = FolderReader(root / recording)
    try:
        return verify(reader, LONG_TERM.public_key, KEY)
    finally:
        reader.close()
