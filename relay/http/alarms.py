"""Technical alarms, kept for who was not there when they were raised.

What this file owns: the last few alarms of each camera, and which sign-ins they reached.  What it must never know: sockets,
who may hear of which camera.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from relay.base.clock import Clock

PER_CAMERA = 8
"""Alarms kept of one camera; cameras are as many as are enrolled."""
KEPT_SECONDS = 3600.0
UNSURE_SECONDS = 30.0
"""A page that goes away so soon after an alarm may not have had it: a dead socket is noticed by its second missed heartbeat."""


@dataclass(eq=False, slots=True)
class Alarm:
    """One alarm; `at` is monotonic seconds, `reached` the sign-ins whose page was told."""

    camera: str
    reason: str
    at: float
    at_ns: int
    reached: dict[str, float] = field(default_factory=dict)

    def message(self) -> dict[str, Any]:
        """Return what pages are told."""
        return {"t": "alarm", "camera": self.camera, "reason": self.reason, "at_ns": self.at_ns}


class Alarms:
    """The alarms of the last hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, deque[Alarm]] = {}

    def keep(self, camera: str, reason: str) -> Alarm:
        """Keep an alarm that was just raised."""
        alarm = Alarm(camera, reason, self._clock.monotonic(), self._clock.utc_ns())
        self._kept.setdefault(camera, deque(maxlen=PER_CAMERA)).append(alarm)
        return alarm

    def reach(self, alarm: Alarm, session: str) -> None:
        """A page of this sign-in is told."""
        alarm.reached[session] = self._clock.monotonic()

    def missed(self, session: str) -> Iterator[Alarm]:
        """Yield what no page of this sign-in was told yet, the oldest first."""
        after = self._clock.monotonic() - KEPT_SECONDS
        kept = (alarm for alarms in self._kept.values() for alarm in alarms)
        yield from sorted((a for a in kept if a.at > after and session not in a.reached), key=lambda alarm: alarm.at)

    def left(self, session: str) -> None:
        """A page went away: what it was told just before counts as not told."""
        after = self._clock.monotonic() - UNSURE_SECONDS
        for alarm in (alarm for alarms in self._kept.values() for alarm in alarms):
            if alarm.reached.get(session, after) > after:
                del alarm.reached[session]

    def forget(self, camera: str) -> None:
        """A camera is no more."""
        self._kept.pop(camera, None)
