"""Vectors about keys in time: offices of long-term keys, lives and roles of certificates, dates of documents, weak keys.

`tests.evidence.vectors` appends them to its list.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from relay.evidence.chain import PREAMBLES, ChainWriter, frame, iterate
from relay.evidence.records import Reason, Recovery
from relay.evidence.seal import MemorySigner, SessionSigner, issue_certificate, sha256
from relay.evidence.statement import sign_revocations, sign_statement, sign_succession
from tests.evidence.vectors import (
    Files,
    Tamper,
    Vector,
    append,
    both,
    cut_records,
    exported,
    nothing,
    stored,
)
from tests.support.recordings import DAY, HOUR, LIFE, LONGTERM, OTHER_LONGTERM, SECOND, T0, Built, session, start_record

THIRD_LONGTERM = MemorySigner(sha256(b"third long-term"))
THIEF = MemorySigner(sha256(b"a thief's long-term"))
MONTH: dict[str, Any] = {"not_before_ns": T0 - DAY, "not_after_ns": T0 + 31 * DAY}
IDENTITY = b"\1" + bytes(31)
NOT_CANONICAL = b"\xee" + b"\xff" * 30 + b"\x7f"
"""The same point as IDENTITY, with y = p + 1."""

Change = Callable[[Built, Files], None]


def followed(at_ns: int, old: MemorySigner = LONGTERM, new: MemorySigner = OTHER_LONGTERM, name: str = "1") -> Change:
    """Put a succession beside the chain."""
    return append(f"succession-{name}", sign_succession(old, new, at_ns=at_ns, reason="yearly"))


def put_statement(issued_ns: int, later_ns: int = 0) -> Change:
    """Put a statement of that date about fragments 2 to 4 into an export of them."""

    def change(built: Built, files: Files) -> None:
        from_ns, to_ns = built.links[2].arrival_start_ns, built.links[4].arrival_end_ns + later_ns
        about: dict[str, Any] = {"recording": built.recording, "head": built.records()[-1].head, "first": 2, "last": 4}
        files["statement"] = sign_statement(LONGTERM, from_ns=from_ns, to_ns=to_ns, issued_ns=issued_ns, **about)

    return change


def stated(issued_ns: int, later_ns: int = 0) -> Tamper:
    """An export of fragments 2 to 4, with a statement of that date."""
    return exported(put_statement(issued_ns, later_ns), 2, 4)


def handed_over(issued_ns: int, *more: Change) -> Tamper:
    """An export with a signed list of its files, of that date."""

    def change(built: Built, files: Files) -> None:
        files["manifest.json"] = b"{}"
        for each in more:
            each(built, files)
        files.update(built.handed_over(dict(files), issued_ns=issued_ns))

    return exported(change)


def listed(issued_ns: int, *revoked: MemorySigner, longterm: MemorySigner = LONGTERM) -> Change:
    """Put a list of revoked keys of that date beside the chain."""

    def change(built: Built, files: Files) -> None:
        head = built.records()[-1].head
        keys = {each.public_key: frozenset[bytes]() for each in revoked}
        files["revocations"] = sign_revocations(longterm, head=head, issued_ns=issued_ns, revoked=keys)

    return change


def taken_over(second: SessionSigner) -> Tamper:
    """A recording that another session key takes over after its second fragment."""

    def tamper(built: Built) -> Files:
        first = session()
        writer = ChainWriter(first, start_record(first))
        chain = writer.start() + writer.link(built.links[0]) + writer.link(built.links[1]) + writer.rollover(second)
        chain += writer.link(built.links[2]) + writer.end(Reason.STOPPED, None, T0 + SECOND)
        return {**built.files, "chain": chain}

    return tamper


def recovered(signer: SessionSigner, *more: Change) -> Tamper:
    """A recording that a recovery by this session key closed."""

    def change(built: Built, files: Files) -> None:
        last = list(iterate(files["chain"]))[-1]
        body = Recovery("died", T0 + 9 * SECOND, 0, 0, len(built.links), 0, signer.certificate)
        files["chain"] += frame(last.sequence + 1, last.head, body, signer)

    return stored(both(cut_records(1), change, *more))


@dataclass(frozen=True)
class AnybodysSigner:
    """Signs without a private key: under the identity, and its other encoding, this signature holds for every message."""

    public_key: bytes

    def sign(self, message: bytes) -> bytes:
        return IDENTITY + bytes(32)


def anybody(key: bytes) -> SessionSigner:
    """A session key that anybody can sign with, under a genuine certificate."""
    since, until = LIFE[2]
    life: dict[str, Any] = {"role": "recorder", "index": 0, "not_before_ns": since, "not_after_ns": until}
    return SessionSigner(AnybodysSigner(key), issue_certificate(LONGTERM, key, **life))


def preamble(version: int) -> Change:
    """Say that the chain is of another version."""

    def change(built: Built, files: Files) -> None:
        files["chain"] = PREAMBLES[version] + files["chain"][10:]

    return change


def later(name: str, made: Change | None = None) -> Change:
    """Say that a document is of the next format version."""

    def change(built: Built, files: Files) -> None:
        if made is not None:
            made(built, files)
        files[name] = files[name][:9] + b"\2" + files[name][10:]

    return change


OTHER_SIGNER = {"signer": session(longterm=OTHER_LONGTERM)}
THIRD = THIRD_LONGTERM.public_key
OTHER = OTHER_LONGTERM.public_key
END = T0 + 2 * SECOND
"""When the recordings with five fragments end."""

VECTORS: list[Vector] = [
    # --- retired ------------------------------------------------------------------------------------------------------
    Vector(
        "a key that was followed 300 days ago", "SIPPE", stored(followed(T0 - 300 * DAY)), "...", "SCNC", "key_retired", OTHER
    ),
    Vector(
        "a followed key, its certificate dated back by 301 days",
        "SIPPE",
        stored(followed(T0 - 300 * DAY)),
        "...",
        "SCNC",
        "certificate_long key_retired",
        OTHER,
        start={"signer": session(not_before_ns=T0 - 301 * DAY)},
    ),
    Vector(
        "a followed key, its certificate ended with it",
        "SIPPE",
        stored(followed(T0 - 300 * DAY)),
        "...",
        "SCNN",
        "certificate_life key_retired",
        OTHER,
        start={"signer": session(not_before_ns=T0 - 301 * DAY, not_after_ns=T0 - 300 * DAY)},
    ),
    Vector(
        "a followed key, in the older format",
        "SIPPE",
        stored(followed(T0 - 33 * DAY)),
        "...",
        "SCNN",
        "certificate_life key_retired",
        OTHER,
        start={"version": 1, "signer": session(not_before_ns=T0 - 34 * DAY, not_after_ns=T0 - 2 * DAY)},
    ),
    Vector(
        "a followed key whose thief adds a later succession",
        "SIPPE",
        stored(both(followed(T0 - 300 * DAY), followed(T0 + DAY, LONGTERM, THIEF, "2"))),
        "...",
        "SCNC",
        "key_retired",
        OTHER,
    ),
    Vector(
        "a followed key that an expert still trusts", "SIPPE", stored(followed(T0 - 300 * DAY)), "...", "SCNC", "key_retired"
    ),
    Vector(
        "a recovery by a followed key",
        "SIPPE",
        recovered(session("later session"), followed(T0 - DAY - 3 * HOUR)),
        "...",
        "STNC",
        "key_retired recovered",
        OTHER,
    ),
    Vector("a key that is followed an hour later", "SIPPE", stored(followed(T0 + HOUR)), "...", "SCPC", "", OTHER),
    Vector(
        "a key that was followed an hour after it certified", "SIPPE", stored(followed(T0 - HOUR)), "...", "SCPC", "", OTHER
    ),
    # --- not yet in office --------------------------------------------------------------------------------------------
    Vector(
        "a key before its office",
        "SIPPE",
        stored(followed(T0 + 300 * DAY)),
        "...",
        "SCNC",
        "key_early",
        OTHER,
        start=OTHER_SIGNER,
    ),
    Vector(
        "a key before its office, with an older succession of its own",
        "SIPPE",
        stored(both(followed(T0 + 300 * DAY), followed(T0 - 900 * DAY, THIEF, OTHER_LONGTERM, "2"))),
        "...",
        "SCNC",
        "key_early",
        OTHER,
        start=OTHER_SIGNER,
    ),
    Vector(
        "a key before its office, its certificate dated later",
        "SIPPE",
        stored(followed(T0 + 300 * DAY)),
        "...",
        "SCNN",
        "certificate_life key_early",
        OTHER,
        start={"signer": session(longterm=OTHER_LONGTERM, not_before_ns=T0 + 300 * DAY, not_after_ns=T0 + 301 * DAY)},
    ),
    Vector(
        "a key between its offices",
        "SIPPE",
        stored(both(followed(T0 + 9 * DAY), followed(T0 + 20 * DAY, OTHER_LONGTERM, THIRD_LONGTERM, "2"))),
        "...",
        "SCNC",
        "key_early",
        THIRD,
        start=OTHER_SIGNER,
    ),
    Vector("a key just in office", "SIPPE", stored(followed(T0 - SECOND)), "...", "SCPC", "", OTHER, start=OTHER_SIGNER),
    Vector(
        "a key just in office, the clock put back by an hour",
        "SIPPE",
        stored(followed(T0 + HOUR)),
        "...",
        "SCPC",
        "",
        OTHER,
        start=OTHER_SIGNER,
    ),
    Vector(
        "a key within its office",
        "SIPPE",
        stored(both(followed(T0 - 9 * DAY), followed(T0 + 9 * DAY, OTHER_LONGTERM, THIRD_LONGTERM, "2"))),
        "...",
        "SCPC",
        "",
        THIRD,
        start=OTHER_SIGNER,
    ),
    # --- lives of certificates ----------------------------------------------------------------------------------------
    Vector(
        "a session certificate of a month",
        "SIPPE",
        nothing,
        "...",
        "SCNC",
        "certificate_long",
        start={"signer": session(**MONTH)},
    ),
    Vector(
        "a session certificate a nanosecond too long",
        "SIPPE",
        nothing,
        "...",
        "SCNC",
        "certificate_long",
        start={"signer": session(not_before_ns=T0, not_after_ns=T0 + DAY + 1)},
    ),
    Vector(
        "a session certificate of exactly a day",
        "SIPPE",
        nothing,
        "...",
        "SCPC",
        start={"signer": session(not_before_ns=T0, not_after_ns=T0 + DAY)},
    ),
    Vector(
        "a session certificate of ever",
        "SIPPE",
        nothing,
        "...",
        "SCNC",
        "certificate_long",
        start={"signer": session(not_before_ns=0, not_after_ns=2**64 - 1)},
    ),
    Vector(
        "a change to a certificate of a month",
        "SIPPE",
        taken_over(session("second", **MONTH)),
        "...",
        "SCNC",
        "certificate_long",
    ),
    Vector(
        "a recovery under a certificate of a month",
        "SIPPE",
        recovered(session("later session", **MONTH)),
        "...",
        "STNC",
        "certificate_long recovered",
    ),
    Vector(
        "the older format: a certificate of 32 days",
        "SIPPE",
        nothing,
        "...",
        "SCPC",
        start={"version": 1, "signer": session(**MONTH)},
    ),
    Vector(
        "the older format: a certificate of a year",
        "SIPPE",
        nothing,
        "...",
        "SCNC",
        "certificate_long",
        start={"version": 1, "signer": session(not_after_ns=T0 + 365 * DAY)},
    ),
    Vector(
        "nobody renewed the session",
        "SIPPPPE",
        nothing,
        ".....",
        "SCPN",
        "certificate_life@3",
        start={"signer": session(not_after_ns=T0 + SECOND // 2)},
    ),
    Vector("the older format, whole", "SIPPKPPIPE", nothing, ".......", "SCPC", start={"version": 1}),
    # --- versions -----------------------------------------------------------------------------------------------------
    Vector(
        "passed off as the older format",
        "SIPPE",
        stored(preamble(1)),
        "???",
        "AMNN",
        "record_altered no_start",
        start={"signer": session(**MONTH)},
    ),
    Vector(
        "the older format passed off as this one",
        "SIPPE",
        stored(preamble(3)),
        "???",
        "AMNN",
        "record_altered no_start",
        start={"version": 1},
    ),
    Vector("a statement of a later version", "SIPPPPE", exported(later("statement"), 2, 4), "unreadable", ""),
    Vector(
        "a succession of a later version",
        "SIPPE",
        stored(later("succession-1", followed(T0 + DAY))),
        "...",
        "SCPC",
    ),
    Vector(
        "a list of revoked keys of a later version",
        "SIPPE",
        stored(later("revocations", listed(T0 + DAY, LONGTERM))),
        "...",
        "SCNC",
        "revocations_newer",
    ),
    # --- roles --------------------------------------------------------------------------------------------------------
    Vector(
        "a worker's certificate", "SIPPE", nothing, "...", "SCNC", "certificate_role", start={"signer": session(role="worker")}
    ),
    Vector(
        "a role almost the recorder's",
        "SIPPE",
        nothing,
        "...",
        "SCNC",
        "certificate_role",
        start={"signer": session(role="Recorder")},
    ),
    Vector("a role of nothing", "SIPPE", nothing, "...", "SCNC", "certificate_role", start={"signer": session(role="")}),
    Vector(
        "a change to a worker's certificate",
        "SIPPE",
        taken_over(session("second", role="worker")),
        "...",
        "SCNC",
        "certificate_role",
    ),
    Vector(
        "a recovery under a worker's certificate",
        "SIPPE",
        recovered(session("later session", role="worker")),
        "...",
        "STNC",
        "certificate_role recovered",
    ),
    Vector("another recorder's session", "SIPPE", taken_over(session("second", index=7)), "...", "SCPC"),
    # --- dates of documents -------------------------------------------------------------------------------------------
    Vector("a statement dated before its recording", "SIPPPPE", stated(T0 - DAY), ".-...", "IVPN", "document_early"),
    Vector("a statement dated within its interval", "SIPPPPPPPPE", stated(T0 + SECOND), ".-...----", "IVPN", "document_early"),
    Vector("a statement of 1970", "SIPPPPE", stated(0), ".-...", "IVPN", "document_early"),
    Vector(
        "a statement dated after its interval and before the end",
        "SIPPPPPPPPE",
        stated(T0 + 2 * SECOND),
        ".-...----",
        "IVPN",
        "document_early",
    ),
    Vector(
        "a statement of the second in which the recording ended", "SIPPPPE", stated(T0 + 16 * SECOND // 10), ".-...", "IVPC"
    ),
    Vector("a statement of an interval that reaches into the future", "SIPPPPE", stated(END, later_ns=HOUR), ".-...", "IVPC"),
    Vector(
        "a statement dated before a clock that was declared suspect",
        "SIPPPPE",
        stated(T0 + SECOND),
        ".-...",
        "IVPS",
        start={"overrides": {4: {"clock_suspect": True, "arrival_start_ns": T0 + HOUR}}},
    ),
    Vector(
        "a statement by a key that was followed long ago",
        "SIPPPPE",
        exported(both(put_statement(T0 + 300 * DAY), followed(T0 + HOUR)), 2, 4),
        ".-...",
        "IVNC",
        "key_retired",
        OTHER,
    ),
    Vector("a list of files dated before its recording", "SIPPE", handed_over(T0 - DAY), "...", "ICPN", "document_early"),
    Vector("a list of files of the second in which it ended", "SIPPE", handed_over(T0 + SECOND // 2), "...", "ICPC"),
    Vector(
        "a list of files by a key that was followed long ago",
        "SIPPE",
        handed_over(T0 + 300 * DAY, followed(T0 + HOUR)),
        "...",
        "ICNC",
        "key_retired",
        OTHER,
    ),
    Vector("a list dated before its recording", "SIPPE", stored(listed(T0 - DAY)), "...", "SCNC", "revocations_early"),
    Vector("a list of 1970 that names nobody", "SIPPE", stored(listed(0)), "...", "SCNC", "revocations_early"),
    Vector(
        "a list dated within its recording", "SIPPPPPPPE", stored(listed(T0 + SECOND)), "........", "SCNC", "revocations_early"
    ),
    Vector(
        "a list dated before, which names the key",
        "SIPPE",
        stored(listed(T0 - DAY, LONGTERM)),
        "...",
        "SCNC",
        "revocations_early",
    ),
    Vector("a list of the second in which the recording ended", "SIPPE", stored(listed(T0 + 8 * SECOND // 10)), "...", "SCPC"),
    # --- weak keys ----------------------------------------------------------------------------------------------------
    Vector("a trusted key of low order", "SIPPE", nothing, "unreadable", "", "", IDENTITY),
    Vector("a trusted key of zeros", "SIPPE", nothing, "unreadable", "", "", bytes(32)),
    Vector("a trusted key that is not canonical", "SIPPE", nothing, "unreadable", "", "", NOT_CANONICAL),
    Vector(
        "a session key that anybody can sign with",
        "SIPPE",
        nothing,
        "???",
        "AMNN",
        "weak_key record_altered no_start",
        start={"signer": anybody(IDENTITY)},
    ),
    Vector(
        "a session key that is not canonical",
        "SIPPE",
        nothing,
        "???",
        "AMNN",
        "weak_key record_altered no_start",
        start={"signer": anybody(NOT_CANONICAL)},
    ),
    Vector(
        "a change to a key that anybody can sign with",
        "SIPPE",
        taken_over(anybody(IDENTITY)),
        "..X",
        "AONC",
        "weak_key rollover_forged record_altered@2 record_altered interrupted",
    ),
    Vector(
        "a recovery by a key that anybody can sign with",
        "SIPPE",
        recovered(anybody(IDENTITY)),
        "...",
        "AONC",
        "weak_key record_altered interrupted",
    ),
    # --- keys beside --------------------------------------------------------------------------------------------------
    Vector(
        "the trusted key lies beside it too",
        "SIPPE",
        stored(append("public_key.hex", LONGTERM.public_key.hex().encode())),
        "...",
        "SCPC",
    ),
]
