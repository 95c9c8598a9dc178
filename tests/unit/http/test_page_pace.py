"""A person's pages: a burst at once, then a rate; a flood that does not end is hopeless, an honest wall never waits."""

from relay.http.page_pace import MAX_PEOPLE, RATES, PagePace, PagePaces
from relay.protocol import page as messages


def flooded(pace: PagePace, now: float) -> tuple[int, float]:
    """Send one kind as fast as it is read; return how many were acted on, and when the socket was closed."""
    acted = 0
    while True:
        wait = pace.take(messages.Assign, now)
        if wait == 0:
            acted += 1
        elif not pace.may_wait(wait, now):
            return acted, now
        now += wait


def test_a_page_that_floods_is_slowed_down_and_then_closed() -> None:
    pace = PagePace()
    acted, ended = flooded(pace, 100.0)
    assert 130 < ended < 150
    assert acted <= 256 + 20 * (ended - 100) + 1
    again, closed = flooded(pace, ended + 1)
    assert closed < ended + 3
    assert again <= 45


def test_a_page_that_comes_back_after_a_flood_is_served_as_long_as_it_is_honest() -> None:
    pace = PagePace()
    _, ended = flooded(pace, 100.0)
    assert all(pace.take(messages.AskTime, ended + 2 * second) == 0 for second in range(60))
    assert all(pace.take(messages.Assign, ended + 20) == 0 for _ in range(16))


def test_eight_walls_of_sixteen_tiles_that_come_back_together_wait_for_nothing() -> None:
    pace = PagePace()
    assert all(pace.take(messages.Assign, 0.0) == 0 for _ in range(8 * 16))
    assert all(pace.take(messages.SetLayer, 0.0) == 0 for _ in range(8 * 16))
    assert all(pace.take(messages.AskTime, 0.0) == 0 for _ in range(8))


def test_every_message_of_a_page_has_a_rate() -> None:
    assert set(RATES) == {messages.Assign, messages.SetLayer, messages.Listen, messages.AskTime, None}


def test_people_have_a_pace_each_and_only_so_many_are_remembered() -> None:
    paces = PagePaces()
    assert paces.of("olga") is paces.of("olga")
    for number in range(MAX_PEOPLE):
        assert paces.of(str(number)) is not paces.of("olga" if number < MAX_PEOPLE - 1 else "carl")
    assert len(paces) == MAX_PEOPLE
