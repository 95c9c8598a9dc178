"""`relay serve --in-process`: every process of the relay as tasks of one, over the same sockets, for tests and debugging.

Owns: how each of them runs and ends as its process would.  Must never know: what they do.
"""

import asyncio
import logging

from relay.app import control
from relay.app.children import children
from relay.app.keyrings import keyring_of
from relay.app.settings import Settings
from relay.app.signals import stop_on_signals
from relay.app.supervise import Child, Duty, Runner, in_process
from relay.base.clock import SystemClock
from relay.base.counters import Counters
from relay.base.errors import OurError
from relay.channel import framing
from relay.channel.messages import Done, Message, Shutdown
from relay.recorder import config as recorder_config
from relay.recorder.recorder import Recorder
from relay.store.passes import Passes
from relay.worker import config as worker_config
from relay.worker.__main__ import serve as serve_worker

logger = logging.getLogger(__name__)

SIGNALS_AFTER_SECONDS = 0.5


async def run_all(settings: Settings) -> None:
    """Run all processes as tasks until SIGTERM or SIGINT; raises what any of them raises."""
    stop = asyncio.Event()
    logger.warning("one process does everything and has no cage: whoever takes over a parser has the keys; for debugging only")
    keyring = await asyncio.to_thread(keyring_of, settings)
    passes = await asyncio.to_thread(Passes, settings.data / "keys")
    counters = Counters()

    async def worker(child: Child) -> None:
        config = worker_config.load(child.config_file, child.handover())
        await _until_cancelled(asyncio.create_task(serve_worker(config)), child, counters)

    async def recorder(child: Child) -> None:
        config = recorder_config.load(child.config_file, child.handover())
        await _until_cancelled(asyncio.create_task(Recorder(config).run()), child, counters)

    async def people(child: Child) -> None:
        ending = asyncio.Event()
        running = asyncio.create_task(control.run(settings, ending))
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            ending.set()
            await running
            raise

    loop = asyncio.get_running_loop()
    # Again after a moment, because a worker installs its own signal handlers when it starts.
    loop.call_later(SIGNALS_AFTER_SECONDS, stop_on_signals, stop)
    stop_on_signals(stop)
    runners: dict[Duty, Runner] = {"worker": worker, "recorder": recorder, "control": people}
    await in_process(children(settings, keyring, passes, SystemClock()), runners, stop)


async def _until_cancelled(running: "asyncio.Task[None]", child: Child, counters: Counters) -> None:
    """Run a worker or recorder until cancelled; then end it by `Shutdown` over its socket."""
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await _shut_down(child, counters)
        async with asyncio.timeout(30):
            await running
        raise


async def _shut_down(child: Child, counters: Counters) -> None:
    connection = await framing.connect(
        child.socket, child.control_pass, on_post=lambda _connection, _message: None, on_ask=_refuse, counters=counters
    )
    reading = asyncio.create_task(connection.run())
    try:
        answer = await connection.ask(Shutdown("the relay stops"))
        if not isinstance(answer, Done):
            raise OurError(f"{child.name} answered {type(answer).__name__} to Shutdown")
    finally:
        connection.close()
        await asyncio.gather(reading, return_exceptions=True)


async def _refuse(_connection: framing.Connection, message: Message) -> Message:
    raise OurError(f"a supervisor does not answer {type(message).__name__}")
