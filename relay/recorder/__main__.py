"""`python -m relay.recorder --config FILE --index I`: one recorder process.

Owns: the process (socket, cage, signals, pid file, event loop).  Must never know: how a recorder works.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

import uvloop

from relay.base import logs
from relay.base.errors import RelayError
from relay.channel import framing
from relay.recorder.config import RecorderConfig, load
from relay.recorder.recorder import Recorder
from relay.runtime.cage import Cage, Rules, code_folders, confine, harden
from relay.runtime.descriptors import raise_limit

logger = logging.getLogger(__name__)


def main() -> int:
    """Run until SIGTERM, SIGINT, a Shutdown or a minute without control; return the exit code."""
    parser = argparse.ArgumentParser(prog="relay.recorder", description="record, seal and store what a worker taps")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--handed-over", action="store_true", help="read session key and passes from standard input")
    arguments = parser.parse_args()
    raise_limit()
    harden()
    try:
        config = load(arguments.config, sys.stdin.buffer.read() if arguments.handed_over else b"")
        logs.configure(config.log_level, f"recorder-{arguments.index}")
        logging.getLogger("libav").setLevel(logging.ERROR)
        recorder = _prepare(config, arguments.index)
        confined = confine(cage(config))
        confined.count(recorder.counters)
        for missing in confined.missing:
            logger.warning(missing)
        return uvloop.run(_serve(recorder, config, arguments.index))
    except RelayError as error:
        print(f"recorder {arguments.index}: {error.detail}", file=sys.stderr)  # noqa: T201 - the logs may not be configured
        return 1


def cage(config: RecorderConfig) -> Cage:
    """Return what a recorder keeps: the vault with its reserve, and the program's own files to read.  It makes no socket."""
    return Cage(Rules(read=code_folders(), write=(Path(config.vault),)))


def _prepare(config: RecorderConfig, index: int) -> Recorder:
    """Open and make what the cage closes: socket, pid file, the vault's folder."""
    Path(config.vault).mkdir(mode=0o700, exist_ok=True)
    (Path(config.run_dir) / f"recorder-{index}.pid").write_text(f"{os.getpid()}\n")
    listening = framing.bind(Path(config.run_dir) / f"recorder-{index}.sock")
    return Recorder(config, listening=listening)


async def _serve(recorder: Recorder, config: RecorderConfig, index: int) -> int:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, recorder.stop, signal.Signals(number).name)
    pid_file = Path(config.run_dir) / f"recorder-{index}.pid"
    try:
        await recorder.run()
    finally:
        with contextlib.suppress(OSError):  # caged, it leaves the file to its supervisor
            pid_file.unlink()
    return 1 if recorder.failed else 0


if __name__ == "__main__":
    sys.exit(main())
