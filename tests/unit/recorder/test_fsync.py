"""After a failed fsync the bytes that it may have dropped are written again before a later fsync counts."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.recorder.sealing import SealedRecording, start_of
from relay.store.vault import FileOps
from tests.support.sealing import KEY, finish, judge, media, plan, session


class Forgetful(FileOps):
    """A disk whose failed fsync drops what it was to write, and whose next one says that all is well (as Linux does)."""

    def __init__(self, failures: list[bool]) -> None:
        super().__init__()
        self.failures = failures
        self._durable: dict[int, int] = {}

    def fsync(self, descriptor: int) -> None:
        inode, size = os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size
        since = min(self._durable.get(inode, 0), size)
        if self.failures and self.failures.pop(0):
            with Path(f"/proc/self/fd/{descriptor}").open("r+b") as file:
                file.seek(since)
                file.write(bytes(size - since))
            raise OSError(errno.EIO, "fsync")
        self._durable[inode] = size


@given(st.lists(st.booleans(), min_size=2, max_size=12).map(lambda failures: [False, *failures]))
@settings(max_examples=25)
def test_failed_fsync_is_not_made_good_by_a_later_one(failures: list[bool]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        signer = session()
        recording = SealedRecording(Forgetful(failures), root, start_of(plan(), None, signer), KEY, signer)
        for number in range(8):
            insist(partial(recording.media, media(number, segment=number // 3)))
            with contextlib.suppress(OSError):
                recording.sync()
        insist(partial(recording.finish, finish(8)))
        insist(recording.sync)
        recording.close()
        assert judge(root).exit_code == 0


def insist(call: Callable[[], object]) -> None:
    """Try again as the vault thread does."""
    for _ in range(40):
        with contextlib.suppress(OSError):
            call()
            return
    raise AssertionError("refused for ever")
