"""Packets that wait in the worker until their recording's signed start is durable.

Owns: their order and their bounds.  Must never know: the connection to the recorder, viewers, files.

The first packets are kept: they hold the first picture.  Once one packet found no room, all later ones of that camera are
refused too, so that what is kept has no hole and what is missing is one gap.
"""

from collections import deque
from collections.abc import Callable, Iterator

from relay.base.counters import Counters, declare
from relay.channel.messages import TapSender, Track

MAX_BYTES = 4 << 20
"""Of one camera: eight seconds at 4 Mbit/s."""
MAX_SECONDS = 10.0
MAX_BYTES_IN_ALL = 64 << 20
"""Of all cameras of a worker."""
MAX_SENDERS = 4
PACKET_COST = 128
"""Bytes counted for a packet beside its own: empty packets have a bound too."""

declare(
    tap_held_back="packets that waited until their recording's signed start was durable",
    tap_held_back_lost="packets lost before their recording's signed start: no room, or no start; a gap if there is one",
)


class WaitingRoom:
    """The room of all cameras of a worker, in bytes."""

    def __init__(self, counters: Counters, capacity: int = MAX_BYTES_IN_ALL) -> None:
        self.counters = counters
        self.left = capacity


class HeldBack:
    """The packets of one camera, as (tracks, packets) in order of arrival."""

    def __init__(self, room: WaitingRoom, on_first: Callable[[], None]) -> None:
        """`on_first` is called when the first packet came."""
        self._room = room
        self._on_first = on_first
        self._chunks: list[tuple[tuple[Track, ...], list[tuple[int, bytes]]]] = []
        self._bytes = 0
        self.since: int | None = None
        """Arrival (monotonic ns) of the first packet; None before it."""
        self.lost = 0
        self.senders: deque[TapSender] = deque(maxlen=MAX_SENDERS)
        """The last sender reports."""

    def take(self, tracks: tuple[Track, ...], packets: list[tuple[int, bytes]]) -> None:
        """Keep packets of these tracks, each an arrival (monotonic ns) and bytes, as long as there is room."""
        if self.since is None:
            self.since = packets[0][0]
            self._on_first()
        kept = 0 if self.lost else self._fitting(packets)
        if kept:
            if not self._chunks or self._chunks[-1][0] != tracks:
                self._chunks.append((tracks, []))
            self._chunks[-1][1].extend(packets[:kept])
            self._room.counters.count("tap_held_back", kept)
        if kept < len(packets):
            self.lost += len(packets) - kept
            self._room.counters.count("tap_held_back_lost", len(packets) - kept)

    def _fitting(self, packets: list[tuple[int, bytes]]) -> int:
        """Return how many of the packets fit, and take their room."""
        assert self.since is not None
        for at, (arrival, packet) in enumerate(packets):
            cost = len(packet) + PACKET_COST
            late = arrival - self.since > MAX_SECONDS * 1e9
            if late or self._bytes + cost > MAX_BYTES or cost > self._room.left:
                return at
            self._bytes += cost
            self._room.left -= cost
        return len(packets)

    def release(self) -> Iterator[tuple[tuple[Track, ...], list[tuple[int, bytes]]]]:
        """Give the room back and yield what was kept, in order."""
        self._room.left += self._bytes
        self._bytes, chunks, self._chunks = 0, self._chunks, []
        return iter(chunks)

    def drop(self) -> int:
        """Nobody opens the recording any more: what waited is lost.  Return how many packets, with those that found no room."""
        lost = sum(len(packets) for _, packets in self.release())
        self._room.counters.count("tap_held_back_lost", lost)
        return lost + self.lost
