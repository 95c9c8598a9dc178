"""RTP headers over bytes: bounds-checked parsing, patching in place, header extensions (RFC 3550 §5.1, RFC 8285).

Owns: the layout of an RTP packet.  Must never know: who sent it, codecs, time.
Every malformed packet raises `TheirError`; nothing else ever leaves these functions.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from relay.base.errors import Kind, TheirError

FIXED = 12
ONE_BYTE = 0xBEDE
TWO_BYTE = 0x1000

_unpack_fixed = struct.Struct(">BBHII").unpack_from
_pack_fixed = struct.Struct(">BBHII").pack
_pack_patch = struct.Struct(">HII").pack_into
_unpack_extension = struct.Struct(">HH").unpack_from


class RtpHeader(NamedTuple):
    """Where things are in one packet; sizes in bytes."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    size: int
    """Header with contributing sources and extensions; the payload starts here."""
    padding: int
    extension_profile: int
    """0 where there is no extension."""
    extension_start: int
    extension_end: int

    def payload(self, packet: bytes) -> bytes:
        """Return the payload without padding."""
        return packet[self.size : len(packet) - self.padding]


def parse(packet: bytes) -> RtpHeader:
    """Return the header of a plain RTP packet; raises TheirError(INVALID) for anything that does not fit into itself."""
    length = len(packet)
    if length < FIXED:
        raise TheirError(Kind.INVALID, "RTP packet shorter than its header")
    first, second, sequence, timestamp, ssrc = _unpack_fixed(packet)
    if first >> 6 != 2:
        raise TheirError(Kind.INVALID, "RTP version is not 2")
    size = FIXED + 4 * (first & 15)
    profile = start = 0
    if first & 0x10:
        if length < size + 4:
            raise TheirError(Kind.INVALID, "RTP extension is cut")
        profile, words = _unpack_extension(packet, size)
        start = size + 4
        size = start + 4 * words
    if size > length:
        raise TheirError(Kind.INVALID, "RTP header is longer than its packet")
    padding = _padding(packet, size) if first & 0x20 else 0
    return RtpHeader(second & 127, second > 127, sequence, timestamp, ssrc, size, padding, profile, start, size if start else 0)


def _padding(packet: bytes, size: int) -> int:
    padding = packet[-1]
    if padding == 0 or size + padding > len(packet):
        raise TheirError(Kind.INVALID, "RTP padding is longer than its packet")
    return padding


def is_rtcp(packet: bytes) -> bool:
    """Tell RTCP from RTP on a multiplexed flow (RFC 5761 §4): payload types 64 to 95 of the second byte."""
    return len(packet) > 1 and 192 <= packet[1] <= 223


def extensions(packet: bytes, header: RtpHeader) -> Iterator[tuple[int, int, int]]:
    """Yield (id, start, length) of every header extension up to the first one that is malformed.

    A malformed element costs itself and those after it, never the packet.  An element of id 0 with a length, or of id 15, ends
    the list (RFC 8285 §4.2).  Unknown profiles yield nothing (RFC 3550 §5.3.1: ignore what is not understood).
    """
    if header.extension_profile == ONE_BYTE:
        yield from _one_byte(packet, header.extension_start, header.extension_end)
    elif header.extension_profile & 0xFFF0 == TWO_BYTE:
        yield from _two_byte(packet, header.extension_start, header.extension_end)


def _one_byte(packet: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    while at < end:
        byte = packet[at]
        if byte == 0:
            at += 1
            continue
        identifier, length = byte >> 4, (byte & 15) + 1
        if not 0 < identifier < 15 or at + 1 + length > end:
            return
        yield identifier, at + 1, length
        at += 1 + length


def _two_byte(packet: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    while at < end:
        identifier = packet[at]
        if identifier == 0:
            at += 1
            continue
        if at + 2 > end or at + 2 + packet[at + 1] > end:
            return
        yield identifier, at + 2, packet[at + 1]
        at += 2 + packet[at + 1]


def extension(packet: bytes, header: RtpHeader, identifier: int) -> bytes | None:
    """Return the value of one extension, None where it is absent, malformed, or behind a malformed one."""
    if header.extension_profile == ONE_BYTE:
        return _one_byte_value(packet, header.extension_start, header.extension_end, identifier)
    for found, start, length in extensions(packet, header):
        if found == identifier:
            return packet[start : start + length]
    return None


def _one_byte_value(packet: bytes, at: int, end: int, identifier: int) -> bytes | None:
    """As `_one_byte`, for one identifier and without a generator: every packet of a camera is searched."""
    while at < end:
        byte = packet[at]
        at += 1
        if not byte:
            continue
        found = byte >> 4
        after = at + (byte & 15) + 1
        if found == identifier:
            return packet[at:after] if after <= end else None
        if not 0 < found < 15:
            return None
        at = after
    return None


def build_extensions(values: Mapping[int, bytes]) -> bytes:
    """Return an extension block with its 4-byte head, padded to words, b"" for no values.

    The one-byte form is used where it can be (ids 1..14, values 1..16 bytes), else the two-byte form (ids 1..255).
    Raises ValueError for ids or lengths that fit neither: that would be our bug.
    """
    if not values:
        return b""
    short = all(0 < identifier < 15 and 0 < len(value) < 17 for identifier, value in values.items())
    body = bytearray()
    for identifier, value in values.items():
        body += bytes((identifier << 4 | len(value) - 1,)) if short else bytes((identifier, len(value)))
        body += value
        if not identifier:
            raise ValueError("extension id 0 is padding")
    body += bytes(-len(body) % 4)
    return struct.pack(">HH", ONE_BYTE if short else TWO_BYTE, len(body) // 4) + body


def build(
    *,
    payload_type: int,
    sequence: int,
    timestamp: int,
    ssrc: int,
    marker: bool = False,
    extension_block: bytes = b"",
) -> bytes:
    """Return a header without contributing sources; `extension_block` as `build_extensions` makes it."""
    first = 0x90 if extension_block else 0x80
    return _pack_fixed(first, payload_type | marker << 7, sequence, timestamp, ssrc) + extension_block


def patch(buffer: bytearray | memoryview, at: int, sequence: int, timestamp: int, ssrc: int) -> None:
    """Write sequence, timestamp and SSRC into the packet that starts at `at`."""
    _pack_patch(buffer, at + 2, sequence, timestamp, ssrc)


def unwrap_rtx(packet: bytes, header: RtpHeader, ssrc: int, payload_type: int) -> bytes | None:
    """Return the original packet that an RTX packet carries (RFC 4588 §4), None for an empty one (a bandwidth probe).

    The RTX header's extensions are kept: they describe this transmission (transport-wide number, say).
    """
    payload = header.payload(packet)
    if len(payload) < 2:
        return None
    original = int.from_bytes(payload[:2], "big")
    head = _pack_fixed(packet[0] & 0xDF, payload_type | header.marker << 7, original, header.timestamp, ssrc)
    return head + packet[FIXED : header.size] + payload[2:]
