"""Where time comes from.  Cores never import this for reading: they are handed `now`.

Two clocks are used everywhere.  `monotonic` (float seconds, CLOCK_MONOTONIC, shared by every process of one machine) orders
packets and timers; UTC nanoseconds (int) stand in evidence and journal.  A `Clock` is a parameter of every shell so that
retention over months is tested in milliseconds.
"""

import time
from datetime import UTC, date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")
SECOND_NS = 1_000_000_000


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

    def monotonic(self) -> float:
        """Return CLOCK_MONOTONIC in seconds."""
        return time.monotonic()

    def utc_ns(self) -> int:
        """Return CLOCK_REALTIME in nanoseconds."""
        return time.time_ns()


class ManualClock:
    """A clock that moves when told; for tests."""

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


def rfc3339(utc_ns: int) -> str:
    """Return `2026-11-22T21:04:10.123456Z`."""
    seconds, rest = divmod(utc_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def paris_day(utc_ns: int) -> date:
    """Return the civil day in Europe/Paris: the day of recording of R. 241-4 and R. 241-13 CSI."""
    return datetime.fromtimestamp(utc_ns / SECOND_NS, PARIS).date()
