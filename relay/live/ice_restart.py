"""Whether a PATCH trickles candidates or restarts ICE, and whether it means the current generation.

Owns: that decision (RFC 9725 §4.3).  Must never know: transport, HTTP.
"""

import re
from dataclasses import dataclass

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError

_UFRAG = re.compile(r"(?:^|[\r\n])a=ice-ufrag:[ \t]*([!-~]{1,256})(?=[ \t]*(?:[\r\n]|$))")


def ufrags_of(sdp: str) -> frozenset[str]:
    """Return the ICE user fragments of an offer or fragment: one for each transport that the other side had to offer."""
    return frozenset(_UFRAG.findall(sdp))


@dataclass(slots=True)
class IceGeneration:
    """The ICE credentials in force between a worker and a camera or viewer (RFC 9725 §4.3)."""

    etag: str
    ufrags: frozenset[str] = frozenset()
    """User fragments of the other side; none where the offer was accepted before control restarted."""

    def begins(self, fragment: str, if_match: str | None) -> bool:
        """Return whether a PATCH begins a new generation; raises TheirError PRECONDITION_REQUIRED or STALE if it may not."""
        restart = is_restart(fragment, self.ufrags, if_match)
        if restart:
            check_etag(self.etag, if_match)
        return restart

    def replace(self, etag: str | None, fragment: str) -> None:
        """Note the generation that the worker's answer names; None: it is still the same one."""
        if etag is not None:
            self.etag, self.ufrags = etag, ufrags_of(fragment)


def is_restart(fragment: str, known: frozenset[str], if_match: str | None) -> bool:
    """Return whether a PATCH begins a new generation: it has user fragments, and none of them is the offer's.

    Where the offer was accepted before control restarted, `known` is empty.  Then `If-Match: *` (RFC 9725 §4.3.3), or
    credentials without a candidate, mean a restart.
    """
    sent = ufrags_of(fragment)
    if not sent:
        return False
    if known:
        return sent.isdisjoint(known)
    trickle = "a=candidate:" in fragment or "a=end-of-candidates" in fragment
    return _is_any(if_match) or not trickle


def check_etag(etag: str, if_match: str | None) -> None:
    """RFC 9725 §4.3.3: raise PRECONDITION_REQUIRED without If-Match, STALE when it names another generation."""
    if if_match is None:
        raise TheirError(Kind.PRECONDITION_REQUIRED, "an ICE restart needs If-Match", code=Code.IF_MATCH_REQUIRED)
    if not _is_any(if_match) and etag not in {tag.strip().strip('"') for tag in if_match.split(",")}:
        raise TheirError(Kind.STALE, "If-Match names an ICE generation that is over", code=Code.ICE_GENERATION_OVER)


def _is_any(if_match: str | None) -> bool:
    return if_match is not None and if_match.strip().strip('"') == "*"
