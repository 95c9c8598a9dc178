"""First pictures: what has passed since the last IDR, and asking the camera for the next one.

What this file owns: the cache (in memory only, <= 2 MB and <= 4 s) and the rhythm of keyframe requests.  What it must never
know: which viewer wants a picture.  Twenty viewers joining cost one request; cameras that never answer keep working, at the
next IDR they send on their own.
"""

from bisect import insort
from enum import Enum

from relay.base.counters import declare
from relay.rtp.burst import MediaPacket

MAX_BYTES = 2 << 20
MAX_SECONDS = 4.0

declare(
    keyframe_cache_overrun="keyframe caches dropped because the camera sent no IDR for 4 s or 2 MB",
    keyframe_asked="keyframe requests sent to cameras",
    keyframe_unanswered="keyframe requests repeated because no IDR came",
)


class KeyframeCache:
    """The packets of one video stream since its last IDR, in order, without duplicates."""

    def __init__(self) -> None:
        self._packets: list[MediaPacket] = []
        self._bytes = 0
        self._start: int | None = None
        self.overruns = 0

    def add(self, media: MediaPacket) -> None:
        """Take a packet that `Inbound` accepted."""
        if media.keyframe and media.timestamp != self._start and self._is_newer(media):
            self._begin(media)
        elif self._start is None:
            self._remember_head(media)
            return
        self._insert(media)
        if self._bytes > MAX_BYTES or media.arrival - self._packets[0].arrival > MAX_SECONDS:
            self.clear()
            self.overruns += 1

    def replay(self) -> list[MediaPacket]:
        """Return what a new viewer needs before the live packets; empty where there is no IDR to start from."""
        return list(self._packets) if self._start is not None else []

    def clear(self) -> None:
        """Forget everything; the next IDR begins anew."""
        self._packets = []
        self._bytes = 0
        self._start = None

    @property
    def ready(self) -> bool:
        """Whether a viewer can start now."""
        return self._start is not None

    def _is_newer(self, media: MediaPacket) -> bool:
        return not self._packets or media.index > self._packets[0].index

    def _begin(self, media: MediaPacket) -> None:
        """Start anew at the first packet of this access unit: delimiter and SEI may have come before the SPS."""
        same = [packet for packet in self._packets if packet.timestamp == media.timestamp]
        self._packets = same
        self._bytes = sum(len(packet.payload) for packet in same)
        self._start = media.timestamp

    def _remember_head(self, media: MediaPacket) -> None:
        """Without an IDR keep the current access unit only, whose next packet may turn out to be one."""
        if self._packets and self._packets[-1].timestamp != media.timestamp:
            self._packets.clear()
        if len(self._packets) < 8:
            self._packets.append(media)
        self._bytes = 0

    def _insert(self, media: MediaPacket) -> None:
        packets = self._packets
        if packets and media.index < packets[-1].index:
            if media.index < packets[0].index and media.timestamp != self._start:
                return
            insort(packets, media, key=lambda packet: packet.index)
        else:
            packets.append(media)
        self._bytes += len(media.payload)


class Ask(Enum):
    """What to send to the camera now."""

    NOTHING = "nothing"
    PLI = "pli"
    FIR = "fir"


MIN_PAUSE = 0.5
"""Seconds between two requests that viewers can cause."""
FIRST_RETRY = 0.4
MAX_RETRY = 5.0
_DOUBLINGS = 4
"""From the first pause to the longest; the exponent stays there however long a camera sends no keyframe."""
FIR_AFTER = 3
"""Requests in vain after which FIR is tried in turn: some cameras know only that (Janus #233)."""


class KeyframeRequester:
    """Coalesces wishes for a keyframe into few requests, and repeats those that were not answered."""

    def __init__(self) -> None:
        self._wanted = False
        self._asked_at: float | None = None
        self._due = 0.0
        self._tries = 0
        self.unanswered = 0

    def want(self, now: float) -> None:
        """Somebody needs a keyframe."""
        if self._wanted:
            return
        self._wanted = True
        self._tries = 0
        self._due = now if self._asked_at is None else max(now, self._asked_at + MIN_PAUSE)

    def seen(self, now: float) -> None:
        """A keyframe began to arrive."""
        self._wanted = False
        self._tries = 0

    def poll(self, now: float) -> Ask:
        """Return what to send now; call after `want` and on every tick."""
        if not self._wanted or now < self._due:
            return Ask.NOTHING
        self.unanswered += self._tries > 0
        self._tries += 1
        self._asked_at = now
        self._due = now + min(MAX_RETRY, max(MIN_PAUSE, FIRST_RETRY * 2 ** min(self._tries - 1, _DOUBLINGS)))
        return Ask.FIR if self._tries > FIR_AFTER and self._tries % 2 == 0 else Ask.PLI
