"""The whole relay under load on 127.0.0.1: supervisor, control, worker and recorder as `relay serve` starts them.

Owns: its data folder, people, thin cameras and viewers.  Cameras and viewers come through the same endpoints as real ones.
Everything that they send is recorded and sealed, and every view is in the journal.  Must never know: what is measured.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import msgpack

from relay.evidence.records import Cause
from scripts.benchmarks.crash_report import taken
from scripts.benchmarks.rig import Hosts, LoadProcess
from scripts.benchmarks.tables import Row
from scripts.benchmarks.thin import resident
from tests.support.relay import Person, RelayUnderTest, signed_in

# All load comes from one address and one or two people here; out there each camera and person has their own.
SETTINGS = {
    "RELAY_HTTP__DOOR_RATE": "10000", "RELAY_HTTP__DOOR_BURST": "10000", "RELAY_HTTP__SIGN_IN_RATE": "1000",
    "RELAY_HTTP__SIGN_IN_BURST": "1000", "RELAY_LOG__LEVEL": "warning",
}  # fmt: skip
ROLES = ("control", "worker", "recorder")


class Seat:
    """A connected camera or viewer: its index in the load, and the address of its session."""

    def __init__(self, index: int, location: str) -> None:
        self.index, self.location = index, location


class Whole:
    """A running relay, its commander and its enrolled cameras."""

    def __init__(self, relay: RelayUnderTest) -> None:
        self.relay = relay
        self.tokens: dict[str, str] = {}
        self.marie: Person
        self.alice: Person
        self.intervention = ""
        self.http: aiohttp.ClientSession

    def pid(self, role: str) -> int:
        """Return the first process of a role."""
        return self.relay.pids(role)[0]

    def memory(self) -> dict[str, float]:
        """Return the resident memory of each process, MB."""
        return {role: resident(self.pid(role)) / 1e6 for role in ROLES}

    async def enrol(self, cameras: int) -> list[str]:
        """Enrol cameras; return their names."""
        names = [f"cam{number:03}" for number in range(len(self.tokens), len(self.tokens) + cameras)]
        for name in names:
            made = await self.alice.call("POST", "/api/cameras", {"camera": name, "label": name, "live_audio": True})
            self.tokens[name] = made["token"]
        return names

    async def publish(self, load: LoadProcess, camera: str, **source: Any) -> Seat:
        """Connect a thin camera of this load by WHIP."""
        made = await load.ask("add_source", **source)
        headers = {"Authorization": f"Bearer {self.tokens[camera]}", "Content-Type": "application/sdp"}
        async with self.http.post(f"{self.relay.url}/whip/{camera}", data=made["offer"], headers=headers) as response:
            text = await response.text()
            if response.status != 201:
                raise RuntimeError(f"{camera}: {response.status} {text}")
            location = response.headers["Location"]
        await load.connect("source", made["index"], text)
        return Seat(made["index"], location)

    async def end(self, camera: str, seat: Seat) -> None:
        """End a camera's publication: its recording is closed."""
        headers = {"Authorization": f"Bearer {self.tokens[camera]}"}
        async with self.http.delete(self.relay.url + seat.location, headers=headers) as response:
            if response.status != 200:
                raise RuntimeError(f"{camera}: {response.status} {await response.text()}")

    async def view(self, load: LoadProcess, camera: str) -> Seat:
        """Connect a thin viewer of this load by WHEP."""
        made = await load.ask("add_sink", videos=1)
        answer, location = await self.marie.offer(f"/whep/{camera}?intervention={self.intervention}", made["offer"])
        await load.connect("sink", made["index"], answer)
        return Seat(made["index"], location)

    async def close(self, seat: Seat) -> None:
        """Stop watching."""
        await self.marie.call("DELETE", seat.location)


class WallSeat(Seat):
    """A connected wall with its page's live socket."""

    def __init__(self, whole: Whole, index: int, location: str, socket: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__(index, location)
        self._whole, self._socket = whole, socket
        self._answers: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue(4096)
        self.messages = self.bytes = 0
        """What the live socket has brought."""
        self.cameras: set[str] = set()
        """The cameras whose states came since this was emptied."""
        self.reading = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, whole: Whole, load: LoadProcess, slots: int) -> "WallSeat":
        """Open a wall of so many slots on worker 0."""
        made = await load.ask("add_sink", videos=slots)
        answer, location = await whole.marie.offer("/wall?worker=0", made["offer"])
        await load.connect("sink", made["index"], answer)
        return cls(whole, made["index"], location, await whole.marie.live())

    @property
    def secret(self) -> str:
        """The name of its viewer session."""
        return self.location.rsplit("/", 1)[1]

    async def assign(self, slot: int, camera: str) -> None:
        """Show a camera in a slot; raises RuntimeError where that is refused."""
        wanted = {"t": "assign", "wall": self.secret, "worker": 0, "slot": slot, "camera": camera, "layer": "high"}
        await self._socket.send_bytes(msgpack.packb({**wanted, "intervention": self._whole.intervention}))
        async with asyncio.timeout(10):
            while (said := await self._answers.get())["slot"] != slot:
                pass
        if said["t"] != "assigned":
            raise RuntimeError(f"slot {slot}: {said}")

    async def _read(self) -> None:
        """Listen as a page does, or the relay would close the socket of one that does not take its messages."""
        async for message in self._socket:
            said = msgpack.unpackb(message.data)
            self.messages, self.bytes = self.messages + 1, self.bytes + len(message.data)
            if said["t"] == "states":
                self.cameras |= {state["camera"] for state in said["cameras"]}
            if said["t"] in ("assigned", "refused"):
                self._answers.put_nowait(said)

    async def close(self) -> None:
        """Leave."""
        self.reading.cancel()
        await self._socket.close()


@contextlib.asynccontextmanager
async def whole(settings: Mapping[str, str] | None = None) -> AsyncIterator[Whole]:
    """Run a relay with a commander and an administrator; its data is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="bench-whole-"))
    relay = RelayUnderTest(folder / "data", {**SETTINGS, **(settings or {})})
    found = Whole(relay)
    try:
        await asyncio.to_thread(relay.init)
        passwords = {"alice": await asyncio.to_thread(relay.add_user, "alice", "administrator")}
        await relay.start()
        async with contextlib.AsyncExitStack() as stack:
            found.http = await stack.enter_async_context(aiohttp.ClientSession())
            found.alice = await stack.enter_async_context(signed_in(relay, "alice", passwords["alice"]))
            made = await found.alice.call("POST", "/api/users", {"user": "marie", "name": "marie", "role": "commander"})
            found.marie = await stack.enter_async_context(signed_in(relay, "marie", made["password"]))
            found.intervention = await found.marie.intervention()
            yield found
    finally:
        await relay.discard()
        shutil.rmtree(folder, ignore_errors=True)


def verdicts(relay: RelayUnderTest) -> tuple[list[int], list[Row]]:
    """Verify every recording of a relay that was stopped; return the exit codes, and the gaps named in their verdicts."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        checked = list(threads.map(relay.verify, relay.recordings()))
    return [code for code, _ in checked], [gap for _, verdict in checked for gap in gaps_of(verdict)]


def gaps_of(verdict: Row) -> list[Row]:
    """Return the gaps that a verdict names: `at`, `cause`, `seconds`, `track`; not that of the sound which thin cameras
    announce and never send."""
    found = [dict(note["values"]) for note in verdict.get("notes", ()) if note["code"] == "gap"]
    return [gap for gap in found if gap["cause"] != Cause.LATE_TRACK.value]


def gaps_by_camera(relay: RelayUnderTest) -> dict[str, list[Row]]:
    """Verify every recording of a relay that was stopped; return by camera the gaps inside them.

    Raises AssertionError where a recording has a finding.
    """
    found: dict[str, list[Row]] = {}
    for folder in relay.recordings():
        code, verdict = relay.verify(folder)
        assert code == 0, verdict
        camera = taken(folder.name, (folder / "chain").read_bytes()).camera
        assert camera is not None
        found.setdefault(camera, []).extend(gaps_of(verdict))
    return found


@contextlib.contextmanager
def loads(count: int, *, is_background: bool = False) -> Iterator[list[LoadProcess]]:
    """So many load processes on 127.0.0.1, ended afterwards; those in the background get what the relay leaves (`give_way`)."""
    hosts = Hosts(loopback=True)
    processes = [LoadProcess(hosts, is_background=is_background) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.close()


@contextlib.asynccontextmanager
async def sending(load: LoadProcess, step: float = 0.5) -> AsyncIterator[None]:
    """Have a load's cameras send (and its sinks read) inside the block; nothing of it is counted."""
    over = asyncio.Event()

    async def send() -> None:
        while not over.is_set():
            await load.ask("run", seconds=step, delays=False, settle=False)

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        over.set()
        await task


@contextlib.asynccontextmanager
async def beside(work: Callable[[asyncio.Event], Coroutine[Any, Any, int]], counts: Row) -> AsyncIterator[None]:
    """Do something again and again beside the block; `counts["done"]` says how often.  If it fails, the block fails."""
    over = asyncio.Event()
    task = asyncio.create_task(work(over))
    try:
        yield
    finally:
        over.set()
        counts["done"] = await task
