"""What a leg remembers, and how often it repeats itself."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.fanout import resend as rules
from relay.fanout.resend import History, SealedHistory
from relay.rtp.burst import Burst, HeaderTemplate, MediaPacket

TEMPLATE = HeaderTemplate(96)


def burst(*indices: int) -> Burst:
    """A burst of packets that carry their index."""
    return Burst([MediaPacket(index, 3000 * index, False, b"%d" % index, 0.0) for index in indices])


def sealed(first: int, count: int, size: int = 8) -> SealedHistory:
    """What remembers `count` packets from `first` on, `size` in a burst, each sealed over with its own index."""
    history = SealedHistory()
    for start in range(first, first + count, size):
        keep(history, burst(*range(start, min(start + size, first + count))), 0)
    return history


def keep(history: SealedHistory, packets: Burst, shift: int, now: float = 0.0) -> None:
    """Write every index in place of its payload, as if that were its ciphertext, and have it remembered."""
    layout = packets.layout((TEMPLATE, 16), now)
    for index, _, _, _, payload, place in layout.items:
        place[:] = str(index + shift).encode().ljust(len(payload) + 16)
    history.keep(layout, shift, now)


def indices(history: SealedHistory, sequences: Sequence[int], high: int, now: float) -> list[int]:
    """Which indices come back."""
    return [int(packet[12:]) for packet in history.answer(sequences, high, now)]


def test_sent_packets_are_found_over_the_wrap_and_beside_gaps() -> None:
    history = SealedHistory()
    keep(history, burst(34, 35, 37), 65_500)
    keep(history, burst(38, 39), 65_501)
    assert indices(history, [65_535, 0, 1, 3, 4], 65_540, 1.0) == [65_535, 65_537, 65_539, 65_540]


def test_what_is_too_old_is_forgotten() -> None:
    history = SealedHistory()
    keep(history, burst(1, 2), 0, now=10.0)
    keep(history, burst(3, 4), 0, now=11.0)
    history.expire(10.1 + rules.REMEMBERED_SECONDS)
    assert indices(history, [2, 3], 4, 12.0) == [3]
    history.clear()
    assert indices(history, [4], 4, 13.0) == []


def test_bursts_of_a_leg_are_forgotten_by_age() -> None:
    history = History()
    history.keep(burst(10, 11), 0, 0)
    history.expire(rules.REMEMBERED_SECONDS - 0.1)
    assert list(history.answer([10], 11, 1.0))
    history.expire(rules.REMEMBERED_SECONDS + 0.1)
    assert not list(history.answer([11], 11, 1.0))


def test_the_same_packet_is_not_repeated_while_the_first_answer_is_on_its_way() -> None:
    history = sealed(0, 10)
    assert indices(history, [5, 5], 9, 1.0) == [5]
    assert indices(history, [5], 9, 1.0 + rules.MIN_AGAIN_SECONDS / 2) == []
    assert indices(history, [5], 9, 1.001 + rules.MIN_AGAIN_SECONDS) == [5]


@pytest.mark.parametrize("rtt", [0.001, 0.08, 0.4])
def test_the_same_packet_is_not_resent_within_a_round_trip(rtt: float) -> None:
    history = sealed(0, 10)
    history.allowance.learn(0.05, rtt)
    pause = max(rtt, rules.MIN_AGAIN_SECONDS)
    assert indices(history, [5], 9, 1.0) == [5]
    assert [indices(history, [5], 9, 1.0 + pause * share) for share in (0.1, 0.5, 0.99)] == [[], [], []]
    assert indices(history, [5], 9, 1.001 + pause) == [5]


def test_a_round_trip_of_many_seconds_is_not_waited_for() -> None:
    history = sealed(0, 10)
    history.allowance.learn(0.05, 9.0)
    assert indices(history, [5], 9, 1.0) == [5]
    assert indices(history, [5], 9, 2.01) == [5]


class Watching:
    """A viewer on a path that loses packets, answers too; it asks at every tick for what it thinks is missing."""

    def __init__(self, *, rtt: float, loss: float, blind: bool, seed: int = 1) -> None:
        self.history = History()
        self.lost = self.resent = self.unrepaired = 0
        self._rtt, self._loss, self._is_blind = rtt, loss, blind
        self._dice = random.Random(seed)
        self._next = 0

    def watch(self, seconds: int, tick: float) -> None:
        """Send it 200 packets a second, one by one; it asks every `tick` seconds for packets at most 2 s old."""
        missing: dict[int, float] = {}
        asked, first = 0.0, self._next
        self._next += 200 * seconds
        for index in range(first, self._next):
            now = 10 + index / 200
            self.history.keep(Burst([MediaPacket(index, 0, False, b"x", now)]), 0, 0)
            if self._dice.random() < self._loss:
                self.lost += 1
                missing[index] = now
            if index % 200 == 199:
                self.history.allowance.learn(self._loss, self._rtt)
                self.history.expire(now)
            if now >= asked + tick:
                asked = now
                self._ask(missing, index, now)

    def _ask(self, missing: dict[int, float], high: int, now: float) -> None:
        for index in [index for index, since in missing.items() if now - since > 1.9]:
            del missing[index]
            self.unrepaired += not self._is_blind
        for media, _, _ in list(self.history.answer([index & 0xFFFF for index in missing], high, now)):
            self.resent += 1
            if not self._is_blind and self._dice.random() >= self._loss:
                del missing[media.index]


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.1])
def test_a_viewer_that_asks_on_for_packets_it_has_gets_few_of_them_again(loss: float) -> None:
    viewer = Watching(rtt=0.02, loss=loss, blind=True)
    viewer.watch(10, 0.1)
    assert viewer.resent <= rules.RESENT_AT_MOST * viewer.lost
    viewer.lost = viewer.resent = 0
    viewer.watch(20, 0.1)
    assert 1.8 * viewer.lost < viewer.resent < 2.2 * viewer.lost


@pytest.mark.parametrize(("rtt", "loss"), [(0.02, 0.05), (0.1, 0.05), (0.02, 0.2), (0.1, 0.3), (0.05, 0.5)])
def test_a_viewer_that_loses_answers_too_gets_every_packet_it_still_asks_for(rtt: float, loss: float) -> None:
    viewer = Watching(rtt=rtt, loss=loss, blind=False)
    viewer.watch(20, rtt + 0.006)
    assert viewer.unrepaired <= max(1, 0.002 * viewer.lost)


def test_a_greedy_viewer_is_bounded_and_served_again_a_second_later() -> None:
    history = sealed(0, 2000)
    for second in (10.0, 11.0):
        asks = [range(400 + at, 500 + at) for at in range(0, 1500, 100)]
        got = [indices(history, ask, 1999, second + at / 25) for at, ask in enumerate(asks)]
        assert sum(map(len, got)) == rules.RESENT_PER_SECOND
    assert history.allowance.refused == 2 * (1500 - rules.RESENT_PER_SECOND)


def test_numbers_asked_for_are_rationed_whether_they_are_found_or_not() -> None:
    history = sealed(0, 300)
    assert indices(history, range(1000, 5000), 299, 10.0) == []
    assert indices(history, range(300), 299, 10.0) == []
    assert history.allowance.refused == 4300 - rules.ASKED_AT_ONCE
    pause = 100.5 / rules.ASKED_PER_SECOND
    assert indices(history, range(300), 299, 10.0 + pause) == list(range(100))
    assert len(indices(history, range(300), 299, 20.0)) == rules.ASKED_AT_ONCE


@given(st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=10), max_size=12), st.data())
def test_every_packet_is_found_whether_it_came_in_order_or_late(gaps: list[list[int]], data: Any) -> None:
    history, index = History(), 0
    sent: dict[int, bytes] = {}
    late: list[int] = []
    for steps in gaps:
        chosen = [index := index + step for step in steps]
        late += [missing for missing in range(chosen[0], index) if missing not in chosen]
        shift = data.draw(st.integers(-5, 0)) if not sent else 0
        history.keep(burst(*chosen), shift, 0)
        sent |= {chosen_index + shift: b"%d" % chosen_index for chosen_index in chosen}
        if late and data.draw(st.booleans()):
            filled = sorted(data.draw(st.lists(st.sampled_from(late), min_size=1, max_size=4, unique=True)))
            late = [missing for missing in late if missing not in filled]
            filled = [missing for missing in filled if missing not in sent]
            if filled:
                history.keep(burst(*filled), 0, 0)
                sent |= {missing: b"%d" % missing for missing in filled}
    found = {wanted: history.find(wanted) for wanted in range(-10, index + 10)}
    assert {wanted: entry[0].payload for wanted, entry in found.items() if entry is not None} == sent


def test_packets_of_bursts_are_found_with_the_shifts_of_their_time() -> None:
    history = History()
    history.keep(burst(10, 11, 12), 65_520, 7)
    history.keep(burst(14, 16), 65_519, 8)
    found = list(history.answer([65_531, 65_533, 65_534, 65_535], 65_535, 1.0))
    assert [(media.payload, index, timestamp) for media, index, timestamp in found] == [
        (b"11", 65_531, 33_007),
        (b"14", 65_533, 42_008),
        (b"16", 65_535, 48_008),
    ]


def test_bursts_are_forgotten_in_order_and_all_at_once() -> None:
    history = History()
    for index in range(rules.MAX_BURSTS + 1):
        history.keep(burst(index), 0, 0)
    assert list(history.answer([0], rules.MAX_BURSTS, 1.0)) == []
    assert len(list(history.answer([1], rules.MAX_BURSTS, 1.0))) == 1
    history.clear()
    assert list(history.answer([2], rules.MAX_BURSTS, 1.0)) == []
