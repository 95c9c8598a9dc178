"""scripts/crash: a whole relay under live cameras and viewers, its processes killed one by one at random instants.

Owns: the run: relay, cameras, viewers, kills, and the questions asked at the end.  Must never know: how a chain is read or a
figure is made (`crash_report`).  Everything stays on 127.0.0.1.  Exit code 1: something was lost that must not be.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp
import msgpack

from scripts.benchmarks import crash_report
from scripts.benchmarks.crash_report import Checked, Kill, Span, Taken
from scripts.benchmarks.load import Sink
from scripts.benchmarks.thin import parse_answer
from tests.support.relay import RelayUnderTest, signed_in

ROLES = ("supervisor", "control", "worker", "recorder")
HOST = "127.0.0.1"
BACK_SECONDS = 60
SILENCE_SECONDS = 2.0
"""Seconds without a packet after which a viewer asks again, if no message said that its worker died."""
RETRY_SECONDS = 0.25
MAX_LOST_SECONDS = 1.0
"""Seconds of what had arrived that a kill may cost (I7)."""
NOTE = (
    "The viewers hold a live socket as the page does, and ask again when it says that their worker died; else after 2 s. "
    "A picture goes on for 18 to 20 s without control (the lease of its view): it is interrupted by the death of control or "
    "supervisor only where the new control needs longer to start."
)
FAILURES = (AssertionError, aiohttp.ClientError, OSError, TimeoutError, ValueError)
Ask = Callable[[str, str], Awaitable[tuple[str, str]]]
"""Given a camera and an offer, return the answer and the address of the session."""


def say(text: str) -> None:
    """Print progress to standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class ViewerSocket(Sink):
    """One viewer's socket: the kernel's stamp of each video packet goes to `saw`."""

    def __init__(self, saw: Callable[[int], None]) -> None:
        super().__init__(HOST, 1, audio=False, controlling=True)
        self._saw = saw

    def _count(self, size: int, segment: int, stamp: int) -> None:
        if self.buffer[0] & 0xC0 == 0x80 and not 192 <= self.buffer[1] <= 223:
            self._saw(stamp)


class Watcher:
    """Somebody who watches one camera and asks again when the picture stands still."""

    def __init__(self, camera: str, ask: Ask, end: Callable[[str], Awaitable[None]]) -> None:
        self.camera = camera
        self.last_ns = 0
        self.outages: list[Span] = []
        self._ask, self._end = ask, end
        self._notified = False

    def worker_died(self) -> None:
        """The live socket says so: what stands still does not come back by itself."""
        self._notified = True

    @property
    def sees(self) -> bool:
        """Whether packets come now."""
        return time.time_ns() - self.last_ns < 300_000_000

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            with contextlib.suppress(*FAILURES):
                await self._session()
            await asyncio.sleep(RETRY_SECONDS)

    async def _session(self) -> None:
        viewer = ViewerSocket(self._saw)
        location = None
        try:
            answer, location = await self._ask(self.camera, viewer.peer.offer())
            await asyncio.to_thread(viewer.peer.connect, parse_answer(answer), 5.0)
            viewer.start()
            asyncio.get_running_loop().add_reader(viewer.peer.sock.fileno(), viewer.read)
            await self._until_silent(viewer)
        finally:
            asyncio.get_running_loop().remove_reader(viewer.peer.sock.fileno())
            viewer.peer.sock.close()
            if location is not None:
                with contextlib.suppress(*FAILURES):
                    await self._end(location)

    async def _until_silent(self, viewer: ViewerSocket) -> None:
        self._notified = False
        begun = checked = time.time()
        while not self._notified and time.time() - max(begun, self.last_ns / 1e9) < SILENCE_SECONDS:
            await asyncio.sleep(0.1)
            viewer.read()  # datagrams that waited while this process was late are not missing
            if time.time() - checked > 2:
                checked = time.time()
                viewer.peer.check()

    def _saw(self, stamp: int) -> None:
        if self.last_ns and stamp - self.last_ns > crash_report.OUTAGE_NS:
            self.outages.append((self.last_ns, stamp))
        self.last_ns = stamp


class Scene:
    """The relay with its people, cameras and viewers."""

    def __init__(self, data: Path, cameras: int, workers: int, seed: int) -> None:
        # Reconnecting cameras and viewers all come from one address here; out there each has its own.
        settings = {"RELAY_WORKERS__COUNT": str(workers), "RELAY_HTTP__DOOR_RATE": "200", "RELAY_LOG__FORMAT": "json"}
        self.relay = RelayUnderTest(data, settings)
        self.cameras = [f"cam{number:02}" for number in range(1, cameras + 1)]
        self.seed = seed
        self.watchers: list[Watcher] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Set everything up, start it, wait until all cameras are watched; then, at the end, stop the relay under them."""
        relay = self.relay
        await asyncio.to_thread(relay.init)
        tokens = [f"{camera} {relay.enrol(camera, '--live-audio')}\n" for camera in self.cameras]
        (relay.data / "tokens").write_text("".join(tokens))
        password = relay.add_user("marie", "commander")
        try:
            await relay.start()
            async with contextlib.AsyncExitStack() as stack:
                await stack.enter_async_context(self._simulated())
                self.marie = await stack.enter_async_context(signed_in(relay, "marie", password))
                self._http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)))
                self.intervention = await self.marie.intervention()
                await stack.enter_async_context(self._watched())
                yield
                say("stopping the relay")
                self.stopped = await relay.stop()
        finally:
            await relay.discard()

    @contextlib.asynccontextmanager
    async def _simulated(self) -> AsyncIterator[None]:
        log = (self.relay.data / "cameras.log").open("ab")
        command = [sys.executable, "-m", "sim_cameras", "replay", "--url", self.relay.url, "--seed", str(self.seed)]
        command += ["--tokens", str(self.relay.data / "tokens"), "--cameras", str(len(self.cameras))]
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        log.close()
        try:
            yield
        finally:
            process.terminate()
            await process.wait()

    @contextlib.asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        self.watchers = [Watcher(camera, self._ask, self._end) for camera in self.cameras]
        tasks = [asyncio.create_task(watcher.run()) for watcher in self.watchers]
        tasks.append(asyncio.create_task(self._listen()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        """Hold a live socket, as the page does, and pass on which worker died."""
        while True:
            with contextlib.suppress(*FAILURES):
                async with await self.marie.live() as socket:
                    async for each in socket:
                        message = msgpack.unpackb(each.data)
                        if message["t"] == "worker" and not message["up"] and len(self.relay.pids("worker")) == 1:
                            for watcher in self.watchers:
                                watcher.worker_died()
            await asyncio.sleep(RETRY_SECONDS)

    async def _ask(self, camera: str, offer: str) -> tuple[str, str]:
        wanted = {"camera": camera, "intervention": self.intervention}
        token = (await self.marie.call("POST", "/api/view-tokens", wanted))["token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
        async with self._http.post(f"{self.relay.url}/whep/{camera}", data=offer, headers=headers) as response:
            text = await response.text()
            if response.status != 201:
                raise OSError(f"{camera}: {response.status} {text}")
            return text, response.headers["Location"]

    async def _end(self, location: str) -> None:
        async with self._http.delete(self.relay.url + location):
            pass

    async def back(self, dead: int | None) -> bool:
        """Wait until the dead process is replaced and every camera is live, recorded and watched; False after 60 s."""
        try:
            async with asyncio.timeout(BACK_SECONDS):
                while not await self._is_back(dead):
                    await asyncio.sleep(0.2)
        except TimeoutError:
            return False
        return True

    async def _is_back(self, dead: int | None) -> bool:
        alive = [pid for role in ROLES[1:] for pid in self.relay.pids(role)]
        if dead in alive or len(alive) < 3 or not all(watcher.sees for watcher in self.watchers):
            return False
        with contextlib.suppress(*FAILURES):
            listed = (await self.marie.call("GET", "/api/cameras"))["cameras"]
            return all(each["state"] == "live" and each["rec"] == "recording" for each in listed)
        return False

    def open_recordings(self, role: str, index: int) -> dict[str, Path]:
        """Return what is being recorded where this process is concerned: by its own pair, or by all."""
        folders = f"open-{index}" if role in ("worker", "recorder") else "open-*"
        marks = (self.relay.data / "vault").glob(f"{folders}/*")
        return {mark.name: self.relay.data / "vault" / mark.name / "chain" for mark in marks}

    async def kill(self, role: str, choice: random.Random) -> Kill:
        """Kill one process of a role, as a power user would, and wait until all is well again."""
        pids = self.relay.pids(role) if role != "supervisor" else []
        index = choice.randrange(len(pids)) if pids else 0
        chains = self.open_recordings(role, index)
        cameras = [crash_report.taken(name, chain.read_bytes()).camera for name, chain in chains.items() if chain.exists()]
        at_ns = time.time_ns()
        if pids:
            dead = pids[index]
            os.kill(dead, signal.SIGKILL)
        else:  # a service manager starts it again; it adopts workers and recorders, and starts control again
            dead = self.relay.pids("control")[0]
            await self.relay.stop(signal.SIGKILL)
            await self.relay.start()
        back = await self.back(dead)
        return Kill(role, at_ns, tuple(chains), tuple(name for name in cameras if name), back)


async def killing(scene: Scene, kills: int, seconds: float, choice: random.Random) -> list[Kill]:
    """Kill so often or for so long, roles in shuffled rounds, each one to four seconds (at random) after all is well."""
    done: list[Kill] = []
    order: list[str] = []
    end = time.monotonic() + seconds
    while len(done) < kills and time.monotonic() < end:
        if not order:
            order = choice.sample(ROLES, len(ROLES))
        await asyncio.sleep(choice.uniform(1, 4))
        done.append(await scene.kill(order.pop(), choice))
        last = done[-1]
        seconds = (time.time_ns() - last.at_ns) / 1e9
        say(f"{len(done)}/{kills} {last.role}: {'all back after' if last.back else 'NOT BACK after'} {seconds:.1f} s")
    return done


def verified(relay: RelayUnderTest) -> tuple[dict[str, Taken], dict[str, Checked]]:
    """Read and verify every folder of the vault."""
    found, checked = {}, {}
    for folder in relay.recordings():
        found[folder.name] = crash_report.taken(folder.name, (folder / "chain").read_bytes())
        code, verdict = relay.verify(folder)
        checked[folder.name] = Checked(code, tuple(each["code"] for each in verdict.get("findings", ())))
    return found, checked


def conclude(scene: Scene, kills: list[Kill], end_ns: int) -> tuple[str, dict[str, Any], bool]:
    """Return the report, its data, and whether all is as it must be."""
    say("verifying every recording")
    found, checked = verified(scene.relay)
    outages = {watcher.camera: watcher.outages for watcher in scene.watchers}
    table = crash_report.rows(kills, found, checked, outages, end_ns)
    bad = {name: each for name, each in checked.items() if not each.sound(found[name].recovery)}
    interrupted = sum(each.recovery for each in found.values())
    asked = {command: scene.relay.run_any(*command.split()) for command in ("journal verify", "check")}
    lines = [crash_report.markdown(table), "", NOTE]
    complete = len(found) - interrupted - len(bad)
    lines.append(
        f"{len(found)} recordings: {complete} complete, {interrupted} interrupted and closed by a signed recovery, "
        f"{len(bad)} with any other finding; relay serve ended with {scene.stopped}."
    )
    lines += [f"- {name}: exit {each.exit_code}, {', '.join(each.findings)}" for name, each in bad.items()]
    for command, done in asked.items():
        lines.append(f"`relay {command}`: exit {done.returncode}: {(done.stdout + done.stderr).strip()}")
    good = not bad and not scene.stopped and all(not done.returncode for done in asked.values())
    good = good and all(not row.not_back and row.recovered == row.recordings for row in table)
    good = good and all(max(row.lost, default=0) <= MAX_LOST_SECONDS for row in table)
    everything = {name: {**asdict(each), **asdict(checked[name])} for name, each in found.items()}
    data = {
        "outages": outages,
        "recordings": everything,
        "rows": [asdict(row) for row in table],
        "kills": [asdict(kill) for kill in kills],
    }
    return "\n".join(lines), data, good


def arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="scripts/crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=86_400.0, help="kill no longer than that")
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, help="a new folder, kept; default: a temporary one, kept if something is wrong")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    return parser.parse_args()


async def run(options: argparse.Namespace, data: Path) -> bool:
    """Run it all and print the report; say whether all is as it must be."""
    scene = Scene(data, options.cameras, options.workers, options.seed)
    async with scene.running():
        if not await scene.back(None):
            raise SystemExit(f"the cameras are not live and watched; see {data}")
        kills = await killing(scene, options.kills, options.seconds, random.Random(options.seed))
        end_ns = time.time_ns()
    text, figures, good = await asyncio.to_thread(conclude, scene, kills, end_ns)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{len(kills)} kills, {options.cameras} cameras, {options.workers} worker(s), seed {options.seed}; "
          f"{os.cpu_count()} CPUs, load {load}\n\n{text}")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    return good


def main() -> None:
    """Entry point."""
    options = arguments()
    data = options.data or Path(tempfile.mkdtemp(prefix="relay-crash-")) / "data"
    good = asyncio.run(run(options, data))
    if good and options.data is None:
        shutil.rmtree(data.parent)
    elif not good:
        say(f"something is not as it must be; kept in {data}")
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
