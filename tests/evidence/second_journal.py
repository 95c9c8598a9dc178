"""The journal's part of the second checker, written from FORMAT.md §8 alone: it shares no code with the relay."""

import base64
import calendar
import hashlib
import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.]([0-9]{1,9}))?Z")
FIRST = "c2sp.org/tlog-proof@v1"


class Unreadable(Exception):
    """The bytes are not a file of proofs."""


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def decoded(text: str, length: int | None = None) -> bytes:
    """Canonical base64 only."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        raise Unreadable("base64") from None
    if base64.b64encode(data).decode() != text or (length is not None and len(data) != length):
        raise Unreadable("base64")
    return data


def number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or (text[0] == "0" and text != "0") or len(text) > 19:
        raise Unreadable("number")
    return int(text)


@dataclass
class One:
    """One proof; `entry` is None where it was deleted."""

    index: int
    leaf: bytes
    entry: bytes | None
    path: list[bytes]
    signed: bytes
    origin: str
    size: int
    root: bytes
    signatures: list[tuple[str, bytes]]
    extra: list[str]

    def time(self) -> int | None:
        """The first extension line, where it is a time in the form that counts."""
        found = TIME.fullmatch(self.extra[0]) if self.extra else None
        try:
            moment = calendar.timegm(time.strptime(found[1], "%Y-%m-%dT%H:%M:%S")) if found else None
        except ValueError:
            return None
        return None if moment is None or found is None else moment * 10**9 + int(((found[2] or "") + "0" * 9)[:9])

    def signer(self, keys: Iterable[bytes]) -> bytes | None:
        for key in keys:
            wanted = sha(self.origin.encode(), b"\n\1", key)[:4]
            for name, blob in self.signatures:
                if name == self.origin and blob[:4] == wanted and verified(key, self.signed, blob[4:]):
                    return key
        return None

    def holds(self) -> bool:
        if not led(self.leaf, self.index, self.size, self.path, self.root):
            return False
        if self.entry is None:
            return True
        said = self.fields().get("leaf")
        return isinstance(said, int) and not isinstance(said, bool) and said == self.index

    def fields(self) -> dict[str, Any]:
        def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            if len({key for key, _ in pairs}) < len(pairs):
                raise ValueError("twice")
            return dict(pairs)

        try:
            found = json.loads(self.entry or b"", object_pairs_hook=once)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def verified(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def led(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """RFC 9162 §2.1.3.2."""
    if index >= size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return False
        if fn % 2 == 1 or fn == sn:
            r = sha(b"\1", p, r)
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn // 2, sn // 2
        else:
            r = sha(b"\1", r, p)
        fn, sn = fn // 2, sn // 2
    return sn == 0 and r == root


def proofs(data: bytes) -> list[One]:
    """§8.2."""
    if len(data) > 1 << 20:
        raise Unreadable("long")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Unreadable("utf-8") from None
    if not text.endswith("\n"):
        raise Unreadable("end")
    lines = text[:-1].split("\n")
    found: list[One] = []
    while lines:
        found.append(one(lines))
        if len(found) > 64:
            raise Unreadable("many")
    return found


def take(lines: list[str]) -> str:
    if not lines:
        raise Unreadable("short")
    return lines.pop(0)


def block(lines: list[str], most: int) -> Iterator[str]:
    """Lines until an empty one, which is taken too."""
    for _ in range(most + 1):
        line = take(lines)
        if not line:
            return
        yield line
    raise Unreadable("too many lines")


def one(lines: list[str]) -> One:
    if take(lines) != FIRST:
        raise Unreadable("first line")
    word, _, extra = take(lines).partition(" ")
    said = decoded(extra)
    index_word, _, digits = take(lines).partition(" ")
    if (word, index_word) != ("extra", "index") or not digits:
        raise Unreadable("words")
    if said[:1] == b"\1" and 33 < len(said) <= 33 + 65_536:
        leaf, entry = sha(b"\0", sha(said[1:33], said[33:])), said[33:]
    elif said[:1] == b"\2" and len(said) == 33:
        leaf, entry = said[1:], None
    else:
        raise Unreadable("extra")
    index, path = number(digits), [decoded(line, 32) for line in block(lines, 64)]
    head = list(block(lines, 3 + 16))
    if len(head) < 3 or len(head[0]) > 255 or any(len(line) > 1000 for line in head[3:]):
        raise Unreadable("checkpoint")
    signatures = []
    while lines and lines[0].startswith("— "):
        text = lines.pop(0)[2:]
        if not 1 <= len(text) <= 8000:
            raise Unreadable("signature")
        signatures.append(signature(text))
    if not 1 <= len(signatures) <= 32:
        raise Unreadable("signatures")
    signed = "".join(f"{line}\n" for line in head).encode()
    return One(index, leaf, entry, path, signed, head[0], number(head[1]), decoded(head[2], 32), signatures, head[3:])


def signature(text: str) -> tuple[str, bytes]:
    """A line that cannot be read is nobody's signature: it is ignored."""
    name, _, blob = text.partition(" ")
    try:
        return name, base64.b64decode(blob.encode(), validate=True)
    except ValueError:
        return "", b""


def judge(
    data: bytes, keys: list[bytes], start: dict[str, Any] | None, statement: dict[str, Any] | None, head: bytes
) -> tuple[set[str], list[tuple[bytes, int | None]]]:
    """Return the findings of §8.3, the keys that signed and when; `start` has recording, camera, intervention, expires."""
    findings: set[str] = set()
    used: list[tuple[bytes, int | None]] = []
    roots: dict[tuple[str, int], bytes] = {}
    try:
        every = proofs(data)
    except Unreadable:
        return {"journal_proof_false"}, used
    for proof in every:
        key = proof.signer(keys)
        if key is None:
            findings.add("journal_foreign")
            continue
        used.append((key, proof.time()))
        if roots.setdefault((proof.origin, proof.size), proof.root) != proof.root:
            findings.add("journal_forked")
        if not proof.holds():
            findings.add("journal_proof_false")
        elif proof.entry is not None and start is not None:
            findings |= compared(proof.fields(), start, statement, head)
    return findings, used


def compared(entry: dict[str, Any], start: dict[str, Any], statement: dict[str, Any] | None, head: bytes) -> set[str]:
    if entry.get("object_type") != "recording" or entry.get("object_id") != start["recording"]:
        return {"journal_entry_foreign"}
    details = entry.get("details")
    if not isinstance(details, dict):
        return set()
    event = details.get("event")
    if event == "recording begun":
        same = entry.get("author") == start["camera"] and details.get("intervention") == start["intervention"]
        if not same or details.get("expires_on") != start["expires"]:
            return {"journal_entry_foreign"}
    asked = (details.get("first"), details.get("last"))
    if event == "extraction requested" and statement is not None and asked != (statement["first"], statement["last"]):
        return {"journal_entry_foreign"}
    if event == "recording closed" and details.get("head") != head.hex():
        return {"journal_head_differs"}
    return set()
