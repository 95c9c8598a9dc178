"""Somebody kills recorder and control, cuts an open recording at a clean boundary, and has the relay recover it."""

import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from relay.evidence.chain import Link, iterate
from tests.e2e.conftest import Scene
from tests.support.chromium import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
KEPT = 6
"""Records that he leaves."""


def rows(data: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask the catalogue, beside the relay."""
    connection = sqlite3.connect(f"file:{data / 'relay.db'}?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


def cut(folder: Path) -> int:
    """Cut chain and media behind the first records; return how many records are gone."""
    chain = folder / "chain"
    records = list(iterate(chain.read_bytes()))
    last = max((one.body for one in records[:KEPT] if isinstance(one.body, Link)), key=lambda link: link.fragment)
    os.truncate(chain, records[KEPT].position)
    os.truncate(folder / f"{last.segment:05d}.seg", last.offset + last.stored_length)
    return len(records) - KEPT


async def test_a_tail_that_is_cut_off_is_named_by_recovery_check_and_verifier(scene: Scene) -> None:
    relay = scene.relay
    async with scene.simulated("cam1"):

        async def begun() -> bool:
            return len(relay.recordings()) == 1

        await until(begun, 120, "the recording")
        (folder,) = relay.recordings()
        await relay.sealed(folder, 8000)
        relay.send_signal(signal.SIGSTOP)  # nothing is started again meanwhile
        (recorder,), (control,) = relay.pids("recorder"), relay.pids("control")
        os.kill(recorder, signal.SIGKILL)

        async def entered() -> bool:
            return bool(rows(relay.data, "SELECT 1 FROM heads WHERE recording = ?", folder.name))

        await until(entered, 60, "the heads of a recorder that is lost")
        os.kill(control, signal.SIGKILL)
        gone = cut(folder)
        assert gone > 5
        relay.send_signal(signal.SIGCONT)

        async def closed() -> bool:
            return bool(rows(relay.data, "SELECT 1 FROM recordings WHERE recording = ? AND state = 'closed'", folder.name))

        await until(closed, 180, "the recovery")
    assert rows(relay.data, "SELECT reason FROM recordings WHERE recording = ?", folder.name) == [("damaged",)]
    checked = relay.run_any("check")
    assert checked.returncode == 1
    assert "cut short" in checked.stdout
    code, verdict = relay.verify(folder)
    assert (code, verdict["completeness"], verdict["integrity"]) == (1, "incomplete", "intact as stored")
    assert {finding["code"] for finding in verdict["findings"]} == {"recovered", "tail_missing"}
