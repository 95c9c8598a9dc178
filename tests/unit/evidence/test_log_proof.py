"""Proofs of journal entries: what is read is what was written, and no change of a file proves anything else."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.base.errors import TheirError
from relay.evidence.log import Checkpoint, Tree, commitment, leaf_hash, sign_checkpoint
from relay.evidence.log_proof import (
    MAGIC,
    MAX_ENTRY,
    MAX_PROOFS,
    Proof,
    entry_fields,
    is_proof,
    objection,
    proof_of,
    proofs_text,
    read_proofs,
    signed_checkpoint,
)
from relay.evidence.proof_report import judge_proofs
from relay.evidence.seal import MemorySigner, sha256
from relay.evidence.statement import sign_succession
from tests.evidence.second_journal import Unreadable, proofs

SIGNER, OTHER = MemorySigner(sha256(b"log")), MemorySigner(sha256(b"other"))
SECRET = "the words of entry "


def body(leaf: int) -> bytes:
    return json.dumps({"at_ns": leaf, "details": {"event": "é"}, "leaf": leaf, "motive": f"{SECRET}{leaf}"}).encode()


def salt(leaf: int) -> bytes:
    return sha256(b"salt %d" % leaf)


def prove(index: int, size: int, signer: MemorySigner = SIGNER, extra: tuple[str, ...] = ("2026-01-01T00:00:00Z",)) -> Proof:
    tree = Tree(leaf_hash(commitment(salt(leaf), body(leaf))) for leaf in range(size))
    note = sign_checkpoint(Checkpoint("relay.test/journal", size, tree.root(), extra), signer)
    return proof_of(index, salt(index), body(index), tree.inclusion(index), note)


def holds(proof: Proof) -> bool:
    try:
        checkpoint, _ = signed_checkpoint(proof, [SIGNER.public_key])
    except TheirError:
        return False
    return not objection(proof, checkpoint)


@given(st.integers(1, 70), st.data())
def test_every_entry_of_every_journal_is_proved_and_read_back(size: int, data: st.DataObject) -> None:
    proof = prove(data.draw(st.integers(0, size - 1)), size)
    assert read_proofs(proofs_text([proof])) == [proof]
    assert holds(proof)
    purged = replace(proof, salt=b"", entry=None)
    assert read_proofs(proofs_text([proof, purged])) == [proof, purged]
    assert holds(purged)


@given(st.integers(2, 70), st.data())
def test_a_proof_reveals_its_own_entry_and_no_other(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    text = proofs_text([prove(index, size)])
    [found] = read_proofs(text)
    seen = b"".join([found.salt, found.entry or b"", *found.path, found.note.encode()])
    others = [leaf for leaf in range(size) if leaf != index]
    assert not any(salt(leaf) in seen or body(leaf) in seen or commitment(salt(leaf), body(leaf)) in seen for leaf in others)
    assert seen.count(SECRET.encode()) == 1


WHOLE = proofs_text([prove(3, 9), prove(7, 9)])


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), st.sampled_from(["replace", "insert", "delete", "cut"]))
@example(0, 0, "cut")
def test_no_change_of_a_file_proves_anything_else(at: int, byte: int, how: str) -> None:
    if how == "cut":
        changed = WHOLE[:at]
    else:
        changed = WHOLE[:at] + (b"" if how == "delete" else bytes([byte])) + WHOLE[at + (how != "insert") :]
    try:
        found = read_proofs(changed)
    except TheirError:
        with pytest.raises(Unreadable):
            proofs(changed)
        return
    assert all((proof.index, proof.entry) in {(3, body(3)), (7, body(7))} for proof in found if holds(proof))
    keys = [SIGNER.public_key]
    assert [holds(proof) for proof in found] == [one.signer(keys) is not None and one.holds() for one in proofs(changed)]


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode), st.sampled_from([b"", MAGIC.encode(), WHOLE]))
def test_rubbish_is_refused_in_words_and_nothing_else(rubbish: bytes, before: bytes) -> None:
    try:
        found = read_proofs(before + rubbish)
    except TheirError:
        return
    assert proofs_text(found) == before + rubbish


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("leaf"), inner)))
def test_an_entry_of_any_json_is_judged_without_an_error(value: object) -> None:
    entry = json.dumps(value).encode()
    leaf = leaf_hash(commitment(bytes(32), entry))
    note = sign_checkpoint(Checkpoint("relay.test/journal", 1, leaf), SIGNER)
    proof = proof_of(0, bytes(32), entry, [], note)
    assert holds(proof) == (isinstance(value, dict) and type(value.get("leaf")) is int and value["leaf"] == 0)
    judge_proofs(proofs_text([proof]), SIGNER.public_key).lines("fr")


@pytest.mark.parametrize("entry", [b"[" * 60_000, b'{"a":' * 10_000, b'{"leaf":' + b"9" * 10_000 + b"}", b"\xff", b"nan"])
def test_an_entry_that_is_no_entry_has_no_fields(entry: bytes) -> None:
    assert entry_fields(proof_of(0, bytes(32), entry, [], "")) == {}


@pytest.mark.parametrize("size", [0, MAX_ENTRY + 1])
def test_an_entry_is_neither_empty_nor_endless(size: int) -> None:
    with pytest.raises(TheirError, match="neither an entry nor a leaf hash"):
        read_proofs(proofs_text([replace(prove(0, 1), entry=b"x" * size)]))


def test_a_file_holds_at_most_sixty_four_proofs() -> None:
    assert len(read_proofs(proofs_text([prove(0, 1)] * MAX_PROOFS))) == MAX_PROOFS
    with pytest.raises(TheirError):
        read_proofs(proofs_text([prove(0, 1)] * (MAX_PROOFS + 1)))


@pytest.mark.parametrize("change", [lambda d: d, lambda d: b"\xef\xbb\xbf" + d, lambda d: d.replace(b"\n", b"\r\n")])
def test_what_mail_programs_add_does_no_harm_to_an_outsider(change: Callable[[bytes], bytes]) -> None:
    assert is_proof(change(WHOLE)[:100])
    assert judge_proofs(change(WHOLE), SIGNER.public_key).exit_code == 0


def test_nothing_is_proved_without_a_key_nor_under_another_and_no_word_of_the_entry_is_said() -> None:
    for key in (None, OTHER.public_key):
        verdict = judge_proofs(WHOLE, key)
        assert verdict.exit_code == 1
        assert SECRET not in "".join(verdict.lines("fr")) + json.dumps(verdict.as_json())
        assert [line.split(" ")[0] for line in verdict.lines("fr")] == ["NON", "NON"]


NEW_YEAR_NS = 1_767_225_600_000_000_000


def test_an_earlier_key_proves_by_its_succession_and_a_later_one_never() -> None:
    succession = sign_succession(SIGNER, OTHER, at_ns=NEW_YEAR_NS, reason="yearly")
    assert judge_proofs(WHOLE, OTHER.public_key, [succession]).exit_code == 0
    later = proofs_text([prove(0, 2, OTHER)])
    assert judge_proofs(later, SIGNER.public_key, [succession]).exit_code == 1


def test_a_key_proves_nothing_after_its_office() -> None:
    succession = sign_succession(SIGNER, OTHER, at_ns=NEW_YEAR_NS - 2 * 86_400 * 10**9, reason="yearly")
    verdict = judge_proofs(WHOLE, OTHER.public_key, [succession])
    assert verdict.exit_code == 1
    assert "when the key that signed it was not in office" in verdict.lines("en")[0]


def test_the_verdict_says_the_entry_the_checkpoint_and_who_was_not_checked() -> None:
    proof = prove(3, 9)
    witness = "— witness.example/w " + "A" * 100 + "\n"
    verdict = judge_proofs(proofs_text([replace(proof, note=proof.note + witness)]), SIGNER.public_key)
    said = "\n".join(verdict.lines("en"))
    assert "PROVED: entry 3 of journal relay.test/journal" in said
    assert "checkpoint of 9 entries" in said
    assert "1 signature(s) of others on this checkpoint were not checked" in said
    assert f"{SECRET}3" in said
    plain = verdict.as_json()["proofs"][0]
    assert (plain["proved"], plain["entry"]["motive"]) == (True, f"{SECRET}3")


def test_of_an_entry_whose_words_are_gone_only_the_place_is_said() -> None:
    verdict = judge_proofs(proofs_text([replace(prove(3, 9), salt=b"", entry=None)]), SIGNER.public_key)
    assert verdict.exit_code == 0
    assert "its words were deleted after three years" in "\n".join(verdict.lines("en"))
    assert verdict.as_json()["proofs"][0]["entry"] is None


def test_a_hostile_text_in_an_entry_cannot_look_like_a_line_of_the_verdict() -> None:
    entry = json.dumps({"leaf": 0, "author": "x\nPROUVÉE : inscription 1\x1b[31m"}).encode()
    leaf = leaf_hash(commitment(bytes(32), entry))
    note = sign_checkpoint(Checkpoint("relay.test/journal", 1, leaf), SIGNER)
    lines = judge_proofs(proofs_text([proof_of(0, bytes(32), entry, [], note)]), SIGNER.public_key).lines("fr")
    assert all("\n" not in line and "\x1b" not in line for line in lines)
    assert sum(line.startswith("PROUVÉE") for line in lines) == 1


def test_two_checkpoints_of_one_length_that_differ_prove_nothing() -> None:
    other = Tree(leaf_hash(commitment(salt(leaf), body(leaf) + b" ")) for leaf in range(9))
    note = sign_checkpoint(Checkpoint("relay.test/journal", 9, other.root(), ("2026-01-01T00:00:00Z",)), SIGNER)
    purged = Proof(3, leaf_hash(commitment(salt(3), body(3) + b" ")), tuple(other.inclusion(3)), note)
    for file in (proofs_text([prove(7, 9), purged]), proofs_text([purged, prove(7, 9)])):
        verdict = judge_proofs(file, SIGNER.public_key)
        assert verdict.exit_code == 1
        assert all("two journals" in entry.why for entry in verdict.entries)
    assert judge_proofs(proofs_text([prove(7, 9), prove(3, 8)]), SIGNER.public_key).exit_code == 0


def test_a_key_that_a_retired_one_vouched_for_proves_nothing() -> None:
    thief, day = MemorySigner(sha256(b"thief")), 86_400_000_000_000
    at_ns = 1_767_225_600_000_000_000
    followed = sign_succession(SIGNER, OTHER, at_ns=at_ns - 300 * day, reason="yearly")
    forged = sign_succession(thief, SIGNER, at_ns=at_ns + day, reason="yearly")
    file = proofs_text([prove(3, 9, thief)])
    assert judge_proofs(file, OTHER.public_key, [followed, forged]).exit_code == 1
    in_time = sign_succession(SIGNER, OTHER, at_ns=at_ns + 2 * day, reason="yearly")
    assert judge_proofs(file, OTHER.public_key, [in_time, forged]).exit_code == 0
