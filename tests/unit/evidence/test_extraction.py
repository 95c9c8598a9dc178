"""The signed list of an extraction has one encoding; whatever bytes stand in its place end in a finding, not in an accident."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.errors import Kind, TheirError
from relay.evidence.extraction import (
    MAX_EXTRACTION,
    MAX_LISTED,
    ListedFile,
    extraction_holds,
    is_newer,
    read_extraction,
    sign_extraction,
)
from relay.evidence.seal import sha256
from relay.evidence.verdict import Code
from relay.evidence.verify import verify
from tests.support.recordings import LONGTERM, OTHER_LONGTERM, RECORDING, T0, MemoryReader, build

BUILT = build("SIPPE")
EXPORT = BUILT.handed_over({**BUILT.export(), "manifest.json": b"{}", "verify.py": b"print()"})
NAMES = st.text(st.characters(codec="utf-8"), max_size=40)
FILES = st.dictionaries(NAMES, st.binary(max_size=50), max_size=20)


def signed(files: dict[str, bytes]) -> bytes:
    listed = [ListedFile(name, len(data), sha256(data)) for name, data in files.items()]
    return sign_extraction(LONGTERM, recording=RECORDING, head=bytes(32), files=listed, issued_ns=T0)


@given(FILES)
def test_what_is_signed_is_read_again_whatever_the_order_of_the_files(files: dict[str, bytes]) -> None:
    data = signed(files)
    assert data == signed(dict(reversed(files.items())))
    found = read_extraction(data)
    assert {file.name: (file.length, file.digest) for file in found.files} == {
        name: (len(content), sha256(content)) for name, content in files.items()
    }
    assert extraction_holds(found, LONGTERM.public_key)
    assert not extraction_holds(found, OTHER_LONGTERM.public_key)


@given(FILES, st.data())
def test_no_other_bytes_are_read_as_the_same_list(files: dict[str, bytes], data: st.DataObject) -> None:
    whole = signed(files)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    try:
        found = read_extraction(changed)
    except TheirError:
        return
    assert not extraction_holds(found, LONGTERM.public_key)


@given(st.binary(max_size=400), st.sampled_from([b"", b"BCREXTRA", b"BCREXTRA\0\1", b"BCREXTRA\0\2"]))
def test_any_bytes_in_its_place_are_a_finding(data: bytes, begin: bytes) -> None:
    verdict = verify(MemoryReader({**EXPORT, "extraction": begin + data}), LONGTERM.public_key)
    wanted = Code.EXTRACTION_NEWER if is_newer(begin + data) else Code.EXTRACTION_FOREIGN
    assert [finding.code for finding in verdict.findings] == [wanted]
    assert verdict.origin == "not proved"


def test_a_list_of_the_most_files_and_the_longest_names_is_read() -> None:
    data = signed({f"{number:03d}{'é' * 98}x": b"" for number in range(MAX_LISTED)})
    assert len(read_extraction(data).files) == MAX_LISTED
    assert len(data) <= MAX_EXTRACTION
    with pytest.raises(ValueError, match="not in"):
        signed({str(number): b"" for number in range(MAX_LISTED + 1)})


def test_a_name_twice_is_not_signed() -> None:
    twice = [ListedFile("x", 1, bytes(32)), ListedFile("x", 2, bytes(32))]
    with pytest.raises(ValueError, match="unique"):
        sign_extraction(LONGTERM, recording=RECORDING, head=bytes(32), files=twice, issued_ns=T0)


@pytest.mark.parametrize("name", ["../other/manifest.json", "/etc/passwd", "a/../manifest.json", "chain/", ""])
def test_a_listed_name_leads_nowhere_but_to_a_file_that_was_given(name: str) -> None:
    head = BUILT.records()[-1].head
    data = sign_extraction(
        LONGTERM, recording=BUILT.recording, head=head, files=[ListedFile(name, 2, sha256(b"{}"))], issued_ns=T0
    )
    verdict = verify(MemoryReader({**EXPORT, "extraction": data}), LONGTERM.public_key)
    assert [finding.code for finding in verdict.findings] == [Code.LISTED_MISSING]


class Damaged(MemoryReader):
    """An archive, or a disk, that does not give one file."""

    def __init__(self, error: Exception) -> None:
        super().__init__(dict(EXPORT))
        self.error = error

    def read(self, name: str, offset: int, size: int) -> bytes:
        if name == "verify.py":
            raise self.error
        return super().read(name, offset, size)


def test_a_listed_file_that_is_damaged_is_missing_not_altered() -> None:
    verdict = verify(Damaged(TheirError(Kind.INVALID, "compressed bytes are damaged")), LONGTERM.public_key)
    assert [finding.code for finding in verdict.findings] == [Code.LISTED_MISSING]
    assert verdict.integrity == "intact"


def test_a_disk_that_does_not_give_a_listed_file_gives_no_verdict() -> None:
    with pytest.raises(OSError, match="input/output"):
        verify(Damaged(OSError("input/output error")), LONGTERM.public_key)


def test_without_a_list_the_manifest_is_said_to_be_unsigned_and_with_one_the_files_are_said_to_be_those() -> None:
    notes = {note.code for note in verify(MemoryReader(EXPORT), LONGTERM.public_key).notes}
    assert Code.EXTRACTION_CHECKED in notes
    assert not notes & {Code.MANIFEST_UNSIGNED, Code.NOT_COVERED, Code.NOT_LISTED}
    built = build("SIPPE", version=1)
    older = {**built.export(), "manifest.json": b"{}"}
    notes = {note.code for note in verify(MemoryReader(older), LONGTERM.public_key).notes}
    assert notes >= {Code.MANIFEST_UNSIGNED, Code.NOT_COVERED}
    added = verify(MemoryReader({**EXPORT, "note.txt": b""}), LONGTERM.public_key)
    assert (added.exit_code, Code.NOT_LISTED in {note.code for note in added.notes}) == (0, True)
