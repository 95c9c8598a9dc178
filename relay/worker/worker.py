"""One worker: it puts its parts together, answers control, and drives everything that is due by time.

Owns: the life of the worker and the rhythm of its rounds.  Must never know: HTTP, the database, files,
why somebody may watch.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from relay.base.clock import Clock
from relay.base.codes import Code
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, OurError, TheirError
from relay.channel import messages as m
from relay.runtime.error_barrier import ErrorBarrier
from relay.transport.port import Port
from relay.transport.sdp import answer_fragment, parse_fragment
from relay.worker.config import WorkerConfig
from relay.worker.control_link import Answerer, ControlLink, Taker
from relay.worker.fan import Fan
from relay.worker.legs import Legs
from relay.worker.publishers import Publishers
from relay.worker.reports import Reports
from relay.worker.rounds import Rounds
from relay.worker.tap import Tap
from relay.worker.viewers import Viewers

TICK_SECONDS = 0.025
"""Between two rounds while packets come."""
IDLE_TICK_SECONDS = 0.05
"""Between two rounds while none come."""
TAP_SECONDS = 0.06
"""Packets of so long go to the recorder together: to wake it costs more than the work on ten packets."""
REPORT_SECONDS = 1.0

declare(worker_errors="steps of a worker's rounds that failed because of an error of ours")

logger = logging.getLogger(__name__)


class Worker:
    """`run` serves until `finish` is called, or control has been away for `orphan_seconds` seconds."""

    def __init__(
        self, config: WorkerConfig, port: Port, clock: Clock, counters: Counters, listening: socket.socket | None = None
    ) -> None:
        """`listening`: the bound Unix socket for control; made in the run folder where none is given."""
        self._config = config
        self._port = port
        self._clock = clock
        self._started_ns = clock.utc_ns()
        self._finish = asyncio.Event()
        self._loop = loop = asyncio.get_running_loop()
        run_dir = Path(config.run_dir)
        self.barrier = ErrorBarrier(clock.monotonic, counters, "worker_errors")
        self.control = ControlLink(
            listening or run_dir / f"worker-{config.index}.sock",
            config.control_pass,
            counters,
            clock.monotonic,
            self._answerers(),
            self._takers(),
        )
        post = self.control.post
        fan = Fan(clock.monotonic, loop.call_soon, counters)
        self.legs = Legs(fan.audience, clock, post)
        recorder = run_dir / f"recorder-{config.index}.sock"
        self._tap = Tap(recorder, config.tap_pass, config.tap_bound, counters, self._on_keyframe, self._pong)
        self._tap_at = 0.0
        self.publishers = Publishers(
            port, clock, counters, self._tap, fan, self.legs, post, loop.call_later, config.max_camera_kbps * 1000,
            lambda camera: self.viewers.show(camera),
        )  # fmt: skip
        self.viewers = Viewers(
            port,
            clock,
            counters,
            self.publishers,
            self.legs,
            post,
            loop.call_later,
            self.barrier,
            config.playout_delay_max_ms,
        )
        self.reports = Reports(
            config.index, self.publishers, self.viewers, self.legs, self._tap, clock, counters, self.barrier, post
        )
        self._rounds = Rounds(self.tick, TICK_SECONDS, IDLE_TICK_SECONDS, loop.call_later, clock.monotonic, self.barrier)

    def _answerers(self) -> dict[type[m.Message], Answerer]:
        """The answer to each question of control; looked up when it comes, because the parts are made later."""
        return {
            m.Ping: lambda _: self._pong(),
            m.Shutdown: self._on_shutdown,
            m.InventoryAsk: lambda _: self.reports.inventory(),
            m.PublishOpen: lambda message: self.publishers.open(message),
            m.PublisherChange: lambda message: self.publishers.change(message),
            m.RecordingSwitch: lambda message: self.publishers.switch_recording(message),
            m.ViewerOpen: lambda message: self.viewers.open(message),
            m.SlotAssign: lambda message: self.viewers.assign(message),
            m.AudioAssign: lambda message: self.viewers.assign_sound(message),
            m.PeerPatch: self._on_patch,
            m.PeerClose: self._on_close,
        }

    def _takers(self) -> dict[type[m.Message], Taker]:
        return {
            m.SlotLayer: lambda message: self.viewers.set_layer(message),
            m.LeaseRenew: lambda message: self.legs.renew(message),
            m.PublisherKeep: lambda message: self.publishers.keep(message),
            m.KeyframeAsk: self._on_keyframe,
        }

    # --- life ----------------------------------------------------------------------------------------------------------

    async def run(self, opened: Callable[[], None] = lambda: None) -> None:
        """Serve.  Raises OSError where the socket of the channel cannot be made.

        `opened` is called once every socket is open, before a peer exists: from then on the worker opens none but the tap's.
        """
        self._port.start(self._rounds.passing)
        self._rounds.start()
        await self._start_tcp()
        await self.control.open()
        opened()
        loops = (self._tap.run(self.publishers.feeds), self._repeat(self.reports.send, REPORT_SECONDS))
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            await self._finish.wait()
        finally:
            self._rounds.stop()
            self.viewers.close_all()
            self.publishers.close_all()
            await asyncio.sleep(0.05)  # messages that were posted reach control and recorder
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tap.disconnect()
            self.control.close()
            self._port.stop()

    async def _start_tcp(self) -> None:
        """Without TCP there is still UDP: a port that another process holds ends nothing."""
        if self._config.tcp:
            try:
                await self._port.start_tcp()
            except OurError as error:
                logger.warning("no ICE over TCP: %s", error.detail)

    def finish(self, reason: str) -> None:
        """End in order: sessions are closed, the ends of views are posted, the recorder sees `shutdown`."""
        logger.info("worker %d ends: %s", self._config.index, reason)
        self._finish.set()

    @property
    def is_finishing(self) -> bool:
        """Whether the end has begun."""
        return self._finish.is_set()

    @property
    def is_idle(self) -> bool:
        """Whether no camera streams."""
        return not self.publishers.by_camera

    # --- rhythm --------------------------------------------------------------------------------------------------------

    async def _repeat(self, step: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Do a step again and again; an error of ours costs one round, not the worker."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await step()
            except Exception:
                self.barrier.failed("a report")

    def tick(self, now: float) -> None:
        """One round.  A bug of one peer costs neither the others their step nor the worker the rest of the round."""
        call = self.barrier.call
        call("the port", self._port.tick, now)
        for camera in list(self.publishers.by_camera.values()):
            call("a camera", camera.tick, now)
        if now >= self._tap_at:
            self._tap_at = now + TAP_SECONDS
            for feed in self.publishers.feeds():
                call("the tap", self._tap.flush, feed)
        for viewer, slot in self.legs.expired(now):
            call("the end of a lease", self.legs.end_lease, viewer, slot)
        call("the watch on control", self._watch_control, now)

    def _watch_control(self, now: float) -> None:
        if self.control.alone_for(now) > self._config.orphan_seconds and not self.is_finishing:
            self.finish(f"no control for {self._config.orphan_seconds} s")

    # --- questions that concern the worker, or either kind of peer -----------------------------------------------------

    def _pong(self) -> m.Pong:
        return m.Pong("worker", self._config.index, os.getpid(), self._started_ns)

    def _on_shutdown(self, message: m.Shutdown) -> m.Message:
        self._loop.call_soon(self.finish, message.reason)
        return m.Done()

    def _on_keyframe(self, message: m.KeyframeAsk) -> None:
        self.publishers.ask_keyframe(message)

    def _on_patch(self, message: m.PeerPatch) -> m.Message:
        holder = self.viewers.by_session.get(message.session) or self.publishers.of_session(message.session)
        if holder is None or holder.peer is None:
            raise TheirError(Kind.NOT_FOUND, "no such session", code=Code.SESSION_NOT_FOUND)
        fragment = parse_fragment(message.fragment)
        if not message.restart:
            return m.Patched(None, None)
        local = holder.peer.restart(fragment, message.hosts)
        return m.Patched(answer_fragment(local, fragment), local.ufrag)

    def _on_close(self, message: m.PeerClose) -> m.Message:
        viewer = self.viewers.by_session.get(message.session)
        if viewer is not None:
            self.viewers.close(viewer, message.reason.sentence)
        camera = self.publishers.of_session(message.session)
        if camera is not None:
            # A session that another one takes over was lost, not stopped: its recording goes on with the next one.
            camera.close("lost" if message.reason.is_loss else "ended", message.reason.sentence)
        return m.Done()
