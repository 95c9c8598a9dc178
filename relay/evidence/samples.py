"""Where the samples of an MP4 lie and when each is decoded: in fragments (`moof`) and in the tables of a `moov`.

Owns: data offsets as ISO/IEC 14496-12 §8.8.7 and §8.8.8 define them; the sample tables of §8.6 and §8.7.
Must never know: keys, the chain, what is shown.  Tables stay as packed numbers and samples are made one by one, so memory and
time are in proportion to the bytes of the boxes.  Where readers are known to disagree about an offset, TheirError is raised.
"""

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, repeat
from typing import NamedTuple, TypeAlias

from relay.evidence.boxes import Box, TrackHeader, fail, full_box, movie_tracks, number, numbers, track_kind, walk
from relay.evidence.records import TrackPart
from relay.evidence.seal import sample_digest

Column: TypeAlias = "array[int] | int"
"""One number for each sample, or the number of all of them."""
MAX_TIME = 1 << 31
"""A longer duration or later composition is read as negative by some readers."""
MAX_SHIFT = 1 << 28
"""A composition offset beyond this, in a table, makes FFmpeg drop the table."""


class Sample(NamedTuple):
    """A sample: offset and size of its bytes, decode time, composition offset and duration in the track's timescale.

    `entry` numbers its sample description from 1.
    """

    offset: int
    size: int
    time: int
    shift: int
    duration: int
    entry: int


@dataclass(frozen=True, slots=True)
class Run:
    """Samples of a track that lie one behind the other."""

    track: int
    entry: int
    offset: int
    time: int
    count: int
    durations: Column
    sizes: Column
    shifts: Column

    @property
    def duration(self) -> int:
        """All durations together."""
        return total(self.durations, self.count)

    @property
    def size(self) -> int:
        """All sizes together."""
        return total(self.sizes, self.count)

    def samples(self) -> Iterator[Sample]:
        """Yield the samples."""
        offset, time = self.offset, self.time
        columns = [each(column, self.count) for column in (self.sizes, self.durations, self.shifts)]
        for size, duration, shift in zip(*columns, strict=True):
            yield Sample(offset, size, time, shift, duration, self.entry)
            offset, time = offset + size, time + duration


def each(column: Column, count: int) -> Iterator[int]:
    """Yield the number of each of `count` samples."""
    return repeat(column, count) if isinstance(column, int) else iter(column)


def total(column: Column, count: int) -> int:
    """Return the sum over `count` samples."""
    return column * count if isinstance(column, int) else sum(column)


# --- moof -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Fragment:
    """The `traf` that is being read."""

    track: int
    base: int
    entry: int
    duration: int
    size: int
    time: int | None = None
    runs: int = 0


class FragmentReader:
    """Reads fragments of a file in their order; remembers how far each track came, for a `traf` without `tfdt`."""

    def __init__(self, headers: Mapping[int, TrackHeader]) -> None:
        self._headers = headers
        self.reached: dict[int, int] = {}
        self.untimed = False
        """Whether a `traf` had no `tfdt`."""

    def runs(self, data: bytes, *, origin: int = 0, limit: int | None = None) -> Iterator[Run]:
        """Yield the runs of every `moof` in `data`, which holds whole boxes.

        Offsets are relative to the start of `data` plus `origin`.  They must lie inside `data`, or within `limit` bytes of its
        start where only the `moof` was read, or anywhere before it in the file (negative, down to `-origin`).
        Raises TheirError.
        """
        limit = len(data) if limit is None else limit
        traf: _Fragment | None = None
        moof = implicit = 0
        for _, box in walk(data):
            if box.kind == b"moof":
                moof = implicit = box.start
            elif box.kind == b"traf":
                traf = None
            elif box.kind == b"tfhd":
                if traf is not None:
                    raise fail(box.start, "a second tfhd")
                traf = self._tfhd(data, box, moof, implicit, origin)
            elif box.kind in (b"tfdt", b"trun"):
                if traf is None:
                    raise fail(box.start, "a traf that does not begin with tfhd")
                if box.kind == b"tfdt":
                    self._tfdt(data, box, traf)
                    continue
                run = self._trun(data, box, traf)
                implicit = run.offset + run.size
                if run.count and (run.offset < -origin or implicit > limit):
                    raise fail(box.start, "a sample lies outside the fragment")
                yield run if not origin else _moved(run, origin)

    def _tfhd(self, data: bytes, box: Box, moof: int, implicit: int, origin: int) -> _Fragment:
        flags, track = full_box(data, box)[1], number(data, box.payload + 4, 4, box.end)
        header = self._headers.get(track)
        duration, size, entry = (header.default_duration, header.default_size, header.default_entry) if header else (0, 0, 1)
        base, at = moof if flags & 0x20000 else implicit, box.payload + 8
        if flags & 0x1:
            base, at = number(data, at, 8, box.end) - origin, at + 8
        if flags & 0x2:
            entry, at = number(data, at, 4, box.end), at + 4
        if flags & 0x8:
            duration, at = number(data, at, 4, box.end), at + 4
        if flags & 0x10:
            size = number(data, at, 4, box.end)
        return _Fragment(track, base, entry, duration, size)

    @staticmethod
    def _tfdt(data: bytes, box: Box, traf: _Fragment) -> None:
        if traf.time is not None:
            raise fail(box.start, "a tfdt after its runs, or a second one")
        traf.time = number(data, box.payload + 4, 8 if full_box(data, box)[0] == 1 else 4, box.end)

    def _trun(self, data: bytes, box: Box, traf: _Fragment) -> Run:
        version, flags = full_box(data, box)
        count, at, offset = number(data, box.payload + 4, 4, box.end), box.payload + 8, traf.base
        if flags & 0x1:
            offset, at = traf.base + number(data, at, 4, box.end, signed=True), at + 4
        elif traf.runs:
            raise fail(box.start, "a further run without a data offset, which readers place differently")
        at += 4 if flags & 0x4 else 0
        width = (flags >> 8 & 0xF).bit_count()
        table, place = numbers(data, at, count * width, box.end), 0
        columns: list[Column] = [traf.duration, traf.size, 0, 0]
        for bit in range(4):
            if flags & 0x100 << bit:
                columns[bit], place = table[place::width], place + 1
        durations, sizes, _, shifts = columns
        if traf.time is None:
            self.untimed = True
            traf.time = self.reached.get(traf.track, 0)
        run = Run(traf.track, traf.entry, offset, traf.time, count, durations, sizes, signed(box, durations, shifts, version))
        traf.time += run.duration
        traf.runs += 1
        self.reached[traf.track] = traf.time
        return run


def signed(box: Box, durations: Column, shifts: Column, version: int) -> Column:
    """Return the composition offsets with their sign; raises TheirError for times that readers take differently."""
    longest = durations if isinstance(durations, int) else max(durations, default=0)
    if longest >= MAX_TIME:
        raise fail(box.start, "a duration of 2^31 or more")
    if isinstance(shifts, int) or max(shifts, default=0) < MAX_TIME:
        return shifts
    if version == 0:
        raise fail(box.start, "a composition offset of 2^31 or more")
    return array("q", [shift - (1 << 32) if shift >= MAX_TIME else shift for shift in shifts])


def _moved(run: Run, origin: int) -> Run:
    return Run(run.track, run.entry, run.offset + origin, run.time, run.count, run.durations, run.sizes, run.shifts)


def fragment_samples(data: bytes, headers: Mapping[int, TrackHeader]) -> dict[int, list[Sample]]:
    """Return the samples of every `moof` in `data` by track id, in decode order.  Raises TheirError."""
    samples: dict[int, list[Sample]] = {}
    for run in FragmentReader(headers).runs(data):
        if not run.size and run.count:
            raise fail(0, "samples of no bytes")
        samples.setdefault(run.track, []).extend(run.samples())
    return samples


# --- moov -------------------------------------------------------------------------------------------------------------

TABLES = frozenset({b"stts", b"ctts", b"stsz", b"stz2", b"stsc", b"stco", b"co64"})


def tabled_samples(data: bytes, table: Mapping[bytes, Box]) -> Iterator[Sample]:
    """Yield the samples that the tables of a track describe, in decode order.  Raises TheirError.

    The tables must agree about the number of samples: readers differ about those that do not.
    """
    sizes, count = _sizes(data, table)
    times = _spread(data, table[b"stts"], count, "a duration of 2^31 or more")
    shifts = _spread(data, table[b"ctts"], count, "") if b"ctts" in table and count else repeat(0, count)
    time = offset = before = 0
    places = _places(data, table, count)
    for size, duration, shift, (chunk, first, entry) in zip(each(sizes, count), times, shifts, places, strict=True):
        offset = chunk if first else offset + before
        yield Sample(offset, size, time, shift, duration, entry)
        time, before = time + duration, size


def _sizes(data: bytes, table: Mapping[bytes, Box]) -> tuple[Column, int]:
    if b"stsz" in table and b"stz2" in table:
        raise fail(table[b"stz2"].start, "both stsz and stz2")
    if b"stz2" in table:
        return _small_sizes(data, table[b"stz2"])
    box = table[b"stsz"]
    constant, count = number(data, box.payload + 4, 4, box.end), number(data, box.payload + 8, 4, box.end)
    return (constant or numbers(data, box.payload + 12, count, box.end)), count


def _small_sizes(data: bytes, box: Box) -> tuple[Column, int]:
    width, count, at = number(data, box.payload + 7, 1, box.end), number(data, box.payload + 8, 4, box.end), box.payload + 12
    if width not in (4, 8, 16):
        raise fail(box.start, f"sizes of {width} bits")
    if width == 16:
        return numbers(data, at, count, box.end, "H"), count
    if width == 8:
        return numbers(data, at, count, box.end, "B"), count
    pairs = numbers(data, at, (count + 1) // 2, box.end, "B")
    halves = array("B", [half for pair in pairs for half in (pair >> 4, pair & 15)])
    return halves[:count], count


def _spread(data: bytes, box: Box, count: int, too_long: str) -> Iterator[int]:
    """Yield the number of each sample from a table of (how many samples, number); raises TheirError where it has others."""
    version, rows = full_box(data, box)[0], number(data, box.payload + 4, 4, box.end)
    table = numbers(data, box.payload + 8, 2 * rows, box.end)
    if sum(table[0::2]) != count:
        raise fail(box.start, f"times of {sum(table[0::2])} samples, sizes of {count}")
    values = table[1::2]
    if not too_long and any(MAX_SHIFT <= value <= (1 << 32) - MAX_SHIFT for value in values):
        raise fail(box.start, "a composition offset of 2^28 or more, at which some readers drop the table")
    if too_long or version == 0:
        signed(box, values if too_long else 0, 0 if too_long else values, 0)
    for many, value in zip(table[0::2], values, strict=True):
        yield from repeat(value - (1 << 32) if value >= MAX_TIME else value, many)


def _places(data: bytes, table: Mapping[bytes, Box], count: int) -> Iterator[tuple[int, bool, int]]:
    """Yield for each sample: where its chunk lies, whether it is the first of it, and the number of its description."""
    if b"stco" in table and b"co64" in table:
        raise fail(table[b"co64"].start, "both stco and co64")
    box, code = (table[b"stco"], "I") if b"stco" in table else (table[b"co64"], "Q")
    chunks = numbers(data, box.payload + 8, number(data, box.payload + 4, 4, box.end), box.end, code)
    box = table[b"stsc"]
    rows = numbers(data, box.payload + 8, 3 * number(data, box.payload + 4, 4, box.end), box.end)
    firsts, sizes = rows[0::3], rows[1::3]
    ends = [*(first - 1 for first in islice(firsts, 1, None)), len(chunks)]
    filled = sum(size * (end - first + 1) for first, size, end in zip(firsts, sizes, ends, strict=False))
    ascending = all(early < late for early, late in zip([0, *firsts], [*firsts, len(chunks) + 1], strict=True))
    if (firsts and firsts[0] != 1) or not ascending or 0 in sizes or filled != count or (count and not chunks):
        raise fail(box.start, f"its chunks do not hold {count} samples")
    for first, size, entry, end in zip(firsts, sizes, rows[2::3], ends, strict=False):
        for chunk in islice(chunks, first - 1, end):
            yield chunk, True, entry
            yield from repeat((chunk, False, entry), size - 1)


# --- the tracks of a link ---------------------------------------------------------------------------------------------


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
            raise fail(0, f"track {track} is not in the init segment")
        if not samples:
            continue
        kind, scale = track_kind(headers[track]), headers[track].timescale
        first, end = samples[0].time, samples[-1].time + samples[-1].duration
        start = first * kind.clock_rate // scale
        digest = sample_digest(view[sample.offset : sample.offset + sample.size] for sample in samples)
        parts.append(TrackPart(track, kind, len(samples), digest, start, end * kind.clock_rate // scale - start))
    return tuple(parts)
