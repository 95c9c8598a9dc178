"""Sealing and opening of RTP and RTCP (RFC 3711, RFC 7714) for one peer.

What it owns: the session keys of one peer, its replay windows, and the law that no (key, SSRC, index) is sealed twice (I10).
What it must never know: sockets, what is inside a payload.
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

Part: TypeAlias = tuple[bytes, bytes, int]
"""(RTP header with its extensions, payload, 48-bit index = ROC << 16 | SEQ)."""


class SrtpError(Exception):
    """A packet that is not authentic, is replayed or is no SRTP; counted by the port, never shown."""


class SrtpSession(Protocol):
    """Keys of one peer."""

    profile: str
    overhead: int
    """Bytes that sealing adds to an RTP packet: 16 (AEAD_AES_128_GCM) or 10 (AES_CM_SHA1_80)."""

    def seal(self, header: bytes, payload: bytes, index: int) -> bytes:
        """Seal one RTP packet.  Raises `OurError` where this (SSRC, index) was sealed before or lies too far back (I10)."""
        ...

    def seal_burst(self, parts: Sequence[Part], out: bytearray, at: int = 0) -> list[int]:
        """Seal packets of ONE SSRC one after the other into `out` from offset `at`; return their lengths.

        `out` must have room: sum of header + payload + overhead.  Raises like `seal` (nothing of `out` is then valid).
        """
        ...

    def seal_rtcp(self, compound: bytes) -> bytes:
        """Seal one compound RTCP packet under the next SRTCP index."""
        ...

    def open_rtp(self, packet: bytes) -> bytes:
        """Return the plain packet.  Raises `SrtpError`."""
        ...

    def open_rtcp(self, packet: bytes) -> bytes:
        """Return the plain compound.  Raises `SrtpError`."""
        ...
