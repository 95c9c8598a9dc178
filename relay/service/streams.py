"""Camera sessions: who publishes, on which worker, into which recording, and when that must end.

What this file owns: one `Live` per camera, from the accepted offer to the end, and the rules that couple live picture and
recording (LIV-02, REC-04).  What it must never know: HTTP, viewers, how a recording is written.

A camera's session is named by its unguessable secret, the last part of its `Location`; after a restart of control the
worker's inventory brings every session back, secret included.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TypeAlias

from relay.base.clock import Clock
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, OurError, RelayError, TheirError
from relay.base.ids import new_token
from relay.channel.messages import (
    Answer,
    Done,
    InventoryAsk,
    Patched,
    PeerClose,
    PeerPatch,
    PublisherHeld,
    PublisherState,
    PublishOpen,
    RecordingSwitch,
    SourceReport,
    SourceState,
    WorkerInventory,
    WorkerReport,
)
from relay.policy.regimes import rules_of
from relay.service.capture import Capture, Circumstances, CloseReason, State
from relay.service.field import Beat, Field
from relay.service.generations import check_etag, is_restart, ufrag_of
from relay.service.links import Link, Links
from relay.service.live_rules import Rules
from relay.store import patience
from relay.store.accounts import Camera
from relay.store.catalogue import Catalogue

log = logging.getLogger(__name__)

FindCamera: TypeAlias = Callable[[str], Awaitable[Camera | None]]

TAKE_OVER_AFTER = 2.0
"""Seconds of silence after which a session may be taken over by a new one (issue: 409 before)."""
STICKY_SECONDS = 60.0
META_EVERY = 5.0

declare(
    publications="camera sessions accepted",
    publications_taken_over="camera sessions replaced because the old one was silent",
    publications_resumed="camera sessions that continued a recording",
    publications_ended="camera sessions that ended",
    recordings_failed="transmissions ended because their recording did not come back in time",
)


@dataclass(slots=True)
class Live:
    """One camera's session."""

    camera: Camera
    session: str
    worker: int
    recording: str | None
    why: Circumstances
    etag: str
    since: float
    """Monotonic seconds, the worker's own after a restart of control: no step of the wall clock ends a transmission."""
    state: SourceState = "connecting"
    ufrag: str | None = None
    report: SourceReport | None = None
    noted: float = 0.0
    grace: asyncio.Task[None] | None = None
    unheld: str | None = None
    """The recording of which an alarm said that no recorder holds it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An accepted publication: its secret and the worker's answer."""

    session: str
    answer: Answer


@dataclass(slots=True)
class _Memory:
    """Where a camera was last, for the sixty seconds in which it belongs there."""

    worker: int
    left: float
    previous: str | None = None
    intervention: str = ""


@dataclass(slots=True)
class _Listeners:
    change: list[Callable[[str], None]] = field(default_factory=list)
    gone: list[Callable[[str, str], None]] = field(default_factory=list)
    alarm: list[Callable[[str, str], None]] = field(default_factory=list)


class Streams:
    """All camera sessions.  `on.change(camera)`, `on.gone(camera, reason)` and `on.alarm(camera, reason)` tell the rest."""

    def __init__(
        self,
        links: Links,
        capture: Capture,
        field_: Field,
        catalogue: Catalogue,
        find_camera: FindCamera,
        rules: Rules,
        clock: Clock,
        counters: Counters,
    ) -> None:
        self._links = links
        self._capture = capture
        self._field = field_
        self._catalogue = catalogue
        self._find_camera = find_camera
        self._rules = rules
        self._clock = clock
        self._counters = counters
        self._live: dict[str, Live] = {}
        self._memory: dict[str, _Memory] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._placing: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.on = _Listeners()
        links.on(PublisherState, self._on_state)
        links.on(WorkerReport, self._on_report)
        links.on_up(self._adopt)
        links.on_down(self._on_down)
        capture.on_closed.append(self._on_recording_closed)
        capture.on_state.append(self._on_recording_state)
        field_.on_beat.append(self._on_beat)

    # --- what others ask ----------------------------------------------------------------------------------------------

    def live(self, camera: str) -> Live | None:
        """Return a camera's session, None when it has none."""
        return self._live.get(camera)

    def all(self) -> tuple[Live, ...]:
        """Return every session."""
        return tuple(self._live.values())

    def interventions(self) -> frozenset[str]:
        """Return the interventions that a camera is in, or was a minute ago and may come back to."""
        recent = self._clock.monotonic() - STICKY_SECONDS
        waiting = {memory.intervention for memory in self._memory.values() if memory.left > recent}
        return frozenset({live.why.intervention for live in self._live.values()} | waiting | self._field.intended())

    async def publish(self, camera: Camera, offer: str) -> Opened:
        """Accept a camera's offer.

        Raises TheirError (INVALID, NOT_ACCEPTABLE from the worker; CONFLICT with `retry_after` while the camera is live) and
        OurError (no worker, no recorder, no journal).
        """
        async with self._locks.setdefault(camera.camera, asyncio.Lock()):
            await self._take_over(camera.camera)
            # Counted from now on, so that cameras that press at the same moment do not all choose the same worker.
            index = self._placing[camera.camera] = self._place(camera.camera)
            try:
                live, opened = await self._open(camera, index, offer)
            finally:
                del self._placing[camera.camera]
            self._live[camera.camera] = live
        self._counters.count("publications")
        self._changed(camera.camera)
        return opened

    async def patch(self, camera: str, session: str, fragment: str, if_match: str | None) -> Patched:
        """Trickle or restart ICE.  Raises TheirError NOT_FOUND, PRECONDITION_REQUIRED, STALE or as the worker says."""
        live = self._require(camera, session)
        restart = is_restart(fragment, live.ufrag, if_match)
        if restart:
            check_etag(live.etag, if_match)
        patched = await self._links.workers[live.worker].ask(PeerPatch(session, fragment, restart), Patched)
        if patched.etag is not None:
            live.etag, live.ufrag = patched.etag, ufrag_of(fragment)
        return patched

    async def close(self, camera: str, session: str, reason: str = "stopped by the camera") -> None:
        """End a session on purpose: the recording closes with it.  Raises TheirError(NOT_FOUND)."""
        live = self._require(camera, session)
        await self._end(live, reason, "stopped", camera)

    async def stop(self, camera: str, reason: str, why: CloseReason, author: str | None) -> None:
        """End a camera's session, if it has one, whoever wants it; the camera is told."""
        live = self._live.get(camera)
        if live is not None:
            await self._end(live, reason, why, author)
        self._field.stop(camera, reason)

    def revoked(self, camera: str) -> None:
        """A camera's token was revoked: stop its publishing now."""
        self._spawn(self._revoke(camera))

    async def _revoke(self, camera: str) -> None:
        await self.stop(camera, "token revoked", "revoked", None)
        self._field.drop(camera)

    def end_intervention(self, intervention: str) -> None:
        """An intervention was closed: its transmissions end (LIV-07)."""
        for live in self.all():
            if live.why.intervention == intervention:
                self._spawn(self.stop(live.camera.camera, "the intervention was closed", "stopped", None))

    async def tick(self) -> None:
        """End transmissions that outlived their time (LIV-07); call about once a second."""
        self._field.tick()
        limit = self._clock.monotonic() - self._rules.transmission_seconds
        for live in self.all():
            if live.since < limit:
                await self.stop(live.camera.camera, "the transmission reached its longest time", "stopped", None)

    async def shut(self) -> None:
        """Drop timers; sessions go on in their workers."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- opening ------------------------------------------------------------------------------------------------------

    async def _open(self, camera: Camera, index: int, offer: str) -> tuple[Live, Opened]:
        recording, why, resumed = await self._recording(camera, index)
        session = new_token()
        sound = rules_of(camera.regime).sound_recorded
        live_audio, silence_after = camera.live_audio and sound, self._rules.silence_after
        opening = PublishOpen(session, camera.camera, offer, live_audio, recording, silence_after, sound)
        try:
            answer = await self._links.workers[index].ask(opening, Answer)
        except RelayError:
            if not resumed:
                await patience.ended(self._capture.finish(recording, "refused"))
            raise
        self._counters.count("publications_resumed", int(resumed))
        now, ufrag = self._clock.monotonic(), ufrag_of(offer)
        return Live(camera, session, index, recording, why, answer.etag, now, ufrag=ufrag), Opened(session, answer)

    async def _take_over(self, camera: str) -> None:
        live = self._live.get(camera)
        if live is None:
            return
        link = self._links.workers[live.worker]
        held = await self._held(link, live.session)
        if held is not None and held.silent_for < TAKE_OVER_AFTER:
            raise TheirError(Kind.CONFLICT, "this camera is live", retry_after=TAKE_OVER_AFTER)
        # `lost` and not `stopped`: the same recording goes on, with a gap.
        await link.ask(PeerClose(live.session, "lost: taken over"), Done)
        self._counters.count("publications_taken_over")
        self._forget(live, "taken over by a new session")

    async def _held(self, link: Link, session: str) -> PublisherHeld | None:
        inventory = await link.ask(InventoryAsk(), WorkerInventory)
        return next((held for held in inventory.publishers if held.session == session), None)

    def _place(self, camera: str) -> int:
        """Return the worker for a camera: where it was a minute ago, else the one with the fewest; raises OurError."""
        usable = [link.index for link in self._links.workers if link.up and self._links.recorders[link.index].up]
        if not usable:
            raise OurError("no worker with a recorder is ready", retry_after=1.0)
        memory = self._memory.get(camera)
        if memory is not None and memory.worker in usable and self._clock.monotonic() - memory.left < STICKY_SECONDS:
            return memory.worker
        taken = [live.worker for live in self._live.values()] + list(self._placing.values())
        return min(usable, key=lambda index: (taken.count(index), index))

    async def _recording(self, camera: Camera, index: int) -> tuple[str, Circumstances, bool]:
        """Return the recording to feed, why it exists, and whether it is one that goes on."""
        found = self._capture.resumable(camera.camera, index)
        if found is not None:
            return found, await self._circumstances(found), True
        intent = await self._field.take_intent(camera)
        unit = self._field.unit(camera.camera)
        why = Circumstances(intent.intervention or "", intent.trigger, intent.threat, unit.bearer if unit else None)
        memory = self._memory.get(camera.camera)
        recent = memory is not None and self._clock.monotonic() - memory.left < STICKY_SECONDS
        previous = memory.previous if memory is not None and recent else None
        return await self._capture.begin(index, camera, why, previous), why, False

    # --- ending -------------------------------------------------------------------------------------------------------

    async def _end(self, live: Live, reason: str, why: CloseReason, author: str | None, *, on_purpose: bool = True) -> None:
        """End a session; where nobody wanted it, what the camera was pressed or asked for is remembered."""
        link = self._links.workers[live.worker]
        self._forget(live, reason)
        if on_purpose:
            self._memory.pop(live.camera.camera, None)
            self._field.finished(live.camera.camera)
        try:
            await link.ask(PeerClose(live.session, reason), Done)
        except RelayError as error:
            log.warning("worker did not confirm an end", extra={"camera": live.camera.camera, "detail": error.detail})
        await patience.ended(self._capture.finish(live.recording, why, author))

    def _forget(self, live: Live, reason: str) -> None:
        if self._live.get(live.camera.camera) is not live:
            return
        del self._live[live.camera.camera]
        if live.grace is not None:
            live.grace.cancel()
        self._memory[live.camera.camera] = _Memory(live.worker, self._clock.monotonic(), live.recording, live.why.intervention)
        self._counters.count("publications_ended")
        for listener in self.on.gone:
            listener(live.camera.camera, reason)

    # --- what workers say ---------------------------------------------------------------------------------------------

    def _on_state(self, link: Link, message: PublisherState) -> None:
        live = self._live.get(message.camera)
        if live is None or live.session != message.session:
            return
        live.state = message.state
        if message.state in {"ended", "lost"}:
            self._forget(live, message.reason)
        else:
            self._changed(message.camera)

    def _on_report(self, link: Link, report: WorkerReport) -> None:
        for source in report.sources:
            live = self._live.get(source.camera)
            if live is not None and live.worker == link.index:
                live.report, live.state = source, source.state
                self._changed(source.camera)

    def _on_beat(self, camera: str, beat: Beat) -> None:
        live = self._live.get(camera)
        now = self._clock.monotonic()
        if live is None or now - live.noted < META_EVERY:
            return
        live.noted = now
        values = {} if beat.battery is None else {"battery": f"{beat.battery:g}"}
        if beat.position is not None:
            latitude, longitude, accuracy = beat.position
            values |= {"lat": f"{latitude:.6f}", "lon": f"{longitude:.6f}", "accuracy_m": f"{accuracy:g}"}
        offset = self._field.offset(camera)
        if offset is not None:
            values |= {"clock_offset_ms": f"{offset.offset_ms:.1f}", "clock_uncertainty_ms": f"{offset.uncertainty_ms:.1f}"}
        if values:
            self._capture.note(live.recording, self._clock.utc_ns(), values)

    # --- restarts of the others ---------------------------------------------------------------------------------------

    async def _adopt(self, link: Link) -> None:
        if link.role == "recorder":
            await self._adopt_recorder(link)
            return
        inventory = await link.ask(InventoryAsk(), WorkerInventory)
        held = {publisher.session: publisher for publisher in inventory.publishers}
        for live in self.all():
            if live.worker == link.index and live.session not in held:
                self._forget(live, "the worker restarted")
                self._field.republish(live.camera.camera, "the relay restarted")
        for publisher in held.values():
            if publisher.camera not in self._live:
                await self._adopt_publisher(link, publisher)

    async def _adopt_publisher(self, link: Link, held: PublisherHeld) -> None:
        camera = await self._find_camera(held.camera)
        if camera is None or camera.revoked_ns is not None:
            await link.ask(PeerClose(held.session, "token revoked"), Done)
            return
        why = await self._circumstances(held.recording)
        live = Live(camera, held.session, link.index, held.recording, why, held.etag, held.since_mono, held.state)
        self._live[held.camera] = live
        self._changed(held.camera)
        if self._links.recorders[link.index].up and self._capture.held(held.recording) is None:
            self._spawn(self._replace_recording(live, held.recording))

    async def _circumstances(self, recording: str | None) -> Circumstances:
        if recording is None:
            return Circumstances("", "", "", None)
        known = await self._catalogue.recording(recording)
        return Circumstances(known.intervention, known.trigger, known.threat, known.bearer)

    async def _adopt_recorder(self, link: Link) -> None:
        held = await self._capture.adopt(link)
        for live in self.all():
            if live.worker != link.index:
                continue
            if live.recording in held:
                self._calm(live)
            else:
                self._spawn(self._replace_recording(live, live.recording))

    async def _replace_recording(self, live: Live, previous: str | None) -> None:
        """The recorder died under a live camera: a new recording, with new keys, names the one before (DESIGN §3)."""
        async with self._lock(live):
            if self._live.get(live.camera.camera) is not live or live.recording != previous:
                return
            try:
                with patience.hurried():  # the camera's next offer waits for this lock
                    recording = await self._capture.begin(live.worker, live.camera, live.why, previous)
                await self._links.workers[live.worker].ask(RecordingSwitch(live.session, recording), Done)
            except RelayError as error:
                log.warning("recording not replaced", extra={"camera": live.camera.camera, "detail": error.detail})
                self._worry(live)
                return
            live.recording = recording
        self._calm(live)
        self._changed(live.camera.camera)

    def _on_down(self, link: Link) -> None:
        if link.role == "worker":
            return  # the camera is told by its own transport; sessions are compared when the worker is back
        self._capture.lost(link)
        for live in self.all():
            if live.worker == link.index:
                self._worry(live)

    def _on_recording_closed(self, recording: str) -> None:
        """A recording ended under a camera that still streams: the live view may not outlive it (LIV-02)."""
        for live in self.all():
            if live.recording == recording:
                self._worry(live)
                self._spawn(self._replace_recording(live, recording))

    def _on_recording_state(self, recording: str, state: State) -> None:
        """What is not written has its grace to come back; what nobody holds is an alarm, and begins anew."""
        for live in self.all():
            if live.recording != recording:
                continue
            if state == "written":
                self._calm(live)
                continue
            self._worry(live)
            if state == "not open" and not self._lock(live).locked():
                if live.unheld != recording:
                    self._alarm(live, "the recording is not open")
                live.unheld = recording
                self._spawn(self._replace_recording(live, recording))

    def _worry(self, live: Live) -> None:
        """Start the grace period of a recording that stopped; where the camera keeps the original nothing depends on it."""
        seconds = self._rules.grace_of(live.camera.regime)
        if live.grace is None and live.camera.original == "relay" and seconds >= 0:
            live.grace = patience.spawn(self._grace(live, seconds), "record grace")
        self._changed(live.camera.camera)

    def _calm(self, live: Live) -> None:
        if live.grace is not None:
            live.grace.cancel()
            live.grace = None

    def _lock(self, live: Live) -> asyncio.Lock:
        return self._locks.setdefault(live.camera.camera, asyncio.Lock())

    def _alarm(self, live: Live, reason: str) -> None:
        for listener in self.on.alarm:
            listener(live.camera.camera, reason)

    async def _grace(self, live: Live, seconds: float) -> None:
        await asyncio.sleep(seconds)
        live.grace = None
        self._counters.count("recordings_failed")
        reason = "the recording failed"
        self._alarm(live, reason)
        if self._live.get(live.camera.camera) is not live:
            return
        await self._end(live, reason, "lost", None, on_purpose=False)
        # The bearer's press holds: the camera knocks until there is a recorder again, and nothing leaves before.
        self._field.republish(live.camera.camera, reason)

    # --- small things -------------------------------------------------------------------------------------------------

    def _require(self, camera: str, session: str) -> Live:
        live = self._live.get(camera)
        if live is None or live.session != session:
            raise TheirError(Kind.NOT_FOUND, "no such session")
        return live

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = patience.spawn(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _changed(self, camera: str) -> None:
        for listener in self.on.change:
            listener(camera)


async def _logged(work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except RelayError as error:
        log.warning("a camera session could not be changed", extra={"detail": error.detail})
