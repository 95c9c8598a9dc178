"""Where a camera's RTP clocks stand against ours, so that sound and picture stay together behind the relay.

What this file owns: the mapping from sender reports (RFC 3550 §6.4.1) and arrivals to our monotonic clock, one per camera and
one per track.  What it must never know: legs, the wall clock.  All times are float seconds; camera times are its NTP seconds
since 1970.
"""

from collections import deque

from relay.base.serials import Unwrapper

_REPORTS = 16
_FORGET = 1e-5
"""Seconds per picture: at 30 a second, clocks may part by 300 ppm."""


class CameraClock:
    """The camera's wall clock against our monotonic clock: the smallest transit of the last reports of all its tracks."""

    def __init__(self) -> None:
        self._transits: deque[float] = deque(maxlen=_REPORTS)

    def add(self, ntp: float, arrival: float) -> None:
        """A sender report of any track stamped `ntp` came at `arrival`."""
        transit = arrival - ntp
        if self._transits and abs(transit - min(self._transits)) > 5.0:
            self._transits.clear()
        self._transits.append(transit)

    @property
    def transit(self) -> float | None:
        """Monotonic seconds minus the camera's: clock difference plus the shortest way seen; None before a report."""
        return min(self._transits) if self._transits else None


class TrackClock:
    """RTP time of one track as a function of our monotonic clock."""

    def __init__(self, clock_rate: int, camera: CameraClock) -> None:
        self.clock_rate = clock_rate
        self._camera = camera
        self._unwrap = Unwrapper(32)
        self.is_reported = False
        """A sender report came.  The arrival of packets then says nothing more: `packet` need not be called."""
        self._report: tuple[float, int] | None = None
        self._earliest: float | None = None

    def packet(self, timestamp: int, arrival: float) -> None:
        """Without sender reports the packet that hurried most tells the mapping; it is forgotten slowly (drift).

        Once per picture or frame of sound.
        """
        start = arrival - self._unwrap.extend(timestamp) / self.clock_rate
        if self._earliest is None or start < self._earliest or start - self._earliest > 10.0:
            self._earliest = start
        else:
            self._earliest += min(start - self._earliest, _FORGET)

    def report(self, ntp: float, timestamp: int) -> None:
        """A sender report of this track; feed `CameraClock.add` as well."""
        self._report = (ntp, self._unwrap.extend(timestamp))
        self.is_reported = True

    def restart(self) -> None:
        """The sender began anew: what was known of its timestamps is void."""
        self._unwrap = Unwrapper(32)
        self._report = self._earliest = None

    def rtp_at(self, now: float) -> int | None:
        """Return the track's RTP time (32 bits) at monotonic `now`; None before anything is known."""
        transit = self._camera.transit
        if self._report is not None and transit is not None:
            ntp, timestamp = self._report
            return round(timestamp + (now - transit - ntp) * self.clock_rate) & 0xFFFFFFFF
        if self._earliest is None:
            return None
        return round((now - self._earliest) * self.clock_rate) & 0xFFFFFFFF
