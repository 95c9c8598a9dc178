"""The feedback that a camera gets about its radio."""

from relay.fanout import feedback as rules
from relay.fanout.feedback import ReceiveLimit, TransportFeedback
from tests.unit.rtp.test_transport_cc import decode


def test_feedback_comes_ten_times_a_second_and_covers_every_number_once() -> None:
    feedback = TransportFeedback()
    reported: list[int] = []
    for at in range(1000):
        if at % 7:
            feedback.arrived(((65_000 + at) & 0xFFFF, at / 500))
        for packet in feedback.poll(1, 2, at / 500):
            reported += [number for number, arrival in decode(packet)[2].items() if arrival is not None]
    assert len(reported) == len(set(reported))
    assert len(reported) > 800
    assert set(reported) <= {(65_000 + at) & 0xFFFF for at in range(1000) if at % 7}


def test_a_silence_longer_than_the_format_allows_is_reported_in_two_packets() -> None:
    feedback = TransportFeedback()
    feedback.arrived((1, 10.0))
    feedback.arrived((2, 30.0))
    packets = feedback.poll(1, 2, 30.0)
    assert [list(decode(packet)[2]) for packet in packets] == [[1], [2]]
    assert [decode(packet)[1] for packet in packets] == [0, 1]


def test_what_is_remembered_is_bounded() -> None:
    feedback = TransportFeedback()
    for number in range(5 * rules.MAX_ARRIVALS):
        feedback.arrived((number & 0xFFFF, 1.0))
    (packet,) = feedback.poll(1, 2, 1.0)
    assert len(decode(packet)[2]) == rules.MAX_ARRIVALS


def test_loss_lowers_the_limit_and_a_clean_way_raises_it_up_to_the_maximum() -> None:
    limit = ReceiveLimit(4_000_000)
    assert limit.update(0.2, 2_000_000) == int(3_000_000 * 0.9)
    assert limit.update(0.05, 2_000_000) == 2_700_000
    assert 2_700_000 < limit.update(0.0, 2_000_000) < 3_000_000
    for _ in range(20):
        limit.update(0.0, 2_000_000)
    assert limit.bitrate == 4_000_000


def test_the_limit_never_falls_to_nothing() -> None:
    limit = ReceiveLimit(4_000_000)
    for _ in range(50):
        limit.update(0.9, 0)
    assert limit.bitrate == 100_000
