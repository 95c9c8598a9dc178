"""`python -m relay.worker --config FILE --index I`: one process of the packet path.

Owns: the process (sockets, identity, cage, loop, signals, garbage collection).  Must never know: the
application's settings; it is handed `relay.worker.config.WorkerConfig` in a file and, with `--handed-over`, on standard input.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvloop

from relay.base import logs
from relay.base.clock import SystemClock
from relay.base.counters import Counters
from relay.base.errors import OurError
from relay.channel import framing
from relay.runtime.cage import Cage, Rules, code_folders, confine, harden
from relay.runtime.descriptors import raise_limit
from relay.runtime.host_addresses import machine_addresses, resolve
from relay.transport.binding import bind_all, reachable
from relay.transport.dtls import Identity
from relay.transport.peer import WORK_PER_SECOND
from relay.transport.port import Port, PortSettings
from relay.worker.collector import POLL_SECONDS, Collector
from relay.worker.config import WorkerConfig, load
from relay.worker.worker import Worker

logger = logging.getLogger(__name__)


def main() -> int:
    """Run until `finish` is called; returns the exit code."""
    parser = argparse.ArgumentParser(prog="relay.worker")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--handed-over", action="store_true", help="read the passes from standard input")
    arguments = parser.parse_args()
    raise_limit()
    harden()
    config = load(arguments.config, sys.stdin.buffer.read() if arguments.handed_over else b"")
    if config.index != arguments.index:
        raise OurError(f"{arguments.config.name} is of worker {config.index}, not {arguments.index}")
    logs.configure(config.log_level, f"worker-{config.index}")
    pid_file = Path(config.run_dir) / f"worker-{config.index}.pid"
    pid_file.write_text(str(os.getpid()))
    try:
        uvloop.run(serve(config, own_process=True))
    finally:
        with contextlib.suppress(OSError):  # caged, it leaves the file to its supervisor
            pid_file.unlink()
    return 0


async def serve(config: WorkerConfig, *, own_process: bool = False) -> None:
    """Run one worker on the running loop until it ends.

    `own_process`: it also enters its cage, handles SIGTERM and SIGINT, and controls garbage collection.
    """
    counters = Counters()
    bound, machine = resolve(config.host), machine_addresses()
    socks = _bind(config, bound, machine)
    settings = PortSettings(
        advertise=config.advertise or reachable(bound, machine),
        socket_buffer=config.socket_buffer,
        work_per_second=_work_per_second(config.max_camera_kbps),
    )
    listening = framing.bind(Path(config.run_dir) / f"worker-{config.index}.sock")
    port = Port(socks[0], _identity(config), SystemClock(), counters, settings, socks[1:])
    worker = Worker(config, port, SystemClock(), counters, listening)
    tasks = [asyncio.create_task(_own(worker, counters))] if own_process else []
    try:
        await worker.run((lambda: _confine(counters)) if own_process else lambda: None)
    finally:
        for task in tasks:
            task.cancel()
        for sock in socks:
            sock.close()


def cage() -> Cage:
    """Return what a worker keeps: the program's own files to read, and Unix sockets, one of which is the tap.

    UDP and TCP sockets, the socket for control, and the log are open by then.
    """
    return Cage(Rules(read=code_folders()), families=(socket.AF_UNIX,))


def _confine(counters: Counters) -> None:
    found = confine(cage())
    found.count(counters)
    for missing in found.missing:
        logger.warning(missing)


async def _own(worker: Worker, counters: Counters) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.finish, signal.Signals(number).name)
    collector = Collector(lambda: worker.is_idle, counters)
    collector.start()
    while True:
        await asyncio.sleep(POLL_SECONDS)
        worker.barrier.call("garbage collection", collector.poll)


def _work_per_second(max_camera_kbps: int) -> float:
    """Return the work that a camera may cause: half as much again as its bit rate makes in packets of 1000 bytes."""
    return max(WORK_PER_SECOND, max_camera_kbps / 8 * 1.5)


def _bind(config: WorkerConfig, bound: tuple[str, ...], machine: tuple[str, ...]) -> list[socket.socket]:
    try:
        return bind_all(bound, machine, config.port)
    except OSError as error:
        raise OurError(f"worker {config.index} cannot bind UDP port {config.port}: {error.strerror}") from error


def _identity(config: WorkerConfig) -> Identity:
    """Split the PEM file into certificate and key; raises OurError where it is missing."""
    try:
        text = Path(config.certificate).read_bytes()
    except OSError as error:
        raise OurError(f"DTLS certificate: {error.strerror}") from error
    blocks = [block + b"-----\n" for block in text.split(b"-----\n") if block.strip()]
    paired = [blocks[at] + blocks[at + 1] for at in range(0, len(blocks) - 1, 2)]
    certificate = next((pair for pair in paired if b"BEGIN CERTIFICATE" in pair), b"")
    key = next((pair for pair in paired if b"PRIVATE KEY" in pair), b"")
    return Identity(certificate, key)


if __name__ == "__main__":
    sys.exit(main())
