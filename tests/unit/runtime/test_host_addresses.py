"""What the kernel says of this machine's addresses, and what a host of the settings stands for."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.base.errors import OurError
from relay.runtime.host_addresses import HostAddresses, parse, resolve

DONE = struct.pack("=LHHLL", 20, 3, 2, 1, 0) + bytes(4)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def listed(address: str, *, scope: int = 0, flags: int = 0, peer: str | None = None, wide: bool = False) -> bytes:
    """One RTM_NEWADDR as the kernel writes it; `wide`: the flags are in an attribute of their own, as those beyond 8 bits."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    other = packed if peer is None else socket.inet_pton(family, peer)
    body = struct.pack("=BBBBI", family, 24, 0 if wide else flags, scope, 2)
    body += attribute(1, other) + (attribute(2, packed) if peer or family == socket.AF_INET else b"")
    body += attribute(3, b"eth0\0") + (attribute(8, struct.pack("=I", flags)) if wide else b"")
    return struct.pack("=LHHLL", 16 + len(body), 20, 2, 1, 0) + body + bytes(-len(body) % 4)


def test_this_machine_has_its_loopback() -> None:
    addresses = HostAddresses()
    assert "127.0.0.1" in addresses.now()
    assert addresses.now() == addresses.now(), "each question is answered whole"
    addresses.close()
    assert addresses.now() == (), "closed, it knows none"


def test_ours_is_named_and_not_the_other_end_of_a_line() -> None:
    found, is_last = parse(listed("10.0.0.5", peer="10.0.0.6") + listed("2001:db8::5") + DONE)
    assert [each.address for each in found] == ["10.0.0.5", "2001:db8::5"]
    assert is_last


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    ("scope", "flags"), [(253, 0), (0, 0x01), (0, 0x08), (0, 0x20), (0, 0x40)],
    ids=["of one link", "temporary", "not unique", "deprecated", "tentative"],
)  # fmt: skip
def test_ipv6_addresses_that_do_not_last_are_left_out(scope: int, flags: int, wide: bool) -> None:
    assert parse(listed("2001:db8::5", scope=scope, flags=flags, wide=wide))[0] == []


def test_a_second_ipv4_address_of_an_interface_counts() -> None:
    assert parse(listed("10.0.0.6", flags=0x01))[0][0].address == "10.0.0.6"


@given(st.binary(max_size=200), st.integers(0, 200))
def test_no_bytes_break_the_reading(rubbish: bytes, cut: int) -> None:
    whole = listed("10.0.0.5") + rubbish
    for read in (rubbish, whole, whole[:cut]):
        found, _is_last = parse(read)
        assert all(socket.inet_pton(socket.AF_INET6 if ":" in each.address else socket.AF_INET, each.address) for each in found)


def test_a_host_stands_for_all_its_addresses() -> None:
    assert resolve("::") == ("::", "0.0.0.0")
    assert resolve("0.0.0.0") == ("0.0.0.0",)
    assert resolve("192.0.2.9") == ("192.0.2.9",)
    assert resolve("2001:DB8::0:9") == ("2001:db8::9",)
    assert "127.0.0.1" in resolve("localhost")
    with pytest.raises(OurError, match="Name an address of this machine"):
        resolve("nobody.invalid")
