"""Bad networks before and behind the relay: freezes in Chromium, packets repaired, gaps in the recording.

Two simulated cameras film (640x360, 20 fps, 500 kbit/s) and one page of Chromium shows both.  The first camera's own seeded
network is bad and its viewer's is good (`camera` rows); the second camera's is good and its viewer sits behind a seeded UDP
proxy with the same network (`viewer` rows).  Both directions suffer, 60 ms round trip unless said otherwise.  A still is a gap
of half a second or more between two shown pictures (`requestVideoFrameCallback`), beside it Chromium's own count of freezes
(getStats).  Repaired: what the relay got back from the camera by its NACKs (where it counts that), and what Chromium received
as a retransmission.  Gaps are the video gaps of cause `radio` that the verdict on the recording names; the note says when each
gap was, in seconds from the start of the run (a camera that leaves resends nothing).  Sound is not resent.  The simulated
camera does not follow the bit rate that the relay asks for, a real one does: a pipe too narrow shows the worst case.

Owns: the networks and the rows.  Must never know: how a packet is repaired.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import datetime
import time
from collections.abc import AsyncIterator, Iterator

from scripts.benchmarks.rig import Hosts, attempt
from scripts.benchmarks.screen import filming, grown, sums, watching
from scripts.benchmarks.tables import Row, freezes, markdown
from scripts.benchmarks.whole import Whole, gaps_by_camera, whole
from sim_cameras.impair import Network
from sim_cameras.impair_proxy import ImpairProxy
from tests.support.chromium import Chromium, Viewer, chromium

COLUMNS = (
    "playout_max_ms", "network", "side", "shown_fps", "stills", "longest_ms", "freezes", "frozen_s", "packets_lost", "repaired",
    "nacks", "asked_camera", "plis", "gaps", "gaps_s",
)  # fmt: skip
FLAGS = ("--size", "640x360", "--fps", "20", "--bitrate", "500000")
COUNTED = {"asked_camera": "nack_sent", "repaired": "inbound_recovered"}
"""Columns of the camera's side that the worker counts."""
STILL_MS = 500.0
"""Milliseconds without a new picture that count."""
SETTLE_SECONDS, RUN, PERIOD = 3.0, 12.0, 4.0
HALF_TRIP_SECONDS = 0.03


@dataclasses.dataclass(frozen=True)
class Case:
    """A network, steady or with something that happens once in a period."""

    name: str
    network: Network
    cut: float = 0.0
    """Seconds of silence in each period."""
    narrow: float | None = None
    """Bits per second in the second half of each period."""

    def networks(self) -> tuple[Network, Network]:
        """Return the network of the first and of the second half of a period."""
        return self.network, self.network if self.narrow is None else dataclasses.replace(self.network, bandwidth=self.narrow)


FAR = Network(delay=HALF_TRIP_SECONDS)
CASES = (
    Case("perfect", Network()),
    Case("60 ms round trip", FAR),
    Case("loss 1 %", dataclasses.replace(FAR, loss=0.01)),
    Case("loss 5 %", dataclasses.replace(FAR, loss=0.05)),
    Case("loss 10 %", dataclasses.replace(FAR, loss=0.1)),
    Case("bursts: 5 % in runs of 5", dataclasses.replace(FAR, loss=0.05, burst=5)),
    Case("jitter 50 ms", dataclasses.replace(FAR, jitter=0.05)),
    Case("reordering 5 % by 20 ms", dataclasses.replace(FAR, reorder=0.05)),
    Case("cuts of 500 ms", FAR, cut=0.5),
    Case("2 Mbit/s and 400 kbit/s in turn", dataclasses.replace(FAR, bandwidth=2e6), narrow=4e5),
)
COMPARED = ("loss 5 %", "bursts: 5 % in runs of 5", "jitter 50 ms")
"""Cases that are run again with no buffer allowed to the viewer."""


async def measure(_: Hosts, options: argparse.Namespace) -> list[Row]:
    """All cases with the default buffer, some again with none."""
    rows: list[Row] = []
    for playout in (400, 0):
        chosen = [case for case in CASES if (playout or case.name in COMPARED) and (options.only or "") in case.name]
        if chosen:
            rows += await several(chosen, playout, options.seconds or RUN)
    print(markdown(rows, COLUMNS), flush=True)
    return rows


async def several(cases: list[Case], playout: int, seconds: float) -> list[Row]:
    """Run cases one after the other on one relay; each with cameras, and so recordings, of its own."""
    rows: list[Row] = []
    async with whole({"RELAY_WORKERS__PLAYOUT_DELAY_MAX_MS": str(playout)}) as found, chromium() as browser:
        for number, case in enumerate(cases):
            cameras = await found.enrol(2)
            work = one_case(found, browser, case, cameras, number, seconds)
            both = await attempt(work, {"near": {}, "far": {}})
            for side, part, camera in (("camera", "near", cameras[0]), ("viewer", "far", cameras[1])):
                error = {"error": both["error"]} if "error" in both else {}
                rows.append(
                    {"playout_max_ms": playout, "network": case.name, "side": side, "of": camera, **both[part], **error}
                )
        await found.relay.stop()
        found_gaps = await asyncio.to_thread(gaps_by_camera, found.relay)
    return [{**row, **radio_gaps(found_gaps.get(row["of"], []), row.get("begun", 0.0))} for row in rows]


async def one_case(found: Whole, browser: Chromium, case: Case, cameras: list[str], seed: int, seconds: float) -> Row:
    """Film, watch, and read both tiles' figures."""
    proxy = ImpairProxy(("127.0.0.1", found.relay.udp_port), Network(), Network(), 100 + seed)
    script = script_of(case, cameras[0], SETTLE_SECONDS + seconds + 60)
    asked = [await counted(found, counter, 0.0) for counter in COUNTED.values()]
    async with filming(found, cameras, *FLAGS, "--seed", str(seed + 1), script=script), proxy.running():
        ports: list[dict[str, str]] = [{}, {str(found.relay.udp_port): str(proxy.port)}]
        page = await watching(found, browser, cameras, ports)
        async with worsened(proxy, case):
            await asyncio.sleep(SETTLE_SECONDS)
            before = [await sums(page, camera) for camera in cameras]
            for camera in cameras:
                await page.shown(camera)
            begun = time.time()
            await asyncio.sleep(seconds)
            near, far = [await figures(page, camera, was, seconds) for camera, was in zip(cameras, before, strict=True)]
        for (name, counter), was in zip(COUNTED.items(), asked, strict=True):
            near[name] = await counted(found, counter, float("nan") if name == "repaired" else 0.0) - was
        for camera in cameras:
            await page.close(camera, headers=found.marie.headers())
        await page.page.close()
    return {"near": {**near, "begun": begun}, "far": {**far, "begun": begun}}


async def figures(page: Viewer, camera: str, before: Row, seconds: float) -> Row:
    """Return what a tile showed since `before`."""
    shown = [each.at for each in await page.shown(camera)]
    grew = grown(before, await sums(page, camera))
    stills, longest = freezes(shown, STILL_MS)
    return {
        "shown_fps": len(shown) / seconds,
        "stills": stills,
        "longest_ms": longest,
        "freezes": grew["freezeCount"],
        "frozen_s": float(grew["totalFreezesDuration"]),
        "packets_lost": grew["packetsLost"],
        "repaired": grew["retransmittedPacketsReceived"],
        "nacks": grew["nackCount"],
        "plis": grew["pliCount"],
    }


@contextlib.asynccontextmanager
async def worsened(proxy: ImpairProxy, case: Case) -> AsyncIterator[None]:
    """Make the viewer's network bad inside the block."""

    async def play() -> None:
        while True:
            first, second = case.networks()
            proxy.set_network(first, first)
            await asyncio.sleep(PERIOD / 2)
            proxy.set_network(second, second)
            if case.cut:
                proxy.cut(case.cut)
            await asyncio.sleep(PERIOD / 2)

    task = asyncio.create_task(play())
    try:
        yield
    finally:
        task.cancel()
        proxy.set_network(Network(), Network())


def script_of(case: Case, camera: str, seconds: float) -> str:
    """Return the same network as a script for a simulated camera (TOML), for so long."""
    return "\n".join(_steps(case, camera, seconds))


def _steps(case: Case, camera: str, seconds: float) -> Iterator[str]:
    first, second = case.networks()
    yield _network_step(0.0, camera, first)
    at = PERIOD
    while at < seconds:
        if second != first:
            yield _network_step(at, camera, second)
            yield _network_step(at + PERIOD / 2, camera, first)
        if case.cut:
            yield f'[[step]]\nat = {at}\ncamera = "{camera}"\ndo = "cut"\nseconds = {case.cut}'
        at += PERIOD


def _network_step(at: float, camera: str, network: Network) -> str:
    values = {key: value for key, value in dataclasses.asdict(network).items() if value is not None}
    lines = "\n".join(f"{key} = {value}" for key, value in values.items())
    return f'[[step]]\nat = {at}\ncamera = "{camera}"\ndo = "network"\n{lines}'


def radio_gaps(gaps: list[Row], begun: float) -> Row:
    """Return how many gaps a recording's picture has that the radio made, their seconds together, and when each was.

    `begun`: when the run began, UTC seconds; the note has seconds from then (the recording is longer than the run).
    """
    video = [gap for gap in gaps if gap["track"] == "video"]
    radio = [float(gap["seconds"]) for gap in video if gap["cause"] == "radio"]
    notes = [f"{gap['cause']} {gap['seconds']} s at {_seconds(gap['at']) - begun:+.1f} s" for gap in video]
    return {"gaps": len(radio), "gaps_s": sum(radio), "note": ", ".join(notes)}


def _seconds(at: str) -> float:
    """Return the UTC seconds of a time as verdicts write it."""
    return datetime.datetime.strptime(at, "%Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=datetime.UTC).timestamp()


async def counted(found: Whole, name: str, absent: float) -> float:
    """Return a counter of the worker; `absent` where it has never counted that."""
    lines = [line.split() for line in (await found.alice.text("/metrics")).splitlines()]
    values = [float(line[-1]) for line in lines if line[0].startswith(f"relay_{name}_total{{")]
    return sum(values) if values else absent
