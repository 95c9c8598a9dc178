"""`relay serve`: the supervisor process, or everything in one.

What this file owns: signals, and which way of running is taken.  What it must never know: what the processes do.
"""

import asyncio
import logging
import signal
from pathlib import Path

import msgspec
import uvloop

from relay.app import control
from relay.app.children import children
from relay.app.settings import Settings
from relay.base.clock import SystemClock
from relay.base.counters import Counters
from relay.base.errors import OurError
from relay.channel import framing
from relay.channel.messages import Done, Message, Shutdown
from relay.recorder.config import RecorderConfig
from relay.recorder.recorder import Recorder
from relay.service.supervise import Child, Supervisor, in_process
from relay.store.keyring import Keyring
from relay.worker.__main__ import serve as serve_worker
from relay.worker.config import WorkerConfig

log = logging.getLogger(__name__)


def serve(settings: Settings, *, one_process: bool) -> None:
    """Run the relay until SIGTERM or SIGINT; raises RelayError where it cannot start."""
    settings.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    uvloop.run(_in_one(settings) if one_process else _supervise(settings))


async def _supervise(settings: Settings) -> None:
    stop = _stop_on_signals()
    keyring = await asyncio.to_thread(Keyring, settings.data / "keys")
    supervisor = Supervisor(children(settings, keyring, SystemClock()), Counters(), _note)
    try:
        await supervisor.start()
        await stop.wait()
    finally:
        await supervisor.stop()


async def _in_one(settings: Settings) -> None:
    stop = asyncio.Event()
    keyring = await asyncio.to_thread(Keyring, settings.data / "keys")
    counters = Counters()

    async def worker(child: Child) -> None:
        config = msgspec.json.decode(child.config_file.read_bytes(), type=WorkerConfig)
        await _until_told(asyncio.create_task(serve_worker(config)), child.socket, counters)

    async def recorder(child: Child) -> None:
        config = msgspec.json.decode(child.config_file.read_bytes(), type=RecorderConfig)
        await _until_told(asyncio.create_task(Recorder(config).run()), child.socket, counters)

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
    # After a moment, because a worker takes the signals for itself when it starts.
    loop.call_later(0.5, lambda: _stop_on_signals(stop))
    _stop_on_signals(stop)
    runners = {"worker": worker, "recorder": recorder, "control": people}
    await in_process(children(settings, keyring, SystemClock()), runners, stop)  # type: ignore[arg-type]


async def _until_told(running: "asyncio.Task[None]", path: Path, counters: Counters) -> None:
    """Run a worker or recorder; when cancelled, end it as a supervisor's peer would: by `Shutdown` over its socket."""
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


def _stop_on_signals(stop: asyncio.Event | None = None) -> asyncio.Event:
    event = stop or asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    return event


def _note(event: str, child: Child) -> None:
    level = logging.WARNING if event in {"died", "killed"} else logging.INFO
    log.log(level, f"process {event}", extra={"child": child.name})
