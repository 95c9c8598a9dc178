"""STUN binding requests of ICE over bytes (RFC 8489, RFC 8445): parse, authenticate, answer.

What it owns: the wire format.  What it must never know: which credentials exist, addresses, sockets.

A lite agent only answers: requests are parsed, everything else is refused here.  Unknown attributes are ignored, which is
laxer than RFC 8489 §6.3.1 and what every WebRTC stack needs of its peers.
"""

import functools
import hmac
import ipaddress
import zlib
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
MAX_ATTRIBUTES: Final = 24
"""Chromium sends 9; work per datagram is bounded (I9)."""
MAX_USERNAME: Final = 513
"""RFC 8489 §14.3: under 509 bytes; RFC 8445 §5.3: two fragments of at most 256 and a colon."""

_SIZES: Final = {_INTEGRITY: 20, _PRIORITY: 4, _USE_CANDIDATE: 0, _FINGERPRINT: 4, _CONTROLLED: 8, _CONTROLLING: 8}


class StunError(ValueError):
    """A datagram that is no binding request we can use."""


@dataclass(frozen=True, slots=True)
class Request:
    """A binding request, NOT yet authenticated.

    `username` is `<our ufrag>:<their ufrag>`; `integrity_at` is the offset of MESSAGE-INTEGRITY.
    """

    transaction: bytes
    username: str
    integrity_at: int
    use_candidate: bool
    priority: int | None
    controlling: bool


def parse_request(data: bytes) -> Request:
    """Parse a binding request with USERNAME and MESSAGE-INTEGRITY.  Raises `StunError`."""
    if len(data) < _HEADER or data[:2] != b"\0\x01" or data[4:8] != _COOKIE:
        raise StunError("no binding request")
    if int.from_bytes(data[2:4], "big") != len(data) - _HEADER:
        raise StunError("length does not fit")
    found = _attributes(data)
    username, integrity_at = found.get(_USERNAME), found.get(_INTEGRITY)
    if username is None or integrity_at is None:
        raise StunError("USERNAME or MESSAGE-INTEGRITY missing")
    _check_fingerprint(data, found.get(_FINGERPRINT))
    priority = found.get(_PRIORITY)
    return Request(
        transaction=data[8:20],
        username=_text(data, username),
        integrity_at=integrity_at,
        use_candidate=_USE_CANDIDATE in found,
        priority=None if priority is None else int.from_bytes(data[priority + 4 : priority + 8], "big"),
        controlling=_CONTROLLED not in found,
    )


def is_authentic(data: bytes, request: Request, password: bytes) -> bool:
    """Check MESSAGE-INTEGRITY (RFC 8489 §14.5: HMAC-SHA1, length field as if the attribute were the last)."""
    at = request.integrity_at
    covered = data[:2] + (at + 24 - _HEADER).to_bytes(2, "big") + data[4:at]
    return hmac.compare_digest(hmac.digest(password, covered, "sha1"), data[at + 4 : at + 24])


def success(transaction: bytes, address: tuple[str, int], password: bytes) -> bytes:
    """Build the answer to an authentic request: where we saw it come from."""
    mapped = _xor_mapped(transaction, address)
    length = 4 + len(mapped) + 24
    prefix = b"\x01\x01%b%b%b\0\x20%b%b" % (
        length.to_bytes(2, "big"),
        _COOKIE,
        transaction,
        len(mapped).to_bytes(2, "big"),
        mapped,
    )
    signed = prefix + b"\0\x08\0\x14" + hmac.digest(password, prefix, "sha1")
    whole = signed[:2] + (length + 8).to_bytes(2, "big") + signed[4:]
    return whole + b"\x80\x28\0\x04" + (zlib.crc32(whole) ^ _FINGERPRINT_XOR).to_bytes(4, "big")


def _attributes(data: bytes) -> dict[int, int]:
    """Offsets of attributes by type, the first of each; what follows MESSAGE-INTEGRITY is ignored but FINGERPRINT."""
    found: dict[int, int] = {}
    at, end = _HEADER, len(data)
    for _ in range(MAX_ATTRIBUTES):
        if at == end:
            return found
        kind = int.from_bytes(data[at : at + 2], "big")
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        step = 4 + (size + 3 & ~3)
        if at + step > end or _SIZES.get(kind, size) != size:
            raise StunError("attribute of a wrong length")
        if _INTEGRITY not in found or kind == _FINGERPRINT:
            found.setdefault(kind, at)
        at += step
    if at != end:
        raise StunError("too many attributes")
    return found


def _check_fingerprint(data: bytes, at: int | None) -> None:
    if at is None:
        return
    if at + 8 != len(data):
        raise StunError("FINGERPRINT is not the last attribute")
    if zlib.crc32(data[:at]) ^ _FINGERPRINT_XOR != int.from_bytes(data[at + 4 :], "big"):
        raise StunError("FINGERPRINT does not match")


def _text(data: bytes, at: int) -> str:
    size = int.from_bytes(data[at + 2 : at + 4], "big")
    if size > MAX_USERNAME:
        raise StunError("USERNAME too long")
    try:
        return data[at + 4 : at + 4 + size].decode("ascii")
    except UnicodeDecodeError:
        raise StunError("USERNAME is not ASCII") from None


def _xor_mapped(transaction: bytes, address: tuple[str, int]) -> bytes:
    """RFC 8489 §14.2."""
    packed = _packed(address[0])
    port = address[1] ^ COOKIE >> 16
    mask = int.from_bytes((_COOKIE + transaction)[: len(packed)], "big")
    masked = (int.from_bytes(packed, "big") ^ mask).to_bytes(len(packed), "big")
    return (b"\0\x01" if len(packed) == 4 else b"\0\x02") + port.to_bytes(2, "big") + masked


@functools.lru_cache(maxsize=1024)
def _packed(host: str) -> bytes:
    """An IPv4 peer seen through an IPv6 socket is told its IPv4 address."""
    ip = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped.packed
    return ip.packed
