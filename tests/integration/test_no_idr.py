"""A camera that sends no IDR is recorded from a recovery point on, and the verdict says so.  FFmpeg is the judge."""

from dataclasses import replace
from pathlib import Path

import pytest

from relay.evidence.verdict import Code, Verdict
from relay.evidence.verify import verify
from relay.store.keyring import Keyring
from relay.store.readers import open_reader
from tests.support.any_camera import Recorded, recorded
from tests.support.camera_streams import Habits, Stream, made

FIRST = 5
"""The picture (in decode order) from which on packets came: those before, with the only IDR, were sent earlier."""


KINDS = [Habits(refresh=True), Habits(open_gop=True, b_frames=2), Habits(refresh=True, markers="none", slices=4)]


def joined_late(stream: Stream) -> Stream:
    """The stream as a relay gets it that is reached in the middle of it."""
    begins = stream.pictures[FIRST].at
    return replace(stream, packets=[timed for timed in stream.packets if timed.at >= begins])


def judged(found: Recorded, root: Path) -> Verdict:
    with open_reader(found.folder) as reader:
        return verify(reader, Keyring(root / "keys").public_key)


@pytest.mark.parametrize("habits", KINDS)
async def test_what_is_promised_from_a_recovery_point_on_is_recorded(habits: Habits, tmp_path: Path) -> None:
    stream = made(replace(habits, gop=15, seconds=3.0, sets="offer"))
    found = await recorded(tmp_path, joined_late(stream))
    ((_, right),) = [(begin, end) for begin, end, cause in found.gaps if cause == "recovery_point"]
    expected = [stream.shown[number] for number in sorted(each.number for each in stream.pictures if each.at > right)]
    assert len(expected) > 30
    assert [digest for digest in found.pictures if digest in set(expected)] == expected
    assert found.segments == 1
    verdict = judged(found, tmp_path)
    assert Code.RECOVERY_POINT in {note.code for note in verdict.notes}
    assert [finding for finding in verdict.findings if finding.code is not Code.GAP] == []
