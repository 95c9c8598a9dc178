"""The digest of what was read is what `sha256sum` gives, whatever the verifier asked for and in whatever order."""

import hashlib
import os
import shutil
import subprocess
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.errors import Kind, TheirError
from relay.evidence.readings import HashingReader
from relay.evidence.verify import verify
from relay.store.readers import open_reader
from tests.support.recordings import LONGTERM, MemoryReader, build

BUILT = build("SIPPPIPPE")
COMMAND = "find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum"


def of(files: dict[str, bytes]) -> str:
    lines = b"".join(
        hashlib.sha256(data).hexdigest().encode() + b"  " + name.encode() + b"\n"
        for name, data in sorted(files.items(), key=lambda file: file[0].encode())
    )
    return hashlib.sha256(lines).hexdigest()


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="the system has no sha256sum")
def test_the_systems_own_commands_give_the_same_for_the_folder_and_for_its_zip(tmp_path: Path) -> None:
    folder = build("SIPPPIPPE").write(tmp_path / "rec")
    (folder / "derived").mkdir()
    (folder / "derived" / "é 1.txt").write_text("x")
    done = subprocess.run(
        ["bash", "-c", COMMAND], cwd=folder, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}
    )
    with zipfile.ZipFile(tmp_path / "rec.zip", "w") as archive:
        for path in folder.rglob("*"):
            archive.write(path, f"rec/{path.relative_to(folder)}")
    for path in (folder, tmp_path / "rec.zip"):
        with open_reader(path) as reader, closing(HashingReader(reader)) as hashing:
            verify(hashing, LONGTERM.public_key)
            assert hashing.finish().digest == done.stdout.split()[0]


@given(st.lists(st.tuples(st.sampled_from(sorted(BUILT.files)), st.integers(0, 4000), st.integers(0, 4000)), max_size=12))
def test_the_order_of_reading_does_not_matter(reads: list[tuple[str, int, int]]) -> None:
    with closing(HashingReader(MemoryReader(dict(BUILT.files)))) as hashing:
        for name, offset, size in reads:
            assert hashing.read(name, offset, size) == BUILT.files[name][offset : offset + size]
        found = hashing.finish()
    assert (found.files, found.length, found.digest) == (len(BUILT.files), sum(map(len, BUILT.files.values())), of(BUILT.files))


def test_any_other_byte_or_name_is_another_digest() -> None:
    digests = set()
    for files in (BUILT.files, {**BUILT.files, "x": b""}, {**BUILT.files, "y": b""}, {**BUILT.files, "x": b"1"}):
        with closing(HashingReader(MemoryReader(dict(files)))) as hashing:
            digests.add(hashing.finish().digest)
    assert len(digests) == 4


def test_a_file_that_cannot_be_read_leaves_no_digest() -> None:
    class Damaged(MemoryReader):
        def read(self, name: str, offset: int, size: int) -> bytes:
            if name == "chain" and offset > 100:
                raise TheirError(Kind.INVALID, "damaged")
            return super().read(name, offset, min(size, 100))

    with closing(HashingReader(Damaged(dict(BUILT.files)))) as hashing:
        found = hashing.finish()
    assert (found.files, found.digest) == (len(BUILT.files), "")
