"""Technical alarms, kept for pages that connect after they were raised.

Owns: the last few alarms of each camera, and which sign-ins they reached.  Must never know: sockets,
which person may see which camera.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from relay.base.clock import Clock
from relay.protocol.page import AlarmRaised, AlarmReason

PER_CAMERA = 8
"""Alarms kept for each enrolled camera."""
KEPT_SECONDS = 3600.0
UNSURE_SECONDS = 30.0
"""A page that disconnects so soon after an alarm may not have received it: a dead socket is noticed at its second missed
heartbeat."""


@dataclass(eq=False, slots=True)
class Alarm:
    """One alarm; `at` is monotonic seconds, `reached` the sign-ins to whose pages it was sent, and when."""

    camera: str
    reason: AlarmReason
    at: float
    at_ns: int
    reached: dict[str, float] = field(default_factory=dict)

    def message(self) -> AlarmRaised:
        """Return the message to pages."""
        return AlarmRaised(self.camera, self.reason, self.at_ns)


class Alarms:
    """The alarms of the last hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, deque[Alarm]] = {}

    def keep(self, camera: str, reason: AlarmReason) -> Alarm:
        """Keep an alarm that was just raised."""
        alarm = Alarm(camera, reason, self._clock.monotonic(), self._clock.utc_ns())
        self._kept.setdefault(camera, deque(maxlen=PER_CAMERA)).append(alarm)
        return alarm

    def reach(self, alarm: Alarm, session: str) -> None:
        """Note that the alarm is sent to a page of this sign-in."""
        alarm.reached[session] = self._clock.monotonic()

    def missed(self, session: str) -> Iterator[Alarm]:
        """Yield the alarms that were not sent to any page of this sign-in yet, the oldest first."""
        after = self._clock.monotonic() - KEPT_SECONDS
        kept = (alarm for alarms in self._kept.values() for alarm in alarms)
        yield from sorted((a for a in kept if a.at > after and session not in a.reached), key=lambda alarm: alarm.at)

    def left(self, session: str) -> None:
        """A page disconnected: alarms sent to it just before count as not sent."""
        after = self._clock.monotonic() - UNSURE_SECONDS
        for alarm in (alarm for alarms in self._kept.values() for alarm in alarms):
            if alarm.reached.get(session, after) > after:
                del alarm.reached[session]

    def forget(self, camera: str) -> None:
        """A camera was revoked: forget its alarms."""
        self._kept.pop(camera, None)
