"""Garbage collection that no packet ever waits for.

What this file owns: when Python's cycle collector runs in a worker.  What it must never know: packets.

Packets, bursts and histories make no cycles: reference counts free them.  Cycles come from sessions that ended (a peer and its
handler know each other) and are few.  So automatic collection is off; cycles are collected while nothing streams, and,
where something streams for ever, once so many objects have piled up that memory is worth one pause, which is counted.
"""

import gc
from collections.abc import Callable

from relay.base.counters import Counters, declare

POLL_SECONDS = 10.0
MIN_GARBAGE = 1_000
"""Objects made and not freed since the last collection, below which an idle worker does not bother."""
MAX_GARBAGE = 2_000_000

declare(gc_forced="garbage collections while cameras streamed")


class Collector:
    """See the module.  `start` once everything that lives long is made; `poll` every `POLL_SECONDS` seconds."""

    def __init__(self, is_idle: Callable[[], bool], counters: Counters) -> None:
        self._is_idle = is_idle
        self._counters = counters

    def start(self) -> None:
        """Collect once, keep what lives for good out of later collections, and turn the automatism off."""
        gc.collect()
        gc.freeze()
        gc.disable()

    def poll(self) -> bool:
        """Collect where it disturbs nobody, or must be; tell whether it did."""
        waiting = gc.get_count()[0]
        if waiting > MAX_GARBAGE:
            self._counters.count("gc_forced")
        elif not (self._is_idle() and waiting > MIN_GARBAGE):
            return False
        gc.collect()
        return True

    def stop(self) -> None:
        """Give the automatism back (a worker inside another process)."""
        gc.enable()
        gc.unfreeze()
