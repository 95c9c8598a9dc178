"""AES128_CM_SHA1_80 (RFC 3711) through libsrtp, for peers that do not know AES-GCM.

Owns: two libsrtp sessions.  Must never know: sockets, what is inside a payload.
"""

from collections.abc import Callable, Sequence

import pylibsrtp
from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi

from relay.base.errors import OurError
from relay.rtp.burst import Layout, Part
from relay.rtp.header import patch
from relay.transport.srtp import CM, MAX_SSRCS, WINDOW, ReplayError, SrtpError, Window

_BUFFER = 2048
"""pylibsrtp works in a buffer of 1500 bytes and wants 148 of them for the trailer: packets over 1352 bytes would not fit."""

_MAX_STEP = 1 << 15
"""libsrtp guesses the roll-over counter: a step of half the sequence space would be guessed wrongly."""


class CmSession:
    """An `SrtpSession` through libsrtp, which keeps its own windows for opening."""

    profile = CM
    overhead = 10

    def __init__(self, ours: bytes, theirs: bytes) -> None:
        self._tx = _session(ours, Policy.SSRC_ANY_OUTBOUND)
        self._rx = _session(theirs, Policy.SSRC_ANY_INBOUND)
        self._sealed: dict[int, Window] = {}
        self._opened: set[int] = set()

    def seal(self, header: bytes, payload: bytes, index: int) -> bytes:
        """See `SrtpSession`.  Raises `OurError` also where libsrtp could not follow (first ROC not 0, a huge step)."""
        ssrc = int.from_bytes(header[8:12], "big")
        window = self._sealed.setdefault(ssrc, Window())
        if not _libsrtp_follows(window.last, index) or not window.claim(index):
            raise OurError(f"I10: SSRC {ssrc:08x} index {index} would be sealed twice or under another roll-over")
        packet: bytes = self._tx.protect(header + payload)
        return packet

    def seal_burst(self, parts: Sequence[Part], out: bytearray, at: int = 0) -> list[int]:
        """See `SrtpSession`."""
        lengths = []
        for part in parts:
            packet = self.seal(*part)
            out[at : at + len(packet)] = packet
            at += len(packet)
            lengths.append(len(packet))
        return lengths

    def seal_layout(self, layout: Layout, ssrc: int, shift: int, timestamp_shift: int) -> None:
        """See `SrtpSession`."""
        for index, timestamp, at, header, payload, sealed in layout.items:
            patch(layout.buffer, at - 2, index + shift & 0xFFFF, timestamp + timestamp_shift & 0xFFFFFFFF, ssrc)
            packet = self.seal(bytes(header), payload, index + shift)
            sealed[:] = packet[len(header) :]

    def seal_rtcp(self, compound: bytes) -> bytes:
        """See `SrtpSession`."""
        packet: bytes = self._tx.protect_rtcp(compound)
        return packet

    def open_rtp(self, packet: bytes) -> bytes:
        """See `SrtpSession`."""
        ssrc = packet[8:12]
        if len(packet) < 22 or self._is_too_many(ssrc):
            raise SrtpError("too short or too many SSRCs")
        plain = _call(self._rx.unprotect, packet)
        self._opened.add(int.from_bytes(ssrc, "big"))
        return plain

    def open_rtcp(self, packet: bytes) -> bytes:
        """See `SrtpSession`."""
        ssrc = packet[4:8]
        if len(packet) < 22 or self._is_too_many(ssrc):
            raise SrtpError("too short or too many SSRCs")
        plain = _call(self._rx.unprotect_rtcp, packet)
        self._opened.add(int.from_bytes(ssrc, "big"))
        return plain

    def _is_too_many(self, ssrc: bytes) -> bool:
        return len(self._opened) >= MAX_SSRCS and int.from_bytes(ssrc, "big") not in self._opened


def _libsrtp_follows(last: int, index: int) -> bool:
    return index < 1 << 16 if last < 0 else abs(index - last) < _MAX_STEP


def _session(master: bytes, direction: int) -> Session:
    policy = Policy(key=master, ssrc_type=direction, srtp_profile=Policy.SRTP_PROFILE_AES128_CM_SHA1_80)
    policy.window_size = WINDOW
    session = Session(policy)
    session._cdata = ffi.new("char[]", _BUFFER)
    session._buffer = ffi.buffer(session._cdata)
    return session


def _call(unprotect: Callable[[bytes], bytes], packet: bytes) -> bytes:
    if len(packet) > _BUFFER:
        raise SrtpError("too long")
    try:
        return unprotect(packet)
    except pylibsrtp.Error as error:
        kind = ReplayError if "replay" in str(error) else SrtpError
        raise kind(str(error)) from None
