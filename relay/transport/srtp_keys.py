"""From the keys of a DTLS handshake to the SRTP session of a peer (RFC 5764 §4.2).

Owns: the profiles we offer, and how exported keying material is cut.  Must never know: sockets, packets.

AEAD_AES_128_GCM is preferred.  AES128_CM_SHA1_80 serves peers that know nothing better.
"""

from typing import Final

from relay.transport.srtp import CM, GCM, KEY, GcmSession, SrtpSession
from relay.transport.srtp_cm import CmSession

PROFILES: Final = (GCM, CM)
"""In our order of preference, by their OpenSSL names."""


def exported_size(profile: str) -> int:
    """Bytes of keying material that a profile takes from DTLS (RFC 5764 §4.2): two keys and two salts."""
    return 2 * (KEY + _salt_size(profile))


def split_exported(profile: str, exported: bytes) -> tuple[bytes, bytes]:
    """Return (client's, server's) master key and salt, each concatenated."""
    salt = _salt_size(profile)
    keys, salts = exported[: 2 * KEY], exported[2 * KEY :]
    return keys[:KEY] + salts[:salt], keys[KEY:] + salts[salt : 2 * salt]


def make_session(profile: str, ours: bytes, theirs: bytes) -> SrtpSession:
    """Make the session of a peer from both master keys with their salts, as `split_exported` gives them."""
    return GcmSession(ours, theirs) if profile == GCM else CmSession(ours, theirs)


def _salt_size(profile: str) -> int:
    return 12 if profile == GCM else 14
