"""One incoming RTP stream: order, duplicates, losses and the schedule of their repair (RFC 3550 A.1, A.3, A.8; RFC 4585).

What this file owns: which packets of a stream came, which are missing, when a NACK for them is due.  What it must never
know: legs, sockets, codecs.  Repair: a NACK soon after the gap is seen, repeated by round-trip time until the packet came,
or it is too late for anybody, or asking has been in vain too often.
"""

from relay.base.serials import unwrap
from relay.rtp.rtcp import ReportBlock

MAX_GAP = 1000
"""A jump further than this (either way) is a restart of the sender, not a loss (RFC 3550 A.1, MAX_DROPOUT)."""

MAX_MISSING = 1000
NACK_BATCH = 250
REORDER_SLACK = 0.008
"""Seconds that a packet may be late before its first NACK: packets overtake each other on a radio."""
GIVE_UP_AFTER = 1.0
MAX_TRIES = 12
MIN_RETRY = 0.025
START_RTT = 0.1


class Missing:
    """A packet that has not come."""

    __slots__ = ("asked", "due", "since", "tries")

    def __init__(self, now: float) -> None:
        self.since = now
        self.due = now + REORDER_SLACK
        self.asked = 0.0
        self.tries = 0


class Inbound:
    """State of one SSRC; feed it with `accept`, ask it with `due`."""

    def __init__(self, clock_rate: int, *, nack: bool) -> None:
        self._clock_rate = clock_rate
        self._nack = nack
        self._last_sequence: int | None = None
        self._next: int | None = None
        self._suspect: int | None = None
        self.high = -1
        """Highest index accepted; -1 before the first packet."""
        self.missing: dict[int, Missing] = {}
        self.rtt: float | None = None
        self.received = 0
        self.recovered = 0
        self.duplicates = 0
        self.abandoned = 0
        """Packets lost for good."""
        self.loss = 0.0
        """Share of packets that did not come at once, before the last report."""
        self._base = 0
        self._repaired = 0
        self._reported = (0, 0)
        self._transit: float | None = None
        self._jitter = 0.0

    # --- arrival -------------------------------------------------------------------------------------------------------

    def accept(self, sequence: int, timestamp: int, now: float, *, repair: bool = False) -> int | None:
        """Return the index of a packet, None where it is a duplicate, too old, or the first after a wild jump.

        `repair`: it came on the RTX stream, which does not count as reception (RFC 4588 §4).  Indices start at 65536 plus the
        first sequence number and go on rising over restarts of the sender.
        """
        if sequence == self._next and not repair:  # the rule, without the calls
            self._last_sequence = sequence
            self._next = sequence + 1 & 0xFFFF
            self._suspect = None
            self.high = index = self.high + 1
            self.received += 1
            self._measure_jitter(timestamp, now)
            return index
        return self._accept(sequence, timestamp, now, repair)

    def _accept(self, sequence: int, timestamp: int, now: float, repair: bool) -> int | None:
        index = self._index(sequence, repair)
        if index is None:
            return None
        if index > self.high:
            if repair:
                return None
            self._advance(index, now)
        elif not self._fill(index, now):
            self.duplicates += 1
            return None
        if repair:
            self._repaired += 1
        else:
            self.received += 1
            self._measure_jitter(timestamp, now)
        return index

    def _index(self, sequence: int, repair: bool) -> int | None:
        if self._last_sequence is None:
            if repair:
                return None
            self._base = index = sequence + 65536
            self.high = index - 1
        else:
            index = self.high + unwrap(sequence, self._last_sequence, 16) - self._last_sequence
            if abs(index - self.high) > MAX_GAP:
                # Browsers probe their way with repairs of packets long past: those say nothing about the sender.
                return None if repair else self._restart(sequence)
        if index > self.high:
            self._follow(sequence)
        self._suspect = None
        return index

    def _follow(self, sequence: int) -> None:
        self._last_sequence = sequence
        self._next = sequence + 1 & 0xFFFF

    def _restart(self, sequence: int) -> int | None:
        """Believe in a wild jump when a second packet confirms it (RFC 3550 A.1)."""
        if self._suspect != sequence:
            self._suspect = sequence + 1 & 0xFFFF
            return None
        self._suspect = None
        self._follow(sequence)
        self.missing.clear()
        self._transit = None
        return self.high + 1

    def _advance(self, index: int, now: float) -> None:
        for lost in range(self.high + 1, index):
            self.missing[lost] = Missing(now)
        while len(self.missing) > MAX_MISSING:
            del self.missing[next(iter(self.missing))]
            self.abandoned += 1
        self.high = index

    def _fill(self, index: int, now: float) -> bool:
        hole = self.missing.pop(index, None)
        if hole is None:
            return False
        if hole.tries:
            self.recovered += 1
        if hole.tries == 1:
            sample = now - hole.asked
            self.rtt = sample if self.rtt is None else min(sample, self.rtt + (sample - self.rtt) / 8)
        return True

    def _measure_jitter(self, timestamp: int, now: float) -> None:
        transit = now * self._clock_rate - timestamp
        if self._transit is not None:
            step = abs(transit - self._transit)
            if step < self._clock_rate * 10:
                self._jitter += (step - self._jitter) / 16
        self._transit = transit

    # --- repair --------------------------------------------------------------------------------------------------------

    def due(self, now: float) -> list[int]:
        """Return the indices to ask for now, in order; forgets (and counts as abandoned) those it is too late for."""
        if not self.missing:
            return []
        pause = max(MIN_RETRY, 1.25 * (self.rtt or START_RTT))
        wanted: list[int] = []
        for index, hole in list(self.missing.items()):
            if now - hole.since > GIVE_UP_AFTER or hole.tries >= MAX_TRIES and now >= hole.due:
                del self.missing[index]
                self.abandoned += 1
            elif self._nack and now >= hole.due and len(wanted) < NACK_BATCH:
                hole.tries += 1
                hole.asked = now
                hole.due = now + pause
                wanted.append(index)
        return wanted

    # --- reports -------------------------------------------------------------------------------------------------------

    def report(self, ssrc: int, last_sr: int, delay: int) -> ReportBlock:
        """Return the report block since the last call; `last_sr` and `delay` as RFC 3550 §6.4.1 wants them."""
        expected = self.high - self._base + 1
        lost = expected - self.received
        new_expected, new_lost = expected - self._reported[0], lost - self._reported[1]
        self._reported = (expected, lost)
        fraction = min(255, 256 * new_lost // new_expected) if new_expected > 0 and new_lost > 0 else 0
        self.loss = fraction / 256
        clamped = max(-0x800000, min(0x7FFFFF, lost))
        highest = self.high & 0xFFFF0000 | (self._last_sequence or 0)
        return ReportBlock(ssrc, fraction, clamped, highest, int(self._jitter), last_sr, delay)

    def sequence(self, index: int) -> int:
        """Return the sequence number on the wire of an index (they part company when a sender restarts)."""
        return ((self._last_sequence or 0) - self.high + index) & 0xFFFF

    @property
    def jitter(self) -> float:
        """Interarrival jitter, seconds."""
        return self._jitter / self._clock_rate
