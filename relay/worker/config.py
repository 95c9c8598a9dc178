"""The settings of one worker process.

Owns: the shape of `<data>/run/worker-<i>.json`, which the supervisor writes (UTF-8 JSON, mode 0600) and
`python -m relay.worker --config FILE --index I` reads.  With `--handed-over` the passes are not in the file, but come on
standard input (`relay.channel.handover`).  Must never know: the application's settings file.
"""

from pathlib import Path

import msgspec

from relay.channel.handover import load_config


class WorkerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of one worker process; unknown keys are refused."""

    index: int
    run_dir: str
    """Folder of `worker-<i>.sock`, `recorder-<i>.sock` and the pid files."""
    certificate: str
    """PEM file with the DTLS certificate (P-256) and its private key, one after the other; read before the cage closes."""
    control_pass: bytes
    """What control shows to be heard (32 bytes, base64 in JSON)."""
    tap_pass: bytes
    """What this worker shows to the recorder beside it."""
    host: str = "127.0.0.1"
    """Address to bind; `0.0.0.0` every IPv4 address, `::` every address, a name all of its addresses."""
    port: int = 0
    """UDP port; 0 lets the kernel choose."""
    advertise: tuple[str, ...] = ()
    """Addresses put into candidates where control names none; empty means those that are bound."""
    tcp: bool = False
    """Whether ICE over TCP is taken too, on the same port number."""
    socket_buffer: int = 4 << 20
    """Wanted SO_RCVBUF and SO_SNDBUF, bytes."""
    orphan_seconds: float = 60.0
    """Seconds without a control connection after which the worker closes everything and exits."""
    tap_bound: int = 8 << 20
    """Bytes that may wait for the recorder before the tap drops packets."""
    max_camera_kbps: int = 8000
    """Upper bound of the bitrate that a camera is asked for (REMB)."""
    playout_delay_max_ms: int = 400
    """Upper bound of the viewer's buffer (playout-delay extension)."""
    log_level: str = "info"


def load(path: Path, handed_over: bytes = b"") -> WorkerConfig:
    """Read the file and what was handed over; raises OurError when one is missing or does not decode."""
    return load_config(path, handed_over, WorkerConfig)
