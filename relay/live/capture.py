"""Opening and closing the one recording of a stream, and believing what recorders say of it.

What this file owns: which recordings recorders hold open, their keys' way to the recorder, and the order in which what
recorders say reaches the catalogue.  What it must never know: SDP, viewers, HTTP.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from relay.archive.recordings import Recordings
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import OurError, RelayError, TheirError
from relay.channel.messages import (
    Done,
    GapSeen,
    InventoryAsk,
    Message,
    RecordClose,
    RecorderInventory,
    RecorderReport,
    RecordingClosed,
    RecordingReport,
    RecordMeta,
    RecordOpen,
    SegmentSealed,
)
from relay.live.disk import Disk
from relay.live.processes import ProcessClient, Processes
from relay.runtime.deadlines import NO_DEADLINE, Deadline, run_and_wait
from relay.store.accounts import Camera

logger = logging.getLogger(__name__)

CloseReason: TypeAlias = Literal["stopped", "lost", "shutdown", "revoked", "refused"]
State: TypeAlias = Literal["written", "failing", "not open"]
"""What is open is written, or the disk does not take it; or it is tapped although its recorder does not hold it."""
FACTS_BOUND = 4096
RETRY_SECONDS = 1.0

declare(
    recordings_opened="recordings opened",
    recordings_closed="recordings closed with a signed end or a recovery record",
    recorder_facts_dropped="facts of recorders dropped because the catalogue was too slow; `relay check` finds what is missing",
    recorder_facts_failed="facts of recorders that the catalogue refused; `relay check` finds what is missing",
)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Why a stream was opened; part of the recording's signed start."""

    intervention: str
    trigger: str
    threat: str
    bearer: str | None


@dataclass(slots=True)
class Held:
    """A recording that a recorder holds open."""

    recording: str
    camera: str
    index: int
    sealed_until_mono: float | None = None
    state: str = "waiting"
    closing: bool = False
    """Its end was asked for, and waits perhaps for a disk: nobody goes on in it."""


class Capture:
    """All open recordings; `on_closed` is called with the id of each that ended, `on_state` each second with each state."""

    def __init__(
        self, processes: Processes, recordings: Recordings, counters: Counters, *, deadline: Deadline = NO_DEADLINE
    ) -> None:
        """`deadline`: how long `begin` waits for the disk; the camera's next offer waits for it."""
        self._deadline = deadline
        self._processes = processes
        self._recordings = recordings
        self._counters = counters
        self._held: dict[str, Held] = {}
        self._facts: asyncio.Queue[Message] = asyncio.Queue(FACTS_BOUND)
        self._writer: asyncio.Task[None] | None = None
        self.on_closed: list[Callable[[str], None]] = []
        self.on_state: list[Callable[[str, State], None]] = []
        self.disk = Disk()
        processes.on(RecorderReport, self._on_report)
        for kind in (SegmentSealed, GapSeen, RecordingClosed):
            processes.on(kind, self._on_fact)

    def start(self) -> None:
        """Begin writing facts to the catalogue."""
        self._writer = asyncio.create_task(self._write_facts(), name="catalogue facts")

    async def stop(self) -> None:
        """Write what has arrived and end."""
        if self._writer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await self._facts.join()
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    def held(self, recording: str | None) -> Held | None:
        """Return what is known of an open recording, None when no recorder holds it."""
        return self._held.get(recording) if recording is not None else None

    def open(self) -> frozenset[str]:
        """Return the recordings that a recorder holds open."""
        return frozenset(self._held)

    def held_of(self, camera: str) -> tuple[str, ...]:
        """Return the recordings of a camera that a recorder holds open and whose end nobody asked for."""
        return tuple(held.recording for held in self._held.values() if held.camera == camera and not held.closing)

    def resumable(self, camera: str, index: int) -> str | None:
        """Return the recording that this camera may continue on this recorder, None where a new one must begin."""
        for held in self._held.values():
            if held.camera == camera and held.index == index and not held.closing:
                return held.recording
        return None

    async def adopt(self, process: ProcessClient) -> frozenset[str]:
        """Learn what a recorder holds; return the ids."""
        inventory = await process.ask(InventoryAsk(), RecorderInventory)
        self._forget(process.index)
        for item in inventory.recordings:
            self._held[item.recording] = Held(item.recording, item.camera, process.index)
        return frozenset(item.recording for item in inventory.recordings)

    async def begin(self, index: int, camera: Camera, why: Circumstances, previous: str | None) -> str:
        """Open a recording: journal entry, key and row durable, then its signed start on disk; return its id.

        Raises TheirError as policy says (no threat, LIV-01) and OurError when any of it fails: then nothing is transmitted
        (LIV-02).
        """
        plan, key = await self._recordings.begin(
            camera, why.intervention, trigger=why.trigger, threat=why.threat, bearer=why.bearer, previous=previous
        )
        self._held[plan.recording] = Held(plan.recording, camera.camera, index)
        try:
            await self._processes.recorders[index].ask(RecordOpen(plan, key), Done, 10.0)
        except RelayError as error:
            self._held.pop(plan.recording, None)
            await run_and_wait(self._recordings.abandoned(plan.recording, error.detail), self._deadline)
            raise OurError(
                f"the recorder cannot open a recording: {error.detail}", retry_after=2.0, code=Code.RECORDER_NOT_READY
            ) from error
        self._counters.count("recordings_opened")
        return plan.recording

    async def finish(self, recording: str | None, reason: CloseReason, author: str | None = None) -> None:
        """Ask the recorder to close a recording; one that is closed already, or whose recorder is away, is left to it."""
        held = self.held(recording)
        if held is None:
            return
        held.closing = True
        with contextlib.suppress(RelayError):
            await self._processes.recorders[held.index].ask(RecordClose(held.recording, reason, author), Done, 10.0)

    def note(self, recording: str | None, at_ns: int, values: dict[str, str]) -> None:
        """Have metadata (position, battery, clock offset) sealed into the recording's next link."""
        held = self.held(recording)
        if held is not None:
            self._processes.recorders[held.index].post(RecordMeta(held.recording, at_ns, values))

    def lost(self, process: ProcessClient) -> None:
        """Forget the states of a recorder that is away; what it holds is asked for again when it is back."""
        for held in self._held.values():
            if held.index == process.index:
                held.state = "stalled"

    def _forget(self, index: int) -> None:
        for recording in [held.recording for held in self._held.values() if held.index == index]:
            del self._held[recording]

    def _on_report(self, process: ProcessClient, report: RecorderReport) -> None:
        self.disk.take(process.index, report.disk, report.disk_free, asyncio.get_running_loop().time())
        for item in report.recordings:
            self._take(process.index, item)
            self._say(item.recording, "failing" if item.state in ("stalled", "full") else "written")
        for recording in report.unheld:
            self._say(recording, "not open")

    def _say(self, recording: str, state: State) -> None:
        for listener in self.on_state:
            listener(recording, state)

    def _take(self, index: int, report: RecordingReport) -> None:
        held = self._held.setdefault(report.recording, Held(report.recording, report.camera, index))
        held.sealed_until_mono = report.sealed_until_mono
        held.state = report.state

    def _on_fact(self, _client: ProcessClient, message: Message) -> None:
        try:
            self._facts.put_nowait(message)
        except asyncio.QueueFull:
            self._counters.count("recorder_facts_dropped")
        if isinstance(message, RecordingClosed):
            self._held.pop(message.recording, None)
            for listener in self.on_closed:
                listener(message.recording)

    async def _write_facts(self) -> None:
        while True:
            message = await self._facts.get()
            try:
                await self._write_until_done(message)
            finally:
                self._facts.task_done()

    async def _write_until_done(self, message: Message) -> None:
        """Write a fact; while the disk refuses, the facts wait here, in order and bounded."""
        while True:
            try:
                await self._write(message)
                return
            except TheirError as error:
                self._counters.count("recorder_facts_failed")
                logger.warning("catalogue refused a fact", extra={"fact": type(message).__name__, "detail": error.detail})
                return
            except OurError as error:
                logger.error("catalogue cannot be written", extra={"detail": error.detail})
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                self._counters.count("recorder_facts_failed")  # our bug in one fact must not cost all that follow
                logger.exception("a fact was not written", extra={"fact": type(message).__name__})
                return

    async def _write(self, message: Message) -> None:
        if isinstance(message, SegmentSealed):
            await self._recordings.segment_sealed(message)
        elif isinstance(message, GapSeen):
            await self._recordings.gap_seen(message)
        elif isinstance(message, RecordingClosed):
            await self._recordings.closed(message)
            self._counters.count("recordings_closed")
