"""Signed documents that travel with a recording: statement of an interval, succession of long-term keys, revoked keys.

Owns: FORMAT.md §5 to §6a, to the byte.  Must never know: files, how a long-term key is kept.
"""

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

from relay.base.errors import Kind, OurError, TheirError
from relay.evidence.seal import (
    DIGEST,
    DOMAIN_REVOCATIONS,
    DOMAIN_STATEMENT,
    DOMAIN_SUCCESSION,
    KEY,
    SIGNATURE,
    Signer,
    key_id,
    signature_holds,
)
from relay.evidence.wire import Fixed, Flag, Raw, Repeat, Struct, Text, UInt, decode, encode, newer_format

STATEMENT_MAGIC = b"BCRSTATE\0\1"
SUCCESSION_MAGIC = b"BCRSUCCN\0\1"
REVOCATIONS_MAGIC = b"BCRREVOK\0\1"
MAX_DOCUMENT = 4096
"""Bytes; no document of these kinds is longer."""
MAX_SUCCESSIONS = 32
"""Successions that a verifier reads at most."""
MAX_REVOKED = 100
"""Keys in one list at most."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Statement:
    """The long-term key says: this export holds fragments `first` to `last`, which are all fragments of the interval."""

    recording: str
    head: bytes
    """Head of the whole chain as it travels with the export."""
    from_ns: int
    to_ns: int
    first: int
    last: int
    """Number of the last fragment, included; the export also holds the init segments of the segments it touches."""
    issued_ns: int
    issuer: bytes
    signature: bytes = bytes(SIGNATURE)

    def __post_init__(self) -> None:
        if self.from_ns > self.to_ns or self.first > self.last:
            raise ValueError("the interval ends before it begins")


@dataclass(frozen=True, slots=True)
class Succession:
    """Both keys say: `new_key` follows `old_key`, which signed until `at_ns`."""

    old_key: bytes
    new_key: bytes
    at_ns: int
    reason: str
    old_signature: bytes = bytes(SIGNATURE)
    new_signature: bytes = bytes(SIGNATURE)


@dataclass(frozen=True, slots=True)
class RevokedKey:
    """A key that is revoked, and whether it still vouches for the chain that the list is about."""

    key: bytes
    attested: bool
    """A journal checkpoint held the chain's head before the revocation."""


@dataclass(frozen=True, slots=True)
class Revocations:
    """The long-term key says which keys of the relay were revoked at `issued_ns`, and which still vouch for one chain."""

    head: bytes
    """Head of that chain.  The list is about no other chain, so that an old list cannot vouch for a new forgery."""
    issued_ns: int
    issuer: bytes
    keys: tuple[RevokedKey, ...]
    signature: bytes = bytes(SIGNATURE)

    def __post_init__(self) -> None:
        if any(after.key <= before.key for before, after in pairwise(self.keys)):
            raise ValueError("the keys are not sorted and unique")


_NS = Fixed(8)
_STATEMENT = Struct(
    Statement,
    (
        ("recording", Text(64)),
        ("head", Raw(DIGEST)),
        ("from_ns", _NS),
        ("to_ns", _NS),
        ("first", UInt(0xFFFF_FFFF)),
        ("last", UInt(0xFFFF_FFFF)),
        ("issued_ns", _NS),
        ("issuer", Raw(DIGEST)),
        ("signature", Raw(SIGNATURE)),
    ),
)
_SUCCESSION = Struct(
    Succession,
    (
        ("old_key", Raw(KEY)),
        ("new_key", Raw(KEY)),
        ("at_ns", _NS),
        ("reason", Text(200)),
        ("old_signature", Raw(SIGNATURE)),
        ("new_signature", Raw(SIGNATURE)),
    ),
)
_REVOCATIONS = Struct(
    Revocations,
    (
        ("head", Raw(DIGEST)),
        ("issued_ns", _NS),
        ("issuer", Raw(DIGEST)),
        ("keys", Repeat(Struct(RevokedKey, (("key", Raw(KEY)), ("attested", Flag()))), MAX_REVOKED)),
        ("signature", Raw(SIGNATURE)),
    ),
)


def _statement_bytes(statement: Statement) -> bytes:
    return DOMAIN_STATEMENT + encode(_STATEMENT, statement)[:-SIGNATURE]


def _succession_bytes(succession: Succession) -> bytes:
    return DOMAIN_SUCCESSION + encode(_SUCCESSION, succession)[: -2 * SIGNATURE]


def _revocations_bytes(revocations: Revocations) -> bytes:
    return DOMAIN_REVOCATIONS + encode(_REVOCATIONS, revocations)[:-SIGNATURE]


def _open(magic: bytes, codec: Struct[T], data: bytes) -> T:
    name, version = magic[:-2], magic[-1]
    if (newer := newer_format(data, name, version)) is not None:
        raise newer
    if not data.startswith(magic) or len(data) > MAX_DOCUMENT:
        raise TheirError(Kind.INVALID, "byte 0: not a document of a known format version")
    return decode(codec, data[len(magic) :], len(magic))


def sign_statement(
    longterm: Signer, *, recording: str, head: bytes, from_ns: int, to_ns: int, first: int, last: int, issued_ns: int
) -> bytes:
    """Return the bytes of the file `statement` of an export."""
    statement = Statement(recording, head, from_ns, to_ns, first, last, issued_ns, key_id(longterm.public_key))
    return STATEMENT_MAGIC + encode(_STATEMENT, replace(statement, signature=longterm.sign(_statement_bytes(statement))))


def read_statement(data: bytes) -> Statement:
    """Read the file `statement`; raises TheirError with the position.  Does not check the signature."""
    return _open(STATEMENT_MAGIC, _STATEMENT, data)


def statement_holds(statement: Statement, public_key: bytes) -> bool:
    """Return whether the long-term key `public_key` signed this statement."""
    return statement.issuer == key_id(public_key) and signature_holds(
        public_key, _statement_bytes(statement), statement.signature
    )


def sign_succession(old: Signer, new: Signer, *, at_ns: int, reason: str) -> bytes:
    """Return the bytes of the file `succession` with which `new` takes over from `old`."""
    bare = Succession(old.public_key, new.public_key, at_ns, reason)
    signed = _succession_bytes(bare)
    return SUCCESSION_MAGIC + encode(_SUCCESSION, replace(bare, old_signature=old.sign(signed), new_signature=new.sign(signed)))


def read_succession(data: bytes) -> Succession:
    """Read a succession; raises TheirError with the position.  Does not check the signatures."""
    return _open(SUCCESSION_MAGIC, _SUCCESSION, data)


def succession_holds(succession: Succession) -> bool:
    """Return whether both keys signed."""
    signed = _succession_bytes(succession)
    return signature_holds(succession.old_key, signed, succession.old_signature) and signature_holds(
        succession.new_key, signed, succession.new_signature
    )


def successions_in(data: bytes) -> list[bytes]:
    """Return the encoded successions of a file: one in binary, or several in base64, one a line (FORMAT.md §6).

    Raises TheirError where a line is no succession, or where there are more than 32.
    """
    if data.startswith(SUCCESSION_MAGIC):
        read_succession(data)
        return [data]
    lines = data.split()
    if len(lines) > MAX_SUCCESSIONS:
        raise TheirError(Kind.INVALID, f"{len(lines)} successions: at most {MAX_SUCCESSIONS}")
    return [_succession_of(line, number) for number, line in enumerate(lines, 1)]


def _succession_of(line: bytes, number: int) -> bytes:
    try:
        encoded = base64.b64decode(line, validate=True)
        read_succession(encoded)
    except (binascii.Error, TheirError) as error:
        raise TheirError(Kind.INVALID, f"line {number}: no succession ({error})") from None
    return encoded


def succession_line(encoded: bytes) -> bytes:
    """Return a succession's line in a file of several."""
    return base64.b64encode(encoded) + b"\n"


def predecessors(public_key: bytes, successions: Sequence[bytes]) -> list[bytes]:
    """Return the keys before a trusted key, the latest first: each is attested by the key that follows it."""
    found = [public_key]
    known = [succession for succession in map(read_succession, successions) if succession_holds(succession)]
    for _ in known:
        older = [succession.old_key for succession in known if succession.new_key == found[-1]]
        if not older or older[0] in found:
            break
        found.append(older[0])
    return found[1:]


def sign_revocations(longterm: Signer, *, head: bytes, issued_ns: int, revoked: Mapping[bytes, Collection[bytes]]) -> bytes:
    """Return the bytes of the file `revocations` about the chain of this head.

    `revoked`: each revoked public key with the heads that a journal checkpoint held before its revocation.  Raises OurError
    beyond 100 keys: a list that leaves some out is worse than no list.
    """
    if len(revoked) > MAX_REVOKED:
        raise OurError(f"{len(revoked)} keys are revoked: one list holds at most {MAX_REVOKED}")
    keys = tuple(RevokedKey(key, head in heads) for key, heads in sorted(revoked.items()))
    bare = Revocations(head, issued_ns, key_id(longterm.public_key), keys)
    return REVOCATIONS_MAGIC + encode(_REVOCATIONS, replace(bare, signature=longterm.sign(_revocations_bytes(bare))))


def read_revocations(data: bytes) -> Revocations:
    """Read a list of revoked keys; raises TheirError with the position.  Does not check the signature."""
    return _open(REVOCATIONS_MAGIC, _REVOCATIONS, data)


def revocations_hold(revocations: Revocations, public_key: bytes) -> bool:
    """Return whether the long-term key `public_key` signed this list."""
    return revocations.issuer == key_id(public_key) and signature_holds(
        public_key, _revocations_bytes(revocations), revocations.signature
    )
