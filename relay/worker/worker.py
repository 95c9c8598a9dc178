"""The worker: control's wishes become peers and legs; facts go back.

What this file owns: which cameras and viewers there are, and the rhythm of everything that is due by time.  What it must never
know: HTTP, the database, files, why somebody may watch.
"""

import asyncio
import logging
import os
import resource
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters
from relay.base.errors import Kind, OurError, TheirError
from relay.channel import messages as m
from relay.channel.framing import Connection, listen
from relay.fanout.stream import Stream
from relay.rtp.burst import MediaPacket
from relay.transport.port import Port
from relay.transport.sdp import answer_fragment, answer_publisher, answer_viewer, parse_fragment
from relay.worker.camera_peer import SHUTDOWN, CameraEvents, CameraPeer
from relay.worker.config import WorkerConfig
from relay.worker.error_barrier import ErrorBarrier
from relay.worker.fan import Fan
from relay.worker.legs import Legs
from relay.worker.rounds import Rounds
from relay.worker.slot import Slot
from relay.worker.tap import Tap, TapFeed
from relay.worker.viewer_peer import ViewerEvents, ViewerPeer

TICK = 0.025
"""Seconds between two rounds while packets come."""
TICK_LATEST = 0.05
"""And while none do."""
TAP_EVERY = 0.06
"""Seconds of packets that go to the recorder together: waking it costs more than what it does with ten of them."""
PACE = 0.002
"""Seconds between two pieces of a paced replay."""
REPORT = 1.0
TOLD_AT_ONCE = 8
"""Viewers that get their reports before the loop has a turn."""

logger = logging.getLogger(__name__)

_Answerer: TypeAlias = Callable[[Any], m.Message]


class Worker:
    """See the module.  `run` serves until it is told to finish, or nobody has asked for it for `orphan_after`."""

    def __init__(self, config: WorkerConfig, port: Port, clock: Clock, counters: Counters) -> None:
        self._config = config
        self._port = port
        self._clock = clock
        self._counters = counters
        self._started_ns = clock.utc_ns()
        self._controls: set[Connection] = set()
        self._alone_since = clock.monotonic()
        self._finish = asyncio.Event()
        self.cameras: dict[str, CameraPeer] = {}
        """By camera: one live session each."""
        self.viewers: dict[str, ViewerPeer] = {}
        self.legs = Legs(clock, self._post)
        self._loop = asyncio.get_running_loop()
        self._fan = Fan(clock.monotonic, self._loop.call_soon, counters)
        self._barrier = ErrorBarrier(clock.monotonic, counters)
        self._rounds = Rounds(self._tick, TICK, TICK_LATEST, self._loop.call_later, clock.monotonic, self._barrier)
        self._paced: dict[ViewerPeer, None] = {}
        run_dir = Path(config.run_dir)
        self._socket_path = run_dir / f"worker-{config.index}.sock"
        self._tap = Tap(run_dir / f"recorder-{config.index}.sock", config.tap_bound, counters, self._on_keyframe, self._pong)
        self._tap_at = 0.0
        self._camera_events = CameraEvents(self._on_batch, self._on_changed, self._on_camera_over, self._loop.call_later)
        self._viewer_events = ViewerEvents(
            self._on_viewer_connected, self._on_viewer_closed, self.legs.started, self._on_waiting
        )
        self._answerers: dict[type[m.Message], _Answerer] = {
            m.Ping: lambda _: self._pong(),
            m.Shutdown: self._on_shutdown,
            m.PublishOpen: self._on_publish,
            m.ViewerOpen: self._on_viewer,
            m.PeerPatch: self._on_patch,
            m.PeerClose: self._on_close,
            m.SlotAssign: self._on_assign,
            m.AudioAssign: self._on_audio,
            m.RecordingSwitch: self._on_switch,
            m.PublisherChange: self._on_change,
            m.InventoryAsk: lambda _: self._inventory(),
        }

    # --- life ----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve.  Raises OSError where the socket of the channel cannot be made."""
        self._port.start(self._rounds.passing)
        self._rounds.start()
        await self._start_tcp()
        server = await listen(
            self._socket_path,
            self._on_control,
            on_post=self._on_post,
            on_ask=self._on_ask,
            counters=self._counters,
        )
        rounds = (self._tap.run(self._feds), self._guarded(self._tell, REPORT))
        tasks = [asyncio.create_task(round_) for round_ in rounds]
        try:
            await self._finish.wait()
        finally:
            self._rounds.stop()
            self._close_all()
            await asyncio.sleep(0.05)  # what was posted reaches control and recorder
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tap.shut()
            for connection in self._controls:
                connection.close()
            server.close()
            self._port.stop()

    async def _start_tcp(self) -> None:
        """Without TCP there is still UDP: a port that somebody else holds ends nothing."""
        if self._config.tcp:
            try:
                await self._port.start_tcp()
            except OurError as error:
                logger.warning("no ICE over TCP: %s", error.detail)

    def finish(self, reason: str) -> None:
        """End in order: sessions are closed, views told, the recorder sees `shutdown`."""
        logger.info("worker %d ends: %s", self._config.index, reason)
        self._finish.set()

    @property
    def is_idle(self) -> bool:
        """Whether no camera streams."""
        return not self.cameras

    def _close_all(self) -> None:
        for viewer in list(self.viewers.values()):
            self._drop_viewer(viewer, SHUTDOWN)
        for camera in list(self.cameras.values()):
            camera.close("ended", SHUTDOWN, shutdown=True)

    async def _guarded(self, step: Callable[[], Awaitable[None]], every: float) -> None:
        """Do something again and again; an error of ours costs one round, not the worker."""
        while True:
            await asyncio.sleep(every)
            try:
                await step()
            except Exception:
                self._barrier.failed("a report")

    def _tick(self, now: float) -> None:
        """One peer's bug costs neither the others their step nor the worker what comes after."""
        call = self._barrier.call
        call("the port", self._port.tick, now)
        for camera in list(self.cameras.values()):
            call("a camera", camera.tick, now)
        if now >= self._tap_at:
            self._tap_at = now + TAP_EVERY
            for fed in self._feds():
                call("the tap", self._tap.flush, fed)
        for viewer, slot in self.legs.over(now):
            call("the end of a lease", self.legs.end_lease, viewer, slot)
        call("the watch on control", self._watch_control, now)

    async def _tell(self) -> None:
        """Reports to viewers and to control, a few viewers at a time: packets go first."""
        for at, viewer in enumerate(list(self.viewers.values())):
            self._barrier.call("a viewer's reports", self._tell_viewer, viewer, self._clock.monotonic())
            if at % TOLD_AT_ONCE == TOLD_AT_ONCE - 1:
                await asyncio.sleep(0)
        self._post(self._report(self._clock.monotonic()))

    def _tell_viewer(self, viewer: ViewerPeer, now: float) -> None:
        viewer.send_reports(now)
        viewer.adapt(now)

    def _on_waiting(self, viewer: ViewerPeer) -> None:
        """A viewer's packets are sent in pieces: come back for the next one."""
        if not self._paced:
            self._loop.call_later(PACE, self._drain)
        self._paced[viewer] = None

    def _drain(self) -> None:
        paced, self._paced = self._paced, {}
        now = self._clock.monotonic()
        for viewer in paced:
            if self._barrier.call("a replay", viewer.drain_all, now):
                self._on_waiting(viewer)

    def _watch_control(self, now: float) -> None:
        self._controls = {connection for connection in self._controls if not connection.closed}
        if self._controls:
            self._alone_since = now
        elif now - self._alone_since > self._config.orphan_after:
            self.finish(f"no control for {self._config.orphan_after} s")

    # --- channel -------------------------------------------------------------------------------------------------------

    async def _on_control(self, connection: Connection) -> None:
        self._controls.add(connection)

    def _post(self, message: m.Message) -> None:
        for connection in self._controls:
            connection.post(message)

    def _on_post(self, connection: Connection, message: m.Message) -> None:
        if isinstance(message, m.SlotLayer):
            self.legs.relayer(self.viewers.get(message.session), message)
        elif isinstance(message, m.LeaseRenew):
            self.legs.renew(message)
        elif isinstance(message, m.KeyframeAsk):
            self._on_keyframe(message)

    async def _on_ask(self, connection: Connection, message: m.Message) -> m.Message:
        answerer = self._answerers.get(type(message))
        if answerer is None:
            raise TheirError(Kind.INVALID, f"a worker answers no {type(message).__name__}")
        return answerer(message)

    def _pong(self) -> m.Pong:
        return m.Pong("worker", self._config.index, os.getpid(), self._started_ns)

    def _on_shutdown(self, message: m.Shutdown) -> m.Message:
        self._loop.call_soon(self.finish, message.reason)
        return m.Done()

    # --- cameras -------------------------------------------------------------------------------------------------------

    def _on_publish(self, message: m.PublishOpen) -> m.Message:
        local = self._port.new_local()
        answer = answer_publisher(message.offer, local, sound=message.sound)
        previous = self.cameras.get(message.camera)
        if previous is not None:
            previous.close("lost", "taken over by a new session")
        camera = CameraPeer(
            message,
            answer,
            self._clock,
            self._counters,
            self._tap,
            self._camera_events,
            self._config.max_camera_kbps * 1000,
        )
        now = self._clock.monotonic()
        camera.peer = self._port.add(local, answer.remote, camera, now, message.silence_after)
        self.cameras[message.camera] = camera
        self._on_changed(camera, "")
        return m.Answer(answer.text, local.ufrag, 0, answer.audio is not None)

    def _on_batch(self, camera: CameraPeer, stream: Stream, batch: list[MediaPacket]) -> None:
        slots = self.legs.showing(camera, stream)
        if slots:
            self._fan.submit(camera.camera, stream, batch, slots)

    def _on_changed(self, camera: CameraPeer, reason: str) -> None:
        self._post(m.PublisherState(camera.session, camera.camera, camera.state, reason, self._clock.utc_ns()))

    def _on_camera_over(self, camera: CameraPeer, state: m.SourceState, reason: str) -> None:
        if self.cameras.get(camera.camera) is camera:
            del self.cameras[camera.camera]
            self.legs.silence(camera.camera)
        self._on_changed(camera, reason)

    def _on_keyframe(self, message: m.KeyframeAsk) -> None:
        camera = self.cameras.get(message.camera)
        stream = camera.layer("high") if camera is not None else None
        if stream is not None:
            stream.keyframes.want(self._clock.monotonic())

    def _on_switch(self, message: m.RecordingSwitch) -> m.Message:
        camera = self._camera_of(message.session)
        if camera is None:
            raise TheirError(Kind.NOT_FOUND, "no such session", code=Code.SESSION_NOT_FOUND)
        camera.switch_recording(message.recording)
        return m.Done()

    def _on_change(self, message: m.PublisherChange) -> m.Message:
        camera = self._camera_of(message.session)
        if camera is None:
            raise TheirError(Kind.NOT_FOUND, "no such session", code=Code.SESSION_NOT_FOUND)
        camera.live_audio, camera.confirmed = message.live_audio, message.confirmed_mono
        if not message.live_audio:
            # What waits to be sent goes too; the recording keeps its sound, as its signed start says.
            for viewer in self.viewers.values():
                if viewer.audio is not None and viewer.audio.camera == camera.camera:
                    self.legs.hear(viewer, None)
        return m.Done()

    def _camera_of(self, session: str) -> CameraPeer | None:
        return next((camera for camera in self.cameras.values() if camera.session == session), None)

    def _feds(self) -> list[TapFeed]:
        return [camera.fed for camera in self.cameras.values() if camera.fed is not None]

    # --- viewers -------------------------------------------------------------------------------------------------------

    def _on_viewer(self, message: m.ViewerOpen) -> m.Message:
        local = self._port.new_local()
        answer = answer_viewer(message.offer, local)
        viewer = ViewerPeer(
            message.session,
            answer,
            self._port,
            self._clock,
            self._counters,
            self._viewer_events,
            self._config.playout_delay_max_ms,
        )
        viewer.peer = self._port.add(local, answer.remote, viewer, self._clock.monotonic())
        self.viewers[message.session] = viewer
        return m.Answer(answer.text, local.ufrag, len(answer.videos), answer.audio is not None)

    def _on_viewer_connected(self, viewer: ViewerPeer) -> None:
        """Show at once what was assigned while the viewer was connecting."""
        self._post(m.ViewerState(viewer.session, "connected", ""))
        for slot in viewer.slots:
            self._show(viewer, slot)

    def _on_viewer_closed(self, viewer: ViewerPeer, reason: str) -> None:
        if self.viewers.pop(viewer.session, None) is not None:
            self.legs.drop(viewer, reason)
            self._post(m.ViewerState(viewer.session, "closed", reason))

    def _drop_viewer(self, viewer: ViewerPeer, reason: str) -> None:
        if viewer.peer is not None:
            viewer.peer.close(reason)
        self._on_viewer_closed(viewer, reason)

    def _on_assign(self, message: m.SlotAssign) -> m.Message:
        viewer = self._viewer(message.session)
        if not 0 <= message.slot < len(viewer.slots):
            raise TheirError(Kind.NOT_FOUND, f"no slot {message.slot}", code=Code.SLOT_NOT_FOUND, facts={"slot": message.slot})
        slot = viewer.slots[message.slot]
        self.legs.assign(viewer, slot, message)
        self._show(viewer, slot)
        return m.Done()

    def _show(self, viewer: ViewerPeer, slot: Slot) -> None:
        """Replay the keyframe cache now: the next live packet may be a frame away."""
        camera = self.cameras.get(slot.camera) if slot.camera is not None else None
        stream = camera.layer(slot.layer) if camera is not None else None
        if stream is not None and viewer.connected:
            slot.begin(stream, None, self._clock.monotonic())

    def _on_audio(self, message: m.AudioAssign) -> m.Message:
        viewer = self._viewer(message.session)
        if viewer.audio is None or (message.slot is not None and not 0 <= message.slot < len(viewer.slots)):
            raise TheirError(Kind.NOT_FOUND, "no such slot, or no sound was agreed", code=Code.SOUND_NOT_AGREED)
        if message.slot is not None:
            name = viewer.slots[message.slot].camera
            camera = self.cameras.get(name) if name is not None else None
            if camera is not None and not camera.live_audio:
                raise TheirError(
                    Kind.FORBIDDEN, "this camera's sound is recorded and not heard live", code=Code.SOUND_ONLY_RECORDED
                )
        self.legs.hear(viewer, message.slot)
        return m.Done()

    def _viewer(self, session: str) -> ViewerPeer:
        viewer = self.viewers.get(session)
        if viewer is None:
            raise TheirError(Kind.NOT_FOUND, "no such session", code=Code.SESSION_NOT_FOUND)
        return viewer

    # --- both ----------------------------------------------------------------------------------------------------------

    def _on_patch(self, message: m.PeerPatch) -> m.Message:
        holder = self.viewers.get(message.session) or self._camera_of(message.session)
        if holder is None or holder.peer is None:
            raise TheirError(Kind.NOT_FOUND, "no such session", code=Code.SESSION_NOT_FOUND)
        fragment = parse_fragment(message.fragment)
        if not message.restart:
            return m.Patched(None, None)
        local = holder.peer.restart(fragment)
        return m.Patched(answer_fragment(local, fragment), local.ufrag)

    def _on_close(self, message: m.PeerClose) -> m.Message:
        viewer = self.viewers.get(message.session)
        if viewer is not None:
            self._drop_viewer(viewer, message.reason.sentence)
        camera = self._camera_of(message.session)
        if camera is not None:
            # A session that another one takes over was lost, not stopped: its recording goes on with the next one.
            camera.close("lost" if message.reason.is_loss else "ended", message.reason.sentence)
        return m.Done()

    def _inventory(self) -> m.WorkerInventory:
        now = self._clock.monotonic()
        viewers = self.viewers.values()
        return m.WorkerInventory(
            tuple(camera.held(now) for camera in self.cameras.values()),
            tuple(m.ViewerHeld(v.session, v.etag, len(v.slots), v.connected) for v in viewers),
            tuple(held for viewer in viewers for held in self.legs.held(viewer)),
        )

    def _report(self, now: float) -> m.WorkerReport:
        call = self._barrier.call
        usage = resource.getrusage(resource.RUSAGE_SELF)
        sources = [call("a report", camera.report, now, self.legs.count(name)) for name, camera in self.cameras.items()]
        shown = [slot for viewer in self.viewers.values() for slot in viewer.slots if slot.camera is not None]
        legs = [call("a report", slot.report) for slot in shown]
        return m.WorkerReport(
            index=self._config.index,
            sources=tuple(source for source in sources if source is not None),
            legs=tuple(leg for leg in legs if leg is not None),
            counters=dict(self._counters.snapshot()),
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            tap_backlog=self._tap.backlog,
        )
