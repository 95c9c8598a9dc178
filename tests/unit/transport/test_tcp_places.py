"""Who keeps a place on a full TCP port, whatever the order of events."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from relay.transport.ice_lite import Address
from relay.transport.tcp_places import MAX_CONNECTIONS, MAX_STRANGERS, MAX_UNPROVED_PER_HOST, Places, source_of


def stranger(number: int) -> Address:
    return f"tcp!10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1


def test_strangers_leave_half_of_the_places_to_hosts_with_a_live_peer() -> None:
    places = Places()
    for number in range(2000):
        assert places.take(stranger(number), is_known=False)
    assert len(places) == MAX_STRANGERS
    places.take_replaced()
    known = [(f"tcp!192.0.2.{number}", 1) for number in range(MAX_CONNECTIONS - MAX_STRANGERS)]
    assert all(places.take(address, is_known=True) for address in known)
    assert places.take_replaced() == []
    for number in range(2000, 4000):
        places.take(stranger(number), is_known=False)
    assert not set(places.take_replaced()) & set(known)


def test_an_ipv6_network_counts_as_one_host() -> None:
    places = Places()
    assert source_of(("tcp!2001:db8::1", 1)) == source_of(("tcp!2001:db8::ffff:2", 9))
    for number in range(100):
        places.take((f"tcp!2001:db8::{number:x}", 1), is_known=False)
    assert len(places) == MAX_UNPROVED_PER_HOST


class PlacesMachine(RuleBasedStateMachine):
    """Connections come, prove themselves and go in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.places = Places()
        self.open: dict[Address, None] = {}
        self.proved: set[Address] = set()
        self.port = 0

    @rule(host=st.integers(0, 40), count=st.integers(1, 80), is_known=st.booleans())
    def connect(self, host: int, count: int, is_known: bool) -> None:
        for _ in range(count):
            self.port += 1
            address = (f"tcp!192.0.2.{host}", self.port)
            if self.places.take(address, is_known=is_known):
                self.open[address] = None
            else:
                assert len(self.proved) == MAX_CONNECTIONS
            for replaced in self.places.take_replaced():
                assert replaced not in self.proved
                del self.open[replaced]
                self.places.leave(replaced)

    @rule(which=st.integers(0, 600), count=st.integers(1, 60))
    def prove(self, which: int, count: int) -> None:
        for address in [*self.open][which : which + count]:
            self.places.prove(address)
            self.proved.add(address)

    @rule(which=st.integers(0, 600))
    def leave(self, which: int) -> None:
        for address in [*self.open][which : which + 1]:
            self.places.leave(address)
            del self.open[address]
            self.proved.discard(address)

    @invariant()
    def nobody_has_more_than_is_there(self) -> None:
        assert len(self.places) == len(self.open) <= MAX_CONNECTIONS
        for host in {address[0] for address in self.open}:
            unproved = [address for address in self.open if address[0] == host and address not in self.proved]
            assert len(unproved) <= MAX_UNPROVED_PER_HOST


PlacesMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestPlaces = PlacesMachine.TestCase
