"""What of a peer's DTLS reaches OpenSSL, and that a flood of the rest costs neither memory nor the peer's own media."""

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from OpenSSL._util import ffi, lib

from relay.base.clock import ManualClock
from relay.transport import dtls_records as records
from relay.transport.dtls_records import RecordGate
from relay.transport.port import Port
from tests.support.clients import Client, still_port

DATAGRAM = 1200


@pytest.fixture
def still() -> Iterator[tuple[Port, ManualClock]]:
    with still_port() as found:
        yield found


def record(kind: int, body: bytes, epoch: int = 0, number: int = 0, version: int = 0xFEFD) -> bytes:
    return struct.pack(">BHHHIH", kind, version, epoch, 0, number, len(body)) + body


def message(length: int = 20, piece: bytes = bytes(20), kind: int = 1, sequence: int = 0, offset: int = 0) -> bytes:
    return b"%c%b%b%b%b%b" % (
        kind,
        length.to_bytes(3, "big"),
        sequence.to_bytes(2, "big"),
        offset.to_bytes(3, "big"),
        len(piece).to_bytes(3, "big"),
        piece,
    )


HELLO = record(records.HANDSHAKE, message())
FINISHED = record(records.HANDSHAKE, bytes(40), epoch=1)
ALERT = record(records.ALERT, bytes(26), epoch=1)


@pytest.mark.parametrize(
    "datagram",
    [
        record(23, b"application data", epoch=1),
        record(23, b"plain application data"),
        record(24, b"heartbeat", epoch=1),
        record(20, b"\1", epoch=1),
        record(22, bytes(records.MAX_ENCRYPTED + 1), epoch=1),
        record(21, bytes(records.MAX_ENCRYPTED + 1), epoch=1),
        record(22, message(), epoch=2),
        record(21, bytes(26), epoch=0xFFFF),
        record(22, message(length=records.MAX_MESSAGE + 1)),
        record(22, message(length=0xFFFFFF)),
        record(22, message() + message(length=100_000)),
        record(22, message() + b"tail"),
        record(22, message()[:-1]),
        record(22, b""),
        record(22, message(), version=0x0303),
        record(22, message())[:-1],
        b"\x16\xfe\xfd",
        b"\x16",
        b"\x16" * 100,
    ],
)
@pytest.mark.parametrize("has_session", [False, True])
def test_records_that_no_peer_needs_never_pass(datagram: bytes, has_session: bool) -> None:
    assert RecordGate().admit(datagram, 0.0, has_session=has_session) == (b"", 1)


def test_a_flight_passes_whole_however_its_messages_are_packed() -> None:
    flight = (
        record(22, message(kind=11) + message(kind=16, sequence=1))
        + record(22, message(length=600, piece=bytes(100), kind=15, sequence=2, offset=500))
        + record(20, b"\1")
        + FINISHED
    )
    assert RecordGate().admit(flight, 0.0, has_session=False) == (flight, 0)
    old_hello = record(22, message(), version=0xFEFF)
    assert RecordGate().admit(old_hello, 0.0, has_session=False) == (old_hello, 0)


def test_of_a_datagram_what_is_useful_passes() -> None:
    junk = record(23, b"x", epoch=1)
    assert RecordGate().admit(junk + ALERT + junk + b"\x16", 0.0, has_session=True) == (ALERT, 3)


@pytest.mark.parametrize(
    ("datagram", "has_session", "burst", "rate"),
    [
        (HELLO, False, records.SHAKING_BURST, records.SHAKING_RATE),
        (record(20, b"\1"), False, records.SHAKING_BURST, records.SHAKING_RATE),
        (FINISHED, False, records.EARLY_BURST, records.EARLY_RATE),
        (ALERT, False, records.EARLY_BURST, records.ALERT_RATE),
        (record(21, b"\1\0"), False, records.ALERT_BURST, records.ALERT_RATE),
        (HELLO, True, records.REPEATED_BURST, records.REPEATED_RATE),
        (FINISHED, True, records.REPEATED_BURST, records.REPEATED_RATE),
        (ALERT, True, records.ALERT_BURST, records.ALERT_RATE),
    ],
)
def test_each_kind_of_record_has_a_burst_and_a_rate(datagram: bytes, has_session: bool, burst: int, rate: float) -> None:
    gate = RecordGate()
    assert sum(bool(gate.admit(datagram, 0.0, has_session=has_session).records) for _ in range(500)) == burst
    passed = sum(bool(gate.admit(datagram, each / 50, has_session=has_session).records) for each in range(501))
    assert passed == pytest.approx(10 * rate, abs=burst)


def test_a_flood_of_everything_else_leaves_the_allowance_of_alerts_alone() -> None:
    gate = RecordGate()
    for each in (FINISHED, HELLO, record(23, b"x", epoch=1), record(21, bytes(200), epoch=1)):
        for _ in range(1000):
            gate.admit(each, 0.0, has_session=True)
    assert gate.admit(ALERT, 0.0, has_session=True).records == ALERT


@given(st.binary(max_size=1500) | st.lists(st.sampled_from([HELLO, FINISHED, ALERT]), max_size=40).map(b"".join), st.booleans())
def test_what_passes_and_what_does_not_make_up_the_datagram(datagram: bytes, has_session: bool) -> None:
    admitted = RecordGate().admit(datagram, 0.0, has_session=has_session)
    assert len(admitted.records) <= len(datagram)
    assert admitted.dropped or admitted.records == datagram
    again = RecordGate().admit(admitted.records, 0.0, has_session=has_session)
    assert again == (admitted.records, 0)


def sent(client: Client) -> bytes:
    """Return what the client's OpenSSL wants to send."""
    out = b""
    try:
        while True:
            out += client.dtls._ssl.bio_read(65536)
    except SSL.WantReadError:
        return out


def application_data(client: Client, count: int) -> bytes:
    """A datagram of the client's with so many records of application data."""
    for _ in range(count):
        client.dtls._ssl.send(b"x")
    return sent(client)


def keeps_its_picture(client: Client, number: int) -> bool:
    before = len(client.handler.rtp)
    client.deliver(client.rtp(number))
    return len(client.handler.rtp) == before + 1


def left_in_openssl(client: Client) -> int:
    """Bytes of the client's that wait in the port's OpenSSL."""
    endpoint = client.peer._dtls
    assert endpoint is not None
    buffer = ffi.new("char[]", 65536)
    return max(0, int(lib.BIO_read(endpoint._ssl._into_ssl, buffer, len(buffer))))


def test_a_flood_of_application_data_is_dropped_and_counted_and_costs_no_picture(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        for number in range(1, 200):
            client.deliver(application_data(client, 30))
            assert keeps_its_picture(client, number)
            clock.advance(0.01)
        assert port.counters.values["dtls_unexpected"] == 199 * 30
        assert left_in_openssl(client) == 0
        assert len(port.handshakes) == 0


def test_a_goodbye_after_a_flood_still_ends_the_session(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        for _ in range(500):
            client.deliver(application_data(client, 3))
            client.deliver(FINISHED)
        for datagram in client.dtls.close():
            client.deliver(datagram)
        assert client.handler.reason == "the peer said goodbye"


def test_a_goodbye_in_the_same_datagram_as_application_data_ends_the_session(still: tuple[Port, ManualClock]) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        data = application_data(client, 5)
        client.deliver(data + b"".join(client.dtls.close()))
        assert client.handler.reason == "the peer said goodbye"


FLOODS = {
    "hello": lambda number: record(22, message(), number=number),
    "fragments": lambda number: record(22, message(8000, bytes(900), 11, number % 10, number % 7000), number=number),
    "huge claims": lambda number: record(22, message(0xFFFFFF, bytes(20), 11, number % 10), number=number),
    "change cipher spec": lambda number: record(20, b"\1", number=number) * 40,
    "plain warnings": lambda number: record(21, b"\1\x5a", number=number) * 40,
    "encrypted": lambda number: record(22, bytes(60), epoch=1, number=number) * 10,
    "encrypted alerts": lambda number: record(21, bytes(26), epoch=1, number=number) * 20,
    "next epoch": lambda number: record(22, bytes(60), epoch=2, number=number) * 10,
    "application data": lambda number: record(23, bytes(60), epoch=1, number=number) * 10,
    "pieces of records": lambda number: b"\x16\xfe\xfd" + bytes(8) + b"\x20\0" + bytes(DATAGRAM - 13),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_no_flood_after_the_handshake_costs_the_picture_or_stays_in_memory(still: tuple[Port, ManualClock], flood: str) -> None:
    port, clock = still
    with Client(port, clock) as client:
        client.connect()
        for number in range(1, 300):
            client.deliver(FLOODS[flood](number))
            assert keeps_its_picture(client, number)
            clock.advance(0.01)
        assert port.counters.values["dtls_unexpected"] > 200
        assert len(port.handshakes) <= records.REPEATED_BURST
        port.end_batch(clock.monotonic())
        assert left_in_openssl(client) == 0


@pytest.mark.parametrize("flood", FLOODS)
def test_no_flood_before_the_handshake_gets_more_than_its_allowance_into_openssl(
    still: tuple[Port, ManualClock], flood: str
) -> None:
    port, clock = still
    taken = 0
    with Client(port, clock) as client:
        client.check()
        for number in range(1, 500):
            if client.peer.closed:  # a ChangeCipherSpec out of place ends a handshake
                break
            admitted = client.peer.admit_dtls(FLOODS[flood](number), client.now)
            taken += len(admitted)
            if admitted:
                client.peer.on_dtls(admitted, client.address, client.now)
            clock.advance(0.01)
        assert taken <= (records.SHAKING_BURST + 5 * records.SHAKING_RATE) * DATAGRAM
        if not client.peer.closed and client.peer.is_shaking:
            assert left_in_openssl(client) == 0
