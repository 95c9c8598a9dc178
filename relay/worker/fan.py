"""Serving many legs without holding the socket: long fan-outs are cut into slices, cameras take turns, legs rotate.

What this file owns: the order in which batches meet legs.  What it must never know: packets, keys.
Serving 100 legs takes milliseconds; between two slices the loop reads the socket, so that another camera's packet waits for
one slice only.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence

from relay.base.counters import Counters, declare
from relay.fanout.stream import Stream
from relay.rtp.burst import Burst, MediaPacket, bursts
from relay.worker.slot import Slot

SLICE = 0.0015
"""Seconds of work between two looks at the socket."""
CHECK_EVERY = 6
"""Legs served between two looks at the clock, at most."""
CHECK_PACKETS = 48
"""Packets sealed between two looks, at most (one leg's burst apart): a keyframe's must not stretch a slice."""
SAMPLE_EVERY = 4
"""Every so many batches the delay is measured."""
MAX_WAITING = 256
"""Bursts that may wait per camera; more means that we cannot follow."""

declare(
    fan_overrun="batches dropped because the worker could not follow",
    leg_errors="legs restarted because of an error of ours",
)

logger = logging.getLogger(__name__)


class _Job:
    __slots__ = ("at", "burst", "camera", "is_sample", "slots", "stream")

    def __init__(self, camera: str, stream: Stream, burst: Burst, slots: Sequence[Slot], is_sample: bool) -> None:
        self.is_sample = is_sample
        self.camera = camera
        self.stream = stream
        self.burst = burst
        self.slots = slots
        self.at = 0


class Fan:
    """See the module.  `later` schedules `run` for the loop's next turn."""

    def __init__(
        self, monotonic: Callable[[], float], later: Callable[[Callable[[], None]], object], counters: Counters
    ) -> None:
        self._monotonic = monotonic
        self._later = later
        self._counters = counters
        self._waiting: dict[str, deque[_Job]] = {}
        self._scheduled = False
        self._turn = 0
        self._next_log = 0.0

    def submit(self, camera: str, stream: Stream, batch: Sequence[MediaPacket], slots: Sequence[Slot]) -> None:
        """Take a batch for legs that should show `stream` of `camera`."""
        queue = self._waiting.get(camera)
        if queue is None:
            # Before those that have had a slice already: a picture that has just come waits for the end of one slice only.
            queue = deque()
            self._waiting = {camera: queue, **self._waiting}
        if len(queue) >= MAX_WAITING:
            self._counters.count("fan_overrun")
            return
        self._turn += 1
        start = self._turn % len(slots)
        rotated = [*slots[start:], *slots[:start]]
        for burst in bursts(batch):
            queue.append(_Job(camera, stream, burst, rotated, self._turn % SAMPLE_EVERY == 0))
        if not self._scheduled:
            self.run()

    def run(self) -> None:
        """Work for one slice; goes on in the loop's next turn where something is left."""
        self._scheduled = False
        end = self._monotonic() + SLICE
        while self._waiting:
            camera, queue = next(iter(self._waiting.items()))
            finished = self._serve(queue[0], end)
            if finished:
                queue.popleft()
            del self._waiting[camera]
            if queue:
                self._waiting[camera] = queue
            if self._waiting and self._monotonic() >= end:
                self._scheduled = True
                self._later(self.run)
                return

    def _serve(self, job: _Job, end: float) -> bool:
        """Serve legs until none is left (True) or the slice is over."""
        slots, camera, stream, burst = job.slots, job.camera, job.stream, job.burst
        step = min(CHECK_EVERY, max(1, CHECK_PACKETS // burst.count))
        while job.at < len(slots):
            now = self._monotonic()
            if now >= end and job.at:
                return False
            burst.stamp(now)
            group = slots[job.at : job.at + step]
            for slot in group:
                if slot.camera == camera:
                    try:
                        slot.deliver(stream, burst, now)
                    except Exception:
                        self._failed(slot, now)
            job.at += step
            if job.is_sample:
                delay = self._monotonic() - burst.arrival
                for slot in group:
                    slot.measured(delay)
        burst.forget_layouts()
        return True

    def _failed(self, slot: Slot, now: float) -> None:
        """A bug costs one leg its stream (it starts again at a keyframe), not all others theirs."""
        self._counters.count("leg_errors")
        slot.restart()
        if now >= self._next_log:
            self._next_log = now + 1.0
            logger.exception("a leg failed")
