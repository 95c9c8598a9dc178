"""I1, I7, I10: after a death or a power cut at any operation, the rest plays, verifies, and is closed by a signed record."""

import contextlib
import random
import socket
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.base.clock import ManualClock
from relay.evidence.chain import Cause, End, Link, Recovery, iterate
from relay.recorder.marks import mark_closed, mark_open, open_marks
from relay.recorder.recover import Recovered, left_behind, recover_all
from relay.recorder.sealing import SealedRecording, start_of
from relay.store.vault import CHAIN, FileOps
from tests.support.faulty_disk import FaultyOps, Killed, killing, never
from tests.support.power import Medium
from tests.support.sealing import KEY, RECORDING, T0, finish, gap_job, judge, media, plan, session

FRAGMENTS = 8


@dataclass
class Run:
    """How far a recording had come when it was cut off."""

    linked: int = 0
    synced: int = 0
    finished: bool = False


def record(ops: FileOps, root: Path, run: Run, lost: Collection[int] = ()) -> None:
    """Open, store eight fragments in two segments with a gap between, sync at times, end.  Those in `lost` are dropped."""
    mark_open(ops, root, 0, RECORDING)
    signer = session()
    recording = SealedRecording(ops, root, start_of(plan(), None, signer), KEY, signer)
    recording.sync()
    for number in range(FRAGMENTS):
        if number == 4:
            recording.gap(gap_job(number))
        if number in lost:
            recording.gap(replace(gap_job(number), cause=Cause.DISK, fragments=1))
        else:
            recording.media(media(number, segment=number // 4, size=2000))
            run.linked += 1
        if number % 3 == 2:
            recording.sync()
            run.synced = run.linked
    recording.finish(finish(FRAGMENTS))
    recording.sync()
    run.synced, run.finished = run.linked, True
    recording.close()
    mark_closed(ops, root, 0, RECORDING)


def recover(root: Path, ops: FileOps | None = None) -> list[Recovered]:
    return list(recover_all(ops or FileOps(), root, 0, session(), ManualClock(T0 + 10**12)))


def check(root: Path, at_least: int, finished: bool) -> None:
    """After recovery: the only finding is that the recording was cut short, and everything that was promised is there."""
    folder = root / RECORDING
    if not folder.is_dir():
        assert at_least == 0
        return
    verdict = judge(root)
    assert verdict.integrity in ("intact", "intact as stored"), verdict
    assert verdict.origin == "proved", verdict
    assert verdict.fragments >= at_least
    bodies = [one.body for one in iterate((folder / CHAIN).read_bytes())]
    assert isinstance(bodies[-1], End | Recovery)
    assert sum(isinstance(body, Link) for body in bodies) == verdict.fragments
    if finished:
        assert verdict.exit_code == 0, verdict
    assert not open_marks(root, 0).is_dir() or not list(open_marks(root, 0).iterdir())


def operations(root: Path) -> int:
    ops = FaultyOps(never)
    record(ops, root, Run())
    return ops.operations


def test_death_at_every_single_operation(tmp_path: Path) -> None:
    (tmp_path / "count").mkdir()
    total = operations(tmp_path / "count")
    assert total >= 40
    for at in range(1, total + 1):
        root = tmp_path / str(at)
        root.mkdir()
        run = Run()
        with contextlib.suppress(Killed):
            record(FaultyOps(killing(at)), root, run)
        recover(root)
        check(root, run.linked, run.finished)


def test_death_at_any_operation_while_fragments_are_lost_leaves_no_gap_unexplained(tmp_path: Path) -> None:
    lost = {1, 2, 5, 6, 7}
    counting = FaultyOps(never)
    (tmp_path / "count").mkdir()
    record(counting, tmp_path / "count", Run(), lost)
    for at in range(1, counting.operations + 1):
        root = tmp_path / str(at)
        root.mkdir()
        run = Run()
        with contextlib.suppress(Killed):
            record(FaultyOps(killing(at)), root, run, lost)
        recover(root)
        check(root, run.linked, run.finished)


def test_death_at_every_operation_of_the_recovery_itself(tmp_path: Path) -> None:
    def torn(root: Path) -> Path:
        root.mkdir()
        with contextlib.suppress(Killed):
            record(FaultyOps(killing(27)), root, Run())
        with (root / RECORDING / CHAIN).open("ab") as chain:
            chain.write(b"\x00\x01\x33torn")
        return root

    counting = FaultyOps(never)
    recover(torn(tmp_path / "count"), counting)
    assert counting.operations >= 6
    for at in range(1, counting.operations + 1):
        root = torn(tmp_path / str(at))
        with contextlib.suppress(Killed):
            recover(root, FaultyOps(killing(at)))
        recover(root)
        check(root, 1, False)
        bodies = [one.body for one in iterate((root / RECORDING / CHAIN).read_bytes())]
        assert sum(isinstance(body, Recovery) for body in bodies) == 1


@given(at=st.integers(1, 60), chance=st.randoms(use_true_random=False), lost=st.sets(st.integers(0, FRAGMENTS - 1)))
@settings(max_examples=60, deadline=None)
def test_power_cut_at_any_operation_loses_at_most_what_was_not_synced(
    tmp_path_factory: pytest.TempPathFactory, at: int, chance: random.Random, lost: set[int]
) -> None:
    root = tmp_path_factory.mktemp("medium")
    medium = Medium(root)
    medium.plan = killing(at)
    run = Run()
    with contextlib.suppress(Killed):
        record(medium, root, run, lost)
    left = root.parent / f"{root.name}-after"
    medium.after_power_cut(left, chance)
    recover(left)
    check(left, run.synced, run.finished)


def test_recovery_reports_what_is_on_disk(tmp_path: Path) -> None:
    with contextlib.suppress(Killed):
        record(FaultyOps(killing(34)), tmp_path, Run())
    (reported,) = recover(tmp_path)
    verdict = judge(tmp_path)
    assert (reported.links, reported.head.hex(), reported.reason) == (verdict.fragments, verdict.head, "interrupted")
    assert [segment.segment for segment in reported.segments] == [0, 1][: len(reported.segments)]
    assert sum(segment.stored_bytes for segment in reported.segments) == reported.stored_bytes
    assert reported.end_ns == verdict.end_ns
    assert recover(tmp_path) == []


def test_end_that_was_signed_but_never_reported_is_reported_as_what_it_is(tmp_path: Path) -> None:
    record(FileOps(), tmp_path, Run())
    mark_open(FileOps(), tmp_path, 0, RECORDING)
    (reported,) = recover(tmp_path)
    assert reported.reason == "stopped"
    assert judge(tmp_path).exit_code == 0


def test_other_recorders_recordings_are_left_alone(tmp_path: Path) -> None:
    with contextlib.suppress(Killed):
        record(FaultyOps(killing(30)), tmp_path, Run())
    assert list(recover_all(FileOps(), tmp_path, 1, session(), ManualClock(T0))) == []
    assert len(recover(tmp_path)) == 1


def test_recorders_that_are_no_more_leave_nothing_unclosed(tmp_path: Path) -> None:
    for index, recording in enumerate(("a" * 32, "b" * 32, "c" * 32)):
        mark_open(FileOps(), tmp_path, index, recording)
    (tmp_path / "open-old").mkdir()
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as alive:
        alive.bind(str(tmp_path / "recorder-2.sock"))
        alive.listen()
        assert left_behind(tmp_path, tmp_path, 1) == [1]
    assert left_behind(tmp_path, tmp_path, 1) == [1, 2]
    assert left_behind(tmp_path, tmp_path, 3) == []


def test_stranger_in_the_marks_is_ignored(tmp_path: Path) -> None:
    mark_open(FileOps(), tmp_path, 0, RECORDING)
    (open_marks(tmp_path, 0) / "README").write_text("not a recording")
    assert recover(tmp_path) == []
