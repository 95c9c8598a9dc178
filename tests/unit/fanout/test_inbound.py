"""Incoming streams: order, duplicates, and the schedule of repair, with a loss that is a list."""

from hypothesis import given
from hypothesis import strategies as st

from relay.fanout import repair as rules
from relay.fanout.stream import Inbound


def stream(first: int = 65_530) -> Inbound:
    """A stream whose first packet has come at time 0."""
    fresh = Inbound(90_000, nack=True)
    fresh.accept(first, 0, 0.0)
    return fresh


def test_indices_rise_over_the_wrap() -> None:
    flow = Inbound(90_000, nack=True)
    found = [flow.accept((65_530 + at) & 0xFFFF, 0, 0.0) for at in range(12)]
    assert found == list(range(131_066, 131_078))


def test_a_duplicate_is_refused_and_counted() -> None:
    flow = stream()
    assert flow.accept(65_530, 0, 0.1) is None
    assert flow.duplicates == 1


def test_a_gap_is_asked_for_after_the_slack_and_again_after_the_round_trip() -> None:
    flow = stream(10)
    flow.accept(13, 0, 1.0)
    assert flow.repair.due(1.0) == []
    asked = flow.repair.due(1.0 + rules.REORDER_SLACK_SECONDS)
    assert [flow.sequence(index) for index in asked] == [11, 12]
    assert flow.repair.due(1.02) == []
    again = 1.0 + rules.REORDER_SLACK_SECONDS + 1.25 * rules.START_RTT_SECONDS
    assert flow.repair.due(again + 0.001) == asked


def test_a_packet_that_only_overtook_is_never_asked_for() -> None:
    flow = stream(10)
    flow.accept(12, 0, 1.0)
    assert flow.accept(11, 0, 1.004) is not None
    assert flow.repair.due(2.0) == []
    assert flow.repair.recovered == 0


def test_the_round_trip_is_learnt_from_a_repair_and_paces_the_next() -> None:
    flow = stream(10)
    flow.accept(12, 0, 1.0)
    flow.repair.due(1.01)
    flow.accept(11, 0, 1.05, repair=True)
    assert flow.repair.rtt is not None
    assert abs(flow.repair.rtt - 0.04) < 1e-9
    flow.accept(14, 0, 2.0)
    flow.repair.due(2.01)
    assert flow.repair.due(2.01 + 0.049) == []
    assert len(flow.repair.due(2.01 + 0.051)) == 1


def test_asking_stops_when_it_is_too_late_and_the_loss_is_counted() -> None:
    flow = stream(10)
    flow.accept(12, 0, 1.0)
    tries = sum(len(flow.repair.due(1.0 + step / 100)) for step in range(150))
    assert 2 <= tries <= rules.MAX_TRIES
    assert flow.repair.abandoned == 1
    assert not flow.repair.missing
    assert flow.accept(11, 0, 3.0) is None


def test_a_stream_without_nack_is_not_asked_and_still_counts_its_losses() -> None:
    flow = Inbound(48_000, nack=False)
    flow.accept(1, 0, 0.0)
    flow.accept(3, 0, 0.0)
    assert flow.repair.due(0.5) == []
    assert flow.repair.due(1.5) == []
    assert flow.repair.abandoned == 1


def test_a_restart_of_the_sender_is_believed_at_its_second_packet_and_indices_go_on() -> None:
    flow = stream(100)
    before = flow.high
    assert flow.accept(40_000, 0, 1.0) is None
    assert flow.accept(40_001, 0, 1.0) == before + 1
    assert flow.accept(40_002, 0, 1.0) == before + 2
    assert flow.sequence(before + 2) == 40_002
    assert not flow.repair.missing


def test_a_single_stray_packet_does_not_move_the_stream() -> None:
    flow = stream(100)
    before = flow.high
    assert flow.accept(40_000, 0, 1.0) is None
    assert flow.accept(101, 0, 1.0) == before + 1


def test_probes_that_repair_packets_long_past_do_not_look_like_a_restart() -> None:
    flow = stream(20_000)
    before = flow.high
    assert [flow.accept(sequence, 0, 1.0, repair=True) for sequence in (10_000, 10_001, 10_002)] == [None] * 3
    assert flow.accept(20_001, 0, 1.0) == before + 1


def test_a_stream_does_not_begin_with_a_repair() -> None:
    flow = Inbound(90_000, nack=True)
    assert flow.accept(5, 0, 0.0, repair=True) is None
    assert flow.accept(9, 0, 0.0) is not None
    assert not flow.repair.missing


def test_reports_give_the_loss_before_repair() -> None:
    flow = stream(100)
    flow.accept(104, 0, 1.0)
    flow.repair.due(1.1)
    for sequence in (101, 102, 103):
        flow.accept(sequence, 0, 1.2, repair=True)
    block = flow.report(9, 5, 6)
    assert (block.lost, block.fraction_lost) == (3, 256 * 3 // 5)
    assert block.highest & 0xFFFF == 104
    assert (block.ssrc, block.last_sr, block.delay) == (9, 5, 6)
    assert flow.report(9, 0, 0).fraction_lost == 0


def test_jitter_of_a_steady_stream_is_nothing() -> None:
    flow = Inbound(90_000, nack=True)
    for at in range(100):
        flow.accept(at, at * 3000, at / 30)
    assert flow.reception.jitter < 0.001
    for at in range(100, 200):
        flow.accept(at, at * 3000, at / 30 + (0.02 if at % 2 else 0))
    assert 0.01 < flow.reception.jitter < 0.03


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.floats(0, 0.2), st.booleans()), max_size=300))
def test_whatever_comes_no_index_is_given_twice_and_memory_is_bounded(
    packets: list[tuple[int, float, bool]],
) -> None:
    flow = Inbound(90_000, nack=True)
    now, seen = 0.0, set()
    for sequence, later, repair in packets:
        now += later
        index = flow.accept(sequence, 0, now, repair=repair)
        if index is not None:
            assert index not in seen
            assert index <= flow.high
            seen.add(index)
        flow.repair.due(now)
        assert len(flow.repair.missing) <= rules.MAX_MISSING


@given(
    st.integers(0, 0xFFFF),
    st.lists(st.booleans(), min_size=1, max_size=200),
    st.integers(2, 20),
)
def test_every_loss_is_repaired_when_repairs_come(first: int, lost: list[bool], delay: int) -> None:
    """Ten-millisecond packets; repairs of what was asked come `delay` packets later, lost ones by the same list."""
    flow = Inbound(90_000, nack=True)
    got: set[int | None] = set()
    on_the_way: dict[int, list[int]] = {}
    for at in range(len(lost) + 300):
        now = at / 100
        sequence = (first + at) & 0xFFFF
        if at == 0 or at >= len(lost) or not lost[at]:
            got.add(flow.accept(sequence, 0, now))
        for repair in on_the_way.pop(at, []):
            got.add(flow.accept(repair, 0, now, repair=True))
        asked = [flow.sequence(index) for index in flow.repair.due(now)]
        on_the_way.setdefault(at + delay, []).extend(asked)
    got.discard(None)
    assert len(got) == len(lost) + 300
    assert flow.repair.abandoned == 0
