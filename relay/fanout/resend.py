"""What a leg sent, so that a NACK is answered under I10: by RTX, or by the very bytes that were sealed.

What this file owns: the bounded history of one leg and how often a packet is resent.  What it must never know: keys.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from relay.fanout.burst import Burst
from relay.fanout.media import Media

BURSTS = 1024
"""Bursts remembered: 4 s of 250 packets/s that come one by one, a second of 1000 packets/s."""
SIZE = 2048
"""Sealed packets remembered where the viewer has no RTX."""
_MASK = SIZE - 1
MIN_AGAIN = 0.015
"""Seconds before the same packet is resent again: viewers ask twice when the first answer is under way."""
PER_SECOND = 600
"""Resends per second and leg: a hostile viewer must not make work without end."""

Kept = TypeVar("Kept")


class Allowance:
    """How often one leg may repeat itself."""

    def __init__(self) -> None:
        self._resent: dict[int, float] = {}
        self._window = 0.0
        self._used = 0
        self.refused = 0

    def grant(self, index: int, now: float) -> bool:
        """Whether this index may be resent now."""
        if now - self._window >= 1.0:
            self._window = now
            self._used = 0
            self._resent = {key: at for key, at in self._resent.items() if now - at < 1.0}
        if self._used >= PER_SECOND:
            self.refused += 1
            return False
        if now - self._resent.get(index, -1.0) < MIN_AGAIN:
            return False
        self._used += 1
        self._resent[index] = now
        return True


def _index(sequence: int, high: int) -> int:
    """Return the index of a 16-bit sequence number, the newest not above `high`."""
    return high - ((high - sequence) & 0xFFFF)


class History:
    """The bursts a leg sent, with the shifts they were sent under; payloads are shared between all legs."""

    def __init__(self) -> None:
        self._bursts: deque[tuple[Burst, int, int]] = deque(maxlen=BURSTS)
        self.allowance = Allowance()
        self.keep = self._bursts.append
        """Remember a burst, its shift and its timestamp shift."""

    def clear(self) -> None:
        """Forget everything."""
        self._bursts.clear()

    def answer(self, sequences: Iterable[int], high: int, now: float) -> Iterator[tuple[Media, int, int]]:
        """Yield (packet, index and timestamp it was sent with) for NACKed 16-bit sequence numbers."""
        for sequence in sequences:
            index = _index(sequence, high)
            found = self._find(index)
            if found is not None and self.allowance.grant(index, now):
                yield found

    def _find(self, index: int) -> tuple[Media, int, int] | None:
        for burst, shift, timestamp_shift in reversed(self._bursts):
            if burst.first <= index - shift <= burst.last:
                media = burst.find(index - shift)
                if media is not None:
                    return media, index, (media.timestamp + timestamp_shift) & 0xFFFFFFFF
        return None


class Ring(Generic[Kept]):
    """Sealed packets by index, for viewers without RTX."""

    def __init__(self) -> None:
        self._ring: list[tuple[int, Kept] | None] = [None] * SIZE
        self.allowance = Allowance()

    def keep(self, index: int, kept: Kept) -> None:
        """Remember what went out under `index`."""
        self._ring[index & _MASK] = (index, kept)

    def answer(self, sequences: Iterable[int], high: int, now: float) -> Iterator[Kept]:
        """Yield what to resend for NACKed 16-bit sequence numbers, given the highest index sent."""
        for sequence in sequences:
            index = _index(sequence, high)
            entry = self._ring[index & _MASK]
            if entry is not None and entry[0] == index and self.allowance.grant(index, now):
                yield entry[1]
