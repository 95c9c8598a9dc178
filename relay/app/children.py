"""The configuration that each process of the relay gets at its start.

Owns: the translation of the settings into the workers' and recorders' own configurations, and what is handed to them beside the
file: passes and session keys.  Must never know: how processes are kept alive.
"""

import base64
import logging
import sys
from collections.abc import Iterable

import msgspec

from relay.app.settings import Settings
from relay.app.supervise import Child
from relay.base.clock import Clock
from relay.base.errors import OurError
from relay.live.session_keys import issue
from relay.recorder.config import RecorderConfig
from relay.store.keyring import Keyring
from relay.store.passes import Passes, control_of, tap_of
from relay.worker.config import WorkerConfig

logger = logging.getLogger(__name__)


class _Sessions:
    """Session keys for the starts of one recorder; the last one is kept in memory, for a start while the token is out."""

    def __init__(self, keyring: Keyring, clock: Clock, index: int) -> None:
        self._keyring = keyring
        self._clock = clock
        self._index = index
        self._last: tuple[bytes, bytes] | None = None

    def next(self) -> tuple[bytes, bytes]:
        """Return a new session key (seed, certificate), or the one before where none can be had.

        Raises OurError where there was none before.  A recording under an overrun certificate is of no proved time; without
        any key there would be no recording.
        """
        try:
            self._last = issue(self._keyring, self._index, self._clock.utc_ns())
        except OurError as error:
            if self._last is None:
                raise
            logger.error(
                "recorder %d starts again with the session key it had: no new one can be had", self._index,
                extra={"detail": error.detail},
            )  # fmt: skip
        return self._last


def children(settings: Settings, keyring: Keyring, passes: Passes, clock: Clock) -> list[Child]:
    """Return recorders, workers and control, in the order of their start."""
    indexes = range(settings.workers.count)
    return [
        *(_recorder(settings, keyring, passes, clock, index) for index in indexes),
        *(_worker(settings, keyring, passes, index) for index in indexes),
        _control(settings),
    ]


def _command(module: str, *options: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *options)


def _handed_over(**secrets: bytes) -> dict[str, str]:
    return {name: base64.b64encode(secret).decode() for name, secret in secrets.items()}


def _in_file(config: WorkerConfig | RecorderConfig, secrets: Iterable[str]) -> dict[str, object]:
    return {name: value for name, value in msgspec.to_builtins(config).items() if name not in secrets}


def _worker(settings: Settings, keyring: Keyring, passes: Passes, index: int) -> Child:
    workers = settings.workers
    config = WorkerConfig(
        index=index,
        run_dir=str(settings.run.resolve()),
        certificate=str(keyring.dtls_pem().resolve()),
        control_pass=b"",
        tap_pass=b"",
        host=settings.media_host,
        port=workers.port_base + index if workers.port_base else 0,
        advertise=workers.advertise,
        tcp=workers.tcp,
        socket_buffer=workers.socket_buffer,
        max_camera_kbps=workers.max_camera_kbps,
        playout_delay_max_ms=workers.playout_delay_max_ms,
        log_level=settings.log.level,
    )
    shown = passes.of(control_of(f"worker-{index}"))
    secrets = _handed_over(control_pass=shown, tap_pass=passes.of(tap_of(index)))
    run, command = settings.run.resolve(), _command("relay.worker", "--handed-over")
    return Child("worker", index, command, run, _in_file(config, secrets), lambda: secrets, shown, bare=True)


def _recorder(settings: Settings, keyring: Keyring, passes: Passes, clock: Clock, index: int) -> Child:
    recorder = settings.recorder
    config = RecorderConfig(
        index=index,
        run_dir=str(settings.run.resolve()),
        vault=str((settings.data / "vault").resolve()),
        session_seed=b"",
        session_certificate=b"",
        control_pass=b"",
        tap_pass=b"",
        fragment_seconds=recorder.fragment_seconds,
        segment_seconds=recorder.segment_seconds,
        reorder_ms=recorder.reorder_ms,
        resume_seconds=recorder.resume_seconds,
        keep_free_bytes=recorder.keep_free_mb << 20,
        recorders=settings.workers.count,
        log_level=settings.log.level,
    )
    shown, tap = passes.of(control_of(f"recorder-{index}")), passes.of(tap_of(index))

    sessions = _Sessions(keyring, clock, index)

    def secrets() -> dict[str, str]:
        seed, certificate = sessions.next()
        return _handed_over(session_seed=seed, session_certificate=certificate, control_pass=shown, tap_pass=tap)

    in_file = _in_file(config, ("session_seed", "session_certificate", "control_pass", "tap_pass"))
    run, command = settings.run.resolve(), _command("relay.recorder", "--handed-over")
    return Child("recorder", index, command, run, in_file, secrets, shown, bare=True)


def _control(settings: Settings) -> Child:
    config = settings.model_dump(mode="json")
    return Child("control", 0, _command("relay.app.control"), settings.run.resolve(), config)
