"""Whether the times of a recording fit together: unexplained gaps, clocks that jump, media that was retimed.

Owns: the tolerances and what counts as an unexplained gap.  Must never know: bytes, digests, keys.

Three signed clocks are compared: each track's decode time, the relay's arrival clock, and the lengths of Gap records.
"""

from dataclasses import dataclass, field

from relay.evidence.findings import FindingCollector
from relay.evidence.records import Cause, Correction, Gap, Link, Recovery, SyncSource, TrackPart
from relay.evidence.statement import Statement
from relay.evidence.verdict import Code, utc_text

TOLERANCE_NS = 1_000_000_000
"""A gap up to 1 s is none: frame cadence, discontinuous transmission of Opus (400 ms) and reordering stay below it."""
DRIFT_NS = 5_000_000_000
"""Allowed between media time and arrival since the last gap: buffers, and a camera's clock off by 100 ppm for half a day."""

_EXPLAINS_NOTHING = (Cause.UNKNOWN, Cause.RECOVERY_POINT)
_NAMED = {
    Cause.NOT_RECORDED: Code.NOT_RECORDED,
    Cause.SILENCE: Code.SILENCE,
    Cause.RECOVERY_POINT: Code.RECOVERY_POINT,
}
"""Causes with a finding or a note of their own."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The fragments to judge: all of them, or the interval of a statement."""

    statement: Statement | None

    def includes(self, fragment: int) -> bool:
        """Whether a fragment is judged."""
        return self.statement is None or self.statement.first <= fragment <= self.statement.last

    def touches(self, fragment: int, start_ns: int, end_ns: int) -> bool:
        """Whether a gap from `start_ns` to `end_ns`, before `fragment`, is judged."""
        if self.statement is None or self.statement.first < fragment <= self.statement.last:
            return True
        edge = fragment in (self.statement.first, self.statement.last + 1)
        return edge and start_ns < self.statement.to_ns and self.statement.from_ns < end_ns

    def omits(self, link: Link) -> bool:
        """Whether a fragment that arrived in the interval is outside the statement's numbers."""
        if self.statement is None or link.init or link.clock_suspect or self.includes(link.fragment):
            return False
        return link.arrival_start_ns < self.statement.to_ns and self.statement.from_ns < link.arrival_end_ns


@dataclass(frozen=True, slots=True)
class _Shared:
    """The Gap records about every track so far: their number and the length that they explain."""

    gaps: int = 0
    explained_ns: int = 0


@dataclass(slots=True)
class _Track:
    """A track after its last link, and the lengths of the Gap records about it alone since."""

    end_ns: int
    first_ns: int
    first_arrival_ns: int
    shared: "_Shared"
    """The Gap records about every track up to that link: what came since is the difference to now."""
    explained_ns: int = 0
    silent: bool = False
    """Whether its last Gap record declares silence: what is missing since needs no other explanation."""


@dataclass(slots=True)
class Continuity:
    """Takes the links and Gap records of a chain in order."""

    collector: FindingCollector
    scope: Scope
    gaps: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    _tracks: dict[int, _Track] = field(default_factory=dict)
    _shared: _Shared = _Shared()
    _before: _Shared = _Shared()
    """What it was at the last media link."""
    _untied: dict[int, int | None] = field(default_factory=dict)
    """Tracks that no sender report has tied to wall time since their last anchor, with the first judged fragment after it."""
    _waiting: list[Gap] = field(default_factory=list)
    _kinds: dict[int, str] = field(default_factory=lambda: {1: "video", 2: "audio"})
    """Whether a track is picture or sound, as its links say."""
    _corrected: dict[tuple[str, str], int] = field(default_factory=dict)
    """By how much (ns) each track is moved at most where it is played, by what that was measured against."""
    suspect: bool = False
    """Whether the last link's times are not to be trusted."""

    def gap(self, gap: Gap) -> None:
        """Take a Gap record: it explains a gap in the media up to its length, unless its cause is unknown."""
        self.gaps += 1
        self._waiting.append(gap)
        explains = 0 if gap.cause in _EXPLAINS_NOTHING else gap.length_ns
        if gap.track is None:
            # Counted once for all tracks: a chain of many gaps and many tracks would take the product of both.
            self._shared = _Shared(self._shared.gaps + 1, self._shared.explained_ns + explains)
        elif gap.track in self._tracks:
            track = self._tracks[gap.track]
            track.explained_ns += explains
            track.silent = gap.cause is Cause.SILENCE
            track.first_ns = -1

    def link(self, link: Link) -> None:
        """Take a genuine link that is in its place."""
        inside = self.scope.includes(link.fragment)
        self._kinds.update((part.track, part.kind.value) for part in link.tracks)
        self._report_gaps(link.fragment)
        if inside and link.clock_suspect:
            self.collector.add_once(Code.CLOCK_SUSPECT, link.fragment)
        self._clocks(link, inside)
        if link.init:
            return
        self.suspect = link.clock_suspect
        goes_on = any(part.track in self._tracks for part in link.tracks)
        stall = self._arrival(link, inside)
        gaps_ns = [self._track(part, link, inside) for part in link.tracks]
        # Media that came late but whole is no gap: arrival decides only where no track goes on.
        gap_ns = max(gaps_ns) if goes_on else stall
        start_ns = link.arrival_start_ns - gap_ns
        if gap_ns > TOLERANCE_NS and self.scope.touches(link.fragment, start_ns, link.arrival_start_ns):
            self.collector.add(Code.GAP_UNEXPLAINED, link.fragment, seconds=_seconds(gap_ns), at=utc_text(start_ns))
        self._before = self._shared

    def correction(self, correction: Correction) -> None:
        """Take a Correction: where the recording is played, its tracks are moved."""
        for point in correction.points:
            key = self._kinds.get(point.track, str(point.track)), point.source.value
            self._corrected[key] = max(abs(point.moved_ns), self._corrected.get(key, 0))

    def recovery(self, recovery: Recovery, last_fragment: int) -> None:
        """Take the Recovery that closes the chain: its time must not lie before the last arrival that it closes."""
        before = (self.last_ns or 0) - recovery.recovered_ns
        if recovery.clock_suspect:
            self.collector.add_once(Code.CLOCK_SUSPECT, last_fragment)
        elif before > TOLERANCE_NS and not self.suspect:
            self.collector.add_once(Code.CLOCK_BACK, last_fragment, seconds=_seconds(before))

    def finish(self, last_fragment: int) -> None:
        """Report the gaps after the last link, and the tracks that no sender report ever tied to wall time."""
        self._report_gaps(last_fragment + 1)
        for track in sorted(self._untied):
            self._anchored(track)
        for (name, source), moved_ns in self._corrected.items():
            if moved_ns:
                self.collector.add(Code.CLOCK_CORRECTED, track=name, seconds=_seconds(moved_ns), source=source)

    def _clocks(self, link: Link, inside: bool) -> None:
        """Source arrival anchors a track again; a sender report ties all of the track since its anchor."""
        for clock in sorted(link.clocks, key=lambda clock: clock.source is not SyncSource.ARRIVAL):
            if clock.source is SyncSource.ARRIVAL:
                self._anchored(clock.track)
                self._untied[clock.track] = None
            else:
                self._untied.pop(clock.track, None)
        for part in link.tracks:
            if inside and self._untied.get(part.track, 0) is None:
                self._untied[part.track] = link.fragment

    def _anchored(self, track: int) -> None:
        fragment = self._untied.pop(track, None)
        if fragment is not None:
            self.collector.add(Code.SYNC_BY_ARRIVAL, fragment, track=self._kinds.get(track, str(track)))

    def _report_gaps(self, fragment: int) -> None:
        for gap in self._waiting:
            if not self.scope.touches(fragment, gap.start_ns, gap.start_ns + gap.length_ns):
                continue
            track = "*" if gap.track is None else self._kinds.get(gap.track, str(gap.track))
            at, seconds = utc_text(gap.start_ns), _seconds(gap.length_ns)
            code = _NAMED.get(gap.cause)
            if code is not None:
                self.collector.add(code, fragment, seconds=seconds, at=at, track=track)
            elif gap.length_ns:
                self.collector.add(Code.GAP, fragment, seconds=seconds, at=at, cause=gap.cause.value, track=track)
            if gap.cause is Cause.UNKNOWN:
                self.collector.add(Code.GAP_UNEXPLAINED, fragment, seconds=seconds, at=at)
        self._waiting.clear()

    def _arrival(self, link: Link, inside: bool) -> int:
        """Return the gap in arrival before this link that no Gap record explains, in ns."""
        before = self.last_ns
        self.last_ns = max(link.arrival_end_ns, before or 0)
        if self.first_ns is None:
            self.first_ns = link.arrival_start_ns
        if before is None:
            return 0
        jump = link.arrival_start_ns - before
        if jump < -TOLERANCE_NS and not link.clock_suspect and inside:
            self.collector.add_once(Code.CLOCK_BACK, link.fragment, seconds=_seconds(-jump))
        return 0 if link.clock_suspect else jump - (self._shared.explained_ns - self._before.explained_ns)

    def _track(self, part: TrackPart, link: Link, inside: bool) -> int:
        """Return the gap in this track's decode time that no Gap record explains, in ns."""
        rate = part.kind.clock_rate
        first_ns, end_ns = part.first * 1_000_000_000 // rate, part.end * 1_000_000_000 // rate
        track = self._tracks.get(part.track)
        if track is None:
            self._tracks[part.track] = _Track(end_ns, first_ns, link.arrival_start_ns, self._shared)
            return 0
        shared_ns = self._shared.explained_ns - track.shared.explained_ns
        gap_ns = first_ns - track.end_ns - track.explained_ns - shared_ns
        if track.first_ns < 0 or track.shared.gaps != self._shared.gaps or link.clock_suspect:
            track.first_ns, track.first_arrival_ns = first_ns, link.arrival_start_ns
        drift = (first_ns - track.first_ns) - (link.arrival_start_ns - track.first_arrival_ns)
        if inside and max(abs(drift), track.end_ns - first_ns) > DRIFT_NS:
            self.collector.add_once(Code.RETIMED, link.fragment, seconds=_seconds(max(abs(drift), track.end_ns - first_ns)))
        track.end_ns, track.explained_ns, track.shared = end_ns, 0, self._shared
        return 0 if track.silent else gap_ns


def _seconds(length_ns: int) -> str:
    """Return seconds with one decimal, below a second with three: what is not nothing is never written as 0."""
    if abs(length_ns) >= 1_000_000_000:
        return f"{length_ns / 1_000_000_000:.1f}"
    return f"{max(length_ns, 1_000_000) / 1_000_000_000:.3f}"
