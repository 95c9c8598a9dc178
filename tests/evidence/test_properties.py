"""Any change to any byte of a recording's folder is reported, or listed as provably harmless; hostile bytes are refused."""

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.base.errors import TheirError
from relay.evidence.chain import PREAMBLE
from relay.evidence.report import report
from relay.evidence.statement import sign_revocations
from relay.evidence.verdict import Code
from relay.evidence.verify import verify
from tests.support.recordings import DAY, LONGTERM, RECORDING_KEY, T0, MemoryReader, build

BUILT = build("SIPPGPKPIPAE")
FOLDER = {**BUILT.files, "note.txt": b"handed over on 2 January"}
REVOKED = {bytes([number]) * 32: frozenset[bytes]() for number in (1, 2)}
LIST = sign_revocations(LONGTERM, head=BUILT.records()[-1].head, issued_ns=T0 + DAY, revoked=REVOKED)
EXPORT = {**BUILT.export(3, 5), "verify.py": b"print()", "revocations": LIST}
HARMLESS = {"note.txt", "verify.py"}


def reported(files: dict[str, bytes], key: bytes | None = None) -> bool:
    """Whether a verdict speaks against these files; every verdict also has a text."""
    try:
        verdict = verify(MemoryReader(files), LONGTERM.public_key, key)
    except TheirError:
        return True
    assert all(report(verdict, language) for language in ("fr", "en"))
    return verdict.exit_code == 1


def listed(files: dict[str, bytes], name: str) -> bool:
    """Whether the verdict lists a file as not covered."""
    notes = verify(MemoryReader(files), LONGTERM.public_key).notes
    return any(note.code is Code.NOT_COVERED and ("file", name) in note.values for note in notes)


@pytest.mark.parametrize("files", [FOLDER, EXPORT], ids=["folder", "export"])
def test_untouched_nothing_is_reported(files: dict[str, bytes]) -> None:
    assert not reported(files)


@pytest.mark.parametrize("files", [FOLDER, EXPORT], ids=["folder", "export"])
@settings(max_examples=300)
@given(data=st.data())
def test_any_changed_byte_is_reported_or_listed_as_harmless(files: dict[str, bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(files)))
    at = data.draw(st.integers(0, len(files[name]) - 1))
    flip = data.draw(st.integers(1, 255))
    content = files[name]
    changed = {**files, name: content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :]}
    assert reported(changed) or (name in HARMLESS and listed(changed, name))


@settings(max_examples=150)
@given(data=st.data())
def test_any_removed_or_inserted_run_of_bytes_is_reported(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(BUILT.files)))
    content = BUILT.files[name]
    at = data.draw(st.integers(0, len(content)))
    gone = data.draw(st.integers(0, len(content) - at))
    new = data.draw(st.binary(max_size=40))
    changed = content[:at] + new + content[at + gone :]
    assert changed == content or reported({**BUILT.files, name: changed})


@settings(max_examples=100)
@given(st.lists(st.sampled_from(range(len(BUILT.records()))), max_size=20))
def test_any_other_choice_or_order_of_records_is_reported(order: list[int]) -> None:
    records = [BUILT.files["chain"][r.position : r.position + r.size] for r in BUILT.records()]
    chain = PREAMBLE + b"".join(records[number] for number in order)
    assert chain == BUILT.files["chain"] or reported({**BUILT.files, "chain": chain})


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["chain", "00000.seg", "00001.mp4", "statement", "succession-1", "revocations", "x.mp4"]),
        st.binary(max_size=400),
    )
)
def test_random_files_are_refused_or_spoken_against(files: dict[str, bytes]) -> None:
    assert reported(files)
    if "chain" in files:
        assert reported({**files, "chain": PREAMBLE + files["chain"]}, RECORDING_KEY)


def test_every_single_byte_of_the_chain_counts() -> None:
    chain = BUILT.files["chain"]
    silent = [
        at
        for at in range(0, len(chain), 7)
        if not reported({**BUILT.files, "chain": chain[:at] + bytes([chain[at] ^ 0x80]) + chain[at + 1 :]})
    ]
    assert silent == []


def test_a_longer_recording_does_not_need_more_memory() -> None:
    def peak(script: str) -> int:
        reader = build(script).reader()
        verify(reader, LONGTERM.public_key)
        tracemalloc.start()
        verify(reader, LONGTERM.public_key)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    segment = "I" + "P" * 40
    assert peak("S" + segment * 16 + "E") < peak("S" + segment * 4 + "E") * 1.5 + 300_000
