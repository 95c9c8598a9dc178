"""Keys, certificates, digests and the vault's cipher: all of FORMAT.md's sealing except the records.

Owns: which bytes are signed (always domain ‖ bytes), how the relay's long-term key certifies a session key, how
a fragment is encrypted, how a track's samples are digested.
Must never know: where keys are kept, files, the order of records.

Ed25519 is RFC 8032, AES-GCM is NIST SP 800-38D, SHA-256 is FIPS 180-4.  A long-term key is named by its SHA-256.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay.base.errors import Kind, TheirError
from relay.evidence.wire import Fixed, Raw, Struct, Text, UInt, encode

DOMAIN_CERTIFICATE = b"bodycam-relay session certificate 1\n"
DOMAIN_RECORDS = {version: b"bodycam-relay chain record %d\n" % version for version in (1, 2, 3)}
"""By format version of the chain: a record of one version cannot be passed off as a record of another."""
DOMAIN_ROLLOVER = b"bodycam-relay session rollover 1\n"
DOMAIN_STATEMENT = b"bodycam-relay interval statement 1\n"
DOMAIN_SUCCESSION = b"bodycam-relay key succession 1\n"
DOMAIN_REVOCATIONS = b"bodycam-relay revoked keys 1\n"
DOMAIN_EXTRACTION = b"bodycam-relay extraction 1\n"

DIGEST = 32
KEY = 32
SIGNATURE = 64
TAG = 16
"""Bytes that AES-GCM adds to a fragment."""

NO_DIGEST = bytes(DIGEST)

DAY_NS = 86_400_000_000_000
LONGEST_LIFE_NS = {1: 32 * DAY_NS, 2: DAY_NS, 3: DAY_NS}
"""For how long a session certificate may be valid, by format version of the chain (FORMAT.md §3.1)."""

_PRIME = 2**255 - 19
_CURVE_D = -121665 * pow(121666, -1, _PRIME) % _PRIME
_LOW_ORDER = frozenset(
    (
        0,
        1,
        _PRIME - 1,
        int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
        int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
    )
)
"""The y of the eight points of low order: under such a key, signatures can be made that hold for any message."""


class Signer(Protocol):
    """Signs with Ed25519; the key may live in a file, in memory or behind PKCS#11."""

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public key."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        ...


class MemorySigner:
    """A `Signer` over a private key held in memory; `MemorySigner.generate()` makes one."""

    def __init__(self, private_key: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private_key)
        self._public = self._key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> "MemorySigner":
        """Return a signer with a new random key."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public key."""
        return self._public

    @property
    def private_bytes(self) -> bytes:
        """The 32 bytes of the private key, for its keeper."""
        return self._key.private_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._key.sign(message)


def sha256(data: bytes | memoryview) -> bytes:
    """Return the 32 bytes of SHA-256."""
    return hashlib.sha256(data).digest()


def key_id(public_key: bytes) -> bytes:
    """Return the id of a long-term key: the SHA-256 of its public key (32 bytes)."""
    return sha256(public_key)


def is_weak(public_key: bytes) -> bool:
    """Return whether a public key proves nothing: a point of low order, or not the canonical encoding of a point (RFC 8032)."""
    y = int.from_bytes(public_key, "little") & (1 << 255) - 1
    return y >= _PRIME or y in _LOW_ORDER


def is_point(public_key: bytes) -> bool:
    """Return whether a public key decodes to a point of the curve (RFC 8032 §5.1.3); half of all 32 bytes do not."""
    y = int.from_bytes(public_key, "little") & (1 << 255) - 1
    numerator, denominator = y * y - 1, _CURVE_D * y * y + 1
    return y < _PRIME and pow(numerator * denominator, (_PRIME - 1) // 2, _PRIME) in (0, 1)


def signature_holds(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether an Ed25519 signature holds; False for a weak public key, or one that is no point on the curve."""
    if is_weak(public_key):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# --- session keys -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionCertificate:
    """The long-term key says that a session key of this process may sign records from `not_before_ns` to `not_after_ns`."""

    session_key: bytes
    role: str
    index: int
    not_before_ns: int
    not_after_ns: int
    issuer: bytes
    """`key_id` of the long-term key."""
    signature: bytes = bytes(SIGNATURE)

    def signed_bytes(self) -> bytes:
        """Return the bytes that the long-term key signs."""
        return DOMAIN_CERTIFICATE + encode(CERTIFICATE, self)[:-SIGNATURE]

    def issued_by(self, public_key: bytes) -> bool:
        """Return whether `public_key` (32 bytes) issued this certificate."""
        return self.issuer == key_id(public_key) and signature_holds(public_key, self.signed_bytes(), self.signature)

    @property
    def life_ns(self) -> int:
        """For how long it is valid."""
        return self.not_after_ns - self.not_before_ns

    def covers(self, utc_ns: int) -> bool:
        """Return whether the certificate is valid at that time (UTC nanoseconds)."""
        return self.not_before_ns <= utc_ns <= self.not_after_ns


CERTIFICATE = Struct(
    SessionCertificate,
    (
        ("session_key", Raw(KEY)),
        ("role", Text(16)),
        ("index", UInt(0xFFFF)),
        ("not_before_ns", Fixed(8)),
        ("not_after_ns", Fixed(8)),
        ("issuer", Raw(DIGEST)),
        ("signature", Raw(SIGNATURE)),
    ),
)


def issue_certificate(
    longterm: Signer, session_key: bytes, *, role: str, index: int, not_before_ns: int, not_after_ns: int
) -> SessionCertificate:
    """Return the certificate of a session key (32 bytes) for process `index` of `role`; times in UTC nanoseconds."""
    unsigned = SessionCertificate(session_key, role, index, not_before_ns, not_after_ns, key_id(longterm.public_key))
    return replace(unsigned, signature=longterm.sign(unsigned.signed_bytes()))


@dataclass(frozen=True, slots=True)
class SessionSigner:
    """A session key with its certificate; with it a recorder signs without any other process."""

    signer: Signer
    certificate: SessionCertificate

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the session's public key."""
        return self.signer.public_key

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self.signer.sign(message)


def new_session(longterm: Signer, *, role: str, index: int, not_before_ns: int, not_after_ns: int) -> SessionSigner:
    """Return a new random session key, certified."""
    signer = MemorySigner.generate()
    certificate = issue_certificate(
        longterm, signer.public_key, role=role, index=index, not_before_ns=not_before_ns, not_after_ns=not_after_ns
    )
    return SessionSigner(signer, certificate)


# --- samples ----------------------------------------------------------------------------------------------------------


def sample_digest(samples: Iterable[bytes | memoryview]) -> bytes:
    """Return SHA-256 over, for each sample, its length (4 bytes, big-endian) and its bytes as they stand in `mdat`.

    The digest does not depend on boxes, so that a lossless remux of the fragment has the same digest.
    """
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(len(sample).to_bytes(4, "big"))
        digest.update(sample)
    return digest.digest()


# --- the vault's cipher -----------------------------------------------------------------------------------------------


def nonce(fragment: int) -> bytes:
    """Return the 12 bytes: four zeroes, then the fragment's number in its recording (I10: a number is used once)."""
    return bytes(4) + fragment.to_bytes(8, "big")


def associated_data(recording: str, fragment: int) -> bytes:
    """Return the associated data: the recording's id in ASCII, then the fragment's number (8 bytes, big-endian)."""
    return recording.encode() + fragment.to_bytes(8, "big")


def encrypt_fragment(key: bytes, recording: str, fragment: int, plain: bytes) -> bytes:
    """Return the stored bytes, `TAG` longer than `plain`; the caller never uses a fragment's number twice under one key."""
    return AESGCM(key).encrypt(nonce(fragment), plain, associated_data(recording, fragment))


def decrypt_fragment(key: bytes, recording: str, fragment: int, stored: bytes) -> bytes:
    """Return the plain bytes; raises TheirError where key, number or bytes are not those that were sealed."""
    try:
        return AESGCM(key).decrypt(nonce(fragment), stored, associated_data(recording, fragment))
    except InvalidTag:
        raise TheirError(Kind.INVALID, f"fragment {fragment} does not open with this key") from None
