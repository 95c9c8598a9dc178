"""A worker and a recorder that speak the inner channel and do nothing else: they keep every message of control.

Owns two listening Unix sockets.  Must never know media; the real processes are used wherever packets matter.
"""

import asyncio
import time
from pathlib import Path
from typing import Literal, TypeVar

from msgspec.structs import replace

from relay.base.counters import Counters
from relay.base.errors import TheirError
from relay.channel import framing
from relay.channel import messages as m
from relay.store.passes import Passes, control_of

M = TypeVar("M", bound=m.Message)


class _Peer:
    role: str

    def __init__(self, run_dir: Path, index: int = 0) -> None:
        self.path = run_dir / f"{self.role}-{index}.sock"
        self.index = index
        keys = (run_dir.parent if run_dir.name == "run" else run_dir) / "keys"
        self._pass = Passes(keys).of(control_of(f"{self.role}-{index}"))
        self.received: list[m.Message] = []
        self.refusals: dict[type[m.Message], TheirError] = {}
        self.arrived = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._connections: set[framing.Connection] = set()

    async def start(self) -> None:
        self._server = await framing.listen(
            self.path, {"control": self._pass}, self._register, on_post=self._on_post, on_ask=self._on_ask, counters=Counters()
        )

    async def stop(self) -> None:
        """Go away as a killed process does."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self.path.unlink(missing_ok=True)  # noqa: ASYNC240
        await asyncio.sleep(0)

    def post(self, message: m.Message) -> None:
        """Post a fact to every control connected."""
        for connection in self._connections:
            connection.post(message)

    def all(self, kind: type[M]) -> list[M]:
        """Return the messages received of a kind."""
        return [message for message in self.received if isinstance(message, kind)]

    async def next(self, kind: type[M], count: int = 1) -> M:
        """Wait until `count` messages of a kind were received; return the last."""
        async with asyncio.timeout(10):
            while len(self.all(kind)) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.all(kind)[count - 1]

    def answer(self, message: m.Message) -> m.Message:
        raise NotImplementedError

    async def _register(self, connection: framing.Connection) -> None:
        self._connections.add(connection)

    def _on_post(self, _connection: framing.Connection, message: m.Message) -> None:
        self._keep(message)

    async def _on_ask(self, _connection: framing.Connection, message: m.Message) -> m.Message:
        if isinstance(message, m.Ping):
            return m.Pong("worker" if self.role == "worker" else "recorder", self.index, 1, 0)
        refused = self.refusals.get(type(message))
        if refused is not None:
            raise refused
        answer = self.answer(message)
        self._keep(message)
        return answer

    def _keep(self, message: m.Message) -> None:
        self.received.append(message)
        self.arrived.set()


class FakeWorker(_Peer):
    """Accepts everything; `publishers`, `viewers` and `legs` are what its inventory says."""

    role = "worker"

    def __init__(self, run_dir: Path, index: int = 0) -> None:
        super().__init__(run_dir, index)
        self.publishers: dict[str, m.PublisherHeld] = {}
        self.viewers: dict[str, m.ViewerHeld] = {}
        self.legs: dict[str, m.LegHeld] = {}
        self.silent_for = 0.0
        self.end_legs = True
        self.sends_media = True
        """Whether each camera sends media as soon as it has its answer."""

    def want_recording(self, session: str) -> None:
        """Post that media came on a session."""
        self.post(m.RecordingWanted(session, self.publishers[session].camera, time.monotonic()))

    def _keep(self, message: m.Message) -> None:
        super()._keep(message)
        if isinstance(message, m.PublisherKeep) and message.session in self.publishers:
            held = self.publishers[message.session]
            self.publishers[message.session] = replace(held, kept=message.kept)
            if self.sends_media and not held.is_recording_open:
                self.want_recording(message.session)

    def answer(self, message: m.Message) -> m.Message:
        if isinstance(message, m.PublishOpen):
            self.publishers[message.session] = m.PublisherHeld(
                message.session, message.camera, message.recording, "live", message.live_audio, "etag-1", time.monotonic(), 0.0,
                is_recording_open=message.is_recording_open,
            )  # fmt: skip
            return m.Answer("v=0\r\n", "etag-1", 0, True)
        if isinstance(message, m.ViewerOpen):
            self.viewers[message.session] = m.ViewerHeld(message.session, "etag-1", 4, True)
            return m.Answer("v=0\r\n", "etag-1", 4, True)
        if isinstance(message, m.InventoryAsk):
            return self._inventory()
        if isinstance(message, m.PeerPatch):
            return m.Patched("a=ice-ufrag:new\r\n", "etag-2") if message.restart else m.Patched(None, None)
        return self._change(message)

    def _change(self, message: m.Message) -> m.Message:
        if isinstance(message, m.RecordingSwitch) and message.session in self.publishers:
            held = self.publishers[message.session]
            self.publishers[message.session] = replace(held, recording=message.recording, is_recording_open=message.is_open)
        if isinstance(message, m.PeerClose):
            self.publishers.pop(message.session, None)
            self.viewers.pop(message.session, None)
            for leg in [leg for leg in self.legs.values() if leg.session == message.session]:
                self._end(leg, message.reason.sentence)
        if isinstance(message, m.SlotAssign):
            for leg in [leg for leg in self.legs.values() if (leg.session, leg.slot) == (message.session, message.slot)]:
                self._end(leg, "slot emptied")
            if message.camera is not None:
                self.legs[message.view] = m.LegHeld(message.session, message.slot, message.camera, message.view, 5, 7)
        return m.Done()

    def _end(self, leg: m.LegHeld, reason: str) -> None:
        del self.legs[leg.view]
        if self.end_legs:
            self.post(m.LegEnded(leg.view, 5, 7, 3, reason))

    def _inventory(self) -> m.WorkerInventory:
        held = [replace(publisher, silent_for=self.silent_for) for publisher in self.publishers.values()]
        return m.WorkerInventory(tuple(held), tuple(self.viewers.values()), tuple(self.legs.values()))


class FakeRecorder(_Peer):
    """Opens and closes recordings as control asks."""

    role = "recorder"

    def __init__(self, run_dir: Path, index: int = 0) -> None:
        super().__init__(run_dir, index)
        self.open: dict[str, m.Plan] = {}
        self.left: tuple[str, ...] = ()
        """Recordings that its inventory says were left open."""

    def answer(self, message: m.Message) -> m.Message:
        if isinstance(message, m.RecordOpen):
            self.open[message.plan.recording] = message.plan
        if isinstance(message, m.RecordClose) and self.open.pop(message.recording, None) is not None:
            self.close(message.recording, message.reason)
        if isinstance(message, m.InventoryAsk):
            held = [m.RecordingHeld(plan.recording, plan.camera, 1, b"", True) for plan in self.open.values()]
            return m.RecorderInventory(tuple(held), self.left)
        return m.Done()

    def close(self, recording: str, reason: str) -> None:
        """Post that a recording is closed."""
        self.open.pop(recording, None)
        self.post(m.RecordingClosed(recording, reason, 3, b"h" * 32, time.time_ns(), False, 0, 10**9, 100))

    def report(self, state: Literal["recording", "stalled", "full"], *unheld: str) -> None:
        """Post the report of one second: the state of every open recording."""
        found = tuple(self._report_of(plan, state) for plan in self.open.values())
        self.post(m.RecorderReport(self.index, found, {}, 0.0, 10**9, 0, unheld))

    def report_heads(self, head: bytes, records: int, links: int, until_ns: int) -> None:
        """Post a report of one second in which every open recording has this head."""
        found = tuple(
            replace(self._report_of(plan, "recording"), head=head, records=records, links=links, sealed_until_ns=until_ns)
            for plan in self.open.values()
        )
        self.post(m.RecorderReport(self.index, found, {}, 0.0, 10**9, 0))

    def _report_of(self, plan: m.Plan, state: Literal["recording", "stalled", "full"]) -> m.RecordingReport:
        return m.RecordingReport(plan.recording, plan.camera, time.monotonic(), 1, 0, 100, state)
