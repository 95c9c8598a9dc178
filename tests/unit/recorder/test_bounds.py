"""A value that does not fit into a signed record: no descriptor leaks, no number is used twice, each gap and end is signed."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.clip import clip
from relay.base.clock import ManualClock, SystemClock
from relay.base.counters import Counters
from relay.base.errors import OurError
from relay.evidence import seal
from relay.evidence.chain import Body, Cause, End, Gap, Link, iterate
from relay.evidence.records import MAX_SEGMENT, MAX_TEXT
from relay.evidence.wire import Text, encode
from relay.recorder import backlog, sealing
from relay.recorder.backlog import Backlog
from relay.recorder.job_executor import JobExecutor
from relay.recorder.jobs import EndJob, FragmentJob, GapJob, Job, OpenJob
from relay.recorder.marks import open_marks
from relay.recorder.vault_disk import VaultDisk
from relay.store.vault import CHAIN, FileOps
from tests.support.faulty_disk import FaultyOps
from tests.support.sealing import KEY, RECORDING, finish, gap_job, judge, media, plan, session
from tests.unit.recorder.test_writer import Bench


def executor(root: Path, ops: FileOps | None = None) -> JobExecutor:
    """What the vault thread carries out jobs with."""
    ops, counters = ops or FileOps(), Counters()
    return JobExecutor(ops, root, session(), ManualClock(), counters, VaultDisk(ops, root, counters), lambda _event: None)


def bodies(root: Path, recording: str = RECORDING) -> list[Body]:
    return [record.body for record in iterate((root / recording / CHAIN).read_bytes())]


def failing(at: int) -> Callable[[int, str], int | None]:
    """A plan in which one operation fails."""
    return lambda number, _name: errno.EIO if number == at else None


def left(root: Path) -> tuple[int, int, int]:
    """Descriptors of this process, folders of recordings, open marks."""
    marks = open_marks(root, 0)
    folders = [path for path in root.iterdir() if len(path.name) == 32]
    return len(os.listdir("/proc/self/fd")), len(folders), len(list(marks.iterdir())) if marks.is_dir() else 0


@given(st.text(st.characters(), max_size=120), st.integers(0, 40))
def test_clipped_text_is_whole_characters_and_fits(text: str, size: int) -> None:
    cut = clip(text, size)
    assert len(encode(Text(200), cut)) - 1 <= size
    assert text.encode("utf-8", "replace").decode().startswith(cut)


def test_an_opening_that_cannot_be_signed_leaves_nothing(tmp_path: Path) -> None:
    vault = executor(tmp_path)
    answers: list[Exception | None] = []
    before = left(tmp_path)
    for number in range(30):
        its = plan(f"{number:032x}")
        long = type(its)(**{name: getattr(its, name) for name in its.__struct_fields__} | {"trigger": "é" * 150})
        vault.carry_out(OpenJob(long, KEY, answers.append))
    assert left(tmp_path) == before
    assert all(isinstance(answer, OurError) for answer in answers)


def test_an_opening_that_the_disk_refuses_at_any_operation_leaves_no_descriptor(tmp_path: Path) -> None:
    for at in range(1, 12):
        root = tmp_path / str(at)
        root.mkdir()
        before = left(root)[0]
        answers: list[Exception | None] = []
        vault = executor(root, FaultyOps(failing(at)))
        vault.carry_out(OpenJob(plan(), KEY, answers.append))
        vault.close()
        assert left(root)[0] == before, at


def test_a_second_opening_of_a_recording_does_not_undo_the_first(tmp_path: Path) -> None:
    vault = executor(tmp_path)
    answers: list[Exception | None] = []
    for _ in range(2):
        vault.carry_out(OpenJob(plan(), KEY, answers.append))
    assert answers[0] is None
    assert isinstance(answers[1], OurError)
    assert (tmp_path / RECORDING / CHAIN).exists()
    vault.close()


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every number that was given to the cipher."""
    used: list[int] = []
    real = seal.encrypt_fragment

    def noting(key: bytes, recording: str, fragment: int, plain: bytes) -> bytes:
        used.append(fragment)
        return real(key, recording, fragment, plain)

    monkeypatch.setattr(sealing, "encrypt_fragment", noting)
    return used


def ended(root: Path, *jobs: Job) -> list[Body]:
    """Carry out these jobs in a new recording, and return its records."""
    bench = Bench(root, FileOps(), SystemClock())
    assert bench.open() is None
    bench.put(*jobs)
    assert bench.thread.stop(10)
    return bodies(root)


def test_a_fragment_that_cannot_be_sealed_is_a_gap_and_no_number_is_spent(tmp_path: Path, numbers: list[int]) -> None:
    odd = media(1)
    odd.metadata = (("position", "é" * 400),)
    found = ended(tmp_path, media(0), odd, media(2), finish(3))
    assert [type(body) for body in found[1:]] == [Link, Gap, Link, End]
    assert isinstance(found[2], Gap)
    assert found[2].cause is Cause.RECORDER
    assert numbers == [0, 1]
    assert judge(tmp_path).exit_code == 0


def test_a_recording_ends_with_its_last_segment_number(tmp_path: Path, numbers: list[int]) -> None:
    jobs: list[Job] = [media(0), media(1, segment=MAX_SEGMENT + 1), media(2, segment=MAX_SEGMENT + 2), finish(3)]
    found = ended(tmp_path, *jobs)
    assert [type(body) for body in found[1:]] == [Link, Gap, End]
    assert isinstance(found[2], Gap)
    assert "no segment number" in found[2].detail
    assert numbers == [0]
    assert judge(tmp_path).exit_code == 0


# --- a queue that is full ---------------------------------------------------------------------------------------------


def full(monkeypatch: pytest.MonkeyPatch) -> Backlog:
    """Two cameras in turn on a disk that takes nothing: the queue is full of their fragments, and more came."""
    monkeypatch.setattr(backlog, "MAX_JOBS", 40)
    clock = ManualClock()
    waiting = Backlog(clock, Counters(), 10.0)
    for number in range(200):
        waiting.put(media(number // 2, recording="ab"[number % 2] * 32, queued=clock.monotonic()))
    return waiting


def test_media_that_finds_the_queue_full_lies_in_a_gap_of_its_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = full(monkeypatch)
    for name in "ab":
        kept = [job for job in waiting.jobs if isinstance(job, FragmentJob) and job.recording == name * 32]
        gaps = [job for job in waiting.jobs if isinstance(job, GapJob) and job.recording == name * 32]
        assert (len(kept), [job.fragments for job in gaps]) == (18, [82]), "each has the same share, and a rest stays free"
        assert gaps[0].end_ns == media(99).start_ns + media(99).length_ns


def test_gaps_and_ends_are_never_refused_and_the_queue_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = full(monkeypatch)
    for number in range(100, 150):
        for name in "ab":
            waiting.put(gap_job(number, name * 32))
            waiting.put(media(number, recording=name * 32, queued=0.0))
    for name in "ab":
        waiting.put(finish(150, name * 32))
    assert len(waiting) <= 40 + 2 * 2
    assert [job.recording[0] for job in waiting.jobs if isinstance(job, EndJob)] == ["a", "b"]
    answers: list[Exception | None] = []
    waiting.put(OpenJob(plan(), KEY, answers.append))
    assert isinstance(answers[0], OurError)


def test_a_long_author_does_not_keep_a_recording_from_its_end(tmp_path: Path) -> None:
    end = finish(1)
    end.author = "é" * 150
    found = ended(tmp_path, media(0), end)
    assert isinstance(found[-1], End)
    assert found[-1].author == "é" * (MAX_TEXT // 2)
