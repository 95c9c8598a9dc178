"""SIGTERM and SIGINT as one event, for `relay serve` in both of its ways of running.

Owns: which signals mean a stop.  Must never know: what is stopped.
"""

import asyncio
import signal


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` at SIGTERM or SIGINT.  Call it in the running event loop."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
