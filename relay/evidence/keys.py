"""Keys in files that people handle: raw bytes, hexadecimal digits or PEM.

Owns: reading such bytes.  Must never know: paths.
"""

import re

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from relay.base.errors import Kind, TheirError
from relay.evidence.seal import KEY

_HEX = re.compile(rb"\s*([0-9a-fA-F]{64})\s*")


def public_key_from(data: bytes) -> bytes:
    """Return the 32 bytes of an Ed25519 public key given raw, as 64 hex digits or as PEM; raises TheirError."""
    if data.lstrip().startswith(b"-----BEGIN"):
        try:
            key = load_pem_public_key(data)
        except ValueError as error:
            raise TheirError(Kind.INVALID, f"public key: {error}") from None
        if not isinstance(key, Ed25519PublicKey):
            raise TheirError(Kind.INVALID, "public key: not Ed25519")
        return key.public_bytes_raw()
    return key_from(data, "public key")


def key_from(data: bytes, what: str) -> bytes:
    """Return the 32 bytes of a key given raw or as 64 hex digits; raises TheirError."""
    found = _HEX.fullmatch(data)
    if found:
        return bytes.fromhex(found[1].decode())
    if len(data) != KEY:
        raise TheirError(Kind.INVALID, f"{what}: neither 32 bytes nor 64 hex digits nor PEM")
    return data
