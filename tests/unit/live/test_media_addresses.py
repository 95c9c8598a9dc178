"""Which candidates a caller gets, by the way that its request took."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.clock import ManualClock
from relay.base.counters import Counters
from relay.live.media_addresses import MAX_HOSTS, MediaAddresses, Reach, is_astray, offered
from relay.runtime.host_addresses import HostAddresses

MACHINE = ("127.0.0.1", "10.0.0.5", "172.17.0.1", "::1", "2001:db8::5")
V4, EVERY = ("0.0.0.0",), ("::", "0.0.0.0")
OUTSIDE, INSIDE = "198.18.0.9", "10.0.0.77"
INTERNET, PUBLIC = "8.8.8.8", "5.39.0.5"
"""Of the internet: the addresses of documentation (RFC 5737) are of none."""


@pytest.mark.parametrize(
    ("reach", "bound", "advertise", "expected"),
    [
        (Reach("10.0.0.5", INSIDE, "10.0.0.5"), V4, (), ("10.0.0.5", "172.17.0.1")),
        (Reach("172.17.0.1", INSIDE, "relay.example"), V4, (), ("172.17.0.1", "10.0.0.5")),
        (Reach("10.0.0.5", INSIDE, None), EVERY, (), ("10.0.0.5", "172.17.0.1", "2001:db8::5")),
        (Reach("2001:db8::5", "2001:db8::77", "2001:db8::5"), EVERY, (), ("2001:db8::5", "10.0.0.5", "172.17.0.1")),
        (Reach("::ffff:10.0.0.5", INSIDE, None), ("10.0.0.5",), (), ("10.0.0.5",)),
        (Reach("192.168.7.7", INSIDE, None), V4, (), ("192.168.7.7", "10.0.0.5", "172.17.0.1")),
        (Reach("10.0.0.5", INSIDE, "10.0.0.5"), ("172.17.0.1",), (), ("172.17.0.1",)),
        (Reach("127.0.0.1", "127.0.0.1", "127.0.0.1"), ("127.0.0.1",), (), ("127.0.0.1",)),
        (Reach("127.0.0.1", "127.0.0.1", "localhost"), V4, (), ("127.0.0.1", "10.0.0.5", "172.17.0.1")),
        (Reach(None, INTERNET, None), V4, (), ("10.0.0.5", "172.17.0.1")),
        (Reach(None, INTERNET, "relay.example"), ("127.0.0.1",), (), ("127.0.0.1",)),
        (Reach("10.0.0.5", INTERNET, "relay.example"), V4, (PUBLIC,), (PUBLIC, "10.0.0.5")),
        (Reach("10.0.0.5", INSIDE, "relay.example"), V4, (PUBLIC,), ("10.0.0.5", PUBLIC)),
        (Reach(None, INTERNET, None), V4, (PUBLIC,), (PUBLIC, "10.0.0.5", "172.17.0.1")),
        (Reach(None, INSIDE, None), V4, (PUBLIC,), ("10.0.0.5", "172.17.0.1", PUBLIC)),
        (Reach(None, INTERNET, None), ("127.0.0.1",), (PUBLIC,), (PUBLIC,)),
        (Reach("172.17.0.1", INSIDE, "192.168.9.9"), ("172.17.0.1",), (), ("192.168.9.9", "172.17.0.1")),
        (Reach("172.17.0.1", INSIDE, None), ("172.17.0.1",), ("192.168.9.9", PUBLIC), ("192.168.9.9", "172.17.0.1", PUBLIC)),
        (Reach("172.17.0.1", INTERNET, None), ("172.17.0.1",), ("192.168.9.9", PUBLIC), (PUBLIC, "192.168.9.9", "172.17.0.1")),
        (Reach("fe80::1%eth0", "fe80::2%eth0", "fe80::1"), EVERY, (), ("10.0.0.5", "172.17.0.1", "2001:db8::5")),
    ],
    ids=[
        "every address, the one that was asked first", "a name in the URL", "IPv6 too", "by IPv6", "IPv4 seen as IPv6",
        "an address that came later", "media elsewhere", "loopback", "loopback of a machine with more", "behind a proxy",
        "behind a proxy, media on loopback", "NAT, from the internet", "NAT, from inside", "NAT and a proxy",
        "NAT and a proxy, from inside", "NAT to loopback", "a container, asked at its host's address",
        "a container, from inside", "a container, from the internet", "an address of one link",
    ],
)  # fmt: skip
def test_candidates_follow_the_request(
    reach: Reach, bound: tuple[str, ...], advertise: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert offered(reach, bound, advertise, MACHINE) == expected


def test_without_a_list_of_the_machines_addresses_the_one_that_was_asked_is_known() -> None:
    assert offered(Reach("10.0.0.5", INSIDE, None), EVERY, (), ()) == ("10.0.0.5",)
    assert offered(Reach(None, INSIDE, None), EVERY, (), ()) == ()


hosts = st.one_of(st.ip_addresses().map(str), st.sampled_from(["", "relay.example", "fe80::1%eth0", "0.0.0.0", "::", "*"]))
bounds = st.sampled_from([V4, EVERY, ("::",), ("10.0.0.5",), ("127.0.0.1",), ("127.0.0.1", "::1")])


@given(hosts, hosts, hosts, bounds, st.lists(st.ip_addresses().map(str), max_size=20), st.lists(st.ip_addresses().map(str)))
def test_every_candidate_is_an_address_that_can_be_asked(
    local: str, caller: str, named: str, bound: tuple[str, ...], machine: list[str], advertise: list[str]
) -> None:
    reach = Reach(local, caller, named)
    found = offered(reach, bound, tuple(advertise[:3]), tuple(machine))
    assert len(found) == len(set(found)) <= MAX_HOSTS
    for host in set(found) - set(advertise) - set(machine):
        assert not ipaddress.ip_address(host).is_unspecified


@pytest.mark.parametrize(
    ("found", "local", "caller", "astray"),
    [
        (("127.0.0.1",), "10.0.0.5", INSIDE, True),
        (("127.0.0.1", "::1"), "10.0.0.5", INSIDE, True),
        ((), "10.0.0.5", INSIDE, True),
        (("127.0.0.1",), "127.0.0.1", "127.0.0.9", False),
        (("127.0.0.1",), None, "127.0.0.1", True),
        (("127.0.0.1", "10.0.0.5"), None, INSIDE, False),
    ],
)
def test_loopback_for_a_caller_elsewhere_leads_nowhere(
    found: tuple[str, ...], local: str | None, caller: str, astray: bool
) -> None:
    assert is_astray(found, Reach(local, caller)) is astray


def test_it_is_told_once_a_minute_and_counted_each_time(caplog: pytest.LogCaptureFixture) -> None:
    clock, counters, machine = ManualClock(), Counters(), HostAddresses()
    addresses = MediaAddresses(("127.0.0.1",), (), machine, clock.monotonic, counters)
    for _ in range(3):
        assert addresses.offered(Reach("10.0.0.5", INSIDE)) == ("127.0.0.1",)
    clock.advance(61)
    addresses.offered(Reach("10.0.0.5", INSIDE))
    addresses.close()
    assert counters.values["candidates_astray"] == 4
    assert len(caplog.records) == 2
    assert "workers.host" in caplog.text
