"""The samples of a playable copy in decode order, each with the track that shows it.

Owns: walking the file, box by box at its top.  Must never know: the chain, digests.
It holds one `moov` or `moof` at a time, and for each track the runs that are still to come of those read so far.
"""

from collections import deque
from collections.abc import Iterator
from itertools import repeat

from relay.base.errors import Kind, TheirError
from relay.evidence.boxes import Box, box_header, fail, full_box, number
from relay.evidence.layout import TOP, Remarks, Tree, read_tree
from relay.evidence.media import Reader
from relay.evidence.movie import Entry, Movie, Track, read_movie
from relay.evidence.records import TrackKind
from relay.evidence.samples import FragmentReader, Sample, tabled_samples

MAX_INDEX = 256 << 20
"""Longest `moov` or `moof` that is read, in bytes."""
MAX_SAMPLE = 64 << 20
"""Longest sample that is read, in bytes."""

SMALL_BOX = 32
MAX_SMALL_BOXES = 100_000
"""Reading a file box by box costs time for each: a file of nothing but tiny boxes is refused."""

_EMPTY = 0x10000
"""Flag of a `tfhd`: no samples, only time."""

Placed = tuple[Sample, Track]
"""A sample, and the track that shows it."""


def top_boxes(reader: Reader, name: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of the boxes at the top of a file.  Raises TheirError."""
    at, size, small = 0, reader.size(name), 0
    while at < size:
        head = reader.read(name, at, 16)
        box = box_header(head + bytes(16), 0, size - at, origin=at)
        small += box.end < SMALL_BOX
        if small > MAX_SMALL_BOXES:
            raise fail(at, f"more than {MAX_SMALL_BOXES} boxes of fewer than {SMALL_BOX} bytes")
        yield box.kind, at, at + box.end
        at += box.end


class CopySamples:
    """The samples of a file by kind of track, in decode order, found a `moof` at a time."""

    def __init__(self, reader: Reader, name: str) -> None:
        self.remarks = Remarks()
        self.movie: Movie | None = None
        self._reader = reader
        self._name = name
        self._boxes = top_boxes(reader, name)
        self._fragments: FragmentReader | None = None
        self._indexed = False
        self.fragmented = False
        """Whether a `moof` was seen."""
        self._waiting: dict[TrackKind, deque[Iterator[Placed]]] = {kind: deque() for kind in TrackKind}

    def next(self, kind: TrackKind) -> Placed | None:
        """Return the next sample of this kind, None at the end.  Raises TheirError."""
        while True:
            waiting = self._waiting[kind]
            while waiting:
                found = next(waiting[0], None)
                if found is not None:
                    return found
                waiting.popleft()
            if not self._advance():
                return None

    def read(self, sample: Sample) -> bytes:
        """Return a sample's bytes.  Raises TheirError when they are not all there."""
        if not 0 < sample.size <= MAX_SAMPLE:
            raise TheirError(Kind.INVALID, f"sample of {sample.size} bytes")
        data = self._reader.read(self._name, sample.offset, sample.size)
        if len(data) < sample.size:
            raise TheirError(Kind.INVALID, "a sample lies outside the file")
        return data

    def entry(self, sample: Sample, track: Track) -> Entry:
        """Return the sample description of a sample.  Raises TheirError where there is none."""
        if not 1 <= sample.entry <= len(track.entries):
            raise TheirError(Kind.INVALID, f"a sample without description {sample.entry}")
        return track.entries[sample.entry - 1]

    def _advance(self) -> bool:
        """Read up to the next box that holds samples; return whether there was one."""
        for kind, start, end in self._boxes:
            if start == 0 and kind != b"ftyp":
                raise fail(0, "does not begin with ftyp")
            if kind not in TOP:
                self.remarks.doubt(f"box {kind.decode('latin-1')}")
            self._indexed = self._indexed or kind == b"sidx"
            if kind in (b"moov", b"moof"):
                self._take(kind, start, end)
                return True
        return False

    def _take(self, kind: bytes, start: int, end: int) -> None:
        if end - start > MAX_INDEX:
            raise fail(start, f"index of {end - start} bytes")
        data = self._reader.read(self._name, start, end - start)
        if (self.movie is None) != (kind == b"moov"):
            raise fail(start, "a second moov" if kind == b"moov" else "a fragment before moov")
        if self.movie is None:
            self.movie = read_movie(data, self.remarks, origin=start)
            self._fragments = FragmentReader({number: track.header for number, track in self.movie.tracks.items()})
            for track in self.movie.tracks.values():
                self._waiting[track.kind].append(self._tabled(data, track))
        else:
            self._fragment(data, start, self.movie)

    @staticmethod
    def _tabled(data: bytes, track: Track) -> Iterator[Placed]:
        there = track.tables.keys()
        if track.kind is TrackKind.AUDIO and b"stts" in there and _in_ticks(data, track.tables[b"stts"]):
            raise fail(track.tables[b"stts"].start, "sound in which each sample lasts a tick, which some readers cut anew")
        if there >= {b"stts", b"stsc"} and there & {b"stsz", b"stz2"} and there & {b"stco", b"co64"}:
            yield from zip(tabled_samples(data, track.tables), repeat(track))

    def _fragment(self, data: bytes, start: int, movie: Movie) -> None:
        assert self._fragments is not None
        self.fragmented = True
        _tracks_of(data, read_tree(data, self.remarks, origin=start), start)
        for run in self._fragments.runs(data, origin=start, limit=self._reader.size(self._name) - start):
            if run.track not in movie.tracks:
                raise fail(start, f"track {run.track} is not in moov")
            track = movie.tracks[run.track]
            if not track.header.extended:
                raise fail(start, f"track {run.track} has no trex")
            self._waiting[track.kind].append(zip(run.samples(), repeat(track)))
        if self._indexed and self._fragments.untimed:
            raise fail(start, "an index of times, and a fragment without its own, which readers place differently")


def _in_ticks(data: bytes, stts: Box) -> bool:
    """Whether a table says of all samples at once that each lasts one tick: FFmpeg takes them for plain numbers."""
    return number(data, stts.payload + 4, 4, stts.end) == 1 and number(data, stts.payload + 12, 4, stts.end) == 1


def _tracks_of(data: bytes, moof: Tree, origin: int) -> None:
    """Refuse track fragments that readers place differently (§8.8.7, §8.8.12)."""
    seen: set[int] = set()
    for traf in moof.every(b"traf"):
        box = traf.need(b"tfhd")
        track = number(data, box.payload + 4, 4, box.end)
        if track in seen and traf.one(b"tfdt") is None:
            raise fail(origin + box.start, "a second traf of a track without its own time")
        if full_box(data, box)[1] & _EMPTY and traf.one(b"trun") is not None:
            raise fail(origin + box.start, "an empty traf that has samples")
        seen.add(track)
