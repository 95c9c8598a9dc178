"""The table of connections: who gets a place, who gives way, who is never closed for another."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from relay.http.connection_table import (
    BODY_SECONDS,
    CLOSING_SECONDS,
    CROWDED_SOURCE,
    CROWDED_STRANGERS,
    KNOWN_FACTOR,
    KNOWN_PER_HOLDER,
    KNOWN_SECONDS,
    MAX_KNOWN,
    STALL_SECONDS,
    ConnectionTable,
    Overdue,
    Places,
    Standing,
)

PLACES = Places(total=12, strangers=8, per_source=3, per_holder=2)


def filled(table: ConnectionTable, how_many: int, first: int = 100) -> None:
    """Give that many strangers of different addresses a place."""
    for number in range(first, first + how_many):
        assert table.admit(number, f"198.51.100.{number}", 0.0).admitted


def test_a_newcomer_takes_the_place_of_the_stranger_that_waited_longest() -> None:
    table = ConnectionTable(PLACES)
    filled(table, 8)
    verdict = table.admit(1, "192.0.2.1", 1.0)
    assert verdict.admitted
    assert verdict.close == (100,)
    assert table.admit(2, "192.0.2.2", 1.0).close == (101,)


def test_one_address_pays_for_itself() -> None:
    table = ConnectionTable(PLACES)
    table.admit(1, "192.0.2.1", 0.0)
    for number in range(10, 13):
        assert table.admit(number, "203.0.113.9", 1.0).close == ()
    assert table.admit(13, "203.0.113.9", 1.0).close == (10,)
    assert len(table) == 4


def test_a_request_that_the_relay_works_on_is_never_closed_to_make_room() -> None:
    table = ConnectionTable(PLACES)
    filled(table, 8)
    for number in range(100, 107):
        table.work(number, 0.0, body=False)
    assert table.admit(1, "192.0.2.1", 1.0).close == (107,)
    table.work(1, 1.0, body=False)
    assert not table.admit(2, "192.0.2.2", 1.0).admitted


@pytest.mark.parametrize("how", ["body", "stalled"])
def test_half_a_body_and_an_answer_that_nobody_reads_give_way(how: str) -> None:
    table = ConnectionTable(PLACES)
    filled(table, 8)
    for number in range(100, 108):
        table.work(number, 0.0, body=how == "body")
    if how == "stalled":
        table.stall(103, 1.0)
    assert table.admit(1, "192.0.2.1", 1.0).close == ((100,) if how == "body" else (103,))


def test_a_body_that_came_whole_is_work() -> None:
    table = ConnectionTable(PLACES)
    filled(table, 8)
    for number in range(100, 108):
        table.work(number, 0.0, body=True)
        table.body_came(number)
    assert not table.admit(1, "192.0.2.1", 1.0).admitted


def test_places_are_kept_for_addresses_that_are_known() -> None:
    table = ConnectionTable(PLACES)
    table.admit(1, "192.0.2.1", 0.0)
    table.hold(1, "chef", 0.0)
    table.remove(1)
    filled(table, 8)
    for number in range(100, 108):
        table.work(number, 1.0, body=False)
    assert not table.admit(2, "192.0.2.2", 2.0).admitted
    assert table.admit(3, "192.0.2.1", 2.0).admitted
    assert table.count(Standing.KNOWN) == 1
    assert not table.is_known("192.0.2.1", KNOWN_SECONDS)


def test_one_person_with_a_network_of_addresses_pushes_out_nobodys_known_address() -> None:
    table = ConnectionTable(PLACES)

    def sign_in(holder: str, source: str, now: float) -> None:
        table.admit(1, source, now)
        table.hold(1, holder, now)
        table.remove(1)

    sign_in("camera:ada", "192.0.2.1", 0.0)
    sign_in("chef", "192.0.2.2", 0.0)
    sign_in("eve", "192.0.2.2", 0.0)
    for number in range(2 * MAX_KNOWN):
        sign_in("eve", str(number), 1.0)
    assert table.is_known("192.0.2.1", 2.0)
    assert table.is_known("192.0.2.2", 2.0), "chef is there, too"
    assert [table.is_known(str(2 * MAX_KNOWN - back), 2.0) for back in (1, KNOWN_PER_HOLDER, KNOWN_PER_HOLDER + 1)] == [
        True,
        True,
        False,
    ]


def test_a_known_address_may_have_more_connections_than_another_one() -> None:
    table = ConnectionTable(Places(total=100, strangers=80, per_source=3, per_holder=2))
    table.admit(1, "192.0.2.1", 0.0)
    table.hold(1, "chef", 0.0)
    verdicts = [table.admit(number, "192.0.2.1", 1.0) for number in range(2, 3 + 3 * KNOWN_FACTOR)]
    assert [verdict.close for verdict in verdicts] == [()] * 3 * KNOWN_FACTOR + [(2,)]


def test_what_is_open_at_an_address_counts_as_known_once_somebody_signed_in_there() -> None:
    table = ConnectionTable(PLACES)
    table.admit(1, "192.0.2.1", 0.0)
    table.admit(2, "192.0.2.1", 0.0)
    table.hold(1, "chef", 0.0)
    assert (table.count(Standing.HELD), table.count(Standing.KNOWN), table.count(Standing.STRANGER)) == (1, 1, 0)


def test_a_holder_with_too_many_loses_the_one_that_waited_longest() -> None:
    table = ConnectionTable(PLACES)
    for number in (1, 2, 3, 4):
        table.admit(number, f"192.0.2.{number}", 0.0)
    assert table.hold(1, "chef", 0.0).close == ()
    assert table.hold(2, "chef", 0.0).close == ()
    assert table.hold(3, "chef", 0.0).close == (1,)
    for number in (2, 3):
        table.work(number, 0.0, body=False)
    assert not table.hold(4, "chef", 0.0).admitted
    assert table.hold(3, "chef", 0.0).admitted


def test_a_download_over_a_slow_line_is_not_closed_for_others() -> None:
    table = ConnectionTable(Places(total=1, strangers=1, per_source=1, per_holder=1))
    table.admit(1, "192.0.2.1", 0.0)
    table.hold(1, "chef", 0.0)
    table.work(1, 0.0, body=False)
    table.stall(1, 0.0)
    assert not table.admit(2, "192.0.2.1", 1.0).admitted


def test_an_idle_connection_of_somebody_gives_way_to_known_addresses_last() -> None:
    table = ConnectionTable(Places(total=3, strangers=2, per_source=3, per_holder=3))
    for number in (1, 2, 3):
        table.admit(number, "192.0.2.1", 0.0)
        table.hold(number, "chef", 0.0)
    assert not table.admit(4, "198.51.100.4", 1.0).admitted
    assert table.admit(5, "192.0.2.1", 1.0).close == (1,)


def test_connections_of_a_trusted_proxy_count_in_the_total_only() -> None:
    table = ConnectionTable(PLACES)
    for number in range(12):
        assert table.admit(number, "192.0.2.80", 0.0, proxy=True).admitted
    assert table.hold(3, "chef", 0.0).admitted
    assert not table.is_known("192.0.2.80", 1.0)
    assert not table.admit(12, "192.0.2.80", 0.0, proxy=True).admitted


def test_each_deadline_is_kept() -> None:
    table = ConnectionTable(PLACES)
    for number in (1, 2, 3, 4):
        table.admit(number, f"192.0.2.{number}", 0.0)
    table.work(1, 0.0, body=True)
    table.stall(2, 0.0)
    table.close(3, 0.0)
    assert table.overdue(CLOSING_SECONDS - 0.1) == []
    assert table.overdue(CLOSING_SECONDS) == [(3, Overdue.CLOSING)]
    table.remove(3)
    latest = max(BODY_SECONDS, STALL_SECONDS)
    assert table.overdue(latest) == [(1, Overdue.BODY), (2, Overdue.STALLED)]
    table.body_came(1)
    table.flow(2)
    assert table.overdue(10 * latest) == []


def test_a_crowd_of_strangers_is_taken_at_a_bounded_rate_and_the_known_are_not_part_of_it() -> None:
    table = ConnectionTable(Places(total=4000, strangers=3000, per_source=64, per_holder=64))
    table.admit(0, "192.0.2.1", 0.0)
    table.hold(0, "chef", 0.0)
    rate, burst = CROWDED_STRANGERS
    taken = [table.admit(n, f"198.51.{n // 250}.{n % 250}", 0.0, crowded=True).admitted for n in range(1, 1001)]
    assert sum(taken) == burst - 1, "the first one came as a stranger"
    assert table.admit(2000, "192.0.2.1", 0.0, crowded=True).admitted
    assert table.admit(2001, "203.0.113.1", 0.0).admitted, "without a crowd nobody is counted"
    later = [table.admit(n, f"203.0.113.{n % 250}", 1.0, crowded=True).admitted for n in range(3000, 4000)]
    assert sum(later) == rate


def test_a_crowd_from_one_known_address_is_bounded_too() -> None:
    table = ConnectionTable(Places(total=4000, strangers=3000, per_source=1000, per_holder=64))
    table.admit(0, "192.0.2.1", 0.0)
    table.hold(0, "chef", 0.0)
    assert sum(table.admit(n, "192.0.2.1", 0.0, crowded=True).admitted for n in range(1, 1001)) == CROWDED_SOURCE[1] - 1


class Doors(RuleBasedStateMachine):
    """Any order of events."""

    def __init__(self) -> None:
        super().__init__()
        self.table = ConnectionTable(PLACES)
        self.now = 0.0
        self.next = 0
        self.open: dict[int, str] = {}
        self.working: set[int] = set()
        self.holders: dict[int, str] = {}

    def closed(self, numbers: tuple[int, ...]) -> None:
        for number in numbers:
            assert number not in self.working, "closed while the relay worked for it"
            self.gone(number)

    def gone(self, number: int) -> None:
        self.open.pop(number, None)
        self.holders.pop(number, None)
        self.working.discard(number)

    def pick(self, index: int) -> int:
        return sorted(self.open)[index % len(self.open)] if self.open else -1

    @rule(source=st.integers(0, 5), proxy=st.booleans())
    def come(self, source: int, proxy: bool) -> None:
        waiting = [n for n in self.open if n not in self.working and n not in self.holders]
        self.next += 1
        name = "proxy" if proxy else f"192.0.2.{source}"
        verdict = self.table.admit(self.next, name, self.now, proxy=proxy)
        strangers = [n for n in waiting if not self.table.is_known(self.open[n], self.now) and self.open[n] != "proxy"]
        if not verdict.admitted and not proxy:
            # Refused only where nobody could give way, or where its own address is full and at work.
            own = [n for n in self.open if self.open[n] == name and n not in self.holders]
            assert not strangers or len(own) >= PLACES.per_source
        self.closed(verdict.close)
        if verdict.admitted:
            self.open[self.next] = name

    @rule(index=st.integers(0, 20), body=st.booleans())
    def work(self, index: int, body: bool) -> None:
        number = self.pick(index)
        self.table.work(number, self.now, body=body)
        (self.working.discard if body else self.working.add)(number)

    @rule(index=st.integers(0, 20))
    def body_came(self, index: int) -> None:
        self.table.body_came(self.pick(index))

    @rule(index=st.integers(0, 20))
    def wait(self, index: int) -> None:
        number = self.pick(index)
        self.table.wait(number)
        self.working.discard(number)

    @rule(index=st.integers(0, 20), holder=st.sampled_from(["chef", "op"]))
    def hold(self, index: int, holder: str) -> None:
        number = self.pick(index)
        verdict = self.table.hold(number, holder, self.now)
        self.closed(verdict.close)
        if verdict.admitted and number in self.open and self.open[number] != "proxy":
            self.holders[number] = holder

    @rule(index=st.integers(0, 20))
    def leave(self, index: int) -> None:
        number = self.pick(index)
        self.table.remove(number)
        self.gone(number)

    @rule(seconds=st.sampled_from([0.1, 10.0, 600.0]))
    def later(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        table = self.table
        assert len(table) == len(self.open) <= PLACES.total
        assert table.count(Standing.STRANGER) <= PLACES.strangers
        assert sum(table.count(standing) for standing in Standing) == len(table)
        assert table.count(Standing.HELD) == len(self.holders)
        for holder in ("chef", "op"):
            assert sum(found == holder for found in self.holders.values()) <= PLACES.per_holder
        for source in {name for name in self.open.values() if name != "proxy"}:
            loose = [n for n, name in self.open.items() if name == source and n not in self.holders]
            assert len(loose) <= PLACES.per_source * KNOWN_FACTOR


Doors.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestDoors = Doors.TestCase
