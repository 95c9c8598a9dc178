"""SDP fragments of trickle ICE and ICE restart (RFC 8840 §9, RFC 9725 §4.3).

Owns: their syntax and our answer.  Must never know: whether the session exists, ETags.
"""

from relay.transport.sdp_answer import candidate_lines, credential_lines
from relay.transport.sdp_offer import check_candidates, check_mid, credentials_of, invalid, sections_of, split_lines
from relay.transport.sdp_types import Local, SdpFragment


def parse_fragment(text: str) -> SdpFragment:
    """Validate a trickle-ICE or restart fragment (RFC 8840).  Raises `TheirError` INVALID or TOO_LARGE."""
    lines = split_lines(text)
    if not lines or any(line[0] not in "am" for line in lines):
        raise invalid("a fragment has a= and m= lines only")
    sections = sections_of(lines)
    credentials = credentials_of(sections) or (None, None)
    count = check_candidates(sections)
    complete = any(section.has("end-of-candidates") for section in sections)
    if credentials[0] is None and count == 0 and not complete:
        raise invalid("a fragment without credentials, candidates or end-of-candidates")
    mids = tuple(check_mid(mid) for section in sections for mid in section.all("mid"))
    return SdpFragment(credentials[0], credentials[1], count, complete, mids)


def answer_fragment(local: Local, fragment: SdpFragment) -> str:
    """Return the body of the answer to an ICE restart (RFC 9725 §4.3.2): new credentials and our candidates."""
    mid = fragment.mids[0] if fragment.mids else "0"
    lines = ["a=ice-lite", *credential_lines(local), "m=audio 9 RTP/AVP 0", f"a=mid:{mid}", *candidate_lines(local)]
    return "\r\n".join(lines) + "\r\n"
