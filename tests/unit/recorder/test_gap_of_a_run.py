"""Fragments that the disk did not take: a run of them is one signed gap, signed before the record that follows it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from relay.evidence.chain import Cause, End, Gap, Link, iterate
from relay.evidence.seal import sha256
from relay.recorder.jobs import FragmentJob, GapJob, GapSealed, RecordingEnded, VaultEvent
from relay.recorder.sealing import SealedRecording, start_of
from relay.store.vault import CHAIN, FileOps
from tests.support.sealing import KEY, RECORDING, T0, finish, gap_job, judge, media, plan, session

STEP = 400_000_000


@pytest.fixture
def recording(tmp_path: Path) -> SealedRecording:
    signer = session()
    return SealedRecording(FileOps(), tmp_path, start_of(plan(), None, signer), KEY, signer)


def lost(number: int) -> GapJob:
    """Return the `number`-th fragment as one that the disk did not take."""
    return GapJob(RECORDING, T0 + number * STEP, STEP - 1_000_000, None, Cause.DISK, "not taken", fragments=1)


def bodies(root: Path) -> Sequence[object]:
    return [record.body for record in iterate((root / RECORDING / CHAIN).read_bytes())][1:]


def gaps(root: Path) -> list[tuple[int, int]]:
    """Return start and length of the signed gaps, in fragments."""
    found = [body for body in bodies(root) if isinstance(body, Gap)]
    return [((gap.start_ns - T0) // STEP, (gap.length_ns + 1_000_000) // STEP) for gap in found]


def reported(events: list[VaultEvent]) -> list[tuple[int, int]]:
    sealed = [event.gap for event in events if isinstance(event, GapSealed)]
    return [((one.start_ns - T0) // STEP, (one.length_ns + 1_000_000) // STEP) for one in sealed]


def test_a_run_is_one_gap_before_the_link_that_follows_it(recording: SealedRecording, tmp_path: Path) -> None:
    recording.media(media(0))
    for number in range(1, 8):
        recording.gap(lost(number))
    assert reported(recording.sync()) == gaps(tmp_path) == [], "it still grows"
    recording.media(media(8))
    recording.finish(finish(9))
    assert reported(recording.sync()) == gaps(tmp_path) == [(1, 7)]
    assert [type(body) for body in bodies(tmp_path)] == [Link, Gap, Link, End]
    gap = bodies(tmp_path)[1]
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.track, gap.detail) == (Cause.DISK, None, "not taken (7 fragments)")
    verdict = judge(tmp_path)
    assert (verdict.exit_code, verdict.integrity) == (0, "intact")


def test_a_run_that_is_signed_before_its_end_goes_on_in_another_gap(recording: SealedRecording, tmp_path: Path) -> None:
    for number in range(6):
        recording.gap(lost(number))
        if number == 3:
            recording.sign_open_gap()
    recording.sign_open_gap()
    recording.sign_open_gap()
    assert reported(recording.sync()) == gaps(tmp_path) == [(0, 4), (4, 2)]


def test_the_end_signs_what_is_lost_and_counts_it(recording: SealedRecording, tmp_path: Path) -> None:
    recording.media(media(0))
    recording.gap(lost(1))
    recording.gap(lost(2))
    recording.finish(finish(3))
    events = recording.sync()
    (end,) = [event for event in events if isinstance(event, RecordingEnded)]
    assert (end.links, end.gaps) == (1, 1)
    assert reported(events) == gaps(tmp_path) == [(1, 2)]
    assert judge(tmp_path).exit_code == 0


def test_another_cause_and_a_gap_between_are_gaps_of_their_own(recording: SealedRecording, tmp_path: Path) -> None:
    recording.gap(lost(0))
    recording.gap(lost(1))
    recording.gap(gap_job(2))
    recording.gap(lost(3))
    recording.gap(lost(9))
    recording.gap(replace(lost(10), cause=Cause.RECORDER))
    recording.gap(lost(4))
    recording.finish(finish(11))
    recording.sync()
    starts = [body.start_ns for body in bodies(tmp_path) if isinstance(body, Gap)]
    assert [(start - T0) // STEP for start in starts] == [0, 2, 3, 9, 10, 4]


def _init(segment: int, number: int) -> FragmentJob:
    return replace(media(number, segment=segment), init=True, tracks=(), plain=b"init of %d" % segment, length_ns=0)


def test_a_segment_whose_beginning_was_lost_still_begins_with_its_init_segment(
    recording: SealedRecording, tmp_path: Path
) -> None:
    recording.media(_init(0, 0))
    recording.media(media(0))
    for missed in (lost(1), replace(lost(2), length_ns=0, init=_init(1, 2)), lost(2), lost(3)):
        recording.gap(missed)
    recording.media(media(4, segment=1))
    recording.media(media(5, segment=1))
    recording.gap(replace(lost(6), length_ns=0, init=_init(2, 6)))
    recording.gap(lost(6))
    recording.media(_init(3, 7))
    recording.media(media(7, segment=3))
    recording.finish(finish(8))
    recording.sync()
    links = [body for body in bodies(tmp_path) if isinstance(body, Link)]
    assert [(link.segment, link.init) for link in links] == [
        (0, True), (0, False), (1, True), (1, False), (1, False), (3, True), (3, False),
    ]  # fmt: skip
    assert links[2].plain_digest == sha256(b"init of 1")
    assert links[2].arrival_start_ns == links[3].arrival_start_ns, "it was kept for this one"
    assert gaps(tmp_path) == [(1, 3), (6, 1)]
    assert judge(tmp_path).integrity == "intact"


def test_what_is_added_to_a_run_leaves_the_job_as_it_was(recording: SealedRecording) -> None:
    first = lost(0)
    recording.gap(first)
    recording.gap(lost(1))
    assert first == lost(0)
