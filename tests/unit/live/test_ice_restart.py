"""Trickle or restart, and whose ETag counts (RFC 9725 §4.3)."""

import pytest

from relay.base.errors import Kind, TheirError
from relay.live.ice_restart import check_etag, is_restart, ufrags_of

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
    assert is_restart(fragment, frozenset(filter(None, [known])), if_match) is restart


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_every_ufrag_counts_and_a_malformed_one_is_none(end: str) -> None:
    both = CREDENTIALS.format("ab+/") + CREDENTIALS.format("x-_=")
    assert ufrags_of(both.replace("\r\n", end)) == {"ab+/", "x-_="}
    assert ufrags_of("a=ice-ufrag:a b\r\na=ice-ufrag:\r\n") == frozenset()
    assert ufrags_of("") == frozenset()


def test_of_several_transports_that_were_offered_each_may_trickle() -> None:
    """Under the bundle policy max-compat each m-line has credentials of its own."""
    assert not is_restart(CREDENTIALS.format("late") + CANDIDATE, frozenset({"soon", "late"}), None)
    assert is_restart(CREDENTIALS.format("new") + CANDIDATE, frozenset({"soon", "late"}), None)


@pytest.mark.parametrize("if_match", ["*", '"*"', '"e"', '"x", "e"', "e"])
def test_the_current_generation_may_be_restarted(if_match: str) -> None:
    check_etag("e", if_match)


@pytest.mark.parametrize(("if_match", "kind"), [(None, Kind.PRECONDITION_REQUIRED), ('"x"', Kind.STALE), ("", Kind.STALE)])
def test_another_generation_may_not(if_match: str | None, kind: Kind) -> None:
    with pytest.raises(TheirError) as refused:
        check_etag("e", if_match)
    assert refused.value.kind is kind
