"""The honest side of the battery: cameras, viewers, a page and guests of one relay, and what happens to them.

Owns: the relay, its people and cameras, the figures of one row, and the processes of attackers.  Must never know: the bounds.
"""

import asyncio
import contextlib
import json
import os
import random
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType

import aiohttp
import msgpack

from scripts.benchmarks.crash_report import taken
from scripts.benchmarks.rig import ROOT, Hosts, LoadProcess, give_way
from scripts.benchmarks.silences import is_explained
from scripts.benchmarks.tables import Row, percentile
from scripts.benchmarks.thin import resident
from scripts.benchmarks.whole import ROLES, Seat, Whole, gaps_of, whole
from tests.support.hostile_target import Target
from tests.support.relay import PASSWORD

CAMERAS, KBPS, GUESTS = 4, 500, 12
PAUSED = "paused"
FILM_SECONDS = 3.0
SETTLE_SECONDS = 3.0
START_SECONDS = 180.0
"""Seconds that an attacker's process may take to begin, beside twenty others."""
PATIENCE_SECONDS = 15.0
"""A probe that takes longer has failed."""
MAX_JUDGED = 2
"""Recordings of each guest and attacker that are verified."""
DEFAULTS = {
    "RELAY_HTTP__DOOR_RATE": "10", "RELAY_HTTP__DOOR_BURST": "200", "RELAY_HTTP__SIGN_IN_RATE": "0.2",
    "RELAY_HTTP__SIGN_IN_BURST": "10", "RELAY_LOG__LEVEL": "info", "RELAY_STORE__PATIENCE_SECONDS": "2",
}  # fmt: skip
"""The limits that an installation has; other benches lift them."""
Probe = Callable[[], Awaitable[float | None]]
"""Returns its own ms, or None where the time of the whole call counts."""
FAILURES = (aiohttp.ClientError, AssertionError, OSError, RuntimeError, TimeoutError, ValueError)


def say(text: str) -> None:
    """Print progress to standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Resources:
    """What the relay holds at one instant, all its processes together."""

    memory_mb: float
    files: int
    log_kb: float
    entries: int

    def minus(self, before: "Resources") -> "Resources":
        """Return the difference."""
        now, then = asdict(self), asdict(before)
        return Resources(**{name: now[name] - then[name] for name in now})


@dataclass
class Figures:
    """What was seen since the row began."""

    sent: int = 0
    lost: int = 0
    delays: list[float] = field(default_factory=list)
    times: dict[str, list[float]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def add(self, run: Row) -> None:
        """Add one run of the cameras and their viewers."""
        self.sent += run["sent"]
        self.lost += sum(run["lost"])
        for camera in run["cameras"]:
            self.delays += camera["delays"]

    def longest(self, name: str) -> float:
        """Return the longest of a probe's times, ms; nan where none succeeded."""
        return max(self.times.get(name, ()), default=float("nan"))


class Page:
    """A commander's page: its live socket, read as fast as it comes."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._echoes: dict[int, asyncio.Future[None]] = {}
        self._asked = 0
        self.reading = asyncio.create_task(self._read())

    async def ask(self) -> float | None:
        """Ask the relay's time and wait for the answer; raises TimeoutError."""
        self._asked += 1
        answer = self._echoes[self._asked] = asyncio.get_running_loop().create_future()
        await self._socket.send_bytes(msgpack.packb({"t": "time", "echo": self._asked}))
        await answer
        return None

    async def close(self) -> None:
        """Leave."""
        self.reading.cancel()
        with contextlib.suppress(*FAILURES):
            await self._socket.close()

    async def _read(self) -> None:
        async for message in self._socket:
            said = msgpack.unpackb(message.data)
            if said["t"] == "time" and (answer := self._echoes.pop(said["echo"], None)) is not None and not answer.done():
                answer.set_result(None)


class Honest:
    """The relay and everybody who has a right to it."""

    def __init__(self, found: Whole, field_load: LoadProcess) -> None:
        self.found = found
        self.load = field_load
        self.names: list[str] = []
        self.guests: list[str] = []
        self._silences: dict[str, list[list[int]]] = {}
        """By honest camera: when the load sent nothing of it."""
        self.page: Page
        self.paul = ""
        self.filming: asyncio.Task[None]
        self._seats: dict[str, int] = {}
        """By honest camera: its number in the load."""
        self._over = asyncio.Event()
        self._figures = Figures()
        self._attackers = 0
        self._guest = 0

    async def begin(self, cameras: int, guests: int) -> None:
        """Publish, watch, open the page."""
        found = self.found
        self.names = await found.enrol(cameras)
        self.guests = await found.enrol(guests)
        made = await found.alice.call("POST", "/api/users", {"user": "paul", "name": "paul", "role": "operator"})
        await self.sign_in("paul", made["password"], "127.0.0.1", is_new=True)
        self.filming = asyncio.create_task(self._film())
        seats = {name: await found.publish(self.load, name, kbps=KBPS) for name in self.names}
        self._seats = {name: seat.index for name, seat in seats.items()}
        for name in self.names:
            await found.view(self.load, name)
        self.page = Page(await found.marie.live())

    async def _film(self) -> None:
        while not self._over.is_set():
            self._figures.add(await self.load.ask("run", seconds=FILM_SECONDS, settle=False))

    # --- people -------------------------------------------------------------------------------------------------------

    async def sign_in(self, user: str, password: str, source: str, *, is_new: bool = False) -> tuple[str, str]:
        """Sign in from an address; return cookie and CSRF value."""
        url = self.found.relay.url
        connector = aiohttp.TCPConnector(local_addr=(source, 0))
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            async with http.post(f"{url}/api/session", json={"user": user, "password": password}) as response:
                if response.status != 200:
                    raise RuntimeError(f"sign-in: {response.status}")
                csrf = str((await response.json())["csrf"])
                cookie = response.cookies["relay_session"].value
            if is_new:
                body = {"old": password, "new": PASSWORD}
                async with http.post(f"{url}/api/session/password", json=body, headers={"X-CSRF": csrf}) as response:
                    assert response.status < 300, await response.text()
                    cookie = response.cookies["relay_session"].value if "relay_session" in response.cookies else cookie
        return cookie, csrf

    async def target(self) -> Target:
        """Make an operator and a camera for the next attacker."""
        self._attackers += 1
        number, found = self._attackers, self.found
        source, user, camera = f"127.0.{10 + number % 240}.1", f"eve{number}", f"evil{number:03}"
        made = await found.alice.call("POST", "/api/cameras", {"camera": camera, "label": camera, "live_audio": True})
        person = await found.alice.call("POST", "/api/users", {"user": user, "name": user, "role": "operator"})
        cookie, csrf = await self.sign_in(user, person["password"], source, is_new=True)
        headers = {"Cookie": f"relay_session={cookie}", "X-CSRF": csrf}
        join = f"{found.relay.url}/api/interventions/{found.intervention}/join"
        async with found.http.post(join, json={"motive": "assistance to a patrol"}, headers=headers) as response:
            assert response.status < 300, await response.text()
        return Target(
            url=found.relay.url,
            udp_port=found.relay.udp_port,
            source=source,
            camera=camera,
            token=made["token"],
            cookie=cookie,
            csrf=csrf,
            user="marie",
            watched=self.names[-1],
            intervention=found.intervention,
        )

    # --- figures ------------------------------------------------------------------------------------------------------

    async def measure(self, name: str, seconds: float) -> Row:
        """Let time pass, probe, and return the row."""
        began_ns, before, self._figures = time.time_ns(), self.resources(), Figures()
        figures = self._figures
        await self._probe(figures, seconds)
        spent = self.resources().minus(before)
        if figures.failed:
            say(f"{name}: {'; '.join(figures.failed[:5])}")
        return {
            "attacker": name,
            "seconds": seconds,
            "sent": figures.sent,
            "lost": figures.lost,
            "p50_ms": percentile(figures.delays, 0.5),
            "p99_ms": percentile(figures.delays, 0.99),
            **{f"{probe}_ms": figures.longest(probe) for probe in ("join", "publish", "sign_in", "health", "page")},
            "failed": len(figures.failed),
            **asdict(spent),
            "began_ns": began_ns,
            "ended_ns": time.time_ns(),
        }

    def seen(self) -> Figures:
        """Return what happened to the cameras and their viewers since the row began, or since the beginning."""
        return self._figures

    async def settle(self) -> None:
        """Wait until what an attacker left behind is gone."""
        await asyncio.sleep(SETTLE_SECONDS)

    async def _probe(self, figures: Figures, seconds: float) -> None:
        guests = LoadProcess(Hosts(loopback=True))
        probes: tuple[tuple[str, float, Probe], ...] = (
            ("health", 0.25, self._health),
            ("page", 0.25, self.page.ask),
            ("join", 2.5, lambda: self._join(guests)),
            ("publish", 5.0, lambda: self._publish(guests)),
            ("sign_in", 10.0, self._paul),
        )
        end = time.monotonic() + seconds
        try:
            await asyncio.gather(*(self._repeat(figures, name, every, act, end) for name, every, act in probes))
        finally:
            guests.close()

    async def _repeat(self, figures: Figures, name: str, every: float, act: Probe, end: float) -> None:
        await asyncio.sleep(random.random() * min(every, 1.0))
        while (begun := time.monotonic()) < end:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    took = await act()
                figures.times.setdefault(name, []).append(1e3 * (time.monotonic() - begun) if took is None else took)
            except FAILURES as error:
                figures.failed.append(f"{name}: {type(error).__name__} {error}"[:160])
            await asyncio.sleep(min(max(0.0, begun + every - time.monotonic()), max(0.0, end - time.monotonic())))

    async def _health(self) -> float | None:
        async with self.found.http.get(f"{self.found.relay.url}/healthz") as response:
            assert response.status == 200, response.status
        return None

    async def _join(self, guests: LoadProcess) -> float:
        """Somebody begins to watch; returns ms to the first picture."""
        found = self.found
        made = await guests.ask("add_sink", videos=1)
        await guests.ask("watch", index=made["index"], camera=0)
        begun = time.time_ns()
        answer, location = await found.marie.offer(f"/whep/{self.names[0]}?intervention={found.intervention}", made["offer"])
        try:
            await guests.connect("sink", made["index"], answer)
            seen = (await guests.ask("pictures", sinks=[made["index"]]))["picture_ns"][0]
        finally:
            await found.marie.call("DELETE", location)
            await guests.ask("close", index=made["index"])
        if not seen:
            raise RuntimeError("no picture")
        return float(seen - begun) / 1e6

    async def _publish(self, guests: LoadProcess) -> float:
        """A camera publishes for half a second; returns ms until it is connected."""
        self._guest += 1
        camera, found = self.guests[self._guest % len(self.guests)], self.found
        made = await guests.ask("add_source", kbps=100)
        headers = {"Authorization": f"Bearer {found.tokens[camera]}", "Content-Type": "application/sdp"}
        begun = time.monotonic()
        async with found.http.post(f"{found.relay.url}/whip/{camera}", data=made["offer"], headers=headers) as response:
            text = await response.text()
            assert response.status == 201, f"{response.status} {text}"
        await guests.connect("source", made["index"], text)
        took = 1e3 * (time.monotonic() - begun)
        await guests.ask("run", seconds=0.5, delays=False, settle=False)
        await guests.ask("unplug", index=made["index"])
        await found.end(camera, Seat(made["index"], response.headers["Location"]))
        return took

    async def _paul(self) -> float | None:
        await self.sign_in("paul", PASSWORD, "127.0.0.1")
        return None

    def resources(self) -> Resources:
        """Return what the relay holds now."""
        relay = self.found.relay
        pids = [pid for role in ROLES for pid in relay.pids(role)]
        with contextlib.closing(sqlite3.connect(f"file:{relay.data / 'relay.db'}?mode=ro", uri=True)) as database:
            entries = database.execute("select coalesce(max(leaf), 0) from journal").fetchone()[0]
        memory = sum(_or_zero(resident, pid) for pid in pids) / 1e6
        files = sum(_or_zero(_files, pid) for pid in pids)
        return Resources(memory, files, (relay.data / "serve.log").stat().st_size / 1e3, entries)

    # --- the end ------------------------------------------------------------------------------------------------------

    async def end(self) -> None:
        """Stop the relay under filming cameras: one that fell silent before would leave a gap of our making."""
        await self.page.close()
        say("stopping the relay")
        await self.found.relay.stop()
        self._over.set()
        with contextlib.suppress(*FAILURES):
            await self.filming
        found = (await self.load.ask("silences"))["cameras"]
        self._silences = {name: found[index] for name, index in self._seats.items()}

    def judge(self, *, pauses: bool = True) -> tuple[list[int], list[str]]:
        """Verify the recordings; return when the gaps of the honest lie (UTC ns), and every finding.

        A pause counts unless its camera sent nothing then: this machine let the load wait (`silences`).  Without `pauses` none
        counts: where a machine is busy enough, it lets the relay wait, too.
        """
        folders = list(self._judged())
        say(f"verifying {len(folders)} of {len(self.found.relay.recordings())} recordings")
        with ThreadPoolExecutor(2) as pool:
            verdicts = list(pool.map(lambda each: self.found.relay.verify(each[1])[1], folders))
        gaps, findings = [], []
        for (camera, _), verdict in zip(folders, verdicts, strict=True):
            findings += [f"{camera}: {each['code']} {each['values']}" for each in verdict["findings"]]
            if camera in self.names:
                found = [gap for gap in gaps_of(verdict) if gap["cause"] != PAUSED or pauses]
                gaps += [_instant(gap["at"]) for gap in found if not self._is_of_the_load(camera, gap)]
        return gaps, findings

    def _is_of_the_load(self, camera: str, gap: Row) -> bool:
        length = int(float(gap["seconds"]) * 1e9)
        return gap["cause"] == PAUSED and is_explained(_instant(gap["at"]), length, self._silences[camera])

    def _judged(self) -> Iterator[tuple[str, Path]]:
        """Yield camera and folder: every recording of the honest, a few of each other camera."""
        seen: Counter[str] = Counter()
        for folder in self.found.relay.recordings():
            camera = taken(folder.name, (folder / "chain").read_bytes()).camera or "?"
            seen[camera] += 1
            if camera in self.names or seen[camera] <= MAX_JUDGED:
                yield camera, folder


def _instant(text: str) -> int:
    """Return the UTC ns of a time as verdicts write it."""
    return int(datetime.fromisoformat(text.replace(" UTC", "+00:00")).timestamp() * 1e9)


def _or_zero(read: Callable[[int], int], pid: int) -> int:
    try:
        return read(pid)
    except OSError:  # it ended between the two looks
        return 0


def _files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


HELD = {
    "http silent": ("silent", "1000", "--addresses", "1"),
    "http silent, many": ("silent", "2000", "--addresses", "2000"),
    "http slow heads": ("slow-head", "500", "--addresses", "50"),
    "http slow bodies": ("slow-body", "500", "--addresses", "50"),
    "http deaf": ("deaf", "200", "--addresses", "20"),
}
"""Attackers that hold connections: what they do, how many connections they want, from how many addresses."""


class Attacker:
    """One attacker while the block lasts.

    Out there attackers have machines of their own; here they get what the relay and the honest leave (`give_way`).
    """

    def __init__(self, honest: Honest, name: str, target: Target) -> None:
        self._honest = honest
        self._target = target
        self._name = name
        self._process: asyncio.subprocess.Process | None = None
        self._camera: LoadProcess | None = None
        self._acting: asyncio.Task[int] | None = None

    async def __aenter__(self) -> "Attacker":
        target = self._target
        if self._name.startswith("camera: "):
            self._camera = LoadProcess(Hosts(loopback=True), is_background=True)
            self._acting = asyncio.create_task(self._film(self._camera, target))
        else:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                *self._command(target), cwd=ROOT, stdin=pipe, stdout=pipe, start_new_session=True
            )
            give_way(self._process.pid)
            assert self._process.stdin is not None
            with contextlib.suppress(ConnectionError):
                self._process.stdin.write(json.dumps([asdict(target)]).encode() + b"\n")
                await self._process.stdin.drain()
            assert self._process.stdout is not None
            async with asyncio.timeout(START_SECONDS):
                await self._process.stdout.readline()  # it says when it begins
        return self

    async def __aexit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._acting is not None:
            self._acting.cancel()
        if self._camera is not None:
            self._camera.close()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def _command(self, target: Target) -> tuple[str, ...]:
        python = (sys.executable, "-m")
        if self._name in HELD:
            kind, count, *addresses = HELD[self._name]
            return (*python, "tests.support.hostile_http", kind, str(target.port), count, *addresses)
        return (*python, "tests.support.hostile", self._name)

    async def stop(self) -> int:
        """End the attack; return how often it acted.  Raises RuntimeError where the attacker broke."""
        if self._acting is not None:
            self._acting.cancel()
            return sum(await asyncio.gather(self._acting, return_exceptions=False))
        assert self._process is not None
        async with asyncio.timeout(60):
            out, _ = await self._process.communicate(b"")  # which closes its standard input
        said = out.split(b"\n")[-2:-1]
        if self._process.returncode != 0 or not said:
            raise RuntimeError(f"attacker {self._name} ended with {self._process.returncode}: {out[-300:]!r}")
        return int(said[0].split()[self._name in HELD])  # `hostile_http` says open, connected, closed, failed

    async def _film(self, load: LoadProcess, target: Target) -> int:
        """Publish as a hostile camera, and again whenever the session is lost."""
        found, sent = self._honest.found, 0
        found.tokens[target.camera] = target.token
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                with contextlib.suppress(*FAILURES):
                    await found.publish(load, target.camera, trick=self._name.removeprefix("camera: "))
                    for _ in range(10):
                        sent += (await load.ask("run", seconds=1.0, delays=False, settle=False))["sent"]
                await asyncio.sleep(0.5)
        return sent


@contextlib.asynccontextmanager
async def besieged(cameras: int = CAMERAS, guests: int = GUESTS) -> AsyncIterator[Honest]:
    """Run a relay with its honest people and cameras."""
    async with whole(DEFAULTS) as found:
        load = LoadProcess(Hosts(loopback=True))
        honest = Honest(found, load)
        try:
            await honest.begin(cameras, guests)
            yield honest
        finally:
            honest.filming.cancel()
            load.close()
