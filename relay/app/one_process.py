"""`relay serve --in-process`: every process of the relay as tasks of one, over the same sockets, for tests and debugging.

Owns: how each of them runs and ends as its process would.  Must never know: what they do.
"""

import asyncio
from pathlib import Path

import msgspec

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
from relay.recorder.config import RecorderConfig
from relay.recorder.recorder import Recorder
from relay.worker.__main__ import serve as serve_worker
from relay.worker.config import WorkerConfig

SIGNALS_AFTER_SECONDS = 0.5


async def run_all(settings: Settings) -> None:
    """Run all processes as tasks until SIGTERM or SIGINT; raises what any of them raises."""
    stop = asyncio.Event()
    keyring = await asyncio.to_thread(keyring_of, settings)
    counters = Counters()

    async def worker(child: Child) -> None:
        config = msgspec.json.decode(child.config_file.read_bytes(), type=WorkerConfig)
        await _until_cancelled(asyncio.create_task(serve_worker(config)), child.socket, counters)

    async def recorder(child: Child) -> None:
        config = msgspec.json.decode(child.config_file.read_bytes(), type=RecorderConfig)
        await _until_cancelled(asyncio.create_task(Recorder(config).run()), child.socket, counters)

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
    await in_process(children(settings, keyring, SystemClock()), runners, stop)


async def _until_cancelled(running: "asyncio.Task[None]", path: Path, counters: Counters) -> None:
    """Run a worker or recorder until cancelled; then end it by `Shutdown` over its socket."""
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await _shut_down(path, counters)
        async with asyncio.timeout(30):
            await running
        raise


async def _shut_down(path: Path, counters: Counters) -> None:
    connection = await framing.connect(path, on_post=lambda _connection, _message: None, on_ask=_refuse, counters=counters)
    reading = asyncio.create_task(connection.run())
    try:
        answer = await connection.ask(Shutdown("the relay stops"))
        if not isinstance(answer, Done):
            raise OurError(f"{path.name} answered {type(answer).__name__} to Shutdown")
    finally:
        connection.close()
        await asyncio.gather(reading, return_exceptions=True)


async def _refuse(_connection: framing.Connection, message: Message) -> Message:
    raise OurError(f"a supervisor does not answer {type(message).__name__}")
