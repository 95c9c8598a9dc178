"""Garbage collection that no packet ever waits for.

Owns: when Python's cycle collector runs in a worker.  Must never know: packets.

Packets, bursts and histories make no cycles, and a session breaks its own when it ends: reference counts free them.  It must:
its keyframes, histories and OpenSSL's state are large, and count as few objects here.  What is left are small cycles of
libraries.  Automatic collection is therefore off.  Cycles are collected while no camera streams.  Where one streams all the
time, they are collected once `MAX_GARBAGE` objects have piled up; that pause is counted.
"""

import gc
from collections.abc import Callable

from relay.base.counters import Counters, declare

POLL_SECONDS = 10.0
MIN_GARBAGE = 1_000
"""Objects made and not freed since the last collection; below this number an idle worker does not collect."""
MAX_GARBAGE = 2_000_000

declare(gc_forced="garbage collections while cameras streamed")


class Collector:
    """Call `start` once all long-lived objects are made, and `poll` every `POLL_SECONDS`."""

    def __init__(self, is_idle: Callable[[], bool], counters: Counters) -> None:
        self._is_idle = is_idle
        self._counters = counters

    def start(self) -> None:
        """Collect once, keep long-lived objects out of later collections, and turn automatic collection off."""
        gc.collect()
        gc.freeze()
        gc.disable()

    def poll(self) -> bool:
        """Collect where no camera streams, or too much garbage waits; returns whether it did."""
        waiting = gc.get_count()[0]
        if waiting > MAX_GARBAGE:
            self._counters.count("gc_forced")
        elif not (self._is_idle() and waiting > MIN_GARBAGE):
            return False
        gc.collect()
        return True

    def stop(self) -> None:
        """Turn automatic collection on again (for a worker inside another process)."""
        gc.enable()
        gc.unfreeze()
