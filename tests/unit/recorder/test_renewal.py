"""A recorder gets another session key: each open recording takes it over exactly once, also where the disk refuses."""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.base.clock import ManualClock, SystemClock
from relay.evidence.chain import ChainWriter, KeyRollover, iterate
from relay.evidence.seal import DAY_NS, SessionSigner, new_session
from relay.recorder.jobs import Progress, RecordingEnded, RenewKeyJob
from relay.recorder.marks import mark_open
from relay.recorder.recover import recover_all
from relay.recorder.sealing import SealedRecording, start_of
from relay.store.vault import CHAIN, FileOps
from tests.support.faulty_disk import FaultyOps
from tests.support.sealing import KEY, LONG_TERM, RECORDING, T0, finish, judge, media, plan, session
from tests.unit.recorder.test_writer import STEP, Bench

LATER = "0" * 31 + "2"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[[FileOps], Bench]]:
    made: list[Bench] = []

    def make(ops: FileOps) -> Bench:
        made.append(Bench(tmp_path, ops, SystemClock()))
        return made[-1]

    yield make
    for one in made:
        one.thread.stop(10)


def lives(since_ns: int, until_ns: int) -> SessionSigner:
    return new_session(LONG_TERM, role="recorder", index=0, not_before_ns=since_ns, not_after_ns=until_ns)


def rollovers(root: Path) -> int:
    return sum(isinstance(record.body, KeyRollover) for record in iterate((root / RECORDING / CHAIN).read_bytes()))


def test_a_recording_and_the_next_one_outlive_the_session_under_which_the_first_began(
    bench: Callable[[FileOps], Bench], tmp_path: Path
) -> None:
    one, second = bench(FileOps()), lives(T0, T0 + DAY_NS)
    one.put(RenewKeyJob(lives(T0, T0 + 3 * STEP)))
    assert one.open() is None
    one.put(media(0), media(1), RenewKeyJob(second), RenewKeyJob(second), *(media(number) for number in range(2, 9)), finish(9))
    one.wait(RecordingEnded)
    assert one.open(LATER) is None
    one.put(*(media(number, recording=LATER) for number in range(7)), finish(7, LATER))
    one.wait(RecordingEnded)
    assert [judge(tmp_path, recording).exit_code for recording in (RECORDING, LATER)] == [0, 0]
    assert rollovers(tmp_path) == 1


def test_without_it_what_comes_after_the_sessions_end_is_of_no_proved_time(
    bench: Callable[[FileOps], Bench], tmp_path: Path
) -> None:
    one = bench(FileOps())
    one.put(RenewKeyJob(lives(T0, T0 + 3 * STEP)))
    assert one.open() is None
    one.put(*(media(number) for number in range(9)), finish(9))
    one.wait(RecordingEnded)
    assert judge(tmp_path).exit_code == 1


def test_a_disk_that_refuses_meanwhile_delays_it_and_it_is_written_once(
    bench: Callable[[FileOps], Bench], tmp_path: Path
) -> None:
    refusing: list[bool] = []
    one = bench(FaultyOps(lambda _number, _name: errno.EIO if refusing else None))
    assert one.open() is None
    one.put(media(0))
    one.wait(Progress, lambda event: isinstance(event, Progress) and event.links == 1)
    refusing.append(True)
    one.put(RenewKeyJob(session()), media(1))
    one.until(lambda: one.counters.values["vault_errors"] > 1)
    refusing.clear()
    one.put(finish(2))
    one.wait(RecordingEnded)
    verdict = judge(tmp_path)
    assert (verdict.exit_code, verdict.fragments) == (0, 2)
    assert rollovers(tmp_path) == 1


def test_a_recorder_that_dies_after_a_renewal_leaves_a_recording_that_is_closed_and_verifies(tmp_path: Path) -> None:
    mark_open(FileOps(), tmp_path, 0, RECORDING)
    first, second = lives(T0, T0 + 3 * STEP), lives(T0, T0 + DAY_NS)
    recording = SealedRecording(FileOps(), tmp_path, start_of(plan(), None, first), KEY, first)
    recording.media(media(0))
    recording.renew(second)
    for number in range(1, 9):
        recording.media(media(number))
    recording.sync()
    recording.close()
    (closed,) = recover_all(FileOps(), tmp_path, 0, lives(T0, T0 + DAY_NS), ManualClock(T0 + 3600 * 10**9))
    verdict = judge(tmp_path)
    assert (closed.reason, closed.links) == ("interrupted", 9)
    assert [finding.code.name for finding in verdict.findings] == ["RECOVERED"]
    assert rollovers(tmp_path) == 1


@pytest.mark.parametrize("torn", range(0, 330, 11))
def test_a_renewal_that_a_power_cut_tore_is_as_if_it_had_not_been(tmp_path: Path, torn: int) -> None:
    mark_open(FileOps(), tmp_path, 0, RECORDING)
    first = lives(T0, T0 + DAY_NS)
    recording = SealedRecording(FileOps(), tmp_path, start_of(plan(), None, first), KEY, first)
    recording.media(media(0))
    recording.sync()
    whole = (tmp_path / RECORDING / CHAIN).stat().st_size
    recording.renew(lives(T0, T0 + DAY_NS))
    recording.sync()
    recording.close()
    with (tmp_path / RECORDING / CHAIN).open("r+b") as chain:
        chain.truncate(min(whole + torn, (tmp_path / RECORDING / CHAIN).stat().st_size))
    list(recover_all(FileOps(), tmp_path, 0, lives(T0, T0 + DAY_NS), ManualClock(T0 + 3600 * 10**9)))
    assert [finding.code.name for finding in judge(tmp_path).findings] == ["RECOVERED"]


def test_a_chain_of_the_older_version_is_closed_in_its_version(tmp_path: Path) -> None:
    mark_open(FileOps(), tmp_path, 0, RECORDING)
    month = lives(T0 - DAY_NS, T0 + 31 * DAY_NS)
    (tmp_path / RECORDING).mkdir()
    chain = tmp_path / RECORDING / CHAIN
    chain.write_bytes(ChainWriter(month, start_of(plan(), None, month), 1).start())
    list(recover_all(FileOps(), tmp_path, 0, lives(T0, T0 + DAY_NS), ManualClock(T0 + 3600 * 10**9)))
    assert chain.read_bytes()[:10] == b"BCRCHAIN\0\1"
    verdict = judge(tmp_path)
    assert [finding.code.name for finding in verdict.findings] == ["RECOVERED"]
    assert verdict.origin == "proved"
    assert "CERTIFICATE_LASTING" in [note.code.name for note in verdict.notes]
