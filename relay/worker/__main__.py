"""`python -m relay.worker --config FILE --index I`: one process of the packet path.

Owns: the process (socket, identity, loop, signals, garbage collection).  Must never know: the
application's settings; it is handed `relay.worker.config.WorkerConfig` in a file.
"""

import argparse
import asyncio
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
from relay.runtime.descriptors import raise_limit
from relay.transport.dtls import Identity
from relay.transport.port import Port, PortSettings
from relay.worker.collector import POLL_SECONDS, Collector
from relay.worker.config import WorkerConfig, load
from relay.worker.worker import Worker


def main() -> int:
    """Run until `finish` is called; returns the exit code."""
    parser = argparse.ArgumentParser(prog="relay.worker")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--index", type=int, required=True)
    arguments = parser.parse_args()
    raise_limit()
    config = load(arguments.config)
    if config.index != arguments.index:
        raise OurError(f"{arguments.config.name} is of worker {config.index}, not {arguments.index}")
    logs.configure(config.log_level, f"worker-{config.index}")
    pid_file = Path(config.run_dir) / f"worker-{config.index}.pid"
    pid_file.write_text(str(os.getpid()))
    try:
        uvloop.run(serve(config, own_process=True))
    finally:
        pid_file.unlink(missing_ok=True)
    return 0


async def serve(config: WorkerConfig, *, own_process: bool = False) -> None:
    """Run one worker on the running loop until it ends.

    `own_process`: it also handles SIGTERM and SIGINT, and controls garbage collection.
    """
    counters = Counters()
    sock = _bind(config)
    advertise = config.advertise or (config.host,)
    settings = PortSettings(advertise=advertise, socket_buffer=config.socket_buffer)
    worker = Worker(config, Port(sock, _identity(config), SystemClock(), counters, settings), SystemClock(), counters)
    tasks = [asyncio.create_task(_own(worker, counters))] if own_process else []
    try:
        await worker.run()
    finally:
        for task in tasks:
            task.cancel()
        sock.close()


async def _own(worker: Worker, counters: Counters) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.finish, signal.Signals(number).name)
    collector = Collector(lambda: worker.is_idle, counters)
    collector.start()
    while True:
        await asyncio.sleep(POLL_SECONDS)
        worker.barrier.call("garbage collection", collector.poll)


def _bind(config: WorkerConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    try:
        sock.bind((config.host, config.port))
    except OSError as error:
        sock.close()
        raise OurError(f"worker {config.index} cannot bind UDP port {config.port}: {error.strerror}") from error
    return sock


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
