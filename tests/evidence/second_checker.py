"""A second checker, written from FORMAT.md alone: it shares no code with the relay.  Section numbers are FORMAT.md's.

It says less than `relay verify` (no words, no file names), but the same: exit code, the four answers, the marks.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.evidence import second_journal
from tests.evidence.second_copy import Comparison, Copy, Moves

Files = dict[str, bytes]
S = 1_000_000_000
I_CODES = set(
    [
        "chain_unreadable",
        "record_altered",
        "record_misplaced",
        "chain_broken",
        "after_end",
        "chain_rule",
        "fragment_altered",
        "fragment_misplaced",
        "extra_bytes",
        "foreign_file",
        "wrong_recording_key",
        "plain_differs",
        "derived_differs",
        "derived_unreadable",
        "extraction_mismatch",
        "listed_altered",
        "derived_shown",
    ]
)
C_CODES = set(
    [
        "no_start",
        "records_missing",
        "counts_differ",
        "interrupted",
        "tail_not_copied",
        "recovered",
        "tail_missing",
        "fragment_missing",
        "gap_unexplained",
        "not_recorded",
        "statement_mismatch",
        "statement_unlisted",
        "listed_missing",
        "extraction_missing",
        "journal_entry_foreign",
        "journal_head_differs",
    ]
)
O_CODES = set(
    [
        "other_recording",
        "no_public_key",
        "foreign_key",
        "bad_certificate",
        "rollover_forged",
        "key_revoked",
        "revocations_foreign",
        "statement_foreign",
        "extraction_foreign",
        "extraction_newer",
        "extraction_revoked",
        "journal_proof_false",
        "journal_foreign",
        "journal_revoked",
        "journal_forked",
        "weak_key",
        "certificate_role",
        "certificate_long",
        "key_early",
        "key_retired",
        "revocations_early",
        "revocations_newer",
    ]
)
T_CODES = {"certificate_life", "clock_back", "retimed", "derived_time", "document_early"}
DAY = 86_400 * S
P = 2**255 - 19
WEAK = {
    0,
    1,
    P - 1,
    int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
    int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
}


class Bad(Exception):
    """The bytes are not of the format."""


class Torn(Exception):
    """The file ends in the middle of a record."""


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def weak(key: bytes) -> bool:
    number = int.from_bytes(key, "little") % 2**255
    return number >= P or number in WEAK


def signed(key: bytes, message: bytes, signature: bytes) -> bool:
    if weak(key):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def later(data: bytes, magic: bytes) -> bool:
    """Whether a document is of a later version than this checker knows."""
    return data[:8] == magic and int.from_bytes(data[8:10], "big") > 1


# --- §2 ---------------------------------------------------------------------------------------------------------------


class In:
    """Reads the encodings of §2."""

    def __init__(self, data: bytes, version: int = 3) -> None:
        self.data, self.at, self.version = data, 0, version

    def raw(self, n: int) -> bytes:
        if self.at + n > len(self.data):
            raise Bad("short")
        self.at += n
        return self.data[self.at - n : self.at]

    def u(self, n: int) -> int:
        return int.from_bytes(self.raw(n), "big")

    def var(self, most: int = 2**64 - 1) -> int:
        value = shift = 0
        while True:
            byte = self.u(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
            if shift >= 70:
                raise Bad("long var")
        if (byte == 0 and shift > 7) or value > most:
            raise Bad("var")
        return value

    def svar(self) -> int:
        n = self.var()
        return n // 2 if n % 2 == 0 else -(n + 1) // 2

    def text(self, n: int) -> str:
        try:
            return self.raw(self.var(n)).decode()
        except UnicodeDecodeError:
            raise Bad("utf-8") from None

    def flag(self) -> bool:
        n = self.u(1)
        if n > 1:
            raise Bad("flag")
        return n == 1

    def opt(self, read: Any) -> Any:
        return read() if self.flag() else None

    def code(self, names: str) -> str:
        n = self.u(1)
        if not 1 <= n <= len(names.split()):
            raise Bad("code")
        return names.split()[n - 1]

    def pairs(self) -> list[tuple[bytes, str]]:
        found: list[tuple[bytes, str]] = []
        for _ in range(self.var(32)):
            key = self.text(64).encode()
            if found and key <= found[-1][0]:
                raise Bad("pairs")
            found.append((key, self.text(500)))
        return found

    def done(self) -> None:
        if self.at != len(self.data):
            raise Bad("too long")


# --- §3 ---------------------------------------------------------------------------------------------------------------

N32 = 2**32 - 1


@dataclass
class Cert:
    key: bytes
    role: str
    begin: int
    end: int
    issuer: bytes
    signature: bytes
    body: bytes

    def whole(self) -> bytes:
        return self.body + self.signature


def cert(r: In) -> Cert:
    at = r.at
    key, role, _, begin, end, issuer = r.raw(32), r.text(16), r.var(65535), r.u(8), r.u(8), r.raw(32)
    body = r.data[at : r.at]
    return Cert(key, role, begin, end, issuer, r.raw(64), body)


def start(r: In) -> dict[str, Any]:
    out: dict[str, Any] = {"recording": r.text(64), "camera": r.text(64), "label": r.text(200), "regime": r.text(64)}
    out |= {"service": r.text(200), "original": r.code("relay camera"), "bearer": r.opt(lambda: r.text(200))}
    out |= {"intervention": r.text(64), "trigger": r.text(200), "threat": r.text(2000), "expires": r.text(10)}
    out |= {"previous": r.opt(lambda: r.text(64)), "previous_head": r.opt(lambda: r.raw(32)), "time": r.u(8), "cert": cert(r)}
    if (out["previous"] is None) != (out["previous_head"] is None):
        raise Bad("previous")
    return out


def link(r: In) -> dict[str, Any]:
    out: dict[str, Any] = {"fragment": r.var(N32), "segment": r.var(99_999), "init": r.flag(), "offset": r.var(N32)}
    out |= {"plain": r.var(N32), "stored": r.var(N32), "plain_digest": r.raw(32), "stored_digest": r.raw(32)}
    out["tracks"] = [
        {
            "track": r.var(N32),
            "kind": r.code("video audio"),
            "samples": r.var(65535),
            "digest": r.raw(32),
            "first": r.var(),
            "duration": r.var(),
        }
        for _ in range(r.var(8))
    ]
    out |= {"time": r.u(8), "span": r.var()}
    out["clocks"] = [
        {
            "track": r.var(N32),
            "source": r.code("sender_report arrival"),
            "wall": r.u(8),
            "rtp": r.u(4),
            "time": r.var(),
            "offset": r.svar(),
            "uncertainty": r.var(),
        }
        for _ in range(r.var(8))
    ]
    return out | {"suspect": r.flag(), "metadata": r.pairs()}


def gap(r: In) -> dict[str, Any]:
    causes = "radio reconnect tap_overflow disk recorder clock paused unknown"
    causes += " not_recorded late_track silence recovery_point" if r.version > 2 else ""
    return {
        "at": r.u(8),
        "length": r.var(),
        "track": r.opt(lambda: r.var(N32)),
        "cause": r.code(causes),
        "detail": r.text(200),
    }


def end(r: In) -> dict[str, Any]:
    head = {"reason": r.code("stopped lost shutdown revoked refused"), "author": r.opt(lambda: r.text(200)), "time": r.u(8)}
    return head | {"totals": [r.var() for _ in range(5)]}


def recovery(r: In) -> dict[str, Any]:
    return {"cause": r.text(200), "time": r.u(8), "counts": [r.var() for _ in range(4)], "cert": cert(r)}


def rollover(r: In) -> dict[str, Any]:
    return {"cert": cert(r), "consent": r.raw(64)}


def correction(r: In) -> dict[str, Any]:
    points = [
        {
            "track": r.var(N32),
            "source": r.code("sender_report arrival"),
            "time": r.var(),
            "moved": r.svar(),
            "gradual": r.flag(),
        }
        for _ in range(r.var(200))
    ]
    return {"points": points}


TYPES = {
    1: ("start", start),
    2: ("link", link),
    3: ("gap", gap),
    4: ("end", end),
    5: ("recovery", recovery),
    6: ("rollover", rollover),
    7: ("correction", correction),
}


@dataclass
class Rec:
    kind: str
    sequence: int
    previous: bytes
    body: dict[str, Any]
    raw: bytes

    @property
    def head(self) -> bytes:
        return sha(self.raw)

    version: int

    def holds(self, key: bytes) -> bool:
        return signed(key, b"bodycam-relay chain record %d\n" % self.version + self.raw[:-64], self.raw[-64:])


def records(chain: bytes) -> Iterator[Rec]:
    at = 10
    while at < len(chain):
        length = int.from_bytes(chain[at : at + 3], "big")
        if at + 3 > len(chain):
            raise Torn
        if not 65 <= length <= 65536:
            raise Bad("length")
        if at + 3 + length > len(chain):
            raise Torn
        raw = chain[at : at + 3 + length]
        r = In(raw[3:-64], chain[9])
        code = r.u(1)
        if code not in TYPES or (code == 7 and chain[9] < 3):
            raise Bad("type")
        sequence, previous, (kind, read) = r.var(N32), r.raw(32), TYPES[code]
        body = read(r)
        r.done()
        yield Rec(kind, sequence, previous, body, raw, chain[9])
        at += 3 + length


def succession(data: bytes) -> tuple[bytes, bytes, int] | None:
    """§6: old key, new key, time of one that is whole and holds."""
    if data[:10] != b"BCRSUCCN\0\1" or len(data) > 4096:
        return None
    try:
        r = In(data[10:])
        old, new, at, _ = r.raw(32), r.raw(32), r.u(8), r.text(200)
        body = b"bodycam-relay key succession 1\n" + data[10 : 10 + r.at]
        both = signed(old, body, r.raw(64)) and signed(new, body, r.raw(64))
        r.done()
    except Bad:
        return None
    return (old, new, at) if both else None


NAMED = {"unknown": "gap_unexplained", "not_recorded": "not_recorded"}
"""Causes of gaps that are findings themselves."""


def explained(gaps: list[dict[str, Any]], track: int | None) -> int:
    """How much of a hole these Gap records explain, in ns: those of every track, and those of this one."""
    return sum(
        one["length"] for one in gaps if one["cause"] not in ("unknown", "recovery_point") and one["track"] in (None, track)
    )


# --- §7 ---------------------------------------------------------------------------------------------------------------


@dataclass
class Check:
    files: Files
    trusted: bytes | None
    opener: bytes | None
    revoked: dict[bytes, frozenset[bytes]]
    findings: set[str] = field(default_factory=set)
    marks: dict[int, str] = field(default_factory=dict)
    good: list[Rec] = field(default_factory=list)
    head: bytes = bytes(32)
    statement: dict[str, Any] | None = None
    suspect: bool = False
    all_revoked: set[bytes] = field(default_factory=set)
    statement_keys: set[bytes] = field(default_factory=set)
    where: dict[int, tuple[str, int]] = field(default_factory=dict)
    version: int = 0
    offices: dict[bytes, tuple[int | None, int | None]] = field(default_factory=dict)
    expected: frozenset[str] = frozenset()
    still_open: int | None = None
    torn: bool = False
    notes: set[str] = field(default_factory=set)
    known: list[tuple[bytes, bytes, int]] = field(default_factory=list)

    def run(self) -> tuple[int, str, str, str, str, str]:
        chain = self.files["chain"]
        if chain[:8] != b"BCRCHAIN" or chain[8:10] not in (b"\0\1", b"\0\2", b"\0\3"):
            raise Bad("magic or a newer format")
        self.version = chain[9]
        if self.trusted is not None and weak(self.trusted):
            raise Bad("weak key")
        keys = self.keys()
        if "statement" in self.files:
            self.read_statement(keys)
        self.order(chain)
        self.in_time(keys)
        self.certificates(keys)
        self.extraction(keys)
        self.ends()
        self.times()
        self.fragments()
        return self.result()

    # §5, §6
    def keys(self) -> dict[bytes, bytes]:
        if self.trusted is None:
            return {}
        keys = {sha(self.trusted): self.trusted}
        names = sorted((name for name in self.files if name.startswith("succession-")), key=str.encode)[:32]
        holding = [one for one in map(succession, (self.files[name] for name in names)) if one is not None]
        for _ in holding:
            keys |= {sha(old): old for old, new, _ in holding if sha(new) in keys}
        self.known = [(old, new, at) for old, new, at in holding if sha(new) in keys]
        for key in keys.values():
            begins = [at for _, new, at in holding if new == key]
            finishes = [at for old, _, at in holding if old == key]
            self.offices[key] = max(begins, default=None), min(finishes, default=None)
        return keys

    # §7.2: what a key rests on
    def used(self, key: bytes, seen: frozenset[bytes] = frozenset()) -> set[bytes]:
        """The key and the keys that it rests on; their successions are compared with the offices."""
        every = {key}
        for old, new, at in self.known:
            if old == key and key != self.trusted and key not in seen:
                self.office(new, at, DAY)
                every |= self.used(new, seen | {key})
        return every

    # §7.2: offices
    def office(self, key: bytes | None, at: int, grace: int) -> None:
        begin, finish = self.offices.get(key or b"", (None, None))
        if begin is not None and at < begin - DAY:
            self.findings.add("key_early")
        if finish is not None and at > finish + grace:
            self.findings.add("key_retired")

    # §7.2: what is dated, and for how long certificates live
    def in_time(self, keys: dict[bytes, bytes]) -> None:
        most = DAY if self.version > 1 else 32 * DAY
        last: Cert | None = None
        for rec in self.good:
            if "cert" in rec.body:
                last = c = rec.body["cert"]
                if c.role != "recorder":
                    self.findings.add("certificate_role")
                if c.end - c.begin > most:
                    self.findings.add("certificate_long")
                body = b"bodycam-relay session certificate 1\n" + c.body
                if c.issuer in keys and signed(keys[c.issuer], body, c.signature):
                    self.office(keys[c.issuer], c.begin, 0)
            if "time" in rec.body and last is not None:
                self.office(keys.get(last.issuer), rec.body["time"], most)
        s = self.statement
        if s is not None and s["issued"] < self.latest() - S:
            self.findings.add("document_early")
        if s is not None and "statement_foreign" not in self.findings:
            self.office(keys[s["issuer"]], s["issued"], DAY)
            self.statement_keys = self.used(keys[s["issuer"]])

    def latest(self) -> int:
        """The chain's latest time (§7.2)."""
        links = [rec.body for rec in self.good if rec.kind == "link"]
        media = [one for one in links if not one["init"]]
        times = [one["time"] + one["span"] for one in links if not one["suspect"]]
        closing = [rec.body for rec in self.good if rec.kind in ("end", "recovery")]
        for body in closing:
            if not (media and media[-1]["suspect"]) and not body.get("cause", "").endswith("; clock suspect"):
                times.append(body["time"])
        return max(times, default=0)

    def read_statement(self, keys: dict[bytes, bytes]) -> None:
        data = self.files["statement"]
        if later(data, b"BCRSTATE"):
            raise Bad("newer format")
        try:
            r = In(data[10:])
            out: dict[str, Any] = {"recording": r.text(64), "head": r.raw(32), "from": r.u(8), "to": r.u(8)}
            out |= {"first": r.var(N32), "last": r.var(N32), "issued": r.u(8), "issuer": r.raw(32)}
            body, signature = data[10 : 10 + r.at], r.raw(64)
            r.done()
            if data[:10] != b"BCRSTATE\0\1" or len(data) > 4096 or out["from"] > out["to"] or out["first"] > out["last"]:
                raise Bad("statement")
        except Bad:
            self.findings.add("statement_mismatch")
            return
        self.statement = out
        key = keys.get(out["issuer"])
        if key is None or not signed(key, b"bodycam-relay interval statement 1\n" + body, signature):
            self.findings.add("statement_foreign")

    # §7.1
    def order(self, chain: bytes) -> None:
        every = []
        try:
            for rec in records(chain):
                every.append(rec)
        except Bad:
            self.findings.add("chain_unreadable")
        except Torn:
            self.torn = True
        key: bytes | None = None
        expected: int = 0
        previous: bytes | None = bytes(32)
        foreign = closed = False
        for place, rec in enumerate(every):
            if "cert" in rec.body and weak(rec.body["cert"].key):
                self.findings.add("weak_key")
            if place == 0 and rec.kind == "start":
                key = rec.body["cert"].key
            if place == 0 and rec.kind != "start":
                self.findings.add("no_start")
                expected, previous = rec.sequence, None
            signer = rec.body["cert"].key if rec.kind == "recovery" else key
            if signer is not None and not rec.holds(signer):
                self.findings.add("record_altered")
                if rec.kind == "link" and rec.body["fragment"] <= self.next_fragment():
                    self.marks[rec.body["fragment"]] = "X"
                expected, previous = expected + 1, None
                if rec.kind == "start":
                    key = None
                    self.findings.add("no_start")
                continue
            if rec.sequence < expected:
                self.findings.add("record_misplaced")
                if rec.kind == "link" and self.marks.get(rec.body["fragment"], "M") == "M":
                    self.marks[rec.body["fragment"]] = "D"
                continue
            if rec.sequence > expected:
                self.findings.add("records_missing")
            elif previous is not None and rec.previous != previous:
                self.findings.add("chain_broken")
                foreign = foreign != (key is not None)
            expected, previous = rec.sequence + 1, rec.head
            self.head = rec.head
            if foreign:
                if rec.kind == "link":
                    self.marks[rec.body["fragment"]] = "X"
                continue
            if closed:
                self.findings.add("after_end")
                continue
            closed = rec.kind in ("end", "recovery")
            if rec.kind == "rollover":
                key = rec.body["cert"].key
            if rec.kind == "link":
                self.marks[rec.body["fragment"]] = "?"
            self.good.append(rec)

    def next_fragment(self) -> int:
        return max(self.marks, default=-1) + 1

    # §7.2
    def certificates(self, keys: dict[bytes, bytes]) -> None:
        used = set(self.statement_keys)
        for rec in self.good:
            if rec.kind not in ("start", "rollover", "recovery"):
                continue
            c: Cert = rec.body["cert"]
            used.add(c.key)
            if self.trusted is None:
                self.findings.add("no_public_key")
            elif c.issuer not in keys:
                self.findings.add("foreign_key")
            elif not signed(keys[c.issuer], b"bodycam-relay session certificate 1\n" + c.body, c.signature):
                self.findings.add("bad_certificate")
            else:
                used |= self.used(keys[c.issuer])
            taken = b"bodycam-relay session rollover 1\n" + rec.previous + c.whole()
            if rec.kind == "rollover" and not signed(c.key, taken, rec.body["consent"]):
                self.findings.add("rollover_forged")
        revoked = self.listed(keys) | {key: self.head in heads for key, heads in self.revoked.items()}
        if any(not revoked[key] for key in used if key in revoked):
            self.findings.add("key_revoked")
        self.all_revoked = set(revoked)
        if self.journal(keys) & self.all_revoked:
            self.findings.add("journal_revoked")

    # §5a, §7.5a
    def extraction(self, keys: dict[bytes, bytes]) -> None:
        data = self.files.get("extraction")
        if data is None:
            stored = any(name.endswith(".seg") for name in self.files)
            if "manifest.json" in self.files and self.version > 1 and not stored:
                self.findings.add("extraction_missing")
            return
        if data[:8] == b"BCREXTRA" and data[8:10] > b"\0\1":
            self.findings.add("extraction_newer")
            return
        files: dict[bytes, tuple[int, bytes]] = {}
        try:
            if data[:10] != b"BCREXTRA\0\1" or len(data) > 65536:
                raise Bad("extraction")
            r = In(data[10:])
            recording, head, issued = r.text(64), r.raw(32), r.u(8)
            for _ in range(r.var(200)):
                name = r.text(200).encode()
                if files and name <= max(files):
                    raise Bad("order")
                files[name] = r.var(), r.raw(32)
            issuer, at = r.raw(32), r.at
            signature = r.raw(64)
            r.done()
            body = b"bodycam-relay extraction 1\n" + data[10 : 10 + at]
            if issuer not in keys or not signed(keys[issuer], body, signature):
                raise Bad("foreign")
        except Bad:
            self.findings.add("extraction_foreign")
            return
        if issued < self.latest() - S:
            self.findings.add("document_early")
        self.office(keys[issuer], issued, DAY)
        if self.used(keys[issuer]) & self.all_revoked:
            self.findings.add("extraction_revoked")
        begin = next((rec.body for rec in self.good if rec.kind == "start"), None)
        if head != self.head or (begin is not None and begin["recording"] != recording):
            self.findings.add("extraction_mismatch")
            return
        if "statement" in self.files and b"statement" not in files:
            self.findings.add("statement_unlisted")
        for name, (length, digest) in files.items():
            there = self.files.get(name.decode())
            if there is None:
                self.findings.add("listed_missing")
            elif len(there) != length or sha(there) != digest:
                self.findings.add("listed_altered")

    # §8.3
    def journal(self, keys: dict[bytes, bytes]) -> set[bytes]:
        if self.trusted is None or "journal" not in self.files:
            return set()
        start = next((rec.body for rec in self.good if rec.kind == "start"), None)
        found, used = second_journal.judge(self.files["journal"], list(keys.values()), start, self.statement, self.head)
        self.findings |= found
        for key, at in used:
            if at is not None:
                self.office(key, at, DAY)
        return {rested for key, _ in used for rested in self.used(key)}

    # §6a
    def listed(self, keys: dict[bytes, bytes]) -> dict[bytes, bool]:
        data = self.files.get("revocations")
        if data is not None and later(data, b"BCRREVOK"):
            self.findings.add("revocations_newer")
            return {}
        if data is None or self.trusted is None:
            return {}
        found: dict[bytes, bool] = {}
        try:
            r = In(data[10:])
            head, issued, issuer = r.raw(32), r.u(8), r.raw(32)
            for _ in range(r.var(100)):
                key = r.raw(32)
                if found and key <= max(found):
                    raise Bad("order")
                found[key] = r.flag()
            body, signature = b"bodycam-relay revoked keys 1\n" + data[10 : 10 + r.at], r.raw(64)
            r.done()
            good = data[:10] == b"BCRREVOK\0\1" and len(data) <= 4096 and head == self.head
            if not good or issuer not in keys or not signed(keys[issuer], body, signature):
                raise Bad("list")
        except Bad:
            self.findings.add("revocations_foreign")
            return {}
        if keys[issuer] != self.trusted:
            return {}
        if issued < self.latest() - S:
            self.findings.add("revocations_early")
            return {}
        return found

    # §7.1, §7.5: the ends
    def ends(self) -> None:
        links = [rec.body for rec in self.good if rec.kind == "link"]
        last = max((one["time"] + one["span"] for one in links if not one["init"]), default=None)
        kinds = {rec.kind: rec for rec in self.good}
        if self.torn and not self.unfinished():
            self.findings.add("chain_unreadable")
        if "start" in kinds and self.expected - {kinds["start"].body["recording"]}:
            self.findings.add("other_recording")
        short = self.statement is not None and last is not None and self.statement["to"] <= last
        if "end" not in kinds and not short:
            told = "start" in kinds and self.still_open is not None and len(links) >= self.still_open
            if "recovery" in kinds or not told:
                self.findings.add("recovered" if "recovery" in kinds else "interrupted")
            else:
                self.notes.add("still_open")
        if "recovery" in kinds and "end" not in kinds and not short:
            self.recovered(kinds["recovery"].body, links, last)
        if "start" not in kinds:
            self.findings.add("no_start")
        explained = {"record_altered", "records_missing", "record_misplaced", "chain_broken", "no_start"}
        if "end" in kinds and not self.findings & explained:
            gaps = sum(rec.kind == "gap" for rec in self.good)
            segments = max((one["segment"] + 1 for one in links), default=0)
            sums = [sum(one[what] for one in links) for what in ("plain", "stored")]
            if kinds["end"].body["totals"] != [len(links), gaps, segments, *sums]:
                self.findings.add("counts_differ")
        if self.statement is not None:
            fits = self.statement["head"] == self.head and self.statement["last"] <= max(self.marks, default=-1)
            if not fits or ("start" in kinds and kinds["start"].body["recording"] != self.statement["recording"]):
                self.findings.add("statement_mismatch")

    # §7.9
    def unfinished(self) -> bool:
        kinds = {rec.kind for rec in self.good}
        media = {name.rstrip(". ").rsplit(".", 1)[-1].lower() for name in self.files} & {"seg", "mp4", "m4v", "mov"}
        vault = any(re.fullmatch(r"\d{5}\.seg", name) for name in self.files) or not media - {"seg"}
        return vault and "start" in kinds and not kinds & {"end", "recovery"}

    def last_segment(self) -> int:
        return max((rec.body["segment"] for rec in self.good if rec.kind == "link"), default=-1)

    # §7.4, of the recovery
    def recovered(self, body: dict[str, Any], links: list[dict[str, Any]], last: int | None) -> None:
        if "; tail missing: " in body["cause"]:
            self.findings.add("tail_missing")
        media = [one for one in links if not one["init"]]
        if body["cause"].endswith("; clock suspect"):
            self.suspect = True
        elif last is not None and last - body["time"] > S and not media[-1]["suspect"]:
            self.findings.add("clock_back")

    def inside(self, fragment: int) -> bool:
        return self.statement is None or self.statement["first"] <= fragment <= self.statement["last"]

    def touches(self, fragment: int, begin: int, finish: int) -> bool:
        s = self.statement
        if s is None or s["first"] < fragment <= s["last"]:
            return True
        return fragment in (s["first"], s["last"] + 1) and begin < s["to"] and s["from"] < finish

    # §7.4
    def times(self) -> None:
        certificate: Cert | None = None
        latest: int | None = None
        gaps: list[dict[str, Any]] = []
        ends: dict[int, int] = {}
        base: dict[int, tuple[int, int]] = {}
        since: dict[int, list[dict[str, Any]]] = {}
        unknown: list[dict[str, Any]] = []
        silent: set[int] = set()
        for rec in self.good:
            body = rec.body
            if "cert" in body:
                certificate = body["cert"]
            if certificate is not None and "time" in body and not certificate.begin <= body["time"] <= certificate.end:
                self.findings.add("certificate_life")
            if rec.kind == "gap":
                gaps.append(body)
                for track in ends:
                    since.setdefault(track, []).append(body)
                    if body["track"] in (None, track):
                        base.pop(track, None)
                if body["track"] in ends:
                    (silent.add if body["cause"] == "silence" else silent.discard)(body["track"])
                if body["cause"] in NAMED:
                    unknown.append(body)
            if rec.kind != "link":
                continue
            for one in unknown:
                if self.touches(body["fragment"], one["at"], one["at"] + one["length"]):
                    self.findings.add(NAMED[one["cause"]])
            unknown = []
            inside = self.inside(body["fragment"])
            self.suspect |= inside and body["suspect"]
            if body["init"]:
                continue
            hole = 0
            if latest is not None:
                if latest - body["time"] > S and not body["suspect"] and inside:
                    self.findings.add("clock_back")
                if not any(part["track"] in ends for part in body["tracks"]) and not body["suspect"]:
                    hole = body["time"] - latest - explained(gaps, None)
            latest, gaps = max(latest or 0, body["time"] + body["span"]), []
            for part in body["tracks"]:
                rate, track = (90_000 if part["kind"] == "video" else 48_000), part["track"]
                first, over = part["first"] * S // rate, (part["first"] + part["duration"]) * S // rate
                if track in ends:
                    missing = first - ends[track] - explained(since.pop(track, []), track)
                    hole = hole if track in silent else max(hole, missing)
                    if track not in base or body["suspect"]:
                        base[track] = first, body["time"]
                    drift = abs((first - base[track][0]) - (body["time"] - base[track][1]))
                    if inside and max(drift, ends[track] - first) > 5 * S:
                        self.findings.add("retimed")
                else:
                    base[track] = first, body["time"]
                ends[track] = over
            if hole > S and self.touches(body["fragment"], body["time"] - hole, body["time"]):
                self.findings.add("gap_unexplained")
            s = self.statement
            if s is not None and not inside and not body["suspect"] and s["from"] < body["time"] + body["span"]:
                self.findings.update({"statement_mismatch"} if body["time"] < s["to"] else ())
        self.findings |= {NAMED[one["cause"]] for one in unknown}

    # §7.3
    def fragments(self) -> None:
        links = [rec.body for rec in self.good if rec.kind == "link"]
        begin = next((rec.body for rec in self.good if rec.kind == "start"), None)
        if begin is None:
            return
        kinds = {name[5:] for name in self.files if re.fullmatch(r"\d{5}\.(seg|mp4)", name)}
        copies = [name for name in self.files if re.search(r"[^/]\.(mp4|m4v|mov)[. ]*\Z", name, re.I) and name[5:] not in kinds]
        copies = sorted(name for name in copies if not re.fullmatch(r"\d{5}\.mp4", name))
        if copies[32:]:
            self.findings.add("derived_unjudged")
        del copies[32:]
        if not kinds and copies:
            for name in copies:
                self.copy(name, links, alone=True)
            self.findings.add("derived_only")
            return
        if begin["original"] == "camera":
            self.marks |= {one["fragment"]: "." for one in links}
        else:
            self.segments(links, kinds, begin)
        for name in copies:
            self.copy(name, links, alone=False)

    def segments(self, links: list[dict[str, Any]], kinds: set[str], begin: dict[str, Any]) -> None:
        suffix = ".mp4" if kinds == {".mp4"} else ".seg"
        known = set()
        for segment in sorted({one["segment"] for one in links}):
            name = f"{segment:05d}{suffix}"
            members = [one for one in links if one["segment"] == segment]
            there = [one for one in members if self.inside(one["fragment"]) or (one["init"] and name in self.files)]
            for one in members:
                if one not in there:
                    self.marks[one["fragment"]] = "-"
            if there:
                known.add(name)
                self.segment(name, members, there, begin["recording"])
        later = self.last_segment() if self.unfinished() else 99_999
        strange = [name for name in self.files if re.fullmatch(r"\d{5}\.(seg|mp4)", name) and name not in known]
        if any(int(name[:5]) <= later for name in strange):
            self.findings.add("foreign_file")

    def segment(self, name: str, members: list[dict[str, Any]], there: list[dict[str, Any]], recording: str) -> None:
        data, plain = self.files.get(name, b""), name.endswith("mp4")
        places, at, before = {}, 0, None
        for one in members:
            lost = 0 if before is None else one["fragment"] - before["fragment"] - 1
            if plain and lost and before is not None:
                at += max(one["offset"] - before["offset"] - before["stored"] - 16 * lost, 0)
            if one in there:
                places[one["fragment"]] = at if plain else one["offset"]
                at += one["plain"]
            before = one
        self.where |= {number: (name, place) for number, place in places.items()}
        size, digest = ("plain", "plain_digest") if plain else ("stored", "stored_digest")

        def fits(one: dict[str, Any], place: int) -> bool:
            piece = data[place : place + one[size]]
            return bool(len(piece) == one[size] > 0 and sha(piece) == one[digest])

        whole = all(fits(one, places[one["fragment"]]) for one in there)
        if whole:
            for one in there:
                self.marks[one["fragment"]] = "."
                self.open(data, one, recording, plain)
            stop = max(places[one["fragment"]] + one[size] for one in there)
        elif not data:
            self.marks |= {one["fragment"]: "M" for one in there}
            return
        else:
            stop = self.scan(data, there, places, fits, size)
        if len(data) > stop and not (self.unfinished() and int(name[:5]) == self.last_segment()):
            self.findings.add("extra_bytes")

    def open(self, data: bytes, one: dict[str, Any], recording: str, plain: bool) -> None:
        if self.opener is None or plain:
            return
        number = one["fragment"].to_bytes(8, "big")
        piece = data[one["offset"] : one["offset"] + one["stored"]]
        try:
            opened = AESGCM(self.opener).decrypt(bytes(4) + number, piece, recording.encode() + number)
        except InvalidTag:
            self.findings.add("wrong_recording_key")
            return
        if sha(opened) != one["plain_digest"]:
            self.findings.add("plain_differs")

    def in_place(self, data: bytes, there: list[dict[str, Any]], places: dict[int, int], fits: Any, size: str) -> int:
        """The marks of the first reading, where reading again would cost too much."""
        for one in there:
            place = places[one["fragment"]]
            short = place + one[size] > len(data)
            self.marks[one["fragment"]] = "." if fits(one, place) else "M" if short else "X"
            self.findings.update(() if fits(one, place) or short else {"fragment_altered"})
        return max(places[one["fragment"]] + int(one[size]) for one in there)

    def scan(self, data: bytes, there: list[dict[str, Any]], places: dict[int, int], fits: Any, size: str) -> int:
        at = expected = 0
        cost, bound = 0, 16 * len(data) + 1_048_576
        lengths = {one[size] for one in there if one[size] > 0}
        found: list[int] = []
        strangers: set[int] = set()
        while at < len(data):
            rest = len(data) - at
            first = expected < len(there) and fits(there[expected], at)
            cost += there[expected][size] if expected < len(there) and there[expected][size] <= rest else 0
            if not first:
                fitting = [length for length in lengths if length <= rest]
                cost += 1000 * len(fitting) + max(fitting, default=0)
            if cost > bound:
                return self.in_place(data, there, places, fits, size)
            tried = [*range(expected, len(there)), *range(min(expected, len(there)))]
            index = next((n for n in tried if fits(there[n], at)), None)
            if index is not None:
                found.append(there[index]["fragment"])
                at, expected = at + there[index][size], index + 1
                continue
            if expected >= len(there):
                break
            one = there[expected]
            own = places[one["fragment"]]
            if own > at:
                cost += one[size] if own + one[size] <= len(data) else 0
                if cost > bound:
                    return self.in_place(data, there, places, fits, size)
                if fits(one, own):
                    at = own
                    continue
            if at + one[size] <= len(data):
                strangers.add(one["fragment"])
            at, expected = at + one[size], expected + 1
        wanted = [one["fragment"] for one in there]
        once = list(dict.fromkeys(found))
        for number in wanted:
            self.marks[number] = "." if number in once else "X" if number in strangers else "M"
            if found.count(number) > 1:
                self.marks[number] = "D"
        for mine, theirs in zip([number for number in wanted if number in once], once, strict=True):
            if mine != theirs:
                self.marks[mine] = "D"
        if "X" in self.marks.values():
            self.findings.add("fragment_altered")
        if "D" in self.marks.values():
            self.findings.add("fragment_misplaced")
        return at

    # §7.6
    def copy(self, name: str, links: list[dict[str, Any]], *, alone: bool) -> None:
        last = N32 if self.statement is None else self.statement["last"]
        points = [point for rec in self.good if rec.kind == "correction" for point in rec.body["points"]]
        comparison, bad = Comparison(Copy(self.files[name]), Moves(links, points, last)), None
        for one in links:
            plain = None if alone else self.plain(one)
            if one["init"]:
                comparison.init(plain)
            if not self.inside(one["fragment"]):
                if alone:
                    self.marks[one["fragment"]] = "-"
                continue
            for part in one["tracks"] if bad is None else ():
                bad = bad or comparison.part(part, plain)
            if alone:
                self.marks[one["fragment"]] = "X" if bad else "?"
        if bad is None:
            bad = comparison.finish(alone=alone)
        self.findings |= {bad} if bad is not None else set()

    def plain(self, one: dict[str, Any]) -> bytes | None:
        """The sealed plain bytes of a fragment, where they lie where they should and are as sealed."""
        found = self.where.get(one["fragment"])
        if found is None:
            return None
        name, at = found
        if name.endswith(".mp4"):
            data = self.files.get(name, b"")[at : at + one["plain"]]
        elif self.opener is None:
            return None
        else:
            number = one["fragment"].to_bytes(8, "big")
            piece = self.files.get(name, b"")[at : at + one["stored"]]
            begin = self.good[0].body["recording"]
            try:
                data = AESGCM(self.opener).decrypt(bytes(4) + number, piece, begin.encode() + number)
            except InvalidTag:
                return None
        return data if sha(data) == one["plain_digest"] else None

    def result(self) -> tuple[int, str, str, str, str, str]:
        count = max(self.marks, default=-1) + 1
        marks = "".join(self.marks.get(number, "M") for number in range(count))
        sealed = marks
        if self.unfinished() and self.still_open is None and marks.endswith("M"):
            self.findings.add("tail_not_copied")
            sealed = marks.rstrip("M")
        if "M" in sealed:
            self.findings.add("fragment_missing")
        begun = any(rec.kind == "start" for rec in self.good)
        stored = any(name.endswith(".seg") for name in self.files) and self.opener is None
        camera = begun and self.good[0].body["original"] == "camera"
        nothing = not any(re.search(r"\.(seg|mp4|m4v|mov)[. ]*\Z", name) for name in self.files)
        integrity = "intact as stored" if (stored or nothing) and not camera else "intact"
        if not begun or self.findings & {"derived_only", "derived_unjudged"}:
            integrity = "not judged"
        if self.findings & I_CODES:
            integrity = "altered"
        completeness = "complete" if self.statement is None else "complete for this interval"
        if found := self.findings & C_CODES:
            completeness = "interrupted" if "recovered" in found else "open"
            if not found <= {"interrupted", "recovered", "tail_not_copied"}:
                completeness = "incomplete"
        elif "still_open" in self.notes:
            completeness = "open"
        origin = "proved" if begun and not self.findings & O_CODES else "not proved"
        time = "suspect" if self.suspect else "consistent"
        if not begun or self.findings & T_CODES:
            time = "time not proved"
        return (1 if self.findings else 0), integrity, completeness, origin, time, marks


# §1a
LEFT = {".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", ".directory", ".localized", "icon\r"}
LEFT_FOLDERS = {"__macosx", ".spotlight-v100", ".trashes", ".fseventsd", ".temporaryitems", ".appledouble", "$recycle.bin"}
LEFT_FOLDERS |= {"system volume information", "@eadir"}


def left_by_a_system(name: str, data: bytes) -> bool:
    *folders, last = name.casefold().split("/")
    if not (last in LEFT or last.startswith("._") or LEFT_FOLDERS & set(folders)):
        return False
    companion = last.startswith("._") and data.startswith(bytes.fromhex("0005160700020000"))
    companion = companion and len(data) <= 65_536 and b"moov" not in data
    return companion or not last.rstrip(". ").endswith((".mp4", ".m4v", ".mov"))


def check(
    files: Files,
    trusted: bytes | None,
    opener: bytes | None = None,
    revoked: dict[bytes, frozenset[bytes]] | None = None,
    *,
    expected: str | None = None,
    still_open: int | None = None,
    folder: str = "",
) -> tuple[int, str, str, str, str, str]:
    """Return exit code, integrity, completeness, origin, time and marks; raises Bad where the exit code is 2."""
    files = {name: data for name, data in files.items() if not left_by_a_system(name, data)}
    folders = {name.rsplit("/", 1)[0] for name in files if name.endswith("/chain")}
    if "chain" not in files and len(folders) == 1:
        folder = folders.pop()
        inside = folder + "/"
        files = {name.removeprefix(inside) if name.startswith(inside) else f"../{name}": data for name, data in files.items()}
    if "chain" not in files:
        if folders or not any(re.search(r"\.(mp4|m4v|mov|seg)[. ]*\Z", name, re.I) for name in files):
            raise Bad("nothing here")
        return 1, "not judged", "not judged", "not proved", "time not proved", ""
    wanted = {folder.rsplit("/", 1)[-1]} if re.fullmatch(r"(.*/)?[0-9a-f]{32}", folder) else set()
    wanted |= {expected} if expected is not None else set()
    return Check(files, trusted, opener, revoked or {}, expected=frozenset(wanted), still_open=still_open).run()
