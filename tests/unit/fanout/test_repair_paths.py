"""The schedule of repair over whole paths: packets lost, overtaken and repaired, at round trips from 60 to 400 ms."""

import heapq
import random
from dataclasses import dataclass, field

import pytest

from relay.fanout import repair as rules
from relay.fanout.stream import Inbound

EVERY = 0.004
"""Seconds between two packets, and between two looks at what is due."""


@dataclass
class Path:
    """A camera that sends a packet every 4 ms over a path that loses and reorders, and answers what it is asked."""

    rtt: float
    rtx: bool = True
    loss: float = 0.03
    repair_loss: float = 0.0
    reordered: float = 0.05
    late_by: tuple[float, float] = (0.009, 0.03)
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    def __post_init__(self) -> None:
        self.flow = Inbound(90_000, nack=True, rtx=self.rtx)
        self.way: list[tuple[float, int, bool]] = []
        self.lost = 0
        self.asks = 0
        self.got: set[int] = set()
        self.sent = 0
        self.now = 0.0

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end:
            self.now += EVERY
            self._send()
            while self.way and self.way[0][0] <= self.now:
                at, sequence, repair = heapq.heappop(self.way)
                index = self.flow.accept(sequence & 0xFFFF, 0, at, repair=repair)
                if index is not None:
                    self.got.add(index)
            for index in self.flow.repair.due(self.now):
                self._answer(self.flow.sequence(index))

    def _send(self) -> None:
        self.sent += 1
        if self.sent > 1 and self.dice.random() < self.loss:
            self.lost += 1
            return
        late = self.dice.uniform(*self.late_by) if self.sent > 1 and self.dice.random() < self.reordered else 0.0
        heapq.heappush(self.way, (self.now + self.rtt / 2 + late, self.sent, False))

    def _answer(self, sequence: int) -> None:
        self.asks += 1
        if self.dice.random() >= self.repair_loss:
            jitter = self.dice.uniform(0.0, 0.05 * self.rtt)
            heapq.heappush(self.way, (self.now + self.rtt + jitter, sequence, self.rtx))


@pytest.mark.parametrize("rtt", [0.06, 0.2, 0.4])
def test_every_loss_is_repaired_once_over_a_path_that_reorders(rtt: float) -> None:
    path = Path(rtt)
    path.run(10.0)
    asks, lost = path.asks, path.lost
    path.run(40.0)
    assert path.flow.repair.rtt == pytest.approx(rtt, rel=0.15)
    assert path.flow.repair.abandoned == 0
    overtaken = (path.sent * path.reordered) * 1.3
    assert path.asks - asks < 1.1 * (path.lost - lost) + overtaken, "asked again before an answer could come"


@pytest.mark.parametrize("rtt", [0.06, 0.2, 0.4])
def test_without_rtx_a_late_original_is_not_taken_for_a_short_round_trip(rtt: float) -> None:
    path = Path(rtt, rtx=False)
    path.run(60.0)
    assert path.flow.repair.rtt is not None
    assert 0.5 * rtt < path.flow.repair.rtt < 1.5 * rtt
    assert path.flow.repair.abandoned == 0


@pytest.mark.parametrize("rtt", [0.06, 0.2, 0.4])
def test_repairs_that_are_lost_themselves_leave_the_estimate_as_it_is(rtt: float) -> None:
    path = Path(rtt, repair_loss=0.25)
    path.run(60.0)
    assert path.flow.repair.rtt == pytest.approx(rtt, rel=0.2)


@pytest.mark.parametrize("rtx", [True, False])
def test_the_estimate_rises_when_the_path_becomes_longer_and_falls_when_it_becomes_shorter(rtx: bool) -> None:
    path = Path(0.03, rtx=rtx, reordered=0.0)
    for rtt in (0.03, 0.4, 0.1):
        path.rtt = rtt
        path.run(30.0)
        assert path.flow.repair.rtt == pytest.approx(rtt, rel=0.2)


def test_an_original_that_comes_just_after_its_nack_says_nothing_of_the_round_trip() -> None:
    flow = Inbound(90_000, nack=True, rtx=True)
    for sequence in (0, 2):
        flow.accept(sequence, 0, 1.0)
    assert flow.repair.due(1.01)
    assert flow.accept(1, 0, 1.012) is not None
    assert flow.repair.rtt is None


def test_an_answer_is_taken_for_as_long_as_anybody_may_want_it_however_often_it_was_asked_for() -> None:
    flow = Inbound(90_000, nack=True, rtx=True)
    flow.accept(0, 0, 0.0)
    flow.accept(2, 0, 0.0)
    flow.repair.due(0.01)
    flow.accept(1, 0, 0.012, repair=True)  # a probe of the camera's that looked like an answer
    flow.accept(4, 0, 1.0)
    asks = sum(len(flow.repair.due(1.0 + step / 250)) for step in range(225))
    assert 2 <= asks <= rules.MAX_TRIES
    assert flow.repair.abandoned == 0
    assert flow.accept(3, 0, 1.9, repair=True) is not None
