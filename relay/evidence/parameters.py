"""Decoder configurations of a track: what a player needs beside the samples, H.264 (`avcC`) and Opus (`dOps`).

Owns: reading them so that two can be compared; colours and shape of pixels according to an SPS (ITU-T H.264 Annex E).
Must never know: samples, files, the chain.  Raises TheirError for bytes that are no configuration.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from relay.base.errors import Kind, TheirError

_CHROMA_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_PIXEL_SHAPES = (
    *((0, 0), (1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11)),
    *((80, 33), (18, 11), (15, 11), (64, 33), (160, 99), (4, 3), (3, 2), (2, 1)),
)
_OTHER_SHAPE = 255
UNSPECIFIED = 2
_SPS, _PPS = 7, 8
_MAX_UNITS = 1000
"""Units of a picture that are looked at for parameter sets."""


def _bad(why: str) -> TheirError:
    return TheirError(Kind.INVALID, why)


@dataclass(frozen=True, slots=True)
class PictureConfiguration:
    """The values of an `avcC` (ISO/IEC 14496-15 §5.3.3.1)."""

    profile: bytes
    """Profile, compatibility and level."""
    length_size: int
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SoundConfiguration:
    """The values of a `dOps` that change what is heard (Opus in ISOBMFF §4.3.2; its input sample rate changes nothing)."""

    channels: int
    preskip: int
    gain: int
    mapping: bytes


Configuration = PictureConfiguration | SoundConfiguration


def picture_configuration(data: bytes) -> PictureConfiguration:
    """Read the payload of an `avcC`.  Raises TheirError."""
    if len(data) < 7 or data[0] != 1:
        raise _bad("avcC of another version")
    sps, at = _sets(data, 5, data[5] & 31)
    pps, at = _sets(data, at, data[at] if at < len(data) else 0)
    rest = data[at:]
    if rest and (len(rest) != 4 or rest[3]):
        raise _bad("avcC with more than its parameter sets")
    return PictureConfiguration(data[1:4], (data[4] & 3) + 1, sps, pps)


def _sets(data: bytes, at: int, count: int) -> tuple[tuple[bytes, ...], int]:
    found, at = [], at + 1
    for _ in range(count):
        size = int.from_bytes(data[at : at + 2], "big")
        if at + 2 + size > len(data):
            raise _bad("avcC ends inside a parameter set")
        found.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return tuple(found), at


def sound_configuration(data: bytes) -> SoundConfiguration:
    """Read the payload of a `dOps`.  Raises TheirError."""
    if len(data) < 11 or data[0] != 0:
        raise _bad("dOps of another version")
    return SoundConfiguration(
        data[1], int.from_bytes(data[2:4], "big"), int.from_bytes(data[8:10], "big", signed=True), data[10:]
    )


class HeldSets:
    """The parameter sets in force in a decoder that plays a copy from its beginning, by number (§7.4.1.2.1)."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int], bytes] = {}
        self._configured: Configuration | None = None

    def play(self, sample: bytes, configuration: Configuration) -> None:
        """Take the next picture and the configuration that it is decoded with."""
        if configuration != self._configured:
            self._configured = configuration
            if isinstance(configuration, PictureConfiguration):
                self._take((*configuration.sps, *configuration.pps))
        self._take(_leading_sets(sample))

    def _take(self, units: Iterable[bytes]) -> None:
        for unit in units:
            if (number := _number(unit)) is not None:
                self._held[number] = unit

    def hold(self, configuration: PictureConfiguration) -> bool:
        """Return whether each set of a configuration is in force."""
        return all(self._held.get(_number(unit) or (0, 0)) == unit for unit in (*configuration.sps, *configuration.pps))


def _leading_sets(sample: bytes) -> Iterator[bytes]:
    """Yield the parameter sets among the first units of a picture, before its first slice."""
    at = 0
    for _ in range(_MAX_UNITS):
        if at + 4 >= len(sample) or 1 <= sample[at + 4] & 31 <= 5:
            return
        size = int.from_bytes(sample[at : at + 4], "big")
        if sample[at + 4] & 31 in (_SPS, _PPS) and size:
            yield sample[at + 4 : at + 4 + size]
        at += 4 + size


def _number(unit: bytes) -> tuple[int, int] | None:
    """Return the type and number of a parameter set (§7.3.2.1.1, §7.3.2.2), None where it has none."""
    kind = unit[0] & 31 if unit else 0
    try:
        return (kind, _Bits(unit[4 if kind == _SPS else 1 :][:16]).ue()) if kind in (_SPS, _PPS) else None
    except TheirError:
        return None


# --- an SPS -----------------------------------------------------------------------------------------------------------


def is_b_picture(sample: bytes) -> bool:
    """Return whether the first slice of a picture is a B slice (H.264 §7.4.3): no other is shown before earlier ones."""
    at = 0
    for _ in range(_MAX_UNITS):
        if at + 4 >= len(sample):
            return False
        size = int.from_bytes(sample[at : at + 4], "big")
        if 1 <= sample[at + 4] & 31 <= 5:
            bits = _Bits(sample[at + 5 : at + min(4 + size, 24)])
            try:
                bits.ue()
                return bits.ue() % 5 == 1
            except TheirError:
                return False
        at += 4 + size
    return False


@dataclass(frozen=True, slots=True)
class Look:
    """How pictures want to be shown: the shape of a pixel (width, height; 0 unspecified) and their colours.

    `colours`: primaries, transfer, matrix; `full_range`: 0 or 1.
    """

    pixel: tuple[int, int] = (0, 0)
    colours: tuple[int, int, int] = (UNSPECIFIED, UNSPECIFIED, UNSPECIFIED)
    full_range: int = 0


class _Bits:
    """Bits of a NAL unit without its emulation prevention bytes."""

    def __init__(self, unit: bytes) -> None:
        plain = unit.replace(b"\0\0\3", b"\0\0")
        self._bits = int.from_bytes(plain, "big")
        self._left = 8 * len(plain)

    def u(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise _bad("an SPS ends early")
        return self._bits >> self._left & (1 << count) - 1

    def ue(self) -> int:
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:
                raise _bad("an absurd number in an SPS")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        value = self.ue()
        return (value + 1) // 2 if value % 2 else -(value // 2)


def look(sps: bytes) -> Look:
    """Return what the VUI of an SPS says, as far as colours and shape go (§7.3.2.1.1, §E.1.1).  Raises TheirError."""
    bits = _Bits(sps[1:])
    profile, _, _ = bits.u(8), bits.u(16), bits.ue()
    if profile in _CHROMA_PROFILES:
        _skip_chroma(bits)
    bits.ue()
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.u(1), bits.se(), bits.se()
        for _ in range(min(bits.ue(), 256)):
            bits.se()
    bits.ue(), bits.u(1), bits.ue(), bits.ue()
    if not bits.u(1):
        bits.u(1)
    bits.u(1)
    if bits.u(1):
        for _ in range(4):
            bits.ue()
    return _vui(bits) if bits.u(1) else Look()


def _skip_chroma(bits: _Bits) -> None:
    chroma = bits.ue()
    if chroma == 3:
        bits.u(1)
    bits.ue(), bits.ue(), bits.u(1)
    if not bits.u(1):
        return
    for index in range(8 if chroma != 3 else 12):
        if bits.u(1):
            scale = following = 8
            for _ in range(16 if index < 6 else 64):
                if following:
                    following = (scale + bits.se()) % 256
                scale = following or scale


def _vui(bits: _Bits) -> Look:
    pixel, colours, full = (0, 0), Look().colours, 0
    if bits.u(1):
        kind = bits.u(8)
        pixel = (
            (bits.u(16), bits.u(16)) if kind == _OTHER_SHAPE else _PIXEL_SHAPES[kind] if kind < len(_PIXEL_SHAPES) else (0, 0)
        )
    if bits.u(1):
        bits.u(1)
    if bits.u(1):
        bits.u(3)
        full = bits.u(1)
        if bits.u(1):
            colours = bits.u(8), bits.u(8), bits.u(8)
    return Look(pixel, colours, full)
