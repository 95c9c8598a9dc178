"""`--tls` without a certificate from elsewhere: made once, private, for the right names."""

import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from relay.app import tls
from relay.app.tls import ensure_certificate, is_named


def test_it_is_made_once_for_this_host_and_loopback_and_kept(tmp_path: Path) -> None:
    certificate, key = ensure_certificate(tmp_path, "192.0.2.5")
    before = certificate.read_bytes()
    assert ensure_certificate(tmp_path, "192.0.2.5") == (certificate, key)
    assert certificate.read_bytes() == before
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    names = x509.load_pem_x509_certificate(before).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"192.0.2.5", "127.0.0.1", "::1"} <= {str(name) for name in names.get_values_for_type(x509.IPAddress)}
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)


def test_another_host_or_a_damaged_file_gets_a_new_one(tmp_path: Path) -> None:
    certificate, _ = ensure_certificate(tmp_path, "192.0.2.5")
    first = certificate.read_bytes()
    ensure_certificate(tmp_path, "relay.example")
    second = certificate.read_bytes()
    assert first != second
    certificate.write_bytes(b"damaged")
    ensure_certificate(tmp_path, "relay.example")
    assert b"BEGIN CERTIFICATE" in certificate.read_bytes()


def test_for_all_addresses_it_names_each_of_this_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "machine_addresses", lambda: ("127.0.0.1", "10.0.0.5", "2001:db8::5"))
    certificate, _ = ensure_certificate(tmp_path, "0.0.0.0")
    assert [is_named(certificate, host) for host in ("10.0.0.5", "2001:db8::5", "10.0.0.6")] == [True, True, False]
    before = certificate.read_bytes()
    monkeypatch.setattr(tls, "machine_addresses", lambda: ("127.0.0.1", "10.0.0.6"))
    ensure_certificate(tmp_path, "0.0.0.0")
    assert certificate.read_bytes() == before, "clients may have been given it"
    assert is_named(tmp_path / "none", "10.0.0.5"), "nothing is said of what cannot be read"
