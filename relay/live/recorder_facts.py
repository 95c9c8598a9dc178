"""The facts that recorders report, on their way into the catalogue.

Owns: their order, and that each is written once the disk takes it.  Must never know: what is live, keys.

Facts (segment sealed, gap seen, recording closed) are true already when they arrive: the recorder reports them after its fsync.
While the catalogue cannot be written they wait here, in order and bounded; `relay check` finds what was dropped.
"""

import asyncio
import contextlib
import logging
from typing import TypeAlias

from relay.archive.recordings import Recordings
from relay.base.counters import Counters, declare
from relay.base.errors import OurError, TheirError
from relay.channel.messages import GapSeen, RecordingClosed, SegmentSealed
from relay.live.claims import Claims, RecordingOwners

logger = logging.getLogger(__name__)

Fact: TypeAlias = SegmentSealed | GapSeen | RecordingClosed
MAX_WAITING = 4096
RETRY_SECONDS = 1.0
STOP_SECONDS = 10.0
"""How long the end of control waits for the facts that have arrived."""

declare(
    recordings_closed="recordings closed with a signed end or a recovery record",
    recorder_facts_dropped="facts of recorders dropped because the catalogue was too slow; `relay check` finds what is missing",
    recorder_facts_failed="facts of recorders that the catalogue refused; `relay check` finds what is missing",
)


class RecorderFacts:
    """One queue of facts and the task that writes them."""

    def __init__(self, recordings: Recordings, owners: RecordingOwners, claims: Claims, counters: Counters) -> None:
        self._owners = owners
        self._claims = claims
        self._recordings = recordings
        self._counters = counters
        self._waiting: asyncio.Queue[tuple[int, Fact]] = asyncio.Queue(MAX_WAITING)
        self._writer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin writing."""
        self._writer = asyncio.create_task(self._write_all(), name="catalogue facts")

    async def stop(self) -> None:
        """Write what has arrived, for at most `STOP_SECONDS`, and end."""
        if self._writer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._waiting.join()
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    def put(self, index: int, fact: Fact) -> None:
        """Queue a fact of recorder `index`; in a full queue it is dropped and counted."""
        try:
            self._waiting.put_nowait((index, fact))
        except asyncio.QueueFull:
            self._counters.count("recorder_facts_dropped")

    async def _write_all(self) -> None:
        while True:
            index, fact = await self._waiting.get()
            try:
                await self._write_until_done(index, fact)
            finally:
                self._waiting.task_done()

    async def _write_until_done(self, index: int, fact: Fact) -> None:
        """Write a fact; while the disk refuses, try again."""
        while True:
            try:
                await self._write(index, fact)
                return
            except TheirError as error:
                self._counters.count("recorder_facts_failed")
                logger.warning("catalogue refused a fact", extra={"fact": type(fact).__name__, "detail": error.detail})
                return
            except OurError as error:
                logger.error("catalogue cannot be written", extra={"detail": error.detail})
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                # A bug of ours in one fact must not cost all that follow.
                self._counters.count("recorder_facts_failed")
                logger.exception("a fact was not written", extra={"fact": type(fact).__name__})
                return

    async def _write(self, index: int, fact: Fact) -> None:
        if not await self._owners.may_report(index, fact.recording):
            self._claims.refused(f"recorder-{index}", f"{type(fact).__name__} of recording {fact.recording}")
        elif isinstance(fact, SegmentSealed):
            await self._recordings.segment_sealed(fact)
        elif isinstance(fact, GapSeen):
            await self._recordings.gap_seen(fact)
        else:
            await self._recordings.closed(fact)
            self._counters.count("recordings_closed")
