"""STUN over bytes: aioice is the second opinion."""

import contextlib
import hmac

import pytest
from aioice import stun as oracle
from hypothesis import example, given
from hypothesis import strategies as st

from relay.transport import stun
from relay.transport.stun import Key
from tests.support.clients import binding_request

ICE_TEXT = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/", min_size=4, max_size=32)
TRANSACTION = bytes(range(12))


def attribute(kind: int, value: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)


def message(*attributes: bytes, kind: int = 1) -> bytes:
    body = b"".join(attributes)
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + TRANSACTION + body


USERNAME = attribute(6, b"ours:them")
INTEGRITY = attribute(8, bytes(20))


@given(ours=ICE_TEXT, theirs=ICE_TEXT, password=ICE_TEXT, use_candidate=st.booleans(), controlling=st.booleans())
def test_checks_made_by_aioice_are_read_and_authenticated(
    ours: str, theirs: str, password: str, use_candidate: bool, controlling: bool
) -> None:
    data = binding_request(f"{ours}:{theirs}", password, use_candidate, controlling, TRANSACTION)
    request = stun.parse_request(data)
    assert request.username == f"{ours}:{theirs}".encode()
    assert stun.ufrag_of(data) == ours.encode()
    assert request.transaction == TRANSACTION
    assert request.use_candidate is use_candidate
    assert request.controlling is controlling
    assert request.priority == 1845501695
    assert stun.is_authentic(data, request, Key(password.encode()))
    assert not stun.is_authentic(data, request, Key(password.encode() + b"x"))


@given(st.ip_addresses().map(str), st.integers(1, 65535), ICE_TEXT)
def test_answers_are_understood_and_authenticated_by_aioice(host: str, port: int, password: str) -> None:
    answer = stun.success(TRANSACTION, (host, port), Key(password.encode()))
    parsed = oracle.parse_message(answer)
    assert parsed.check_message_integrity(password.encode())
    assert parsed.message_class is oracle.Class.RESPONSE
    assert parsed.transaction_id == TRANSACTION
    if not host.lower().startswith("::ffff:"):
        assert parsed.attributes["XOR-MAPPED-ADDRESS"] == (host, port)


def test_an_ipv4_peer_seen_through_an_ipv6_socket_gets_its_ipv4_address() -> None:
    answer = stun.success(TRANSACTION, ("::ffff:192.0.2.7", 5000), Key(b"p"))
    assert oracle.parse_message(answer).attributes["XOR-MAPPED-ADDRESS"] == ("192.0.2.7", 5000)


@given(data=st.binary(max_size=200), at=st.integers(0, 111), value=st.integers(0, 255))
@example(data=b"", at=3, value=0)
def test_any_change_of_one_byte_is_refused_or_not_authentic(data: bytes, at: int, value: int) -> None:
    original = binding_request("ours:them", "password", transaction=TRANSACTION)
    changed = bytearray(original)
    changed[at % len(original)] = value
    if changed == original:
        return
    try:
        request = stun.parse_request(bytes(changed))
    except stun.StunError:
        return
    # FINGERPRINT covers everything; only a change that leaves no FINGERPRINT behind gets this far.
    covered_by_integrity = at % len(original) < request.integrity_at + 24
    assert not (covered_by_integrity and stun.is_authentic(bytes(changed), request, Key(b"password")))


@given(st.binary(max_size=1500) | st.binary(max_size=400).map(lambda body: message(USERNAME, INTEGRITY) + body))
def test_arbitrary_datagrams_are_refused_cleanly(data: bytes) -> None:
    for parse in (stun.parse_request, stun.ufrag_of):
        with contextlib.suppress(stun.StunError):
            parse(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        message(),
        message(USERNAME),
        message(INTEGRITY),
        message(USERNAME, INTEGRITY, kind=0x0101),
        message(USERNAME, INTEGRITY, kind=0x0011),
        message(USERNAME, INTEGRITY)[:-1],
        message(USERNAME, INTEGRITY) + b"\0",
        message(USERNAME, attribute(0x24, b"\0\0\0"), INTEGRITY),
        message(USERNAME, attribute(0x24, b"\0" * 8), INTEGRITY),
        message(USERNAME, attribute(0x25, b"x"), INTEGRITY),
        message(USERNAME, attribute(0x802A, b"1234"), INTEGRITY),
        message(USERNAME, attribute(8, b"short")),
        message(USERNAME, INTEGRITY, attribute(0x8028, b"1234")),
        message(USERNAME, INTEGRITY, b"\0\x24\xff\xff"),
        message(USERNAME, b"\0\x24\0"),
        message(*[attribute(0xC057, b"")] * 24, USERNAME, INTEGRITY),
    ],
)
def test_malformed_requests_are_refused(data: bytes) -> None:
    with pytest.raises(stun.StunError):
        stun.parse_request(data)


@given(password=st.binary(max_size=200), message=st.binary(max_size=300))
def test_a_prepared_key_signs_as_hmac_does(password: bytes, message: bytes) -> None:
    key = Key(password)
    assert key.sign(message) == key.sign(message) == hmac.digest(password, message, "sha1")


def test_attributes_after_the_integrity_are_not_believed() -> None:
    data = message(USERNAME, INTEGRITY, attribute(0x25, b""))
    assert not stun.parse_request(data).use_candidate


def test_unknown_attributes_are_ignored() -> None:
    head = message(USERNAME, attribute(0xC057, b"\0\1\2\3"), attribute(0x0013, b"x" * 10))
    signed = head[:2] + (len(head) + 4).to_bytes(2, "big") + head[4:]
    data = signed + attribute(8, hmac.digest(b"pw", signed, "sha1"))
    assert stun.is_authentic(data, stun.parse_request(data), Key(b"pw"))
