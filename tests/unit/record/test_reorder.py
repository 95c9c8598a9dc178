"""The reorder window: order, bounds, time."""

from hypothesis import given
from hypothesis import strategies as st

from relay.record.reorder import MAX_HELD, MAX_STALE, Reorder
from tests.support.steps import steps

WINDOW = 400


def delivered(window: Reorder[int], arrivals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Push (number, time) pairs and flush; return (lost, number)."""
    out = []
    for number, now in arrivals:
        out += window.push(number & 0xFFFF, number, now)
    return [(item.lost, item.item) for item in (*out, *window.flush())]


@given(
    first=st.integers(0, 65535),
    kept=st.lists(st.booleans(), min_size=1, max_size=60),
    shuffle=st.lists(st.integers(0, 12), min_size=60, max_size=60),
)
def test_what_comes_leaves_once_in_order_and_every_loss_is_counted(first: int, kept: list[bool], shuffle: list[int]) -> None:
    numbers = [first + index for index, keep in enumerate([True, *kept]) if keep]
    mixed = [numbers[0], *sorted(numbers[1:], key=lambda number: number + shuffle[number - first - 1])]
    out = delivered(Reorder(WINDOW), [(number, 0) for number in mixed])
    assert [number for _, number in out] == numbers
    assert sum(lost for lost, _ in out) == numbers[-1] - first + 1 - len(numbers)


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 200)), max_size=60))
def test_any_numbers_at_any_time_never_stall_and_never_hold_more_than_the_bound(arrivals: list[tuple[int, int]]) -> None:
    window: Reorder[int] = Reorder(WINDOW)
    now = 0
    for sequence, later in arrivals:
        now += later
        window.push(sequence, sequence, now)
        window.advance(now)
        deadline = window.deadline()
        assert deadline is None or deadline > now


def test_loss_is_given_up_when_its_time_is_over_and_not_before() -> None:
    window: Reorder[str] = Reorder(WINDOW)
    window.push(1, "a", 0)
    assert window.push(3, "c", 10) == []
    assert window.advance(409) == []
    assert window.advance(410) == [(1, "c")]


def test_second_loss_has_its_own_time() -> None:
    window: Reorder[str] = Reorder(WINDOW)
    window.push(1, "a", 0)
    window.push(3, "c", 0)
    window.push(5, "e", 300)
    assert window.advance(400) == [(1, "c")]
    assert window.deadline() == 700


def test_retransmission_inside_the_window_fills_the_loss() -> None:
    window: Reorder[str] = Reorder(WINDOW)
    window.push(1, "a", 0)
    window.push(3, "c", 10)
    assert window.push(2, "b", 399) == [(0, "b"), (0, "c")]
    assert window.deadline() is None


def test_late_and_doubled_packets_are_counted_and_dropped() -> None:
    window: Reorder[str] = Reorder(WINDOW)
    window.push(1, "a", 0)
    window.push(2, "b", 0)
    assert window.push(1, "a", 1) == []
    window.push(4, "d", 2)
    assert window.push(4, "d", 3) == []
    assert window.late == 2


def test_one_wild_number_is_ignored_and_a_restarted_counter_is_believed_at_its_second_packet() -> None:
    window: Reorder[str] = Reorder(WINDOW)
    window.push(100, "a", 0)
    assert window.push(30000, "wild", 1) == []
    assert window.push(101, "b", 2) == [(0, "b")]
    assert window.push(40000, "x", 3) == []
    assert window.push(40001, "y", 4) == [(1, "y")]
    assert window.push(40002, "z", 5) == [(0, "z")]


def test_too_many_held_packets_give_the_loss_up_at_once() -> None:
    window: Reorder[int] = Reorder(WINDOW)
    window.push(0, 0, 0)
    out = [item for number in range(2, MAX_HELD + 4) for item in window.push(number, number, 1)]
    assert out[0] == (1, 2)
    assert window.deadline() is None


def test_accept_agrees_with_push() -> None:
    quick, slow = Reorder[int](WINDOW), Reorder[int](WINDOW)
    for sequence in (65534, 65535, 0, 2, 1, 3, 3, 4):
        took = quick.accept(sequence)
        result = [] if took else quick.push(sequence, sequence, 0)
        expected = slow.push(sequence, sequence, 0)
        assert (took and expected == [(0, sequence)]) or result == expected


def test_a_counter_that_goes_back_by_what_reordering_could_make_is_believed_after_a_while() -> None:
    window: Reorder[int] = Reorder(400)
    out = [item for number in range(1000) for item in window.push(number, number, number)]
    again = [item for number in range(300, 700) for item in window.push(number, number, 2000 + number)]
    assert len(out) == 1000
    assert [found.item for found in again] == list(range(300 + MAX_STALE - 1, 700))
    assert again[0].lost == 1
    assert window.late == MAX_STALE - 1


def test_copies_of_what_was_delivered_are_no_restart_while_the_stream_goes_on() -> None:
    window: Reorder[int] = Reorder(400)
    out = []
    for number in range(2000):
        out += window.push(number & 0xFFFF, number, number)
        out += window.push(max(number - 50, 0) & 0xFFFF, -1, number)
    assert [found.item for found in out] == list(range(2000))


@given(st.lists(st.integers(0, 6000), max_size=300), st.integers(0, 65535))
def test_each_packet_leaves_once_or_is_counted_and_the_heap_holds_what_waits(steps: list[int], first: int) -> None:
    window: Reorder[int] = Reorder(WINDOW)
    out = []
    for number, step in enumerate(steps):
        out += [found.item for found in window.push((first + step) & 0xFFFF, number, number * 10)]
    out += [found.item for found in window.flush()]
    assert len(out) == len(set(out))
    assert len(out) + window.late == len(steps)


def test_a_camera_that_leaves_out_every_second_number_costs_a_bounded_number_of_steps() -> None:
    def play(gap: int) -> None:
        window: Reorder[int] = Reorder(1400)
        for number in range(3000):
            window.push(gap * number & 0xFFFF, number, number)

    assert steps(lambda: play(2)) < 5 * steps(lambda: play(1))
