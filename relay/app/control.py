"""`python -m relay.app.control --config FILE --index 0`: the control process.

Owns: how control starts and stops, and its timers.  Must never know: packets, media.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from relay.app import logs
from relay.app.cages import control_cage, enter
from relay.app.server import serving
from relay.app.settings import Settings
from relay.app.supervise import PidLock, write_private
from relay.app.wiring import Control, wire
from relay.base.errors import RelayError
from relay.live import sealed_heads, session_keys
from relay.runtime.cage import Confined, harden
from relay.runtime.deadlines import background_settled
from relay.runtime.descriptors import raise_limit
from relay.runtime.host_addresses import HostAddresses
from relay.runtime.tasks import every
from relay.viewing.leases import RENEW_SECONDS

logger = logging.getLogger(__name__)

URL_FILE = "control.url"
BACKGROUND_SECONDS = 5.0
"""How long the end of control waits for what cancelled requests still have to enter in the journal."""


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="relay.app.control", description="the relay's control process")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--index", type=int, default=0)
    arguments = parser.parse_args()
    raise_limit()
    harden()
    settings = Settings.model_validate_json(arguments.config.read_text(encoding="utf-8"))
    logs.configure(settings.log.level, settings.log.format, "control")
    # SQLite writes large sorts into temporary files: into the data folder, which nobody else reads and the cage leaves open.
    os.environ["SQLITE_TMPDIR"] = os.environ["TMPDIR"] = str(settings.run.resolve())
    addresses = HostAddresses()
    confined = enter(control_cage(settings))
    try:
        uvloop.run(_main(settings, confined, addresses))
    except RelayError as error:
        logger.error("control ends", extra={"detail": error.detail})
        return 1
    return 0


async def _main(settings: Settings, confined: Confined, addresses: HostAddresses) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(settings, stop, confined, addresses)


async def run(
    settings: Settings, stop: asyncio.Event, confined: Confined | None = None, addresses: HostAddresses | None = None
) -> None:
    """Run control until `stop`.  When this returns, everything is on disk.  Raises OurError if control cannot start.

    `confined`: the cage of this process, for the metric; None where it has none.  `addresses`: opened before the cage.
    """
    settings.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = PidLock(settings.run / "control.pid")
    try:
        control = await wire(settings, addresses=addresses)
        if confined is not None:
            confined.count(control.context.counters)
        try:
            await _serve(control, settings, stop)
        finally:
            await shut(control)
    finally:
        lock.release()


async def _serve(control: Control, settings: Settings, stop: asyncio.Event) -> None:
    services = control.context
    await services.live.refresh()
    await services.viewing.start()
    await services.playbacks.close_left_open()
    control.capture.start()
    control.processes.start()
    timers = _timers(control)
    try:
        async with serving(services, settings, public=True) as url:
            write_private(settings.run / URL_FILE, f"{url}\n".encode())
            logger.info("serving", extra={"port": url.rpartition(":")[2]})
            await stop.wait()
    finally:
        (settings.run / URL_FILE).unlink(missing_ok=True)
        for timer in timers:
            timer.cancel()
        await asyncio.gather(*timers, return_exceptions=True)


def _timers(control: Control) -> list[asyncio.Task[None]]:
    services, journal = control.context, control.stores.journal

    async def checkpoint() -> None:
        try:
            await control.capture.heads.tick()
        finally:  # what was entered before must be signed, whatever becomes of the heads
            await journal.checkpoint()

    async def tidy() -> None:
        await services.interventions.close_abandoned(services.streams.interventions)

    async def pages() -> None:
        services.live.expire(services.steady.utc_ns())

    async def leases() -> None:
        services.viewing.renew()

    periodic: tuple[tuple[float, Callable[[], Awaitable[None]]], ...] = (
        (1.0, pages),
        (1.0, services.streams.tick),
        (1.0, services.time_limit.tick),
        # Renewed apart from `viewing.tick`, because a slow write to journal or catalogue must not delay a lease.
        (RENEW_SECONDS, leases),
        (RENEW_SECONDS, services.viewing.tick),
        (5.0, journal.flush_refusals),
        (10.0, tidy),
        (30.0, services.playbacks.tick),
        (30.0, control.unopened.tick),
        (session_keys.EVERY_SECONDS, control.sessions.tick),
        (sealed_heads.EVERY_SECONDS, checkpoint),
    )
    timers = [asyncio.create_task(every(seconds, work, services.counters)) for seconds, work in periodic]
    return [*timers, asyncio.create_task(control.retention.run()), asyncio.create_task(services.live.run())]


async def shut(control: Control) -> None:
    """Stop in order: connections to processes, camera sockets, sessions, pending writes, journal, database."""
    await control.processes.stop()
    await control.context.camera_sockets.intents.shut()
    await control.context.streams.shut()
    await control.context.viewing.shut()
    await control.background.settled()
    await control.capture.stop()
    await background_settled(BACKGROUND_SECONDS)
    with contextlib.suppress(RelayError):
        await control.stores.journal.close()
    await control.stores.database.close()
    control.context.media_addresses.close()


if __name__ == "__main__":
    sys.exit(main())
