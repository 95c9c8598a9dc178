"""How a key is wrapped under another: AES-256-GCM, random 96-bit nonce, a context as associated data.

Owns: the 60 bytes of a wrapped key, and the key-encryption key of a file.  Must never know: where keys
are kept.
"""

import secrets
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay.base.errors import OurError

KEY = 32
_NONCE = 12
_WRAPPED = _NONCE + KEY + 16


class Kek(Protocol):
    """A key-encryption key, in a file or in a token."""

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """Return nonce ‖ ciphertext ‖ tag."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the secret; raises OurError where it does not open."""
        ...


def day_context(day: str) -> bytes:
    """Return the associated data under which a day's key is wrapped."""
    return b"bodycam-relay day key 1\n" + day.encode()


def recording_context(day: str, recording: str) -> bytes:
    """Return the associated data under which a recording's key is wrapped."""
    return b"bodycam-relay recording key 1\n" + day.encode() + b"\n" + recording.encode()


def wrap(key: bytes, secret: bytes, context: bytes) -> bytes:
    """Return nonce ‖ ciphertext ‖ tag."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, secret, context)


def unwrap(key: bytes, wrapped: bytes, context: bytes) -> bytes:
    """Return the secret; raises OurError where it does not open."""
    whole(wrapped)
    try:
        return AESGCM(key).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], context)
    except InvalidTag as error:
        raise OurError("a wrapped key does not open") from error


def whole(wrapped: bytes) -> bytes:
    """Return `wrapped`; raises OurError unless it has the length of a wrapped key."""
    if len(wrapped) != _WRAPPED:
        raise OurError(f"a wrapped key has {len(wrapped)} bytes, not {_WRAPPED}")
    return wrapped


@dataclass(frozen=True, slots=True)
class FileKek:
    """A key-encryption key that was read from a file."""

    key: bytes

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """Return nonce ‖ ciphertext ‖ tag."""
        return wrap(self.key, secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the secret; raises OurError where it does not open."""
        return unwrap(self.key, wrapped, context)
