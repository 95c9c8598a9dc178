"""Keys are read in every form that people have them in; what proves nothing is refused in words that say what to give."""

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from relay.base.errors import TheirError
from relay.evidence.keys import key_from, public_key_from
from relay.evidence.seal import MemorySigner, is_point, is_weak, key_id, sha256, signature_holds

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = PRIVATE.public_key()
RAW = PUBLIC.public_bytes_raw()
HEX = RAW.hex()
PEM = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DER = PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
PRIVATE_PEM = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PRIVATE_DER = PRIVATE.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
COLONS = ":".join(HEX[at : at + 2] for at in range(0, 64, 2))
RSA = rsa.generate_private_key(65537, 2048)
IDENTITY = b"\1" + bytes(31)

FORMS = {
    "raw": RAW,
    "hex": HEX.encode(),
    "hex with spaces": f"  {HEX.upper()}\n".encode(),
    "hex with 0x": f"0x{HEX}".encode(),
    "hex in UTF-8 with a byte order mark": b"\xef\xbb\xbf" + HEX.encode() + b"\r\n",
    "hex in UTF-16": HEX.encode("utf-16"),
    "hex in UTF-16, big-endian": b"\xfe\xff" + HEX.encode("utf-16-be"),
    "hex in UTF-16 without a mark": f"{HEX}\r\n".encode("utf-16-le"),
    "hex in UTF-16 without a mark, big-endian": HEX.encode("utf-16-be"),
    "colons": COLONS.encode(),
    "colons over lines": "\r\n".join(COLONS[at : at + 45] for at in range(0, len(COLONS), 45)).encode(),
    "lines of old Macs": "\r".join((HEX[:32], HEX[32:])).encode(),
    "base64": base64.b64encode(RAW),
    "base64 without its padding": base64.b64encode(RAW).rstrip(b"="),
    "base64 for addresses": base64.urlsafe_b64encode(RAW),
    "base64 of DER": base64.b64encode(DER),
    "der": DER,
    "pem": PEM,
    "pem with CRLF": PEM.replace(b"\n", b"\r\n"),
    "pem in UTF-16": PEM.decode().encode("utf-16"),
    "pem with text before it": "Clé publique du service, reçue le 3 mai :\n\n".encode() + PEM + b"\n-- \nCSP Exemple\n",
    "pem in one line": PEM.replace(b"\n", b" "),
}


@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS.keys())
def test_a_public_key_is_read_in_every_form(data: bytes) -> None:
    assert public_key_from(data) == RAW


@pytest.mark.parametrize("flags", [["-pubin", "-text"], ["-pubin", "-text", "-noout"], ["-pubin", "-outform", "DER"]])
def test_what_openssl_prints_of_a_public_key_is_read(tmp_path: Path, flags: list[str]) -> None:
    (tmp_path / "key.pem").write_bytes(PEM)
    printed = subprocess.run(["openssl", "pkey", "-in", tmp_path / "key.pem", *flags], capture_output=True, check=True).stdout
    assert public_key_from(printed) == RAW


def test_what_openssl_prints_of_other_keys_is_refused_in_words(tmp_path: Path) -> None:
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for key, flags, words in ((PRIVATE_PEM, ["-noout"], "PRIVATE key"), (pem, ["-pubin", "-noout"], "RSA")):
        (tmp_path / "key.pem").write_bytes(key)
        command = ["openssl", "pkey", "-in", str(tmp_path / "key.pem"), "-text", *flags]
        with pytest.raises(TheirError, match=words):
            public_key_from(subprocess.run(command, capture_output=True, check=True).stdout)


def _spki(key: object) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined, no-any-return]


REFUSED = {
    "empty": (b"", "empty"),
    "a private key": (PRIVATE_PEM, "PRIVATE key"),
    "a private key in DER": (PRIVATE_DER, "PRIVATE key"),
    "both halves in one file": (PRIVATE_PEM + PEM, "PRIVATE key"),
    "a private RSA key": (RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()), "PRIVATE key"),
    "an RSA key": (_spki(RSA), "RSA"),
    "an ECDSA key": (_spki(generate_private_key(SECP256R1())), "elliptic curves"),
    "an Ed448 key": (_spki(Ed448PrivateKey.generate()), "Ed448"),
    "an X25519 key": (_spki(X25519PrivateKey.generate()), "X25519"),
    "a certificate": (b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "certificate"),
    "two keys": (PEM + PEM, "2 keys"),
    "a PEM text that is cut off": (PEM[:60], "cut off"),
    "a key for SSH": (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI agent@poste", "SSH"),
    "a digit too few": (HEX[:-1].encode(), "63 hexadecimal digits"),
    "half a key": (HEX[:32].encode(), "32 hexadecimal digits"),
    "two keys' digits": (HEX.encode() * 2, "128 hexadecimal digits"),
    "zeros": (bytes(32), "all zeros"),
    "zeros in digits": (b"00" * 32, "all zeros"),
    "low order": (IDENTITY, "weak key"),
    "not canonical": (b"\xee" + b"\xff" * 30 + b"\x7f", "weak key"),
    "low order, the other sign": (b"\1" + bytes(30) + b"\x80", "weak key"),
    "no point": (key_id(MemorySigner(sha256(b"fingerprint 1")).public_key), "fingerprint"),
    "prose": ("la clé est chez le greffier".encode(), "no text of a key"),
    "a picture": (b"\x89PNG\r\n" + bytes(range(256)), "no text of a key"),
    "a film": (b"x" * 70_000, "70000 bytes"),
}


@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_proves_nothing_is_refused_in_words_that_say_what_to_give(data: bytes, words: str) -> None:
    with pytest.raises(TheirError, match=words) as refused:
        public_key_from(data)
    assert refused.value.detail.startswith("public key: ")
    assert "64 hexadecimal digits" in refused.value.detail


def test_a_recording_key_may_be_text_of_any_kind_too() -> None:
    key = bytes(range(32))
    for data in (key, key.hex().encode("utf-16"), base64.b64encode(key) + b"\r\n", b"\xef\xbb\xbf" + key.hex().encode()):
        assert key_from(data, "recording key") == key
    with pytest.raises(TheirError, match="recording key"):
        key_from(b"", "recording key")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_key_or_refused(data: bytes) -> None:
    try:
        key = public_key_from(data)
    except TheirError:
        return
    assert len(key) == 32
    assert is_point(key)
    assert not is_weak(key)


@given(st.binary(min_size=32, max_size=32))
def test_a_key_that_was_made_is_a_point_and_not_weak(seed: bytes) -> None:
    key = MemorySigner(seed).public_key
    assert (is_point(key), is_weak(key)) == (True, False)


def test_under_a_key_of_low_order_anybodys_signature_would_hold_and_does_not() -> None:
    forged = IDENTITY + bytes(32)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    Ed25519PublicKey.from_public_bytes(IDENTITY).verify(forged, b"whatever")
    assert not signature_holds(IDENTITY, b"whatever", forged)
