"""The recordings that recorders hold open.

Owns: which recordings are open, their state, and the order in which one is opened and closed.
Must never know: SDP, viewers, HTTP.
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
from relay.base.errors import OurError, RelayError
from relay.channel.messages import (
    Done,
    GapSeen,
    InventoryAsk,
    MediaKind,
    RecordClose,
    RecorderInventory,
    RecorderReport,
    RecordingClosed,
    RecordingHeld,
    RecordingReport,
    RecordMeta,
    RecordOpen,
    RecoverLeft,
    SegmentSealed,
)
from relay.live.circumstances import Circumstances as Circumstances
from relay.live.claims import Claims, RecordingOwners
from relay.live.disk import Disk
from relay.live.processes import ProcessClient, Processes
from relay.live.recorder_facts import STOP_SECONDS, Fact, RecorderFacts
from relay.live.sealed_heads import SealedHeads
from relay.runtime.deadlines import NO_DEADLINE, Deadline, run_and_wait, run_in_background
from relay.store.accounts import Camera

logger = logging.getLogger(__name__)

CloseReason: TypeAlias = Literal["stopped", "lost", "shutdown", "revoked", "refused"]
State: TypeAlias = Literal["written", "failing", "not open"]
"""`failing`: the disk does not take it; `not open`: a worker feeds it and no recorder holds it open."""
RECORDER_SECONDS = 10.0
"""How long an order to a recorder may take: it answers once its disk has."""

declare(recordings_opened="recordings opened")


@dataclass(slots=True)
class OpenRecording:
    """A recording that a recorder holds open."""

    recording: str
    camera: str
    index: int
    """Number of the recorder."""
    sealed_until_mono: float | None = None
    """Monotonic seconds up to which it is sealed; None before the first seal."""
    state: str = "waiting"
    unrecorded: tuple[MediaKind, ...] = ()
    """Tracks of which packets come and nothing is recorded."""
    closing: bool = False
    """Whether its end was ordered, though it may wait for the disk: no publication continues it."""


class Capture:
    """All open recordings.

    `on_closed` is called with the recorder's number and the id of each that ended, `on_state` each second with number, id and
    state.  Only the recorder that a recording was begun on is believed about it.
    """

    def __init__(
        self, processes: Processes, recordings: Recordings, counters: Counters, *, deadline: Deadline = NO_DEADLINE
    ) -> None:
        """`deadline`: how long `begin` waits for the disk; the camera's next offer waits for it."""
        self._deadline = deadline
        self._processes = processes
        self._recordings = recordings
        self._counters = counters
        self._held: dict[str, OpenRecording] = {}
        self._learning: set[int] = set()
        """Recorders of which one recording is being looked up."""
        self._claims = Claims(counters)
        self._owners = RecordingOwners(recordings, len(processes.recorders))
        self.heads = SealedHeads(recordings.heads, counters)
        self._facts = RecorderFacts(recordings, self._owners, self._claims, counters)
        self.on_closed: list[Callable[[int, str], None]] = []
        self.on_state: list[Callable[[int, str, State], None]] = []
        self.disk = Disk()
        processes.on(RecorderReport, self._on_report)
        processes.on(SegmentSealed, self._on_fact)
        processes.on(GapSeen, self._on_fact)
        processes.on(RecordingClosed, self._on_closed)

    def start(self) -> None:
        """Begin writing the recorders' facts into the catalogue."""
        self._facts.start()

    async def stop(self) -> None:
        """Write the facts that have arrived and the heads that are new, and end."""
        await self._facts.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self.heads.tick()

    # --- questions ----------------------------------------------------------------------------------------------------

    def held(self, recording: str | None) -> OpenRecording | None:
        """Return what is known of an open recording, None when no recorder holds it."""
        return self._held.get(recording) if recording is not None else None

    def open(self) -> frozenset[str]:
        """Return the recordings that a recorder holds open."""
        return frozenset(self._held)

    def held_of(self, camera: str) -> tuple[str, ...]:
        """Return the recordings of a camera that a recorder holds open and whose end nobody ordered."""
        return tuple(held.recording for held in self._held.values() if held.camera == camera and not held.closing)

    def resumable(self, camera: str, index: int) -> str | None:
        """Return the recording that this camera may continue on this recorder, None where a new one must begin."""
        for held in self._held.values():
            if held.camera == camera and held.index == index and not held.closing:
                return held.recording
        return None

    # --- orders -------------------------------------------------------------------------------------------------------

    def check(self, index: int, camera: Camera, circumstances: Circumstances) -> None:
        """Raise what would refuse a recording: TheirError as policy says, OurError while the recorder's disk takes nothing."""
        self._recordings.check(camera, circumstances.trigger, circumstances.threat)
        self.require_disk(index)

    def require_disk(self, index: int) -> None:
        """Raise OurError while a recorder reports that its disk takes nothing: no entry, key and row are made in vain."""
        if self.disk.state_of(index) != "ok":
            raise OurError("the vault cannot be written", retry_after=2.0, code=Code.RECORDER_NOT_READY)

    async def begin(
        self,
        index: int,
        camera: Camera,
        circumstances: Circumstances,
        previous: str | None,
        *,
        recording: str | None = None,
        since: tuple[float, int] | None = None,
    ) -> str:
        """Open a recording: journal entry, row and key durable, then its signed start on disk; return its id.

        `recording`: its id, where one was reserved; `since`: when its first packet came, as monotonic seconds and UTC ns.
        Raises TheirError as policy says (no threat, LIV-01) and OurError when any of it fails: then nothing is transmitted
        (LIV-02).
        """
        self.require_disk(index)
        plan, key = await self._recordings.begin(
            camera,
            circumstances.intervention,
            trigger=circumstances.trigger,
            threat=circumstances.threat,
            bearer=circumstances.bearer,
            previous=previous,
            recording=recording,
            started_ns=since[1] if since is not None else None,
            recorder=index,
        )
        self._held[plan.recording] = OpenRecording(plan.recording, camera.camera, index)
        try:
            order = RecordOpen(plan, key, since[0] if since is not None else None)
            await self._processes.recorders[index].ask(order, Done, RECORDER_SECONDS)
        except asyncio.CancelledError:
            # The relay stops.  If the recorder has opened the recording, its own report closes the row later.
            run_in_background(self._recordings.abandoned(plan.recording, "the request was cancelled"))
            raise
        except RelayError as error:
            self._held.pop(plan.recording, None)
            await run_and_wait(self._recordings.abandoned(plan.recording, error.detail), self._deadline)
            raise OurError(
                f"the recorder cannot open a recording: {error.detail}", retry_after=2.0, code=Code.RECORDER_NOT_READY
            ) from error
        self._counters.count("recordings_opened")
        return plan.recording

    def refuse_more(self, recording: str | None) -> None:
        """From now on no publication continues this recording: its end is about to be ordered."""
        held = self.held(recording)
        if held is not None:
            held.closing = True

    async def finish(self, recording: str | None, reason: CloseReason, author: str | None = None) -> None:
        """Order a recorder to close a recording.

        Does nothing for a recording that is closed already.  A recorder that is away closes it by itself.
        """
        held = self.held(recording)
        if held is None:
            return
        held.closing = True
        with contextlib.suppress(RelayError):
            order = RecordClose(held.recording, reason, author)
            await self._processes.recorders[held.index].ask(order, Done, RECORDER_SECONDS)

    def note(self, recording: str | None, at_ns: int, values: dict[str, str]) -> None:
        """Have metadata (position, battery, clock offset) sealed into the recording's next link."""
        held = self.held(recording)
        if held is not None:
            self._processes.recorders[held.index].post(RecordMeta(held.recording, at_ns, values))

    # --- recorders ----------------------------------------------------------------------------------------------------

    async def adopt(self, process: ProcessClient) -> frozenset[str]:
        """Ask a recorder which recordings it holds open; return their ids.  Have it recover what a dead one left open."""
        inventory = await process.ask(InventoryAsk(), RecorderInventory)
        if inventory.left:
            await process.ask(RecoverLeft(await self.heads.known(inventory.left)), Done)
        believed = [item for item in inventory.recordings if await self._may_hold(process, item)]
        self._forget(process.index)
        for item in believed:
            self._held[item.recording] = OpenRecording(item.recording, item.camera, process.index)
        return frozenset(item.recording for item in believed)

    async def _may_hold(self, process: ProcessClient, item: RecordingHeld) -> bool:
        """Return whether a recorder is believed that it holds a recording of a camera; raises OurError."""
        known = self._held.get(item.recording)
        if known is not None:
            is_its_own = (known.index, known.camera) == (process.index, item.camera)
        else:
            is_its_own = await self._owners.may_hold(process.index, item.recording, item.camera)
        if not is_its_own:
            self._claims.refused(process.name, f"recording {item.recording} is open")
        return is_its_own

    def lost(self, process: ProcessClient) -> None:
        """A recorder is away: its recordings count as stalled until `adopt` asks for them again."""
        run_in_background(self.heads.lost(process.index))
        for held in self._held.values():
            if held.index == process.index:
                held.state = "stalled"

    def _forget(self, index: int) -> None:
        for recording in [held.recording for held in self._held.values() if held.index == index]:
            del self._held[recording]

    def _on_report(self, process: ProcessClient, report: RecorderReport) -> None:
        self.disk.take(process.index, report.disk, report.disk_free, asyncio.get_running_loop().time())
        for item in report.recordings:
            if self._take(process, item):
                self._notify_state(process.index, item.recording, "failing" if item.state in ("stalled", "full") else "written")
        for recording in report.unheld:
            self._notify_state(process.index, recording, "not open")

    def _notify_state(self, index: int, recording: str, state: State) -> None:
        for listener in self.on_state:
            listener(index, recording, state)

    def _take(self, process: ProcessClient, report: RecordingReport) -> bool:
        """Note a recording's state; return whether it is known that this recorder holds it."""
        held = self._held.get(report.recording)
        if held is None:
            self._learn_soon(process, report)
            return False
        if held.index != process.index:
            self._claims.refused(process.name, f"recording {report.recording} is {report.state}")
            return False
        held.sealed_until_mono = report.sealed_until_mono
        held.state, held.unrecorded = report.state, report.unrecorded
        if not self.heads.note(process.index, report):
            self._claims.refused(process.name, f"recording {report.recording} is durable up to what cannot be")
        return True

    def _learn_soon(self, process: ProcessClient, report: RecordingReport) -> None:
        """Look up a recording that is not known as open: its recorder opened it late, or claims what is not its own.

        The recorder reports it again next second; before it was asked for its inventory, `adopt` will tell.
        """
        if process.up and process.index not in self._learning:
            self._learning.add(process.index)
            run_in_background(self._learn(process, report))

    async def _learn(self, process: ProcessClient, report: RecordingReport) -> None:
        try:
            if not await self._owners.may_hold(process.index, report.recording, report.camera):
                self._claims.refused(process.name, f"recording {report.recording} is {report.state}")
            elif process.up:
                self._held.setdefault(report.recording, OpenRecording(report.recording, report.camera, process.index))
        except OurError as error:
            logger.warning("catalogue cannot be read", extra={"detail": error.detail})
        finally:
            self._learning.discard(process.index)

    def _on_fact(self, process: ProcessClient, fact: Fact) -> None:
        if self._is_anothers(process, fact):
            self._claims.refused(process.name, f"{type(fact).__name__} of recording {fact.recording}")
        else:
            self._facts.put(process.index, fact)

    def _on_closed(self, process: ProcessClient, fact: RecordingClosed) -> None:
        if self._is_anothers(process, fact):
            self._on_fact(process, fact)
            return
        self._on_fact(process, self.heads.judged(fact))
        self._held.pop(fact.recording, None)
        for listener in self.on_closed:
            listener(process.index, fact.recording)

    def _is_anothers(self, process: ProcessClient, fact: Fact) -> bool:
        """Return whether another recorder holds the recording; of what none holds its row decides (`recorder_facts`)."""
        held = self._held.get(fact.recording)
        return held is not None and held.index != process.index
