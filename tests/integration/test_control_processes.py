"""The relay as real processes: started, killed one by one, adopted, ended in order; and all of it in one process."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.chromium import until
from tests.support.relay import RelayUnderTest


@contextlib.asynccontextmanager
async def _running(data: Path) -> AsyncIterator[RelayUnderTest]:
    relay = RelayUnderTest(data)
    relay.init()
    try:
        await relay.start()
        yield relay
    finally:
        await relay.discard()


async def _ready(relay: RelayUnderTest) -> bool:
    with contextlib.suppress(aiohttp.ClientError, OSError):
        async with aiohttp.ClientSession() as http, http.get(f"{relay.url}/readyz") as response:
            return response.status == 200
    return False


async def _replaced(relay: RelayUnderTest, name: str, before: int) -> None:
    async def done() -> bool:
        pids = relay.pids(name)
        return bool(pids) and pids[0] != before and await _ready(relay)

    await until(done, 90, f"a new {name}; log: {relay.log()[-2000:]}")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]


@pytest.mark.timeout(300)
async def test_each_process_killed_is_started_again_and_the_others_live_on(tmp_path: Path) -> None:
    async with _running(tmp_path / "data") as relay:
        for name in ("control", "worker", "recorder"):
            before = {other: relay.pids(other)[0] for other in ("control", "worker", "recorder")}
            os.kill(before[name], signal.SIGKILL)
            await _replaced(relay, name, before[name])
            for other in before.keys() - {name}:
                assert relay.pids(other) == [before[other]], f"{other} did not survive {name}"
        pids = [relay.pids(name)[0] for name in ("control", "worker", "recorder")]
        assert await relay.stop() == 0
        assert not any(_alive(pid) for pid in pids)
        assert relay.run_any("journal", "verify", "--data", str(relay.data)).returncode == 0


@pytest.mark.timeout(240)
async def test_a_new_supervisor_adopts_workers_and_recorders_and_replaces_control(tmp_path: Path) -> None:
    async with _running(tmp_path / "data") as relay:
        worker, recorder, control = (relay.pids(name)[0] for name in ("worker", "recorder", "control"))
        assert await relay.stop(signal.SIGKILL) == -signal.SIGKILL
        assert await _ready(relay), "control and the rest go on without a supervisor"
        await relay.start()
        await _replaced(relay, "control", control)
        assert (relay.pids("worker"), relay.pids("recorder")) == ([worker], [recorder])
        assert await relay.stop() == 0
        assert not any(_alive(pid) for pid in (worker, recorder, control))


@pytest.mark.timeout(240)
async def test_the_command_line_and_the_running_relay_are_one_writer(tmp_path: Path) -> None:
    async with _running(tmp_path / "data") as relay:
        token = relay.enrol("pm-1")
        assert len(token) == 43
        assert "pm-1" in await asyncio.to_thread(relay.run, "camera", "list", "--json", "--data", str(relay.data))
        password = relay.add_user("marie", "commander")
        async with aiohttp.ClientSession() as http:
            body = {"user": "marie", "password": password}
            async with http.post(f"{relay.url}/api/session", json=body) as response:
                assert (await response.json())["must_change"] is True
        assert relay.run_any("user", "add", "marie", "--role", "operator", "--data", str(relay.data)).returncode == 73
        assert relay.run_any("camera", "revoke", "nobody", "--data", str(relay.data)).returncode == 66
        assert "agree" in relay.run("check", "--data", str(relay.data))
        assert await relay.stop() == 0
        assert relay.run_any("journal", "verify", "--data", str(relay.data)).returncode == 0
        for personal in ("127.0.0.1", "marie", token, password):
            assert personal not in relay.log(), "personal data, an address or a secret in the log"


@pytest.mark.timeout(240)
async def test_all_in_one_process_serves_and_ends_in_order(tmp_path: Path) -> None:
    relay = RelayUnderTest(tmp_path / "data")
    relay.init()
    program, port = Path(sys.executable).with_name("relay"), relay.url.rpartition(":")[2]
    command = [str(program), "serve", "--in-process", "--data", str(relay.data), "--port", port]
    log = (tmp_path / "log").open("wb")
    environment = os.environ | {"RELAY_WORKERS__PORT_BASE": str(relay.udp_port)}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
    try:
        await until(lambda: _ready(relay), 120, "readiness")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            assert await process.wait() == 0, (tmp_path / "log").read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        log.close()
    assert relay.run_any("journal", "verify", "--data", str(relay.data)).returncode == 0
