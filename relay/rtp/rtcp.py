"""RTCP over bytes: what both directions need (RFC 3550 §6, RFC 4585, RFC 5104, REMB draft, transport-wide feedback draft).

Owns: the layout of RTCP packets.  Must never know: sessions, timers, media.
`parse` never raises on a compound whose framing is sound: packets that are unknown, or known but malformed inside, are left
out and counted in `Compound.skipped`, so that one bad packet does not take a sender report down with it.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from relay.base.errors import Kind, TheirError

SR, RR, SDES, BYE, APP, RTPFB, PSFB = 200, 201, 202, 203, 204, 205, 206
NTP_EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970."""

MAX_PACKETS = 64
"""Packets of one compound that are read: reports, a description and feedback on every stream of a wall are fewer."""
MAX_NACKED = 256
"""Numbers asked for in one compound that are read; libwebrtc asks for 253 at once (RTCP_MAX_NACK_FIELDS)."""

_REPORT = struct.Struct(">IIIIII")
_SENDER = struct.Struct(">IQIII")
_SECOND_NS = 1_000_000_000


class ReportBlock(NamedTuple):
    """RFC 3550 §6.4.1; `fraction_lost` in 1/256, `lost` signed 24 bits, `last_sr` and `delay` in 1/65536 s."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    last_sr: int
    delay: int


class SenderReport(NamedTuple):
    """`ntp` is the 64-bit NTP time at `rtp`."""

    ssrc: int
    ntp: int
    rtp: int
    packets: int
    octets: int
    reports: tuple[ReportBlock, ...]


class ReceiverReport(NamedTuple):
    """What a receiver says of our streams."""

    ssrc: int
    reports: tuple[ReportBlock, ...]


class Bye(NamedTuple):
    """Streams that ended."""

    ssrcs: tuple[int, ...]


class Nack(NamedTuple):
    """Generic NACK: sequence numbers missing, 0..65535, wrapped (RFC 4585 §6.2.1)."""

    sender: int
    media: int
    lost: tuple[int, ...]


class Pli(NamedTuple):
    """Picture loss indication."""

    sender: int
    media: int


class Fir(NamedTuple):
    """Full intra request (RFC 5104 §4.3.1): (ssrc, command number) pairs."""

    sender: int
    entries: tuple[tuple[int, int], ...]


class Remb(NamedTuple):
    """Receiver estimated maximum bitrate, bit/s."""

    sender: int
    bitrate: int
    ssrcs: tuple[int, ...]


Report: TypeAlias = SenderReport | ReceiverReport | Bye | Nack | Pli | Fir | Remb


@dataclass(slots=True)
class Compound:
    """What could be read of one compound packet."""

    packets: list[Report] = field(default_factory=list)
    skipped: int = 0


def ntp_from_ns(utc_ns: int) -> int:
    """Return the 64-bit NTP time of UTC nanoseconds since 1970."""
    seconds, rest = divmod(utc_ns, _SECOND_NS)
    return ((seconds + NTP_EPOCH) << 32 | (rest << 32) // _SECOND_NS) & (1 << 64) - 1


def ns_from_ntp(ntp: int) -> int:
    """Return UTC nanoseconds since 1970; times before 1970 (senders without a wall clock) come out negative."""
    return ((ntp >> 32) - NTP_EPOCH) * _SECOND_NS + ((ntp & 0xFFFFFFFF) * _SECOND_NS >> 32)


# --- parsing -----------------------------------------------------------------------------------------------------------


def parse(compound: bytes) -> Compound:
    """Read a compound; raises TheirError(INVALID) where its framing is broken from the first packet on.

    A broken frame after sound ones ends the reading and counts as skipped, and so does a packet more than `MAX_PACKETS`;
    a NACK beyond `MAX_NACKED` numbers is cut or left out.
    """
    result = Compound()
    at, nacked = 0, 0
    for _ in range(MAX_PACKETS):
        if at >= len(compound):
            return result
        body = _frame(compound, at)
        if body is None:
            if at == 0:
                raise TheirError(Kind.INVALID, "RTCP framing is broken")
            break
        count, kind, content, at = body
        packet = _one(kind, count, content)
        if isinstance(packet, Nack) and (nacked := nacked + len(packet.lost)) > MAX_NACKED:
            packet = None
        if packet is None:
            result.skipped += kind != SDES
        else:
            result.packets.append(packet)
    result.skipped += at < len(compound)
    return result


def _frame(compound: bytes, at: int) -> tuple[int, int, bytes, int] | None:
    if at + 4 > len(compound) or compound[at] >> 6 != 2:
        return None
    end = at + 4 + 4 * int.from_bytes(compound[at + 2 : at + 4], "big")
    if end > len(compound):
        return None
    stop = end
    if compound[at] & 0x20:
        padding = compound[end - 1]
        if padding == 0 or padding > end - at - 4:
            return None
        stop = end - padding
    return compound[at] & 31, compound[at + 1], compound[at + 4 : stop], end


def _one(kind: int, count: int, content: bytes) -> Report | None:
    if kind == SR:
        return _sender_report(count, content)
    if kind == RR:
        return _receiver_report(count, content)
    if kind == BYE:
        return _bye(count, content)
    if kind == RTPFB and count == 1:
        return _nack(content)
    if kind == PSFB:
        return _payload_feedback(count, content)
    return None


def _blocks(content: bytes, at: int, count: int) -> tuple[ReportBlock, ...] | None:
    """Read report blocks; what follows them is a profile extension and is left alone."""
    if at + 24 * count > len(content):
        return None
    blocks = []
    for start in range(at, at + 24 * count, 24):
        ssrc, loss, highest, jitter, last_sr, delay = _REPORT.unpack_from(content, start)
        lost = (loss & 0xFFFFFF) - ((loss & 0x800000) << 1)
        blocks.append(ReportBlock(ssrc, loss >> 24, lost, highest, jitter, last_sr, delay))
    return tuple(blocks)


def _sender_report(count: int, content: bytes) -> SenderReport | None:
    if len(content) < _SENDER.size:
        return None
    blocks = _blocks(content, _SENDER.size, count)
    if blocks is None:
        return None
    ssrc, ntp, rtp, packets, octets = _SENDER.unpack_from(content)
    return SenderReport(ssrc, ntp, rtp, packets, octets, blocks)


def _receiver_report(count: int, content: bytes) -> ReceiverReport | None:
    if len(content) < 4:
        return None
    blocks = _blocks(content, 4, count)
    return None if blocks is None else ReceiverReport(int.from_bytes(content[:4], "big"), blocks)


def _bye(count: int, content: bytes) -> Bye | None:
    if 4 * count > len(content):
        return None
    return Bye(struct.unpack_from(f">{count}I", content))


def _nack(content: bytes) -> Nack | None:
    if len(content) < 8 or len(content) % 4:
        return None
    sender, media = struct.unpack_from(">II", content)
    lost: list[int] = []
    for at in range(8, len(content), 4):
        if len(lost) >= MAX_NACKED:
            break
        first, mask = struct.unpack_from(">HH", content, at)
        lost.append(first)
        lost.extend((first + bit + 1) & 0xFFFF for bit in range(16) if mask >> bit & 1)
    return Nack(sender, media, tuple(lost[:MAX_NACKED]))


def _payload_feedback(form: int, content: bytes) -> Report | None:
    if len(content) < 8:
        return None
    sender, media = struct.unpack_from(">II", content)
    if form == 1:
        return Pli(sender, media)
    if form == 4 and len(content) % 8 == 0:
        entries = ((int.from_bytes(content[at : at + 4], "big"), content[at + 4]) for at in range(8, len(content), 8))
        return Fir(sender, tuple(entries))
    if form == 15 and content[8:12] == b"REMB":
        return _remb(sender, content)
    return None


def _remb(sender: int, content: bytes) -> Remb | None:
    if len(content) < 16 or len(content) < 16 + 4 * content[12]:
        return None
    packed = int.from_bytes(content[13:16], "big")
    return Remb(sender, (packed & 0x3FFFF) << (packed >> 18), struct.unpack_from(f">{content[12]}I", content, 16))


# --- building ----------------------------------------------------------------------------------------------------------


def _head(count: int, kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0x80 | count, kind, len(body) // 4) + body


def _build_blocks(reports: Sequence[ReportBlock]) -> bytes:
    return b"".join(
        _REPORT.pack(b.ssrc, b.fraction_lost << 24 | b.lost & 0xFFFFFF, b.highest, b.jitter, b.last_sr, b.delay)
        for b in reports
    )


def build_sender_report(report: SenderReport) -> bytes:
    """Return an SR packet (at most 31 reports)."""
    body = _SENDER.pack(report.ssrc, report.ntp, report.rtp, report.packets & 0xFFFFFFFF, report.octets & 0xFFFFFFFF)
    return _head(len(report.reports), SR, body + _build_blocks(report.reports))


def build_receiver_report(report: ReceiverReport) -> bytes:
    """Return an RR packet (at most 31 reports)."""
    return _head(len(report.reports), RR, report.ssrc.to_bytes(4, "big") + _build_blocks(report.reports))


def build_sdes(ssrc: int, cname: str) -> bytes:
    """Return an SDES packet with one CNAME (1..255 bytes of UTF-8)."""
    name = cname.encode()
    chunk = struct.pack(">IBB", ssrc, 1, len(name)) + name + b"\0"
    return _head(1, SDES, chunk + bytes(-len(chunk) % 4))


def build_bye(ssrcs: Sequence[int]) -> bytes:
    """Return a BYE packet (at most 31 sources)."""
    return _head(len(ssrcs), BYE, struct.pack(f">{len(ssrcs)}I", *ssrcs))


def build_nack(sender: int, media: int, lost: Iterable[int]) -> bytes:
    """Return a generic NACK for sequence numbers given in stream order (they may wrap)."""
    pairs: list[list[int]] = []
    for sequence in lost:
        if pairs and 0 < (distance := (sequence - pairs[-1][0]) & 0xFFFF) <= 16:
            pairs[-1][1] |= 1 << distance - 1
        elif not pairs or sequence != pairs[-1][0]:
            pairs.append([sequence, 0])
    return _head(1, RTPFB, struct.pack(">II", sender, media) + b"".join(struct.pack(">HH", *pair) for pair in pairs))


def build_pli(sender: int, media: int) -> bytes:
    """Return a picture loss indication."""
    return _head(1, PSFB, struct.pack(">II", sender, media))


def build_fir(sender: int, media: int, command: int) -> bytes:
    """Return a full intra request; `command` 0..255 changes with every new request."""
    return _head(4, PSFB, struct.pack(">IIIB3x", sender, 0, media, command & 255))


def build_sli(sender: int, media: int) -> bytes:
    """Return a slice loss indication (RFC 4585 §6.3.2) that names all macroblocks of the last picture."""
    return _head(2, PSFB, struct.pack(">III", sender, media, 0x1FFF << 6))


def build_remb(sender: int, bitrate: int, ssrcs: Sequence[int]) -> bytes:
    """Return a REMB packet; the bitrate (bit/s) is rounded down to 18 significant bits."""
    exponent = max(0, bitrate.bit_length() - 18)
    packed = exponent << 18 | bitrate >> exponent
    body = struct.pack(">II4sB", sender, 0, b"REMB", len(ssrcs)) + packed.to_bytes(3, "big")
    return _head(15, PSFB, body + struct.pack(f">{len(ssrcs)}I", *ssrcs))
