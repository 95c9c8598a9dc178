"""Whether a remuxed copy holds the samples that were sealed, track by track, whatever boxes are around them.

Owns: walking a whole MP4 (fragmented or with its tables in `moov`) and comparing its samples with the links.
Must never know: signatures.  A copy is never an original: it proves its samples, not what was cut away.
"""

from collections import deque
from collections.abc import Iterator, Mapping

from relay.base.errors import Kind, RelayError, TheirError
from relay.evidence.boxes import Sample, TrackHeader, box_header, fragment_samples, movie_tracks, table_samples, track_kind
from relay.evidence.findings import FindingCollector
from relay.evidence.lipsync import MAX_OFFSET_NS
from relay.evidence.media import Reader
from relay.evidence.records import Link, TrackKind, TrackPart
from relay.evidence.seal import sample_digest
from relay.evidence.verdict import Code

MAX_INDEX = 256 << 20
"""Longest `moov` or `moof` that is read, in bytes."""
MAX_SAMPLE = 64 << 20
"""Longest sample that is read, in bytes."""
MAX_SHIFT_SECONDS = 0.5
"""A sample may be this late or early against the first one: remuxers round times and shift the first sample."""
SYNC_SECONDS = {TrackKind.VIDEO: 0.0, TrackKind.AUDIO: MAX_OFFSET_NS / 1e9}
"""A track may be moved by this much besides: sound, to be in sync with its picture."""


def top_boxes(reader: Reader, name: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of the boxes at the top of a file.  Raises TheirError."""
    at, size = 0, reader.size(name)
    while at < size:
        head = reader.read(name, at, 16)
        box = box_header(head + bytes(16), 0, size - at, origin=at)
        yield box.kind, at, at + box.end
        at += box.end


class CopySamples:
    """The samples of a file by kind of track, in decode order, found a `moof` at a time."""

    def __init__(self, reader: Reader, name: str) -> None:
        self._reader = reader
        self._name = name
        self._boxes = top_boxes(reader, name)
        self._headers: Mapping[int, TrackHeader] = {}
        self._waiting: dict[TrackKind, deque[tuple[Sample, int]]] = {kind: deque() for kind in TrackKind}
        self._times: dict[int, int] = {}

    def next(self, kind: TrackKind) -> tuple[Sample, int] | None:
        """Return the next sample of this kind with its timescale, None at the end.  Raises TheirError."""
        while not self._waiting[kind]:
            if not self._advance():
                return None
        return self._waiting[kind].popleft()

    def read(self, sample: Sample) -> bytes:
        """Return a sample's bytes.  Raises TheirError when they are not all there."""
        if sample.size > MAX_SAMPLE:
            raise TheirError(Kind.INVALID, f"sample of {sample.size} bytes")
        data = self._reader.read(self._name, sample.offset, sample.size)
        if len(data) < sample.size:
            raise TheirError(Kind.INVALID, "a sample lies outside the file")
        return data

    def _advance(self) -> bool:
        """Read up to the next box that holds samples; return whether there was one."""
        for kind, start, end in self._boxes:
            if kind not in (b"moov", b"moof"):
                continue
            if end - start > MAX_INDEX:
                raise TheirError(Kind.INVALID, f"mp4 byte {start}: index of {end - start} bytes")
            data = self._reader.read(self._name, start, end - start)
            if kind == b"moov":
                self._headers = movie_tracks(data)
                self._take(table_samples(data))
            else:
                limit = self._reader.size(self._name)
                self._take(fragment_samples(data, self._headers, origin=start, limit=limit - start))
            return True
        return False

    def _take(self, samples: Mapping[int, list[Sample]]) -> None:
        for track, found in samples.items():
            if track in self._headers:
                kind, scale = track_kind(self._headers[track]), self._headers[track].timescale
                self._waiting[kind].extend((sample, scale) for sample in found)


class Derived:
    """One copy, compared link by link; the first difference ends the comparison."""

    def __init__(self, reader: Reader, name: str, collector: FindingCollector) -> None:
        self.name = name
        self.differs = False
        self._collector = collector
        self._samples = CopySamples(reader, name)
        self._shift: dict[TrackKind, float] = {}

    def link(self, link: Link) -> None:
        """Compare the samples of one fragment."""
        try:
            for part in link.tracks:
                if not self.differs:
                    self._part(link.fragment, part)
        except (RelayError, OSError) as error:
            self._fail(Code.DERIVED_UNREADABLE, link.fragment, why=str(error))

    def finish(self, *, alone: bool) -> None:
        """Check at the end of the chain that the copy has no more samples; `alone`: the copy is all that was given."""
        try:
            more = not self.differs and any(self._samples.next(kind) is not None for kind in TrackKind)
        except (RelayError, OSError) as error:
            self._fail(Code.DERIVED_UNREADABLE, None, why=str(error))
            return
        if more:
            self._collector.add(Code.EXTRA_BYTES, file=self.name, count="?")
        elif not self.differs and not alone:
            self._collector.add(Code.DERIVED_SAME, file=self.name)

    def _part(self, fragment: int, part: TrackPart) -> None:
        samples = [found for _ in range(part.samples) if (found := self._samples.next(part.kind)) is not None]
        if sample_digest(self._samples.read(sample) for sample, _ in samples) != part.digest:
            self._fail(Code.DERIVED_DIFFERS, fragment, track=part.kind.value)
        elif samples:
            self._pace(fragment, part, *samples[0])

    def _pace(self, fragment: int, part: TrackPart, first: Sample, scale: int) -> None:
        """Compare the time of a fragment's first sample: the copy may begin at another time, but must keep the pace."""
        shift = first.time / scale - part.first / part.kind.clock_rate
        if abs(shift - self._shift.setdefault(part.kind, shift)) > MAX_SHIFT_SECONDS + SYNC_SECONDS[part.kind]:
            self._fail(Code.DERIVED_TIME, fragment, track=part.kind.value)

    def _fail(self, code: Code, fragment: int | None, **values: str) -> None:
        self.differs = True
        self._collector.add(code, fragment, file=self.name, **values)
