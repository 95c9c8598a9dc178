"""Sealing and opening; libsrtp is the second opinion."""

import contextlib
import itertools
import struct

import pylibsrtp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pylibsrtp import Policy, Session

from relay.base.errors import OurError
from relay.rtp.burst import Burst, HeaderTemplate, MediaPacket
from relay.transport import srtp, srtp_keys
from relay.transport.srtp import BEFORE_FIRST, CM, GCM, MAX_SSRCS, WINDOW, ReplayError, SrtpError, SrtpSession, Window

LIBSRTP = {GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM, CM: Policy.SRTP_PROFILE_AES128_CM_SHA1_80}
PROFILES = pytest.mark.parametrize("profile", [GCM, CM])
MATERIAL = bytes(range(100, 160))

payloads = st.binary(max_size=1200)
extension_words = st.integers(0, 5)


def keys(profile: str) -> tuple[bytes, bytes]:
    return srtp_keys.split_exported(profile, MATERIAL[: srtp_keys.exported_size(profile)])


def pair(profile: str) -> tuple[SrtpSession, SrtpSession]:
    """Both ends of one association."""
    client, server = keys(profile)
    return srtp_keys.make_session(profile, client, server), srtp_keys.make_session(profile, server, client)


def oracle(profile: str, master: bytes, direction: int) -> Session:
    policy = Policy(key=master, ssrc_type=direction, srtp_profile=LIBSRTP[profile])
    policy.window_size = WINDOW
    return Session(policy)


def header(index: int, ssrc: int = 0x1234, words: int = 0, csrcs: int = 0) -> bytes:
    first = 0x80 | (0x10 if words else 0) | csrcs
    fixed = struct.pack("!BBHII", first, 96, index & 0xFFFF, 9000, ssrc) + bytes(4 * csrcs)
    return fixed + (struct.pack("!HH", 0xBEDE, words) + b"\x10\xaa\0\0" * words if words else b"")


def compound(ssrc: int = 0x1234) -> bytes:
    return struct.pack("!BBHI", 0x80, 201, 1, ssrc)


@PROFILES
@given(payload=payloads, words=extension_words, csrcs=st.integers(0, 15), seq=st.integers(0, 65535))
def test_what_we_seal_is_opened_by_libsrtp_and_back(profile: str, payload: bytes, words: int, csrcs: int, seq: int) -> None:
    client, server = keys(profile)
    ours = srtp_keys.make_session(profile, client, server)
    head = header(seq, words=words, csrcs=csrcs)
    sealed = ours.seal(head, payload, seq)
    assert len(sealed) == len(head) + len(payload) + ours.overhead
    assert oracle(profile, client, Policy.SSRC_ANY_INBOUND).unprotect(sealed) == head + payload
    theirs = oracle(profile, server, Policy.SSRC_ANY_OUTBOUND)
    assert ours.open_rtp(theirs.protect(head + payload)) == head + payload


@PROFILES
def test_rtcp_goes_both_ways_with_libsrtp(profile: str) -> None:
    client, server = keys(profile)
    ours = srtp_keys.make_session(profile, client, server)
    inbound, outbound = oracle(profile, client, Policy.SSRC_ANY_INBOUND), oracle(profile, server, Policy.SSRC_ANY_OUTBOUND)
    for at in range(3):
        report = compound() + bytes([at] * 20)
        assert inbound.unprotect_rtcp(ours.seal_rtcp(report)) == report
        assert ours.open_rtcp(outbound.protect_rtcp(report)) == report


@PROFILES
def test_the_roll_over_counter_is_followed_across_the_wrap(profile: str) -> None:
    client, server = keys(profile)
    ours = srtp_keys.make_session(profile, client, server)
    theirs = oracle(profile, client, Policy.SSRC_ANY_INBOUND)
    back = oracle(profile, server, Policy.SSRC_ANY_OUTBOUND)
    for index in [65530, 65534, 65535, 65536, 65540, 65538, 65533, 70000, 90000, 120000, 131072]:
        packet = header(index) + b"x"
        assert theirs.unprotect(ours.seal(header(index), b"x", index)) == packet
        assert ours.open_rtp(back.protect(packet)) == packet


@PROFILES
@given(st.lists(st.tuples(payloads, extension_words), min_size=1, max_size=8), st.integers(0, 30))
def test_a_burst_is_its_packets_sealed_one_by_one(profile: str, packets: list[tuple[bytes, int]], at: int) -> None:
    client, server = keys(profile)
    one, many = srtp_keys.make_session(profile, client, server), srtp_keys.make_session(profile, client, server)
    parts = [(header(index, words=words), payload, index) for index, (payload, words) in enumerate(packets)]
    out = bytearray(20_000)
    lengths = many.seal_burst(parts, out, at)
    single = [one.seal(*part) for part in parts]
    assert lengths == [len(packet) for packet in single]
    assert bytes(out[at : at + sum(lengths)]) == b"".join(single)
    assert not any(out[:at])


def test_an_empty_burst_is_nothing() -> None:
    assert pair(GCM)[0].seal_burst([], bytearray(10)) == []


@PROFILES
def test_a_packet_of_the_largest_size_a_camera_sends_is_forwarded(profile: str) -> None:
    ours, theirs = pair(profile)
    assert theirs.open_rtp(ours.seal(header(1), bytes(1460), 1)) == header(1) + bytes(1460)


@PROFILES
def test_a_replayed_packet_is_refused(profile: str) -> None:
    ours, theirs = pair(profile)
    sealed, report = ours.seal(header(7), b"x", 7), ours.seal_rtcp(compound())
    theirs.open_rtp(sealed)
    theirs.open_rtcp(report)
    with pytest.raises(ReplayError):
        theirs.open_rtp(sealed)
    with pytest.raises(ReplayError):
        theirs.open_rtcp(report)


@PROFILES
def test_a_packet_older_than_the_window_is_refused_and_a_late_one_is_taken(profile: str) -> None:
    ours, theirs = pair(profile)
    sealed = [ours.seal(header(index), b"x", index) for index in range(WINDOW + 10)]
    theirs.open_rtp(sealed[0])
    theirs.open_rtp(sealed[-1])
    theirs.open_rtp(sealed[-WINDOW + 5])
    with pytest.raises(ReplayError):
        theirs.open_rtp(sealed[5])


@PROFILES
@given(at=st.integers(0, 200), bit=st.integers(0, 7), rtcp=st.booleans())
def test_a_flipped_bit_is_not_authentic(profile: str, at: int, bit: int, rtcp: bool) -> None:
    ours, theirs = pair(profile)
    sealed = bytearray(ours.seal_rtcp(compound() + bytes(20)) if rtcp else ours.seal(header(1, words=2), b"payload", 1))
    sealed[at % len(sealed)] ^= 1 << bit
    with pytest.raises(SrtpError):
        (theirs.open_rtcp if rtcp else theirs.open_rtp)(bytes(sealed))
    # Nothing was remembered of it: the true packet, which may have the same index, is still welcome.
    true = ours.seal_rtcp(compound() + bytes(20)) if rtcp else ours.seal(header(2), b"payload", 2)
    (theirs.open_rtcp if rtcp else theirs.open_rtp)(true)


@PROFILES
@given(st.binary(max_size=1500), st.booleans())
def test_arbitrary_bytes_are_refused_cleanly(profile: str, data: bytes, rtcp: bool) -> None:
    _, theirs = pair(profile)
    with pytest.raises(SrtpError):
        (theirs.open_rtcp if rtcp else theirs.open_rtp)(data)


@PROFILES
def test_a_header_extension_that_runs_past_the_end_is_refused(profile: str) -> None:
    _, theirs = pair(profile)
    lying = struct.pack("!BBHII", 0x90, 96, 1, 0, 1) + b"\xbe\xde\xff\xff" + bytes(40)
    with pytest.raises(SrtpError):
        theirs.open_rtp(lying)


@PROFILES
def test_even_an_authenticated_peer_cannot_make_us_keep_many_streams(profile: str) -> None:
    ours, theirs = pair(profile)
    for ssrc in range(MAX_SSRCS):
        theirs.open_rtp(ours.seal(header(1, ssrc), b"x", 1))
    with pytest.raises(SrtpError):
        theirs.open_rtp(ours.seal(header(1, MAX_SSRCS), b"x", 1))
    theirs.open_rtp(ours.seal(header(2, 0), b"x", 2))


@PROFILES
@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=60))
def test_no_index_of_a_stream_is_ever_sealed_twice(profile: str, wishes: list[tuple[int, int]]) -> None:
    """I10, whatever the caller asks for: by single packets or in bursts."""
    ours, _ = pair(profile)
    seen: set[tuple[int, int]] = set()
    for at, (ssrc, index) in enumerate(wishes):
        out = bytearray(100)
        try:
            if at % 2:
                ours.seal_burst([(header(index, ssrc), b"x", index)], out)
            else:
                ours.seal(header(index, ssrc), b"x", index)
        except OurError:
            assert (ssrc, index) in seen
        else:
            assert (ssrc, index) not in seen
            seen.add((ssrc, index))


@PROFILES
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sets(st.integers(0, 60), min_size=1, max_size=6), st.integers(0, 3)), max_size=20))
def test_no_index_is_sealed_twice_by_way_of_layouts_either(profile: str, wishes: list[tuple[set[int], int]]) -> None:
    ours, _ = pair(profile)
    seen: set[int] = set()
    for indices, shift in wishes:
        burst = Burst([MediaPacket(index, 0, False, b"x", 0.0) for index in sorted(indices)])
        wanted = {index + shift for index in indices}
        try:
            ours.seal_layout(burst.layout((HeaderTemplate(96), ours.overhead), 0.0), 7, shift, 0)
        except OurError:
            assert wanted & seen
            # What was claimed before the refusal stays claimed.
            seen.update(list(itertools.takewhile(lambda index: index not in seen, sorted(wanted))))
        else:
            assert not wanted & seen
            seen.update(wanted)


def test_an_index_behind_the_window_is_not_sealed() -> None:
    ours, _ = pair(GCM)
    ours.seal(header(0), b"x", 0)
    ours.seal(header(WINDOW + 100), b"x", WINDOW + 100)
    with pytest.raises(OurError, match="I10"):
        ours.seal(header(50), b"x", 50)


def test_what_libsrtp_would_guess_wrongly_is_refused_not_sealed_under_another_roll_over() -> None:
    ours, _ = pair(CM)
    with pytest.raises(OurError):
        ours.seal(header(70000), b"x", 70000)
    ours.seal(header(1), b"x", 1)
    with pytest.raises(OurError):
        ours.seal(header(1 + (1 << 15)), b"x", 1 + (1 << 15))


def test_each_rtcp_packet_has_an_index_of_its_own() -> None:
    ours, _ = pair(GCM)
    trailers = [ours.seal_rtcp(compound())[-4:] for _ in range(5)]
    assert trailers == [(1 << 31 | index).to_bytes(4, "big") for index in range(5)]


def test_rtcp_that_is_authenticated_but_not_encrypted_is_opened() -> None:
    client, server = keys(GCM)
    session = srtp.GcmSession(client, server)
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key, salt = srtp.derive(server, 3, 16), int.from_bytes(srtp.derive(server, 5, 12), "big")
    nonce = (salt ^ 0x1234 << 48 ^ 9).to_bytes(12, "big")
    trailer = (9).to_bytes(4, "big")
    report = compound() + b"report body!"
    tag = AESGCM(key).encrypt(nonce, b"", report + trailer)
    assert session.open_rtcp(report + tag + trailer) == report
    with pytest.raises(ReplayError):
        session.open_rtcp(report + tag + trailer)


def test_key_derivation_matches_the_vectors_of_rfc_3711() -> None:
    """RFC 3711 B.3."""
    master = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6")
    assert srtp.derive(master, 0, 16) == bytes.fromhex("C61E7A93744F39EE10734AFE3FF7A087")
    assert srtp.derive(master, 2, 14) == bytes.fromhex("30CBBC08863D8C85D49DB34A9AE1")
    assert srtp.derive(master, 1, 16) == bytes.fromhex("CEBE321F6FF7716B6FD4AB49AF256A15")


def test_sealing_matches_the_vector_of_rfc_7714() -> None:
    """RFC 7714 §16.1.1, whose key and salt are the session's."""
    session = srtp.GcmSession(bytes(28), bytes(28))
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    session._tx = AESGCM(bytes(range(16)))
    session._tx_salt = int.from_bytes(bytes.fromhex("517569642070726f2071756f"), "big")
    head = bytes.fromhex("8040f17b8041f8d35501a0b2")
    sealed = session.seal(head, b"Gallia est omnis divisa in partes tres", 0xF17B)
    assert sealed.hex() == (
        "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833"
        "899d7f27beb16a9152cf765ee4390cce"
    )


class Claims(RuleBasedStateMachine):
    """A window against a plain set."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Window()
        self.used: set[int] = set()
        self.highest = -1

    @rule(step=st.integers(-WINDOW - 20, 40) | st.just(5000))
    def claim(self, step: int) -> None:
        index = max(0, self.highest + step)
        # What came long before the first index, or lies behind the window, counts as used.
        free = index > self.highest or (index in self.open_gaps() and index not in self.used)
        assert self.window.is_free(index) is free
        assert self.window.claim(index) is free
        if free:
            if self.highest < 0:
                self.first = max(0, index - BEFORE_FIRST)
            self.used.add(index)
            self.highest = max(self.highest, index)

    def open_gaps(self) -> range:
        return range(max(self.first, self.highest - WINDOW + 1), self.highest) if self.highest >= 0 else range(0)

    @precondition(lambda self: self.highest >= 0)
    @rule()
    def next_in_order_written_out(self) -> None:
        """The short cut of `seal_burst`."""
        self.window.last = self.highest = self.highest + 1
        self.used.add(self.highest)

    @invariant()
    def bounded(self) -> None:
        assert self.window.missing_ranges <= WINDOW


TestClaims = Claims.TestCase


def test_pylibsrtp_still_has_the_private_names_we_touch() -> None:
    session = Session()
    assert len(session._cdata) == 1500
    with contextlib.suppress(pylibsrtp.Error):
        session.unprotect(bytes(20))
