"""A handful of the battery's attackers at once, for seconds: the short form of `scripts/soak/hostile`.

It asserts on what does not depend on how fast this machine is: what the victim's recording lacks, what the relay still holds
when the attackers have left, what it wrote down, and that every attacker really acted.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict

from scripts.benchmarks.battery import MAX_ENTRIES_PER_MINUTE, MAX_FIRST_ENTRIES, MAX_LEFT_FILES, MAX_LEFT_MEMORY_MB
from scripts.benchmarks.rig import ROOT, Hosts, LoadProcess
from scripts.benchmarks.siege import Honest, besieged
from tests.support.hostile_target import Target
from tests.support.ports import until

SECONDS = 4.0
ATTACKERS = (
    ("strangers", "tcp fillers", "guesses", "refused acts", "page socket", "feedback"),
    ("offers", "camera socket", "tokens"),
)
"""Those of a line share an address, an operator and a camera."""
TRICK = "sps"
"""What a hostile camera sends meanwhile."""


@contextlib.asynccontextmanager
async def hostile_camera(honest: Honest, target: Target) -> AsyncIterator[LoadProcess]:
    """Publish as an enrolled camera that plays a trick."""
    load = LoadProcess(Hosts(loopback=True))
    try:
        honest.found.tokens[target.camera] = target.token
        await honest.found.publish(load, target.camera, trick=TRICK)
        yield load
    finally:
        load.close()


@contextlib.asynccontextmanager
async def attackers(targets: Mapping[str, Target]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run attackers in one process of their own; its standard input ends them."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.hostile", *targets, cwd=ROOT, stdin=pipe, stdout=pipe
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps([asdict(target) for target in targets.values()]).encode() + b"\n")
        await process.stdout.readline()  # they have begun
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def attack(honest: Honest) -> dict[str, int]:
    """Let all attackers act at once; return how often each did."""
    *shared, camera = [await honest.target() for _ in range(len(ATTACKERS) + 1)]
    targets = {name: target for group, target in zip(ATTACKERS, shared, strict=True) for name in group}
    async with attackers(targets) as process, hostile_camera(honest, camera) as load:
        sent = await load.ask("run", seconds=SECONDS, delays=False, settle=False)
        said, _ = await process.communicate(b"")
    return {**dict(zip(targets, map(int, said.split()), strict=True)), TRICK: int(sent["sent"])}


async def test_what_attackers_do_together_costs_a_camera_nothing_and_leaves_nothing_behind() -> None:
    async with besieged(cameras=1, guests=0) as honest:
        before = honest.resources()
        acts = await attack(honest)
        await until(lambda: honest.resources().files <= before.files + MAX_LEFT_FILES, 60)
        spent = honest.resources().minus(before)
        seen = honest.seen()
        await honest.end()
        gaps, findings = await asyncio.to_thread(honest.judge, pauses=False)
    assert [name for name, count in acts.items() if not count] == []
    assert seen.sent > 0
    assert seen.delays, "somebody watched all the time"
    assert (gaps, findings) == ([], [])
    assert spent.memory_mb < MAX_LEFT_MEMORY_MB
    assert spent.entries < MAX_FIRST_ENTRIES * len(acts) + MAX_ENTRIES_PER_MINUTE
