"""Hostile packets cost a bounded number of steps: no datagram makes work out of proportion to what an honest one makes."""

import struct
from collections.abc import Callable

import pytest

from relay.fanout.feedback import TransportFeedback
from relay.fanout.leg import Leg, LegSpec
from relay.fanout.resend import SealedHistory
from relay.fanout.stream import MAX_GAP, Inbound
from relay.rtp import rtcp
from relay.rtp.burst import Burst, HeaderTemplate, MediaPacket
from relay.transport.srtp import GcmSession
from tests.support.steps import steps

MTU = 1452
KIND = (HeaderTemplate(96), 16)
PAYLOAD = bytes(100)


def packet(index: int) -> MediaPacket:
    """One packet of a picture of its own."""
    return MediaPacket(index, 3000 * index, True, PAYLOAD, index / 1000, keyframe=not index, idr=not index)


def leg_with_history(packets: int, first: int = 0) -> Leg:
    """A leg that has sent so many packets, each in a burst of its own."""
    leg = Leg(LegSpec(1, 90_000, HeaderTemplate(96), 2, 97), first, 0, 0)
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


# --- a camera that jumps -----------------------------------------------------------------------------------------------

PACKETS = 300


def numbers(step: int) -> list[int]:
    """Sequence numbers that jump."""
    return [at * step & 0xFFFF for at in range(1, PACKETS + 1)]


def receiving(sequences: list[int]) -> int:
    """Steps that a second's packets cost, one each 3 ms, and seeing to their repair."""
    flow = Inbound(90_000, nack=True, rtx=True)
    flow.accept(0, 0, 0.0)

    def work() -> None:
        for at, sequence in enumerate(sequences):
            flow.accept(sequence, 3000 * at, at * 0.003)
            if at % 2:
                flow.repair.due(at * 0.003)

    return steps(work)


@pytest.mark.parametrize("step", [2, 200, 1000])
def test_a_camera_whose_numbers_jump_makes_no_more_work_in_a_second_than_one_outage(step: int) -> None:
    outage = [sequence + MAX_GAP - 1 for sequence in numbers(1)]
    assert receiving(numbers(step)) < 1.5 * receiving(outage) + receiving(numbers(1))


def test_a_camera_that_begins_anew_again_and_again_makes_no_more_work_than_one_outage() -> None:
    wild = [base + at * 9973 & 0xFFFF for at in range(PACKETS // 3) for base in (20_000, 20_001, 21_000)]
    assert receiving(wild) < 1.5 * receiving(numbers(1)) + receiving([sequence + MAX_GAP - 1 for sequence in numbers(1)])


def sending(step: int) -> int:
    """Steps that a leg costs whose camera's numbers jump so far."""
    leg = leg_with_history(1)
    session = GcmSession(bytes(28), bytes(28))

    def work() -> None:
        for at in range(1, PACKETS):
            burst = leg.admit(Burst([packet(at * step)]), 0.0)
            assert burst is not None
            session.seal_layout(burst.layout(KIND, 0.0), 1, leg.shift, leg.timestamp_shift)

    return steps(work)


@pytest.mark.parametrize("step", [2, 1000])
def test_a_leg_behind_a_camera_whose_numbers_jump_costs_little_more(step: int) -> None:
    assert sending(step) < 2 * sending(1)


@pytest.mark.parametrize("step", [2, 1000])
def test_opening_packets_whose_numbers_jump_costs_little_more(step: int) -> None:
    def opening(step: int) -> int:
        ours, theirs = GcmSession(bytes(28), bytes(28)), GcmSession(bytes(28), bytes(28))
        sealed = [
            ours.seal(struct.pack(">BBHII", 0x80, 96, at * step & 0xFFFF, 0, 1), b"x", at * step) for at in range(PACKETS)
        ]
        return steps(lambda: [theirs.open_rtp(packet) for packet in sealed])

    assert opening(step) < 2 * opening(1)


@pytest.mark.parametrize("step", [3, 999, 1001, 32_767, 40_000])
def test_transport_wide_numbers_that_jump_cost_little_more_to_report(step: int) -> None:
    def cost_of_report(step: int) -> int:
        feedback = TransportFeedback()

        def work() -> None:
            for at, number in enumerate(numbers(step)):
                feedback.arrived((number, at / 10_000))
                feedback.poll(1, 2, at / 10_000)

        return steps(work)

    assert cost_of_report(step) < 3 * cost_of_report(1)
