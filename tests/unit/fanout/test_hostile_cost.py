"""Hostile packets cost a bounded number of steps: no datagram makes work out of proportion to what an honest one makes."""

import struct
from collections.abc import Callable

import pytest

from relay.fanout.burst import Burst, Dress
from relay.fanout.leg import Leg, LegSpec
from relay.fanout.media import Media
from relay.fanout.resend import SealedHistory
from relay.rtp import rtcp
from tests.support.steps import steps

MTU = 1452
KIND = (Dress(96), 16)
PAYLOAD = bytes(100)


def packet(index: int) -> Media:
    """One packet of a picture of its own."""
    return Media(index, 3000 * index, True, PAYLOAD, index / 1000, keyframe=not index, idr=not index)


def leg_with_history(packets: int, first: int = 0) -> Leg:
    """A leg that has sent so many packets, each in a burst of its own."""
    leg = Leg(LegSpec(1, 90_000, Dress(96), 2, 97), first, 0, 0)
    leg.start([packet(0)], 0.0)
    for index in range(1, packets):
        leg.admit(Burst([packet(index)]), 0.001)
    return leg


def nacks(first: int) -> bytes:
    """The compound of one datagram that asks for as many sequence numbers as it can, from `first` on."""
    words = (MTU - 12) // 4
    asked = b"".join(struct.pack(">HH", first + 17 * at & 0xFFFF, 0xFFFF) for at in range(words))
    return struct.pack(">BBHII", 0x81, rtcp.RTPFB, 2 + words, 9, 1) + asked


def answer(history: Callable[[tuple[int, ...]], object], compound: bytes) -> None:
    """What a viewer's peer does with a compound."""
    for report in rtcp.parse(compound).packets:
        assert isinstance(report, rtcp.Nack)
        history(report.lost)


@pytest.mark.parametrize("first", [20_000, 1024 - 6120], ids=["never sent", "of what was sent, too"])
def test_a_datagram_of_nacks_costs_no_more_than_asking_for_what_was_sent(first: int) -> None:
    leg = leg_with_history(1024)
    honest = rtcp.build_nack(9, 1, range(1000, 1017))
    usual = steps(lambda: answer(lambda lost: leg.resend(lost, 1.0), honest))
    assert leg.resend([999], 1.0)
    hostile = steps(lambda: answer(lambda lost: leg.resend(lost, 2.0), nacks(first)))
    assert hostile < 20 * usual
    again = steps(lambda: answer(lambda lost: leg.resend(lost, 2.0), nacks(first)))
    assert again < 20 * usual


def test_a_viewer_without_rtx_makes_no_more_work_either() -> None:
    history = SealedHistory()
    for index in range(1024):
        history.keep(Burst([packet(index)]).layout(KIND, 0.0), 0, 0.0)
    honest = rtcp.build_nack(9, 1, range(1000, 1017))
    usual = steps(lambda: answer(lambda lost: list(history.answer(lost, 1023, 1.0)), honest))
    hostile = steps(lambda: answer(lambda lost: list(history.answer(lost, 1023, 2.0)), nacks(20_000)))
    assert hostile < 20 * usual


def test_a_long_history_makes_a_look_up_hardly_dearer() -> None:
    short, long = leg_with_history(16), leg_with_history(1024)
    assert steps(lambda: long.resend([1], 1.0)) < 2 * steps(lambda: short.resend([1], 1.0))


@pytest.mark.parametrize(
    "small", [rtcp.build_pli(9, 1), rtcp.build_bye([1]), rtcp.build_receiver_report(rtcp.ReceiverReport(9, ()))]
)
def test_a_compound_of_many_small_packets_is_read_only_as_far_as_an_honest_one_goes(small: bytes) -> None:
    many = small * (MTU // len(small))
    few = small * rtcp.MAX_PACKETS
    assert len(rtcp.parse(many).packets) == rtcp.MAX_PACKETS
    assert rtcp.parse(many).skipped > 0
    assert steps(lambda: rtcp.parse(many)) < 1.2 * steps(lambda: rtcp.parse(few))
