"""Keys are read from raw bytes, hexadecimal digits and PEM."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from relay.base.errors import TheirError
from relay.evidence.keys import key_from, public_key_from

PUBLIC = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
RAW = PUBLIC.public_bytes_raw()


@pytest.mark.parametrize(
    "data",
    [
        RAW,
        RAW.hex().encode(),
        f"  {RAW.hex().upper()}\n".encode(),
        PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ],
    ids=["raw", "hex", "hex with spaces", "pem"],
)
def test_a_public_key_is_read_in_every_form(data: bytes) -> None:
    assert public_key_from(data) == RAW


def test_a_key_of_another_kind_or_length_is_refused() -> None:
    other = generate_private_key(SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for data in (other, b"-----BEGIN PUBLIC KEY-----", RAW[:-1], RAW.hex().encode()[:-1]):
        with pytest.raises(TheirError, match="public key"):
            public_key_from(data)
    with pytest.raises(TheirError, match="recording key"):
        key_from(b"", "recording key")
