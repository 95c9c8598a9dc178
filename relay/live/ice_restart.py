"""Whether a PATCH trickles candidates or restarts ICE, and whether it means the current generation.

What this file owns: that decision (RFC 9725 §4.3).  What it must never know: transport, HTTP.
"""

import re

from relay.base.codes import Code
from relay.base.errors import Kind, TheirError

_UFRAG = re.compile(r"^a=ice-ufrag:([A-Za-z0-9+/]{4,256})\s*$", re.MULTILINE)


def ufrag_of(sdp: str) -> str | None:
    """Return the first ICE user fragment of an offer or fragment, None where there is none."""
    found = _UFRAG.search(sdp)
    return found[1] if found else None


def is_restart(fragment: str, known: str | None, if_match: str | None) -> bool:
    """Tell whether a PATCH begins a new generation: its user fragment is not the one of the offer.

    Where the offer was accepted before control restarted, `known` is None.  Then `If-Match: *` (RFC 9725 §4.3.3), or
    credentials without a candidate, mean a restart.
    """
    sent = ufrag_of(fragment)
    if sent is None:
        return False
    if known is not None:
        return sent != known
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
