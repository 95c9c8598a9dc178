"""A reorder window, bounded in time and in packets: packets of one stream leave it in order.

Owns: 16-bit sequence numbers of one RTP stream.  Must never know: what a packet holds, wall time.

A packet that is not the next one waits for the missing packets: until they come, until the window has passed since they were
first missed, or until `MAX_HELD` packets wait.  Then the missing packets are given up as lost, and their number is delivered
with the packet after them.  A jump that no network makes (a camera restarted its counter) is believed once two packets in a row
confirm it (RFC 3550 A.1).  A jump back that reordering could also make is believed once `MAX_STALE` packets in a row came from
before the expected number and none from it on.

A packet costs at most the logarithm of what waits, whatever its number: one camera's numbers must not take the time of others.
"""

import heapq
from collections import OrderedDict
from typing import Generic, NamedTuple, TypeVar

from relay.base.serials import unwrap

T = TypeVar("T")

MAX_HELD = 2048
MAX_JUMP = 3000
MAX_STALE = 64


class Delivered(NamedTuple, Generic[T]):
    """A packet in its place; `lost` packets before it never came (a restarted counter counts as one)."""

    lost: int
    item: T


class Reorder(Generic[T]):
    """The window of one stream; times in nanoseconds of any monotonic clock."""

    __slots__ = ("_held", "_missing_since", "_next", "_numbers", "_probation", "_stale", "_window", "late")

    def __init__(self, window_ns: int) -> None:
        self._window = window_ns
        self._next: int | None = None
        self._held: OrderedDict[int, tuple[int, T]] = OrderedDict()
        """What waits, by number, in order of arrival: when it came (nanoseconds) and what."""
        self._numbers: list[int] = []
        """A heap of the numbers of what waits."""
        self._missing_since = 0
        self._probation: int | None = None
        self._stale = 0
        self.late = 0
        """Packets that came after they were given up as lost, or twice."""

    def __len__(self) -> int:
        """Return how many packets wait."""
        return len(self._held)

    def accept(self, sequence: int) -> bool:
        """Let a packet pass at once where it is the next one and nothing waits.  Nearly every packet is."""
        following = self._next
        if self._held or following is None or following & 0xFFFF != sequence:
            return False
        self._next = following + 1
        self._probation = None
        self._stale = 0
        return True

    def push(self, sequence: int, item: T, now: int) -> list[Delivered[T]]:
        """Take a packet; return what can leave, in order."""
        following = self._next
        if following is None:
            following = self._next = sequence + (1 << 16)
        number = unwrap(sequence, following, 16)
        if number == following:
            self._next = number + 1
            self._probation, self._stale = None, 0
            return [Delivered(0, item), *self._drain()] if self._held else [Delivered(0, item)]
        if not -MAX_JUMP < number - following < MAX_JUMP:
            return self._jump(sequence, item, now)
        self._probation = None
        if number < following:
            return self._before(sequence, item)
        self._stale = 0
        if number in self._held:
            self.late += 1
            return []
        if not self._held:
            self._missing_since = now
        self._held[number] = (now, item)
        heapq.heappush(self._numbers, number)
        return self._skip() if len(self._held) > MAX_HELD else self.advance(now)

    def advance(self, now: int) -> list[Delivered[T]]:
        """Give up missing packets whose time is over; return what can leave."""
        out: list[Delivered[T]] = []
        while self._held and now - self._missing_since >= self._window:
            out += self._skip()
        return out

    def flush(self) -> list[Delivered[T]]:
        """Give up every missing packet; the window is empty afterwards."""
        out: list[Delivered[T]] = []
        while self._held:
            out += self._skip()
        return out

    def deadline(self) -> int | None:
        """Return when `advance` has something to do, None while nothing waits."""
        return self._missing_since + self._window if self._held else None

    def _before(self, sequence: int, item: T) -> list[Delivered[T]]:
        """Take a packet from before the expected one: late, a copy, or of a counter that went back and stays there."""
        self._stale += 1
        if self._stale < MAX_STALE:
            self.late += 1
            return []
        return self._restart(sequence, item)

    def _jump(self, sequence: int, item: T, now: int) -> list[Delivered[T]]:
        expected, self._probation = self._probation, (sequence + 1) & 0xFFFF
        if sequence != expected:
            self.late += 1
            return []
        return self._restart(sequence, item)

    def _restart(self, sequence: int, item: T) -> list[Delivered[T]]:
        out = self.flush()
        self._probation, self._stale = None, 0
        self._next = sequence + (1 << 16) + 1
        return [*out, Delivered(1, item)]

    def _skip(self) -> list[Delivered[T]]:
        assert self._next is not None
        first = heapq.heappop(self._numbers)
        lost = first - self._next
        _, item = self._held.pop(first)
        self._next = first + 1
        return [Delivered(lost, item), *self._drain()]

    def _drain(self) -> list[Delivered[T]]:
        assert self._next is not None
        out: list[Delivered[T]] = []
        while (found := self._held.pop(self._next, None)) is not None:
            out.append(Delivered(0, found[1]))
            self._next += 1
            heapq.heappop(self._numbers)  # the lowest number that waited
        if self._held:
            self._missing_since = next(iter(self._held.values()))[0]
        return out
