"""Feedback to a camera about its radio: transport-wide arrivals, or a REMB for cameras that know nothing better.

Owns: when feedback is due, and how much of it may wait.  Must never know: sockets, codecs.
"""

from collections import deque

from relay.base.serials import Unwrapper
from relay.rtp.transport_cc import build_feedback

INTERVAL_SECONDS = 0.1
BURST = 100
"""Arrivals that are reported at once, before the interval is over."""
MAX_ARRIVALS = 2000
"""Arrivals that may wait for the next feedback; of more the newest are reported."""
MAX_STEP = 1000
"""A number further than this from the last (either way) begins a new count: after an outage, or where a hostile camera wants us
to report wide gaps."""


class TransportFeedback:
    """Collects transport-wide sequence numbers and builds feedback ten times a second, earlier on a burst."""

    def __init__(self) -> None:
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=MAX_ARRIVALS)
        self.arrived = self._arrivals.append
        """Take (transport-wide number, when its packet came, seconds)."""
        self._unwrap = Unwrapper(16)
        self._count = 0
        self._due = 0.0

    @property
    def has_begun(self) -> bool:
        """Whether any packet carried a transport-wide number: its sender wants arrivals, and no other limit."""
        return bool(self._arrivals) or self._unwrap.last is not None

    def poll(self, sender: int, media: int, now: float) -> list[bytes]:
        """Return the RTCP packets due now."""
        if not self._arrivals or now < self._due and len(self._arrivals) < BURST:
            return []
        self._due = now + INTERVAL_SECONDS
        arrivals = self._take()
        packets = []
        while arrivals:
            packet, covered = build_feedback(sender, media, self._count, arrivals)
            self._count += 1
            packets.append(packet)
            arrivals = {number: at for number, at in arrivals.items() if number >= covered}
        return packets

    def _take(self) -> dict[int, float]:
        """Return the arrivals since the last call by unwrapped number; after a jump those behind it only."""
        arrivals: dict[int, float] = {}
        for number, at in self._arrivals:
            last = self._unwrap.last
            extended = self._unwrap.extend(number)
            if last is not None and not -MAX_STEP <= extended - last <= MAX_STEP:
                arrivals.clear()
                self._unwrap = Unwrapper(16)
                extended = self._unwrap.extend(number)
            arrivals[extended] = at
        self._arrivals.clear()
        return arrivals


class ReceiveLimit:
    """A bitrate for REMB from loss alone (the loss-based half of Google's congestion control, draft-ietf-rmcat-gcc-02 §6)."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self.bitrate = maximum

    def update(self, loss: float, received: int) -> int:
        """Return the limit (bit/s) after one second with this share of loss (0..1) at `received` bit/s."""
        if loss > 0.10:
            self.bitrate = max(100_000, int(min(self.bitrate, 1.5 * received) * (1 - loss / 2)))
        elif loss < 0.02:
            self.bitrate = min(self._maximum, int(self.bitrate * 1.08) + 1000)
        return self.bitrate
