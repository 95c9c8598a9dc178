"""`relay serve`: the supervisor process, or everything in one.

Owns: which way of running is taken.  Must never know: what the processes do.
"""

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from relay.app import start_checks
from relay.app.cages import enter, supervisor_cage
from relay.app.children import children
from relay.app.doctor import note_at_start
from relay.app.installation import require_installation
from relay.app.keyrings import keyring_of
from relay.app.private import make_private
from relay.app.settings import Settings
from relay.app.signals import stop_on_signals
from relay.app.supervise import Child, PidLock, Supervisor
from relay.base.clock import SystemClock
from relay.base.codes import Code
from relay.base.counters import Counters
from relay.base.errors import OurError
from relay.runtime.descriptors import raise_limit
from relay.store.passes import Passes

logger = logging.getLogger(__name__)


def serve(settings: Settings, *, one_process: bool) -> None:
    """Run the relay until SIGTERM or SIGINT; raises RelayError if it cannot start."""
    raise_limit()
    require_installation(settings)
    make_private(settings.data)
    with _only_one(settings):
        forget_seeds(settings.run)
        start_checks.check(settings)
        note_at_start(settings)
        if one_process:
            # Imported here, because a supervisor needs neither the packet path nor FFmpeg's code in its memory.
            from relay.app.one_process import run_all

            uvloop.run(run_all(settings))
        else:
            enter(supervisor_cage(settings))
            uvloop.run(_supervise(settings))


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    """Hold the supervisor's lock: two of them would each end what the other starts.  Raises OurError."""
    try:
        settings.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OurError(f"{settings.run}: {error.strerror}. The relay's user must be able to write there") from error
    try:
        lock = PidLock(settings.run / "supervisor.pid")
    except OurError as error:
        if error.code is not Code.ALREADY_RUNNING:
            raise
        detail = f"a relay runs already with the data folder {settings.data.resolve()}: stop it first"
        raise OurError(detail, code=Code.ALREADY_RUNNING) from error
    try:
        yield
    finally:
        lock.release()


async def _supervise(settings: Settings) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    keyring = await asyncio.to_thread(keyring_of, settings)
    passes = await asyncio.to_thread(Passes, settings.data / "keys")
    fleet = children(settings, keyring, passes, SystemClock())
    _forget_others(settings.run, fleet)
    supervisor = Supervisor(fleet, Counters(), _note)
    try:
        await supervisor.start()
        await stop.wait()
    finally:
        await supervisor.stop()


def _forget_others(run: Path, fleet: list[Child]) -> None:
    """Remove configurations of processes that there are no more."""
    ours = {child.config_file.name for child in fleet}
    for path in run.glob("*.json"):
        if path.name not in ours:
            path.unlink(missing_ok=True)


def forget_seeds(run: Path) -> None:
    """Overwrite and remove the configurations in which an older version kept a session key; to be called before any start."""
    for path in run.glob("recorder-*.json*"):
        if b'"session_seed"' in path.read_bytes():
            with path.open("r+b") as file:
                file.write(bytes(path.stat().st_size))
                os.fsync(file.fileno())
            path.unlink()


def _note(event: str, child: Child) -> None:
    level = logging.WARNING if event in {"died", "killed"} else logging.INFO
    logger.log(level, f"process {event}", extra={"child": child.name})
