"""Whether a playable copy shows what was sealed: the same samples, at the same times, decoded alike (FORMAT.md §7.6).

Owns: comparing a copy with the links, link by link, and with the sealed segments where they can be read in plain.
Must never know: signatures, how boxes are laid out.  A copy is never an original: it proves its samples, not what was cut away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise, repeat
from operator import itemgetter

from relay.base.errors import RelayError, TheirError
from relay.evidence.boxes import TrackHeader, movie_tracks, walk
from relay.evidence.findings import FindingCollector
from relay.evidence.layout import Remarks
from relay.evidence.lipsync import MAX_OFFSET_NS, Moves
from relay.evidence.media import Reader
from relay.evidence.movie import Entry, read_movie
from relay.evidence.parameters import HeldSets, PictureConfiguration, is_b_picture
from relay.evidence.playable import CopySamples, Placed
from relay.evidence.records import Link, TrackKind, TrackPart
from relay.evidence.samples import FragmentReader, Run
from relay.evidence.seal import sample_digest
from relay.evidence.verdict import Code

SECOND_NS = 1_000_000_000
MAX_SHIFT_NS = 50_000_000
"""A sample may be this late or early: remuxers round times."""
MAX_CUT_NS = {TrackKind.VIDEO: 0, TrackKind.AUDIO: 20_000_000}
"""A sample may begin this much before what a player shows: Opus decodes 6.5 ms that nobody hears; some players leave a
picture out that begins before."""
ROUNDING_NS = 1_000_000
"""Remuxers round times to milliseconds."""
ORDER_NS = SECOND_NS // 2
"""Pictures that are shown in another order than they are decoded may be decoded so much earlier than they are shown."""
MAX_ORDER = 16
"""H.264 holds back no more pictures (§A.3)."""
MAX_LENGTH_NS = {TrackKind.VIDEO: ROUNDING_NS, TrackKind.AUDIO: SECOND_NS // 2}
"""The last sample may begin this much after the length that a header states; FFmpeg forgets by how much sound was moved."""
_TICK_NS = SECOND_NS // 48_000
UNREAD = "decoder configuration and times inside fragments, for want of the sealed segments in plain"


@dataclass(slots=True)
class _Timing:
    """One way to place a track's samples: their distance from the sealed times must not change."""

    base: int | None = None
    first: int | None = None
    """The distance of the very first sample, which some remuxers show too early where its track begins later than others."""
    last: int | None = None
    """Where the last sample belongs (sound that is moved)."""
    slack: int = 0
    """How much further from the sealed time it may be where only decode times are known, and pictures are reordered."""
    holds: bool = True

    def see(self, shown: int, earliest: int, latest: int, *, every: bool) -> None:
        """Take a sample that is shown at `shown` and belongs between the others (ns); `every`: all samples are seen."""
        if self.first is None:
            self.first = shown - earliest
            if every:
                return
        if self.base is None:
            self.base = shown - earliest
            self.holds = self.holds and -MAX_OFFSET_NS <= self.first - self.base <= MAX_SHIFT_NS
        most = MAX_SHIFT_NS + self.slack
        self.holds = self.holds and earliest - most <= shown - self.base <= latest + most

    def agrees(self, other: "_Timing") -> bool:
        """Return whether two tracks keep their distance from one another."""
        most = MAX_SHIFT_NS + self.slack + other.slack
        return self.base is None or other.base is None or abs(self.base - other.base) <= most


@dataclass(slots=True)
class _Way:
    """One way to place both tracks."""

    picture: _Timing = field(default_factory=_Timing)
    sound: _Timing = field(default_factory=_Timing)
    holds: bool = True

    def judge(self) -> None:
        """Hold on only while each track keeps its pace, and both their distance."""
        self.holds = self.holds and self.picture.holds and self.sound.holds and self.sound.agrees(self.picture)


@dataclass(slots=True)
class _Pace:
    """The times of a copy: both tracks as sealed, or both moved as the chain says (§7.7)."""

    moves: Moves
    sealed: _Way = field(default_factory=_Way)
    moved: _Way = field(default_factory=_Way)

    def fits(self, part: TrackPart, shown: Sequence[int], ticks: Sequence[int] | None) -> bool:
        """Take a part's samples: when each is shown (ns), and the sealed time of each (ticks); None: only the link's."""
        rate, every = part.kind.clock_rate, ticks is not None
        for at, tick in zip(shown, [part.first] if ticks is None else ticks, strict=False):
            time = tick * SECOND_NS // rate
            moved = time + self.moves.at(part.kind, tick)
            if part.kind is TrackKind.VIDEO:
                self.sealed.picture.see(at, time, time, every=every)
                self.moved.picture.see(at, moved, moved, every=every)
            else:
                self.sealed.sound.see(at, time, time, every=every)
                self._moved_sound(at, moved, every)
        if part.kind is TrackKind.AUDIO and not every and self.moved.sound.last is not None:
            self.moved.sound.last += part.duration * SECOND_NS // rate
        self.sealed.judge()
        self.moved.judge()
        return self.sealed.holds or self.moved.holds

    def loosen(self) -> None:
        """Pictures are shown in another order than they are decoded, and only the decode time of each link is known."""
        self.sealed.picture.slack = self.moved.picture.slack = ORDER_NS

    def _moved_sound(self, at: int, earliest: int, every: bool) -> None:
        sound = self.moved.sound
        latest = earliest if sound.last is None else max(earliest, sound.last + _TICK_NS)
        sound.see(at, earliest, latest, every=every)
        sound.last = latest

    def shortest(self, early: int, late: int) -> int:
        """Return the time between two pictures (sealed times in ticks), sealed or moved, whichever is less, in ns."""
        kind = TrackKind.VIDEO
        sealed = (late - early) * SECOND_NS // kind.clock_rate
        return min(sealed, sealed + self.moves.at(kind, late) - self.moves.at(kind, early))


class Sealed:
    """What the sealed segments say of decoders and times, as far as they could be read in plain."""

    def __init__(self) -> None:
        self.entries: dict[TrackKind, Entry] = {}
        self.earlier: set[Entry] = set()
        self.complete = True
        """Whether everything so far could be read."""
        self.held = HeldSets()
        """What a decoder of the copy has."""
        self.is_held = False
        """Whether it has the parameter sets of this segment, from its first picture on."""
        self.begun = False
        """Whether a picture of this segment was seen."""
        self._headers: dict[int, TrackHeader] = {}
        self._runs: list[Run] = []

    def init(self, plain: bytes | None) -> None:
        """Take the init segment of the next segment."""
        self.earlier |= set(self.entries.values())
        self.entries, self._headers, self.begun, self.is_held = {}, {}, False, False
        for _, box in walk(plain or b""):
            if plain is not None and box.kind == b"moov":
                movie = read_movie(plain[box.start : box.end], Remarks())
                self._headers = movie_tracks(plain[box.start : box.end])
                self.entries = {track.kind: track.entries[0] for track in movie.tracks.values() if track.entries}

    def fragment(self, plain: bytes | None) -> None:
        """Take the next sealed fragment, where it could be read."""
        self._runs = [] if plain is None or not self._headers else list(FragmentReader(self._headers).runs(plain))

    def times(self, part: TrackPart) -> list[int] | None:
        """Return when each sample of a part is shown, in ticks; None where that could not be read."""
        runs = [run for run in self._runs if run.track == part.track]
        samples = list(islice((sample for run in runs for sample in run.samples()), part.samples + 1))
        if len(samples) != part.samples or part.track not in self._headers:
            return None
        rate, scale = part.kind.clock_rate, self._headers[part.track].timescale
        return [(sample.time + sample.shift) * rate // scale for sample in samples]

    def allows(self, entry: Entry, kind: TrackKind) -> bool:
        """Return whether a decoder that is configured so shows the samples of this segment as they were sealed."""
        return entry == self.entries[kind] or (kind is TrackKind.VIDEO and self.is_held and entry in self.earlier)


def _shown(placed: Placed) -> int:
    sample, track = placed
    return track.shown_ns(sample.time + sample.shift)


class Derived:
    """One copy, compared link by link; the first difference ends the comparison."""

    def __init__(self, reader: Reader, name: str, collector: FindingCollector, moves: Moves) -> None:
        self.name = name
        self.differs = False
        self._collector = collector
        self._samples = CopySamples(reader, name)
        self._sealed = Sealed()
        self._pace = _Pace(moves)
        self._last: dict[TrackKind, Placed] = {}
        """The sample that is shown last."""
        self._before: dict[TrackKind, tuple[int, int | None]] = {}
        """When the sample before, in decode order, is shown (ns), and its sealed time (ticks)."""
        self._recent: list[tuple[int, int]] = []
        """The same of the last pictures whose sealed times are known, in the order of these."""

    def init(self, plain: bytes | None) -> None:
        """Take the sealed init segment that the next links belong to, where it could be read."""
        try:
            self._sealed.init(plain)
        except TheirError:
            self._sealed.init(None)

    def link(self, link: Link, plain: bytes | None) -> None:
        """Compare the samples of one fragment; `plain`: its sealed bytes, where they could be read."""
        try:
            self._sealed.fragment(plain)
            for part in link.tracks:
                if not self.differs:
                    self._part(link.fragment, part)
        except (RelayError, OSError) as error:
            self._fail(Code.DERIVED_UNREADABLE, link.fragment, why=str(error))

    def finish(self, *, alone: bool) -> None:
        """Check at the end of the chain that the copy has no more samples; `alone`: the copy is all that was given."""
        try:
            more = not self.differs and any([self._samples.next(kind) is not None for kind in TrackKind])
            if not self.differs and not more:
                self._ends()
        except (RelayError, OSError) as error:
            self._fail(Code.DERIVED_UNREADABLE, None, why=str(error))
            return
        if more:
            self._collector.add(Code.EXTRA_BYTES, file=self.name, count="?")
        elif not self.differs and self._samples.remarks.unjudged:
            self._collector.add(Code.DERIVED_UNJUDGED, file=self.name, what=self._samples.remarks.unjudged)
        elif not self.differs and not alone:
            self._same()

    def _same(self) -> None:
        if not self._sealed.complete:
            self._collector.add(Code.DERIVED_UNJUDGED, file=self.name, what=UNREAD)
        else:
            self._collector.add(Code.DERIVED_SAME, file=self.name)

    # --- one fragment -------------------------------------------------------------------------------------------------

    def _part(self, fragment: int, part: TrackPart) -> None:
        placed = [found for _ in range(part.samples) if (found := self._samples.next(part.kind)) is not None]
        if self._samples.remarks.shown:
            self._fail(Code.DERIVED_SHOWN, fragment, what=self._samples.remarks.shown)
        elif sample_digest(self._samples.read(sample) for sample, _ in placed) != part.digest:
            self._fail(Code.DERIVED_DIFFERS, fragment, track=part.kind.value)
        elif placed:
            self._configuration(fragment, part.kind, placed)
            if not self.differs:
                self._times(fragment, part, placed, self._sealed.times(part))

    def _configuration(self, fragment: int, kind: TrackKind, placed: Sequence[Placed]) -> None:
        """Compare the decoder configurations of a part's samples with the sealed one."""
        used = {(sample.entry, track.header.track): (sample, track) for sample, track in placed}
        entries = [self._samples.entry(sample, track) for sample, track in used.values()]
        sealed = self._sealed.entries.get(kind)
        if sealed is None:
            self._sealed.complete = False
            return
        if kind is TrackKind.VIDEO:
            self._play(placed, sealed)
        if not all(self._sealed.allows(entry, kind) for entry in entries):
            self._fail(Code.DERIVED_SHOWN, fragment, what=f"decoder configuration ({kind.value})")

    def _play(self, placed: Sequence[Placed], sealed: Entry) -> None:
        """Follow the parameter sets in force in the copy; judge them at the first picture of the segment."""
        for sample, track in placed:
            self._sealed.held.play(self._samples.read(sample), self._samples.entry(sample, track).configuration)
            if not self._sealed.begun and isinstance(sealed.configuration, PictureConfiguration):
                self._sealed.begun = True
                self._sealed.is_held = self._sealed.held.hold(sealed.configuration)

    def _times(self, fragment: int, part: TrackPart, placed: Sequence[Placed], ticks: list[int] | None) -> None:
        """Compare when samples are shown; the copy may begin at another time, but must keep the pace."""
        shown = [_shown(each) for each in placed]
        last = self._last.get(part.kind)
        self._last[part.kind] = max(placed if last is None else [last, *placed], key=_shown)
        if not self._is_in_order(part.kind, placed, shown, ticks):
            self._fail(Code.DERIVED_SHOWN, fragment, what=f"composition offsets ({part.kind.value})")
        elif min(shown) < placed[0][1].edit.empty_ns - MAX_CUT_NS[part.kind]:
            self._fail(Code.DERIVED_SHOWN, fragment, what=f"beginning of the track ({part.kind.value})")
        elif not self._pace.fits(part, shown, ticks):
            self._fail(Code.DERIVED_TIME, fragment, track=part.kind.value)
        elif part.kind is TrackKind.VIDEO and self._hidden(shown, ticks):
            self._fail(Code.DERIVED_SHOWN, fragment, what="pictures too short to be seen")
        self._sealed.complete = self._sealed.complete and ticks is not None

    def _is_in_order(
        self, kind: TrackKind, placed: Sequence[Placed], shown: Sequence[int], ticks: Sequence[int] | None
    ) -> bool:
        """Whether samples are shown in the order of their sealed times; where these are not known, only B pictures go back."""
        for (sample, _), at, tick in zip(placed, shown, repeat(None) if ticks is None else ticks, strict=False):
            before, was = self._before.get(kind, (at - 1, None))
            self._before[kind] = at, tick
            if kind is TrackKind.AUDIO:
                if at < before:
                    return False
            elif tick is not None and was is not None:
                if (at > before) != (tick >= was):
                    return False
            elif at <= before:
                if at == before or not is_b_picture(self._samples.read(sample)):
                    return False
                self._pace.loosen()
        return True

    def _hidden(self, shown: Sequence[int], ticks: Sequence[int] | None) -> bool:
        """Whether a picture follows the one before in less than half of its sealed or moved time, with 1 ms for rounding."""
        if ticks is None:
            self._recent = []
            return False
        known = sorted([*self._recent, *zip(shown, ticks, strict=True)], key=itemgetter(1))
        self._recent = known[-MAX_ORDER:]
        return any(
            2 * (late[0] - early[0] + ROUNDING_NS) < self._pace.shortest(early[1], late[1]) for early, late in pairwise(known)
        )

    def _ends(self) -> None:
        """Compare the lengths that headers and edits state with where the tracks end."""
        movie = self._samples.movie
        for sample, track in self._last.values():
            end, media = track.shown_ns(sample.time + sample.shift), track.media_time_ns(sample.time + sample.shift)
            stated: list[int] = []
            within: tuple[int, ...] = ()
            if movie is not None and self._samples.fragmented:
                stated += movie.fragments_ns
            elif movie is not None:
                stated += (*track.length_ns, *movie.length_ns)
                within = track.media_ns
            if track.edit.length_ns is not None:
                stated.append(track.edit.empty_ns + track.edit.length_ns)
            late = MAX_LENGTH_NS[track.kind]
            if any(length + late < end for length in stated) or any(length + late < media for length in within):
                self._fail(Code.DERIVED_SHOWN, None, what=f"length of the track ({track.kind.value})")
                return
        if self._samples.remarks.shown:
            self._fail(Code.DERIVED_SHOWN, None, what=self._samples.remarks.shown)

    def _fail(self, code: Code, fragment: int | None, **values: str) -> None:
        self.differs = True
        self._collector.add(code, fragment, file=self.name, **values)
