"""When pictures that are not shown in the order in which they came (B pictures) are decoded.

Owns: how much earlier than shown each picture is decoded.  Must never know: arrival, the timeline, units.

RTP timestamps are those at which pictures are shown (RFC 6184 §5.1); pictures come in the order of decoding.  A stream that
holds back at most n pictures decodes each at the time at which the n-th before it is shown, in the order of showing.  The
parameter set may state n (max_num_reorder_frames, H.264 §E.2.1); beyond that it is learned from the pictures.
"""

import heapq
from collections import deque

MAX_FRAMES = 16
"""H.264 holds back no more (§A.3)."""
BACK_TICKS, AHEAD_TICKS = 45_000, 40_000
"""A step of timestamps that is longer (0.5 s, 0.44 s) is no order of pictures: what waits for its turn is forgotten."""
_FRAME_TICKS = 1500
"""At the beginning pictures are decoded so far apart: no camera of interest sends more than 60 a second."""


class DecodeTimes:
    """The order of one stream; timestamps are unwrapped, in ticks of 90 kHz."""

    __slots__ = ("_highest", "_learned", "_recent", "_stated", "_waiting")

    def __init__(self) -> None:
        self._stated = self._learned = 0
        self._waiting: list[int] = []
        """A heap of the timestamps at which further pictures will be decoded."""
        self._recent: deque[int] = deque(maxlen=MAX_FRAMES + 1)
        self._highest = 0

    @property
    def frames(self) -> int:
        """How many pictures are held back; 0 where all are shown as they come."""
        return max(self._stated, self._learned)

    def state(self, frames: int) -> None:
        """A parameter set says how many pictures are held back."""
        self._stated = min(frames, MAX_FRAMES)

    def goes_back(self, timestamp: int) -> bool:
        """Return whether a picture is shown before one that came earlier, by so little that it is an order of pictures."""
        return bool(self._recent) and 0 < self._highest - timestamp <= BACK_TICKS

    def take(self, timestamp: int, *, reordered: bool = False) -> int:
        """Return by how many ticks the next picture is decoded before it is shown; negative where its turn was missed.

        `reordered`: it goes back and is a B picture, so the camera means it.
        """
        if not -BACK_TICKS <= timestamp - self._highest <= AHEAD_TICKS:
            self._recent.clear()
            self._waiting.clear()
        elif reordered:
            self._learned = max(self._learned, min(sum(each > timestamp for each in self._recent), MAX_FRAMES))
        self._highest = max(self._highest, timestamp) if self._recent else timestamp
        self._recent.append(timestamp)
        return timestamp - self._turn(timestamp, self.frames) if self.frames else 0

    def _turn(self, timestamp: int, frames: int) -> int:
        waiting = self._waiting
        if not waiting:
            waiting += [timestamp - number * _FRAME_TICKS for number in range(frames, 0, -1)]
        heapq.heappush(waiting, timestamp)
        turn = waiting[0]
        while len(waiting) > frames:
            turn = heapq.heappop(waiting)
        return turn
