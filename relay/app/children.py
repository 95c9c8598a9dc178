"""The configuration that each process of the relay gets at its start.

Owns: the translation of the settings into the workers' and recorders' own configurations.
Must never know: how processes are kept alive.
"""

import base64
import sys
from collections.abc import Callable, Mapping

import msgspec

from relay.app.settings import Settings
from relay.app.supervise import Child
from relay.base.clock import Clock
from relay.live.session_keys import issue
from relay.recorder.config import RecorderConfig
from relay.store.keyring import Keyring
from relay.worker.config import WorkerConfig


def children(settings: Settings, keyring: Keyring, clock: Clock) -> list[Child]:
    """Return recorders, workers and control, in the order of their start."""
    indexes = range(settings.workers.count)
    return [
        *(_recorder(settings, keyring, clock, index) for index in indexes),
        *(_worker(settings, keyring, index) for index in indexes),
        _control(settings),
    ]


def _command(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module)


def _worker(settings: Settings, keyring: Keyring, index: int) -> Child:
    workers = settings.workers
    config = WorkerConfig(
        index=index,
        run_dir=str(settings.run.resolve()),
        certificate=str(keyring.dtls_pem().resolve()),
        host=workers.host,
        port=workers.port_base + index if workers.port_base else 0,
        advertise=workers.advertise,
        tcp=workers.tcp,
        socket_buffer=workers.socket_buffer,
        max_camera_kbps=workers.max_camera_kbps,
        playout_delay_max_ms=workers.playout_delay_max_ms,
        log_level=settings.log.level,
    )
    run, command = settings.run.resolve(), _command("relay.worker")
    return Child("worker", index, command, run, msgspec.to_builtins(config), without=_pin(settings))


def _pin(settings: Settings) -> tuple[str, ...]:
    variable = settings.keys.pkcs11_pin_variable
    return () if variable is None else (variable,)


def _recorder(settings: Settings, keyring: Keyring, clock: Clock, index: int) -> Child:
    recorder = settings.recorder
    config = RecorderConfig(
        index=index,
        run_dir=str(settings.run.resolve()),
        vault=str((settings.data / "vault").resolve()),
        session_seed=b"",
        session_certificate=b"",
        fragment_seconds=recorder.fragment_seconds,
        segment_seconds=recorder.segment_seconds,
        reorder_ms=recorder.reorder_ms,
        resume_seconds=recorder.resume_seconds,
        keep_free_bytes=recorder.keep_free_mb << 20,
        recorders=settings.workers.count,
        log_level=settings.log.level,
    )
    fixed = msgspec.to_builtins(config)
    del fixed["session_seed"], fixed["session_certificate"]
    run, command, session = settings.run.resolve(), _command("relay.recorder"), _session(keyring, clock, index)
    return Child("recorder", index, command, run, fixed, session, _pin(settings))


def _session(keyring: Keyring, clock: Clock, index: int) -> Callable[[], Mapping[str, object]]:
    def fresh() -> Mapping[str, object]:
        seed, certificate = issue(keyring, index, clock.utc_ns())
        return {
            "session_seed": base64.b64encode(seed).decode(),
            "session_certificate": base64.b64encode(certificate).decode(),
        }

    return fresh


def _control(settings: Settings) -> Child:
    config = settings.model_dump(mode="json")
    return Child("control", 0, _command("relay.app.control"), settings.run.resolve(), config)
