"""A self-signed certificate, for `--tls` where the settings name none.

Owns: making and keeping `keys/tls.crt` and `keys/tls.key`.  Must never know: who connects.
"""

import ipaddress
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from relay.runtime.host_addresses import WILDCARDS, machine_addresses

DAYS = 397
"""The longest validity that browsers accept of a server certificate."""
RENEW_DAYS = 30


def ensure_certificate(keys: Path, host: str) -> tuple[Path, Path]:
    """Return (certificate, key) in PEM for `host` and this machine, made or renewed if needed; raises OSError.

    For a wildcard it names the addresses that the machine has when it is made.  Another address later makes no new certificate:
    clients may have been given this one.
    """
    certificate, key = keys / "tls.crt", keys / "tls.key"
    if not _still_good(certificate, host) or not key.exists():
        keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        made, secret = _make(host)
        _write(key, secret)
        _write(certificate, made)
    return certificate, key


def _still_good(path: Path, host: str) -> bool:
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return False
    if found.not_valid_after_utc < datetime.now(UTC) + timedelta(days=RENEW_DAYS):
        return False
    return _name(host) in _names_in(found)


def is_named(path: Path, host: str) -> bool:
    """Return whether a certificate is for a host; True where it cannot be read."""
    try:
        return _name(host) in _names_in(x509.load_pem_x509_certificate(path.read_bytes()))
    except (OSError, ValueError, x509.ExtensionNotFound):
        return True


def _names_in(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def _make(host: str) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Body-camera relay")])
    behind = machine_addresses() if host in WILDCARDS else ()
    names = dict.fromkeys(map(_name, (host, *behind, "localhost", "127.0.0.1", "::1", socket.gethostname())))
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), secret


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
