"""How quickly control answers others while a camera and a page flood their live sockets.

The whole relay on 127.0.0.1.  Each row: `GET /healthz` asked every 20 ms on one connection, while a process of its own floods:
a camera with beats, presses and junk, a page with questions, assignments that are refused and junk.  A flooder whose socket is
closed opens it again at once.  Figures: answers of `/healthz`, journal entries and log bytes a second, sockets closed.  The run
fails where a flood makes the median answer slower than the bounds, or where the journal grows faster.

Owns: the floods, the figures and their bounds.  Must never know: how the relay defends itself.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import secrets
import sys
import time
from typing import Any

import msgpack

from scripts.benchmarks.rig import ROOT, Hosts, Meter, attempt
from scripts.benchmarks.tables import Row, markdown, percentile
from scripts.benchmarks.whole import WallSeat, Whole, loads, sending, whole

COLUMNS = (
    "flood", "healthz_p50_ms", "healthz_p99_ms", "messages_per_s", "sockets_closed", "entries_per_s", "log_bytes_per_s",
    "control_cpu",
)  # fmt: skip
SLOWEST_P50_MS, SLOWEST_TIMES = 20.0, 5.0
"""The median answer under a flood is below the one, or below so many times the quiet one (a busy machine)."""
MOST_ENTRIES_PER_SECOND = 5.0
FLOODS = ("none", "camera", "page", "both")


async def measure(_: Hosts, options: argparse.Namespace) -> list[Row]:
    """Measure each flood; raise SystemExit where one broke a bound."""
    seconds = options.seconds or 15.0
    rows: list[Row] = []
    async with whole() as found:
        (camera,) = await found.enrol(1)
        with loads(1) as (room,):
            wall = await WallSeat.open(found, room, 4)
            await wall.close()
            async with sending(room):
                for flood in FLOODS:
                    work = one_flood(found, camera, wall.secret, flood, seconds)
                    rows.append(await attempt(work, {"flood": flood}, seconds + 60))
    print(markdown(rows, COLUMNS), flush=True)
    bad = [row["flood"] for row in rows if not within_bounds(row, rows[0])]
    if bad:
        raise SystemExit(f"beyond the bounds: {', '.join(bad)}")
    return rows


def within_bounds(row: Row, quiet: Row) -> bool:
    """Return whether others were served while this flood went on."""
    if "error" in row or "error" in quiet:
        return False
    slowest = max(SLOWEST_P50_MS, SLOWEST_TIMES * float(quiet["healthz_p50_ms"]))
    return bool(row["healthz_p50_ms"] <= slowest and row["entries_per_s"] <= MOST_ENTRIES_PER_SECOND)


async def one_flood(found: Whole, camera: str, wall: str, flood: str, seconds: float) -> Row:
    """Flood for so long, and ask for health beside it."""
    before, log = await counters(found), log_bytes(found)
    meter = Meter(found.pid("control"))
    async with contextlib.AsyncExitStack() as stack:
        floods = [
            await stack.enter_async_context(flooder(found, camera, wall, side, seconds))
            for side in ("camera", "page")
            if flood in (side, "both")
        ]
        answers = await health(found, seconds)
        used = meter.used()
        sent = [json.loads((await each.communicate())[0])["sent"] for each in floods]
    after = await counters(found)
    return {
        "flood": flood,
        "healthz_p50_ms": percentile(answers, 0.5),
        "healthz_p99_ms": percentile(answers, 0.99),
        "messages_per_s": sum(sent) / seconds,
        "sockets_closed": after["live_floods"] - before["live_floods"],
        "entries_per_s": (after["journal_entries"] - before["journal_entries"]) / seconds,
        "log_bytes_per_s": (log_bytes(found) - log) / seconds,
        "control_cpu": used / seconds,
    }


async def health(found: Whole, seconds: float) -> list[float]:
    """Return how long each answer took, ms."""
    answers, end = [], time.monotonic() + seconds
    while (begun := time.monotonic()) < end:
        async with found.http.get(f"{found.relay.url}/healthz") as response:
            await response.read()
        answers.append((time.monotonic() - begun) * 1e3)
        await asyncio.sleep(0.02)
    return answers


async def counters(found: Whole) -> dict[str, float]:
    """Return control's counters that the rows need."""
    wanted = ("live_floods", "journal_entries")
    page = await found.alice.text("/metrics")
    return {
        name: sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(f"relay_{name}_total{{"))
        for name in wanted
    }


def log_bytes(found: Whole) -> int:
    """Return how much the relay has logged."""
    log = found.relay.data / "serve.log"
    return log.stat().st_size if log.exists() else 0


@contextlib.asynccontextmanager
async def flooder(found: Whole, camera: str, wall: str, side: str, seconds: float) -> Any:
    """A process that floods for so long; what it needs to know goes over its standard input, not into its arguments."""
    cookies = {str(each["name"]): str(each["value"]) for each in found.marie.cookies()}
    task = {
        "side": side, "url": found.relay.url, "token": found.tokens[camera], "cookies": cookies, "wall": wall,
        "seconds": seconds,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scripts.benchmarks.sockets",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(json.dumps(task).encode() + b"\n")
    await process.stdin.drain()
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def messages_of(side: str, wall: str) -> list[bytes]:
    """Return what a side sends, over and over."""
    if side == "camera":
        beats: list[dict[str, Any]] = [{"t": "beat", "battery": 50.0, "lat": 48.0, "lon": 2.0, "accuracy_m": 5.0}] * 50
        acts = [{"t": "press", "reason": "flood"}, {"t": "release"}]
        return [msgpack.packb(each) for each in (*beats, *acts)] + [b"\x91" * 2000]
    asked: list[dict[str, Any]] = [{"t": "time", "echo": 1}] * 20
    refused = [{"t": "assign", "wall": wall, "slot": 0, "camera": f"made-up-{n}"} for n in range(20)]
    return [msgpack.packb(each) for each in (*asked, *refused)] + [b"\x91" * 2000]


def frame(payload: bytes) -> bytes:
    """Return one masked binary frame (RFC 6455 §5.2); the mask is zero, so that a flood costs its sender nothing."""
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return b"\x82" + size + bytes(4) + payload


async def run_flood(task: dict[str, Any]) -> int:
    """Send as fast as the socket takes it, again on a new socket whenever it is closed; return how many were sent."""
    messages = messages_of(task["side"], task["wall"]) * 20
    blob, sent, end = b"".join(frame(each) for each in messages), 0, time.monotonic() + task["seconds"]
    while time.monotonic() < end:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(end - time.monotonic()):
                reader, writer = await connected(task)
                reading = asyncio.create_task(reader.read())  # to the end: the relay's answers are thrown away
                try:
                    while not reading.done():
                        writer.write(blob)
                        await writer.drain()
                        sent += len(messages)
                finally:
                    reading.cancel()
                    writer.close()
        await asyncio.sleep(0.02)
    return sent


async def connected(task: dict[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a live socket; raises OSError where the relay refuses it."""
    host, port = task["url"].removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 26)
    cookie = "; ".join(f"{name}={value}" for name, value in task["cookies"].items())
    who = f"Authorization: Bearer {task['token']}" if task["side"] == "camera" else f"Cookie: {cookie}"
    path = "/live/camera" if task["side"] == "camera" else "/live"
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    upgrade = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{who}\r\n{upgrade}\r\n\r\n".encode())
    if b" 101 " not in await reader.readuntil(b"\r\n"):
        writer.close()
        raise OSError("refused")
    return reader, writer


def main() -> None:
    """Flood as standard input says; print how many messages were sent."""
    task = json.loads(sys.stdin.readline())
    print(json.dumps({"sent": asyncio.run(run_flood(task))}), flush=True)


if __name__ == "__main__":
    main()
