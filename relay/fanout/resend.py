"""The packets that a leg sent, so that a NACK is answered under I10: by RTX, or by the very bytes that were sealed.

Owns: the bounded history of one leg and how often a packet is resent.  Must never know: keys.

Each number that a viewer asks for costs one look-up in an ordered history.  Numbers are rationed, whether they are found or
not: a hostile viewer cannot make work out of proportion to its datagrams.
"""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Generic, TypeVar

from relay.base.counters import declare
from relay.rtp.burst import Burst, Layout, MediaPacket

MAX_BURSTS = 1024
"""Bursts remembered at most: 4 s of 250 packets/s that come one by one, a second of 1000 packets/s."""
MAX_LATE = 1024
"""Packets remembered beside them that were sent late, into an open range."""
REMEMBERED_SECONDS = 2.0
"""How long a burst is remembered; no viewer waits longer for a picture."""
MIN_AGAIN_SECONDS = 0.015
"""Pause before the same packet is resent again where the round trip is shorter, or not known yet."""
MAX_AGAIN_SECONDS = 1.0
"""The longest such pause, however long a round trip a viewer reports."""
RESENT_AT_MOST = 10
"""How often one packet is resent: as often as libwebrtc asks for it (its kMaxNackRetries)."""
RESENT_TO_BLIND = 2
BLIND_SAMPLE = 10
"""Packets resent after which a viewer is judged."""
BLIND_MEMORY = 64
"""Packets resent of which the older count half."""
BLIND_SHARE = 0.75
"""Share of the packets resent once that a viewer asks for again, above which it does not look at its answers."""
BLIND_LOSS = 0.3
"""Reported loss from which on answers may well be lost as often as that."""
RESENT_PER_SECOND = 600
"""Packets resent per second and leg: a hostile viewer must not make unbounded work."""
ASKED_AT_ONCE = 256
"""Numbers looked for at once; libwebrtc asks for 253 per datagram (RTCP_MAX_NACK_FIELDS)."""
ASKED_PER_SECOND = 3000
"""Numbers looked for per second and leg, found or not: viewers ask ten times for packets that the camera's radio lost."""

declare(leg_resend_refused="packets that viewers asked for again and did not get, because they asked for too many")

A = TypeVar("A")
E = TypeVar("E")
_first = itemgetter(0)


class Allowance:
    """The ration of one leg: numbers looked for, and packets resent.

    A packet is not resent again within the viewer's round trip, because the first answer may still be under way.

    Some viewers ask on for packets that they have: Pion's does not see that its RTX arrived, and asks every 100 ms until the
    packet is 512 packets old.  Such a viewer asks twice for nearly every packet, although its reports name few losses.  It
    gets each packet `RESENT_TO_BLIND` times.
    """

    def __init__(self) -> None:
        self._resent: dict[int, tuple[float, int]] = {}
        """Index -> (when it was resent last, how often)."""
        self._window = 0.0
        self._used = 0
        self._room = float(ASKED_AT_ONCE)
        self._asked_at = 0.0
        self._pause = MIN_AGAIN_SECONDS
        self._loss = 0.0
        self._once = 0.0
        """Packets resent for the first time, lately."""
        self._twice = 0.0
        """Packets resent for the second time, lately."""
        self.refused = 0

    def learn(self, loss: float, rtt: float | None) -> None:
        """Take what the viewer's receiver report said: share of packets lost, round trip in seconds."""
        self._loss = loss
        if rtt is not None:
            self._pause = min(MAX_AGAIN_SECONDS, max(MIN_AGAIN_SECONDS, rtt))

    def ask(self, wanted: int, now: float) -> int:
        """Return how many of so many numbers may be looked for now."""
        self._room = min(ASKED_AT_ONCE, self._room + (now - self._asked_at) * ASKED_PER_SECOND)
        self._asked_at = now
        granted = min(wanted, int(self._room))
        self._room -= granted
        self.refused += wanted - granted
        return granted

    def grant(self, index: int, now: float) -> bool:
        """Whether this index may be resent now."""
        if now - self._window >= 1.0:
            self._begin_window(now)
        if self._used >= RESENT_PER_SECOND:
            self.refused += 1
            return False
        at, times = self._resent.get(index, (-self._pause, 0))
        if now - at < self._pause or times >= (RESENT_TO_BLIND if self._is_blind else RESENT_AT_MOST):
            return False
        self._used += 1
        self._resent[index] = now, times + 1
        self._note(times)
        return True

    def _note(self, times: int) -> None:
        """A packet is resent that was resent so many times before."""
        self._once += times == 0
        self._twice += times == 1
        if self._once >= BLIND_MEMORY:
            self._once /= 2
            self._twice /= 2

    @property
    def _is_blind(self) -> bool:
        """Whether the viewer asks on for packets that it has."""
        return self._once >= BLIND_SAMPLE and self._twice > BLIND_SHARE * self._once and self._loss < BLIND_LOSS

    def _begin_window(self, now: float) -> None:
        self._window = now
        self._used = 0
        self._resent = {index: entry for index, entry in self._resent.items() if now - entry[0] < REMEMBERED_SECONDS}


class _Sent(Generic[E]):
    """Entries in the order of their indices, found by bisection; those sent late, into a missing range, have a place apart."""

    def __init__(self) -> None:
        self.entries: deque[tuple[int, int, float, E]] = deque(maxlen=MAX_BURSTS)
        """(lowest index, highest index, when it was sent, entry), each above the one before."""
        self._late: dict[int, tuple[float, E]] = {}

    def add(self, first: int, last: int, at: float, entry: E) -> bool:
        """Remember an entry above all others (the rule); False where it is none, and belongs to `add_late`."""
        if self.entries and first <= self.entries[-1][1]:
            return False
        self.entries.append((first, last, at, entry))
        return True

    def add_late(self, indices: Iterable[int], at: float, entry: E) -> None:
        """Remember an entry by each of its indices."""
        for index in indices:
            self._late[index] = (at, entry)
        while len(self._late) > MAX_LATE:
            del self._late[next(iter(self._late))]

    def find(self, index: int) -> E | None:
        """Return the entry that may hold an index."""
        late = self._late.get(index)
        if late is not None:
            return late[1]
        at = bisect_right(self.entries, index, key=_first)
        return self.entries[at - 1][3] if at else None

    def expire(self, before: float) -> None:
        """Forget entries that were sent before `before`."""
        entries, late = self.entries, self._late
        while entries and entries[0][2] < before:
            entries.popleft()
        while late and next(iter(late.values()))[0] < before:
            del late[next(iter(late))]

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()
        self._late.clear()


def _index(sequence: int, high: int) -> int:
    """Return the index of a 16-bit sequence number, the newest not above `high`."""
    return high - ((high - sequence) & 0xFFFF)


class _Answering(ABC, Generic[E, A]):
    """The packets of a leg, and the ration under which they are sent again."""

    def __init__(self) -> None:
        self._sent: _Sent[E] = _Sent()
        self.allowance = Allowance()

    def expire(self, now: float) -> None:
        """Forget packets that no viewer asks for any more; to be called once a second."""
        self._sent.expire(now - REMEMBERED_SECONDS)

    def clear(self) -> None:
        """Forget everything."""
        self._sent.clear()

    def answer(self, sequences: Sequence[int], high: int, now: float) -> Iterator[A]:
        """Yield the packets to resend for NACKed 16-bit sequence numbers, given the highest index sent."""
        for sequence in sequences[: self.allowance.ask(len(sequences), now)]:
            index = _index(sequence, high)
            found = self.find(index)
            if found is not None and self.allowance.grant(index, now):
                yield found

    def find(self, index: int) -> A | None:
        """Return the packet that would be resent for an index; None where it is not remembered."""
        entry = self._sent.find(index)
        return None if entry is None else self._made(entry, index)

    @abstractmethod
    def _made(self, entry: E, index: int) -> A | None:
        """Return the packet to resend for an index that an entry may hold."""


class History(_Answering[tuple[Burst, int, int], tuple[MediaPacket, int, int]]):
    """The bursts a leg sent, with the shifts they were sent under; payloads are shared between all legs.

    An entry gives (packet, the index and the timestamp it was sent with): the parts of a packet to resend.
    """

    def __init__(self) -> None:
        super().__init__()
        self.keep_in_order = self._sent.entries.append
        """The rule, for a burst above all others: remember (first index, last, arrival, (burst, shift, timestamp shift))."""

    def keep(self, burst: Burst, shift: int, timestamp_shift: int) -> None:
        """Remember any burst, its shift and its timestamp shift."""
        entry = (burst, shift, timestamp_shift)
        if not self._sent.add(burst.first + shift, burst.last + shift, burst.arrival, entry):
            self._sent.add_late((media.index + shift for media in burst.packets), burst.arrival, entry)

    def _made(self, entry: tuple[Burst, int, int], index: int) -> tuple[MediaPacket, int, int] | None:
        burst, shift, timestamp_shift = entry
        media = burst.find(index - shift)
        return None if media is None else (media, index, (media.timestamp + timestamp_shift) & 0xFFFFFFFF)


class SealedHistory(_Answering[tuple[int, Layout, bytes], bytes]):
    """Bursts sealed for a viewer without RTX; packets are repeated as the very bytes that were sealed (I10)."""

    def keep(self, layout: Layout, shift: int, now: float) -> None:
        """Remember a burst as it lies sealed in its layout, and the shift of its indices."""
        entry = (shift, layout, bytes(layout.buffer))
        if not self._sent.add(layout.first + shift, layout.last + shift, now, entry):
            self._sent.add_late((item[0] + shift for item in layout.items), now, entry)

    def _made(self, entry: tuple[int, Layout, bytes], index: int) -> bytes | None:
        shift, layout, sealed = entry
        place = layout.place(index - shift)
        return None if place is None else sealed[place]
