"""What a recorder is told at start, and nothing else.

What this file owns: the shape of `<data>/run/recorder-<i>.json`, which the supervisor writes anew at each start (UTF-8 JSON,
mode 0600) and `python -m relay.recorder --config FILE --index I` reads.  What it must never know: the application's settings
file, the long-term keys (the file carries a session key and its certificate, so that a recorder needs nobody while it runs).
"""

from pathlib import Path

import msgspec

from relay.base.errors import OurError


class RecorderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of one recorder process; unknown keys are refused.  `bytes` stand as base64 in the file."""

    index: int
    run_dir: str
    """Folder of `recorder-<i>.sock` and of the pid files."""
    vault: str
    """Folder of the recordings, one folder each."""
    session_seed: bytes
    """Ed25519 private key (RFC 8032, 32 bytes) of this process's life; `store.keyring.Keyring.issue_session` makes it."""
    session_certificate: bytes
    """The same key certified by the relay's long-term key, as `evidence.chain` wants it."""
    fragment_seconds: float = 0.44
    segment_seconds: float = 60.0
    reorder_ms: int = 400
    resume_seconds: float = 60.0
    """How long a lost camera may come back into the same recording."""
    orphan_after: float = 60.0
    """Seconds without a control connection after which everything is sealed and closed, and the process exits."""
    sync_seconds: float = 0.9
    """Longest time between two grouped fsyncs; at most 1 by invariant I7."""
    backlog_seconds: float = 10.0
    """How much media waits in memory while the disk stalls; beyond it a Gap is recorded."""
    reserve_bytes: int = 4 << 20
    """Preallocated file in the vault that is given up when the disk is full, so that gaps and ends can still be signed."""
    keep_free: int = 0
    """Bytes of the disk that media leaves free."""
    recorders: int = 0
    """How many recorders there are; recorder 0 also recovers what those beyond left open.  0: not known, nobody's."""
    log_level: str = "info"


def load(path: Path) -> RecorderConfig:
    """Read the file; raises OurError when it is missing or does not decode."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=RecorderConfig)
    except (OSError, msgspec.MsgspecError) as error:
        raise OurError(f"recorder configuration {path.name}: {error}") from error
