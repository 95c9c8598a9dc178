"""A bounds-checked walker over MP4 boxes (ISO/IEC 14496-12): the bytes, track and time of each sample.

Owns: finding samples in fragments (`moof`) and in whole files (`moov`), whatever the boxes claim.
Must never know: codecs, keys, the chain.  A size, count or offset that leaves its parent raises `TheirError`.  Time and
memory are bounded by the length of the input.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from relay.base.errors import Kind, TheirError
from relay.evidence.records import TrackKind, TrackPart
from relay.evidence.seal import sample_digest

MAX_DEPTH = 12
MAX_BOXES = 20_000
MAX_SAMPLES = 1 << 22
"""Samples of one track in one file: more than 12 hours of sound in 20 ms packets."""

_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf", b"edts", b"dinf", b"udta"})


def _fail(position: int, why: str) -> TheirError:
    return TheirError(Kind.INVALID, f"mp4 byte {position}: {why}")


def _number(data: bytes, at: int, width: int, end: int) -> int:
    if at + width > end:
        raise _fail(at, "box ends inside a field")
    return int.from_bytes(data[at : at + width], "big")


@dataclass(frozen=True, slots=True)
class Box:
    """A box inside `data`: its four-letter type and where its payload begins and ends."""

    kind: bytes
    start: int
    payload: int
    end: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample: offset and size of its bytes in the file or fragment, decode time and duration in the track's timescale."""

    offset: int
    size: int
    time: int
    duration: int


@dataclass(frozen=True, slots=True)
class TrackHeader:
    """A track according to `moov`; the defaults are those of `trex` (0 where there is none)."""

    track: int
    timescale: int
    handler: bytes
    default_duration: int = 0
    default_size: int = 0


def box_header(data: bytes, start: int, end: int, *, origin: int = 0) -> Box:
    """Read the header at `start`; the box must end at or before `end`.  Raises TheirError."""
    size, payload = _number(data, start, 4, end), start + 8
    kind = data[start + 4 : start + 8]
    if len(kind) < 4 or payload > end:
        raise _fail(origin + start, "box ends inside its header")
    if size == 1:
        size, payload = _number(data, start + 8, 8, end), start + 16
    elif size == 0:
        size = end - start
    if size < payload - start or start + size > end:
        raise _fail(origin + start, f"box of {size} bytes where {end - start} are left")
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
            raise _fail(at, f"more than {MAX_BOXES} boxes")
        yield len(stack), box
        stack.append((box.end, limit))
        if box.kind in _CONTAINERS:
            if len(stack) > MAX_DEPTH:
                raise _fail(at, f"boxes nested deeper than {MAX_DEPTH}")
            stack.append((box.payload, box.end))


def _full(data: bytes, box: Box) -> tuple[int, int]:
    """Return version and flags of a full box."""
    return _number(data, box.payload, 1, box.end), _number(data, box.payload + 1, 3, box.end)


# --- moov -------------------------------------------------------------------------------------------------------------


def movie_tracks(data: bytes) -> dict[int, TrackHeader]:
    """Return the tracks of an init segment (or of any bytes with a whole `moov`) by id.  Raises TheirError."""
    tracks: list[dict[str, int | bytes]] = []
    extends: dict[int, tuple[int, int]] = {}
    for _, box in walk(data):
        if box.kind == b"trak":
            tracks.append({})
        elif box.kind == b"trex":
            extends[_number(data, box.payload + 4, 4, box.end)] = (
                _number(data, box.payload + 12, 4, box.end),
                _number(data, box.payload + 16, 4, box.end),
            )
        elif tracks and box.kind in (b"tkhd", b"mdhd", b"hdlr"):
            _track_field(data, box, tracks[-1])
    found = {}
    for fields in tracks:
        track, timescale, handler = fields.get("track", 0), fields.get("timescale", 0), fields.get("handler", b"")
        if not (isinstance(track, int) and isinstance(timescale, int) and isinstance(handler, bytes) and track and timescale):
            raise _fail(0, "a track without id or timescale")
        found[track] = TrackHeader(track, timescale, handler, *extends.get(track, (0, 0)))
    return found


def _track_field(data: bytes, box: Box, fields: dict[str, int | bytes]) -> None:
    long = _full(data, box)[0] == 1
    if box.kind == b"tkhd":
        fields["track"] = _number(data, box.payload + (20 if long else 12), 4, box.end)
    elif box.kind == b"mdhd":
        fields["timescale"] = _number(data, box.payload + (20 if long else 12), 4, box.end)
    else:
        _number(data, box.payload + 8, 4, box.end)
        fields["handler"] = data[box.payload + 8 : box.payload + 12]


def table_samples(moov: bytes) -> dict[int, list[Sample]]:
    """Return the samples in the tables of a whole file's `moov`, by track id.  Raises TheirError."""
    tables: list[dict[bytes, Box]] = []
    for _, box in walk(moov):
        if box.kind == b"trak":
            tables.append({})
        elif tables and box.kind in (b"tkhd", b"stts", b"stsz", b"stsc", b"stco", b"co64"):
            tables[-1][box.kind] = box
    samples = {}
    for table in tables:
        if table.keys() >= {b"tkhd", b"stts", b"stsz", b"stsc"} and table.keys() & {b"stco", b"co64"}:
            header = table[b"tkhd"]
            at = header.payload + (20 if _full(moov, header)[0] == 1 else 12)
            samples[_number(moov, at, 4, header.end)] = _tabled(moov, table)
    return samples


def _rows(data: bytes, box: Box, columns: int, width: int = 4, skip: int = 4) -> list[tuple[int, ...]]:
    """Return the rows of a table whose row count is `skip` bytes into the payload."""
    count, at = _number(data, box.payload + skip, 4, box.end), box.payload + skip + 4
    if count > MAX_SAMPLES or at + count * columns * width > box.end:
        raise _fail(box.start, f"table of {count} rows does not fit")
    numbers = [int.from_bytes(data[at + width * n : at + width * n + width], "big") for n in range(count * columns)]
    return [tuple(numbers[columns * n : columns * n + columns]) for n in range(count)]


def _tabled(data: bytes, table: Mapping[bytes, Box]) -> list[Sample]:
    """Join the four tables of a track (ISO/IEC 14496-12 §8.6.1.2, §8.7)."""
    sizes = _sizes(data, table[b"stsz"])
    durations = [length for count, length in _rows(data, table[b"stts"], 2) for _ in range(min(count, len(sizes)))]
    chunks = _rows(data, table[b"stco"], 1) if b"stco" in table else _rows(data, table[b"co64"], 1, 8)
    plan = [*_rows(data, table[b"stsc"], 3), (len(chunks) + 1, 0, 0)]
    samples: list[Sample] = []
    time = 0
    for (first, count, _), (after, _, _) in zip(plan, plan[1:], strict=False):
        for chunk in range(first - 1, min(after - 1, len(chunks))):
            if chunk < 0:
                raise _fail(table[b"stsc"].start, "chunks count from 1")
            offset = chunks[chunk][0]
            for _ in range(min(count, len(sizes) - len(samples))):
                size = sizes[len(samples)]
                duration = durations[len(samples)] if len(samples) < len(durations) else 0
                samples.append(Sample(offset, size, time, duration))
                offset, time = offset + size, time + duration
    return samples


def _sizes(data: bytes, box: Box) -> list[int]:
    constant, count = _number(data, box.payload + 4, 4, box.end), _number(data, box.payload + 8, 4, box.end)
    if not constant:
        return [size for (size,) in _rows(data, box, 1, skip=8)]
    if count > MAX_SAMPLES:
        raise _fail(box.start, f"{count} samples")
    return [constant] * count


# --- moof -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Run:
    """State of the `traf` being read."""

    track: int = 0
    base: int = 0
    time: int = 0
    duration: int = 0
    size: int = 0
    next_offset: int | None = None


def fragment_samples(
    data: bytes, headers: Mapping[int, TrackHeader], *, origin: int = 0, limit: int | None = None
) -> dict[int, list[Sample]]:
    """Return the samples of every `moof` in `data` by track id, in decode order.

    `data` holds whole boxes.  Sample offsets are relative to its start plus `origin` and must lie inside `data`, or within
    `limit` bytes where only the `moof` was read.  A run without a data offset follows the run before.  Raises TheirError.
    """
    samples: dict[int, list[Sample]] = {}
    run, moof = _Run(), 0
    for _, box in walk(data):
        if box.kind == b"moof":
            moof = box.start
        elif box.kind == b"tfhd":
            run = _read_tfhd(data, box, headers, moof)
        elif box.kind == b"tfdt":
            run.time = _number(data, box.payload + 4, 8 if _full(data, box)[0] == 1 else 4, box.end)
        elif box.kind == b"trun":
            into = samples.setdefault(run.track, [])
            for sample in _read_trun(data, box, run, len(data) if limit is None else limit):
                if len(into) >= MAX_SAMPLES:
                    raise _fail(box.start, "too many samples")
                into.append(Sample(sample.offset + origin, sample.size, sample.time, sample.duration))
    return samples


def _read_tfhd(data: bytes, box: Box, headers: Mapping[int, TrackHeader], moof: int) -> _Run:
    flags = _full(data, box)[1]
    track = _number(data, box.payload + 4, 4, box.end)
    header = headers.get(track)
    run = _Run(track, moof, 0, header.default_duration if header else 0, header.default_size if header else 0)
    at = box.payload + 8
    if flags & 0x1:
        run.base, at = _number(data, at, 8, box.end), at + 8
    at += 4 if flags & 0x2 else 0
    if flags & 0x8:
        run.duration, at = _number(data, at, 4, box.end), at + 4
    if flags & 0x10:
        run.size = _number(data, at, 4, box.end)
    return run


def _read_trun(data: bytes, box: Box, run: _Run, limit: int) -> Iterator[Sample]:
    version_flags = _full(data, box)
    flags, count, at = version_flags[1], _number(data, box.payload + 4, 4, box.end), box.payload + 8
    offset = run.base if run.next_offset is None else run.next_offset
    if flags & 0x1:
        relative = _number(data, at, 4, box.end)
        offset, at = run.base + (relative - (1 << 32) if relative >> 31 else relative), at + 4
    at += 4 if flags & 0x4 else 0
    width = 4 * (flags >> 8 & 0xF).bit_count()
    if count > MAX_SAMPLES or at + count * width > box.end or (not width and count * max(run.size, 1) > limit):
        raise _fail(box.start, f"run of {count} samples does not fit")
    for _ in range(count):
        field, duration, size = at, run.duration, run.size
        if flags & 0x100:
            duration, field = int.from_bytes(data[field : field + 4], "big"), field + 4
        if flags & 0x200:
            size = int.from_bytes(data[field : field + 4], "big")
        if offset < 0 or offset + size > limit:
            raise _fail(box.start, "a sample lies outside the fragment")
        yield Sample(offset, size, run.time, duration)
        offset, at, run.time = offset + size, at + width, run.time + duration
    run.next_offset = offset


def track_parts(init: bytes, fragment: bytes) -> tuple[TrackPart, ...]:
    """Return the `tracks` of a fragment's link, in order of track id; `init` is its segment's init segment.

    Raises TheirError where the boxes are wrong or a track is neither video nor sound.
    """
    return parts_of(movie_tracks(init), fragment)


def parts_of(headers: Mapping[int, TrackHeader], fragment: bytes) -> tuple[TrackPart, ...]:
    """Return the same as `track_parts`, with the tracks of the init segment already read (`movie_tracks`)."""
    view = memoryview(fragment)
    parts = []
    for track, samples in sorted(fragment_samples(fragment, headers).items()):
        if track not in headers:
            raise _fail(0, f"track {track} is not in the init segment")
        if not samples:
            continue
        kind, scale = track_kind(headers[track]), headers[track].timescale
        first, end = samples[0].time, samples[-1].time + samples[-1].duration
        start = first * kind.clock_rate // scale
        digest = sample_digest(view[sample.offset : sample.offset + sample.size] for sample in samples)
        parts.append(TrackPart(track, kind, len(samples), digest, start, end * kind.clock_rate // scale - start))
    return tuple(parts)


def track_kind(header: TrackHeader) -> TrackKind:
    """Return video or sound by the handler of the track; raises TheirError for anything else."""
    kinds = {b"vide": TrackKind.VIDEO, b"soun": TrackKind.AUDIO}
    if header.handler not in kinds:
        raise _fail(0, f"track {header.track} is neither video nor sound")
    return kinds[header.handler]
