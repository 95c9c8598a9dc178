"""DTLS 1.2 by datagrams and `now`.

What it owns: handshakes and exported SRTP keys.  What it must never know: sockets, media.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """A P-256 certificate and its private key, both PEM."""

    certificate: bytes
    private_key: bytes


def new_identity() -> Identity:
    """Make a self-signed P-256 identity."""
    raise NotImplementedError
