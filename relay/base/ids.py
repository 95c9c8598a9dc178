"""Identifiers and secrets.

Owns: how they are made and checked.  Must never know: whose they are.

Ids (recordings, views, interventions, sessions) are UUIDv7 hex: they sort by time and are not secret.  Tokens are 256 bits
of randomness, shown once, stored as SHA-256.
"""

import hashlib
import re
import secrets

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


def new_id(utc_ns: int) -> str:
    """Return a UUIDv7 (RFC 9562 §5.7) of 32 hex digits."""
    value = (utc_ns // 1_000_000 & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return f"{value:032x}"


def new_token() -> str:
    """Return 256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)


def token_digest(token: str) -> str:
    """Return the SHA-256 hex under which a token is stored.

    Any text has one: bytes of a header that are not UTF-8 come as surrogates (PEP 383), and such a token is simply unknown.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def is_slug(text: str) -> bool:
    """Return whether `text` may name a camera or a user: 1 to 40 of a-z 0-9 and inner hyphens."""
    return _SLUG.fullmatch(text) is not None
