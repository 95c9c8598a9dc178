"""What a viewer who joins is sent first: the packets since the last IDR, or since a recovery point where no IDR comes.

Owns: the packets that the camera did not send at that place.  Must never know: legs, which packets are kept (`cached_packets`).

Parameter sets in force that the first picture does not carry go first, because a camera may send them once, or in its offer
only.  Where the first picture is no IDR, a grey IDR of the camera's format goes before it (`rtp.grey`): browsers begin at an
IDR only.  These packets take the indices directly before the first picture, and exist in replays only.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from relay.rtp.burst import MediaPacket
from relay.rtp.grey import grey_picture
from relay.rtp.h264 import FU_A
from relay.rtp.parameter_sets import ParameterSets, sets_in

FRAGMENT_BYTES = 1100
"""Bytes of the grey IDR in one packet."""
GREY_TICKS = 90
"""RTP ticks by which it comes before the first picture."""


class Beginning(NamedTuple):
    """The first picture of a replay, and what was in force when it came."""

    timestamp: int
    is_idr: bool
    units: tuple[bytes, ...]
    """Parameter sets."""
    sps: bytes
    """That of the picture; empty where it is not known."""
    free_pps: int | None
    """A number that no PPS has."""


def beginning(media: MediaPacket, sets: ParameterSets) -> Beginning:
    """Return what is in force at the picture of a packet."""
    in_force = sets.sets()
    sps = in_force.sps[0] if in_force is not None else b""
    return Beginning(media.timestamp, media.keyframe, sets.units, sps, sets.free_pps)


def packets_ahead(begun: Beginning, packets: Sequence[MediaPacket]) -> list[MediaPacket]:
    """Return what goes before a replay of these packets, with the indices before the first of them."""
    ahead = list(_missing_sets(begun, packets) if begun.is_idr else _grey(begun, packets))
    first = packets[0]
    index = first.index - len(ahead)
    return [
        MediaPacket(index + at, timestamp, marker, payload, first.arrival, idr=True)
        for at, (timestamp, marker, payload) in enumerate(ahead)
    ]


def _missing_sets(begun: Beginning, packets: Sequence[MediaPacket]) -> Iterator[tuple[int, bool, bytes]]:
    """Yield timestamp, marker and payload of the sets that the first picture needs and does not carry."""
    carried = {unit for media in packets if media.timestamp == begun.timestamp for unit in sets_in(media.payload)}
    for unit in begun.units:
        if unit not in carried:
            yield begun.timestamp, False, unit


def _grey(begun: Beginning, packets: Sequence[MediaPacket]) -> Iterator[tuple[int, bool, bytes]]:
    """Yield the packets of a grey IDR with all sets; the missing sets alone for a format that has none."""
    picture = grey_picture(begun.sps, begun.free_pps) if begun.free_pps is not None else None
    if picture is None:
        yield from _missing_sets(begun, packets)
        return
    timestamp = (begun.timestamp - GREY_TICKS) & 0xFFFFFFFF
    pps, idr = picture
    for unit in (*begun.units, pps):
        yield timestamp, False, unit
    payloads = _fragments(idr)
    for at, payload in enumerate(payloads, 1):
        yield timestamp, at == len(payloads), payload


def _fragments(unit: bytes) -> list[bytes]:
    """Return a unit as FU-A payloads, or as it is where it is short (RFC 6184 §5.8)."""
    if len(unit) <= FRAGMENT_BYTES:
        return [unit]
    pieces = [unit[at : at + FRAGMENT_BYTES] for at in range(1, len(unit), FRAGMENT_BYTES)]
    ends = {0: 0x80, len(pieces) - 1: 0x40}
    return [bytes((unit[0] & 0xE0 | FU_A, ends.get(at, 0) | unit[0] & 31)) + piece for at, piece in enumerate(pieces)]
