"""Variants of a forger who holds an export, a stopped relay's folder, or a key that was followed or stolen.

The columns are those of `tests.evidence.vectors`.
"""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from relay.evidence.extraction import EXTRACTION
from relay.evidence.log import Checkpoint, sign_checkpoint
from relay.evidence.log_proof import Proof, proof_of, proofs_text
from relay.evidence.seal import MemorySigner
from relay.evidence.statement import sign_succession
from tests.evidence.vectors import Files, Tamper, Vector, append, both, exported, listing, remove, stored
from tests.evidence.vectors_documents import delivered, signed_again
from tests.evidence.vectors_journal import GOOD, ORIGIN, WHOLE, log_of, told, with_journal
from tests.evidence.vectors_keys import THIEF, THIRD, THIRD_LONGTERM, followed, put_statement, taken_over
from tests.support.recordings import DAY, HOUR, LIFE, LONGTERM, OTHER_LONGTERM, SECOND, T0, Built, build, session

OTHER = OTHER_LONGTERM.public_key
BY_THIEF: dict[str, Any] = {"signer": session(longterm=THIEF)}
Change = Callable[[Built, Files], None]

_RETIRED = followed(T0 - 300 * DAY)
"""LONGTERM was followed by OTHER long ago, and is in a thief's hands."""
_FOLLOWED = followed(T0 + 300 * DAY)
"""LONGTERM is still in office; it is stolen and revoked later."""


def vouched(at_ns: int, name: str = "2", by: MemorySigner = LONGTERM) -> Change:
    """The thief has the stolen key follow a key of his own, so that his own is trusted as an earlier one."""
    return followed(at_ns, THIEF, by, name)


def junk_successions(count: int, before: bool) -> Change:
    """So many files that are called successions and are none, before or behind the genuine ones."""

    def change(built: Built, files: Files) -> None:
        files.update({f"succession-{'0' if before else 'z'}{n:03d}": b"junk" for n in range(count)})

    return change


def statement_added(built: Built, files: Files) -> None:
    """A genuine statement of another extraction, beside a list that does not name it; the rest is taken away."""
    files["statement"] = built.statement(2, 3)
    interval = built.export(2, 3)
    for name in [name for name in files if name.endswith(".mp4")]:
        files.pop(name)
    files.update({name: data for name, data in interval.items() if name.endswith(".mp4")})


def renamed(old: str, new: str) -> Change:
    def change(built: Built, files: Files) -> None:
        files[new] = files.pop(old)

    return change


def noted(time: str, signer: MemorySigner = LONGTERM) -> Callable[[list[Proof]], list[Proof]]:
    """Sign the checkpoint anew, with another time in it."""

    def change(proofs: list[Proof]) -> list[Proof]:
        origin, size, root = proofs[0].note.split("\n")[:3]
        note = sign_checkpoint(Checkpoint(origin, int(size), base64.b64decode(root), (time,)), signer)
        return [replace(proof, note=note) for proof in proofs]

    return change


def forked(built: Built) -> Files:
    """Two journals of one name and one length: the request stands in the one, the end in the other."""
    first, second = told(built), told(built)
    second[6]["motive"] = "another story"
    proofs = []
    for entries, leaf in ((first, 1), (second, 3)):
        bodies, salts, tree = log_of(entries)
        note = sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root(), ("2026-01-02T00:00:00Z",)), LONGTERM)
        proofs.append(proof_of(leaf, salts[leaf], bodies[leaf], tree.inclusion(leaf), note))
    return {**built.export(), "journal": proofs_text(proofs)}


def grown(built: Built) -> Files:
    """Proofs under two checkpoints of one journal, the one older: a service proved another entry later."""
    proofs = []
    for size, leaf in ((4, 3), (7, 4)):
        bodies, salts, tree = log_of(told(built)[:size])
        note = sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root(), ("2026-01-02T00:00:00Z",)), LONGTERM)
        proofs.append(proof_of(leaf, salts[leaf], bodies[leaf], tree.inclusion(leaf), note))
    return {**built.export(), "journal": proofs_text(proofs)}


BY_OTHER: dict[str, Any] = {"signer": session(longterm=OTHER_LONGTERM)}


def nothing_beside(built: Built, files: Files) -> None:
    """Leave everything as it is."""


def both_keys(change: Change) -> Tamper:
    """A recording that a session of the next long-term key takes over, with something beside it."""

    def tamper(built: Built) -> Files:
        files = taken_over(session("second", OTHER_LONGTERM))(built)
        change(built, files)
        return files

    return tamper


HEAD = build("SIPPE").records()[-1].head
VECTORS: list[Vector] = [
    # --- a key of the thief's own, behind a stolen one -------------------------------------------------------------------
    Vector(
        "forger: a retired key vouches for the thief's",
        "SIPPE",
        stored(both(_RETIRED, vouched(T0 + DAY))),
        "...",
        "SCNC",
        "key_retired",
        OTHER,
        start=BY_THIEF,
    ),
    Vector(
        "forger: a retired key vouches, dated into its office",
        "SIPPE",
        stored(both(_RETIRED, vouched(T0 - 301 * DAY))),
        "...",
        "SCNC",
        "key_retired",
        OTHER,
        start=BY_THIEF,
    ),
    Vector(
        "forger: two keys of the thief's behind a retired one",
        "SIPPE",
        stored(
            both(
                _RETIRED, followed(T0 + 2 * DAY, THIRD_LONGTERM, LONGTERM, "2"), followed(T0 + DAY, THIEF, THIRD_LONGTERM, "3")
            )
        ),
        "...",
        "SCNC",
        "key_retired",
        OTHER,
        start=BY_THIEF,
    ),
    Vector(
        "forger: a revoked key vouches for the thief's",
        "SIPPE",
        stored(both(_FOLLOWED, vouched(T0 + DAY))),
        "...",
        "SCNC",
        "key_revoked",
        OTHER,
        start=BY_THIEF,
        revoked={LONGTERM.public_key: frozenset()},
    ),
    Vector(
        "forger: a statement by a key behind a revoked one",
        "SIPPPPE",
        exported(both(lambda b, f: f.update({"statement": b.statement(2, 4, THIEF)}), _FOLLOWED, vouched(T0 + 9 * DAY))),
        ".-...",
        "IVNC",
        "key_early key_revoked",
        OTHER,
        revoked={LONGTERM.public_key: frozenset()},
    ),
    Vector(
        "forger: a manifest signed again by a key behind a revoked one",
        "SIPPPE",
        delivered(signed_again(THIEF), before=both(_FOLLOWED, vouched(T0 + 9 * DAY))),
        "....",
        "ICNC",
        "key_early extraction_revoked",
        OTHER,
        revoked={LONGTERM.public_key: frozenset({build("SIPPPE").records()[-1].head})},
    ),
    Vector(
        "forger: a manifest signed again by a key behind a retired one",
        "SIPPPE",
        delivered(signed_again(THIEF), before=both(followed(T0 + DAY), vouched(T0 + 9 * DAY))),
        "....",
        "ICNC",
        "key_retired key_early",
        OTHER,
    ),
    Vector(
        "forger: a journal by a key behind a revoked one",
        WHOLE,
        with_journal(
            signer=THIEF,
            more={
                "succession-1": sign_succession(LONGTERM, OTHER_LONGTERM, at_ns=T0 + 300 * DAY, reason="yearly"),
                "succession-2": sign_succession(THIEF, LONGTERM, at_ns=T0 + 9 * DAY, reason="yearly"),
            },
        ),
        GOOD,
        "ICNC",
        "key_early journal_revoked",
        OTHER,
        revoked={LONGTERM.public_key: frozenset({build(WHOLE).records()[-1].head})},
    ),
    # neighbours
    Vector(
        "forger: neighbour: two successions in their order",
        "SIPPE",
        stored(both(followed(T0 + DAY), followed(T0 + 9 * DAY, OTHER_LONGTERM, THIRD_LONGTERM, "2"))),
        "...",
        "SCPC",
        "",
        THIRD,
    ),
    Vector(
        "forger: neighbour: two successions within an hour, the clock put back between them",
        "SIPPE",
        stored(both(followed(T0 + DAY), followed(T0 + DAY - HOUR, OTHER_LONGTERM, THIRD_LONGTERM, "2"))),
        "...",
        "SCPC",
        "",
        THIRD,
    ),
    Vector(
        "forger: neighbour: the key between was revoked later, the journal held the end before",
        "SIPPE",
        stored(both(followed(T0 + DAY), followed(T0 + 9 * DAY, OTHER_LONGTERM, THIRD_LONGTERM, "2"))),
        "...",
        "SCPC",
        "",
        THIRD,
        revoked={OTHER: frozenset({HEAD})},
    ),
    Vector(
        "forger: neighbour: a revoked key that a thief put before a genuine one",
        "SIPPE",
        stored(followed(T0 - 300 * DAY, THIEF, LONGTERM)),
        "...",
        "SCPC",
        revoked={THIEF.public_key: frozenset()},
    ),
    # --- names of successions -------------------------------------------------------------------------------------------
    Vector(
        "forger: a succession under a name that is none",
        "SIPPE",
        stored(both(followed(T0 + DAY), renamed("succession-1", "succession"))),
        "...",
        "SCNC",
        "foreign_key",
        OTHER,
    ),
    Vector(
        "forger: a succession in capitals",
        "SIPPE",
        stored(both(followed(T0 + DAY), renamed("succession-1", "SUCCESSION-1"))),
        "...",
        "SCNC",
        "foreign_key",
        OTHER,
    ),
    Vector(
        "forger: a succession outside the folder",
        "SIPPE",
        stored(both(followed(T0 + DAY), renamed("succession-1", "../succession-1"))),
        "...",
        "SCNC",
        "foreign_key",
        OTHER,
    ),
    Vector(
        "forger: thirty-two files that are no successions before the genuine one",
        "SIPPE",
        stored(both(followed(T0 + DAY), junk_successions(32, before=True))),
        "...",
        "SCNC",
        "foreign_key",
        OTHER,
    ),
    Vector(
        "forger: neighbour: thirty-one of them",
        "SIPPE",
        stored(both(followed(T0 + DAY), junk_successions(31, before=True))),
        "...",
        "SCPC",
        "",
        OTHER,
    ),
    Vector(
        "forger: neighbour: many of them behind it",
        "SIPPE",
        stored(both(followed(T0 + DAY), junk_successions(40, before=False))),
        "...",
        "SCPC",
        "",
        OTHER,
    ),
    Vector(
        "forger: a succession that ends in the middle",
        "SIPPE",
        stored(both(followed(T0 + DAY), lambda b, f: f.update({"succession-1": f["succession-1"][:-1]}))),
        "...",
        "SCNC",
        "foreign_key",
        OTHER,
    ),
    Vector(
        "forger: a succession with a byte more",
        "SIPPE",
        stored(both(followed(T0 + DAY), append("succession-1", b"\0"))),
        "...",
        "SCNC",
        "foreign_key",
        OTHER,
    ),
    Vector(
        "forger: a key that follows itself",
        "SIPPE",
        stored(followed(T0 - 300 * DAY, LONGTERM, LONGTERM)),
        "...",
        "SCNC",
        "key_retired",
    ),
    # --- extraction: documents of two ----------------------------------------------------------------------------------
    Vector(
        "forger: a statement that the list does not name",
        "SIPPPPE",
        delivered(statement_added),
        ".-..-",
        "IMPC",
        "statement_unlisted",
    ),
    Vector(
        "forger: the list and manifest of the whole, the statement and files of an interval, signed before",
        "SIPPPPE",
        delivered(both(statement_added, append("note.txt", b"x"))),
        ".-..-",
        "IMPC",
        "statement_unlisted",
    ),
    Vector(
        "forger: neighbour: the same statement without a list",
        "SIPPPPE",
        delivered(both(remove(EXTRACTION, "manifest.json"), statement_added)),
        ".-..-",
        "IVPC",
    ),
    Vector(
        "forger: a list under another name",
        "SIPPPE",
        delivered(renamed(EXTRACTION, "Extraction")),
        "....",
        "IMPC",
        "extraction_missing",
    ),
    Vector(
        "forger: a second manifest in a folder beside", "SIPPPE", delivered(append("../manifest.json", b"{}")), "....", "ICPC"
    ),
    # --- the journal in time --------------------------------------------------------------------------------------------
    Vector(
        "forger: a journal signed by a key that was followed",
        WHOLE,
        with_journal(
            noted("2026-02-01T00:00:00Z"),
            more={"succession-1": sign_succession(LONGTERM, OTHER_LONGTERM, at_ns=T0 + DAY, reason="yearly")},
        ),
        GOOD,
        "ICNC",
        "key_retired",
        OTHER,
    ),
    Vector(
        "forger: neighbour: a journal signed in the hour in which the key was followed",
        WHOLE,
        with_journal(
            noted("2026-01-02T01:00:00Z"),
            more={"succession-1": sign_succession(LONGTERM, OTHER_LONGTERM, at_ns=T0 + DAY, reason="yearly")},
        ),
        GOOD,
        "ICPC",
        "",
        OTHER,
    ),
    Vector(
        "forger: neighbour: a journal of a log that writes no time",
        WHOLE,
        with_journal(
            noted("witnessed by nobody"),
            more={"succession-1": sign_succession(LONGTERM, OTHER_LONGTERM, at_ns=T0 + DAY, reason="yearly")},
        ),
        GOOD,
        "ICPC",
        "",
        OTHER,
    ),
    Vector("forger: two journals of one name and one length", WHOLE, forked, GOOD, "ICNC", "journal_forked"),
    Vector("forger: neighbour: two checkpoints of one journal", WHOLE, grown, GOOD, "ICPC"),
    Vector(
        "forger: the statement of 1 s before the end, its list later",
        "SIPPPPE",
        exported(put_statement(T0 + 16 * SECOND // 10 - SECOND - 1), 2, 4),
        ".-...",
        "IVPN",
        "document_early",
    ),
    Vector(
        "forger: neighbour: to the nanosecond",
        "SIPPPPE",
        exported(put_statement(T0 + 16 * SECOND // 10 - SECOND), 2, 4),
        ".-...",
        "IVPC",
    ),
    # --- dates on the border, changes in mid-recording ------------------------------------------------------------------
    Vector(
        "forger: neighbour: a certificate of the nanosecond of the succession",
        "SIPPE",
        stored(followed(LIFE[2][0])),
        "...",
        "SCPC",
        "",
        OTHER,
    ),
    Vector(
        "forger: a certificate of the nanosecond after the succession",
        "SIPPE",
        stored(followed(LIFE[2][0] - 1)),
        "...",
        "SCNC",
        "key_retired",
        OTHER,
    ),
    Vector(
        "forger: neighbour: a certificate of exactly a day before its key's office",
        "SIPPE",
        stored(followed(LIFE[2][0] + DAY)),
        "...",
        "SCPC",
        "",
        OTHER,
        start=BY_OTHER,
    ),
    Vector(
        "forger: a certificate of a day and a nanosecond before its key's office",
        "SIPPE",
        stored(followed(LIFE[2][0] + DAY + 1)),
        "...",
        "SCNC",
        "key_early",
        OTHER,
        start=BY_OTHER,
    ),
    Vector(
        "forger: neighbour: the long-term key is followed in mid-recording",
        "SIPPE",
        both_keys(followed(T0 + SECOND // 2)),
        "...",
        "SCPC",
        "",
        OTHER,
    ),
    Vector(
        "forger: the same, the succession left out", "SIPPE", both_keys(nothing_beside), "...", "SCNC", "foreign_key", OTHER
    ),
    Vector(
        "forger: the same, under the key that was followed",
        "SIPPE",
        both_keys(followed(T0 + SECOND // 2)),
        "...",
        "SCNC",
        "foreign_key",
    ),
    Vector(
        "forger: neighbour: one succession under two names",
        "SIPPE",
        stored(both(followed(T0 + DAY), followed(T0 + DAY, name="2"))),
        "...",
        "SCPC",
        "",
        OTHER,
    ),
    Vector(
        "forger: the statement of a recording of another relay with the same id",
        "SIPPPPE",
        exported(lambda b, f: f.update({"statement": b.statement(2, 4, OTHER_LONGTERM)}), 2, 4),
        ".-...",
        "IVNC",
        "statement_foreign",
    ),
    Vector(
        "forger: today's list of a shorter chain of the same recording",
        "SIPPPPE",
        stored(listing({}, head=build("SIPPPE").records()[-1].head)),
        ".....",
        "SCNC",
        "revocations_foreign",
    ),
]
