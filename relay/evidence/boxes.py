"""A bounds-checked walker over MP4 boxes (ISO/IEC 14496-12), and the tracks of a `moov`.

Owns: box headers, fields and tables, whatever the boxes claim.  Must never know: codecs, keys, the chain, where samples lie.
A size, count or offset that leaves its parent raises `TheirError`.  Time and memory are bounded by the length of the input.
"""

import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from relay.base.errors import Kind, TheirError
from relay.evidence.records import TrackKind

MAX_DEPTH = 12
MAX_BOXES = 20_000

_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf", b"edts", b"dinf"})


def fail(position: int, why: str) -> TheirError:
    """Return the error of bytes that cannot be read, to be raised."""
    return TheirError(Kind.INVALID, f"mp4 byte {position}: {why}")


def number(data: bytes, at: int, width: int, end: int, *, signed: bool = False) -> int:
    """Return the number of `width` bytes at `at`, which must end at or before `end`.  Raises TheirError."""
    if at + width > end:
        raise fail(at, "box ends inside a field")
    return int.from_bytes(data[at : at + width], "big", signed=signed)


def numbers(data: bytes, at: int, count: int, end: int, code: str = "I") -> "array[int]":
    """Return `count` numbers (`code`: B, H, I or Q of `array`), which must end at or before `end`.  Raises TheirError."""
    found = array(code)
    if at + count * found.itemsize > end:
        raise fail(at, f"table of {count} rows does not fit")
    found.frombytes(data[at : at + count * found.itemsize])
    if sys.byteorder == "little":
        found.byteswap()
    return found


@dataclass(frozen=True, slots=True)
class Box:
    """A box inside `data`: its four-letter type and where its payload begins and ends."""

    kind: bytes
    start: int
    payload: int
    end: int


@dataclass(frozen=True, slots=True)
class TrackHeader:
    """A track according to `moov`; the defaults are those of `trex` (0 where there is none)."""

    track: int
    timescale: int
    handler: bytes
    default_duration: int = 0
    default_size: int = 0
    default_entry: int = 1
    extended: bool = False
    """Whether there is a `trex`."""


def box_header(data: bytes, start: int, end: int, *, origin: int = 0) -> Box:
    """Read the header at `start`; the box must end at or before `end`.  Raises TheirError."""
    size, payload = number(data, start, 4, end), start + 8
    kind = data[start + 4 : start + 8]
    if len(kind) < 4 or payload > end:
        raise fail(origin + start, "box ends inside its header")
    if size == 1:
        size, payload = number(data, start + 8, 8, end), start + 16
    elif size == 0:
        size = end - start
    if size < payload - start or start + size > end:
        raise fail(origin + start, f"box of {size} bytes where {end - start} are left")
    return Box(kind, start, payload, start + size)


def walk(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, Box]]:
    """Yield (depth, box) in order of appearance, containers before their children; without recursion.  Raises TheirError."""
    stack = [(start, len(data) if end is None else end)]
    seen = 0
    while stack:
        at, limit = stack.pop()
        if at >= limit:
            continue
        box = box_header(data, at, limit)
        seen += 1
        if seen > MAX_BOXES:
            raise fail(at, f"more than {MAX_BOXES} boxes")
        yield len(stack), box
        stack.append((box.end, limit))
        if box.kind in _CONTAINERS:
            if len(stack) > MAX_DEPTH:
                raise fail(at, f"boxes nested deeper than {MAX_DEPTH}")
            stack.append((box.payload, box.end))


def full_box(data: bytes, box: Box) -> tuple[int, int]:
    """Return version and flags of a full box."""
    return number(data, box.payload, 1, box.end), number(data, box.payload + 1, 3, box.end)


# --- moov -------------------------------------------------------------------------------------------------------------


def movie_tracks(data: bytes) -> dict[int, TrackHeader]:
    """Return the tracks of an init segment (or of any bytes with a whole `moov`) by id.  Raises TheirError."""
    tracks: list[dict[str, int | bytes]] = []
    extends: dict[int, tuple[int, int, int]] = {}
    for _, box in walk(data):
        if box.kind == b"trak":
            tracks.append({})
        elif box.kind == b"trex":
            extends[number(data, box.payload + 4, 4, box.end)] = (
                number(data, box.payload + 12, 4, box.end),
                number(data, box.payload + 16, 4, box.end),
                number(data, box.payload + 8, 4, box.end),
            )
        elif tracks and box.kind in (b"tkhd", b"mdhd", b"hdlr"):
            _track_field(data, box, tracks[-1])
    found = {}
    for fields in tracks:
        track, timescale, handler = fields.get("track", 0), fields.get("timescale", 0), fields.get("handler", b"")
        if not (isinstance(track, int) and isinstance(timescale, int) and isinstance(handler, bytes) and track and timescale):
            raise fail(0, "a track without id or timescale")
        found[track] = TrackHeader(track, timescale, handler, *extends.get(track, (0, 0, 1)), track in extends)
    return found


def _track_field(data: bytes, box: Box, fields: dict[str, int | bytes]) -> None:
    long = full_box(data, box)[0] == 1
    if box.kind == b"tkhd":
        fields["track"] = number(data, box.payload + (20 if long else 12), 4, box.end)
    elif box.kind == b"mdhd":
        fields["timescale"] = number(data, box.payload + (20 if long else 12), 4, box.end)
    else:
        number(data, box.payload + 8, 4, box.end)
        fields["handler"] = data[box.payload + 8 : box.payload + 12]


def track_kind(header: TrackHeader) -> TrackKind:
    """Return video or sound by the handler of the track; raises TheirError for anything else."""
    kinds = {b"vide": TrackKind.VIDEO, b"soun": TrackKind.AUDIO}
    if header.handler not in kinds:
        raise fail(0, f"track {header.track} is neither video nor sound")
    return kinds[header.handler]
