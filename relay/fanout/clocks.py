"""A camera's RTP clocks against our monotonic clock, so that sound and picture stay together behind the relay.

Owns: the mapping from sender reports (RFC 3550 §6.4.1) and arrivals to our monotonic clock, one per camera and
one per track.  Must never know: legs, the wall clock.  All times are float seconds; camera times are its NTP seconds
since 1970.
"""

from collections import deque

from relay.base.serials import Unwrapper

_REPORTS = 16
_FORGET = 1e-5
"""Seconds by which the mapping is moved per picture: at 30 pictures a second it follows a drift of 300 ppm."""


class CameraClock:
    """The camera's wall clock against our monotonic clock: the shortest transit of the last 16 reports of all its tracks."""

    def __init__(self) -> None:
        self._transits: deque[float] = deque(maxlen=_REPORTS)

    def add(self, ntp: float, arrival: float) -> None:
        """Take a sender report of any track, stamped `ntp`, that came at `arrival`."""
        transit = arrival - ntp
        if self._transits and abs(transit - min(self._transits)) > 5.0:
            self._transits.clear()
        self._transits.append(transit)

    @property
    def transit(self) -> float | None:
        """Our monotonic seconds minus the camera's: the clocks' difference plus the shortest transit; None before a report."""
        return min(self._transits) if self._transits else None


class TrackClock:
    """RTP time of one track as a function of our monotonic clock."""

    def __init__(self, clock_rate: int, camera: CameraClock) -> None:
        self.clock_rate = clock_rate
        self._camera = camera
        self._unwrap = Unwrapper(32)
        self.is_reported = False
        """Whether a sender report came since the sender began.  Then `packet` need not be called."""
        self._report: tuple[float, int] | None = None
        self._earliest: float | None = None

    def packet(self, timestamp: int, arrival: float) -> None:
        """Take the arrival of the first packet of a picture, or of a frame of sound.

        Without sender reports the packet with the shortest transit defines the mapping.  It is moved slowly, to follow drift.
        """
        start = arrival - self._unwrap.extend(timestamp) / self.clock_rate
        if self._earliest is None or start < self._earliest or start - self._earliest > 10.0:
            self._earliest = start
        else:
            self._earliest += min(start - self._earliest, _FORGET)

    def report(self, ntp: float, timestamp: int) -> None:
        """Take a sender report of this track; the caller feeds `CameraClock.add` as well."""
        self._report = (ntp, self._unwrap.extend(timestamp))
        self.is_reported = True

    def restart(self) -> None:
        """The sender restarted: forget the mapping of its old timestamps."""
        self._unwrap = Unwrapper(32)
        self._report = self._earliest = None
        self.is_reported = False

    def rtp_at(self, now: float) -> int | None:
        """Return the track's RTP time (32 bits) at monotonic `now`; None before anything is known."""
        transit = self._camera.transit
        if self._report is not None and transit is not None:
            ntp, timestamp = self._report
            return round(timestamp + (now - transit - ntp) * self.clock_rate) & 0xFFFFFFFF
        if self._earliest is None:
            return None
        return round((now - self._earliest) * self.clock_rate) & 0xFFFFFFFF
