"""Whose address a request counts for: forwarding headers are believed from trusted proxies only."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.addresses import source_of
from relay.http.proxies import caller, client_address, is_forwarded, networks

TRUSTED = networks(["127.0.0.1", "10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("203.0.113.9", [("X-Forwarded-For", "198.51.100.1")], "203.0.113.9"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [("X-Forwarded-For", "198.51.100.1")], "198.51.100.1"),
        ("127.0.0.1", [("X-Forwarded-For", "192.0.2.66, 198.51.100.1, 10.3.2.1")], "198.51.100.1"),
        ("127.0.0.1", [("X-Forwarded-For", "192.0.2.66"), ("X-Forwarded-For", "198.51.100.1")], "198.51.100.1"),
        ("127.0.0.1", [("X-Forwarded-For", "10.0.0.7, 10.0.0.8")], "10.0.0.7"),
        ("127.0.0.1", [("X-Forwarded-For", "198.51.100.1:4711")], "198.51.100.1"),
        ("127.0.0.1", [("X-Forwarded-For", "2001:db8::1")], "2001:db8::1"),
        ("127.0.0.1", [("X-Forwarded-For", "unknown")], "127.0.0.1"),
        ("127.0.0.1", [("X-Forwarded-For", "198.51.100.1, unknown, 10.0.0.8")], "10.0.0.8"),
        ("127.0.0.1", [("Forwarded", 'for="[2001:db8::7]:80";proto=https')], "2001:db8::7"),
        ("127.0.0.1", [("Forwarded", "for=192.0.2.66, for=198.51.100.1;by=10.0.0.1, for=10.0.0.1")], "198.51.100.1"),
        ("127.0.0.1", [("Forwarded", 'for="a, for=192.0.2.1", for=198.51.100.1')], "198.51.100.1"),
        ("127.0.0.1", [("Forwarded", "for=198.51.100.1, for=_hidden")], "127.0.0.1"),
        ("::ffff:127.0.0.1", [("X-Forwarded-For", "::ffff:198.51.100.1")], "198.51.100.1"),
        ("fd00::1", [("X-Forwarded-For", "198.51.100.1")], "198.51.100.1"),
        ("203.0.113.9", [("X-Forwarded-For", "\udcff")], "203.0.113.9"),
        ("127.0.0.1", [("X-Forwarded-For", "\udcff")], "127.0.0.1"),
        (None, [("X-Forwarded-For", "198.51.100.1")], "?"),
    ],
)
def test_the_caller_is_the_rightmost_address_that_is_no_trusted_proxy(
    peer: str | None, headers: list[tuple[str, str]], address: str
) -> None:
    assert client_address(peer, headers, TRUSTED) == address


def test_without_trusted_proxies_nothing_is_believed() -> None:
    headers = [("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example")]
    found = caller("127.0.0.1", headers, ())
    assert (found.address, found.scheme, found.host) == ("127.0.0.1", None, None)


def test_two_headers_that_disagree_count_as_the_proxy() -> None:
    """A proxy that writes only one of them passes on the other, which the caller wrote."""
    spoofed = [("Forwarded", "for=192.0.2.66"), ("X-Forwarded-For", "198.51.100.1")]
    assert client_address("127.0.0.1", spoofed, TRUSTED) == "127.0.0.1"
    agreed = [("Forwarded", "for=198.51.100.1"), ("X-Forwarded-For", "192.0.2.66, 198.51.100.1")]
    assert client_address("127.0.0.1", agreed, TRUSTED) == "198.51.100.1"


def test_scheme_and_host_are_those_that_the_nearest_proxy_names() -> None:
    found = caller("127.0.0.1", [("X-Forwarded-Proto", "http, HTTPS"), ("X-Forwarded-Host", "relay.example:8443")], TRUSTED)
    assert (found.scheme, found.host) == ("https", "relay.example:8443")
    found = caller("127.0.0.1", [("Forwarded", "for=192.0.2.1;proto=https;host=relay.example")], TRUSTED)
    assert (found.scheme, found.host) == ("https", "relay.example")
    found = caller("127.0.0.1", [("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Host", "a b")], TRUSTED)
    assert (found.scheme, found.host) == (None, None)


@given(st.lists(st.text(max_size=40), max_size=4), st.lists(st.text(max_size=40), max_size=4))
def test_what_a_caller_writes_never_makes_him_another(forwarded_for: list[str], forwarded: list[str]) -> None:
    """The proxy appends to X-Forwarded-For; whatever stood there, and whatever `Forwarded` says, names nobody else."""
    headers = [("X-Forwarded-For", ", ".join([*forwarded_for, "198.51.100.1"])), *(("Forwarded", one) for one in forwarded)]
    assert client_address("10.0.0.1", headers, TRUSTED) in {"198.51.100.1", "10.0.0.1"}


@given(st.ip_addresses(v=6))
def test_an_ipv6_source_is_its_network_of_64_bits(address: ipaddress.IPv6Address) -> None:
    neighbour = ipaddress.IPv6Address(int(address) ^ 1)
    if address.ipv4_mapped is None:
        assert source_of(str(address)) == source_of(str(neighbour))
        assert ipaddress.ip_network(source_of(str(address))).prefixlen == 64


def test_an_ipv4_source_is_its_address() -> None:
    assert source_of("192.0.2.1") == source_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert source_of("?") == "?"


@pytest.mark.parametrize("name", ["Forwarded", "X-Real-IP", "x-forwarded-for", "X-Forwarded-Proto", "Via", "CF-Connecting-IP"])
def test_every_usual_header_of_a_proxy_is_a_sign_of_one(name: str) -> None:
    assert is_forwarded(["Host", name])
    assert not is_forwarded(["Host", "Accept"])
