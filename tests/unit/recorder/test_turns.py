"""Recordings take turns: each in its own order, a bounded wait for those who need little, exact accounts."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relay.recorder.turns import QUANTUM, SHARE, Turns, share

LANES = ("a", "b", "c", "d")
LARGEST = 12 * QUANTUM
costs = st.one_of(st.integers(1, QUANTUM), st.integers(1, LARGEST))


@dataclass
class Job:
    lane: str
    number: int
    cost: int


def turns() -> Turns[Job]:
    return Turns(lambda job: job.cost, lambda job: job.cost)


@dataclass
class Waited:
    """What was carried out while the first job of a lane waited, by lane."""

    spent: dict[str, int] = field(default_factory=dict)


class InTurn(RuleBasedStateMachine):
    """Any order of coming and going; jobs that cost at most a quantum are never kept waiting for more than a turn of each."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = turns()
        self.waiting: dict[str, list[Job]] = {lane: [] for lane in LANES}
        self.waited: dict[str, Waited] = {}
        self.numbers = 0

    @rule(lane=st.sampled_from(LANES), cost=costs)
    def put(self, lane: str, cost: int) -> None:
        self.numbers += 1
        held = self.turns.first()
        job = Job(lane, self.numbers, cost)
        if not self.waiting[lane]:
            self.waited[lane] = Waited()
        self.waiting[lane].append(job)
        self.turns.put(lane, job)
        assert held is None or self.turns.first() is held, "the job that is next stays the next one"

    @precondition(lambda self: any(self.waiting.values()))
    @rule(follows=st.booleans())
    def done(self, follows: bool) -> None:
        job = self.turns.first()
        assert job is not None
        assert job is self.waiting[job.lane].pop(0), "each lane in its own order"
        if follows:
            self.numbers += 1
            last = Job(job.lane, self.numbers, 1)
            self.waiting[job.lane].insert(0, last)
            self.turns.done(last)
            assert self.turns.first() is last
        else:
            self.turns.done()
        self.note(job)

    def note(self, job: Job) -> None:
        """A first job that costs at most a quantum lets each other lane spend at most a quantum and what one job may cost."""
        self.waited[job.lane] = Waited()
        for lane, waited in self.waited.items():
            if lane != job.lane and self.waiting[lane]:
                waited.spent[job.lane] = waited.spent.get(job.lane, 0) + job.cost
                if self.waiting[lane][0].cost <= QUANTUM:
                    assert waited.spent[job.lane] <= 2 * (QUANTUM + LARGEST)

    @invariant()
    def accounts_are_exact(self) -> None:
        waiting = [job for lane in self.waiting.values() for job in lane]
        assert len(self.turns) == len(waiting)
        assert self.turns.size == sum(job.cost for job in waiting)
        assert sorted(job.number for job in self.turns) == sorted(job.number for job in waiting)
        for name in LANES:
            lane = self.turns.lane(name)
            assert (lane.size if lane is not None else 0) == sum(job.cost for job in self.waiting[name])
            assert lane is None or lane.deficit < QUANTUM + LARGEST


TestInTurn = InTurn.TestCase


@given(st.lists(st.integers(1, LARGEST), min_size=1, max_size=60), st.integers(1, QUANTUM))
def test_a_small_job_waits_for_one_turn_of_a_lane_that_is_full(large: list[int], small: int) -> None:
    some = turns()
    for number, cost in enumerate(large):
        some.put("offender", Job("offender", number, cost))
    some.first()
    some.put("honest", Job("honest", 0, small))
    spent = 0
    while (job := some.first()) is not None and job.lane != "honest":
        spent += job.cost
        some.done()
    assert job is not None
    assert spent <= QUANTUM + LARGEST


def test_lanes_that_are_all_behind_get_the_same() -> None:
    some, done = turns(), dict.fromkeys("abc", 0)
    for lane, cost in (("a", 1000), ("b", 50_000), ("c", 200_000)):
        for number in range(40 * QUANTUM // cost):
            some.put(lane, Job(lane, number, cost))
    for _ in range(3000):
        job = some.first()
        assert job is not None
        done[job.lane] += job.cost
        some.done()
    assert max(done.values()) - min(done.values()) <= 2 * QUANTUM


def test_who_follows_another_waits_in_its_lane() -> None:
    some = turns()
    some.put("before", Job("before", 1, 10))
    some.join("after", "before")
    some.put("after", Job("after", 2, 10))
    some.put("before", Job("before", 3, 10))
    order = []
    while (job := some.first()) is not None:
        order.append(job.number)
        some.done()
    assert order == [1, 2, 3]
    some.join("after", "before")
    some.put("after", Job("after", 4, 10))
    assert some.lane("after") is not some.lane("before"), "nothing waits any more that it could follow"


@given(st.integers(1, 4), st.integers(4_000, 20_000))
def test_lanes_that_all_grow_fill_the_bound_and_leave_room_for_one_who_needs_little(lanes: int, bound: int) -> None:
    held = [0] * lanes
    growing = True
    while growing:
        growing = False
        for number in range(lanes):
            if held[number] < share(bound, sum(held)):
                held[number] += 1
                growing = True
    assert max(held) - min(held) <= SHARE
    assert bound * SHARE * lanes // (SHARE * lanes + 1) - SHARE <= sum(held) < bound
    assert share(bound, sum(held)) > 0
