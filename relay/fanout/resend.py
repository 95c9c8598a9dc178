"""What a leg sent, so that a NACK is answered under I10: by RTX, or by the very bytes that were sealed.

What this file owns: the bounded history of one leg and how often a packet is resent.  What it must never know: keys.
2048 packets are 8 s of a 2 Mbit/s stream and 2 s of one of 8 Mbit/s.
"""

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

SIZE = 2048
_MASK = SIZE - 1
MIN_AGAIN = 0.015
"""Seconds before the same packet is resent again: viewers ask twice when the first answer is under way."""
PER_SECOND = 600
"""Resends per second and leg: a hostile viewer must not make work without end."""

Kept = TypeVar("Kept")


class History(Generic[Kept]):
    """A ring by index.  `Kept` is a part (header, payload) where the leg has RTX, or the sealed bytes."""

    def __init__(self) -> None:
        self._ring: list[tuple[int, Kept] | None] = [None] * SIZE
        self._resent: dict[int, float] = {}
        self._window = 0.0
        self._used = 0
        self.refused = 0

    def keep(self, index: int, kept: Kept) -> None:
        """Remember what went out under `index`."""
        self._ring[index & _MASK] = (index, kept)

    def answer(self, sequences: Iterable[int], high: int, now: float) -> Iterator[Kept]:
        """Yield what to resend for NACKed 16-bit sequence numbers, given the highest index sent."""
        for sequence in sequences:
            index = high - ((high - sequence) & 0xFFFF)
            entry = self._ring[index & _MASK]
            if entry is not None and entry[0] == index and self._allowed(index, now):
                yield entry[1]

    def _allowed(self, index: int, now: float) -> bool:
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
