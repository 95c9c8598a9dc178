"""The other side's transport, as an offer or a fragment names it (RFC 8839, RFC 8122, RFC 8842, RFC 9143 §7.3.1).

Owns: reading ICE credentials, DTLS role and fingerprints.  Must never know: codecs, which lines we take, sockets.

As an ICE-lite agent we send no check.  We therefore need the peer's ice-ufrag, which its checks carry, and neither its ice-pwd
nor its candidates.  A bundle has one transport: that of the first of its lines that we take.  Attributes that are missing there
are looked for in the session part, then on the other lines of the bundle.
"""

import re
from collections.abc import Sequence
from typing import Final, cast

from relay.transport.sdp_offer import MediaOffer, Section, invalid, is_visible, not_acceptable
from relay.transport.sdp_types import Fingerprint, Remote, Setup

MAX_FINGERPRINTS: Final = 16
_DIGEST_SIZES: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_FINGERPRINT: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*")
_SETUPS: Final = ("actpass", "active", "passive")


def remote_of(session: Section, lines: Sequence[MediaOffer]) -> Remote:
    """Return the transport of lines that share one, the most decisive line first.

    Raises `TheirError` INVALID or NOT_ACCEPTABLE, naming what is missing.
    """
    if session.has("ice-lite"):
        raise not_acceptable("the offer is ICE-lite, and so is the relay: the offerer must send connectivity checks")
    carriers = [lines[0].section, session, *(entry.section for entry in lines[1:])]
    credentials = credentials_of(carriers)
    if credentials is None:
        raise invalid("it lacks a=ice-ufrag, of 1 to 256 visible characters")
    fingerprints = next((digests for carrier in carriers if (digests := _fingerprints(carrier))), ())
    if not fingerprints:
        raise not_acceptable(f"the offer lacks a well-formed a=fingerprint of {', '.join(_DIGEST_SIZES)}: DTLS-SRTP is needed")
    return Remote(*credentials, fingerprints, _setup(carriers))


def credentials_of(sections: Sequence[Section]) -> tuple[str, str] | None:
    """The (ufrag, pwd) of the first section that has a usable ufrag, None where none has; pwd "" where it is missing."""
    for section in sections:
        ufrag = section.first("ice-ufrag")
        if ufrag is not None and is_visible(ufrag, 256):
            return ufrag, section.first("ice-pwd") or ""
    return None


def lacks_mux(session: Section, lines: Sequence[MediaOffer]) -> bool:
    """Return whether RTP and RTCP would need two ports: lines of one bundle agree on that (RFC 9143 §9.2)."""
    sections = [session, *(entry.section for entry in lines)]
    return not any(section.has("rtcp-mux") or section.has("rtcp-mux-only") for section in sections)


def _setup(carriers: list[Section]) -> Setup:
    """Without a=setup the offerer is active (RFC 4145 §4)."""
    found = next((value.lower() for section in carriers if (value := section.first("setup"))), "active")
    if found not in _SETUPS:
        raise invalid(f"a=setup must be one of {', '.join(_SETUPS)}: one side must begin the DTLS handshake")
    return cast(Setup, found)


def _fingerprints(section: Section) -> tuple[Fingerprint, ...]:
    """Those whose digest we know; others are no reason to refuse, as the certificate has to match one only (RFC 8122 §5)."""
    found: dict[Fingerprint, None] = {}
    for value in section.all("fingerprint"):
        algorithm, _, text = value.partition(" ")
        algorithm, text = algorithm.lower(), text.strip()
        size = _DIGEST_SIZES.get(algorithm)
        if size is not None and len(text) == 3 * size - 1 and _FINGERPRINT.fullmatch(text):
            found[Fingerprint(algorithm, bytes.fromhex(text.replace(":", "")))] = None
    return tuple(found)[:MAX_FINGERPRINTS]
