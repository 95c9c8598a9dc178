"""The Merkle log: published vectors, proofs against a naive tree, checkpoints."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.errors import TheirError
from relay.evidence.log import (
    EMPTY_ROOT,
    Checkpoint,
    Tree,
    commitment,
    consistency_holds,
    inclusion_holds,
    leaf_hash,
    node_hash,
    open_checkpoint,
    sign_checkpoint,
    verifier_key,
)
from relay.evidence.seal import MemorySigner, sha256

# The reference leaves of certificate-transparency's merkletree tests, and the roots of its first eight trees.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


def tree_of(count: int) -> tuple[Tree, list[bytes]]:
    leaves = [n.to_bytes(2, "big") for n in range(count)]
    return Tree(map(leaf_hash, leaves)), leaves


@pytest.mark.parametrize("size", range(1, 9))
def test_the_published_roots_come_out(size: int) -> None:
    assert Tree(map(leaf_hash, LEAVES[:size])).root().hex() == ROOTS[size - 1]


def test_an_empty_log_has_the_empty_root() -> None:
    assert Tree().root() == EMPTY_ROOT == sha256(b"")


@given(st.integers(0, 200), st.data())
def test_every_earlier_root_can_be_computed_later(size: int, data: st.DataObject) -> None:
    tree, leaves = tree_of(size)
    old = data.draw(st.integers(0, size))
    assert tree.root(old) == naive_root(leaves[:old])


@given(st.integers(1, 150), st.data())
def test_an_inclusion_proof_holds_for_its_leaf_only(size: int, data: st.DataObject) -> None:
    tree, leaves = tree_of(size)
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1))
    proof = tree.inclusion(index)
    assert inclusion_holds(leaf_hash(leaves[index]), index, size, proof, tree.root())
    if other != index:
        assert not inclusion_holds(leaf_hash(leaves[other]), index, size, proof, tree.root())
        assert not inclusion_holds(leaf_hash(leaves[index]), other, size, proof, tree.root())
    assert not inclusion_holds(leaf_hash(leaves[index]), index, size, [*proof, EMPTY_ROOT], tree.root())


@given(st.integers(0, 150), st.data())
def test_a_consistency_proof_holds_between_its_two_trees_only(new: int, data: st.DataObject) -> None:
    tree, _ = tree_of(new)
    old = data.draw(st.integers(0, new))
    proof = tree.consistency(old)
    assert consistency_holds(old, new, tree.root(old), tree.root(), proof)
    if 0 < old < new:
        rewritten = Tree([leaf_hash(b"rewritten"), *[tree.leaf(n) for n in range(1, new)]])
        assert not consistency_holds(old, new, tree.root(old), rewritten.root(), rewritten.consistency(old))
        assert not consistency_holds(old, new, rewritten.root(old), tree.root(), proof)
        assert not consistency_holds(old, new, tree.root(old), tree.root(), proof[:-1])


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=12), st.integers(-3, 70), st.integers(-3, 70))
def test_hostile_proofs_never_raise(proof: list[bytes], first: int, second: int) -> None:
    assert not inclusion_holds(EMPTY_ROOT, first, second, proof, bytes(32))
    assert not consistency_holds(first, second, b"a" * 32, b"b" * 32, proof)


def test_the_same_entry_under_another_salt_is_another_leaf() -> None:
    assert commitment(bytes(32), b"view") != commitment(b"\1" * 32, b"view")
    with pytest.raises(ValueError, match="32 bytes"):
        commitment(b"short", b"view")


def test_a_checkpoint_is_read_back_by_its_key_only() -> None:
    signer = MemorySigner(bytes(range(32)))
    checkpoint = Checkpoint("relay.example/journal", 8, bytes.fromhex(ROOTS[7]), ("time 1767225600000000000",))
    note = sign_checkpoint(checkpoint, signer)
    assert open_checkpoint(note, signer.public_key) == checkpoint
    with pytest.raises(TheirError, match="not signed by this key"):
        open_checkpoint(note, MemorySigner.generate().public_key)


@given(st.data())
def test_a_changed_checkpoint_is_refused(data: st.DataObject) -> None:
    signer = MemorySigner(bytes(range(32)))
    note = sign_checkpoint(Checkpoint("relay.example/journal", 8, bytes.fromhex(ROOTS[7])), signer)
    at = data.draw(st.integers(0, len(note) - 1))
    to = data.draw(st.sampled_from("\n A1+=—").filter(lambda letter: letter != note[at]))
    changed = note[:at] + to + note[at + 1 :]
    with pytest.raises(TheirError):
        open_checkpoint(changed, signer.public_key)


def test_a_cosigned_checkpoint_is_still_read() -> None:
    log, witness = MemorySigner(bytes(range(32))), MemorySigner.generate()
    checkpoint = Checkpoint("relay.example/journal", 1, EMPTY_ROOT)
    blob = base64.b64encode(b"\0\0\0\0" + witness.sign(b"something")).decode()
    note = sign_checkpoint(checkpoint, log) + f"— witness.example {blob}\n"
    assert open_checkpoint(note, log.public_key) == checkpoint


def test_the_vkey_of_the_c2sp_document_comes_out() -> None:
    """The example key of the Go package sumdb/note, whose format C2SP signed-note keeps."""
    public = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")[1:]
    assert verifier_key("PeterNeumann", public) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


@pytest.mark.parametrize("origin", ["two words", "a+b", "", "line\nbreak"])
def test_an_origin_that_cannot_stand_in_a_note_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        Checkpoint(origin, 0, EMPTY_ROOT).text()
