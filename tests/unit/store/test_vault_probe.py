"""Readiness of the disk: a trial that costs a flood of questions one write every few seconds."""

import asyncio
import errno
import threading
from pathlib import Path

import pytest

from relay.base.clock import ManualClock
from relay.runtime.deadlines import Deadline
from relay.store.vault import FileOps, sync_folder
from relay.store.vault_probe import FRESH_SECONDS, TrialError, VaultProbe, try_vault
from tests.support.faulty_disk import FaultyOps, never


def test_a_trial_leaves_nothing_behind(tmp_path: Path) -> None:
    try_vault(FileOps(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", range(1, 7))
def test_whichever_step_fails_the_trial_says_so_and_leaves_nothing(tmp_path: Path, step: int) -> None:
    ops = FaultyOps(lambda number, _: errno.EIO if number == step else None)
    with pytest.raises(TrialError) as failed:
        try_vault(ops, tmp_path)
    words = ["making a file", "writing", "syncing a file (fsync)", "renaming", "syncing the folder (fsync)", "removing a file"]
    assert failed.value.step == words[step - 1]
    assert list(tmp_path.iterdir()) == []


async def test_many_questions_cost_one_trial_until_it_is_old(tmp_path: Path) -> None:
    clock, ops = ManualClock(), FaultyOps(never)
    probe = VaultProbe(tmp_path, clock, Deadline(2.0), ops)
    assert all(await asyncio.gather(*(probe.can_write() for _ in range(500))))
    once = ops.operations
    assert await probe.can_write()
    assert ops.operations == once
    clock.advance(FRESH_SECONDS)
    assert await probe.can_write()
    assert ops.operations == 2 * once


async def test_a_disk_that_refuses_is_not_ready_and_ready_again_later(tmp_path: Path) -> None:
    clock, broken = ManualClock(), [True]
    ops = FaultyOps(lambda _, name: errno.ENOSPC if broken[0] and name == "write" else None)
    probe = VaultProbe(tmp_path, clock, Deadline(2.0), ops)
    assert not await probe.can_write()
    broken[0] = False
    assert not await probe.can_write()
    clock.advance(FRESH_SECONDS)
    assert await probe.can_write()


async def test_a_disk_that_does_not_answer_costs_each_caller_its_deadline_and_one_thread(tmp_path: Path) -> None:
    clock, answers = ManualClock(), threading.Event()

    def frozen(_number: int, _name: str) -> None:
        answers.wait(60)

    probe = VaultProbe(tmp_path, clock, Deadline(0.05), FaultyOps(frozen))
    before = threading.active_count()
    try:
        assert not await probe.can_write()
        clock.advance(60)
        assert [await probe.can_write() for _ in range(50)] == [False] * 50
        assert threading.active_count() <= before + 1
    finally:
        answers.set()


def test_a_folder_of_a_real_file_system_can_be_synced(tmp_path: Path) -> None:
    assert sync_folder(tmp_path)
    assert sync_folder(Path("/dev/shm"))
