"""The settings of one recorder process.

Owns: the shape of `<data>/run/recorder-<i>.json` (UTF-8 JSON, mode 0600).  The supervisor writes it again at
each start, and `python -m relay.recorder --config FILE --index I` reads it.  With `--handed-over` the session key, its
certificate and the passes are not in the file, but come on standard input (`relay.channel.handover`): no process reads a
recorder's key from a file.  Must never know: the application's settings file, the long-term keys.
"""

from pathlib import Path

import msgspec

from relay.channel.handover import load_config


class RecorderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of one recorder process; unknown keys are refused.  `bytes` are base64 in the file."""

    index: int
    run_dir: str
    """Folder of `recorder-<i>.sock` and of the pid files."""
    vault: str
    """Folder of the recordings, one folder each."""
    session_seed: bytes
    """Ed25519 private key (RFC 8032, 32 bytes) until control hands over another (`SessionRenew`); in no file."""
    session_certificate: bytes
    """Certificate of that key by the relay's long-term key, as `evidence.chain` encodes it."""
    control_pass: bytes
    """What control shows to be heard (32 bytes)."""
    tap_pass: bytes
    """What the worker beside this recorder shows; it is heard on its packets only."""
    fragment_seconds: float = 0.44
    segment_seconds: float = 60.0
    reorder_ms: int = 400
    resume_seconds: float = 60.0
    """Seconds within which a lost camera may come back into the same recording."""
    orphan_seconds: float = 60.0
    """Seconds without a control connection after which every recording is sealed and closed, and the process exits."""
    sync_seconds: float = 0.9
    """Longest time between two grouped fsyncs; at most 1 by invariant I7."""
    backlog_seconds: float = 10.0
    """Seconds of media that wait in memory while the disk stalls; older media becomes a gap."""
    reserve_bytes: int = 4 << 20
    """Size of a preallocated file in the vault, which is given up so that a full disk still takes gaps and ends."""
    keep_free_bytes: int = 0
    """Bytes of the disk that media leaves free."""
    recorders: int = 0
    """How many recorders there are; recorder 0 also recovers what recorders beyond that number left open.  0: unknown, none."""
    log_level: str = "info"


def load(path: Path, handed_over: bytes = b"") -> RecorderConfig:
    """Read the file and what was handed over; raises OurError when one is missing or does not decode."""
    return load_config(path, handed_over, RecorderConfig)
