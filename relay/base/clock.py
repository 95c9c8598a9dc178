"""The clocks.  Pure cores never read a clock: they get `now` as an argument.

Owns: reading the machine's clocks, and the rules for steps of the wall clock.  Must never know: the use
of a time.

Two clocks are used everywhere.  `monotonic` (float seconds, CLOCK_MONOTONIC, shared by every process of one machine) orders
packets and timers.  UTC (int nanoseconds) is written into evidence and journal.  A `Clock` is a parameter of every shell, so
that retention over months is tested in milliseconds.
"""

import time
from datetime import UTC, date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def _zone(name: str) -> ZoneInfo:
    """Return a time zone; ends the program with a sentence where the system has none, because no day could be counted."""
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        raise SystemExit(
            f"the time zone {name} is missing: install the time zones of the system, or the Python package tzdata"
        ) from None


PARIS = _zone("Europe/Paris")
SECOND_NS = 1_000_000_000
READ_NS = 1_000_000
SLEW_SHARE = 1000
"""A slewed wall clock runs off by at most 500 parts in a million (adjtime, NTP); twice that, 1 in 1000, is allowed for."""
DOUBT_NS = 86_400 * SECOND_NS


class Clock(Protocol):
    """Reads both clocks."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary origin common to all processes of this machine."""
        ...

    def utc_ns(self) -> int:
        """Nanoseconds since 1970-01-01T00:00:00Z."""
        ...


class SystemClock:
    """The machine's clocks."""

    monotonic = staticmethod(time.monotonic)
    """CLOCK_MONOTONIC in seconds; the system's own function, because the packet path reads it for every few legs."""

    def utc_ns(self) -> int:
        """Return CLOCK_REALTIME in nanoseconds."""
        return time.time_ns()


class ManualClock:
    """A clock for tests: it moves only by `advance` and `step_utc`."""

    def __init__(self, utc_ns: int = 1_767_225_600 * SECOND_NS, monotonic: float = 1000.0) -> None:
        self._utc_ns = utc_ns
        self._monotonic = monotonic

    def monotonic(self) -> float:
        """Return the simulated monotonic time."""
        return self._monotonic

    def utc_ns(self) -> int:
        """Return the simulated UTC time."""
        return self._utc_ns

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        self._monotonic += seconds
        self._utc_ns += round(seconds * SECOND_NS)

    def step_utc(self, seconds: float) -> None:
        """Step the wall clock only, as NTP or an administrator does."""
        self._utc_ns += round(seconds * SECOND_NS)


def read_both(clock: Clock) -> tuple[int, int]:
    """Return UTC and monotonic time (ns) of one instant: the quickest of up to five readings.

    A process that the scheduler interrupts between two readings would otherwise see a step that nobody made.
    """
    best: tuple[int, int, int] | None = None
    for _ in range(5):
        before, utc_ns, after = clock.monotonic(), clock.utc_ns(), clock.monotonic()
        took = round((after - before) * SECOND_NS)
        if best is None or took < best[0]:
            best = took, utc_ns, int(before * SECOND_NS) + took // 2
        if took < READ_NS:
            break
    assert best is not None
    return best[1:]


class ConservativeClock:
    """UTC for what must not happen early (erasure): no step of the wall clock moves it forward.

    It follows steps back at once, and slewing.  A step forward is doubted for a day.  During that day this clock runs on
    evenly, so that an administrator or NTP has time to correct the wall clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._utc_ns, self._mono_ns = read_both(clock)
        self._doubted_since: int | None = None
        self.ahead_ns = 0
        """By how many nanoseconds the wall clock is ahead of this clock while a step is doubted; else 0."""

    def utc_ns(self) -> int:
        """Nanoseconds since 1970-01-01T00:00:00Z, at most the wall clock's time."""
        utc_ns, mono_ns = read_both(self._clock)
        passed = mono_ns - self._mono_ns
        expected, play = self._utc_ns + passed, SECOND_NS + passed // SLEW_SHARE
        if utc_ns - expected > play:
            self._doubted_since = mono_ns if self._doubted_since is None else self._doubted_since
            if mono_ns - self._doubted_since < DOUBT_NS:
                self.ahead_ns = utc_ns - expected
                return expected
        elif utc_ns - expected < -play:
            self._doubted_since, self.ahead_ns = None, 0
            return utc_ns  # the time before may be right: a step forward to it again is no step
        self._utc_ns, self._mono_ns = utc_ns, mono_ns
        self._doubted_since, self.ahead_ns = None, 0
        return utc_ns


class SteadyClock:
    """UTC for exact durations (sign-ins, view tokens, locks): no step of the wall clock changes it.

    It begins with the wall clock and runs on with the monotonic clock, which is slewed alike.  There is one per process; after
    a restart it begins with the wall clock of that moment, because nothing else is left.  It stands still while the machine
    sleeps.  For days that people set (a designation, a term), use the wall clock or `ConservativeClock`.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        utc_ns, mono_ns = read_both(clock)
        self._offset_ns = utc_ns - mono_ns

    def utc_ns(self) -> int:
        """Nanoseconds since 1970-01-01T00:00:00Z, as the wall clock would say without steps since the start."""
        return int(self._clock.monotonic() * SECOND_NS) + self._offset_ns

    def wall_ns(self, steady_ns: int) -> int:
        """Return the wall clock's time at an instant of this clock, under the present offset: for people and pages."""
        utc_ns, mono_ns = read_both(self._clock)
        return steady_ns - self._offset_ns + utc_ns - mono_ns


def rfc3339(utc_ns: int) -> str:
    """Return `2026-11-22T21:04:10.123456Z`."""
    seconds, rest = divmod(utc_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def paris_day(utc_ns: int) -> date:
    """Return the civil day in Europe/Paris: the day of recording of R. 241-4 and R. 241-13 CSI."""
    return datetime.fromtimestamp(utc_ns / SECOND_NS, PARIS).date()
