"""Vectors of the file `journal`: proofs of a recording's journal entries, beside its chain (FORMAT.md §8.3)."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from relay.evidence.log import Checkpoint, Tree, commitment, leaf_hash, sign_checkpoint
from relay.evidence.log_proof import Proof, proof_of, proofs_text
from relay.evidence.seal import MemorySigner, sha256
from relay.evidence.statement import sign_revocations, sign_succession
from tests.evidence.vectors import Files, Tamper, Vector
from tests.support.recordings import DAY, LONGTERM, OTHER_LONGTERM, SECOND, T0, Built, build

ORIGIN = "bodycam-relay/3c86a77a17619403"
Entry = dict[str, Any]
NEWER = MemorySigner(sha256(b"the key after"))
WITNESS = "— witness.example/w1 " + base64.b64encode(bytes(4 + 8 + 64)).decode() + "\n"


def canonical(entry: Entry) -> bytes:
    """Return canonical JSON, as FORMAT.md §8.1 says."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def entry(built: Built, event: str, author: str = "relay", **details: Any) -> Entry:
    """Return an entry about the recording, without its number."""
    return {
        "at": "2026-01-01T00:00:00Z",
        "author": author,
        "role": "system",
        "operation": "systeme",
        "motive": "press",
        "object_type": "recording",
        "object_id": built.recording,
        "recipients": ["Parquet de Rennes"],
        "result": "ok",
        "details": {"event": event, **details},
    }


def told(built: Built) -> list[Entry]:
    """Return what the journal of an honest relay says of a recording, strangers' entries in between."""
    stranger: Entry = entry(built, "sign-in", "olga") | {"object_type": "user", "object_id": "olga"}
    its = {"intervention": "0190a1b2c3d4e5f60718293a4b5c0001", "expires_on": "2026-02-01", "threat": "menace immédiate"}
    return [
        stranger,
        entry(built, "recording begun", "cam-07", **its),
        stranger,
        entry(built, "recording closed", head=built.records()[-1].head.hex(), links=len(built.links)),
        entry(built, "extraction requested", "carl", first=1, last=len(built.links) - 1, export="e1"),
        entry(built, "handing over begun", "carl", export="e1"),
        stranger,
    ]


ABOUT = (1, 3, 4, 5)


def log_of(entries: Sequence[Entry], signer: MemorySigner = LONGTERM, at_ns: int = T0) -> tuple[list[bytes], list[bytes], Tree]:
    """Return bodies, salts and tree of a journal."""
    bodies = [canonical({"leaf": n, "at_ns": at_ns + n * SECOND, **one}) for n, one in enumerate(entries)]
    salts = [sha256(f"salt {n}".encode()) for n in range(len(bodies))]
    return bodies, salts, Tree(leaf_hash(commitment(salt, body)) for salt, body in zip(salts, bodies, strict=True))


def prove(
    entries: Sequence[Entry], leaves: Sequence[int], signer: MemorySigner = LONGTERM, when: str = "2026-01-02T00:00:00Z"
) -> list[Proof]:
    """Return proofs of some entries of a journal that `signer` signed."""
    bodies, salts, tree = log_of(entries)
    note = sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root(), (when,)), signer)
    return [proof_of(leaf, salts[leaf], bodies[leaf], tree.inclusion(leaf), note) for leaf in leaves]


def with_journal(
    change: Callable[[list[Proof]], list[Proof]] | None = None,
    *,
    entries: Callable[[list[Entry], Built], None] | None = None,
    signer: MemorySigner = LONGTERM,
    text: Callable[[bytes], bytes] | None = None,
    interval: tuple[int, int] | None = None,
    more: dict[str, bytes] | None = None,
    when: str = "2026-01-02T00:00:00Z",
) -> Tamper:
    """Put a file `journal` beside an export: `entries` changes what the journal says, `change` its proofs, `text` the file."""

    def tamper(built: Built) -> Files:
        said = told(built)
        if entries is not None:
            entries(said, built)
        proofs = prove(said, ABOUT, signer, when)
        data = proofs_text(change(proofs) if change else proofs)
        files = built.export(*(interval or (None, None)))
        return {**files, **(more or {}), "journal": text(data) if text else data}

    return tamper


def one(number: int, **changes: Any) -> Callable[[list[Proof]], list[Proof]]:
    """Change one proof."""
    return lambda proofs: [replace(proof, **changes) if n == number else proof for n, proof in enumerate(proofs)]


def reworded(number: int, old: bytes, new: bytes) -> Callable[[list[Proof]], list[Proof]]:
    """Rewrite an entry under its own salt, hash recomputed."""

    def change(proofs: list[Proof]) -> list[Proof]:
        its = proofs[number]
        assert its.entry is not None
        assert old in its.entry
        forged = proof_of(its.index, its.salt, its.entry.replace(old, new), its.path, its.note)
        return [forged if n == number else proof for n, proof in enumerate(proofs)]

    return change


def set_fields(leaf: int, **fields: Any) -> Callable[[list[Entry], Built], None]:
    """Let the journal say other fields in one entry."""
    return lambda entries, built: entries[leaf].update(fields)


def set_details(leaf: int, **details: Any) -> Callable[[list[Entry], Built], None]:
    """Let the journal say other details in one entry."""
    return lambda entries, built: entries[leaf]["details"].update(details)


def shortened(built: Built) -> Files:
    """The forger has a stolen session key: the chain is cut and ended anew, the journal's proofs are left as they were."""
    proofs = prove(told(built), ABOUT)
    return {**build("SIPPE").export(), "journal": proofs_text(proofs)}


def another_start(built: Built) -> Files:
    """A recording of another camera under the same id, with the proofs of the genuine one."""
    other = build("SIPPPIPE", camera="cam-08")
    said = told(built)
    said[3]["details"]["head"] = other.records()[-1].head.hex()
    return {**other.export(), "journal": proofs_text(prove(said, ABOUT))}


def _succeeded(*, known: bool) -> dict[str, bytes]:
    return {"succession-0001": sign_succession(LONGTERM, NEWER, at_ns=T0, reason="yearly")} if known else {}


def revoked_list(built: Built) -> bytes:
    """Return a list, by the trusted key, that revokes it and attests the chain."""
    head = built.records()[-1].head
    return sign_revocations(LONGTERM, head=head, issued_ns=T0 + DAY, revoked={LONGTERM.public_key: [head]})


def left_over(data: bytes) -> bytes:
    """Set a bit that the first hash of a path leaves over in its base64."""
    line = data.split(b"\n")[3]
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return data.replace(line, line[:-2] + letters[letters.index(line[-2]) + 1 :][:1] + b"=")


DEEP = b'{"leaf":1,"details":' + b"[" * 30_000 + b"]" * 30_000 + b"}"


def of_one_leaf(body: bytes) -> Tamper:
    """A journal of one entry with this body, truly signed."""

    def tamper(built: Built) -> Files:
        salt = bytes(32)
        leaf = leaf_hash(commitment(salt, body))
        note = sign_checkpoint(Checkpoint(ORIGIN, 1, leaf), LONGTERM)
        return {**built.export(), "journal": proofs_text([proof_of(0, salt, body, [], note)])}

    return tamper


WHOLE = "SIPPPIPE"
GOOD = "." * len(build(WHOLE).links)


def _vector(name: str, tamper: Tamper, answers: str = "ICPC", findings: str = "", **more: Any) -> Vector:
    return Vector(f"journal: {name}", WHOLE, tamper, more.pop("marks", GOOD), answers, findings, **more)


VECTORS: list[Vector] = [
    # --- honest -------------------------------------------------------------------------------------------------------
    _vector("the entries of opening, end and delivery", with_journal()),
    _vector(
        "entries of an interval",
        with_journal(entries=set_details(4, first=1, last=3), interval=(1, 3)),
        "IVPC",
        marks="....--",
    ),
    _vector("one entry alone", with_journal(lambda proofs: proofs[1:2])),
    _vector("an entry twice", with_journal(lambda proofs: proofs + proofs[:1])),
    _vector("an entry of the recording that no rule names", with_journal(entries=set_details(5, event="hold opened"))),
    _vector("an entry without details", with_journal(entries=set_fields(5, details=None))),
    _vector(
        "an entry whose words were deleted after three years",
        with_journal(one(0, salt=b"", entry=None)),
    ),
    _vector(
        "a witness signed the checkpoint too",
        with_journal(text=lambda data: data.replace("— bodycam".encode(), (WITNESS + "— bodycam").encode())),
    ),
    _vector(
        "thirty witnesses signed behind the log",
        with_journal(lambda proofs: [replace(proof, note=proof.note + WITNESS * 30) for proof in proofs]),
    ),
    _vector(
        "without a trusted key nothing is said of it",
        with_journal(text=lambda data: b"rubbish"),
        "ICNC",
        "no_public_key",
        public_key=None,
    ),
    _vector(
        "an earlier key, by its succession",
        with_journal(more=_succeeded(known=True)),
        public_key=NEWER.public_key,
    ),
    _vector(
        "a checkpoint of an earlier key, signed on its last day",
        with_journal(when="2026-01-01T23:59:59.5Z", more=_succeeded(known=True)),
        public_key=NEWER.public_key,
    ),
    _vector(
        "a checkpoint whose time is written in another form",
        with_journal(when="2027-01-01 00:00", more=_succeeded(known=True)),
        public_key=NEWER.public_key,
    ),
    _vector(
        "a checkpoint on a day that there is not",
        with_journal(when="2027-02-30T00:00:00Z", more=_succeeded(known=True)),
        public_key=NEWER.public_key,
    ),
    # --- a key out of its office --------------------------------------------------------------------------------------
    _vector(
        "a checkpoint of a key that another followed 300 days before",
        with_journal(when="2026-10-28T00:00:00Z", more=_succeeded(known=True)),
        "ICNC",
        "key_retired",
        public_key=NEWER.public_key,
    ),
    _vector(
        "a checkpoint of a key that is not yet in office",
        with_journal(when="2025-12-01T00:00:00.000001Z", signer=NEWER, more=_succeeded(known=True)),
        "ICNC",
        "key_early",
        public_key=NEWER.public_key,
    ),
    # --- a proof that does not hold -----------------------------------------------------------------------------------
    _vector("an entry reworded", with_journal(reworded(2, b'"carl"', b'"emil"')), "ICNC", "journal_proof_false"),
    _vector(
        "the head in the closing entry replaced",
        with_journal(reworded(1, b'"head":"', b'"head":"00')),
        "ICNC",
        "journal_proof_false",
    ),
    _vector(
        "another salt",
        with_journal(lambda p: [proof_of(p[0].index, bytes(32), p[0].entry or b"", p[0].path, p[0].note)]),
        "ICNC",
        "journal_proof_false",
    ),
    _vector("another place", with_journal(one(0, index=2)), "ICNC", "journal_proof_false"),
    _vector("a place beyond the log", with_journal(one(0, index=7)), "ICNC", "journal_proof_false"),
    _vector("the largest place there is", with_journal(one(0, index=10**19 - 1)), "ICNC", "journal_proof_false"),
    _vector(
        "a hash of the path missing",
        with_journal(lambda p: [replace(p[0], path=p[0].path[:-1])]),
        "ICNC",
        "journal_proof_false",
    ),
    _vector(
        "a hash too many", with_journal(lambda p: [replace(p[0], path=(*p[0].path, bytes(32)))]), "ICNC", "journal_proof_false"
    ),
    _vector(
        "two hashes of the path swapped",
        with_journal(lambda p: [replace(p[0], path=p[0].path[::-1])]),
        "ICNC",
        "journal_proof_false",
    ),
    _vector(
        "an inner node passed off as a deleted entry",
        with_journal(lambda p: [replace(p[0], leaf_hash=p[0].path[1], path=p[0].path[2:], entry=None)]),
        "ICNC",
        "journal_proof_false",
    ),
    _vector("an entry that says another number", of_one_leaf(b'{"leaf":1}'), "ICNC", "journal_proof_false"),
    _vector(
        "an entry with a key twice", of_one_leaf(b'{"leaf":0,"object_id":"a","object_id":"b"}'), "ICNC", "journal_proof_false"
    ),
    _vector("an entry that is a list", of_one_leaf(b"[0]"), "ICNC", "journal_proof_false"),
    _vector("an entry nested thirty thousand deep", of_one_leaf(DEEP), "ICNC", "journal_proof_false"),
    _vector("a number that is no integer", of_one_leaf(b'{"leaf":0.0}'), "ICNC", "journal_proof_false"),
    _vector("a number that is false", of_one_leaf(b'{"leaf":false}'), "ICNC", "journal_proof_false"),
    # --- not a file of proofs -----------------------------------------------------------------------------------------
    _vector("an empty file", with_journal(text=lambda data: b""), "ICNC", "journal_proof_false"),
    _vector("another version", with_journal(text=lambda data: data.replace(b"@v1", b"@v2")), "ICNC", "journal_proof_false"),
    _vector("a line too many at the end", with_journal(text=lambda data: data + b"\n"), "ICNC", "journal_proof_false"),
    _vector("cut in the middle", with_journal(text=lambda data: data[: len(data) // 2]), "ICNC", "journal_proof_false"),
    _vector(
        "line ends of another system",
        with_journal(text=lambda data: data.replace(b"\n", b"\r\n")),
        "ICNC",
        "journal_proof_false",
    ),
    _vector(
        "without the extra line",
        with_journal(text=lambda data: b"".join(line for line in data.splitlines(True) if not line.startswith(b"extra"))),
        "ICNC",
        "journal_proof_false",
    ),
    _vector(
        "a number with a zero before it",
        with_journal(text=lambda data: data.replace(b"index 1\n", b"index 01\n")),
        "ICNC",
        "journal_proof_false",
    ),
    _vector(
        "a number in other digits",
        with_journal(text=lambda data: data.replace(b"index 1\n", "index ١\n".encode())),
        "ICNC",
        "journal_proof_false",
    ),
    _vector(
        "base64 with bits left over",
        with_journal(text=left_over),
        "ICNC",
        "journal_proof_false",
    ),
    _vector("more than a megabyte", with_journal(text=lambda data: data * 200), "ICNC", "journal_proof_false"),
    _vector("sixty-five proofs", with_journal(lambda p: p[:1] * 65), "ICNC", "journal_proof_false"),
    # --- another's checkpoint -----------------------------------------------------------------------------------------
    _vector(
        "a checkpoint of another key",
        with_journal(signer=OTHER_LONGTERM),
        "ICNC",
        "journal_foreign journal_foreign journal_foreign journal_foreign",
    ),
    _vector(
        "a checkpoint of a later key",
        with_journal(lambda p: p[:1], signer=NEWER, more=_succeeded(known=True)),
        "ICNC",
        "journal_foreign",
    ),
    _vector(
        "a root put in place of the signed one",
        with_journal(lambda p: [replace(p[0], note=p[0].note.replace("\n7\n", "\n8\n"))]),
        "ICNC",
        "journal_foreign",
    ),
    _vector(
        "a time put in place of the signed one",
        with_journal(lambda p: [replace(p[0], note=p[0].note.replace("2026-01-02", "2025-01-02"))]),
        "ICNC",
        "journal_foreign",
    ),
    _vector(
        "a checkpoint that only a witness signed",
        with_journal(lambda p: [replace(p[0], note=p[0].note.partition("\n\n")[0] + "\n\n" + WITNESS)]),
        "ICNC",
        "journal_foreign",
    ),
    _vector(
        "a checkpoint under another log's name",
        with_journal(lambda p: [replace(p[0], note=p[0].note.replace("— bodycam-relay", "— another-relay"))]),
        "ICNC",
        "journal_foreign",
    ),
    _vector(
        "a checkpoint of a key that was revoked, the chain attested",
        lambda b: {**with_journal()(b), "revocations": revoked_list(b)},
        "ICNC",
        "journal_revoked",
    ),
    # --- another recording --------------------------------------------------------------------------------------------
    _vector(
        "an entry of another recording",
        with_journal(entries=set_fields(1, object_id="0190ffff")),
        "IMPC",
        "journal_entry_foreign",
    ),
    _vector(
        "an entry of a person of this name",
        with_journal(entries=set_fields(1, object_type="user")),
        "IMPC",
        "journal_entry_foreign",
    ),
    _vector("the beginning of another camera", another_start, "IMPC", "journal_entry_foreign"),
    _vector(
        "the beginning of another intervention",
        with_journal(entries=set_details(1, intervention="0190")),
        "IMPC",
        "journal_entry_foreign",
    ),
    _vector("another term", with_journal(entries=set_details(1, expires_on="2027-02-01")), "IMPC", "journal_entry_foreign"),
    _vector("the request for another interval", with_journal(interval=(1, 3)), "IMPC", "journal_entry_foreign", marks="....--"),
    # --- another end --------------------------------------------------------------------------------------------------
    _vector("another end", with_journal(entries=set_details(3, head="00" * 32)), "IMPC", "journal_head_differs"),
    _vector("a head in capitals", with_journal(entries=set_details(3, head="AB" * 32)), "IMPC", "journal_head_differs"),
    _vector("no head", with_journal(entries=set_details(3, head=None)), "IMPC", "journal_head_differs"),
    Vector(
        "journal: a chain cut and ended anew with a stolen session key",
        "SIPPPIPE",
        shortened,
        "...",
        "IMPC",
        "journal_head_differs",
    ),
]
