"""I9, and every flaw that was found in other stacks: a stranger's datagram changes a counter and nothing else."""

import copy
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.base.clock import ManualClock
from relay.transport.ice_lite import FORGED_BY_STRANGERS, FORGED_FROM_OWN, MAX_ADDRESSES, MAX_TRANSACTIONS
from relay.transport.port import MAX_DATAGRAM, Port
from tests.support.clients import Client, binding_request, still_port

STRANGER = ("127.0.0.1", 9)
FORGED_HELLO = b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x0c\1\0\0\0\0\0\0\0\0\0\0\0"


@pytest.fixture
def still() -> Iterator[tuple[Port, ManualClock]]:
    with still_port() as found:
        yield found


def state(port: Port) -> tuple[object, ...]:
    """Everything that the port remembers."""
    peers = [
        (peer.closed, peer.connected, peer.is_shaking, dict(peer.ice.validated), peer.ice.selected, peer.ice.ufrags)
        for peer in port.table.peers
    ]
    return peers, dict(port.table.by_address), set(port.table.by_ufrag), len(port.handshakes), dict(port.touched)


def counted(port: Port, name: str) -> int:
    return port.counters.values[name]


@pytest.mark.parametrize(
    ("datagram", "counter"),
    [
        (b"", "udp_empty"),
        (bytes(MAX_DATAGRAM + 1), "udp_oversized"),
        (b"\x80" * 65_000, "udp_oversized"),
        (FORGED_HELLO, "udp_stranger"),
        (b"\x17\xfe\xfd", "udp_stranger"),
        (b"\x80\x60" + bytes(40), "udp_stranger"),
        (b"\x80\xc8" + bytes(40), "udp_stranger"),
        (b"\x40", "udp_stranger"),
        (b"\xff" * 100, "udp_stranger"),
        (b"\0", "stun_malformed"),
        (b"\0\1\0\0\x21\x12\xa4\x42", "stun_malformed"),
        (b"\0\1\0\0" + bytes(16), "stun_malformed"),
        (b"\1\1\0\0\x21\x12\xa4\x42" + bytes(12), "stun_malformed"),
    ],
)
def test_a_strangers_datagram_is_counted_and_forgotten(still: tuple[Port, ManualClock], datagram: bytes, counter: str) -> None:
    port, clock = still
    with Client(port, clock) as fresh, Client(port, clock) as live:
        live.connect()
        live.received()
        before = copy.copy(state(port))
        live.deliver(datagram, STRANGER)
        assert state(port) == before
        assert counted(port, counter) == 1
        assert fresh.received() == live.received() == []
        live.deliver(live.rtp(1))
        assert len(live.handler.rtp) == 1


def test_an_empty_datagram_from_the_peer_itself_closes_nothing(still: tuple[Port, ManualClock]) -> None:
    with Client(*still) as client:
        client.connect()
        client.deliver(b"")
        client.deliver(client.rtp(1))
        assert len(client.handler.rtp) == 1
        assert not client.peer.closed


def test_an_empty_datagram_before_the_handshake_does_not_stop_it(still: tuple[Port, ManualClock]) -> None:
    with Client(*still) as client:
        client.deliver(b"")
        client.check()
        client.deliver(b"")
        client.connect()


def test_a_forged_hello_before_the_real_one_does_not_fail_the_handshake(still: tuple[Port, ManualClock]) -> None:
    port, _ = still
    with Client(*still) as client:
        client.deliver(FORGED_HELLO, STRANGER)
        client.check()
        client.deliver(FORGED_HELLO, STRANGER)
        client.connect()
        assert counted(port, "udp_stranger") == 2


def test_a_handshake_whose_address_is_lost_while_it_waits_is_dropped(still: tuple[Port, ManualClock]) -> None:
    """Otherwise the peer would go on at an address that is nobody's, or another peer's."""
    port, clock = still
    with Client(*still) as client:
        client.check()
        (hello,) = client.dtls.start(client.now)
        port.on_datagram(hello, client.address, clock.monotonic())
        port.on_lost(client.address)
        port.end_batch(clock.monotonic())
        assert client.received() == []
        assert client.peer.ice.validated == {}
        assert counted(port, "dtls_astray") == 1
        client.check()
        client.deliver(hello)
        assert client.received() != [], "the handshake goes on from the next checked address"


def test_media_from_an_address_that_passed_no_check_reaches_no_cipher(still: tuple[Port, ManualClock]) -> None:
    port, _ = still
    with Client(*still) as client:
        client.connect()
        packet = client.rtp(1)
        client.deliver(packet, STRANGER)
        assert counted(port, "udp_stranger") == 1
        assert counted(port, "srtp_forged") == 0
        client.deliver(packet)  # had it been opened, this would be a replay
        assert len(client.handler.rtp) == 1


def test_a_forged_check_for_a_known_ufrag_gets_no_answer_and_leaves_no_state(still: tuple[Port, ManualClock]) -> None:
    port, _ = still
    with Client(*still) as client:
        before = state(port)
        client.deliver(binding_request(f"{client.local.ufrag}:{client.ufrag}", "guessed password"))
        client.deliver(binding_request(f"{client.local.ufrag}:guessed", client.local.pwd))
        assert client.received() == []
        assert state(port) == before
        assert counted(port, "stun_forged") == 2


def test_a_flood_of_forged_checks_for_a_known_ufrag_is_soon_not_even_looked_at(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(*still) as client:
        client.connect()
        forged = binding_request(f"{client.local.ufrag}:{client.ufrag}", "guessed password")
        for source in (STRANGER, client.address):
            for _ in range(5000):
                port.on_datagram(forged, source, clock.monotonic())
        assert counted(port, "stun_forged") == FORGED_BY_STRANGERS + FORGED_FROM_OWN
        assert counted(port, "stun_unheard") == 10_000 - counted(port, "stun_forged")
        clock.advance(0.1)
        client.open_socket()
        assert client.check() != [], "a true check from a new address is heard once the flood is over"


def test_a_check_for_an_unknown_ufrag_gets_no_answer(still: tuple[Port, ManualClock]) -> None:
    port, _ = still
    with Client(*still) as client:
        client.deliver(binding_request("nobody:them", client.local.pwd))
        assert client.received() == []
        assert counted(port, "stun_unknown") == 1


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 8, 250])
def test_checks_with_attributes_of_wrong_lengths_neither_raise_nor_harm(still: tuple[Port, ManualClock], size: int) -> None:
    port, _ = still
    with Client(*still) as client:
        client.connect()
        body = b"\0\x24" + size.to_bytes(2, "big") + bytes(size + -size % 4)
        client.deliver(b"\0\1" + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + body)
        client.deliver(b"\0\1\0\4\x21\x12\xa4\x42" + bytes(12) + b"\0\x24\xff\xff")
        assert counted(port, "stun_malformed") == 2
        client.deliver(client.rtp(1))
        assert len(client.handler.rtp) == 1


def test_replayed_and_forged_media_from_a_live_address_is_counted_and_dropped(still: tuple[Port, ManualClock]) -> None:
    port, _ = still
    with Client(*still) as client:
        client.connect()
        packet = client.rtp(1)
        for _ in range(3):
            client.deliver(packet)
        client.deliver(packet[:-1] + bytes([packet[-1] ^ 1]))
        client.deliver(packet[:12])
        client.deliver(packet[:20])
        client.deliver(b"\x80\xc8" + bytes(5))
        assert len(client.handler.rtp) == 1
        assert counted(port, "srtp_replayed") == 3
        assert counted(port, "srtp_forged") == 2
        assert not client.peer.closed


def test_an_authentic_packet_with_a_header_extension_of_a_wrong_length_closes_nothing(still: tuple[Port, ManualClock]) -> None:
    """abs-send-time of one byte: the transport hands it on as it is, its reader must bear it."""
    with Client(*still) as client:
        client.connect()
        header = b"\x90\x60\0\1" + bytes(8) + b"\xbe\xde\0\1" + b"\x20\xaa\0\0"
        client.deliver(client.srtp.seal(header, b"x", 1))
        assert client.handler.rtp == [header + b"x"]
        assert not client.peer.closed


def test_media_before_the_handshake_is_neither_kept_nor_fatal(still: tuple[Port, ManualClock]) -> None:
    port, _ = still
    with Client(*still) as client:
        client.check()
        for _ in range(1000):
            client.deliver(b"\x80\x60" + bytes(1000))
        assert counted(port, "srtp_early") == 1000
        client.connect()


def test_an_authenticated_viewer_cannot_take_a_live_peers_address_by_forging_its_source(
    still: tuple[Port, ManualClock],
) -> None:
    port, clock = still
    with Client(port, clock) as victim, Client(port, clock) as thief:
        victim.connect()
        check = binding_request(f"{thief.local.ufrag}:{thief.ufrag}", thief.local.pwd)
        thief.deliver(check, victim.address)
        assert counted(port, "stun_contested") == 1
        victim.deliver(victim.rtp(1))
        assert len(victim.handler.rtp) == 1


def test_an_address_that_a_nat_gave_away_passes_to_its_new_holder(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as before, Client(port, clock) as after:
        before.connect()
        clock.advance(3.0)
        after.deliver(binding_request(f"{after.local.ufrag}:{after.ufrag}", after.local.pwd), before.address)
        assert before.peer.ice.selected is None
        assert after.peer.ice.selected == before.address


def test_a_source_that_keeps_changing_makes_no_more_state_than_the_bound(still: tuple[Port, ManualClock]) -> None:
    port, _ = still
    with Client(*still) as client:
        for number in range(1, 300):
            check = binding_request(f"{client.local.ufrag}:{client.ufrag}", client.local.pwd)
            client.deliver(check, ("127.0.0.1", number))
        assert len(port.table.by_address) == MAX_ADDRESSES
        assert client.peer.ice.remembered_checks <= MAX_TRANSACTIONS


def test_a_recorded_check_replayed_from_elsewhere_does_not_take_the_stream_along(still: tuple[Port, ManualClock]) -> None:
    port, _ = still
    with Client(*still) as client:
        client.connect()
        check = binding_request(f"{client.local.ufrag}:{client.ufrag}", client.local.pwd)
        client.deliver(check)
        client.received()
        client.deliver(check, STRANGER)
        assert counted(port, "stun_forged") == 1
        assert client.peer.ice.selected == client.address
        client.deliver(check)
        assert len(client.received()) == 1, "a retransmission from the same place is answered"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=1600), st.booleans()), max_size=20))
def test_no_datagram_from_anywhere_ever_raises_or_closes(datagrams: list[tuple[bytes, bool]]) -> None:
    with still_port() as (port, clock), Client(port, clock) as client:
        client.connect()
        for data, from_peer in datagrams:
            client.deliver(data, client.address if from_peer else STRANGER)
        client.deliver(client.rtp(1))
        assert len(client.handler.rtp) == 1
        assert not client.peer.closed
