"""The recorder's loop: it takes what comes in on its socket, and lets time pass.  Everything slow is in the vault thread.

Owns: the life of the process, and which part gets which message.  Must never know: how a recording is
made, files.

    tap_receiver      packets of a worker → the recording they belong to
    live_recordings   which recordings are open; opening and closing them
    recording         one of them: packets → fragments and gaps → jobs
    writer            the vault thread: jobs → files; its events come back to the loop
    control_outbox    messages to control, kept while none is connected
    reports           the report of each second, the inventory
    startup_recovery  what a dead recorder left open

A recording that no camera feeds ends, *lost*, after `resume_seconds`.  A recorder that no control has talked to for
`orphan_seconds` seconds seals, closes and exits.
"""

import asyncio
import contextlib
import logging
import os
import socket
from pathlib import Path

from relay.base.clock import Clock, SystemClock
from relay.base.counters import Counters, declare
from relay.base.errors import Kind, TheirError
from relay.channel import framing, messages
from relay.channel.framing import Connection
from relay.channel.messages import Message
from relay.evidence.chain import Reason
from relay.evidence.seal import CERTIFICATE, MemorySigner, SessionSigner
from relay.evidence.wire import decode
from relay.record.line import LineSettings
from relay.recorder.config import RecorderConfig
from relay.recorder.control_outbox import ControlOutbox
from relay.recorder.event_messages import closed, gap_seen, known_heads, recovered, segment_sealed
from relay.recorder.jobs import GapSealed, Progress, RecordingEnded, RenewKeyJob, SegmentEnded, VaultEvent
from relay.recorder.live_recordings import LiveRecordings, call_soon
from relay.recorder.recording import Recording
from relay.recorder.recover import Recovered
from relay.recorder.reports import inventory, report
from relay.recorder.startup_recovery import StartupRecovery
from relay.recorder.tap_receiver import TapReceiver
from relay.recorder.writer import VaultThread, WriterSettings
from relay.runtime.error_barrier import ErrorBarrier
from relay.store.vault import FileOps, Vault

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1
REPORT_SECONDS = 1.0
STOP_SECONDS = 15.0
CLOSE_SECONDS = 0.05
"""For the last answers to leave and the connections' readers to see their end."""

CONTROL, TAP = "control", "tap"
"""The roles of connections to a recorder."""

declare(
    recorder_errors="steps of a recorder that failed because of an error of ours",
    recorder_taps_refused="messages of a tap that only control may send",
)


class Recorder:
    """One recorder process."""

    def __init__(
        self,
        config: RecorderConfig,
        clock: Clock | None = None,
        ops: FileOps | None = None,
        listening: socket.socket | None = None,
    ) -> None:
        """`listening`: a bound Unix socket; made in the run folder where none is given.

        Raises TheirError where the session certificate does not decode.
        """
        self._listening = listening
        self._config = config
        self._clock = clock or SystemClock()
        self._ops = ops or FileOps()
        self._signer = SessionSigner(MemorySigner(config.session_seed), decode(CERTIFICATE, config.session_certificate))
        self.counters = Counters()
        self._vault = self._make_vault()
        self._recordings = LiveRecordings(
            _line_settings(config), self._vault, self._clock, self.counters, resume_seconds=config.resume_seconds
        )
        self._tap = TapReceiver(self._recordings, self.counters)
        self._control = ControlOutbox(self._clock, self.counters)
        self._recovery = StartupRecovery(config, self._ops, self._clock, lambda: self._signer, self._on_recovered)
        self._connections: list[Connection] = []
        self._started_ns = self._clock.utc_ns()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.failed = False
        """A bug ended the vault thread: the process has to end, and the next one recovers."""
        self.done = asyncio.Event()
        """Set when the recorder should end: asked to, or orphaned."""

    # --- life ---------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Listen, record until `done`, then close everything; recover beside that what was left open, once control says so."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(Vault(Path(self._config.vault), self._ops).prepare)
        await self._recovery.find()
        self._vault.start()
        server = await framing.listen(
            self._listening or Path(self._config.run_dir) / f"recorder-{self._config.index}.sock",
            {CONTROL: self._config.control_pass, TAP: self._config.tap_pass},
            self._on_connection,
            on_post=self._on_post,
            on_ask=self._on_ask,
            counters=self.counters,
        )
        ticker = asyncio.create_task(self._tick(), name="recorder timers")
        try:
            await self.done.wait()
        finally:
            server.close()
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
            await self._recovery.end(STOP_SECONDS)
            await self._close_all()

    def stop(self, reason: str) -> None:
        """Have `run` close everything and return."""
        logger.info("recorder ends: %s", reason)
        self._recordings.closing = True
        self.done.set()

    def _make_vault(self) -> VaultThread:
        config = self._config
        settings = WriterSettings(
            Path(config.vault),
            config.index,
            config.sync_seconds,
            config.backlog_seconds,
            config.reserve_bytes,
            config.keep_free_bytes,
        )
        return VaultThread(settings, self._signer, self._clock, self.counters, self._from_vault_thread, self._ops)

    def _from_vault_thread(self, event: VaultEvent) -> None:
        assert self._loop is not None
        call_soon(self._loop, self._on_event, event)

    async def _close_all(self) -> None:
        self._recordings.end_stopped(everything=True)
        for recording in self._recordings:
            self._recordings.finish(recording, Reason.SHUTDOWN)
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
        """Its role, by its pass, says what it may do: control everything, a worker's tap nothing but feed recordings."""
        self._connections = [known for known in self._connections if not known.closed] + [connection]

    def _on_post(self, connection: Connection, message: Message) -> None:
        if isinstance(message, messages.TapPackets):
            self._tap.packets(message)
        elif connection.role != CONTROL and isinstance(message, messages.Shutdown | messages.RecordMeta):
            self.counters.count("recorder_taps_refused")
        elif isinstance(message, messages.Shutdown):
            self.stop(message.reason)
        else:
            self._tap.message(connection, message)

    async def _on_ask(self, connection: Connection, message: Message) -> Message:
        if connection.role != CONTROL:
            self.counters.count("recorder_taps_refused")
            raise TheirError(Kind.FORBIDDEN, f"a recorder answers a tap no {type(message).__name__}")
        self._control.heard_from(connection)
        if isinstance(message, messages.Ping):
            return messages.Pong("recorder", self._config.index, os.getpid(), self._started_ns)
        if isinstance(message, messages.InventoryAsk):
            return inventory(self._recordings, self._tap, self._recovery.waiting)
        if isinstance(message, messages.RecordOpen):
            await self._recordings.open(message.plan, message.key, message.since_mono)
        elif isinstance(message, messages.RecordClose):
            await self._close(message)
        elif isinstance(message, messages.SessionRenew):
            self._renew(message)
        elif isinstance(message, messages.RecoverLeft):
            self._recovery.begin(known_heads(message))
        elif isinstance(message, messages.Shutdown):
            self.stop(message.reason)
        else:
            raise TheirError(Kind.INVALID, f"a recorder does not answer {type(message).__name__}")
        return messages.Done()

    async def _close(self, message: messages.RecordClose) -> None:
        """End a recording, with the packets that its worker posted before; raises TheirError where it is not open."""
        ordered = self._recordings.now()
        await self._tap.wait_for_last_packets(message.recording)
        recording, at = self._recordings.get(message.recording), None
        if recording is not None and self._tap.is_tapped(message.recording):
            if recording.fed_at > ordered:
                self._recordings.stop(recording)
                recording.cut_off(self._recordings.now())
            else:
                at = ordered
        await self._recordings.close(message.recording, Reason(message.reason), message.author, at)

    def _renew(self, message: messages.SessionRenew) -> None:
        """Sign with another session key; raises TheirError where the certificate does not decode or is another key's."""
        signer = SessionSigner(MemorySigner(message.seed), decode(CERTIFICATE, message.certificate))
        if signer.certificate.session_key != signer.public_key:
            raise TheirError(Kind.INVALID, "the certificate is not of this key")
        self._signer = signer
        self._vault.put(RenewKeyJob(signer))
        logger.info("another session key signs from now on")

    # --- timers -------------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        barrier = ErrorBarrier(self._clock.monotonic, self.counters, "recorder_errors")
        report_at = self._clock.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = self._recordings.now()
            for recording in self._recordings:
                barrier.call("a recording", self._advance, recording, now)
            barrier.call("an end", self._recordings.end_stopped)
            self._tap.forget_ended()
            if self._clock.monotonic() >= report_at:
                report_at = self._clock.monotonic() + REPORT_SECONDS
                barrier.call("a report", self._each_second)

    def _advance(self, recording: Recording, now: int) -> None:
        self._tap.advance(recording, now)
        self._recordings.end_if_unfed(recording, now)

    def _each_second(self) -> None:
        connected = self._control.connected()
        if not connected and self._control.seconds_alone >= self._config.orphan_seconds:
            self.stop("no control")
        if not self._vault.alive:
            self.failed = True
            self.stop("the vault thread died")
        self._recordings.observe_clocks()
        if connected:
            self._control.post_now(self._report())

    def _report(self) -> messages.RecorderReport:
        return report(
            self._config.index,
            self._recordings,
            self._tap,
            self._vault,
            self.counters,
            keep_free_bytes=self._config.keep_free_bytes,
            session_until_ns=self._signer.certificate.not_after_ns,
        )

    # --- events of the vault thread and of recovery -------------------------------------------------------------------

    def _on_event(self, event: VaultEvent) -> None:
        if isinstance(event, Progress):
            self._recordings.progressed(event)
        elif isinstance(event, SegmentEnded):
            self._control.post(segment_sealed(event))
        elif isinstance(event, GapSealed):
            self._control.post(gap_seen(event))
        elif isinstance(event, RecordingEnded):
            self._control.post(closed(event))
            self._recordings.ended(event.recording)

    def _on_recovered(self, item: Recovered) -> None:
        for segment in item.segments:
            self._control.post(segment_sealed(segment))
        self._control.post(recovered(item))


def _line_settings(config: RecorderConfig) -> LineSettings:
    return LineSettings(
        reorder_ns=config.reorder_ms * 1_000_000,
        fragment_ns=int(config.fragment_seconds * 1e9),
        segment_ns=int(config.segment_seconds * 1e9),
    )
