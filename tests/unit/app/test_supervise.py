"""Supervision: back-off, private files, locks, and which left-over process may be adopted."""

import asyncio
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.app import supervise
from relay.app.supervise import (
    FIRST_DELAY_SECONDS,
    MAX_DELAY_SECONDS,
    Child,
    PidLock,
    Supervisor,
    back_off,
    find,
    is_locked,
    write_private,
)
from relay.base.counters import Counters
from relay.base.errors import OurError


def _child(run: Path, duty: str = "worker", **config: object) -> Child:
    return Child(duty, 0, ("true",), run, config, lambda: {"seed": "new"}, b"p" * 32)  # type: ignore[arg-type]


@given(st.lists(st.floats(0, 100), max_size=30))
def test_delays_grow_to_a_bound_and_start_again_after_a_steady_life(lives: list[float]) -> None:
    delay = 0.0
    for lived in lives:
        previous, delay = delay, back_off(delay, lived)
        assert FIRST_DELAY_SECONDS <= delay <= MAX_DELAY_SECONDS
        assert delay == FIRST_DELAY_SECONDS if lived >= 30 or previous == 0 else delay == min(MAX_DELAY_SECONDS, previous * 2)


def test_a_configuration_is_readable_by_its_owner_only_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_private(path, b"1")
    write_private(path, b"2")
    assert path.read_bytes() == b"2"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_secrets_are_handed_over_and_in_no_file(tmp_path: Path) -> None:
    child = _child(tmp_path, port=1, advertise=("127.0.0.1",))
    assert not child.has_same_config()
    child.write_config()
    assert child.has_same_config()
    assert json.loads(child.handover()) == {"seed": "new"}
    assert b"seed" not in child.config_file.read_bytes()
    assert not _child(tmp_path, port=2, advertise=("127.0.0.1",)).has_same_config()
    child.config_file.write_text("not json")
    assert not child.has_same_config()


def test_a_lock_is_held_by_one_and_free_again_when_released(tmp_path: Path) -> None:
    path = tmp_path / "control.pid"
    lock = PidLock(path)
    assert is_locked(path)
    with pytest.raises(OurError, match="another process"):
        PidLock(path)
    lock.release()
    assert not is_locked(path)
    PidLock(path).release()


async def test_a_pid_file_without_its_socket_or_lock_is_nobody(tmp_path: Path) -> None:
    for duty in ("worker", "control"):
        child = _child(tmp_path, duty)
        child.pid_file.write_text("1")  # a living process that is none of ours
        assert await find(child, Counters()) is None
    child = _child(tmp_path)
    child.pid_file.write_text("not a number")
    assert await find(child, Counters()) is None


async def test_a_child_that_cannot_be_started_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "FIRST_DELAY_SECONDS", 0.0)
    counters, child = Counters(), Child("worker", 0, ("sh", "-c", "sleep 0.2"), tmp_path, {}, dict)
    supervisor = Supervisor([child], counters, lambda event, child: None)
    await supervisor.start()
    refusals = 2
    write = Child.write_config

    def refuse(self: Child) -> None:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            raise OSError(28, "No space left on device")
        write(self)

    monkeypatch.setattr(Child, "write_config", refuse)
    async with asyncio.timeout(30):
        while counters.values["children_started"] < 2:  # noqa: ASYNC110 - a process has no event of its own
            await asyncio.sleep(0.01)
    assert counters.values["children_not_started"] == 2
    await supervisor.stop()
