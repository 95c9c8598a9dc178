"""The key that an expert gives: one from within the recording is said loudly, and the report names the key that was trusted."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from relay.evidence.report import report
from relay.evidence.seal import DOMAIN_CERTIFICATE, key_id
from relay.evidence.standalone import key_argument, lies_within
from relay.evidence.verdict import Verdict
from relay.evidence.verify import verify
from relay.store.readers import open_reader
from tests.support.recordings import LONGTERM, MemoryReader, build

KEY = LONGTERM.public_key
BUILT = build("SIPPKPE")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export with a copy of the key in it, as each extraction has."""
    folder = tmp_path / "export"
    folder.mkdir()
    for name, data in BUILT.export().items():
        (folder / name).write_bytes(data)
    (folder / "public_key.hex").write_bytes(KEY.hex().encode() + b"\n")
    return folder


def judged(path: Path, key: str) -> Verdict:
    def read(data: bytes) -> bytes:
        return bytes.fromhex(data.decode())

    with open_reader(path) as reader:
        return verify(reader, key_argument(key, read), key_within=lies_within(key, path))


def codes(verdict: Verdict) -> tuple[list[str], bool]:
    return [one.code.name for one in verdict.findings], "KEY_BESIDE" in [one.code.name for one in verdict.notes]


def test_a_key_within_what_is_judged_is_a_finding_however_it_is_named(export: Path, tmp_path: Path) -> None:
    inside = export / "public_key.hex"
    (tmp_path / "link").symlink_to(inside)
    for name in (inside, export / ".." / "export" / "public_key.hex", tmp_path / "link"):
        verdict = judged(export, str(name))
        assert (codes(verdict), verdict.origin) == ((["KEY_FROM_RECORDING"], True), "not proved")
        assert "LA CLÉ DE CONFIANCE A ÉTÉ PRISE DANS" in " ".join(line.strip() for line in report(verdict, "fr"))


def test_a_key_from_elsewhere_that_has_a_copy_inside_is_a_note(export: Path, tmp_path: Path) -> None:
    (tmp_path / "from the service").write_bytes((export / "public_key.hex").read_bytes())
    for given in (str(tmp_path / "from the service"), KEY.hex()):
        verdict = judged(export, given)
        assert (codes(verdict), verdict.exit_code) == (([], True), 0)
        assert "THE TRUSTED KEY ALSO STANDS IN" in " ".join(line.strip() for line in report(verdict, "en"))


def test_a_copy_in_any_form_is_named(export: Path) -> None:
    pem = Ed25519PublicKey.from_public_bytes(KEY).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for data in (KEY, pem, KEY.hex().encode("utf-16")):
        (export / "public_key.hex").write_bytes(data)
        assert codes(judged(export, KEY.hex())) == ([], True)
    (export / "public_key.hex").write_bytes(LONGTERM.sign(b"")[:32])
    assert codes(judged(export, KEY.hex())) == ([], False)


def test_a_folder_of_almost_the_same_name_is_not_within(export: Path) -> None:
    beside = export.parent / "export2"
    beside.mkdir()
    (beside / "key").write_bytes(KEY.hex().encode())
    assert not lies_within(beside / "key", export)
    assert not lies_within(KEY.hex(), export)
    assert not lies_within("x" * 5000, export)


def test_the_report_names_the_fingerprint_of_the_trusted_key() -> None:
    verdict = verify(BUILT.reader(), KEY, revoked={})
    assert verdict.as_json()["trusted_key"] == key_id(KEY).hex()
    for language, words in (("fr", "Clé de confiance"), ("en", "Trusted key")):
        text = " ".join(line.strip() for line in report(verdict, language))  # type: ignore[arg-type]
        assert words in text
        assert key_id(KEY).hex() in text
    assert verify(BUILT.reader(), None).as_json()["trusted_key"] == ""


def test_openssl_finds_every_signature_of_a_recording_right(tmp_path: Path) -> None:
    """Another implementation judges: of certificates, and of records under the session key that signs them."""
    records = BUILT.records()
    key = b""
    for record in records:
        if record.sequence == 0:
            key = record.body.certificate.session_key  # type: ignore[union-attr]
        assert _openssl(tmp_path, key, record.signed, record.signature)
        assert not _openssl(tmp_path, key, record.signed.replace(b"record 3\n", b"record 1\n"), record.signature)
        certificate = getattr(record.body, "certificate", None)
        if certificate is not None:
            assert certificate.signed_bytes().startswith(DOMAIN_CERTIFICATE)
            assert _openssl(tmp_path, KEY, certificate.signed_bytes(), certificate.signature)
            key = certificate.session_key
    assert MemoryReader(BUILT.files).size("chain") == sum(record.size for record in records) + 10


def _openssl(folder: Path, key: bytes, message: bytes, signature: bytes) -> bool:
    der = Ed25519PublicKey.from_public_bytes(key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for name, data in (("key", der), ("message", message), ("signature", signature)):
        (folder / name).write_bytes(data)
    command = "openssl pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in message -sigfile signature"
    return subprocess.run(command.split(), cwd=folder, capture_output=True, check=False).returncode == 0
