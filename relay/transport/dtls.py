"""DTLS 1.2 by datagrams and `now` (RFC 6347, RFC 5764): the identity of the peer, and the SRTP keys.

Owns: handshakes and exported keys.  Must never know: sockets, addresses, media.

`Endpoint` holds one handshake.  It is handed only datagrams from addresses that passed an authenticated STUN check (I9), so
no cookie exchange is needed.  Of these datagrams it is handed the records that `dtls_records` admits.  OpenSSL runs over memory
BIOs; after each datagram nothing may be left in them, for what is left stays.  Our records are packed into datagrams here.

A lost flight is repeated in two ways.  We repeat the same bytes soon, by `now`: that is enough where the flight itself was
lost.  OpenSSL makes the flight again when its own timer (1 s, doubling, on the machine's clock) allows: a peer whose *answer*
was lost takes only records that it has not seen.  A server repeats its last flight when the client repeats its own.
"""

import datetime
import secrets
from dataclasses import dataclass
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from relay.base.errors import OurError
from relay.transport import srtp, srtp_keys
from relay.transport.sdp_types import Fingerprint

DIGESTS: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha-256": hashes.SHA256(),
    "sha-384": hashes.SHA384(),
    "sha-512": hashes.SHA512(),
}
_CIPHERS: Final = ":".join(
    f"ECDHE-{key}-{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in ("AES128-GCM-SHA256", "CHACHA20-POLY1305", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA")
).encode()
"""All with forward secrecy.  Our own key is P-256; the RSA suites serve passive peers whose key is RSA."""
_ADVICE: Final = {
    "wrong curve": (
        "give the peer a certificate of P-256 or RSA (FFmpeg makes itself one of P-224: set its -cert_file and -key_file)"
    ),
    "no shared cipher": "give the peer a certificate of P-256 or RSA, and ciphers with ECDHE",
}
_DTLS1_2: Final = 0xFEFD
_EXPORTER: Final = b"EXTRACTOR-dtls_srtp"
_MTU: Final = 1200
_MAX_RECORD: Final = 1 << 14
_HANDSHAKE: Final = 22
_FIRST_REPEAT_SECONDS: Final = 0.4
"""Seconds until a flight is repeated; doubles each time (RFC 6347 §4.2.4 asks 1 s of those who know nothing of the path)."""
_LAST_REPEAT_SECONDS: Final = 3.2

Role = Literal["client", "server"]


@dataclass(frozen=True, slots=True)
class Identity:
    """A P-256 certificate and its private key, both PEM."""

    certificate: bytes
    private_key: bytes


def new_identity(days: int = 3650) -> Identity:
    """Make a self-signed P-256 identity with a meaningless name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, secrets.token_hex(16))])
    now = datetime.datetime.now(tz=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return Identity(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


class Context:
    """The parts that all handshakes of one identity share; made once, because they cost more than a handshake in Python."""

    def __init__(self, identity: Identity) -> None:
        """Raises `OurError` where the identity is no certificate with its P-256 key."""
        try:
            certificate = x509.load_pem_x509_certificate(identity.certificate)
            key = serialization.load_pem_private_key(identity.private_key, None)
        except ValueError as error:
            raise OurError(f"the DTLS identity cannot be read: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise OurError("the DTLS identity's key is not P-256")
        self.fingerprint = Fingerprint("sha-256", certificate.fingerprint(DIGESTS["sha-256"]))
        self.ssl = SSL.Context(SSL.DTLS_METHOD)
        self.ssl.set_min_proto_version(_DTLS1_2)
        self.ssl.set_max_proto_version(_DTLS1_2)
        self.ssl.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
        # Certificates are self-signed by design: the fingerprint in the signalled offer decides.
        self.ssl.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        self.ssl.use_certificate(certificate)
        self.ssl.use_privatekey(key)
        self.ssl.set_cipher_list(_CIPHERS)
        self.ssl.set_tlsext_use_srtp(":".join(srtp_keys.PROFILES).encode())


class Endpoint:
    """One peer's handshake.

    Each method returns the datagrams to send.  After each call look at `session` (there once connected), `failure` (a
    sentence for people; the peer is lost) and `closed` (the peer sent a close_notify).
    """

    def __init__(self, context: Context, role: Role, fingerprints: tuple[Fingerprint, ...]) -> None:
        self.role = role
        self.session: srtp.SrtpSession | None = None
        self.failure: str | None = None
        self.closed = False
        self._fingerprints = fingerprints
        self._ssl = SSL.Connection(context.ssl, None)
        self._ssl.set_ciphertext_mtu(_MTU)
        if role == "client":
            self._ssl.set_connect_state()
        else:
            self._ssl.set_accept_state()
        self._flight: list[bytes] = []
        self._repeat_at: float | None = None
        self._repeat_after = _FIRST_REPEAT_SECONDS
        self._last_at = 0.0

    @property
    def is_over(self) -> bool:
        """Whether the handshake failed or the session is closed."""
        return self.failure is not None or self.closed

    @property
    def protocol(self) -> str:
        """Name of the protocol version in use, as OpenSSL writes it."""
        name: str = self._ssl.get_protocol_version_name()
        return name

    def start(self, now: float) -> list[bytes]:
        """Begin: a client says hello, a server waits."""
        return self._shake(now) if self.role == "client" else []

    def feed(self, datagram: bytes, now: float) -> list[bytes]:
        """Take one datagram from a validated address."""
        if self.is_over:
            return []
        self._ssl.bio_write(datagram)
        return self._shake(now) if self.session is None else self._read(datagram, now)

    def tick(self, now: float) -> list[bytes]:
        """Repeat the last flight where the peer has not answered it."""
        if self.session is not None or self.is_over or self._repeat_at is None or now < self._repeat_at:
            return []
        self._repeat_after = min(self._repeat_after * 2, _LAST_REPEAT_SECONDS)
        self._repeat_at += self._repeat_after
        return self._renewed() or self._flight

    def _renewed(self) -> list[bytes]:
        """Return the flight under new record numbers, where OpenSSL's timer has run out."""
        try:
            self._ssl.DTLSv1_handle_timeout()
        except SSL.Error as error:
            self.failure = _reason(error)
        return self._take()

    def close(self) -> list[bytes]:
        """Send a close_notify where there is a session."""
        if self.session is None or self.is_over:
            return []
        self.closed = True
        try:
            self._ssl.shutdown()
        except SSL.Error:
            return []
        return self._take()

    def _shake(self, now: float) -> list[bytes]:
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.failure = _reason(error)
        else:
            self._finish()
            self._read_all()
        return self._sent(self._take(), now)

    def _read(self, datagram: bytes, now: float) -> list[bytes]:
        """After the handshake only alerts and a lost last flight matter; there are no data channels."""
        self._read_all()
        return self._take() or self._last_flight(datagram, now)

    def _read_all(self) -> None:
        """Read until nothing is left of what the peer sent."""
        while not self.is_over:
            try:
                self._ssl.recv(_MAX_RECORD)
            except SSL.WantReadError:
                return
            except SSL.ZeroReturnError:
                self.closed = True
            except SSL.Error as error:
                self.failure = _reason(error)

    def _last_flight(self, datagram: bytes, now: float) -> list[bytes]:
        """A client that repeats its flight has not got our last one: repeat it, at most once per interval."""
        if self.is_over or self.role == "client" or datagram[0] != _HANDSHAKE or now < self._last_at:
            return []
        self._last_at = now + _FIRST_REPEAT_SECONDS
        return self._flight

    def _finish(self) -> None:
        profile = self._ssl.get_selected_srtp_profile().decode()
        certificate = self._ssl.get_peer_certificate(as_cryptography=True)
        if profile not in srtp_keys.PROFILES:
            self.failure = f"no common SRTP profile; accepted: {', '.join(srtp_keys.PROFILES)}"
        elif certificate is None or not _matches(certificate, self._fingerprints):
            self.failure = "the certificate is not the one whose fingerprint the offer named"
        else:
            material = self._ssl.export_keying_material(_EXPORTER, srtp_keys.exported_size(profile))
            client, server = srtp_keys.split_exported(profile, material)
            ours, theirs = (client, server) if self.role == "client" else (server, client)
            self.session = srtp_keys.make_session(profile, ours, theirs)

    def _sent(self, datagrams: list[bytes], now: float) -> list[bytes]:
        if datagrams:
            self._flight = datagrams
            self._repeat_after = _FIRST_REPEAT_SECONDS
            self._repeat_at = now + _FIRST_REPEAT_SECONDS
        return datagrams

    def _take(self) -> list[bytes]:
        pending = b""
        while True:
            try:
                pending += self._ssl.bio_read(65536)
            except SSL.WantReadError:
                return pack_records(pending)


def pack_records(pending: bytes) -> list[bytes]:
    """Split what OpenSSL wrote at record borders into datagrams of at most the MTU (one record never exceeds it)."""
    datagrams: list[bytes] = []
    current = b""
    at = 0
    while at + 13 <= len(pending):
        end = at + 13 + int.from_bytes(pending[at + 11 : at + 13], "big")
        record = pending[at:end]
        if current and len(current) + len(record) > _MTU:
            datagrams.append(current)
            current = b""
        current += record
        at = end
    return [*datagrams, current] if current else datagrams


def _matches(certificate: x509.Certificate, fingerprints: tuple[Fingerprint, ...]) -> bool:
    return any(certificate.fingerprint(DIGESTS[known.algorithm]) == known.digest for known in fingerprints)


def _reason(error: SSL.Error) -> str:
    """OpenSSL's own words, e.g. `sslv3 alert handshake failure`, and what to do; constant texts only, nothing of the peer's."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    words = [entry[2] for entry in queue if isinstance(entry, tuple) and len(entry) == 3 and entry[2]]
    advice = "".join(f"; {_ADVICE[word]}" for word in words if word in _ADVICE)
    return f"DTLS handshake failed: {', '.join(words) or type(error).__name__}{advice}"
