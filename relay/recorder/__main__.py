"""`python -m relay.recorder --config FILE --index I`: one recorder process.

Owns: the process (signals, pid file, event loop).  Must never know: how a recorder works.
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
from relay.recorder.config import RecorderConfig, load
from relay.recorder.recorder import Recorder
from relay.runtime.descriptors import raise_limit


def main() -> int:
    """Run until SIGTERM, SIGINT, a Shutdown or a minute without control; return the exit code."""
    parser = argparse.ArgumentParser(prog="relay.recorder", description="record, seal and store what a worker taps")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--index", type=int, required=True)
    arguments = parser.parse_args()
    raise_limit()
    try:
        config = load(arguments.config)
        logs.configure(config.log_level, f"recorder-{arguments.index}")
        logging.getLogger("libav").setLevel(logging.ERROR)
        return uvloop.run(_serve(config, arguments.index))
    except RelayError as error:
        print(f"recorder {arguments.index}: {error.detail}", file=sys.stderr)  # noqa: T201 - the logs may not be configured
        return 1


async def _serve(config: RecorderConfig, index: int) -> int:
    recorder = Recorder(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, recorder.stop, signal.Signals(number).name)
    pid_file = Path(config.run_dir) / f"recorder-{index}.pid"
    pid_file.write_text(f"{os.getpid()}\n")
    try:
        await recorder.run()
    finally:
        with contextlib.suppress(FileNotFoundError):
            pid_file.unlink()
    return 1 if recorder.failed else 0


if __name__ == "__main__":
    sys.exit(main())
