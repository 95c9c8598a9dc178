"""The recordings that one recorder has open: opening, closing, and when one ends by itself.

Owns: which recordings are open, and who waits for an end.  Must never know: connections, how a
recording is made, files.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from relay.base.clock import Clock, read_both
from relay.base.codes import Code
from relay.base.counters import Counters
from relay.base.errors import Kind, OurError, TheirError
from relay.channel.messages import Plan
from relay.evidence.chain import Reason
from relay.record.line import LineSettings
from relay.record.wall_clock import WallClock
from relay.recorder.jobs import EndJob, OpenJob, Progress
from relay.recorder.recording import Recording
from relay.recorder.writer import VaultThread

OPEN_SECONDS = 8.0
"""How long control waits for the signed start to be durable."""
ORDER_SECONDS = 1.0
"""How long a recording whose session ended waits for control's order, which says why and by whom it ends."""


class LiveRecordings:
    """Open recordings by id; used by the loop only."""

    def __init__(
        self, settings: LineSettings, vault: VaultThread, clock: Clock, counters: Counters, *, resume_seconds: float
    ) -> None:
        """`resume_seconds`: how long a lost camera may come back into its recording."""
        self._settings = settings
        self._vault = vault
        self._clock = clock
        self._counters = counters
        self._resume_ns = resume_seconds * 1e9
        self._recordings: dict[str, Recording] = {}
        self._stopped: dict[str, tuple[Recording, int]] = {}
        """Recordings whose sessions ended, and when (monotonic ns): nothing is missing but the order that ends them."""
        self._ends: dict[str, asyncio.Future[None]] = {}
        """Set once the signed end is durable."""
        self.closing = False
        """Whether the recorder ends: no recording is opened any more."""

    def __iter__(self) -> Iterator[Recording]:
        """Iterate over the open recordings; a recording may end meanwhile."""
        return iter(list(self._recordings.values()))

    def get(self, name: str) -> Recording | None:
        """Return an open recording by its id, None where it is not open."""
        return self._recordings.get(name)

    async def open(self, plan: Plan, key: bytes, since_mono: float | None = None) -> None:
        """Open a recording and wait until its signed start is durable; packets since `since_mono` (s) wait for it.

        Raises TheirError (CONFLICT, UNAVAILABLE), and OurError where the disk does not take it within `OPEN_SECONDS`.
        """
        if plan.recording in self._recordings:
            raise TheirError(Kind.CONFLICT, "this recording is open already")
        if len(key) != 32 or self.closing:
            raise TheirError(Kind.UNAVAILABLE, "the recorder cannot open a recording", code=Code.RECORDER_NOT_READY)
        if self._vault.disk != "ok":
            raise OurError("the vault cannot be written", retry_after=2.0, code=Code.RECORDER_NOT_READY)
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()

        def answer(error: Exception | None) -> None:
            call_soon(loop, lambda problem: _settle(opened, problem), error)

        self._vault.put(OpenJob(plan, key, answer))
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await asyncio.shield(opened)
        except TimeoutError as error:
            self._vault.put(EndJob(plan.recording, Reason.REFUSED, None, self._clock.utc_ns()))
            raise OurError("the vault does not answer", retry_after=2.0, code=Code.DISK_NOT_ANSWERING) from error
        utc_ns, now = read_both(self._clock)
        wall = WallClock(utc_ns, now)
        origin = now if since_mono is None else min(now, int(since_mono * 1e9))
        self._recordings[plan.recording] = Recording(plan, self._settings, wall, now, self._vault.put, self._counters, origin)

    async def close(self, name: str, reason: Reason, author: str | None, at: int | None = None) -> None:
        """End a recording and wait until its signed end is durable; raises TheirError NOT_FOUND where it is not open.

        `at`: when it ended (monotonic ns), where that was not now.
        """
        recording, stopped = self._recordings.get(name), self._stopped.pop(name, None)
        ending = self._ends.get(name)
        if recording is not None:
            ending = self.finish(recording, reason, author, at)
        elif stopped is not None:
            stopped[0].finish(reason, author, self.now())
        if ending is None:
            raise TheirError(Kind.NOT_FOUND, "this recording is not open")
        await asyncio.shield(ending)

    def stop(self, recording: Recording, at: int | None = None) -> None:
        """Its session ended on purpose: control's order says why.  If none comes (`end_stopped`), it ends all the same.

        `at`: as in `close`; it is never before the last packets.
        """
        name, now = recording.plan.recording, self.now()
        recording.stop(now if at is None else min(now, max(at, recording.fed_at)))
        self._stopped[name] = recording, now
        self._ends[name] = asyncio.get_running_loop().create_future()
        del self._recordings[name]

    def end_stopped(self, *, everything: bool = False) -> None:
        """End the recordings for which no order came; call it often."""
        now = self.now()
        for name, (recording, since) in list(self._stopped.items()):
            if everything or now - since >= ORDER_SECONDS * 1e9:
                del self._stopped[name]
                recording.finish(Reason.STOPPED, None, now)

    def finish(
        self, recording: Recording, reason: Reason, author: str | None = None, at: int | None = None
    ) -> asyncio.Future[None]:
        """End a recording; return what is done once its signed end is durable."""
        name = recording.plan.recording
        self._ends[name] = asyncio.get_running_loop().create_future()
        recording.finish(reason, author, self.now() if at is None else at)
        del self._recordings[name]
        return self._ends[name]

    def end_if_unfed(self, recording: Recording, now: int) -> None:
        """End a recording, *lost*, that no camera has fed for `resume_seconds`."""
        if recording.lost_since is not None and now - recording.lost_since >= self._resume_ns:
            self.finish(recording, Reason.LOST)

    def observe_clocks(self) -> None:
        """Compare both clocks for every recording; call it once a second."""
        utc_ns, mono_ns = read_both(self._clock)
        for recording in self._recordings.values():
            recording.observe(utc_ns, mono_ns)

    def progressed(self, event: Progress) -> None:
        """Take note of how far a recording is durable."""
        recording = self._recordings.get(event.recording)
        if recording is not None:
            recording.progress = event

    def ended(self, name: str) -> None:
        """Take note that a signed end is durable.  A recording may end by itself, because nothing more can be sealed in it."""
        self._recordings.pop(name, None)
        self._stopped.pop(name, None)
        ending = self._ends.pop(name, None)
        if ending is not None and not ending.done():
            ending.set_result(None)

    def now(self) -> int:
        """Return the monotonic time in nanoseconds."""
        return int(self._clock.monotonic() * 1e9)


A = TypeVar("A")


def call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[A], None], argument: A) -> None:
    """Call something on the loop from another thread.  After the loop's end the call is dropped."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call, argument)


def _settle(future: "asyncio.Future[None]", error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
