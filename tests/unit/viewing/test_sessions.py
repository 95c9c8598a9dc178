"""The name of a viewer session: unguessable, and claimable by one person only."""

from relay.live.ice_restart import IceGeneration
from relay.viewing.sessions import ViewerSession, belongs_to, make_secret


def test_a_viewer_session_belongs_to_who_opened_it_and_to_nobody_else() -> None:
    secret = make_secret("olga")
    assert belongs_to(secret, "olga")
    assert not belongs_to(secret, "olg")
    assert not belongs_to(secret + "0", "olga")
    assert not belongs_to("", "olga")
    assert "olga" not in secret


def test_two_viewer_sessions_share_nothing() -> None:
    first, second = make_secret("olga"), make_secret("olga")
    assert set(first.split(".")).isdisjoint(second.split("."))


def test_a_viewer_session_is_over_with_its_sign_in_or_its_persons_designation_each_by_its_own_clock() -> None:
    viewer_session = ViewerSession("secret", "olga", 0, IceGeneration("etag"), 4, expires_ns=100, valid_to_ns=50)
    assert [viewer_session.is_over(steady, wall_ns) for steady, wall_ns in ((99, 49), (100, 0), (0, 50))] == [False, True, True]
    assert not ViewerSession("secret", "", 0, IceGeneration("etag"), 4).is_over(1 << 62, 1 << 62)
