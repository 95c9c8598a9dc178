"""The signed list of an extraction, attacked by somebody who wants another requester, another copy or another text in it."""

from collections.abc import Callable

from relay.evidence.extraction import EXTRACTION
from relay.evidence.seal import MemorySigner, sha256
from relay.evidence.statement import sign_succession
from tests.evidence.vectors import (
    Files,
    Tamper,
    Vector,
    append,
    both,
    cut_records,
    derived,
    exported,
    flip_at,
    listing,
    remove,
    stored,
    succession,
    truncate,
)
from tests.support.recordings import DAY, LONGTERM, OTHER_LONGTERM, T0, Built, build, session

SCRIPT = "SIPPPE"
TEXTS = {
    "manifest.json": b'{"requesting_agent": "OPJ Bernard", "procedure_no": "PV 12/2026"}',
    "LISEZMOI.txt": b"python3 verify.py .",
    "verify.py": b"print()",
}
Change = Callable[[Built, Files], None]


def delivered(
    change: Change | None = None,
    before: Change | None = None,
    longterm: MemorySigner = LONGTERM,
    first: int | None = None,
    last: int | None = None,
) -> Tamper:
    """An extraction with its signed list; `before` it is signed, `change` it afterwards."""

    def tamper(built: Built) -> Files:
        files = {**built.export(first, last), **TEXTS}
        if before is not None:
            before(built, files)
        files = built.handed_over(files, longterm)
        if change is not None:
            change(built, files)
        return files

    return tamper


def with_copy(change: Change | None = None) -> Tamper:
    """An extraction with a playable copy that is listed."""
    return delivered(change, lambda built, files: files.update({"derived/playable.mp4": derived()(built)["copy.mp4"]}))


def rewritten(name: str, old: bytes, new: bytes) -> Change:
    """Replace a text of the same length, so that no length gives it away."""

    def change(built: Built, files: Files) -> None:
        assert len(old) == len(new)
        assert old in files[name]
        files[name] = files[name].replace(old, new)

    return change


def list_of(script: str = SCRIPT, longterm: MemorySigner | None = None, **start: object) -> Change:
    """The signed list of another recording, put beside this one's files."""

    def change(built: Built, files: Files) -> None:
        other = build(script, **start)  # type: ignore[arg-type]
        files[EXTRACTION] = other.handed_over(dict(files), longterm, recording=other.recording)[EXTRACTION]

    return change


def signed_again(longterm: MemorySigner) -> Change:
    """Rewrite the manifest and sign a new list with a key that one has."""

    def change(built: Built, files: Files) -> None:
        rewritten("manifest.json", b"OPJ Bernard", b"OPJ Villain")(built, files)
        files.update(built.handed_over(files, longterm))

    return change


def version(number: bytes) -> Change:
    def change(built: Built, files: Files) -> None:
        files[EXTRACTION] = files[EXTRACTION][:8] + number + files[EXTRACTION][10:]

    return change


def unsorted_list(built: Built, files: Files) -> None:
    """The two first names in the other order, which the signature would not survive either."""
    data = files[EXTRACTION]
    names = sorted(name.encode() for name in TEXTS)
    size = [1 + len(name) + 1 + 32 for name in names]
    at = data.index(bytes([len(names[0])]) + names[0])
    first, second = data[at : at + size[0]], data[at + size[0] : at + size[0] + size[1]]
    files[EXTRACTION] = data[:at] + second + first + data[at + size[0] + size[1] :]


def digest_and_manifest(built: Built, files: Files) -> None:
    """Rewrite the manifest and its digest in the list, which was signed over it."""
    before = sha256(files["manifest.json"])
    rewritten("manifest.json", b"PV 12/2026", b"PV 13/2026")(built, files)
    files[EXTRACTION] = files[EXTRACTION].replace(before, sha256(files["manifest.json"]))


def moved(old: str, new: str) -> Change:
    def change(built: Built, files: Files) -> None:
        files[new] = files.pop(old)

    return change


def revoked_list(built: Built, files: Files) -> None:
    """Today's list, beside an extraction that was made before it."""
    listing({LONGTERM.public_key: True})(built, files)


def following(built: Built, files: Files) -> None:
    files["succession-0001"] = sign_succession(LONGTERM, OTHER_LONGTERM, at_ns=T0 + DAY, reason="yearly")


HEAD = build(SCRIPT).records()[-1].head

VECTORS: list[Vector] = [
    # --- honest -------------------------------------------------------------------------------------------------------
    Vector("an extraction with its list", SCRIPT, delivered(), "....", "ICPC"),
    Vector("an extraction of an interval with its list", "SIPPPPE", delivered(first=2, last=3), ".-..-", "IVPC"),
    Vector("an extraction with a copy that is listed", SCRIPT, with_copy(), "....", "ICPC"),
    Vector(
        "an extraction from before there was a list",
        SCRIPT,
        delivered(remove(EXTRACTION)),
        "....",
        "ICPC",
        start={"version": 1},
    ),
    Vector("media and chain of an extraction alone", SCRIPT, exported(), "....", "ICPC"),
    Vector("a file named like a manifest in a vault folder", SCRIPT, stored(append("manifest.json", b"{}")), "....", "SCPC"),
    Vector("the list taken away", SCRIPT, delivered(remove(EXTRACTION)), "....", "IMPC", "extraction_missing"),
    Vector(
        "the list taken away and the manifest rewritten",
        SCRIPT,
        delivered(both(remove(EXTRACTION), rewritten("manifest.json", b"OPJ Bernard", b"OPJ Villain"))),
        "....",
        "IMPC",
        "extraction_missing",
    ),
    Vector(
        "the list of an interval under another name",
        "SIPPPPE",
        delivered(moved(EXTRACTION, "extraction.bak"), first=2, last=3),
        ".-..-",
        "IMPC",
        "extraction_missing",
    ),
    Vector("a note that a clerk saved in it", SCRIPT, delivered(append("notes du greffe.txt", b"vu")), "....", "ICPC"),
    Vector(
        "an extraction by the key before today's",
        SCRIPT,
        delivered(before=following),
        "....",
        "ICPC",
        public_key=OTHER_LONGTERM.public_key,
    ),
    Vector(
        "an extraction whose succession came later",
        SCRIPT,
        delivered(succession),
        "....",
        "ICPC",
        public_key=OTHER_LONGTERM.public_key,
    ),
    Vector("an extraction with the list of revoked keys of its day", SCRIPT, delivered(before=listing({})), "....", "ICPC"),
    Vector("an extraction of a recovered recording", "SIPPPR", delivered(), "....", "ITPC", "recovered"),
    # --- the files ----------------------------------------------------------------------------------------------------
    Vector(
        "another requester in the manifest",
        SCRIPT,
        delivered(rewritten("manifest.json", b"OPJ Bernard", b"OPJ Villain")),
        "....",
        "ACPC",
        "listed_altered",
    ),
    Vector("a longer manifest", SCRIPT, delivered(append("manifest.json", b" ")), "....", "ACPC", "listed_altered"),
    Vector(
        "an empty manifest", SCRIPT, delivered(lambda _, f: f.update({"manifest.json": b""})), "....", "ACPC", "listed_altered"
    ),
    Vector("the manifest taken away", SCRIPT, delivered(remove("manifest.json")), "....", "IMPC", "listed_missing"),
    Vector(
        "the manifest under another name",
        SCRIPT,
        delivered(moved("manifest.json", "Manifest.json")),
        "....",
        "IMPC",
        "listed_missing",
    ),
    Vector("another verifier", SCRIPT, delivered(append("verify.py", b"#")), "....", "ACPC", "listed_altered"),
    Vector(
        "two files that changed places",
        SCRIPT,
        delivered(lambda _, f: f.update({"verify.py": f["LISEZMOI.txt"], "LISEZMOI.txt": f["verify.py"]})),
        "....",
        "ACPC",
        "listed_altered listed_altered",
    ),
    Vector(
        "the list of revoked keys taken away",
        SCRIPT,
        delivered(remove("revocations"), listing({})),
        "....",
        "IMPC",
        "listed_missing",
    ),
    Vector(
        "the list of revoked keys replaced by an older one",
        SCRIPT,
        delivered(listing({}), listing({OTHER_LONGTERM.public_key: False})),
        "....",
        "ACPC",
        "listed_altered",
    ),
    Vector(
        "the statement of another extraction of the same recording",
        "SIPPPPE",
        delivered(lambda b, f: f.update({"statement": b.statement(2, 2)}), first=2, last=3),
        ".-.--",
        "AVPC",
        "extra_bytes listed_altered",
    ),
    Vector(
        "a copy with another box before its samples",
        SCRIPT,
        with_copy(lambda _, f: f.update({"derived/playable.mp4": flip_at(f["derived/playable.mp4"], 10)})),
        "....",
        "ACPC",
        "listed_altered",
    ),
    # --- the list -----------------------------------------------------------------------------------------------------
    Vector(
        "a list of nothing but bytes",
        SCRIPT,
        delivered(lambda _, f: f.update({EXTRACTION: bytes(300)})),
        "....",
        "ICNC",
        "extraction_foreign",
    ),
    Vector("an empty list", SCRIPT, delivered(lambda _, f: f.update({EXTRACTION: b""})), "....", "ICNC", "extraction_foreign"),
    Vector("a list cut short", SCRIPT, delivered(truncate(EXTRACTION, 1)), "....", "ICNC", "extraction_foreign"),
    Vector("a list with a byte more", SCRIPT, delivered(append(EXTRACTION, b"\0")), "....", "ICNC", "extraction_foreign"),
    Vector("a list in another order", SCRIPT, delivered(unsorted_list), "....", "ICNC", "extraction_foreign"),
    Vector(
        "a list whose digest of the manifest was rewritten with it",
        SCRIPT,
        delivered(digest_and_manifest),
        "....",
        "ICNC",
        "extraction_foreign",
    ),
    Vector(
        "a list signed by another relay", SCRIPT, delivered(signed_again(OTHER_LONGTERM)), "....", "ICNC", "extraction_foreign"
    ),
    Vector(
        "a list signed by the session key",
        SCRIPT,
        delivered(signed_again(session().signer)),  # type: ignore[arg-type]
        "....",
        "ICNC",
        "extraction_foreign",
    ),
    Vector(
        "a list by the key that follows, judged with the one before",
        SCRIPT,
        delivered(before=following, longterm=OTHER_LONGTERM),
        "....",
        "ICNC",
        "extraction_foreign",
    ),
    Vector(
        "a list of another recording", SCRIPT, delivered(list_of(recording="0" * 32)), "....", "ACPC", "extraction_mismatch"
    ),
    Vector("a list of a longer chain", SCRIPT, delivered(list_of("SIPPPPE")), "....", "ACPC", "extraction_mismatch"),
    Vector(
        "a list of the chain before its end was cut",
        SCRIPT,
        delivered(cut_records(1)),
        "....",
        "AOPC",
        "interrupted extraction_mismatch",
    ),
    Vector("a list of a later version", SCRIPT, delivered(version(b"\0\2")), "....", "ICNC", "extraction_newer"),
    Vector("a list of version 0", SCRIPT, delivered(version(b"\0\0")), "....", "ICNC", "extraction_foreign"),
    Vector(
        "a list without a trusted key", SCRIPT, delivered(), "....", "ICNC", "extraction_foreign no_public_key", public_key=None
    ),
    # --- a thief's key ------------------------------------------------------------------------------------------------
    Vector(
        "a manifest that a thief signed again beside an attested chain",
        SCRIPT,
        delivered(signed_again(LONGTERM)),
        "....",
        "ICNC",
        "extraction_revoked",
        revoked={LONGTERM.public_key: frozenset({HEAD})},
    ),
    Vector(
        "a manifest that a thief signed again, and a list of revoked keys that attests the chain",
        SCRIPT,
        delivered(both(revoked_list, signed_again(LONGTERM))),
        "....",
        "ICNC",
        "extraction_revoked",
    ),
    Vector(
        "a revoked key that nothing attests",
        SCRIPT,
        delivered(),
        "....",
        "ICNC",
        "key_revoked extraction_revoked",
        revoked={LONGTERM.public_key: frozenset()},
    ),
]
