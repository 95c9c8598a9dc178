"""How far each open recording is durable, as its recorder reports it each second.

Owns: the newest head of each recording in memory, when heads are entered, and what a recorder is told before it recovers.
Must never know: chains, the catalogue's tables, sockets.

A recorder reports a head after the fsync that made it durable.  So a chain that does not reach a reported head was cut short
by somebody.  Once a minute, when a recorder is lost (once a minute at most: one that was taken over may come and go as it
likes) and when control stops, the heads that are new are entered in the journal.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection

from msgspec.structs import replace

from relay.archive.heads import MAX_PER_ENTRY, Heads
from relay.base.counters import Counters, declare
from relay.base.errors import OurError
from relay.channel.messages import KnownHead, RecordingClosed, RecordingReport
from relay.evidence.heads import SealedHead
from relay.evidence.seal import DIGEST

logger = logging.getLogger(__name__)

MAX_KNOWN = 4096
"""Recordings whose head is kept in memory."""
EVERY_SECONDS = 60.0
_MAX_COUNT = 0xFFFF_FFFF
_MAX_BYTES = _MAX_NS = (1 << 63) - 1
"""What a column of the catalogue holds."""

declare(
    heads_entered="heads of open recordings that were entered in the journal",
    heads_failed="entries of heads that the journal refused; they are tried again a minute later",
    heads_over="reported heads that were forgotten, because too many recordings have one",
)


class SealedHeads:
    """The newest reported heads, and the task that enters them."""

    def __init__(self, heads: Heads, counters: Counters, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._heads = heads
        self._monotonic = monotonic
        self._lost_at: dict[int, float] = {}
        """By recorder: when its heads were entered last because it was lost."""
        self._counters = counters
        self._known: dict[str, tuple[int, SealedHead]] = {}
        """By recording: the number of its recorder, and its newest head."""
        self._entered: dict[str, bytes] = {}
        """By recording: the head that was entered last."""
        self._entering = asyncio.Lock()

    @property
    def reported(self) -> int:
        """How many recordings have a head in memory."""
        return len(self._known)

    def note(self, index: int, report: RecordingReport) -> bool:
        """Keep the head that recorder `index` reports of a recording that it holds; return False where it cannot be one."""
        if not report.head:
            return True  # nothing is durable since the recorder knows the recording
        head = SealedHead(
            report.recording, report.head, report.records, report.links, report.stored_bytes, report.sealed_until_ns
        )
        if not _is_sound(head):
            return False
        known = self._known.pop(report.recording, None)
        if known is not None and known[1].records > head.records:
            head = known[1]
        self._known[report.recording] = index, head  # at the end: the first is the one that was reported longest ago
        if len(self._known) > MAX_KNOWN:
            self._counters.count("heads_over")
            self._forget(next(iter(self._known)))
        return True

    def judged(self, end: RecordingClosed) -> RecordingClosed:
        """Return the end of a recording, as damaged where it has fewer links than were reported; forget its head."""
        known = self._known.get(end.recording)
        self._forget(end.recording)
        if known is None or end.reason == "damaged" or end.links >= known[1].links:
            return end
        return replace(end, reason="damaged", damage="missing at its end: " + known[1].lacking(0, end.links, end.end_ns))

    async def known(self, recordings: Collection[str]) -> tuple[KnownHead, ...]:
        """Return the newest head of each of these recordings that memory or the catalogue knows; raises OurError."""
        found = await self._heads.newest(recordings)
        for recording in recordings:
            mine, row = self._known.get(recording), found.get(recording)
            if mine is not None and (row is None or row.links <= mine[1].links):
                found[recording] = mine[1]
        return tuple(
            KnownHead(head.recording, head.head, head.records, head.links, head.stored_bytes, head.until_ns)
            for head in found.values()
        )

    async def tick(self) -> None:
        """Enter the heads that are new, one entry for each recorder that has some; call every `EVERY_SECONDS`."""
        for index in sorted({index for index, _ in self._known.values()}):
            await self.enter(index)

    async def lost(self, index: int) -> None:
        """Enter the new heads of a recorder that was lost: nobody knows what becomes of its chains."""
        now, last = self._monotonic(), self._lost_at.get(index)
        if last is None or now - last >= EVERY_SECONDS:
            self._lost_at[index] = now
            await self.enter(index)

    async def enter(self, index: int) -> None:
        """Enter the new heads of one recorder.  What the disk refuses is tried again with the next entry."""
        async with self._entering:
            new = [
                head for its, head in self._known.values() if its == index and self._entered.get(head.recording) != head.head
            ]
            for at in range(0, len(new), MAX_PER_ENTRY):
                await self._enter(index, new[at : at + MAX_PER_ENTRY])

    def _forget(self, recording: str) -> None:
        self._known.pop(recording, None)
        self._entered.pop(recording, None)

    async def _enter(self, index: int, heads: list[SealedHead]) -> None:
        try:
            await self._heads.enter(index, heads)
        except OurError as error:
            self._counters.count("heads_failed")
            logger.error("heads cannot be entered in the journal", extra={"detail": error.detail})
            return
        self._counters.count("heads_entered", len(heads))
        self._entered.update((head.recording, head.head) for head in heads if head.recording in self._known)


def _is_sound(head: SealedHead) -> bool:
    counts = 1 <= head.records <= _MAX_COUNT and 0 <= head.links < head.records
    return counts and len(head.head) == DIGEST and 0 <= head.stored_bytes <= _MAX_BYTES and 0 <= head.until_ns <= _MAX_NS
