"""Which slots get a camera's packets, and in which order.

Owns: the slots of each camera, and the order in which batches meet legs.  Must never know: packets,
keys, views and leases.

Serving 100 legs takes milliseconds.  Long fan-outs are therefore cut into slices, cameras take turns, legs rotate: between two
slices the loop reads the socket, so that another camera's packet waits for one slice only.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence

from relay.base.counters import Counters, declare
from relay.fanout.stream import Stream
from relay.rtp.burst import Burst, MediaPacket, bursts
from relay.worker.camera_peer import CameraPeer
from relay.worker.slot import SOUND, Slot

SLICE_SECONDS = 0.0015
"""Work between two looks at the socket."""
LEGS_PER_CHECK = 6
"""Legs served between two looks at the clock, at most."""
PACKETS_PER_CHECK = 48
"""Packets sealed between two looks, at most (one leg's burst apart): a keyframe's must not stretch a slice."""
BATCHES_PER_SAMPLE = 4
"""Every so many batches the delay is measured."""
MAX_WAITING = 256
"""Bursts that may wait per camera; more means that we cannot follow."""

declare(
    fan_overrun="batches dropped because the worker could not follow",
    leg_errors="legs restarted because of an error of ours",
)

logger = logging.getLogger(__name__)


class Audience:
    """The slots that show each camera, and those that carry its sound.

    The tuples are replaced, never changed, so that a fan-out under way iterates a frozen one.
    """

    def __init__(self) -> None:
        self.pictures: dict[str, tuple[Slot, ...]] = {}
        self.sounds: dict[str, tuple[Slot, ...]] = {}

    def add(self, slot: Slot) -> None:
        """Serve a slot with the camera that it shows from now on."""
        if slot.camera is not None:
            lists = self._lists(slot)
            lists[slot.camera] = (*lists.get(slot.camera, ()), slot)

    def remove(self, slot: Slot) -> None:
        """Serve it no longer; to be called before the slot forgets its camera."""
        if slot.camera is None:
            return
        lists = self._lists(slot)
        rest = tuple(other for other in lists.get(slot.camera, ()) if other is not slot)
        if rest:
            lists[slot.camera] = rest
        else:
            lists.pop(slot.camera, None)

    def of(self, camera: str) -> tuple[Slot, ...]:
        """Return every slot of a camera, those of its sound last."""
        return (*self.pictures.get(camera, ()), *self.sounds.get(camera, ()))

    def _lists(self, slot: Slot) -> dict[str, tuple[Slot, ...]]:
        return self.sounds if slot.number == SOUND else self.pictures


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
    """Serves the slots of an audience.  `later` schedules `run` for the loop's next turn."""

    def __init__(
        self, monotonic: Callable[[], float], later: Callable[[Callable[[], None]], object], counters: Counters
    ) -> None:
        self._monotonic = monotonic
        self._later = later
        self._counters = counters
        self.audience = Audience()
        self._waiting: dict[str, deque[_Job]] = {}
        self._scheduled = False
        self._turn = 0
        self._next_log = 0.0

    def serve(self, camera: CameraPeer, stream: Stream, batch: Sequence[MediaPacket], now: float) -> None:
        """Take a batch of a camera's stream for every slot that should show it."""
        slots = self._choose(camera, stream, now)
        if slots:
            self.submit(camera.camera, stream, batch, slots)

    def _choose(self, camera: CameraPeer, stream: Stream, now: float) -> Sequence[Slot]:
        source = camera.source
        if stream.spec.kind == "audio":
            return self.audience.sounds.get(camera.camera, ()) if camera.live_audio and stream is source.audio else ()
        slots = self.audience.pictures.get(camera.camera, ())
        if len(source.layers) < 2:
            return slots if stream in source.layers.values() else ()
        return [slot for slot in slots if slot.choose_layer(camera.layer(slot.layer), now) is stream]

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
            queue.append(_Job(camera, stream, burst, rotated, self._turn % BATCHES_PER_SAMPLE == 0))
        if not self._scheduled:
            self.run()

    def run(self) -> None:
        """Work for one slice; goes on in the loop's next turn where something is left."""
        self._scheduled = False
        end = self._monotonic() + SLICE_SECONDS
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
        step = min(LEGS_PER_CHECK, max(1, PACKETS_PER_CHECK // burst.count))
        while job.at < len(slots):
            now = self._monotonic()
            if now >= end and job.at:
                return False
            burst.stamp(now)
            group = slots[job.at : job.at + step]
            for slot in group:
                if slot.camera == camera:
                    try:
                        slot.sender.deliver(stream, burst, now)
                    except Exception:
                        self._failed(slot, now)
            job.at += step
            if job.is_sample:
                delay = self._monotonic() - burst.arrival
                for slot in group:
                    slot.sender.add_delay(delay)
        burst.forget_layouts()
        return True

    def _failed(self, slot: Slot, now: float) -> None:
        """A bug costs one leg its stream (it starts again at a keyframe), not all others theirs."""
        self._counters.count("leg_errors")
        slot.sender.restart()
        if now >= self._next_log:
            self._next_log = now + 1.0
            logger.exception("a leg failed")
