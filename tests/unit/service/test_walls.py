"""The name of a viewer's session: unguessable, and claimable by one person only."""

from relay.service.walls import belongs_to, make_secret


def test_a_session_belongs_to_who_opened_it_and_to_nobody_else() -> None:
    secret = make_secret("olga")
    assert belongs_to(secret, "olga")
    assert not belongs_to(secret, "olg")
    assert not belongs_to(secret + "0", "olga")
    assert not belongs_to("", "olga")
    assert "olga" not in secret


def test_two_sessions_share_nothing() -> None:
    first, second = make_secret("olga"), make_secret("olga")
    assert set(first.split(".")).isdisjoint(second.split("."))
