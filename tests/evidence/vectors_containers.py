"""Files and archives made to cost a verifier its time, or to show one thing to it and another to somebody else."""

from collections.abc import Callable
from dataclasses import replace

from relay.evidence.chain import PREAMBLE, frame
from relay.evidence.records import Link
from relay.evidence.seal import NO_DIGEST, sha256
from tests.evidence.vectors import Files, Vector, both, pieces, stored
from tests.support.recordings import Built, session

Change = Callable[[Built, Files], None]

MANY = "SI" + "P" * 60 + "LE"
"""Sixty short fragments before one that is as long as all of them."""


def arranged(*numbers: int) -> Change:
    """Put these fragments of the first segment into its file, in this order; negative: so many foreign bytes."""

    def change(built: Built, files: Files) -> None:
        cut = pieces(built, 0, files)
        files["00000.seg"] = b"".join(cut[number] if number >= 0 else bytes(-number) for number in numbers)

    return change


def foreign_but(*moved: int) -> Change:
    """Replace every byte of the first segment, but the fragments that stand at `moved`: there stands the one after it."""

    def change(built: Built, files: Files) -> None:
        cut = pieces(built, 0, files)
        foreign = [bytes(len(piece)) for piece in cut]
        for number in moved:
            foreign[number] = cut[number + 1]
        files["00000.seg"] = b"".join(foreign)

    return change


def signed_again(change: Callable[[int, Link], Link]) -> Change:
    """Sign other links: what somebody who holds the session key can do."""

    def changed(built: Built, files: Files) -> None:
        chain, head, signer = PREAMBLE, NO_DIGEST, session()
        links = iter(enumerate(built.links))
        for record in built.records():
            body = change(*next(links)) if isinstance(record.body, Link) else record.body
            framed = frame(record.sequence, head, body, signer)
            chain, head = chain + framed, sha256(framed)
        files["chain"] = chain

    return changed


def far_ahead(number: int) -> Callable[[int, Link], Link]:
    """Give the third link this number."""
    return lambda index, link: replace(link, fragment=index if index < 2 else number)


def altered(*numbers: int) -> str:
    return " ".join(f"fragment_altered@{number}" for number in numbers)


VECTORS: list[Vector] = [
    # --- files that are made to be read again and again ---------------------------------------------------------------
    Vector("a long fragment among many, all replaced", MANY, stored(foreign_but()), "X" * 62, "ACPC", altered(*range(62))),
    Vector(
        "moved fragments that cost too much to find", MANY, stored(foreign_but(30, 31)), "X" * 62, "ACPC", altered(*range(62))
    ),
    Vector(
        "moved fragments beside a long one, which are found",
        MANY,
        stored(arranged(*range(20), 21, 20, *range(22, 62))),
        "." * 20 + "DD" + "." * 40,
        "ACPC",
        "fragment_misplaced@20 fragment_misplaced@21",
    ),
    Vector(
        "a fragment a hundred times before a long one",
        "SIPLE",
        stored(arranged(0, *[1] * 100)),
        "..X",
        "ACPC",
        "fragment_altered@2 extra_bytes",
    ),
    Vector(
        "a fragment three times before a long one",
        "SIPLE",
        stored(arranged(0, 1, 1, 1)),
        ".DM",
        "AMPC",
        "fragment_twice@1 fragment_twice@1 fragment_missing@2",
    ),
    Vector("a long fragment cut off", MANY, stored(arranged(*range(61))), "." * 61 + "M", "SMPC", "fragment_missing@61"),
    Vector(
        "a fragment number given twice by who holds the key",
        "SIPPE",
        stored(both(signed_again(lambda number, link: replace(link, fragment=min(number, 1))), arranged(0, -1408, 2))),
        ".X",
        "ACPC",
        "chain_rule@1 fragment_altered@1 fragment_altered@1",
    ),
    Vector(
        "a fragment number far ahead",
        "SIPPE",
        stored(signed_again(far_ahead(1000))),
        ".." + "M" * 998 + ".",
        "SMPC",
        "fragments_missing@2",
    ),
]
