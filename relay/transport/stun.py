"""STUN binding requests of ICE over bytes (RFC 8489, RFC 8445): parse, authenticate, answer.

Owns: the wire format.  Must never know: which credentials exist, addresses, sockets.

A lite agent only answers: requests are parsed, everything else is refused.  Unknown attributes are ignored, which is laxer than
RFC 8489 §6.3.1: every WebRTC stack needs it of its peers.
"""

import functools
import hashlib
import hmac
import ipaddress
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

COOKIE: Final = 0x2112A442
_COOKIE: Final = COOKIE.to_bytes(4, "big")
BINDING_REQUEST: Final = 0x0001
BINDING_SUCCESS: Final = 0x0101
_USERNAME: Final = 0x0006
_INTEGRITY: Final = 0x0008
_XOR_MAPPED_ADDRESS: Final = 0x0020
_PRIORITY: Final = 0x0024
_USE_CANDIDATE: Final = 0x0025
_FINGERPRINT: Final = 0x8028
_CONTROLLED: Final = 0x8029
_CONTROLLING: Final = 0x802A
_FINGERPRINT_XOR: Final = 0x5354554E
_HEADER: Final = 20
MAX_ATTRIBUTES: Final = 16
"""Chromium sends 9; work per datagram is bounded (I9)."""
_SIZES: Final = {_INTEGRITY: 20, _PRIORITY: 4, _USE_CANDIDATE: 0, _FINGERPRINT: 4, _CONTROLLED: 8, _CONTROLLING: 8}

_pair: Final = struct.Struct(">HH").unpack_from


class StunError(ValueError):
    """A datagram that is no binding request we can use."""


@dataclass(frozen=True, slots=True)
class Request:
    """A binding request, NOT yet authenticated.

    `username` is `<our ufrag>:<their ufrag>`; `integrity_at` is the offset of MESSAGE-INTEGRITY.
    """

    transaction: bytes
    username: bytes
    integrity_at: int
    use_candidate: bool
    priority: int | None
    controlling: bool


class Key:
    """One password, ready for HMAC-SHA1 (RFC 2104): the padded key is hashed once, which makes a check four times cheaper
    than `hmac.digest`, whose look-up of the algorithm costs more than the hashing.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, password: bytes) -> None:
        block = (password if len(password) <= 64 else hashlib.sha1(password).digest()).ljust(64, b"\0")  # noqa: S324 - HMAC
        self._inner = hashlib.sha1(bytes(byte ^ 0x36 for byte in block))  # noqa: S324
        self._outer = hashlib.sha1(bytes(byte ^ 0x5C for byte in block))  # noqa: S324

    def sign(self, message: bytes) -> bytes:
        """Return the 20 bytes of MESSAGE-INTEGRITY."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


def ufrag_of(data: bytes) -> bytes:
    """Return our ufrag from a binding request; nothing else of a stranger's request is read.  Raises `StunError`."""
    _check_header(data)
    for at, kind, size in _walk(data):
        if kind == _USERNAME:
            return data[at + 4 : at + 4 + size].partition(b":")[0]
    raise StunError("USERNAME missing")


def parse_request(data: bytes) -> Request:
    """Parse a binding request with USERNAME and MESSAGE-INTEGRITY.  Raises `StunError`."""
    _check_header(data)
    found = _attributes(data)
    username, integrity_at = found.get(_USERNAME), found.get(_INTEGRITY)
    if username is None or integrity_at is None:
        raise StunError("USERNAME or MESSAGE-INTEGRITY missing")
    _check_fingerprint(data, found.get(_FINGERPRINT))
    priority = found.get(_PRIORITY)
    return Request(
        transaction=data[8:20],
        username=_value(data, username),
        integrity_at=integrity_at,
        use_candidate=_USE_CANDIDATE in found,
        priority=None if priority is None else int.from_bytes(_value(data, priority), "big"),
        controlling=_CONTROLLED not in found,
    )


def is_authentic(data: bytes, request: Request, key: Key) -> bool:
    """Check MESSAGE-INTEGRITY (RFC 8489 §14.5: HMAC-SHA1, length field as if the attribute were the last)."""
    at = request.integrity_at
    covered = data[:2] + (at + 24 - _HEADER).to_bytes(2, "big") + data[4:at]
    return hmac.compare_digest(key.sign(covered), data[at + 4 : at + 24])


def success(transaction: bytes, address: tuple[str, int], key: Key) -> bytes:
    """Build the answer to an authentic request, which carries the address that we saw."""
    mapped = _xor_mapped(transaction, address)
    length = 4 + len(mapped) + 24
    prefix = b"\x01\x01%b%b%b\0\x20%b%b" % (
        length.to_bytes(2, "big"),
        _COOKIE,
        transaction,
        len(mapped).to_bytes(2, "big"),
        mapped,
    )
    signed = prefix + b"\0\x08\0\x14" + key.sign(prefix)
    whole = signed[:2] + (length + 8).to_bytes(2, "big") + signed[4:]
    return whole + b"\x80\x28\0\x04" + (zlib.crc32(whole) ^ _FINGERPRINT_XOR).to_bytes(4, "big")


def _check_header(data: bytes) -> None:
    if len(data) < _HEADER or data[:2] != b"\0\x01" or data[4:8] != _COOKIE:
        raise StunError("no binding request")
    if _pair(data, 0)[1] != len(data) - _HEADER:
        raise StunError("length does not fit")


def _walk(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(offset, type, length) of each attribute; none runs past the end, and they are not too many."""
    at, end = _HEADER, len(data)
    for _ in range(MAX_ATTRIBUTES):
        if at + 4 > end:
            break
        kind, size = _pair(data, at)
        here = at
        at += 4 + (size + 3 & ~3)
        if at > end:
            break
        yield here, kind, size
    if at != end:
        raise StunError("attributes run past the end or are too many")


def _attributes(data: bytes) -> dict[int, int]:
    """Offsets of attributes by type, the first of each; what follows MESSAGE-INTEGRITY is ignored but FINGERPRINT."""
    found: dict[int, int] = {}
    for at, kind, size in _walk(data):
        if _SIZES.get(kind, size) != size:
            raise StunError("attribute of a wrong length")
        if kind not in found and (_INTEGRITY not in found or kind == _FINGERPRINT):
            found[kind] = at
    return found


def _check_fingerprint(data: bytes, at: int | None) -> None:
    if at is None:
        return
    if at + 8 != len(data):
        raise StunError("FINGERPRINT is not the last attribute")
    if zlib.crc32(data[:at]) ^ _FINGERPRINT_XOR != int.from_bytes(data[at + 4 :], "big"):
        raise StunError("FINGERPRINT does not match")


def _value(data: bytes, at: int) -> bytes:
    return data[at + 4 : at + 4 + _pair(data, at)[1]]


def _xor_mapped(transaction: bytes, address: tuple[str, int]) -> bytes:
    """RFC 8489 §14.2."""
    packed = _packed(address[0])
    port = address[1] ^ COOKIE >> 16
    mask = int.from_bytes((_COOKIE + transaction)[: len(packed)], "big")
    masked = (int.from_bytes(packed, "big") ^ mask).to_bytes(len(packed), "big")
    return (b"\0\x01" if len(packed) == 4 else b"\0\x02") + port.to_bytes(2, "big") + masked


@functools.lru_cache(maxsize=1024)
def _packed(host: str) -> bytes:
    """An IPv4 peer seen through an IPv6 socket gets its IPv4 address; one over TCP the address behind the prefix."""
    ip = ipaddress.ip_address(host.rpartition("!")[2].partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped.packed
    return ip.packed
