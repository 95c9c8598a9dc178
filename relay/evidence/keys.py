"""Keys in files that people handle: raw bytes, hexadecimal digits, base64, PEM, or what `openssl pkey -text` prints.

Owns: reading such bytes, and saying what to give instead where they are no key.  Must never know: paths.

A file may begin with a byte order mark, be UTF-16, have any line breaks, and colons between its digits.
"""

import base64
import binascii
import codecs
import re

from relay.base.errors import Kind, TheirError
from relay.evidence.seal import KEY, is_point, is_weak

MAX_KEY_FILE = 1 << 16
"""Bytes; a longer file is no key."""
_SPKI = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of an Ed25519 public key in DER (RFC 8410)."""
_PKCS8 = bytes.fromhex("300506032b6570")
_KINDS = {"RSA": "2a864886f70d010101", "elliptic curves (ECDSA)": "2a8648ce3d0201", "Ed448": "2b6571", "X25519": "2b656e"}
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_DUMPED = re.compile(r"^\s*pub:\s*((?:[0-9a-fA-F]{2}:?\s*)+)", re.MULTILINE)
_GAPS = re.compile(r"[\s:]+")
_HEX = re.compile(r"[0-9a-fA-F]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_WANTED = "give the Ed25519 public key of the service that recorded: 64 hexadecimal digits, or its file (keys/signing.pub)"


def public_key_from(data: bytes) -> bytes:
    """Return the 32 bytes of an Ed25519 public key, in any form; raises TheirError in words where it proves nothing."""
    key = _public_key(data)
    if not any(key):
        raise _refused("it is all zeros")
    if is_weak(key):
        raise _refused("it is a weak key (low order or not canonical), with which anybody can sign")
    if not is_point(key):
        raise _refused("it is no point of Ed25519: mistyped, or the key's fingerprint (id) in place of the key")
    return key


def key_from(data: bytes, what: str) -> bytes:
    """Return the 32 bytes of a key given raw, as 64 hex digits or in base64; raises TheirError."""
    key = _bare(data)
    if key is None:
        raise TheirError(Kind.INVALID, f"{what}: neither 32 bytes, nor 64 hex digits, nor base64 of 32 bytes")
    return key


def _refused(why: str) -> TheirError:
    return TheirError(Kind.INVALID, f"public key: {why}; {_WANTED}")


def _public_key(data: bytes) -> bytes:
    if len(data) > MAX_KEY_FILE:
        raise _refused(f"a file of {len(data)} bytes is no key")
    key = _bare(data)
    if key is not None:
        return key
    if _is_der(data):
        return _from_der(data)
    text = _text(data)
    blocks = _PEM.findall(text)
    if blocks or "-----BEGIN" in text:
        return _from_pem(blocks)
    if "priv:" in text or "Private-Key" in text:
        raise _private()
    dumped = _DUMPED.search(text)
    if dumped is not None and "modulus" not in text.lower():
        return _digits(_compact(dumped[1]))
    if "modulus" in text.lower() or "ASN1 OID" in text:
        raise _refused("it is a key for RSA or elliptic curves (ECDSA)")
    return _digits(_compact(text))


def _is_der(data: bytes) -> bool:
    """Return whether bytes are a DER sequence; a text may begin with the same byte, the digit 0."""
    long = len(data) > 2 and data[0] == 0x30 and (data[1] > 0x80 or data[1] == len(data) - 2)
    return long and any(byte < 9 or byte > 126 for byte in data)


def _bare(data: bytes) -> bytes | None:
    """Return 32 bytes given raw, in hexadecimal digits, or in base64, also of DER; None where they are none of these."""
    if len(data) == KEY and not _HEX.fullmatch(data.decode("latin-1")):
        return data
    if len(data) == len(_SPKI) + KEY and data.startswith(_SPKI):
        return data[len(_SPKI) :]
    compact = _compact(_text(data))
    if len(compact) == 2 * KEY and _HEX.fullmatch(compact):
        return bytes.fromhex(compact)
    if not _BASE64.fullmatch(compact):
        return None
    found = _decoded(compact)
    return (
        found.removeprefix(_SPKI) if len(found) in (KEY, len(_SPKI) + KEY) and len(found.removeprefix(_SPKI)) == KEY else None
    )


def _text(data: bytes) -> str:
    """Return the text of a file in UTF-8 or UTF-16, with or without a byte order mark; what is no text becomes U+FFFD."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    if len(data) > 1 and data[1::2].count(0) == len(data) // 2:
        return data.decode("utf-16-le", "replace")
    if data and data[::2].count(0) == (len(data) + 1) // 2:
        return data.decode("utf-16-be", "replace")
    return data.decode("utf-8", "replace")


def _compact(text: str) -> str:
    """Return a text without white space, colons and a leading `0x`."""
    return _GAPS.sub("", text).removeprefix("0x")


def _decoded(text: str) -> bytes:
    """Return what base64 (either alphabet, padding optional) stands for; nothing where it is none."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        return b""


def _digits(compact: str) -> bytes:
    """Return the key of 64 hex digits; raises TheirError that says what is there instead."""
    if not _HEX.fullmatch(compact):
        if compact.startswith("ssh-"):
            raise _refused("it is a key for SSH")
        raise _refused("it is no text of a key" if compact else "the file is empty")
    if len(compact) != 2 * KEY:
        raise _refused(f"it has {len(compact)} hexadecimal digits, and a key has 64")
    return bytes.fromhex(compact)


def _from_pem(blocks: list[tuple[str, str]]) -> bytes:
    labels = [label for label, _ in blocks]
    if any("PRIVATE" in label for label in labels):
        raise _private()
    keys = [body for label, body in blocks if label == "PUBLIC KEY"]
    if len(keys) == 1:
        return _from_der(_decoded(_compact(keys[0])))
    if keys:
        raise _refused(f"the file holds {len(keys)} keys: leave only the one to trust")
    if "CERTIFICATE" in labels:
        raise _certificate()
    raise _refused(f"it is a {labels[0].lower()}" if labels else "the PEM text is cut off")


def _from_der(data: bytes) -> bytes:
    """Return the key in a SubjectPublicKeyInfo (RFC 8410); raises TheirError that says what it is instead."""
    if data.startswith(_SPKI) and len(data) == len(_SPKI) + KEY:
        return data[len(_SPKI) :]
    if data[2:5] == b"\x02\x01\x00" or data[4:7] == b"\x02\x01\x00" or (_PKCS8 in data and data[:2] != _SPKI[:2]):
        raise _private()
    if b"\x55\x04" in data:  # an attribute of a distinguished name (X.520)
        raise _certificate()
    kinds = [kind for kind, oid in _KINDS.items() if bytes.fromhex(oid) in data]
    if kinds:
        raise _refused(f"it is a key for {kinds[0]}")
    raise _refused("its DER is damaged or of another kind")


def _private() -> TheirError:
    return _refused(
        "it is a PRIVATE key, which belongs to its owner alone and must not be handed on "
        "(its public half: openssl pkey -in FILE -pubout)"
    )


def _certificate() -> TheirError:
    return _refused("it is a certificate, for TLS perhaps")
