"""Parameter sets of one H.264 stream, remembered by their numbers (ITU-T H.264 §7.3.2.1, §7.3.2.2; RFC 6184 §8.1).

Owns: which sets are in force, which of them a picture uses, and the sets that an offer brings.
Must never know: packets, pictures in order, MP4, time.

A camera may send its sets once, in its offer only, before each IDR, or several of each that take turns.  A set stays in force
until another one of its number comes.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import NamedTuple

from relay.base.errors import TheirError
from relay.rtp.h264 import FU_A, PPS, SPS, STAP_A, Bits, units

MAX_SPS, MAX_PPS = 31, 255
"""As many as an `avcC` can list (ISO/IEC 14496-15 §5.3.3.1)."""
MAX_SET_BYTES = 4096
MAX_BYTES = 16_384
"""Of all sets together: a set that would exceed it is not remembered."""
_MAX_OFFERED = 32
_SPROP = "sprop-parameter-sets"


class Sets(NamedTuple):
    """Sets with their NAL headers.  The SPS of the picture in question comes first, then the others by number."""

    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]

    @property
    def units(self) -> tuple[bytes, ...]:
        """All of them, in an order in which a decoder can take them."""
        return self.sps + self.pps


class ParameterSets:
    """The sets in force.  Hostile input costs at most `MAX_BYTES`."""

    __slots__ = ("_bytes", "_pps", "_sps", "refused")

    def __init__(self, units: Iterable[bytes] = ()) -> None:
        self._sps: dict[int, bytes] = {}
        self._pps: dict[int, tuple[int, bytes]] = {}
        """(number of its SPS, unit) by number."""
        self._bytes = 0
        self.refused = 0
        """Sets that could not be read, or for which there was no room."""
        for unit in units:
            self.take(unit)

    def take(self, unit: bytes) -> bool:
        """Take a unit with its NAL header; return whether it is a set that was not in force.  Other units are ignored."""
        kind = unit[0] & 31 if unit else 0
        if kind not in (SPS, PPS):
            return False
        try:
            return self._take_sps(unit) if kind == SPS else self._take_pps(unit)
        except TheirError:
            self.refused += 1
            return False

    def _take_sps(self, unit: bytes) -> bool:
        bits = Bits(unit, 32)
        bits.u(24)
        number = bits.ue()
        before = self._sps.get(number, b"")
        if before == unit or not self._has_room(number < 32 and (before or len(self._sps) < MAX_SPS), before, unit):
            return False
        self._sps[number] = unit
        return True

    def _take_pps(self, unit: bytes) -> bool:
        bits = Bits(unit, 32)
        number, uses = bits.ue(), bits.ue()
        before = self._pps.get(number, (0, b""))[1]
        if before == unit or not self._has_room(number < 256 and (before or len(self._pps) < MAX_PPS), before, unit):
            return False
        self._pps[number] = uses, unit
        return True

    def _has_room(self, is_countable: object, before: bytes, unit: bytes) -> bool:
        total = self._bytes - len(before) + len(unit)
        if not is_countable or len(unit) > MAX_SET_BYTES or total > MAX_BYTES:
            self.refused += 1
            return False
        self._bytes = total
        return True

    def sets(self, slice_unit: bytes = b"") -> Sets | None:
        """Return all sets in force, the SPS that a slice uses first; None where the slice's own sets are not known.

        Without a slice: None where there is no SPS, or no PPS of one.
        """
        first = self._sps_of(slice_unit) if slice_unit else next(iter(sorted(self._sps)), None)
        if first is None or first not in self._sps:
            return None
        numbers = [first, *sorted(self._sps.keys() - {first})]
        pps = tuple(unit for _, (uses, unit) in sorted(self._pps.items()) if uses in self._sps)
        return Sets(tuple(self._sps[number] for number in numbers), pps) if pps else None

    def _sps_of(self, slice_unit: bytes) -> int | None:
        """Return the number of the SPS that a slice uses (§7.3.3); None where it, or the PPS between, is not known."""
        bits = Bits(slice_unit, 24)
        try:
            bits.ue()
            bits.ue()
            return self._pps[bits.ue()][0]
        except (TheirError, KeyError):
            return None

    @property
    def free_pps(self) -> int | None:
        """The highest number that no PPS has; None where all are taken."""
        return next((number for number in range(255, -1, -1) if number not in self._pps), None)

    @property
    def units(self) -> tuple[bytes, ...]:
        """Every set in force, SPS first."""
        found = [unit for _, unit in sorted(self._sps.items())]
        return (*found, *(unit for _, (_, unit) in sorted(self._pps.items())))


def sets_in(payload: bytes) -> list[bytes]:
    """Return the whole parameter sets that a payload carries."""
    kind = payload[0] & 31 if payload else 0
    if kind == FU_A and len(payload) > 1 and payload[1] >= 0x80:
        kind = payload[1] & 31
    if kind not in (SPS, PPS, STAP_A):
        return []
    try:
        return [unit.data for unit in units(payload) if unit.kind in (SPS, PPS) and unit.start and unit.end]
    except TheirError:
        return []


def offered_sets(fmtp: str) -> tuple[bytes, ...]:
    """Return the sets of an fmtp line (`sprop-parameter-sets`, RFC 6184 §8.1); what cannot be read is left out."""
    found: list[bytes] = []
    for item in fmtp.split(";"):
        name, _, value = item.strip().partition("=")
        if name.strip().lower() == _SPROP:
            found += (_decoded(text) for text in value.strip().strip('"').split(",")[:_MAX_OFFERED])
    return tuple(unit for unit in found if unit and unit[0] & 31 in (SPS, PPS))


def _decoded(text: str) -> bytes:
    plain = text.strip().rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
