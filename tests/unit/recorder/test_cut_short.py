"""What control knows of a recording is durable: a chain that lacks it was cut short.  No death or power cut is taken for that.

The variants are a forger's who has no key: he kills the recorder, and leaves a shorter chain that ends cleanly.
"""

import contextlib
import errno
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.base.clock import ManualClock
from relay.evidence.chain import End, Link, Record, Recovery, iterate
from relay.evidence.heads import SealedHead
from relay.recorder.event_messages import recovered
from relay.recorder.jobs import Progress, SegmentEnded, VaultEvent
from relay.recorder.marks import mark_closed, mark_open
from relay.recorder.recover import Recovered, recover_all
from relay.recorder.sealing import SealedRecording, start_of
from relay.store.vault import CHAIN, MAX_UNSYNCED_RECORDS, FileOps
from tests.support.faulty_disk import FaultyOps, Killed, killing, never
from tests.support.power import Medium
from tests.support.sealing import KEY, RECORDING, T0, finish, gap_job, judge, media, plan, session

FRAGMENTS = 40
PER_SEGMENT = 10


@dataclass
class Heard:
    """What control heard from a recorder, newest last."""

    heads: list[SealedHead] = field(default_factory=list)

    def take(self, events: list[VaultEvent]) -> None:
        for event in events:
            if isinstance(event, Progress):
                self.heads.append(
                    SealedHead(RECORDING, event.head, event.records, event.links, event.stored_bytes, event.sealed_until_ns)
                )
            elif isinstance(event, SegmentEnded):
                self.heads.append(SealedHead(RECORDING, event.head, 0, event.last_link + 1, 0, event.end_ns))


def record(ops: FileOps, root: Path, heard: Heard, *, fragments: int = FRAGMENTS, every: int = 3, end: bool = False) -> None:
    """Record fragments, a gap and another session key; sync every few; die without a word, or end."""
    mark_open(ops, root, 0, RECORDING)
    signer = session()
    recording = SealedRecording(ops, root, start_of(plan(), None, signer), KEY, signer)
    heard.take(recording.sync())
    for number in range(fragments):
        if number == fragments // 2:
            recording.gap(gap_job(number))
            recording.renew(session())
        else:
            recording.media(media(number, segment=number // PER_SEGMENT))
        if number % every == every - 1:
            heard.take(recording.sync())
    if end:
        recording.finish(finish(fragments))
        heard.take(recording.sync())
    recording.close()
    if end:
        mark_closed(ops, root, 0, RECORDING)


def recover(root: Path, known: SealedHead | None, ops: FileOps | None = None) -> Recovered | None:
    heads = {} if known is None else {RECORDING: known}
    found = list(recover_all(ops or FileOps(), root, 0, session(), ManualClock(T0 + 10**12), known=heads))
    return found[0] if found else None


def records(root: Path) -> list[Record]:
    return list(iterate((root / RECORDING / CHAIN).read_bytes()))


def files(root: Path) -> dict[str, bytes]:
    folder = root / RECORDING
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.is_dir() else {}


def cut(root: Path, kept: int, *, media_too: bool) -> None:
    """Keep the first records of a chain, and with `media_too` only the media that they link."""
    folder, all_records = root / RECORDING, records(root)
    os.truncate(folder / CHAIN, all_records[kept].position)
    if media_too:
        sizes: dict[int, int] = {}
        for one in all_records[:kept]:
            if isinstance(one.body, Link):
                sizes[one.body.segment] = one.body.offset + one.body.stored_length
        for path in folder.glob("*.seg"):
            if int(path.stem) in sizes:
                os.truncate(path, sizes[int(path.stem)])
            else:
                path.unlink()


# --- the forger ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media_too", [True, False])
@pytest.mark.parametrize("kept", [1, 2, 5, 20, 21, 22, 23, 30, 38, 40])
def test_a_chain_cut_at_a_clean_boundary_is_damaged_and_its_recovery_says_what_is_missing(
    tmp_path: Path, kept: int, media_too: bool
) -> None:
    heard = Heard()
    record(FileOps(), tmp_path, heard, every=1)
    known = heard.heads[-1]
    cut(tmp_path, kept, media_too=media_too)
    before = files(tmp_path)
    reported = recover(tmp_path, known)
    assert reported is not None
    assert reported.reason == "damaged"
    assert reported.missing.startswith(f"{known.records - kept} records, ")
    after = files(tmp_path)
    assert {name: data[: len(before[name])] for name, data in after.items()} == before, "no byte of it is cut"
    body = records(tmp_path)[-1].body
    assert isinstance(body, Recovery)
    assert body.damaged
    assert body.missing_tail is not None
    assert reported.missing.endswith("{} fragments, {} s".format(*body.missing_tail))
    assert recovered(reported).damage == f"missing at its end: {reported.missing}"
    assert judge(tmp_path).completeness == "incomplete"
    if not media_too:
        assert judge(tmp_path).integrity == "altered"


def test_the_missing_seconds_are_named(tmp_path: Path) -> None:
    heard = Heard()
    record(FileOps(), tmp_path, heard, every=1)
    cut(tmp_path, 11, media_too=True)  # the start and ten fragments of 0.4 s
    reported = recover(tmp_path, heard.heads[-1])
    assert reported is not None
    assert reported.missing == "31 records, 29 fragments, 12.0 s"


@pytest.mark.parametrize("kept", [5, 30])
def test_a_segments_row_is_enough(tmp_path: Path, kept: int) -> None:
    """A control that was killed with the recorder knows what is in its catalogue."""
    heard = Heard()
    record(FileOps(), tmp_path, heard)
    known = [head for head in heard.heads if not head.records][-1]
    cut(tmp_path, kept, media_too=True)
    reported = recover(tmp_path, known)
    assert reported is not None
    assert (reported.reason, "fragments" in reported.missing) == ("damaged", True)


def _folder(root: Path) -> None:
    shutil.rmtree(root / RECORDING)


def _chain(root: Path) -> None:
    (root / RECORDING / CHAIN).unlink()


def _nothing_whole(root: Path) -> None:
    _folder(root)
    (root / RECORDING).mkdir()
    (root / RECORDING / CHAIN).write_bytes(b"BCRCHAIN\0\1")


def _start_only(root: Path) -> None:
    cut(root, 1, media_too=True)


def _half_a_record(root: Path) -> None:
    os.truncate(root / RECORDING / CHAIN, records(root)[30].position + 40)


def _last_record(root: Path) -> None:
    cut(root, len(records(root)) - 1, media_too=True)


def _last_byte(root: Path) -> None:
    path = root / RECORDING / CHAIN
    os.truncate(path, path.stat().st_size - 1)


def _another_recording(root: Path) -> None:
    _folder(root)
    record(FileOps(), root, Heard(), fragments=60)


def _shorter_one_of_his_own(root: Path) -> None:
    _folder(root)
    record(FileOps(), root, Heard(), fragments=6)


def _an_older_copy_of_all_files(root: Path) -> None:
    _start_only(root)
    (root / RECORDING / "00000.seg").unlink(missing_ok=True)


def _a_record_in_the_middle(root: Path) -> None:
    path, one, after = root / RECORDING / CHAIN, records(root)[12], records(root)[13]
    data = path.read_bytes()
    path.write_bytes(data[: one.position] + data[after.position :])


def _a_byte_of_the_last_fragment(root: Path) -> None:
    path = root / RECORDING / "00003.seg"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "forge",
    [
        _folder, _chain, _nothing_whole, _start_only, _half_a_record, _last_record, _last_byte, _another_recording,
        _shorter_one_of_his_own, _an_older_copy_of_all_files, _a_record_in_the_middle, _a_byte_of_the_last_fragment,
    ],
)  # fmt: skip
def test_nothing_that_was_reported_can_go_or_change_unnoticed(tmp_path: Path, forge: Callable[[Path], None]) -> None:
    heard = Heard()
    record(FileOps(), tmp_path, heard, every=1)
    forge(tmp_path)
    before = files(tmp_path)
    reported = recover(tmp_path, heard.heads[-1])
    assert reported is not None
    assert reported.reason == "damaged"
    assert reported.damage or reported.missing
    assert {name: data[: len(before[name])] for name, data in files(tmp_path).items()} == before


def test_a_forged_end_of_another_recording_does_not_close_it(tmp_path: Path) -> None:
    heard, other = Heard(), tmp_path / "other"
    other.mkdir()
    record(FileOps(), other, Heard(), fragments=5, end=True)
    record(FileOps(), tmp_path, heard, every=1)
    cut(tmp_path, 6, media_too=True)
    ended = (other / RECORDING / CHAIN).read_bytes()[records(other)[-1].position :]
    with (tmp_path / RECORDING / CHAIN).open("ab") as chain:
        chain.write(ended)
    reported = recover(tmp_path, heard.heads[-1])
    assert reported is not None
    assert reported.reason == "damaged"


def test_a_recovery_that_died_itself_says_the_same_again(tmp_path: Path) -> None:
    def forged(root: Path) -> SealedHead:
        root.mkdir()
        heard = Heard()
        record(FileOps(), root, heard, every=1)
        cut(root, 30, media_too=True)
        return heard.heads[-1]

    counting = FaultyOps(never)
    whole = recover(tmp_path / "count", forged(tmp_path / "count"), counting)
    assert whole is not None
    for at in range(1, counting.operations + 1):
        root = tmp_path / str(at)
        known = forged(root)
        with contextlib.suppress(Killed):
            recover(root, known, FaultyOps(killing(at)))
        again = recover(root, known)
        if again is not None:
            assert (again.reason, again.missing) == ("damaged", whole.missing)
        assert sum(isinstance(one.body, Recovery) for one in records(root)) == 1


# --- ordinary circumstances ----------------------------------------------------------------------------------------------


def test_no_death_at_any_operation_is_taken_for_a_cut(tmp_path: Path) -> None:
    counting = FaultyOps(never)
    (tmp_path / "count").mkdir()
    record(counting, tmp_path / "count", Heard(), fragments=8, end=True)
    for at in range(1, counting.operations + 1):
        root, heard = tmp_path / str(at), Heard()
        root.mkdir()
        with contextlib.suppress(Killed):
            record(FaultyOps(killing(at)), root, heard, fragments=8, end=True)
        assert_honest(root, heard)


@given(at=st.integers(1, 160), chance=st.randoms(use_true_random=False), every=st.integers(1, 9))
@settings(max_examples=80, deadline=None)
def test_no_power_cut_at_any_operation_is_taken_for_a_cut(
    tmp_path_factory: pytest.TempPathFactory, at: int, chance: random.Random, every: int
) -> None:
    """Whatever control heard before the power went is on the medium afterwards."""
    root, heard = tmp_path_factory.mktemp("medium"), Heard()
    medium = Medium(root)
    medium.plan = killing(at)
    with contextlib.suppress(Killed):
        record(medium, root, heard, every=every, end=True)
    left = root.parent / f"{root.name}-after"
    medium.after_power_cut(left, chance)
    assert_honest(left, heard)


@given(
    death=st.integers(20, 200),
    refused=st.sets(st.integers(12, 200), max_size=60),
    code=st.sampled_from([errno.ENOSPC, errno.EIO, errno.EROFS]),
    chance=st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_no_full_or_failing_disk_is_taken_for_a_cut(
    tmp_path_factory: pytest.TempPathFactory, death: int, refused: set[int], code: int, chance: random.Random
) -> None:
    """The disk refuses some operations, each job is tried again as the vault thread does, and then the power goes."""

    def plan_of_faults(number: int, name: str) -> int | None:
        if number >= death:
            raise Killed(name)
        return code if number in refused else None

    root, heard = tmp_path_factory.mktemp("medium"), Heard()
    medium = Medium(root)
    medium.plan = plan_of_faults
    with contextlib.suppress(Killed):
        record_on_a_bad_disk(medium, root, heard)
    left = root.parent / f"{root.name}-after"
    medium.after_power_cut(left, chance)
    assert_honest(left, heard)


def record_on_a_bad_disk(ops: FileOps, root: Path, heard: Heard) -> None:
    mark_open(ops, root, 0, RECORDING)
    signer = session()
    recording = SealedRecording(ops, root, start_of(plan(), None, signer), KEY, signer)
    again(lambda: heard.take(recording.sync()))
    for number in range(FRAGMENTS):
        job = media(number, segment=number // PER_SEGMENT)
        again(lambda job=job: recording.media(job))  # type: ignore[misc]
        if number % 3 == 2:
            again(lambda: heard.take(recording.sync()))
    again(lambda: recording.finish(finish(FRAGMENTS)))
    again(lambda: heard.take(recording.sync()))
    recording.close()
    mark_closed(ops, root, 0, RECORDING)


def again(job: Callable[[], None]) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError):
            return job()
    raise AssertionError("the disk never took it")


def assert_honest(root: Path, heard: Heard) -> None:
    """Every head that was heard is in the chain, and a recovery that is told any of them finds no damage."""
    reported = recover(root, heard.heads[-1] if heard.heads else None)
    if heard.heads:
        assert {head.head for head in heard.heads} <= {one.head for one in records(root)}
    if reported is not None:
        assert (reported.damage, reported.missing) == ("", "")
        assert reported.reason in ("interrupted", "stopped")
        assert judge(root).integrity in ("intact", "intact as stored")
        assert isinstance(records(root)[-1].body, End | Recovery)


@pytest.mark.parametrize("which", [0, 1, 5, -1])
def test_a_catalogue_that_was_restored_and_knows_less_is_no_damage(tmp_path: Path, which: int) -> None:
    heard = Heard()
    record(FileOps(), tmp_path, heard)
    reported = recover(tmp_path, heard.heads[which])
    assert reported is not None
    assert (reported.reason, reported.missing) == ("interrupted", "")


def test_what_was_never_reported_may_still_be_torn(tmp_path: Path) -> None:
    heard = Heard()
    record(FileOps(), tmp_path, heard, every=FRAGMENTS - 6)
    path = tmp_path / RECORDING / CHAIN
    os.truncate(path, path.stat().st_size - 40)
    reported = recover(tmp_path, heard.heads[-1])
    assert reported is not None
    assert (reported.reason, reported.missing) == ("interrupted", "")


@pytest.mark.parametrize("back", range(1, MAX_UNSYNCED_RECORDS + 1))
def test_a_bad_record_within_the_window_is_damage_where_it_was_reported(tmp_path: Path, back: int) -> None:
    heard = Heard()
    record(FileOps(), tmp_path, heard, every=1)
    its = records(tmp_path)[-back]
    path = tmp_path / RECORDING / CHAIN
    data = bytearray(path.read_bytes())
    data[its.position + its.size - 1] ^= 1
    path.write_bytes(data)
    reported = recover(tmp_path, heard.heads[-1])
    assert reported is not None
    assert reported.reason == "damaged"
    assert path.read_bytes()[: len(data)] == bytes(data)
