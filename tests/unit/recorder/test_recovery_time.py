"""The date of a recovery after steps of the wall clock."""

from dataclasses import replace
from pathlib import Path

import pytest

from relay.base.clock import SECOND_NS, ManualClock
from relay.evidence.chain import Recovery, iterate
from relay.evidence.verdict import Verdict
from relay.recorder import marks
from relay.recorder.marks import mark_open, open_marks, read_clocks, read_mark
from relay.recorder.recover import recover_all
from relay.recorder.sealing import SealedRecording, start_of
from relay.store.vault import CHAIN, FileOps
from tests.support.faulty_disk import FaultyOps, never
from tests.support.sealing import KEY, RECORDING, T0, judge, media, plan, session

FRAGMENTS = 3
ENDED_NS = T0 + (FRAGMENTS - 1) * 400_000_000 + 399_000_000
"""When the last packet arrived."""


def _die(root: Path, clock: ManualClock, *, suspect: bool = False, fragments: int = FRAGMENTS) -> None:
    """Record 1.2 s and stop without a word, 10 s after the beginning."""
    mark_open(FileOps(), root, 0, RECORDING, read_clocks(clock))
    signer = session()
    recording = SealedRecording(FileOps(), root, start_of(plan(), None, signer), KEY, signer)
    for number in range(fragments):
        recording.media(replace(media(number), suspect=suspect))
    recording.sync()
    recording.close()
    clock.advance(10)


def _recover(root: Path, clock: ManualClock) -> tuple[Recovery, Verdict]:
    assert len(list(recover_all(FileOps(), root, 0, session(), clock))) == 1
    body = list(iterate((root / RECORDING / CHAIN).read_bytes()))[-1].body
    assert isinstance(body, Recovery)
    return body, judge(root)


def test_a_recovery_is_dated_when_it_is_written(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    _die(tmp_path, clock)
    body, verdict = _recover(tmp_path, clock)
    assert (body.recovered_ns, body.clock_suspect) == (T0 + 10 * SECOND_NS, False)
    assert verdict.time == "consistent"


@pytest.mark.parametrize("step", [3600, -3600, 0.3])
def test_a_step_since_the_beginning_shows_and_time_runs_on_evenly(tmp_path: Path, step: float) -> None:
    clock = ManualClock(T0)
    _die(tmp_path, clock)
    clock.step_utc(step)
    body, verdict = _recover(tmp_path, clock)
    assert (body.recovered_ns, body.clock_suspect) == (T0 + 10 * SECOND_NS, True)
    assert verdict.time == "suspect"
    assert verdict.end_ns == ENDED_NS


@pytest.mark.parametrize("lost", ["the machine booted", "the note is torn", "the note is empty"])
def test_where_nobody_watched_the_clock_it_is_believed_but_for_what_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    clock = ManualClock(T0)
    _die(tmp_path, clock)
    _lose(tmp_path, monkeypatch, lost)
    clock.step_utc(3600)
    body, verdict = _recover(tmp_path, clock)
    assert (body.recovered_ns, body.clock_suspect) == (T0 + 3610 * SECOND_NS, False)
    assert verdict.time == "consistent"


@pytest.mark.parametrize("fragments", [0, FRAGMENTS])
@pytest.mark.parametrize("lost", ["the machine booted", "the note is torn"])
def test_a_recovery_is_never_dated_before_what_it_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str, fragments: int
) -> None:
    clock = ManualClock(T0)
    _die(tmp_path, clock, fragments=fragments)
    _lose(tmp_path, monkeypatch, lost)
    clock.step_utc(-3600)
    body, verdict = _recover(tmp_path, clock)
    assert (body.recovered_ns, body.clock_suspect) == (ENDED_NS if fragments else T0, True)
    assert verdict.time == "suspect"


def test_what_closes_fragments_that_are_suspect_is_suspect_too(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    _die(tmp_path, clock, suspect=True)
    body, verdict = _recover(tmp_path, clock)
    assert body.clock_suspect
    assert verdict.time == "suspect"


def test_a_disk_that_takes_no_clocks_takes_the_note_all_the_same(tmp_path: Path) -> None:
    counting = FaultyOps(never)
    mark_open(counting, tmp_path, 0, RECORDING, read_clocks(ManualClock()))
    assert read_mark(tmp_path, 0, RECORDING) == read_clocks(ManualClock())

    class Full(FileOps):
        def write(self, descriptor: int, data: bytes) -> int:
            raise OSError(28, "no space left on device")

    mark_open(Full(), tmp_path, 1, RECORDING, read_clocks(ManualClock()))
    assert (open_marks(tmp_path, 1) / RECORDING).exists()
    assert read_mark(tmp_path, 1, RECORDING) is None


def _lose(root: Path, monkeypatch: pytest.MonkeyPatch, lost: str) -> None:
    note = open_marks(root, 0) / RECORDING
    if lost == "the machine booted":
        other = root / "boot_id"
        other.write_text("another boot\n")
        monkeypatch.setattr(marks, "_BOOT_ID", other)
    else:
        note.write_bytes(note.read_bytes()[:-5] if lost == "the note is torn" else b"")
