"""What the relay tells a camera about its radio: transport-wide arrivals, or a REMB where it knows nothing better.

What this file owns: when feedback is due and the bound of what it remembers.  What it must never know: sockets, codecs.
"""

from relay.base.serials import Unwrapper
from relay.rtp.transport_cc import build_feedback

INTERVAL = 0.1
MAX_ARRIVALS = 2000
MAX_STEP = 1000
"""A number further than this from the last (either way) begins anew: an outage, or a camera that would have us tell of gaps."""


class TransportFeedback:
    """Collects transport-wide sequence numbers and builds feedback ten times a second, earlier on a burst."""

    def __init__(self) -> None:
        self._unwrap = Unwrapper(16)
        self._arrivals: dict[int, float] = {}
        self._count = 0
        self._due = 0.0
        self._next: int | None = None

    def arrived(self, number: int, now: float) -> None:
        """A packet with this transport-wide number came."""
        if len(self._arrivals) >= MAX_ARRIVALS:
            return
        last = self._unwrap.last
        extended = self._unwrap.extend(number)
        if last is not None and not -MAX_STEP <= extended - last <= MAX_STEP:
            self._arrivals.clear()
            self._unwrap = Unwrapper(16)
            extended = self._unwrap.extend(number)
        self._arrivals[extended] = now

    def poll(self, sender: int, media: int, now: float) -> list[bytes]:
        """Return the RTCP packets due now."""
        if not self._arrivals or now < self._due and len(self._arrivals) < 100:
            return []
        self._due = now + INTERVAL
        packets = []
        while self._arrivals:
            packet, covered = build_feedback(sender, media, self._count, self._arrivals)
            self._count += 1
            packets.append(packet)
            self._arrivals = {number: at for number, at in self._arrivals.items() if number >= covered}
        return packets


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
