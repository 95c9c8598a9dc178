"""One socket for all peers: who gets what, and when a peer is gone."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from relay.base.clock import ManualClock
from relay.base.errors import TheirError
from relay.transport.dtls_queue import MAX_WAITING, MAX_WAITING_OF_ONE, PER_DRAIN
from relay.transport.dtls_records import SHAKING_BURST
from relay.transport.ice_lite import CHECKS, CHECKS_BURST, CHECKS_PER_MOVE
from relay.transport.peer import ABUSE_PER_TICK, DEMOTED_SECONDS, WORK_AT_ONCE, WORK_PER_SECOND
from relay.transport.port import Peer, Port
from relay.transport.sdp import Fingerprint, SdpFragment, Setup
from tests.support.clients import Client, binding_request, still_port
from tests.support.ports import Remembering, live_port

FRAGMENT = b"\x16\xfe\xfd" + bytes(8) + b"\0\x10" + b"\1\0\1\0\0\0\0\0\0\0\0\4" + bytes(4)
"""A plausible piece of a handshake."""


@pytest.fixture
def still() -> Iterator[tuple[Port, ManualClock]]:
    with still_port() as found:
        yield found


def counted(port: Port, name: str) -> int:
    return port.counters.values[name]


@pytest.mark.parametrize("setup", ["actpass", "active", "passive"])
def test_a_peer_connects_with_each_dtls_role(still: tuple[Port, ManualClock], setup: Setup) -> None:
    with Client(*still, setup=setup) as client:
        client.connect()
        assert client.handler.connected.is_set()
        client.deliver(client.rtp(1))
        assert [packet[12:] for packet in client.handler.rtp] == [b"picture"]


def test_packets_come_plain_in_order_with_one_batch_end_per_drain(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        before = client.handler.batches
        for seq in (5, 3, 4):
            port.on_datagram(client.rtp(seq, b"%d" % seq), client.address, clock.monotonic())
        report = b"\x80\xc9\0\1" + bytes(4)
        port.on_datagram(client.srtp.seal_rtcp(report), client.address, clock.monotonic())
        port.end_batch(clock.monotonic())
        assert [packet[12:] for packet in client.handler.rtp] == [b"5", b"3", b"4"]
        assert client.handler.rtcp == [report]
        assert client.handler.batches == before + 1
        port.end_batch(clock.monotonic())
        assert client.handler.batches == before + 1


def test_what_is_sent_reaches_the_selected_address_sealed(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        header = b"\x80\x60\0\7" + bytes(8)
        assert port.send(client.peer, [client.peer.srtp.seal(header, b"down", 7)]) == 1
        out = bytearray(2000)
        lengths = client.peer.srtp.seal_burst([(b"\x80\x60\0\x08" + bytes(8), b"burst", 8)], out)
        assert port.send_burst(client.peer, out, lengths) == 1
        client.peer.send_rtcp(b"\x80\xc9\0\1" + bytes(4), clock.monotonic())
        rtp, burst, rtcp = client.received()
        assert client.srtp.open_rtp(rtp) == header + b"down"
        assert client.srtp.open_rtp(burst)[12:] == b"burst"
        assert client.srtp.open_rtcp(rtcp) == b"\x80\xc9\0\1" + bytes(4)


def test_nothing_is_sent_to_a_peer_without_an_address_or_after_its_end(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        assert port.send(client.peer, [b"x"]) == 0
        client.peer.send_rtcp(b"x", clock.monotonic())
        client.connect()
        client.peer.close("done")
        client.received()
        assert port.send(client.peer, [b"x"]) == 0
        assert port.send_burst(client.peer, bytearray(1), [1]) == 0
        client.peer.send_rtcp(b"x", clock.monotonic())
        assert client.received() == []


def test_closing_a_peer_says_goodbye_and_forgets_it_without_calling_its_owner(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        client.received()
        client.peer.close("done")
        client.peer.close("done")
        for datagram in client.received():
            client.dtls.feed(datagram, clock.monotonic())
        assert client.dtls.closed
        assert not client.handler.closed.is_set()
        client.deliver(client.rtp(1))
        assert counted(port, "udp_stranger") == 1
        assert client.check() == []
        assert counted(port, "stun_unknown") == 1


def test_a_peers_goodbye_ends_it(still: tuple[Port, ManualClock]) -> None:
    with Client(*still) as client:
        client.connect()
        for datagram in client.dtls.close():
            client.deliver(datagram)
        assert client.handler.reason == "the peer said goodbye"
        assert client.peer.closed


def test_a_silent_peer_is_lost_after_its_own_time(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock, silence_after=2.0) as client:
        client.connect()
        clock.advance(1.9)
        client.deliver(client.rtp(1))
        assert client.peer.silent_for(clock.monotonic()) == 0
        clock.advance(1.9)
        port.tick(clock.monotonic())
        assert client.peer.silent_for(clock.monotonic()) == pytest.approx(1.9)
        assert not client.peer.closed
        clock.advance(0.2)
        port.tick(clock.monotonic())
        assert client.handler.reason == "silent for 2 s"


def test_checks_alone_keep_a_peer_alive(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock, silence_after=2.0) as client:
        client.connect()
        for _ in range(5):
            clock.advance(1.5)
            client.check()
            port.tick(clock.monotonic())
        assert not client.peer.closed


def test_a_peer_that_never_comes_is_lost_with_what_was_missing(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as absent, Client(port, clock) as mute:
        mute.check()
        clock.advance(10.1)
        port.tick(clock.monotonic())
        assert absent.handler.reason == "not connected after 10 s: no connectivity check arrived"
        assert mute.handler.reason == "not connected after 10 s: the DTLS handshake did not end"


def test_a_failed_handshake_is_reported_with_its_reason(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.peer.remote = replace(client.peer.remote, fingerprints=(Fingerprint("sha-256", bytes(32)),))
        client.shake()
        assert client.handler.reason == "the certificate is not the one whose fingerprint the offer named"
        assert client.peer.closed
        assert counted(port, "dtls_failed") == 1


def test_our_client_repeats_its_hello_until_answered(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock, setup="passive") as client:
        client.check()
        clock.advance(0.45)
        port.tick(clock.monotonic())
        hellos = [datagram for datagram in client.received() if datagram[0] == 22]
        assert len(hellos) == 1


def test_roaming_moves_the_picture_with_the_first_check_from_the_new_address(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        old = client.sockets[-1]
        client.open_socket()
        client.deliver(client.rtp(1))
        assert client.handler.rtp == []
        client.received(old)
        client.check()
        client.deliver(client.rtp(2))
        assert len(client.handler.rtp) == 1
        port.send(client.peer, [b"sealed"])
        assert client.received() == [b"sealed"]
        assert client.received(old) == []


def test_an_ice_restart_keeps_media_flowing_until_and_after_the_new_credentials_are_used(
    still: tuple[Port, ManualClock],
) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        fresh = client.peer.restart(SdpFragment("them2", 0, False, ("0",)))
        assert client.peer.local == client.local
        client.deliver(client.rtp(1))
        old = client.local
        client.local, client.ufrag = fresh, "them2"
        client.open_socket()
        assert client.check() != []
        assert client.peer.local == fresh
        client.deliver(client.rtp(2))
        assert len(client.handler.rtp) == 2
        client.deliver(binding_request(f"{old.ufrag}:them", old.pwd))
        assert counted(port, "stun_unknown") == 1
        client.peer.close("done")
        assert not port.table.by_ufrag
        assert not port.table.by_address


def test_an_abandoned_restart_leaves_nothing_behind(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        for at in range(5):
            client.peer.restart(SdpFragment(f"them{at}", 0, False, ()))
        assert len(port.table.by_ufrag) == 2
        client.peer.close("done")
        assert not port.table.by_ufrag


def test_a_restart_without_credentials_is_theirs_to_mend(still: tuple[Port, ManualClock]) -> None:
    with Client(*still) as client, pytest.raises(TheirError):
        client.peer.restart(SdpFragment(None, 1, False, ()))


def test_handshakes_are_queued_bounded_per_peer_and_worked_off_a_few_per_drain(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client, Client(port, clock) as other:
        client.check()
        other.check()
        for _ in range(500):
            port.on_datagram(FRAGMENT, client.address, clock.monotonic())
        assert counted(port, "dtls_unexpected") == 500 - SHAKING_BURST
        assert counted(port, "dtls_dropped") == SHAKING_BURST - MAX_WAITING_OF_ONE
        port.on_datagram(FRAGMENT, other.address, clock.monotonic())
        assert len(port.handshakes) == MAX_WAITING_OF_ONE + 1
        port.end_batch(clock.monotonic())
        assert len(port.handshakes) == MAX_WAITING_OF_ONE + 1 - PER_DRAIN


def test_all_handshakes_together_are_bounded(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(port, clock)) for _ in range(MAX_WAITING // MAX_WAITING_OF_ONE + 1)]
        for client in clients:
            client.check()
        for client in clients:
            for _ in range(MAX_WAITING_OF_ONE):
                port.on_datagram(FRAGMENT, client.address, clock.monotonic())
        assert len(port.handshakes) == MAX_WAITING
        assert counted(port, "dtls_dropped") == MAX_WAITING_OF_ONE


def test_an_address_that_brings_rubbish_queues_with_strangers_for_a_while(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        packet = client.rtp(1)
        for _ in range(ABUSE_PER_TICK + 2):
            client.deliver(packet)
        port.tick(clock.monotonic())
        assert client.peer.is_demoted
        assert counted(port, "peers_demoted") == 1
        client.deliver(client.rtp(2))
        assert len(client.handler.rtp) == 2, "what is true of it is still taken"
        clock.advance(DEMOTED_SECONDS + 0.1)
        client.check()
        port.tick(clock.monotonic())
        assert not client.peer.is_demoted


def test_a_network_that_repeats_packets_demotes_nobody(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        for seq in range(200):
            packet = client.rtp(seq)
            client.deliver(packet)
            client.deliver(packet)
            if seq % 10 == 0:
                port.tick(clock.monotonic())
        assert not client.peer.is_demoted


def test_a_handlers_bug_costs_one_packet_and_one_log_line_a_second(
    still: tuple[Port, ManualClock], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Remembering):
        def on_rtp(self, peer: Peer, packet: bytes, now: float) -> None:
            raise ZeroDivisionError

        def on_batch_end(self, now: float) -> None:
            raise ZeroDivisionError

    async def scene() -> None:
        async with live_port() as port:
            clock = ManualClock()
            with Client(port, clock) as client:
                client.connect()
                client.peer.handler = Broken()
                for seq in range(20):
                    client.sockets[-1].sendto(client.rtp(seq), ("127.0.0.1", port.port))
                for _ in range(50):
                    await asyncio.sleep(0)
                    if counted(port, "handler_errors") >= 20:
                        break
            assert counted(port, "handler_errors") >= 20

    with caplog.at_level(logging.ERROR):
        asyncio.run(scene())
    assert len(caplog.records) == 1


def test_the_port_says_which_buffers_the_kernel_gave(still: tuple[Port, ManualClock]) -> None:
    port, _ = still
    assert port.receive_buffer > 100_000
    assert port.send_buffer > 100_000


def test_candidates_are_those_advertised() -> None:
    with still_port(advertise=("203.0.113.5", "2001:db8::5")) as (port, _):
        assert port.new_local().candidates == (("203.0.113.5", port.port), ("2001:db8::5", port.port))


def test_stopping_closes_every_peer(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as one, Client(port, clock) as two:
        one.connect()
        port.stop()
        assert one.peer.closed
        assert two.peer.closed


def test_what_the_kernel_dropped_for_want_of_room_is_counted() -> None:
    with still_port(socket_buffer=4096) as (port, clock), Client(port, clock) as client:
        for _ in range(300):
            client.sockets[-1].sendto(bytes(1000), ("127.0.0.1", port.port))
        port.tick(clock.monotonic())
        assert counted(port, "udp_overflow") > 100


def test_what_an_authenticated_peer_sends_beyond_its_work_is_dropped_unread_and_costs_nobody_else(
    still: tuple[Port, ManualClock],
) -> None:
    port, clock = still
    with Client(port, clock) as greedy, Client(port, clock) as honest:
        greedy.connect()
        honest.connect()
        for number in range(WORK_AT_ONCE + 700):
            port.on_datagram(greedy.rtp(number), greedy.address, clock.monotonic())
        assert len(greedy.handler.rtp) == WORK_AT_ONCE
        assert counted(port, "peer_paced") == 700
        honest.deliver(honest.rtp(1))
        assert len(honest.handler.rtp) == 1
        clock.advance(0.1)
        port.tick(clock.monotonic())
        for number in range(WORK_AT_ONCE + 700, WORK_AT_ONCE + 1700):
            port.on_datagram(greedy.rtp(number), greedy.address, clock.monotonic())
        assert len(greedy.handler.rtp) == pytest.approx(WORK_AT_ONCE + WORK_PER_SECOND * 0.1, abs=2)
        assert not greedy.peer.closed


def test_rtcp_counts_as_work_by_its_length(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        compound = b"\x80\xc9\0\1" + bytes(4)
        for _ in range(WORK_AT_ONCE):
            port.on_datagram(client.srtp.seal_rtcp(compound * 160), client.address, clock.monotonic())
        assert len(client.handler.rtcp) == pytest.approx(WORK_AT_ONCE / 14, rel=0.05)


def test_forged_media_under_a_peers_address_spends_none_of_its_work(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        for _ in range(2 * WORK_PER_SECOND):
            port.on_datagram(b"\x80\x60" + bytes(60), client.address, clock.monotonic())
        client.deliver(client.rtp(1))
        assert len(client.handler.rtp) == 1


def test_checks_beyond_what_ice_needs_are_not_looked_at(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        answered = sum(bool(client.check()) for _ in range(1000))
        assert CHECKS_BURST - 30 < answered <= CHECKS_BURST
        assert counted(port, "stun_paced") == 1000 - answered
        clock.advance(1.0)
        assert client.check()


def test_a_peer_that_comes_from_ever_new_addresses_moves_a_few_times_a_second(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        username = f"{client.local.ufrag}:{client.ufrag}"
        before = counted(port, "stun_accepted")
        for number in range(1000):
            client.deliver(binding_request(username, client.local.pwd), ("127.0.0.9", 1024 + number))
            clock.advance(0.001)
        assert counted(port, "stun_accepted") - before <= (CHECKS_BURST + CHECKS) / CHECKS_PER_MOVE
