"""One incoming RTP stream: order, duplicates, losses and the schedule of their repair (RFC 3550 A.1, A.3, A.8; RFC 4585).

What this file owns: which packets of a stream came, which are missing, when a NACK for them is due.  What it must never
know: legs, sockets, codecs.  Repair: a NACK soon after the gap is seen, repeated by round-trip time until the packet came
or it is too late for anybody.

The round trip is measured by packets that were asked for once (Karn's rule), where RTX was agreed by RTX packets only; without
it an answer looks like an original that was late, until the other copy comes or does not.  Answers to packets that were asked
for several times tell only that we may be asking too soon: the pause grows until an answer comes to a first NACK.
"""

from relay.base.serials import unwrap
from relay.rtp.rtcp import ReportBlock

MAX_GAP = 1000
"""A jump further than this (either way) is a restart of the sender, not a loss (RFC 3550 A.1, MAX_DROPOUT)."""

MAX_MISSING = 500
"""Packets that may be missing at once; of a wider gap the newest are asked for, so that no jump of a hostile camera makes more
work in a second than this."""
NACK_BATCH = 250
REORDER_SLACK = 0.008
"""Seconds that a packet may be late before its first NACK: packets overtake each other on a radio."""
GIVE_UP_AFTER = 1.0
"""Seconds after which a missing packet helps nobody; until then it is taken, however often it was asked for."""
MAX_TRIES = 12
MIN_RETRY = 0.025
MAX_RETRY = 0.5
"""Seconds between two NACKs for one packet, at least and at most."""
START_RTT = 0.1
_PATIENCE = 1.5
"""By how much the pause grows where answers come to packets that were asked for twice."""


class MissingPacket:
    """A packet that has not come."""

    __slots__ = ("asked", "due", "too_late", "tries")

    def __init__(self, now: float, due: float) -> None:
        self.too_late = now + GIVE_UP_AFTER
        self.due = due
        """When something is to be done about it: asking, or giving up."""
        self.asked = 0.0
        """When it was asked for first."""
        self.tries = 0


class Inbound:
    """State of one SSRC; feed it with `accept`, ask it with `due`."""

    def __init__(self, clock_rate: int, *, nack: bool, rtx: bool = False) -> None:
        """`nack`: the sender takes NACKs; `rtx`: it answers them with RTX packets."""
        self._clock_rate = clock_rate
        self._nack = nack
        self._rtx = rtx
        self._last_sequence: int | None = None
        self._next: int | None = None
        self._suspect: int | None = None
        self._restarted_at = float("-inf")
        self._wild_until = float("-inf")
        """A sender that began anew twice within a second is not asked for anything until then."""
        self.high = -1
        """Highest index accepted; -1 before the first packet."""
        self.missing: dict[int, MissingPacket] = {}
        self.rtt: float | None = None
        """Round trip as repairs show it, seconds."""
        self._patience = 1.0
        self._patient_since = 0.0
        self._doubted: dict[int, MissingPacket] = {}
        """What came after its first NACK where there is no RTX; `due` is when."""
        self._due_at = 0.0
        """Before this nothing is to be done about any of `missing`."""
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
        index = self._index(sequence, now, repair)
        if index is None:
            return None
        if index > self.high:
            if repair:
                return None
            self._advance(index, now)
        elif not self._fill(index, now, repair):
            self.duplicates += 1
            return None
        if repair:
            self._repaired += 1
        else:
            self.received += 1
            self._measure_jitter(timestamp, now)
        return index

    def _index(self, sequence: int, now: float, repair: bool) -> int | None:
        if self._last_sequence is None:
            if repair:
                return None
            self._base = index = sequence + 65536
            self.high = index - 1
        else:
            index = self.high + unwrap(sequence, self._last_sequence, 16) - self._last_sequence
            if abs(index - self.high) > MAX_GAP:
                # Browsers probe their way with repairs of packets long past: those say nothing about the sender.
                return None if repair else self._restart(sequence, now)
        if index > self.high:
            self._follow(sequence)
        self._suspect = None
        return index

    def _follow(self, sequence: int) -> None:
        self._last_sequence = sequence
        self._next = sequence + 1 & 0xFFFF

    def _restart(self, sequence: int, now: float) -> int | None:
        """Believe in a wild jump when a second packet confirms it (RFC 3550 A.1)."""
        if self._suspect != sequence:
            self._suspect = sequence + 1 & 0xFFFF
            return None
        self._suspect = None
        self._follow(sequence)
        self.missing.clear()
        self.abandoned += 1  # at least
        if now - self._restarted_at < GIVE_UP_AFTER:
            self._wild_until = now + GIVE_UP_AFTER
        self._restarted_at = now
        self._transit = None
        return self.high + 1

    def _advance(self, index: int, now: float) -> None:
        if index > self.high + 1:
            room = 0 if now < self._wild_until else MAX_MISSING - len(self.missing)
            first = max(self.high + 1, index - room)
            self.abandoned += first - self.high - 1
            if first < index:
                self._miss(first, index, now)
        self.high = index

    def _miss(self, first: int, end: int, now: float) -> None:
        due = now + (REORDER_SLACK if self._nack else GIVE_UP_AFTER)
        self._due_at = min(self._due_at, due) if self.missing else due
        for index in range(first, end):
            self.missing[index] = MissingPacket(now, due)

    def _fill(self, index: int, now: float, repair: bool) -> bool:
        hole = self.missing.pop(index, None)
        if hole is None:
            doubted = self._doubted.pop(index, None)
            if doubted is not None:  # so the first copy was the original, and this is the answer
                self._believe(now - doubted.asked)
            return False
        if hole.tries:
            self.recovered += 1
            if repair or not self._rtx:
                self._learn(index, hole, now, repair)
        return True

    # --- round trip ----------------------------------------------------------------------------------------------------

    def _learn(self, index: int, hole: MissingPacket, now: float, repair: bool) -> None:
        """See the module: what an answer tells of the round trip."""
        if hole.tries > 1:
            if hole.asked > self._patient_since:  # once per round: those asked for together are one piece of evidence
                self._patience *= _PATIENCE
                self._patient_since = now
        elif repair:
            self._believe(now - hole.asked)
        elif len(self._doubted) < MAX_MISSING:
            hole.due = now
            self._doubted[index] = hole

    def _believe(self, sample: float) -> None:
        base = sample if self.rtt is None else self.rtt
        self.rtt = base + (sample - base) / (4 if self._patience == 1.0 else 2)
        self._patience = 1.0

    def _settle(self, now: float) -> None:
        """No second copy came of what was doubted: it was the answer."""
        while self._doubted:
            index, hole = next(iter(self._doubted.items()))
            if now < hole.too_late:
                return
            del self._doubted[index]
            self._believe(hole.due - hole.asked)

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
        if self._doubted:
            self._settle(now)
        if not self.missing or now < self._due_at:
            return []
        again = now + min(MAX_RETRY, max(MIN_RETRY, 1.25 * (self.rtt or START_RTT) * self._patience))
        wanted: list[int] = []
        late = [index for index, hole in self.missing.items() if now >= hole.due]
        for index in late:
            hole = self.missing[index]
            if now >= hole.too_late:
                del self.missing[index]
                self.abandoned += 1
            elif len(wanted) < NACK_BATCH:
                self._ask(hole, now, again)
                wanted.append(index)
        self._due_at = min((hole.due for hole in self.missing.values()), default=0.0)
        return wanted

    def _ask(self, hole: MissingPacket, now: float, again: float) -> None:
        hole.tries += 1
        if hole.tries == 1:
            hole.asked = now
        hole.due = hole.too_late if hole.tries >= MAX_TRIES else min(again, hole.too_late)

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
