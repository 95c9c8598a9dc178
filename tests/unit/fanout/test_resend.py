"""What a leg remembers, and how often it repeats itself."""

from relay.fanout import resend as rules
from relay.fanout.burst import Burst
from relay.fanout.media import Media
from relay.fanout.resend import History, Ring


def full(count: int = rules.SIZE * 2) -> Ring[int]:
    """A ring in which `count` packets were kept."""
    history: Ring[int] = Ring()
    for index in range(count):
        history.keep(index, index)
    return history


def test_what_was_sent_is_found_over_the_wrap() -> None:
    history: Ring[str] = Ring()
    for index in (65_534, 65_535, 65_536, 65_537):
        history.keep(index, f"packet {index}")
    found = list(history.answer([65_535, 0, 1], 65_537, 1.0))
    assert found == ["packet 65535", "packet 65536", "packet 65537"]


def test_what_is_older_than_the_ring_is_not_found() -> None:
    high = rules.SIZE * 2 - 1
    assert list(full().answer([high - rules.SIZE], high, 1.0)) == []
    assert list(full().answer([high - rules.SIZE + 1], high, 1.0)) == [high - rules.SIZE + 1]


def test_the_same_packet_is_not_repeated_while_the_first_answer_is_on_its_way() -> None:
    history = full(10)
    assert list(history.answer([5, 5], 9, 1.0)) == [5]
    assert list(history.answer([5], 9, 1.0 + rules.MIN_AGAIN / 2)) == []
    assert list(history.answer([5], 9, 1.001 + rules.MIN_AGAIN)) == [5]


def test_a_greedy_viewer_is_bounded_and_served_again_a_second_later() -> None:
    history = full()
    high = rules.SIZE * 2 - 1
    wanted = range(high - 1500, high)
    assert len(list(history.answer(wanted, high, 10.0))) == rules.PER_SECOND
    assert history.allowance.refused == 1500 - rules.PER_SECOND
    assert len(list(history.answer(wanted, high, 11.0))) == rules.PER_SECOND


def burst(*indices: int) -> Burst:
    """A burst of packets that carry their index."""
    return Burst([Media(index, 3000 * index, False, b"%d" % index, 0.0) for index in indices])


def test_packets_of_bursts_are_found_with_the_shifts_of_their_time() -> None:
    history = History()
    history.keep((burst(10, 11, 12), 65_520, 7))
    history.keep((burst(14, 16), 65_519, 8))
    found = list(history.answer([65_531, 65_533, 65_534, 65_535], 65_535, 1.0))
    assert [(media.payload, index, timestamp) for media, index, timestamp in found] == [
        (b"11", 65_531, 33_007),
        (b"14", 65_533, 42_008),
        (b"16", 65_535, 48_008),
    ]


def test_bursts_are_forgotten_in_order_and_all_at_once() -> None:
    history = History()
    for index in range(rules.BURSTS + 1):
        history.keep((burst(index), 0, 0))
    assert list(history.answer([0], rules.BURSTS, 1.0)) == []
    assert len(list(history.answer([1], rules.BURSTS, 1.0))) == 1
    history.clear()
    assert list(history.answer([2], rules.BURSTS, 1.0)) == []
