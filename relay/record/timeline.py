"""The clocks of one track: its RTP clock, the recording's timeline, the relay's clock and the camera's clock.

Owns: where on the recording's timeline a sample lies, and what is known of the offset to wall time.
Must never know: files, other tracks, the wall clock except as numbers that it is given.

Each track stays on its own RTP clock.  It is anchored once, by arrival.  It is anchored again only when the timestamps do what
no network can do: run ahead of arrival by more than 1 s, fall behind by more than 10 s, or go back.  Then the jump is a gap,
and the next link carries a fix by arrival for the new anchor, before it carries any fix by sender report (RFC 3550 §6.4.1).
The anchor follows the packet that was delayed least in the last 30 s, so that neither jitter nor a drifting crystal looks like
a jump.  Where the clock is known to drift further (`drift`), lateness is measured from the samples that came in time.
"""

from typing import NamedTuple

SECOND = 1_000_000_000
AHEAD_NS = SECOND
BEHIND_NS = 10 * SECOND
BACK_NS = SECOND // 2
"""In the camera's order, timestamps go back by a few pictures at most (H.264 with B pictures)."""
ASTRAY_NS = 60 * SECOND
"""A sender report whose timestamp lies further from its track than this is of another clock, and is ignored."""
WINDOW_NS = 30 * SECOND
REPORT_PERIOD_NS = 10 * SECOND
CHANGED_NS = 5_000_000
UNKNOWN_RTT_NS = 100_000_000


class Place(NamedTuple):
    """Where a sample lies: `time` in ticks of the track; `jump`: the track was anchored again for it."""

    time: int
    jump: bool


class Fix(NamedTuple):
    """One instant on all clocks of a track, to be written into the next link."""

    by_report: bool
    """From a sender report, otherwise from arrival."""
    wall_ns: int
    rtp: int
    time: int
    offset_ns: int
    """Camera's wall clock minus the relay's."""
    uncertainty_ns: int


class Timeline:
    """The clock of one track; `origin` is the monotonic instant (ns) that is 0 on the recording's timeline."""

    def __init__(self, clock_rate: int, origin: int, floor: int = 0) -> None:
        self.clock_rate = clock_rate
        self._origin = origin
        self._floor = floor
        self._tick = SECOND / clock_rate
        self._base: int | None = None
        """The timestamp at which the track was anchored."""
        self._shift = 0
        """Decode time minus timestamp."""
        self._reference = (0, 0)
        """Timestamp and arrival (monotonic ns) of the packet that was delayed least."""
        self._candidate: tuple[int, int, float] | None = None
        """The same for the present window, with its lateness (ns) against the reference."""
        self._window_ends = 0
        self._spread = 0.0
        self._fix: Fix | None = None
        self._written_at: int | None = None
        self._written_offset = 0
        self._written_by_report = False
        self._new_anchor = False

    @property
    def end(self) -> int:
        """The lowest decode time that a further sample may take."""
        return self._floor

    def place(self, timestamp: int, arrival: int, lead: int = 0) -> Place:
        """Return where the sample of this (unwrapped) timestamp lies, decoded `lead` ticks earlier; decode times only grow."""
        jump = False
        if self._base is None:
            self._anchor(timestamp, arrival)
        elif self._jumps(timestamp, lateness := self._lateness(timestamp, arrival)):
            self._anchor(timestamp, arrival)
            jump = True
        else:
            self._follow(timestamp, arrival, lateness)
        time = timestamp - lead + self._shift
        if time < self._floor:
            time = self._floor
        self._floor = time + 1
        return Place(time, jump)

    def foresee(self, timestamp: int, arrival: int, lead: int = 0) -> Place:
        """Return what `place` would return, and change nothing."""
        jump = self._base is not None and self._jumps(timestamp, self._lateness(timestamp, arrival))
        shift = self._shift if self._base is not None and not jump else self._shift_at(timestamp, arrival)
        return Place(max(timestamp - lead + shift, self._floor), jump)

    def refer(self, timestamp: int, arrival: int) -> None:
        """Measure lateness from this sample: the clock is known to run wrong, and this sample to have come in time."""
        self._reference, self._candidate, self._window_ends = (timestamp, arrival), None, arrival + WINDOW_NS

    def _lateness(self, timestamp: int, arrival: int) -> float:
        """Return how much later a sample came than the least delayed one, in nanoseconds."""
        since, came = self._reference
        return arrival - came - (timestamp - since) * self._tick

    def _jumps(self, timestamp: int, lateness: float) -> bool:
        back = (self._floor - timestamp - self._shift) * self._tick
        return not -AHEAD_NS <= lateness <= BEHIND_NS or back > BACK_NS

    def _shift_at(self, timestamp: int, arrival: int) -> int:
        """Return the shift of a track that is anchored here."""
        return max((arrival - self._origin) * self.clock_rate // SECOND, self._floor) - timestamp

    def time_of(self, timestamp: int) -> int | None:
        """Return when a timestamp is shown under the present anchor, in ticks; None before the first sample."""
        return None if self._base is None else timestamp + self._shift

    def report(self, timestamp: int, camera_ns: int, arrival_utc_ns: int, rtt_ns: int | None) -> Fix | None:
        """Take a sender report: the camera's clock said `camera_ns` (UTC) at `timestamp`; it came at `arrival_utc_ns`.

        Return what it says; None where it is of no use.
        """
        time = self.time_of(timestamp)
        if time is None or time < 0 or camera_ns <= 0 or abs(time - self._floor) * self._tick > ASTRAY_NS:
            return None
        trip = UNKNOWN_RTT_NS if rtt_ns is None else max(rtt_ns, 0)
        offset = camera_ns + trip // 2 - arrival_utc_ns
        self._fix = Fix(True, camera_ns, timestamp & 0xFFFFFFFF, time, offset, trip // 2 + SECOND // self.clock_rate)
        return self._fix

    def take_fix(self, now: int, utc_minus_mono: int) -> Fix | None:
        """Return the fix that the next link should carry, None while nothing new is known."""
        fix = self._by_arrival(utc_minus_mono) if self._fix is None or self._new_anchor else self._fix
        if fix is None or not self._should_write(fix, now):
            return None
        self._written_at, self._written_by_report, self._new_anchor = now, fix.by_report, False
        self._written_offset = self._tie(fix)
        return fix

    def _should_write(self, fix: Fix, now: int) -> bool:
        if self._written_at is None or self._new_anchor:
            return True  # fixes of the old anchor are void
        if fix.by_report and not self._written_by_report:
            return True  # the first report: the recording is no longer synchronised by arrival
        moved = abs(self._tie(fix) - self._written_offset) > CHANGED_NS
        return fix.by_report and (moved or now - self._written_at >= REPORT_PERIOD_NS) and now - self._written_at >= SECOND

    def _tie(self, fix: Fix) -> int:
        return fix.wall_ns - fix.time * SECOND // self.clock_rate

    def _by_arrival(self, utc_minus_mono: int) -> Fix | None:
        if self._base is None:
            return None
        timestamp, arrival = self._reference
        time = self.time_of(timestamp)
        if time is None or time < 0:
            return None
        spread = max(int(self._spread), UNKNOWN_RTT_NS)
        return Fix(False, arrival + utc_minus_mono, timestamp & 0xFFFFFFFF, time, 0, spread)

    def _anchor(self, timestamp: int, arrival: int) -> None:
        self._base = timestamp
        self._shift = self._shift_at(timestamp, arrival)
        self._reference = (timestamp, arrival)
        self._candidate, self._window_ends = None, arrival + WINDOW_NS
        self._fix, self._new_anchor = None, True

    def _follow(self, timestamp: int, arrival: int, lateness: float) -> None:
        """Keep the least delayed packet as the reference, a new one each window; `lateness` in nanoseconds."""
        if lateness > self._spread:
            self._spread = lateness
        if lateness < 0:
            self._reference = (timestamp, arrival)
            self._candidate = None
        elif self._candidate is None or lateness <= self._candidate[2]:
            self._candidate = (timestamp, arrival, lateness)
        if arrival >= self._window_ends:
            if self._candidate is not None:
                self._reference = self._candidate[:2]
            self._candidate, self._spread = None, 0.0
            self._window_ends = arrival + WINDOW_NS
