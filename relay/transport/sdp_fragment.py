"""SDP fragments of trickle ICE and ICE restart (RFC 8840 §9, RFC 9725 §4.3).

Owns: their syntax and our answer.  Must never know: whether the session exists, ETags.
"""

from relay.transport.sdp_answer import candidate_lines, credential_lines
from relay.transport.sdp_offer import MAX_BYTES, invalid, is_visible, sections_of, split_lines
from relay.transport.sdp_remote import credentials_of
from relay.transport.sdp_types import Local, SdpFragment


def parse_fragment(text: str) -> SdpFragment:
    """Read a trickle-ICE or restart fragment (RFC 8840), or a whole description in its place.

    Candidates are counted only: an ICE-lite agent sends no checks.  Raises `TheirError` INVALID where it says nothing that a
    fragment is for, or TOO_LARGE.
    """
    sections = sections_of(split_lines(text))
    credentials = credentials_of(sections)
    count = sum(1 for section in sections for _ in section.all("candidate"))
    complete = any(section.has("end-of-candidates") for section in sections)
    if credentials is None and count == 0 and not complete:
        raise invalid("a fragment needs ice-ufrag, a candidate or end-of-candidates")
    mids = tuple(mid for section in sections for mid in section.all("mid") if is_visible(mid, MAX_BYTES))
    return SdpFragment(credentials[0] if credentials is not None else None, count, complete, mids)


def answer_fragment(local: Local, fragment: SdpFragment) -> str:
    """Return the body of the answer to an ICE restart (RFC 9725 §4.3.2): new credentials and our candidates."""
    mid = fragment.mids[0] if fragment.mids else "0"
    lines = ["a=ice-lite", *credential_lines(local), "m=audio 9 RTP/AVP 0", f"a=mid:{mid}", *candidate_lines(local)]
    return "\r\n".join(lines) + "\r\n"
