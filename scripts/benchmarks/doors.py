"""`scripts/bench doors [--connections N] [--descriptors N] [--kinds a,b] [--rounds N] [--json FILE]`: hostile connections.

A whole relay that may open 1024 descriptors, and beside it a process that holds 2000 connections to it.  Each connection that
the relay closes is made again after a second.  They come once from one address, once from 2000.  Meanwhile, from an address of
their own and over new connections, a camera publishes, a commander signs in, and /healthz is asked.  Bounds fail the run: a
camera publishes in less than 1 s, a commander signs in in less than 3 s.  Owns: the victims, the figures and the bounds.  Must
never know: how the relay defends itself.  All traffic stays on 127.0.0.0/8.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from relay.app.tls import ensure_certificate
from scripts.benchmarks.tables import Row, percentile
from tests.support.hostile_http import Kind
from tests.support.plain_peer import PlainPeer
from tests.support.relay import PASSWORD, RelayUnderTest

PUBLISH_SECONDS = 1.0
SIGN_IN_SECONDS = 3.0
PATIENCE_SECONDS = 10.0
"""After this time a request counts as not answered."""
VICTIM = "127.200.0.1"
SETTLE_SECONDS = 4.0
PLAIN = (None, Kind.SILENT, Kind.SLOW_HEAD, Kind.SLOW_BODY, Kind.IDLE, Kind.DEAF)
TLS = (None, Kind.SILENT, Kind.TLS_SILENT, Kind.SLOW_HEAD)
SETTINGS = {
    "RELAY_HTTP__SIGN_IN_RATE": "1000", "RELAY_HTTP__SIGN_IN_BURST": "1000", "RELAY_HTTP__DOOR_RATE": "10000",
    "RELAY_HTTP__DOOR_BURST": "10000", "RELAY_LOG__LEVEL": "warning",
}  # fmt: skip
HEADINGS = ("attack", "addresses", "publish p50", "publish max", "sign-in p50", "sign-in max", "healthz p50", "healthz max",
            "attackers connected", "descriptors of control")  # fmt: skip


@dataclass
class Figures:
    """Seconds of each try; infinite where nobody answered."""

    publish: list[float] = field(default_factory=list)
    sign_in: list[float] = field(default_factory=list)
    healthz: list[float] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Whether the bounds hold."""
        return max(self.publish) < PUBLISH_SECONDS and max(self.sign_in) < SIGN_IN_SECONDS


class Victims:
    """A camera and a commander, who come by new connections each time."""

    def __init__(self, relay: RelayUnderTest, token: str) -> None:
        self.relay = relay
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}

    @contextlib.asynccontextmanager
    async def http(self) -> AsyncIterator[aiohttp.ClientSession]:
        """Yield a client without any connection yet."""
        connector = aiohttp.TCPConnector(ssl=False, local_addr=(VICTIM, 0))
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
            yield http

    async def publish(self) -> None:
        """Offer, and end the session that was answered; raises where it was refused."""
        peer = PlainPeer("ffmpeg_camera.sdp")
        async with self.http() as http:
            where = await self._offer(http, peer.offer)
            async with http.delete(self.relay.url + where, headers=self._headers):
                pass
        peer.close()

    async def _offer(self, http: aiohttp.ClientSession, offer: str) -> str:
        """Post an offer until it is answered; return where the session is.  A camera repeats what it may repeat."""
        while True:
            async with http.post(f"{self.relay.url}/whip/cam", data=offer, headers=self._headers) as response:
                assert response.status in (201, 409), f"{response.status} {await response.text()}"
                if response.status == 201:
                    return response.headers["Location"]
            await asyncio.sleep(0.1)

    async def sign_in(self) -> None:
        """Sign in as the commander."""
        async with self.http() as http:
            body = {"user": "marie", "password": PASSWORD}
            async with http.post(f"{self.relay.url}/api/session", json=body) as response:
                assert response.status == 200, f"{response.status} {await response.text()}"

    async def healthz(self) -> None:
        """Ask whether control is alive."""
        async with self.http() as http, http.get(f"{self.relay.url}/healthz") as response:
            assert response.status == 200

    async def measure(self, rounds: int) -> Figures:
        """Try everything so many times."""
        found = Figures()
        for _ in range(rounds):
            found.publish.append(await _timed(self.publish))
            found.sign_in.append(await _timed(self.sign_in))
            for _ in range(3):
                found.healthz.append(await _timed(self.healthz))
        return found


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    began = time.monotonic()
    try:
        await work()
    except (aiohttp.ClientError, TimeoutError, OSError, AssertionError) as error:
        print(f"  {work.__name__}: {error!r}"[:200], file=sys.stderr)
        return float("inf")
    return time.monotonic() - began


@contextlib.asynccontextmanager
async def attackers(kind: Kind | None, port: int, count: int, addresses: int, *, tls: bool) -> AsyncIterator[list[str]]:
    """Run the attackers in a process of their own; the list's last line is how they fare."""
    lines: list[str] = ["0 0 0 0"]
    if kind is None:
        yield lines
        return
    options = ["--addresses", str(addresses), *(["--tls"] if tls else [])]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.hostile_http", kind, str(port), str(count), *options,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None

    async def read(stream: asyncio.StreamReader) -> None:
        async for line in stream:
            lines.append(line.decode().strip())

    reading = asyncio.create_task(read(process.stdout))
    try:
        await asyncio.sleep(SETTLE_SECONDS)
        yield lines
    finally:
        process.stdin.close()
        await process.wait()
        await reading


async def one(victims: Victims, kind: Kind | None, addresses: int, options: argparse.Namespace) -> tuple[Row, bool]:
    """Measure one attack."""
    relay, tls = victims.relay, victims.relay.url.startswith("https")
    port = int(relay.url.rpartition(":")[2])
    async with attackers(kind, port, options.connections, addresses, tls=tls) as lines:
        figures = await victims.measure(options.rounds)
        descriptors = len(os.listdir(f"/proc/{relay.pids('control')[0]}/fd")) if relay.pids("control") else 0
    name = f"{kind or 'none'}{' (TLS)' if tls else ''}"
    values = [name, addresses if kind else "–"]
    for tries in (figures.publish, figures.sign_in, figures.healthz):
        values += [_shown(percentile(tries, 0.5)), _shown(max(tries))]
    row = dict(zip(HEADINGS, [*values, lines[-1].split()[0], descriptors], strict=True))
    print("| " + " | ".join(str(value) for value in row.values()) + " |", flush=True)
    return row, figures.kept


def _shown(seconds: float) -> str:
    return "does not answer" if seconds == float("inf") else f"{seconds * 1000:.0f} ms"


@contextlib.asynccontextmanager
async def victims_of(folder: Path, descriptors: int, *, tls: bool) -> AsyncIterator[Victims]:
    """Run a relay with a camera and a commander."""
    settings = dict(SETTINGS)
    if tls:
        certificate, key = ensure_certificate(folder / "certificate", "127.0.0.1")
        settings |= {"RELAY_HTTP__TLS_CERT": str(certificate), "RELAY_HTTP__TLS_KEY": str(key)}
    scheme = "https" if tls else "http"
    relay = RelayUnderTest(folder / "data", settings, scheme=scheme, descriptors=descriptors)
    relay.init()
    victims = Victims(relay, relay.enrol("cam"))
    one_time = relay.add_user("marie", "commander")
    try:
        await relay.start()
        async with victims.http() as http:
            body = {"user": "marie", "password": one_time}
            async with http.post(f"{relay.url}/api/session", json=body) as response:
                session = await response.json()
                cookie = response.cookies["relay_session"].value
            headers = {"X-CSRF": session["csrf"], "Cookie": f"relay_session={cookie}"}
            change = {"old": one_time, "new": PASSWORD}
            async with http.post(f"{relay.url}/api/session/password", json=change, headers=headers) as response:
                assert response.status == 204, await response.text()
        yield victims
    finally:
        await relay.discard()


async def run(options: argparse.Namespace) -> tuple[list[Row], bool]:
    """Measure every attack, plain and under TLS; return the rows, and whether all bounds held."""
    rows, kept = [], True
    print("| " + " | ".join(HEADINGS) + " |\n" + "|---" * len(HEADINGS) + "|", flush=True)
    for tls, kinds in ((False, PLAIN), (True, TLS)):
        wanted = [kind for kind in kinds if options.kinds is None or str(kind or "none") in options.kinds.split(",")]
        if not wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            async with victims_of(Path(folder), options.descriptors, tls=tls) as victims:
                for kind in wanted:
                    for addresses in (1, options.connections) if kind else (1,):
                        row, good = await one(victims, kind, addresses, options)
                        rows.append(row)
                        kept = kept and good
    return rows, kept


def main() -> None:
    """Run; exit 1 where a bound was broken."""
    parser = argparse.ArgumentParser(prog="scripts/bench doors", description=__doc__)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--descriptors", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5, help="times that each victim tries under each attack")
    parser.add_argument("--kinds", help="none, " + ", ".join(Kind))
    parser.add_argument("--json", help="write the rows to this file")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows, kept = asyncio.run(run(options))
    print(f"\n{os.cpu_count()} CPUs, load before {load:.1f}: scripts/bench doors {' '.join(sys.argv[1:])}")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1))
    if not kept:
        sys.exit(f"a bound was broken: publish < {PUBLISH_SECONDS} s, sign-in < {SIGN_IN_SECONDS} s")
