"""Recovery cuts only what can have been unsynced.  Older damage stays to the byte, and the recovery record names it."""

import contextlib
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.base.clock import ManualClock
from relay.evidence.chain import KeyRollover, Record, Recovery, iterate
from relay.evidence.verdict import Mark
from relay.recorder.marks import mark_open
from relay.recorder.recover import Recovered, recover_all
from relay.recorder.sealing import SealedRecording, start_of
from relay.store.vault import CHAIN, MAX_UNSYNCED_BYTES, MAX_UNSYNCED_RECORDS, FileOps
from tests.support.faulty_disk import FaultyOps, Killed, killing, never
from tests.support.power import Medium
from tests.support.sealing import KEY, RECORDING, T0, finish, gap_job, judge, media, plan, session

FRAGMENTS = 40
PER_SEGMENT = 10


def record(root: Path, *, fragments: int = FRAGMENTS, original: str = "relay", ops: FileOps | None = None) -> None:
    """Record a start and fragments in four segments, and die without a word."""
    mark_open(ops or FileOps(), root, 0, RECORDING)
    signer = session()
    recording = SealedRecording(ops or FileOps(), root, start_of(plan(original=original), None, signer), KEY, signer)
    recording.sync()
    for number in range(fragments):
        recording.media(media(number, segment=number // PER_SEGMENT))
    recording.close()


def recover(root: Path) -> Recovered | None:
    found = list(recover_all(FileOps(), root, 0, session(), ManualClock(T0 + 10**12)))
    return found[0] if found else None


def files(root: Path) -> dict[str, bytes]:
    folder = root / RECORDING
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.is_dir() else {}


def records(root: Path) -> list[Record]:
    return list(iterate((root / RECORDING / CHAIN).read_bytes()))


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x55
    path.write_bytes(data)


def assert_kept(root: Path, before: dict[str, bytes]) -> None:
    """No byte of any file is gone or another; a recovery may stand behind the chain."""
    after = files(root)
    assert after.keys() == before.keys()
    for name, data in before.items():
        assert after[name][: len(data)] == data, name
        assert len(after[name]) == len(data) or name == CHAIN


@pytest.mark.parametrize("byte", [8, 9, 10, 13, 60, 300])
def test_a_damaged_start_costs_nothing(tmp_path: Path, byte: int) -> None:
    record(tmp_path)
    flip(tmp_path / RECORDING / CHAIN, byte)
    before = files(tmp_path)
    reported = recover(tmp_path)
    assert files(tmp_path) == before
    assert reported is not None
    assert reported.reason == "damaged"


@pytest.mark.parametrize("byte", [0, 3, 6, 20, 60, -1])
def test_a_damaged_record_before_whole_ones_costs_nothing(tmp_path: Path, byte: int) -> None:
    damage_a_record(tmp_path, byte)
    assert judge(tmp_path).integrity == "altered"


def test_a_length_that_leads_beyond_the_end_costs_nothing_and_reads_as_a_chain_that_was_cut_off(tmp_path: Path) -> None:
    damage_a_record(tmp_path, 1)
    verdict = judge(tmp_path)
    assert (verdict.completeness, verdict.exit_code) == ("open", 1)


def damage_a_record(tmp_path: Path, byte: int) -> None:
    """Flip a byte of the sixth record and recover: nothing is lost, and the recording is damaged."""
    record(tmp_path)
    its = records(tmp_path)[5]
    flip(tmp_path / RECORDING / CHAIN, its.position + byte % its.size)
    before = files(tmp_path)
    reported = recover(tmp_path)
    assert_kept(tmp_path, before)
    assert reported is not None
    assert reported.reason == "damaged"


def test_damaged_media_of_an_old_fragment_costs_nothing_and_the_recovery_names_it(tmp_path: Path) -> None:
    record(tmp_path)
    flip(tmp_path / RECORDING / "00000.seg", 600)
    before = files(tmp_path)
    reported = recover(tmp_path)
    assert_kept(tmp_path, before)
    assert reported is not None
    assert (reported.reason, reported.damage, reported.links) == ("damaged", "fragment 2", FRAGMENTS)
    body = records(tmp_path)[-1].body
    assert isinstance(body, Recovery)
    assert body.damaged
    assert (body.dropped_chain_bytes, body.dropped_media_bytes) == (0, 0)
    verdict = judge(tmp_path)
    assert verdict.integrity == "altered"
    assert [number for number, mark in enumerate(verdict.marks) if mark == Mark.ALTERED.value] == [2]


def test_a_segment_that_is_gone_takes_no_other_with_it(tmp_path: Path) -> None:
    record(tmp_path)
    (tmp_path / RECORDING / "00001.seg").unlink()
    before = files(tmp_path)
    reported = recover(tmp_path)
    assert_kept(tmp_path, before)
    assert reported is not None
    assert reported.damage == "fragment 10"


def test_a_chain_cut_short_takes_no_media_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More media without a link than can have been unsynced."""
    monkeypatch.setattr("relay.recorder.torn.MAX_UNSYNCED_BYTES", 2_000)
    record(tmp_path)
    path = tmp_path / RECORDING / CHAIN
    os.truncate(path, records(tmp_path)[6].position)
    before = files(tmp_path)
    reported = recover(tmp_path)
    assert files(tmp_path) == before
    assert reported is not None
    assert reported.reason == "damaged"


def test_a_chain_that_is_gone_takes_no_media_with_it(tmp_path: Path) -> None:
    record(tmp_path)
    (tmp_path / RECORDING / CHAIN).unlink()
    before = files(tmp_path)
    reported = recover(tmp_path)
    assert files(tmp_path) == before
    assert reported is not None
    assert (reported.reason, reported.links) == ("damaged", 0)


def test_a_recording_whose_media_the_camera_keeps_is_its_chain_and_stays(tmp_path: Path) -> None:
    record(tmp_path, original="camera")
    flip(tmp_path / RECORDING / CHAIN, 13)
    before = files(tmp_path)
    assert recover(tmp_path) is not None
    assert files(tmp_path) == before


def test_a_start_that_never_was_whole_is_removed(tmp_path: Path) -> None:
    record(tmp_path, fragments=0)
    os.truncate(tmp_path / RECORDING / CHAIN, 100)
    assert recover(tmp_path) is None
    assert not (tmp_path / RECORDING).exists()


def test_a_chain_of_another_format_version_is_left_alone(tmp_path: Path) -> None:
    record(tmp_path, fragments=0)
    flip(tmp_path / RECORDING / CHAIN, 9)
    before = files(tmp_path)
    assert recover(tmp_path) is not None
    assert files(tmp_path) == before


@pytest.mark.parametrize("back", range(1, MAX_UNSYNCED_RECORDS + 1))
@pytest.mark.parametrize("byte", [0, 3, 60, -1])
def test_what_can_have_been_unsynced_is_cut_and_closed_as_interrupted(tmp_path: Path, back: int, byte: int) -> None:
    record(tmp_path)
    its = records(tmp_path)[-back]
    flip(tmp_path / RECORDING / CHAIN, its.position + byte % its.size)
    reported = recover(tmp_path)
    assert reported is not None
    assert (reported.reason, reported.links) == ("interrupted", FRAGMENTS - back)
    assert judge(tmp_path).integrity in ("intact", "intact as stored")


@given(which=st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_no_flipped_byte_older_than_that_costs_a_single_one(tmp_path_factory: pytest.TempPathFactory, which: int) -> None:
    root = tmp_path_factory.mktemp("flip")
    record(root, fragments=20)
    durable = records(root)[-MAX_UNSYNCED_RECORDS]
    sizes = {path: path.stat().st_size for path in sorted((root / RECORDING).iterdir())}
    sizes[root / RECORDING / CHAIN] = durable.position
    sizes[root / RECORDING / "00001.seg"] = 216 * (20 - MAX_UNSYNCED_RECORDS - PER_SEGMENT)
    at = which % sum(sizes.values())
    for path, size in sizes.items():
        if at < size:
            flip(path, at)
            break
        at -= size
    before = files(root)
    reported = recover(root)
    assert_kept(root, before)
    assert reported is not None
    assert reported.reason == "damaged"


@pytest.mark.parametrize("back", [3, FRAGMENTS - 5])
def test_a_key_that_took_over_is_cut_where_it_may_be_torn_and_kept_where_not(tmp_path: Path, back: int) -> None:
    mark_open(FileOps(), tmp_path, 0, RECORDING)
    signer = session()
    recording = SealedRecording(FileOps(), tmp_path, start_of(plan(), None, signer), KEY, signer)
    for number in range(FRAGMENTS):
        if number == FRAGMENTS - back:
            recording.renew(session())
        recording.media(media(number))
    recording.close()
    (rollover,) = [one for one in records(tmp_path) if isinstance(one.body, KeyRollover)]
    flip(tmp_path / RECORDING / CHAIN, rollover.position + rollover.size - 1)
    before = files(tmp_path)
    reported = recover(tmp_path)
    assert reported is not None
    if back == 3:
        assert (reported.reason, reported.links) == ("interrupted", FRAGMENTS - back)
        assert judge(tmp_path).integrity in ("intact", "intact as stored")
    else:
        assert reported.reason == "damaged"
        assert files(tmp_path) == before


# --- the writer keeps to the window -----------------------------------------------------------------------------------


def test_no_more_records_are_appended_unsynced_than_recovery_may_cut(tmp_path: Path) -> None:
    class Counting(FileOps):
        unsynced = worst = 0

        def write(self, descriptor: int, data: bytes) -> int:
            if os.readlink(f"/proc/self/fd/{descriptor}").endswith(CHAIN):
                self.unsynced += 1
                self.worst = max(self.worst, self.unsynced)
            return super().write(descriptor, data)

        def fsync(self, descriptor: int) -> None:
            super().fsync(descriptor)
            if os.readlink(f"/proc/self/fd/{descriptor}").endswith(CHAIN):
                self.unsynced = 0

    ops = Counting()
    record(tmp_path, ops=ops)
    assert ops.worst == MAX_UNSYNCED_RECORDS


def test_no_more_media_is_appended_unsynced_than_recovery_may_cut(tmp_path: Path) -> None:
    signer = session()
    counting = FaultyOps(never)
    recording = SealedRecording(counting, tmp_path, start_of(plan(), None, signer), KEY, signer)
    recording.sync()
    recording.media(media(0, size=MAX_UNSYNCED_BYTES // 2))
    before = counting.operations
    recording.media(media(1, size=MAX_UNSYNCED_BYTES // 4))
    assert counting.operations - before == 2  # bytes and link
    before = counting.operations
    recording.media(media(2, size=MAX_UNSYNCED_BYTES // 2))
    assert counting.operations - before >= 4  # both files synced first
    recording.close()


@given(at=st.integers(20, 120), chance=st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_a_power_cut_without_a_timely_sync_is_never_taken_for_damage(
    tmp_path_factory: pytest.TempPathFactory, at: int, chance: random.Random
) -> None:
    """The backlog of a disk that stalled is written faster than the clock asks for a sync."""
    root = tmp_path_factory.mktemp("medium")
    medium = Medium(root)
    medium.plan = killing(at)
    with contextlib.suppress(Killed):
        record(root, ops=medium)
    left = root.parent / f"{root.name}-after"
    medium.after_power_cut(left, chance)
    reported = recover(left)
    if reported is not None:
        assert reported.reason == "interrupted", reported
        assert judge(left).integrity in ("intact", "intact as stored")


def test_damage_and_a_torn_end_are_reported_apart(tmp_path: Path) -> None:
    record(tmp_path)
    flip(tmp_path / RECORDING / "00000.seg", 0)
    with (tmp_path / RECORDING / CHAIN).open("ab") as chain:
        chain.write(b"\x00\x01\x33torn")
    reported = recover(tmp_path)
    assert reported is not None
    assert (reported.damage, reported.links) == ("fragment 0", FRAGMENTS)
    body = records(tmp_path)[-1].body
    assert isinstance(body, Recovery)
    assert body.dropped_chain_bytes == 7


def test_a_finished_recording_that_was_damaged_keeps_its_end(tmp_path: Path) -> None:
    signer = session()
    recording = SealedRecording(FileOps(), tmp_path, start_of(plan(), None, signer), KEY, signer)
    for number in range(FRAGMENTS):
        recording.media(media(number))
    recording.gap(gap_job(FRAGMENTS))
    recording.finish(finish(FRAGMENTS + 1))
    recording.sync()
    recording.close()
    mark_open(FileOps(), tmp_path, 0, RECORDING)
    flip(tmp_path / RECORDING / "00000.seg", 3)
    before = files(tmp_path)
    reported = recover(tmp_path)
    assert files(tmp_path) == before
    assert reported is not None
    assert reported.reason == "damaged"
