"""What a leg sent, so that a NACK is answered under I10: by RTX, or by the very bytes that were sealed.

What this file owns: the bounded history of one leg and how often a packet is resent.  What it must never know: keys.
"""

from collections import deque
from collections.abc import Iterable, Iterator

from relay.fanout.burst import Burst, Layout
from relay.fanout.media import Media

BURSTS = 1024
"""Bursts remembered at most: 4 s of 250 packets/s that come one by one, a second of 1000 packets/s."""
REMEMBERED = 2.0
"""Seconds that a burst is remembered; no viewer waits longer for a picture."""
MIN_AGAIN = 0.015
"""Seconds before the same packet is resent again: viewers ask twice when the first answer is under way."""
PER_SECOND = 600
"""Resends per second and leg: a hostile viewer must not make work without end."""


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

    def expire(self, now: float) -> None:
        """Forget what is older than anybody asks for; call it once a second."""
        bursts = self._bursts
        while bursts and now - bursts[0][0].arrival > REMEMBERED:
            bursts.popleft()

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


class SealedHistory:
    """What was sealed for a viewer without RTX, a burst in one piece; repeated as the very bytes that were sealed (I10)."""

    def __init__(self) -> None:
        self._bursts: deque[tuple[int, Layout, bytes, float]] = deque(maxlen=BURSTS)
        self.allowance = Allowance()

    def keep(self, layout: Layout, shift: int, now: float) -> None:
        """Remember a burst as it lies sealed in its layout, and the shift of its indices."""
        self._bursts.append((shift, layout, bytes(layout.buffer), now))

    def expire(self, now: float) -> None:
        """Forget what is older than anybody asks for; call it once a second."""
        bursts = self._bursts
        while bursts and now - bursts[0][3] > REMEMBERED:
            bursts.popleft()

    def clear(self) -> None:
        """Forget everything."""
        self._bursts.clear()

    def answer(self, sequences: Iterable[int], high: int, now: float) -> Iterator[bytes]:
        """Yield what to resend for NACKed 16-bit sequence numbers, given the highest index sent."""
        for sequence in sequences:
            index = _index(sequence, high)
            found = self._find(index)
            if found is not None and self.allowance.grant(index, now):
                yield found

    def _find(self, index: int) -> bytes | None:
        for shift, layout, sealed, _ in reversed(self._bursts):
            if layout.first <= index - shift <= layout.last:
                place = layout.place(index - shift)
                if place is not None:
                    return sealed[place]
        return None
