"""Trickle or restart, and whose ETag counts (RFC 9725 §4.3)."""

import pytest

from relay.base.errors import Kind, TheirError
from relay.live.ice_restart import check_etag, is_restart, ufrag_of

CREDENTIALS = "a=ice-ufrag:{}\r\na=ice-pwd:0123456789012345678901\r\n"
CANDIDATE = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"


@pytest.mark.parametrize(
    ("fragment", "known", "if_match", "restart"),
    [
        (CREDENTIALS.format("abcd") + CANDIDATE, "abcd", '"e"', False),
        (CREDENTIALS.format("abcd") + CANDIDATE, "abcd", None, False),
        (CREDENTIALS.format("wxyz"), "abcd", None, True),
        (CREDENTIALS.format("wxyz") + CANDIDATE, "abcd", '"e"', True),
        (CANDIDATE, "abcd", None, False),
        (CREDENTIALS.format("wxyz") + CANDIDATE, None, '"e"', False),
        (CREDENTIALS.format("wxyz") + CANDIDATE, None, '"*"', True),
        (CREDENTIALS.format("wxyz"), None, None, True),
    ],
)
def test_a_restart_is_known_by_its_credentials(fragment: str, known: str | None, if_match: str | None, restart: bool) -> None:
    assert is_restart(fragment, known, if_match) is restart


def test_the_first_ufrag_counts_and_a_malformed_one_is_none() -> None:
    assert ufrag_of(CREDENTIALS.format("ab+/") + CREDENTIALS.format("zzzz")) == "ab+/"
    assert ufrag_of("a=ice-ufrag:a\r\n") is None
    assert ufrag_of("") is None


@pytest.mark.parametrize("if_match", ["*", '"*"', '"e"', '"x", "e"', "e"])
def test_the_current_generation_may_be_restarted(if_match: str) -> None:
    check_etag("e", if_match)


@pytest.mark.parametrize(("if_match", "kind"), [(None, Kind.PRECONDITION_REQUIRED), ('"x"', Kind.STALE), ("", Kind.STALE)])
def test_another_generation_may_not(if_match: str | None, kind: Kind) -> None:
    with pytest.raises(TheirError) as refused:
        check_etag("e", if_match)
    assert refused.value.kind is kind
