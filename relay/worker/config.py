"""The settings of one worker process.

Owns: the shape of `<data>/run/worker-<i>.json`, which the supervisor writes (UTF-8 JSON, mode 0600) and
`python -m relay.worker --config FILE --index I` reads.  Must never know: the application's settings file.
"""

from pathlib import Path

import msgspec

from relay.base.errors import OurError


class WorkerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of one worker process; unknown keys are refused."""

    index: int
    run_dir: str
    """Folder of `worker-<i>.sock`, `recorder-<i>.sock` and the pid files."""
    certificate: str
    """PEM file with the DTLS certificate (P-256) and its private key, one after the other."""
    host: str = "127.0.0.1"
    """Address the UDP socket is bound to."""
    port: int = 0
    """UDP port; 0 lets the kernel choose."""
    advertise: tuple[str, ...] = ()
    """Addresses put into candidates; empty means `host`."""
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


def load(path: Path) -> WorkerConfig:
    """Read the file; raises OurError when it is missing or does not decode."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=WorkerConfig)
    except (OSError, msgspec.MsgspecError) as error:
        raise OurError(f"worker configuration {path.name}: {error}") from error
