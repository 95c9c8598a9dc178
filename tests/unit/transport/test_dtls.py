"""Handshakes by hand: two endpoints, a list of losses, invented time."""

import datetime
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from relay.base.errors import OurError
from relay.transport import dtls, srtp
from relay.transport.dtls import Context, Endpoint, Identity, pack_records
from relay.transport.sdp import Fingerprint

ALICE, BOB = Context(dtls.new_identity()), Context(dtls.new_identity())
ENDLESS = 600


@dataclass
class Wire:
    """Carries datagrams between a client and a server; `losses` is consumed one per datagram, in the order of sending."""

    client: Endpoint
    server: Endpoint
    losses: list[bool]
    now: float = 0.0

    def run(self) -> None:
        pending = [(self.server, out) for out in self.client.start(self.now)]
        for _ in range(ENDLESS):
            while pending:
                target, datagram = pending.pop(0)
                if self.losses and self.losses.pop(0):
                    continue
                other = self.client if target is self.server else self.server
                pending += [(other, out) for out in target.feed(datagram, self.now)]
            if self.settled():
                return
            self.now += 0.1
            pending += [(self.server, out) for out in self.client.tick(self.now)]
            pending += [(self.client, out) for out in self.server.tick(self.now)]

    def settled(self) -> bool:
        return all(end.session is not None or end.is_over for end in (self.client, self.server))


def endpoints(
    client_knows: Fingerprint = BOB.fingerprint, server_knows: Fingerprint = ALICE.fingerprint
) -> tuple[Endpoint, Endpoint]:
    return Endpoint(ALICE, "client", (client_knows,)), Endpoint(BOB, "server", (server_knows,))


def connected(losses: list[bool] | None = None) -> Wire:
    wire = Wire(*endpoints(), losses or [])
    wire.run()
    return wire


def test_both_ends_get_the_keys_of_each_other_under_the_profile_we_prefer() -> None:
    wire = connected()
    client, server = wire.client.session, wire.server.session
    assert client is not None
    assert server is not None
    assert client.profile == server.profile == srtp.GCM
    header = b"\x80\x60\0\1" + bytes(8)
    assert server.open_rtp(client.seal(header, b"up", 1)) == header + b"up"
    assert client.open_rtp(server.seal(header, b"down", 1)) == header + b"down"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), max_size=12))
def test_a_handshake_survives_losses(losses: list[bool]) -> None:
    wire = connected(losses)
    assert wire.client.session is not None, wire.client.failure
    assert wire.server.session is not None, wire.server.failure


def test_a_lost_flight_is_repeated_later_and_later() -> None:
    client, _ = endpoints()
    client.start(0.0)
    sent = [tenth for tenth in range(1, 150) if client.tick(tenth / 10 + 0.01)]
    assert sent == [4, 12, 28, 60, 92, 124]


def test_a_certificate_that_the_offer_did_not_name_ends_in_a_reason() -> None:
    wire = Wire(*endpoints(server_knows=BOB.fingerprint), [])
    wire.run()
    assert wire.server.session is None
    assert wire.server.failure == "the certificate is not the one whose fingerprint the offer named"


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-384", "sha-512"])
def test_fingerprints_of_three_digests_are_known(algorithm: str) -> None:
    identity = dtls.new_identity()
    certificate = x509.load_pem_x509_certificate(identity.certificate)
    known = Fingerprint(algorithm, certificate.fingerprint(dtls.DIGESTS[algorithm]))
    client = Endpoint(Context(identity), "client", (BOB.fingerprint,))
    wire = Wire(client, Endpoint(BOB, "server", (known,)), [])
    wire.run()
    assert wire.server.session is not None


def make_key(kind: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    if kind.startswith("RSA"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(kind[4:]))
    curves = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind])


def their_context(kind: str, ciphers: bytes | None = None) -> Context:
    """The context of a peer of another make: its key and, where they are given, its ciphers."""
    context = Context(dtls.new_identity())
    key = make_key(kind)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "camera")])
    now = datetime.datetime.now(tz=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    # As libraries of other makes set up their contexts: OpenSSL's own list of ciphers.
    context.ssl = SSL.Context(SSL.DTLS_METHOD)
    context.ssl.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    context.ssl.use_certificate(certificate)
    context.ssl.use_privatekey(key)
    context.ssl.set_tlsext_use_srtp(b"SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80")
    if ciphers is not None:
        context.ssl.set_cipher_list(ciphers)
    context.fingerprint = Fingerprint("sha-256", certificate.fingerprint(hashes.SHA256()))
    return context


def shake(ours: dtls.Role, theirs: Context) -> Endpoint:
    us = Endpoint(BOB, ours, (theirs.fingerprint,))
    them = Endpoint(theirs, "server" if ours == "client" else "client", (BOB.fingerprint,))
    Wire(us, them, []).run() if ours == "client" else Wire(them, us, []).run()
    return us


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("kind", ["RSA-2048", "RSA-4096", "P-256", "P-384", "P-521"])
def test_certificates_of_every_kind_are_taken_in_both_roles(kind: str, role: dtls.Role) -> None:
    us = shake(role, their_context(kind))
    assert us.session is not None, us.failure


@pytest.mark.parametrize(
    "cipher",
    [
        b"ECDHE-RSA-AES128-GCM-SHA256",
        b"ECDHE-RSA-CHACHA20-POLY1305",
        b"ECDHE-RSA-AES256-GCM-SHA384",
        b"ECDHE-RSA-AES128-SHA",
        b"ECDHE-RSA-AES256-SHA",
    ],
)
def test_a_passive_peer_with_an_rsa_key_finds_its_cipher_in_our_hello(cipher: bytes) -> None:
    us = shake("client", their_context("RSA-2048", cipher))
    assert us.session is not None, us.failure


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("cipher", [b"ECDHE-ECDSA-AES256-GCM-SHA384", b"ECDHE-ECDSA-AES128-GCM-SHA256"])
def test_a_peer_that_allows_one_cipher_only_is_met(cipher: bytes, role: dtls.Role) -> None:
    us = shake(role, their_context("P-256", cipher))
    assert us.session is not None, us.failure


def test_keys_without_forward_secrecy_are_not_taken() -> None:
    us = shake("client", their_context("RSA-2048", b"AES128-GCM-SHA256"))
    assert us.session is None
    assert us.failure is not None


def test_any_one_of_several_fingerprints_is_enough() -> None:
    others = tuple(Fingerprint("sha-512", bytes([at]) * 64) for at in range(3))
    client = Endpoint(ALICE, "client", (BOB.fingerprint, *others))
    wire = Wire(client, Endpoint(BOB, "server", (*others, ALICE.fingerprint)), [])
    wire.run()
    assert wire.client.session is not None, wire.client.failure
    assert wire.server.session is not None, wire.server.failure


def test_a_peer_that_only_knows_the_old_profile_gets_it() -> None:
    identity = Context(dtls.new_identity())
    identity.ssl.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_80")
    client = Endpoint(identity, "client", (BOB.fingerprint,))
    wire = Wire(client, Endpoint(BOB, "server", (identity.fingerprint,)), [])
    wire.run()
    assert wire.server.session is not None
    assert wire.server.session.profile == srtp.CM


def test_a_peer_without_a_common_profile_is_recognised() -> None:
    identity = Context(dtls.new_identity())
    identity.ssl.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_32")
    client = Endpoint(identity, "client", (BOB.fingerprint,))
    wire = Wire(client, Endpoint(BOB, "server", (identity.fingerprint,)), [])
    wire.run()
    assert wire.server.session is None
    assert wire.server.failure is not None
    assert srtp.GCM in wire.server.failure


def test_a_peer_without_common_ciphers_ends_in_openssls_reason() -> None:
    identity = Context(dtls.new_identity())
    identity.ssl.set_cipher_list(b"ECDHE-ECDSA-AES128-CCM")
    client = Endpoint(identity, "client", (BOB.fingerprint,))
    wire = Wire(client, Endpoint(BOB, "server", (identity.fingerprint,)), [])
    wire.run()
    assert wire.server.failure is not None
    assert wire.server.failure.startswith("DTLS handshake failed: no shared cipher; give the peer")
    assert wire.client.failure is not None


def test_a_goodbye_closes_the_other_end() -> None:
    wire = connected()
    for datagram in wire.client.close():
        wire.server.feed(datagram, 1.0)
    assert wire.server.closed
    assert wire.server.is_over
    assert wire.client.close() == []
    assert wire.server.feed(b"\x16", 1.0) == []


def test_an_endpoint_without_a_session_says_no_goodbye() -> None:
    client, _ = endpoints()
    assert client.close() == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=300).map(lambda body: b"\x16\xfe\xfd" + body), max_size=5))
def test_junk_from_a_validated_address_never_raises(datagrams: list[bytes]) -> None:
    for endpoint in (*endpoints(), connected().server):
        endpoint.start(0.0)
        for datagram in datagrams:
            endpoint.feed(datagram, 0.0)


def test_junk_within_a_session_does_not_end_it() -> None:
    wire = connected()
    for junk in (b"\x16\xfe\xfd" + bytes(40), b"\x17\xfe\xfd\0\1\0\0\0\0\0\1\0\x04junk", b"\x15"):
        wire.server.feed(junk, 1.0)
    assert not wire.server.is_over


def test_records_are_packed_into_datagrams_at_their_borders() -> None:
    def record(size: int) -> bytes:
        return b"\x16\xfe\xfd" + bytes(8) + (size - 13).to_bytes(2, "big") + bytes(size - 13)

    sizes = [600, 500, 200, 1200, 13, 1100]
    packed = pack_records(b"".join(record(size) for size in sizes))
    assert [len(datagram) for datagram in packed] == [1100, 200, 1200, 1113]
    assert pack_records(b"") == []


def test_every_datagram_of_a_handshake_fits_the_smallest_mtu() -> None:
    client, server = endpoints()
    flights = client.start(0.0)
    while flights:
        assert all(0 < len(datagram) <= 1200 for datagram in flights)
        answers = [out for datagram in flights for out in server.feed(datagram, 0.0)]
        assert all(0 < len(datagram) <= 1200 for datagram in answers)
        flights = [out for datagram in answers for out in client.feed(datagram, 0.0)]


def test_the_protocol_is_1_2_and_nothing_else() -> None:
    wire = connected()
    assert wire.server.protocol == "DTLSv1.2"
    old = Context(dtls.new_identity())
    old.ssl = SSL.Context(SSL.DTLS_METHOD)
    old.ssl.set_max_proto_version(0xFEFF)
    _, server = endpoints()
    client = Endpoint(old, "client", ())
    for datagram in client.start(0.0):
        server.feed(datagram, 0.0)
    assert server.session is None


def test_an_identity_is_p256_and_says_nothing_about_its_owner() -> None:
    identity = dtls.new_identity()
    certificate = x509.load_pem_x509_certificate(identity.certificate)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert len(certificate.subject.rdns) == 1


def test_an_unusable_identity_is_our_error() -> None:
    good = dtls.new_identity()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for identity in (Identity(b"nothing", good.private_key), Identity(good.certificate, b""), Identity(good.certificate, pem)):
        with pytest.raises(OurError):
            Context(identity)
