"""The recorder's loop: the tap, the requests of control, timers.  Everything slow is in the vault thread.

What this file owns: which recordings are open and who feeds them; telling control.  What it must never know: how a recording is
made, files.

Facts that no control hears are kept (bounded) until one is there.  A recording that no camera feeds ends, *lost*, after
`resume_seconds`; a recorder that no control has talked to for `orphan_after` seals, closes and exits.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from relay.base.clock import Clock, SystemClock, read_both
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, OurError, TheirError
from relay.channel import framing, messages
from relay.channel.framing import Connection
from relay.channel.messages import Message
from relay.evidence.chain import Reason
from relay.evidence.seal import CERTIFICATE, MemorySigner, SessionSigner
from relay.evidence.wire import decode
from relay.record.line import LineSettings
from relay.record.wall_clock import WallClock
from relay.recorder.config import RecorderConfig
from relay.recorder.event_messages import closed, segment_sealed
from relay.recorder.jobs import EndJob, GapSealed, OpenJob, Progress, RecordingEnded, RenewKeyJob, SegmentEnded, VaultEvent
from relay.recorder.recording import Recording
from relay.recorder.recover import Recovered, left_behind, marked, recover_all
from relay.recorder.writer import VaultThread, WriterSettings
from relay.runtime.tasks import attempt
from relay.store.vault import FileOps, Vault

logger = logging.getLogger(__name__)

RecordingState: TypeAlias = Literal["waiting", "recording", "stalled", "full"]

TICK_SECONDS = 0.1
REPORT_SECONDS = 1.0
OPEN_SECONDS = 8.0
FACTS_BOUND = 4096
UNHELD_BOUND = 256
STOP_SECONDS = 15.0
CLOSE_SECONDS = 0.05
"""For the last answers to leave and the connections' readers to see their end."""

declare(
    recorder_taps_unknown="tap messages for a recording that is not open",
    recorder_errors="steps of a recorder that failed because of an error of ours",
    recorder_facts_lost="facts dropped because no control came to hear them",
)


class Recorder:
    """One recorder process."""

    def __init__(self, config: RecorderConfig, clock: Clock | None = None, ops: FileOps | None = None) -> None:
        """Raises TheirError where the session certificate does not decode."""
        self._config = config
        self._clock = clock or SystemClock()
        self._ops = ops or FileOps()
        self._root = Path(config.vault)
        self._signer = SessionSigner(MemorySigner(config.session_seed), decode(CERTIFICATE, config.session_certificate))
        self.counters = Counters()
        self._settings = LineSettings(
            reorder=config.reorder_ms * 1_000_000,
            fragment=int(config.fragment_seconds * 1e9),
            segment=int(config.segment_seconds * 1e9),
        )
        self._recordings: dict[str, Recording] = {}
        self._taps: dict[str, Connection] = {}
        self._connections: list[Connection] = []
        self._controls: list[Connection] = []
        self._controlled = self._clock.monotonic()
        self._unheard: deque[Message] = deque(maxlen=FACTS_BOUND)
        self._unheld: set[str] = set()
        """Recordings that are tapped but not open, since the last report."""
        self._ends: dict[str, asyncio.Future[None]] = {}
        self._started_ns = self._clock.utc_ns()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._vault: VaultThread | None = None
        self.failed = False
        """A bug ended the vault thread: the process has to end, and the next one recovers."""
        self.done = asyncio.Event()
        """Set when the recorder should end: asked to, or orphaned."""

    # --- life ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Listen, record until `done`, then close everything; recover what was left behind beside that.

        Reading the chain of a long recording takes seconds: cameras that are live now must not wait for it.
        """
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(Vault(self._root, self._ops).prepare)
        left = await asyncio.to_thread(self._left)
        self._vault = self._make_vault()
        self._vault.start()
        server = await framing.listen(
            Path(self._config.run_dir) / f"recorder-{self._config.index}.sock",
            self._on_connection,
            on_post=self._on_post,
            on_ask=self._on_ask,
            counters=self.counters,
        )
        ticker = asyncio.create_task(self._tick(), name="recorder timers")
        recovering = asyncio.create_task(asyncio.to_thread(self._recover, left), name="recovery")
        try:
            await self.done.wait()
        finally:
            server.close()
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
            await self._end_recovery(recovering)
            await self._close_all()

    def stop(self, reason: str) -> None:
        """Have `run` close everything and return."""
        logger.info("recorder ends: %s", reason)
        self.done.set()

    def _left(self) -> dict[int, tuple[str, ...]]:
        """Return what this recorder, and those that are no more, left open, by recorder."""
        config = self._config
        indexes = [config.index]
        if config.index == 0 and config.recorders:
            indexes += left_behind(self._root, Path(config.run_dir), config.recorders)
        return {index: marked(self._root, index) for index in indexes}

    def _recover(self, left: dict[int, tuple[str, ...]]) -> None:
        """Recover one after the other, in a thread of its own; each is told at once."""
        assert self._loop is not None
        for index, recordings in left.items():
            for item in recover_all(self._ops, self._root, index, self._signer, self._clock, recordings):
                _to_loop(self._loop, self._tell_recovered, item)

    async def _end_recovery(self, recovering: asyncio.Task[None]) -> None:
        """Wait for the recovery as long as for the vault; what it did not reach is left for the next start."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.shield(recovering)
        except TimeoutError:
            logger.error("recovery is not done yet; the next start goes on with it")
        except Exception:
            logger.exception("recovery failed; the next start tries again")

    def _make_vault(self) -> VaultThread:
        config = self._config
        settings = WriterSettings(
            self._root, config.index, config.sync_seconds, config.backlog_seconds, config.reserve_bytes, config.keep_free
        )
        assert self._loop is not None
        loop = self._loop
        return VaultThread(
            settings, self._signer, self._clock, self.counters, lambda fact: _to_loop(loop, self._on_fact, fact), self._ops
        )

    async def _close_all(self) -> None:
        for recording in list(self._recordings.values()):
            self._finish(recording, Reason.SHUTDOWN, None)
        assert self._vault is not None
        if not await asyncio.to_thread(self._vault.stop, STOP_SECONDS) or self.failed:
            logger.error("the disk did not let every recording be closed; recovery will")
        await asyncio.sleep(0)
        for connection in self._connections:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await connection.drain()
            connection.close()
        await asyncio.sleep(CLOSE_SECONDS)

    # --- connections --------------------------------------------------------------------------------------------------

    async def _on_connection(self, connection: Connection) -> None:
        """Who it is shows with its first message."""
        self._connections = [known for known in self._connections if not known.closed] + [connection]

    def _on_post(self, connection: Connection, message: Message) -> None:
        if isinstance(message, messages.TapPackets):
            recording = self._recordings.get(message.recording)
            if recording is None:
                self._not_open(message.recording)
                return
            recording.packets(message, self._now())
            self._pass_on(recording)
        else:
            self._on_rare_post(connection, message)

    def _on_rare_post(self, connection: Connection, message: Message) -> None:
        if isinstance(message, messages.Shutdown):
            self.stop(message.reason)
            return
        named = getattr(message, "recording", None)
        recording = self._recordings.get(named) if isinstance(named, str) else None
        if recording is None:
            self._not_open(named if isinstance(message, messages.TapOpen) else None)
        elif isinstance(message, messages.TapOpen):
            self._taps[message.recording] = connection
            recording.open(message, self._now())
            self._pass_on(recording)
        elif isinstance(message, messages.TapSender):
            recording.sender(message)
        elif isinstance(message, messages.TapLost):
            recording.overflow(message.packets)
        elif isinstance(message, messages.TapClose):
            self._taps.pop(message.recording, None)
            self._tap_closed(recording, message.reason)
        elif isinstance(message, messages.RecordMeta):
            recording.meta(message)

    def _not_open(self, recording: str | None) -> None:
        """Somebody taps into a recording that is not open: control is told, because nothing of it is kept."""
        self.counters.count("recorder_taps_unknown")
        if recording is not None and len(self._unheld) < UNHELD_BOUND:
            self._unheld.add(recording)

    async def _on_ask(self, connection: Connection, message: Message) -> Message:
        self._controlled = self._clock.monotonic()
        if connection not in self._controls:
            self._controls.append(connection)
            self._tell_unheard()
        if isinstance(message, messages.Ping):
            return messages.Pong("recorder", self._config.index, os.getpid(), self._started_ns)
        if isinstance(message, messages.InventoryAsk):
            return self._inventory()
        if isinstance(message, messages.RecordOpen):
            return await self._open(message)
        if isinstance(message, messages.RecordClose):
            return await self._close(message)
        if isinstance(message, messages.SessionRenew):
            return self._renew(message)
        if isinstance(message, messages.Shutdown):
            self.stop(message.reason)
            return messages.Done()
        raise TheirError(Kind.INVALID, f"a recorder does not answer {type(message).__name__}")

    # --- recordings ---------------------------------------------------------------------------------------------------

    async def _open(self, message: messages.RecordOpen) -> Message:
        plan = message.plan
        if plan.recording in self._recordings:
            raise TheirError(Kind.CONFLICT, "this recording is open already")
        if len(message.key) != 32 or self.done.is_set():
            raise TheirError(Kind.UNAVAILABLE, "the recorder cannot open a recording")
        assert self._loop is not None
        assert self._vault is not None
        if self._vault.disk != "ok":
            raise OurError("the vault cannot be written", retry_after=2.0)
        loop, opened = self._loop, self._new_future()

        def answer(error: Exception | None) -> None:
            _to_loop(loop, lambda problem: _settle(opened, problem), error)

        self._vault.put(OpenJob(plan, message.key, answer))
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await asyncio.shield(opened)
        except TimeoutError as error:
            self._vault.put(EndJob(plan.recording, Reason.REFUSED, None, self._clock.utc_ns()))
            raise OurError("the vault does not answer", retry_after=2.0) from error
        utc_ns, now = read_both(self._clock)
        wall = WallClock(utc_ns, now)
        self._recordings[plan.recording] = Recording(plan, self._settings, wall, now, self._vault.put, self.counters)
        return messages.Done()

    async def _close(self, message: messages.RecordClose) -> Message:
        recording = self._recordings.get(message.recording)
        ending = self._ends.get(message.recording)
        if recording is not None:
            ending = self._finish(recording, Reason(message.reason), message.author)
        if ending is None:
            raise TheirError(Kind.NOT_FOUND, "this recording is not open")
        await asyncio.shield(ending)
        return messages.Done()

    def _renew(self, message: messages.SessionRenew) -> Message:
        """Raises TheirError where the certificate does not decode or is another key's."""
        signer = SessionSigner(MemorySigner(message.seed), decode(CERTIFICATE, message.certificate))
        if signer.certificate.session_key != signer.public_key:
            raise TheirError(Kind.INVALID, "the certificate is not of this key")
        self._signer = signer
        assert self._vault is not None
        self._vault.put(RenewKeyJob(signer))
        logger.info("another session key signs from now on")
        return messages.Done()

    def _finish(self, recording: Recording, reason: Reason, author: str | None) -> asyncio.Future[None]:
        name = recording.plan.recording
        self._ends[name] = self._new_future()
        recording.finish(reason, author, self._now())
        del self._recordings[name]
        self._taps.pop(name, None)
        return self._ends[name]

    def _tap_closed(self, recording: Recording, reason: str) -> None:
        if reason == "stopped":
            self._finish(recording, Reason.STOPPED, None)
        else:
            recording.lost(self._now())

    def _pass_on(self, recording: Recording) -> None:
        """KeyframeRequest the camera for a keyframe, where the recording wants one."""
        if recording.keyframe_wanted is None:
            return
        tap = self._taps.get(recording.plan.recording)
        if tap is not None and not tap.closed:
            tap.post(messages.KeyframeAsk(recording.plan.camera, "loss" if recording.keyframe_wanted == "loss" else "segment"))
        recording.keyframe_wanted = None

    # --- timers -------------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        report_at = self._clock.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = self._now()
            for recording in list(self._recordings.values()):
                attempt(self.counters, "recorder_errors", self._advance, recording, now)
            if self._clock.monotonic() >= report_at:
                report_at = self._clock.monotonic() + REPORT_SECONDS
                attempt(self.counters, "recorder_errors", self._each_second)

    def _advance(self, recording: Recording, now: int) -> None:
        name = recording.plan.recording
        tap = self._taps.get(name)
        if tap is not None and tap.closed:
            del self._taps[name]
            recording.lost(now)
        recording.advance(now)
        self._pass_on(recording)
        if recording.lost_since is not None and now - recording.lost_since >= self._config.resume_seconds * 1e9:
            self._finish(recording, Reason.LOST, None)

    def _each_second(self) -> None:
        self._controls = [connection for connection in self._controls if not connection.closed]
        if self._controls:
            self._controlled = self._clock.monotonic()
        elif self._clock.monotonic() - self._controlled >= self._config.orphan_after:
            self.stop("no control")
        if self._vault is not None and not self._vault.alive:
            self.failed = True
            self.stop("the vault thread died")
        utc_ns, mono_ns = read_both(self._clock)
        for recording in self._recordings.values():
            recording.observe(utc_ns, mono_ns)
        if self._controls:
            report = self._report()
            for connection in self._controls:
                connection.post(report)

    def _report(self) -> messages.RecorderReport:
        assert self._vault is not None
        unheld, self._unheld = tuple(sorted(self._unheld)), set()
        return messages.RecorderReport(
            unheld=unheld,
            index=self._config.index,
            recordings=tuple(self._report_of(recording) for recording in self._recordings.values()),
            counters=dict(self.counters.snapshot()),
            cpu_seconds=time.process_time(),
            disk_free=max(0, self._vault.free_bytes - self._config.keep_free),
            backlog_bytes=self._vault.backlog_bytes,
            disk=self._vault.disk,
            session_until_ns=self._signer.certificate.not_after_ns,
        )

    def _report_of(self, recording: Recording) -> messages.RecordingReport:
        progress = recording.progress
        return messages.RecordingReport(
            recording=recording.plan.recording,
            camera=recording.plan.camera,
            sealed_until_mono=recording.sealed_until_mono,
            links=progress.links,
            gaps=progress.gaps,
            stored_bytes=progress.stored_bytes,
            state=self._state_of(recording),
        )

    def _state_of(self, recording: Recording) -> RecordingState:
        assert self._vault is not None
        disk = self._vault.disk
        if disk == "full":
            return "full"
        if disk != "ok":
            return "stalled"
        return "recording" if recording.seen_media and recording.lost_since is None else "waiting"

    # --- facts --------------------------------------------------------------------------------------------------------

    def _on_fact(self, fact: VaultEvent) -> None:
        if isinstance(fact, Progress):
            recording = self._recordings.get(fact.recording)
            if recording is not None:
                recording.progress = fact
        elif isinstance(fact, SegmentEnded):
            self._tell(segment_sealed(fact))
        elif isinstance(fact, GapSealed):
            gap = fact.gap
            self._tell(messages.GapSeen(gap.recording, gap.start_ns, gap.length_ns, gap.cause.value))
        elif isinstance(fact, RecordingEnded):
            # One may end by itself, because nothing more can be sealed in it: what is tapped from here on is told as unheld.
            self._recordings.pop(fact.recording, None)
            self._taps.pop(fact.recording, None)
            self._tell(closed(fact))
            ending = self._ends.pop(fact.recording, None)
            if ending is not None and not ending.done():
                ending.set_result(None)

    def _tell_recovered(self, item: Recovered) -> None:
        for segment in item.segments:
            self._tell(segment_sealed(segment))
        self._tell(
            messages.RecordingClosed(
                recording=item.recording,
                reason=item.reason,
                links=item.links,
                head=item.head,
                end_ns=item.end_ns,
                recovered=item.reason in ("interrupted", "damaged"),
                gaps=item.gaps,
                duration_ns=item.duration_ns,
                stored_bytes=item.stored_bytes,
                damage=item.damage,
            )
        )

    def _tell(self, message: Message) -> None:
        heard = [connection.post(message) for connection in self._controls if not connection.closed]
        if not any(heard):
            if len(self._unheard) == FACTS_BOUND:
                self.counters.count("recorder_facts_lost")
            self._unheard.append(message)

    def _tell_unheard(self) -> None:
        waiting, self._unheard = self._unheard, deque(maxlen=FACTS_BOUND)
        for message in waiting:
            self._tell(message)

    def _inventory(self) -> messages.RecorderInventory:
        return messages.RecorderInventory(
            tuple(
                messages.RecordingHeld(
                    recording=name,
                    camera=recording.plan.camera,
                    links=recording.progress.links,
                    head=recording.progress.head,
                    tapped=recording.lost_since is None and name in self._taps,
                )
                for name, recording in self._recordings.items()
            )
        )

    def _new_future(self) -> "asyncio.Future[None]":
        assert self._loop is not None
        return self._loop.create_future()

    def _now(self) -> int:
        return int(self._clock.monotonic() * 1e9)


A = TypeVar("A")


def _to_loop(loop: asyncio.AbstractEventLoop, call: Callable[[A], None], argument: A) -> None:
    """Call something on the loop from the vault thread; after the loop's end nobody is left to hear it."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call, argument)


def _settle(future: "asyncio.Future[None]", error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
